//! The calls.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use portico_chain::block::TxOutcome;
use portico_chain::genesis::Genesis;
use portico_chain::query::QueryError;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::error::RpcError;
use super::json::{self, hex, number};
use super::request::Params;
use crate::api::{Api, ApiError};
use crate::block::{MAX_BLOCK_BYTES, MAX_BLOCK_GAS};
use crate::hash::tx_hash;

/// The calls and the names of their params, in order.
pub(super) const NAMES: [(&str, &[&str]); 21] = [
    ("abci_info", &[]),
    ("abci_query", &["path", "data", "height", "prove"]),
    ("block", &["height"]),
    ("block_by_hash", &["hash"]),
    ("block_results", &["height"]),
    ("blockchain", &["minHeight", "maxHeight"]),
    ("broadcast_tx_async", &["tx"]),
    ("broadcast_tx_commit", &["tx"]),
    ("broadcast_tx_sync", &["tx"]),
    ("commit", &["height"]),
    ("consensus_params", &["height"]),
    ("genesis", &[]),
    ("header", &["height"]),
    ("header_by_hash", &["hash"]),
    ("health", &[]),
    ("net_info", &[]),
    ("num_unconfirmed_txs", &[]),
    ("status", &[]),
    ("tx", &["hash", "prove"]),
    ("unconfirmed_txs", &["limit"]),
    ("validators", &["height", "page", "per_page"]),
];

/// Time that `broadcast_tx_commit` waits for a block, as CometBFT's default.
const COMMIT_TIMEOUT: Duration = Duration::from_secs(10);
/// Most waiting transactions of an answer.
const MAX_UNCONFIRMED: usize = 100;
/// Number of waiting transactions of an answer, unless asked otherwise.
const DEFAULT_UNCONFIRMED: usize = 30;
/// Most headers of an answer.
const MAX_METAS: i64 = 20;
/// Version of the RPC that is imitated.
const COMETBFT_VERSION: &str = "0.38.19";

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

    /// Answers the call `method`.
    pub(super) async fn call(&self, method: &str, params: Params) -> Answer {
        self.api.metrics.requests.with_label_values(&["rpc"]).inc();
        match method {
            "abci_info" => Ok(self.abci_info()),
            "abci_query" => self.abci_query(&params).await,
            "block" => json::block(&self.api.block(params.number("height")?).await?),
            "block_by_hash" => self.block_by_hash(&params).await,
            "block_results" => self.block_results(&params).await,
            "blockchain" => self.blockchain(&params).await,
            "broadcast_tx_async" => self.broadcast_async(&params).await,
            "broadcast_tx_commit" => self.broadcast_commit(&params).await,
            "broadcast_tx_sync" => self.broadcast_sync(&params).await,
            "commit" => self.commit(&params).await,
            "consensus_params" => self.consensus_params(&params),
            "genesis" => self.genesis(),
            "header" => self.header(&params).await,
            "header_by_hash" => self.header_by_hash(&params).await,
            "health" => Ok(json!({})),
            "net_info" => Ok(json!({"listening": true, "listeners": [], "n_peers": "0", "peers": []})),
            "num_unconfirmed_txs" => Ok(self.unconfirmed(0, false)),
            "status" => self.status().await,
            "tx" => self.tx(&params).await,
            "unconfirmed_txs" => self.unconfirmed_txs(&params),
            "validators" => self.validators(&params),
            _ => {
                let shown = method.chars().take(100).collect();
                Err(RpcError::unknown_method(shown))
            }
        }
    }

    fn abci_info(&self) -> Value {
        let tip = self.api.tip();
        json!({"response": {
            "data": "portico",
            "version": env!("CARGO_PKG_VERSION"),
            "last_block_height": number(tip.height),
            "last_block_app_hash": json::bytes(&tip.state_root),
        }})
    }

    /// Any query of the router, or `/store/<name>/key`: the raw value at a key.
    async fn abci_query(&self, params: &Params) -> Answer {
        let path = params.string("path")?;
        let data = params.hex("data")?;
        let newest = self.api.head().height.0;
        let asked = params.number("height")?.unwrap_or(0);
        if asked != 0 && asked != newest {
            let log = format!("state of height {asked} is not kept; the newest is {newest}");
            return Ok(failed_query(18, &log, newest));
        }
        if params.flag("prove")? {
            return Ok(failed_query(18, "proofs are not served", newest));
        }
        if let Some(store) = path
            .strip_prefix("/store/")
            .and_then(|rest| rest.strip_suffix("/key"))
        {
            let (value, height) = self.api.value(store.to_owned(), data.clone().into()).await?;
            return Ok(answered_query(&data, &value.unwrap_or_default(), height));
        }
        match self.api.query(path, data.into()).await {
            Ok((value, height)) => Ok(answered_query(&[], &value, height)),
            Err(ApiError::Query(error)) => Ok(failed_query(sdk_code(&error), &error.to_string(), newest)),
            Err(error) => Err(error.into()),
        }
    }

    async fn block_by_hash(&self, params: &Params) -> Answer {
        match self.api.block_by_hash(params.hash("hash")?).await? {
            Some(stored) => json::block(&stored),
            None => Ok(json!({
                "block_id": {"hash": "", "parts": {"total": 0, "hash": ""}},
                "block": null,
            })),
        }
    }

    async fn block_results(&self, params: &Params) -> Answer {
        let (height, results) = self.api.results(params.number("height")?).await?;
        let txs: Vec<_> = results.tx_results.iter().map(json::tx_result).collect();
        let txs = (!txs.is_empty()).then_some(txs); // Go's nil
        Ok(json!({
            "height": number(height),
            "txs_results": txs,
            "finalize_block_events": json::events(&results.events),
            "validator_updates": null,
            "consensus_param_updates": null,
            "app_hash": json::bytes(&results.app_hash),
        }))
    }

    /// Headers from `maxHeight` down, at most [`MAX_METAS`].
    async fn blockchain(&self, params: &Params) -> Answer {
        let newest = self.api.head().height.0;
        let highest = params
            .number("maxHeight")?
            .filter(|height| *height > 0)
            .unwrap_or(newest);
        let highest = highest.min(newest);
        let lowest = params.number("minHeight")?.unwrap_or(1).max(1);
        let lowest = lowest.max(highest.saturating_sub(MAX_METAS - 1));
        let mut metas = Vec::new();
        for height in (lowest..=highest).rev() {
            metas.push(json::block_meta(&self.api.block(Some(height)).await?)?);
        }
        Ok(json!({"last_height": number(newest), "block_metas": metas}))
    }

    async fn broadcast_async(&self, params: &Params) -> Answer {
        let tx = Bytes::from(params.base64("tx")?);
        let hash = tx_hash(&tx);
        self.api.broadcast(tx).await?;
        Ok(broadcast(&hash, &TxOutcome::default()))
    }

    async fn broadcast_sync(&self, params: &Params) -> Answer {
        let tx = Bytes::from(params.base64("tx")?);
        let hash = tx_hash(&tx);
        Ok(broadcast(&hash, &self.api.broadcast(tx).await?))
    }

    async fn broadcast_commit(&self, params: &Params) -> Answer {
        let tx = Bytes::from(params.base64("tx")?);
        let hash = tx_hash(&tx);
        let mut head = self.api.follow();
        let outcome = self.api.broadcast(tx).await?;
        if outcome.code != 0 {
            let nothing = json::tx_result(&Default::default());
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
        let result = json::tx_result(&stored.result);
        Ok(committed(&hash, &outcome, result, stored.height))
    }

    async fn commit(&self, params: &Params) -> Answer {
        let stored = self.api.block(params.number("height")?).await?;
        let header = json::header(&stored.block)?;
        let commit = json::commit(Some(&stored.commit))?;
        Ok(json!({"signed_header": {"header": header, "commit": commit}, "canonical": true}))
    }

    /// The height that a call about what never changes is about.
    fn height(&self, params: &Params) -> Result<i64, RpcError> {
        let newest = self.api.head().height.0;
        match params.number("height")? {
            Some(height) if height > newest => Err(ApiError::Future { height, newest }.into()),
            Some(height) if height <= 0 => {
                let text = format!("height must be greater than 0, but got {height}");
                Err(RpcError::internal(text))
            }
            height => Ok(height.unwrap_or(newest)),
        }
    }

    fn consensus_params(&self, params: &Params) -> Answer {
        let height = number(self.height(params)?);
        Ok(json!({"block_height": height, "consensus_params": consensus_params()}))
    }

    fn genesis(&self) -> Answer {
        let state =
            serde_json::to_value(&*self.genesis).map_err(|error| RpcError::internal(error.to_string()))?;
        let set = &self.api.machine.rules.validator.set;
        let validator = |info| {
            let mut value = json::validator(info);
            value["power"] = value["voting_power"].take();
            value["name"] = "".into();
            if let Some(fields) = value.as_object_mut() {
                fields.retain(|name, _| name != "voting_power" && name != "proposer_priority");
            }
            value
        };
        Ok(json!({"genesis": {
            "genesis_time": json::time(self.genesis.genesis_time_ms)?,
            "chain_id": self.genesis.chain_id,
            "initial_height": "1",
            "consensus_params": consensus_params(),
            "validators": set.validators.iter().map(validator).collect::<Vec<_>>(),
            "app_hash": "",
            "app_state": state,
        }}))
    }

    async fn header(&self, params: &Params) -> Answer {
        let stored = self.api.block(params.number("height")?).await?;
        Ok(json!({"header": json::header(&stored.block)?}))
    }

    async fn header_by_hash(&self, params: &Params) -> Answer {
        let stored = self.api.block_by_hash(params.hash("hash")?).await?;
        let header = stored.map(|stored| json::header(&stored.block)).transpose()?;
        Ok(json!({"header": header}))
    }

    async fn status(&self) -> Answer {
        let head = self.api.head();
        let (latest, earliest) = match head.height.0 {
            0 => (None, None),
            height => (
                Some(self.api.block(Some(height)).await?),
                Some(self.api.block(Some(1)).await?),
            ),
        };
        let app_hash = |stored: &Option<crate::api::StoredBlock>| {
            let stored = stored.as_ref();
            stored.map_or_else(String::new, |stored| hex(stored.block.header.app_hash.as_bytes()))
        };
        let first = earliest.as_ref();
        let info = self.api.machine.rules.validator.info();
        let latest_hash = match head.height.0 {
            0 => String::new(),
            _ => hex(&head.hash),
        };
        Ok(json!({
            "node_info": self.node_info(),
            "sync_info": {
                "latest_block_hash": latest_hash,
                "latest_app_hash": app_hash(&latest),
                "latest_block_height": number(head.height),
                "latest_block_time": json::time(head.time_ms)?,
                "earliest_block_hash": first.map_or_else(String::new, |stored| hex(stored.id.hash.as_bytes())),
                "earliest_app_hash": app_hash(&earliest),
                "earliest_block_height": number(i64::from(first.is_some())),
                "earliest_block_time": match first {
                    Some(stored) => stored.block.header.time.to_rfc3339(),
                    None => json::time(self.genesis.genesis_time_ms)?,
                },
                "catching_up": false,
            },
            "validator_info": {
                "address": hex(info.address.as_bytes()),
                "pub_key": json::public_key(info),
                "voting_power": number(info.power()),
            },
        }))
    }

    fn node_info(&self) -> Value {
        let info = self.api.machine.rules.validator.info();
        json!({
            "protocol_version": {"p2p": "8", "block": "11", "app": "0"},
            "id": hex::encode(info.address.as_bytes()),
            "listen_addr": "",
            "network": self.genesis.chain_id,
            "version": COMETBFT_VERSION,
            "channels": "",
            "moniker": "portico",
            "other": {"tx_index": "on", "rpc_address": format!("tcp://{}", self.address)},
        })
    }

    async fn tx(&self, params: &Params) -> Answer {
        let hash = params.hash("hash")?;
        if params.flag("prove")? {
            return Err(RpcError::invalid_params(
                "proofs of transactions are not served".into(),
            ));
        }
        match self.api.tx(hash).await? {
            Some(stored) => Ok(json::tx(&hash, &stored)),
            None => Err(ApiError::Absent(format!("tx ({})", hex(&hash))).into()),
        }
    }

    fn unconfirmed_txs(&self, params: &Params) -> Answer {
        let limit = params.number("limit")?.filter(|limit| *limit > 0);
        let limit = limit.map_or(DEFAULT_UNCONFIRMED, |limit| {
            usize::try_from(limit).unwrap_or(MAX_UNCONFIRMED)
        });
        Ok(self.unconfirmed(limit.min(MAX_UNCONFIRMED), true))
    }

    fn unconfirmed(&self, limit: usize, with_txs: bool) -> Value {
        let (txs, total, bytes) = self.api.machine.mempool.waiting_txs(limit);
        let shown = if with_txs { txs.len() } else { total };
        let txs: Vec<_> = txs.iter().map(|tx| json::bytes(tx)).collect();
        json!({
            "n_txs": number(shown),
            "total": number(total),
            "total_bytes": number(bytes),
            "txs": with_txs.then_some(txs),
        })
    }

    fn validators(&self, params: &Params) -> Answer {
        let height = self.height(params)?;
        if params.number("page")?.is_some_and(|page| page != 1) {
            let text = "page should be within [1, 1] range";
            return Err(RpcError::invalid_params(text.into()));
        }
        let set = &self.api.machine.rules.validator.set;
        let validators: Vec<_> = set.validators.iter().map(json::validator).collect();
        Ok(json!({
            "block_height": number(height),
            "count": number(validators.len()),
            "total": number(validators.len()),
            "validators": validators,
        }))
    }
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
        "check_tx": json::check_tx(check),
        "tx_result": result,
        "hash": hex(hash),
        "height": number(height),
    })
}

fn consensus_params() -> Value {
    json!({
        "block": {"max_bytes": number(MAX_BLOCK_BYTES), "max_gas": number(MAX_BLOCK_GAS)},
        "evidence": {
            "max_age_num_blocks": "100000",
            "max_age_duration": "172800000000000",
            "max_bytes": "1048576",
        },
        "validator": {"pub_key_types": ["ed25519"]},
        "version": {},
        "abci": {"vote_extensions_enable_height": "0"},
    })
}

fn answered_query(key: &[u8], value: &[u8], height: i64) -> Value {
    json!({"response": {
        "code": 0, "log": "", "info": "", "index": "0",
        "key": json::bytes(key), "value": json::bytes(value),
        "proofOps": null, "height": number(height), "codespace": "",
    }})
}

fn failed_query(code: u32, log: &str, height: i64) -> Value {
    json!({"response": {
        "code": code, "log": log, "info": "", "index": "0",
        "key": null, "value": null,
        "proofOps": null, "height": number(height), "codespace": "sdk",
    }})
}

/// The SDK's code for a query's error (`types/errors`).
const fn sdk_code(error: &QueryError) -> u32 {
    match error {
        QueryError::NotFound(_) => 22,
        QueryError::Unimplemented(_) => 6,
        QueryError::InvalidArgument(_) => 18,
        QueryError::Internal(_) => 1,
    }
}
