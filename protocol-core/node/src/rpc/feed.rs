//! What happened in a block, as subscribers are told it. The chain is the queue: nothing waits in memory for a subscriber, who is
//! told each height when he is ready for it.

use std::collections::VecDeque;
use std::sync::Arc;

use portico_client::BlockHead;
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};
use tokio::sync::{Mutex, watch};

use super::error::RpcError;
use super::shape::{self, number};
use crate::api::{Api, ApiError, StoredBlock, stored_block, stored_results};
use crate::hash::tx_hash;
use crate::search::{Events, Query, block_events, tx_events};
use tendermint_proto::v0_38::abci::ResponseFinalizeBlock;

/// Blocks whose events are kept written for the next subscriber who asks.
const CACHED_BLOCKS: usize = 2;

/// Something that a subscriber may want to hear of.
pub(super) struct Happening {
    events: Events,
    data: Box<RawValue>,
    /// The events, written.
    shown: Box<RawValue>,
}

impl Happening {
    fn new(kind: &str, events: Events, value: &Value) -> Result<Self, RpcError> {
        let data = json!({"type": format!("tendermint/event/{kind}"), "value": value});
        Ok(Self {
            data: raw(&data)?,
            shown: raw(&events)?,
            events,
        })
    }

    pub(super) fn matches(&self, query: &Query) -> bool {
        query.matches(&self.events)
    }

    /// The message to the subscription with this id, whose query was written so.
    pub(super) fn message(&self, id: &Value, query: &str) -> Result<String, RpcError> {
        let message = Message {
            jsonrpc: "2.0",
            id,
            result: Told {
                query,
                data: &self.data,
                events: &self.shown,
            },
        };
        serde_json::to_string(&message).map_err(|error| RpcError::internal(error.to_string()))
    }
}

#[derive(Serialize)]
struct Message<'a> {
    jsonrpc: &'static str,
    id: &'a Value,
    result: Told<'a>,
}

#[derive(Serialize)]
struct Told<'a> {
    query: &'a str,
    data: &'a RawValue,
    events: &'a RawValue,
}

fn raw(value: &impl Serialize) -> Result<Box<RawValue>, RpcError> {
    to_raw_value(value).map_err(|error| RpcError::internal(error.to_string()))
}

type Block = Arc<Vec<Happening>>;

/// Tells what happened, height by height.
pub(super) struct Feed {
    api: Api,
    recent: Mutex<VecDeque<(i64, Block)>>,
}

impl Feed {
    pub(super) fn new(api: Api) -> Self {
        Self {
            api,
            recent: Mutex::default(),
        }
    }

    pub(super) fn follow(&self) -> watch::Receiver<BlockHead> {
        self.api.follow()
    }

    /// What happened at `height`, in the order in which CometBFT tells it.
    pub(super) async fn at(&self, height: i64) -> Result<Block, RpcError> {
        let mut recent = self.recent.lock().await;
        if let Some((_, block)) = recent.iter().find(|(known, _)| *known == height) {
            return Ok(block.clone());
        }
        let read = self.api.search(move |view| {
            let stored = stored_block(&view.snapshot, height)?.ok_or(ApiError::NoHeight(height))?;
            let results = stored_results(&view.snapshot, height)?.ok_or(ApiError::NoHeight(height))?;
            Ok(happenings(&stored, &results))
        });
        let block = Arc::new(read.await??);
        recent.push_back((height, block.clone()));
        if recent.len() > CACHED_BLOCKS {
            recent.pop_front();
        }
        Ok(block)
    }
}

fn happenings(stored: &StoredBlock, results: &ResponseFinalizeBlock) -> Result<Vec<Happening>, RpcError> {
    let height = i64::from(stored.block.header.height);
    let txs: Vec<_> = results.tx_results.iter().map(shape::tx_result).collect();
    let block = json!({
        "block": shape::inner_block(&stored.block)?,
        "block_id": shape::block_id(&stored.id)?,
        "result_finalize_block": {
            "events": shape::events(&results.events),
            "tx_results": txs,
            "validator_updates": [],
            "app_hash": shape::bytes(&results.app_hash),
        },
    });
    let header = json!({"header": shape::header(&stored.block)?});
    let mut told = vec![
        Happening::new("NewBlock", block_events("NewBlock", &results.events), &block)?,
        Happening::new("NewBlockHeader", block_events("NewBlockHeader", &[]), &header)?,
    ];
    let events = json!({
        "height": number(height),
        "events": shape::events(&results.events),
        "num_txs": number(txs.len()),
    });
    let kind = "NewBlockEvents";
    told.push(Happening::new(
        kind,
        block_events(kind, &results.events),
        &events,
    )?);
    for (index, (tx, result)) in stored.block.data.iter().zip(&results.tx_results).enumerate() {
        let events = tx_events(height, &shape::hex(&tx_hash(tx)), result);
        let value = json!({"TxResult": {
            "height": number(height),
            "index": index,
            "tx": shape::bytes(tx),
            "result": shape::tx_result(result),
        }});
        told.push(Happening::new("Tx", events, &value)?);
    }
    Ok(told)
}
