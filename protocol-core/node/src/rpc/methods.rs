//! The calls.

mod blocks;
mod search;
mod state;
mod txs;

use std::net::SocketAddr;
use std::sync::Arc;

use portico_chain::genesis::Genesis;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::error::RpcError;
use super::request::Params;
use super::shape;
use crate::api::Api;

/// The calls and the names of their params, in order; subscriptions only over WebSockets.
pub(super) const NAMES: [(&str, &[&str]); 28] = [
    ("abci_info", &[]),
    ("abci_query", &["path", "data", "height", "prove"]),
    ("block", &["height"]),
    ("block_by_hash", &["hash"]),
    ("block_results", &["height"]),
    ("block_search", &["query", "page", "per_page", "order_by"]),
    ("blockchain", &["minHeight", "maxHeight"]),
    ("broadcast_tx_async", &["tx"]),
    ("broadcast_tx_commit", &["tx"]),
    ("broadcast_tx_sync", &["tx"]),
    ("check_tx", &["tx"]),
    ("commit", &["height"]),
    ("consensus_params", &["height"]),
    ("genesis", &[]),
    ("genesis_chunked", &["chunk"]),
    ("header", &["height"]),
    ("header_by_hash", &["hash"]),
    ("health", &[]),
    ("net_info", &[]),
    ("num_unconfirmed_txs", &[]),
    ("status", &[]),
    ("subscribe", &["query"]),
    ("tx", &["hash", "prove"]),
    ("tx_search", &["query", "prove", "page", "per_page", "order_by"]),
    ("unconfirmed_txs", &["limit"]),
    ("unsubscribe", &["query"]),
    ("unsubscribe_all", &[]),
    ("validators", &["height", "page", "per_page"]),
];

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
            "validators" => self.validators(&params),
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
