//! Shapes of answers.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use portico_chain::block::TxOutcome;
use serde_json::{Value, json};
use tendermint::Block;
use tendermint::block::{Commit, Id};
use tendermint::validator::Info;
use tendermint_proto::v0_38::abci::{Event, ExecTxResult};
use tendermint_proto::v0_38::types::{
    BlockId as RawBlockId, Commit as RawCommit, Header as RawHeader, PartSetHeader as RawParts,
};

use super::error::RpcError;
use crate::api::{StoredBlock, StoredTx};
use crate::block;
use crate::hash::{branch, root, tx_hash};

/// Bytes as CometBFT writes them; `null` when there are none.
pub(super) fn bytes(bytes: &[u8]) -> Value {
    match bytes {
        [] => Value::Null,
        _ => BASE64.encode(bytes).into(),
    }
}

/// Upper-case hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    hex::encode_upper(bytes)
}

/// A number of 64 bits.
pub(super) fn number(number: impl std::fmt::Display) -> Value {
    number.to_string().into()
}

fn raw(value: impl serde::Serialize) -> Result<Value, RpcError> {
    serde_json::to_value(value).map_err(|error| RpcError::internal(error.to_string()))
}

/// A header; Go leaves out a zero version of the application.
pub(super) fn header(block: &Block) -> Result<Value, RpcError> {
    let mut header = RawHeader::from(block.header.clone());
    header.last_block_id.get_or_insert_with(nothing);
    let mut value = raw(header)?;
    if let Some(version) = value.get_mut("version").and_then(Value::as_object_mut) {
        version.retain(|_, number| number != "0");
    }
    Ok(value)
}

fn nothing() -> RawBlockId {
    RawBlockId {
        hash: Vec::new(),
        part_set_header: Some(RawParts::default()),
    }
}

pub(super) fn block_id(id: &Id) -> Result<Value, RpcError> {
    raw(RawBlockId::from(*id))
}

/// A commit; the first block's, which there is none, as Go writes it.
pub(super) fn commit(commit: Option<&Commit>) -> Result<Value, RpcError> {
    match commit {
        Some(commit) => raw(RawCommit::from(commit.clone())),
        None => Ok(json!({"height": "0", "round": 0, "block_id": raw(nothing())?, "signatures": []})),
    }
}

/// A block without its id.
pub(super) fn inner_block(block: &Block) -> Result<Value, RpcError> {
    let txs: Vec<String> = block.data.iter().map(|tx| BASE64.encode(tx)).collect();
    Ok(json!({
        "header": header(block)?,
        "data": {"txs": txs},
        "evidence": {"evidence": []},
        "last_commit": commit(block.last_commit.as_ref())?,
    }))
}

/// `ResultBlock`.
pub(super) fn block(stored: &StoredBlock) -> Result<Value, RpcError> {
    Ok(json!({"block_id": block_id(&stored.id)?, "block": inner_block(&stored.block)?}))
}

/// `BlockMeta`.
pub(super) fn block_meta(stored: &StoredBlock) -> Result<Value, RpcError> {
    Ok(json!({
        "block_id": block_id(&stored.id)?,
        "block_size": number(stored.size),
        "header": header(&stored.block)?,
        "num_txs": number(stored.block.data.len()),
    }))
}

/// Milliseconds as RFC 3339.
pub(super) fn time(ms: u64) -> Result<String, RpcError> {
    let time = block::time(ms).map_err(|error| RpcError::internal(error.0))?;
    Ok(time.to_rfc3339())
}

pub(super) fn events(events: &[Event]) -> Value {
    let attributes = |event: &Event| -> Vec<Value> {
        event
            .attributes
            .iter()
            .map(
                |attribute| json!({"key": attribute.key, "value": attribute.value, "index": attribute.index}),
            )
            .collect()
    };
    events
        .iter()
        .map(|event| json!({"type": event.r#type, "attributes": attributes(event)}))
        .collect()
}

/// `ExecTxResult`.
pub(super) fn tx_result(result: &ExecTxResult) -> Value {
    json!({
        "code": result.code,
        "data": bytes(&result.data),
        "log": result.log,
        "info": result.info,
        "gas_wanted": number(result.gas_wanted),
        "gas_used": number(result.gas_used),
        "events": events(&result.events),
        "codespace": result.codespace,
    })
}

/// `ResponseCheckTx`.
pub(super) fn check_tx(outcome: &TxOutcome) -> Value {
    json!({
        "code": outcome.code,
        "data": bytes(&outcome.data),
        "log": outcome.log,
        "info": "",
        "gas_wanted": number(outcome.gas_wanted),
        "gas_used": number(outcome.gas_used),
        "events": [],
        "codespace": outcome.codespace,
    })
}

/// `ResultTx`.
pub(super) fn tx(stored: &StoredTx) -> Value {
    json!({
        "hash": hex(&tx_hash(&stored.tx)),
        "height": number(stored.height),
        "index": stored.index,
        "tx_result": tx_result(&stored.result),
        "tx": bytes(&stored.tx),
    })
}

/// `TxProof`: that `tx` is the transaction `index` of the block whose transactions have these hashes.
pub(super) fn tx_proof(hashes: &[[u8; 32]], index: usize, tx: &[u8]) -> Value {
    let (leaf, aunts) = branch(hashes, index);
    let aunts: Vec<_> = aunts.iter().map(|hash| BASE64.encode(hash)).collect();
    json!({
        "root_hash": hex(root(hashes).as_bytes()),
        "data": BASE64.encode(tx),
        "proof": {
            "total": number(hashes.len()),
            "index": number(index),
            "leaf_hash": BASE64.encode(leaf),
            "aunts": aunts,
        },
    })
}

/// A public key of a validator.
pub(super) fn public_key(key: &[u8]) -> Value {
    json!({"type": "tendermint/PubKeyEd25519", "value": BASE64.encode(key)})
}

pub(super) fn validator(info: &Info) -> Value {
    json!({
        "address": hex(info.address.as_bytes()),
        "pub_key": public_key(&info.pub_key.to_bytes()),
        "voting_power": number(info.power()),
        "proposer_priority": "0",
    })
}
