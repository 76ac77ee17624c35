//! Transactions: handed over, waiting, included.

use std::time::Duration;

use bytes::Bytes;
use portico_chain::block::TxOutcome;
use serde_json::{Value, json};

use super::search::{Order, Search};
use super::{Answer, Methods};
use crate::api::{ApiError, StoredTx, stored_block, stored_tx, tx_at};
use crate::hash::tx_hash;
use crate::machine::View;
use crate::rpc::error::RpcError;
use crate::rpc::request::Params;
use crate::rpc::shape::{self, hex, number};
use crate::search;

/// Time that `broadcast_tx_commit` waits for a block, as CometBFT's default.
const COMMIT_TIMEOUT: Duration = Duration::from_secs(10);
/// Most waiting transactions of an answer.
const MAX_UNCONFIRMED: usize = 100;
/// Number of waiting transactions of an answer, unless asked otherwise.
const DEFAULT_UNCONFIRMED: usize = 30;

impl Methods {
    pub(super) async fn broadcast_async(&self, params: &Params) -> Answer {
        let tx = Bytes::from(params.base64("tx")?);
        let hash = tx_hash(&tx);
        self.api.broadcast(tx).await?;
        Ok(broadcast(&hash, &TxOutcome::default()))
    }

    pub(super) async fn broadcast_sync(&self, params: &Params) -> Answer {
        let tx = Bytes::from(params.base64("tx")?);
        let hash = tx_hash(&tx);
        Ok(broadcast(&hash, &self.api.broadcast(tx).await?))
    }

    pub(super) async fn broadcast_commit(&self, params: &Params) -> Answer {
        let tx = Bytes::from(params.base64("tx")?);
        let hash = tx_hash(&tx);
        let mut head = self.api.follow();
        let outcome = self.api.broadcast(tx).await?;
        if outcome.code != 0 {
            let nothing = shape::tx_result(&Default::default());
            return Ok(committed(&hash, &outcome, nothing, 0));
        }
        let included = async {
            loop {
                head.mark_unchanged();
                if let Some(stored) = self.api.tx(hash).await? {
                    return Ok(stored);
                }
                if head.changed().await.is_err() {
                    return Err(ApiError::Aborted);
                }
            }
        };
        let late = || RpcError::internal("timed out waiting for tx to be included in a block".into());
        let stored = tokio::select! {
            () = self.stop.cancelled() => return Err(late()),
            stored = tokio::time::timeout(COMMIT_TIMEOUT, included) => stored.map_err(|_| late())??,
        };
        let result = shape::tx_result(&stored.result);
        Ok(committed(&hash, &outcome, result, stored.height))
    }

    /// What the mempool would say, without keeping the transaction.
    pub(super) async fn check_tx(&self, params: &Params) -> Answer {
        let tx = Bytes::from(params.base64("tx")?);
        Ok(shape::check_tx(&self.api.check(tx).await?))
    }

    pub(super) async fn tx(&self, params: &Params) -> Answer {
        let hash = params.hash("hash")?;
        let prove = params.flag("prove")?;
        let found = self.api.search(move |view| {
            let stored = stored_tx(&view.snapshot, &hash)?;
            let stored = stored.ok_or_else(|| ApiError::Absent(format!("tx ({})", hex(&hash))))?;
            shown(view, &stored, prove)
        });
        Ok(found.await?)
    }

    /// Included transactions whose events match, oldest first unless asked otherwise.
    pub(super) async fn tx_search(&self, params: &Params) -> Answer {
        let asked = Search::read(params, Order::Ascending)?;
        let prove = params.flag("prove")?;
        let found = self.api.search(move |view| {
            let hits = search::txs(view, &asked.query)?;
            let total = hits.len();
            let txs = asked.page(hits)?.into_iter().map(|(height, index)| {
                let stored = tx_at(&view.snapshot, height, index)?;
                shown(view, &stored, prove)
            });
            Ok(json!({"txs": txs.collect::<Result<Vec<_>, _>>()?, "total_count": number(total)}))
        });
        Ok(found.await?)
    }

    pub(super) fn unconfirmed_txs(&self, params: &Params) -> Answer {
        let limit = params.number("limit")?.filter(|limit| *limit > 0);
        let limit = limit.map_or(DEFAULT_UNCONFIRMED, |limit| {
            usize::try_from(limit).unwrap_or(MAX_UNCONFIRMED)
        });
        Ok(self.unconfirmed(limit.min(MAX_UNCONFIRMED), true))
    }

    pub(super) fn unconfirmed(&self, limit: usize, with_txs: bool) -> Value {
        let (txs, total, bytes) = self.api.machine.mempool.waiting_txs(limit);
        let shown = if with_txs { txs.len() } else { total };
        let txs: Vec<_> = txs.iter().map(|tx| shape::bytes(tx)).collect();
        json!({
            "n_txs": number(shown),
            "total": number(total),
            "total_bytes": number(bytes),
            "txs": with_txs.then_some(txs),
        })
    }
}

/// `ResultTx`, with the proof that the transaction is in its block if asked for.
fn shown(view: &View, stored: &StoredTx, prove: bool) -> Result<Value, ApiError> {
    let mut value = shape::tx(stored);
    if prove {
        let block = stored_block(&view.snapshot, stored.height)?.ok_or(ApiError::NoHeight(stored.height))?;
        let index = usize::try_from(stored.index).unwrap_or(usize::MAX);
        let hashes: Vec<_> = block.block.data.iter().map(|tx| tx_hash(tx)).collect();
        value["proof"] = shape::tx_proof(&hashes, index, &stored.tx);
    }
    Ok(value)
}

fn broadcast(hash: &[u8; 32], outcome: &TxOutcome) -> Value {
    json!({
        "code": outcome.code,
        "data": "",
        "log": outcome.log,
        "codespace": outcome.codespace,
        "hash": hex(hash),
    })
}

fn committed(hash: &[u8; 32], check: &TxOutcome, result: Value, height: i64) -> Value {
    json!({
        "check_tx": shape::check_tx(check),
        "tx_result": result,
        "hash": hex(hash),
        "height": number(height),
    })
}
