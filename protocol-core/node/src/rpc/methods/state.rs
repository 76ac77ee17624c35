//! The newest state: queries, and where the node stands.

use portico_chain::query::QueryError;
use serde_json::{Value, json};

use super::{Answer, Methods};
use crate::api::{ApiError, StoredBlock};
use crate::rpc::request::Params;
use crate::rpc::shape::{self, hex, number};

/// Version of the RPC that is imitated.
const COMETBFT_VERSION: &str = "0.38.19";

impl Methods {
    pub(super) fn abci_info(&self) -> Value {
        let tip = self.api.tip();
        json!({"response": {
            "data": "portico",
            "version": env!("CARGO_PKG_VERSION"),
            "last_block_height": number(tip.height),
            "last_block_app_hash": shape::bytes(&tip.state_root),
        }})
    }

    /// Any query of the router, or `/store/<name>/key`: the raw value at a key.
    pub(super) async fn abci_query(&self, params: &Params) -> Answer {
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

    pub(super) async fn status(&self) -> Answer {
        let head = self.api.head();
        let (latest, earliest) = match head.height.0 {
            0 => (None, None),
            height => (
                Some(self.api.block(Some(height)).await?),
                Some(self.api.block(Some(1)).await?),
            ),
        };
        let app_hash = |stored: &Option<StoredBlock>| {
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
                "latest_block_time": shape::time(head.time_ms)?,
                "earliest_block_hash": first.map_or_else(String::new, |stored| hex(stored.id.hash.as_bytes())),
                "earliest_app_hash": app_hash(&earliest),
                "earliest_block_height": number(i64::from(first.is_some())),
                "earliest_block_time": match first {
                    Some(stored) => stored.block.header.time.to_rfc3339(),
                    None => shape::time(self.genesis.genesis_time_ms)?,
                },
                "catching_up": false,
            },
            "validator_info": {
                "address": hex(info.address.as_bytes()),
                "pub_key": shape::public_key(info),
                "voting_power": number(info.power()),
            },
        }))
    }

    pub(super) fn node_info(&self) -> Value {
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
}

fn answered_query(key: &[u8], value: &[u8], height: i64) -> Value {
    json!({"response": {
        "code": 0, "log": "", "info": "", "index": "0",
        "key": shape::bytes(key), "value": shape::bytes(value),
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
