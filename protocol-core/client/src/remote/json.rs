//! Answers of CometBFT 0.38, as far as they are read. Numbers are texts there, hashes upper-case hexadecimal.

use portico_protocol::{BlockHash, Height};
use serde::Deserialize;

use crate::{BlockHead, BlockResults, BroadcastResult, ChainError, ChainStatus, Event, TxResult};

fn damaged(what: &str, text: &str) -> ChainError {
    ChainError::Internal(format!("{what} {text:?} is malformed"))
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T, ChainError> {
    text.parse().map_err(|_| damaged("number", text))
}

fn hash(text: &str) -> Result<BlockHash, ChainError> {
    let mut hash = [0; 32];
    match text {
        "" => Ok(hash), // before the first block
        _ => hex::decode_to_slice(text, &mut hash)
            .map(|()| hash)
            .map_err(|_| damaged("hash", text)),
    }
}

fn time_ms(text: &str) -> Result<u64, ChainError> {
    let time: prost_types::Timestamp = text.parse().map_err(|_| damaged("time", text))?;
    let millis = i128::from(time.seconds) * 1_000 + i128::from(time.nanos) / 1_000_000;
    Ok(u64::try_from(millis).unwrap_or(0)) // "0001-01-01" stands for none
}

#[derive(Deserialize)]
pub(super) struct StatusJson {
    node_info: NodeInfo,
    sync_info: SyncInfo,
}

#[derive(Deserialize)]
struct NodeInfo {
    network: String,
}

#[derive(Deserialize)]
struct SyncInfo {
    latest_block_hash: String,
    latest_block_height: String,
    latest_block_time: String,
    catching_up: bool,
}

impl StatusJson {
    pub(super) fn read(self) -> Result<ChainStatus, ChainError> {
        let sync = self.sync_info;
        Ok(ChainStatus {
            chain_id: self.node_info.network,
            head: BlockHead {
                height: Height(number(&sync.latest_block_height)?),
                hash: hash(&sync.latest_block_hash)?,
                time_ms: time_ms(&sync.latest_block_time)?,
            },
            catching_up: sync.catching_up,
        })
    }
}

#[derive(Deserialize)]
pub(super) struct BlockJson {
    block_id: BlockIdJson,
    block: Option<InnerBlockJson>,
}

#[derive(Deserialize)]
struct BlockIdJson {
    hash: String,
}

#[derive(Deserialize)]
struct InnerBlockJson {
    header: HeaderJson,
}

#[derive(Deserialize)]
struct HeaderJson {
    height: String,
    time: String,
}

impl BlockJson {
    pub(super) fn read(self) -> Result<BlockHead, ChainError> {
        let block = self
            .block
            .ok_or_else(|| ChainError::NotFound("block".to_owned()))?;
        Ok(BlockHead {
            height: Height(number(&block.header.height)?),
            hash: hash(&self.block_id.hash)?,
            time_ms: time_ms(&block.header.time)?,
        })
    }
}

#[derive(Deserialize)]
struct EventJson {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    attributes: Option<Vec<AttributeJson>>,
}

#[derive(Deserialize)]
struct AttributeJson {
    key: String,
    #[serde(default)]
    value: Option<String>,
}

impl EventJson {
    fn read(self) -> Event {
        let attributes = self.attributes.unwrap_or_default().into_iter();
        Event {
            kind: self.kind,
            attributes: attributes
                .map(|attribute| (attribute.key, attribute.value.unwrap_or_default()))
                .collect(),
        }
    }
}

/// One event; `None` for what is none.
pub(super) fn event(bytes: &[u8]) -> Option<Event> {
    serde_json::from_slice(bytes).ok().map(EventJson::read)
}

fn events(events: Option<Vec<EventJson>>) -> Vec<Event> {
    events
        .unwrap_or_default()
        .into_iter()
        .map(EventJson::read)
        .collect()
}

#[derive(Deserialize)]
struct TxResultJson {
    #[serde(default)]
    code: u32,
    #[serde(default)]
    codespace: String,
    #[serde(default)]
    log: String,
    #[serde(default)]
    gas_used: String,
    #[serde(default)]
    events: Option<Vec<EventJson>>,
}

impl TxResultJson {
    fn read(self, height: Height) -> Result<TxResult, ChainError> {
        let gas_used = match self.gas_used.as_str() {
            "" => 0,
            text => number(text)?,
        };
        Ok(TxResult {
            height,
            code: self.code,
            codespace: self.codespace,
            log: if self.code == 0 { String::new() } else { self.log },
            gas_used,
            events: events(self.events),
        })
    }
}

#[derive(Deserialize)]
pub(super) struct BlockResultsJson {
    height: String,
    txs_results: Option<Vec<TxResultJson>>,
    finalize_block_events: Option<Vec<EventJson>>,
}

impl BlockResultsJson {
    pub(super) fn read(self) -> Result<BlockResults, ChainError> {
        let height = Height(number(&self.height)?);
        let txs = self.txs_results.unwrap_or_default().into_iter();
        Ok(BlockResults {
            block_events: events(self.finalize_block_events),
            txs: txs.map(|tx| tx.read(height)).collect::<Result<_, _>>()?,
        })
    }
}

#[derive(Deserialize)]
pub(super) struct TxJson {
    height: String,
    tx_result: TxResultJson,
}

impl TxJson {
    pub(super) fn read(self) -> Result<TxResult, ChainError> {
        self.tx_result.read(Height(number(&self.height)?))
    }
}

#[derive(Deserialize)]
pub(super) struct BroadcastJson {
    code: u32,
    #[serde(default)]
    codespace: String,
    #[serde(default)]
    log: String,
    hash: String,
}

impl BroadcastJson {
    pub(super) fn read(self) -> BroadcastResult {
        BroadcastResult {
            hash: self.hash,
            code: self.code,
            codespace: self.codespace,
            log: self.log,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{BlockResultsJson, StatusJson};

    #[test]
    fn reads_a_status_as_cometbft_writes_it() {
        let text = r#"{"node_info":{"network":"pocket","version":"0.38.17"},"sync_info":{
            "latest_block_hash":"AB00000000000000000000000000000000000000000000000000000000000001",
            "latest_block_height":"42","latest_block_time":"2025-03-28T16:00:01.123456789Z","catching_up":false}}"#;
        let status = serde_json::from_str::<StatusJson>(text).unwrap().read().unwrap();
        assert_eq!(status.chain_id, "pocket");
        assert_eq!(status.head.height.0, 42);
        assert_eq!((status.head.hash[0], status.head.hash[31]), (0xab, 1));
        assert_eq!(status.head.time_ms, 1_743_177_601_123);
    }

    #[test]
    fn a_chain_before_its_first_block_has_height_and_time_zero() {
        let text = r#"{"node_info":{"network":"pocket"},"sync_info":{"latest_block_hash":"",
            "latest_block_height":"0","latest_block_time":"0001-01-01T00:00:00Z","catching_up":true}}"#;
        let status = serde_json::from_str::<StatusJson>(text).unwrap().read().unwrap();
        assert_eq!((status.head.height.0, status.head.time_ms), (0, 0));
    }

    #[test]
    fn reads_results_of_a_block_with_and_without_transactions() {
        let text = r#"{"height":"7","txs_results":[{"code":5,"codespace":"sdk","log":"no funds","gas_used":"12",
            "gas_wanted":"20","events":[{"type":"tx","attributes":[{"key":"fee","value":"1upokt","index":true}]}]}],
            "finalize_block_events":null}"#;
        let results = serde_json::from_str::<BlockResultsJson>(text)
            .unwrap()
            .read()
            .unwrap();
        let tx = &results.txs[0];
        assert_eq!((tx.height.0, tx.code, tx.gas_used), (7, 5, 12));
        assert_eq!(tx.events[0].attribute("fee"), Some("1upokt"));
        let empty = r#"{"height":"8","txs_results":null,"finalize_block_events":[{"type":"mint"}]}"#;
        let empty = serde_json::from_str::<BlockResultsJson>(empty)
            .unwrap()
            .read()
            .unwrap();
        assert_eq!((empty.txs.len(), empty.block_events.len()), (0, 1));
    }
}
