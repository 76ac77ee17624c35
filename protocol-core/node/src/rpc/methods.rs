//! The calls.

mod blocks;
mod consensus;
mod search;
mod state;
mod txs;

use std::net::SocketAddr;
use std::sync::Arc;

use portico_chain::genesis::Genesis;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::error::RpcError;
use super::names::NAMES;
use super::request::Params;
use super::shape;
use crate::api::Api;

/// Answers calls.
pub(super) struct Methods {
    api: Api,
    genesis: Arc<Genesis>,
    address: SocketAddr,
    stop: CancellationToken,
}

type Answer = Result<Value, RpcError>;

impl Methods {
    pub(super) const fn new(
        api: Api,
        genesis: Arc<Genesis>,
        address: SocketAddr,
        stop: CancellationToken,
    ) -> Self {
        Self {
            api,
            genesis,
            address,
            stop,
        }
    }

    /// Answers the call `method`, which came through `server`.
    pub(super) async fn call(&self, server: &str, method: &str, params: Params) -> Answer {
        self.api.metrics.count(server, known(method));
        match method {
            "abci_info" => Ok(self.abci_info()),
            "abci_query" => self.abci_query(&params).await,
            "block" => shape::block(&self.api.block(params.number("height")?).await?),
            "block_by_hash" => self.block_by_hash(&params).await,
            "block_results" => self.block_results(&params).await,
            "block_search" => self.block_search(&params).await,
            "blockchain" => self.blockchain(&params).await,
            "broadcast_tx_async" => self.broadcast_async(&params).await,
            "broadcast_tx_commit" => self.broadcast_commit(&params).await,
            "broadcast_tx_sync" => self.broadcast_sync(&params).await,
            "check_tx" => self.check_tx(&params).await,
            "commit" => self.commit(&params).await,
            "consensus_params" => self.consensus_params(&params),
            "consensus_state" => self.consensus_state().await,
            "dump_consensus_state" => self.dump_consensus_state().await,
            "genesis" => self.genesis(),
            "genesis_chunked" => self.genesis_chunked(&params),
            "header" => self.header(&params).await,
            "header_by_hash" => self.header_by_hash(&params).await,
            "health" => Ok(json!({})),
            "net_info" => Ok(json!({"listening": true, "listeners": [], "n_peers": "0", "peers": []})),
            "num_unconfirmed_txs" => Ok(self.unconfirmed(0, false)),
            "status" => self.status().await,
            "tx" => self.tx(&params).await,
            "tx_search" => self.tx_search(&params).await,
            "unconfirmed_txs" => self.unconfirmed_txs(&params),
            "validators" => self.validators(&params).await,
            _ => {
                let shown = method.chars().take(100).collect();
                Err(RpcError::unknown_method(shown))
            }
        }
    }
}

/// A method as metrics name it: nobody fills them with names of his own.
fn known(method: &str) -> &'static str {
    let found = NAMES.iter().find(|(name, _)| *name == method);
    found.map_or("unknown", |(name, _)| name)
}
