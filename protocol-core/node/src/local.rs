//! The chain in process.

use async_trait::async_trait;
use bytes::Bytes;
use portico_client::{
    BlockHead, BlockResults, BroadcastResult, ChainError, ChainStatus, Event, Transport, TxResult,
};
use portico_protocol::{Height, tx::tx_hash};
use tendermint_proto::v0_38::abci::{self, ExecTxResult};
use tokio::sync::watch;

use crate::api::{Api, ApiError};
use crate::block::{bytes_of, time_ms};

/// The node as a [`portico_client::Chain`], without a socket.
pub(crate) struct LocalChain {
    pub(crate) api: Api,
    pub(crate) chain_id: String,
}

impl From<ApiError> for ChainError {
    fn from(error: ApiError) -> Self {
        let text = error.to_string();
        match error {
            ApiError::Future { .. } | ApiError::NoHeight(_) | ApiError::Absent(_) => Self::NotFound(text),
            ApiError::Query(error) => Self::of_grpc(error.grpc_code(), text),
            ApiError::Refused(_) | ApiError::FutureState { .. } | ApiError::NotRetained { .. } => {
                Self::InvalidArgument(text)
            }
            ApiError::Mempool(_) | ApiError::Store(_) | ApiError::Damaged(_) => Self::Internal(text),
            ApiError::Aborted => Self::Unavailable(text),
        }
    }
}

fn event(event: abci::Event) -> Event {
    let attribute = |attribute: abci::EventAttribute| (attribute.key, attribute.value);
    Event {
        kind: event.r#type,
        attributes: event.attributes.into_iter().map(attribute).collect(),
    }
}

fn tx_result(height: i64, result: ExecTxResult) -> TxResult {
    TxResult {
        height: Height(height),
        code: result.code,
        codespace: result.codespace,
        log: result.log,
        gas_used: u64::try_from(result.gas_used).unwrap_or(0),
        events: result.events.into_iter().map(event).collect(),
    }
}

#[async_trait]
impl Transport for LocalChain {
    async fn query(&self, path: &'static str, request: Bytes) -> Result<Bytes, ChainError> {
        let (answer, _) = self.api.query(path.to_owned(), request, None).await?;
        Ok(answer)
    }

    fn head(&self) -> watch::Receiver<BlockHead> {
        self.api.follow()
    }

    async fn status(&self) -> Result<ChainStatus, ChainError> {
        Ok(ChainStatus {
            chain_id: self.chain_id.clone(),
            head: self.api.head(),
            catching_up: false,
        })
    }

    async fn block(&self, height: Height) -> Result<BlockHead, ChainError> {
        let stored = self.api.block(Some(height.0)).await?;
        Ok(BlockHead {
            height,
            hash: bytes_of(&stored.id.hash),
            time_ms: time_ms(stored.block.header.time),
        })
    }

    async fn block_results(&self, height: Height) -> Result<BlockResults, ChainError> {
        let (_, results) = self.api.results(Some(height.0)).await?;
        let txs = results.tx_results.into_iter();
        Ok(BlockResults {
            block_events: results.events.into_iter().map(event).collect(),
            txs: txs.map(|result| tx_result(height.0, result)).collect(),
        })
    }

    async fn broadcast(&self, tx: Bytes) -> Result<BroadcastResult, ChainError> {
        let hash = tx_hash(&tx);
        let refused = |code, error: &dyn std::fmt::Display| BroadcastResult {
            hash: hash.clone(),
            code,
            codespace: "sdk".to_owned(),
            log: error.to_string(),
        };
        match self.api.broadcast(tx).await {
            Ok(outcome) => Ok(BroadcastResult {
                hash,
                code: outcome.code,
                codespace: outcome.codespace,
                log: outcome.log,
            }),
            Err(ApiError::Mempool(error)) => match error.code() {
                Some(code) => Ok(refused(code, &error)),
                None => Err(ApiError::Mempool(error).into()),
            },
            Err(error) => Err(error.into()),
        }
    }

    async fn simulate(&self, tx: Bytes) -> Result<u64, ChainError> {
        let outcome = self.api.simulate(tx).await?;
        if outcome.code != 0 {
            return Err(ChainError::InvalidArgument(outcome.log));
        }
        Ok(outcome.gas_used)
    }

    async fn tx(&self, hash: &str) -> Result<Option<TxResult>, ChainError> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(hash, &mut bytes)
            .map_err(|error| ChainError::InvalidArgument(format!("{hash:?}: {error}")))?;
        let stored = self.api.tx(bytes).await?;
        Ok(stored.map(|stored| tx_result(stored.height, stored.result)))
    }
}
