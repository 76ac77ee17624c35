//! The newest state: queries, and where the node stands.

use portico_store::ProofStep;
use serde_json::{Value, json};

use super::{Answer, Methods};
use crate::api::{Answered, StoredBlock};
use crate::block::COMETBFT_VERSION;
use crate::key::consensus_address;
use crate::rpc::request::Params;
use crate::rpc::shape::{self, hex, number};

impl Methods {
    pub(super) fn abci_info(&self) -> Value {
        let tip = self.api.tip();
        json!({"response": {
            "data": "portico",
            "version": portico_chain::RULES_VERSION,
            "last_block_height": number(tip.height),
            "last_block_app_hash": shape::bytes(&tip.state_root),
        }})
    }

    /// Any query of the router, or `/store/<name>/key`: the raw value at a key.
    pub(super) async fn abci_query(&self, params: &Params) -> Answer {
        let path = params.string("path")?;
        let data = params.hex("data")?;
        let height = params.number("height")?.filter(|height| *height != 0);
        let prove = params.flag("prove")?;
        let answered = self.api.abci_query(path, data.into(), height, prove).await?;
        Ok(queried(answered))
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
        let own = self.api.validators(None).await?.validators;
        let power = own
            .place(&self.api.own)
            .map_or(0, |place| own.infos()[place].power());
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
                "address": hex(&consensus_address(&self.api.own)),
                "pub_key": shape::public_key(&self.api.own),
                "voting_power": number(power),
            },
        }))
    }

    pub(super) fn node_info(&self) -> Value {
        json!({
            "protocol_version": {"p2p": "8", "block": "11", "app": "0"},
            "id": hex::encode(consensus_address(&self.api.own)),
            "listen_addr": crate::rpc::NO_PEERS_ADDR,
            "network": self.genesis.chain_id,
            "version": COMETBFT_VERSION,
            "channels": "",
            "moniker": "portico",
            "other": {"tx_index": "on", "rpc_address": format!("tcp://{}", self.address)},
        })
    }
}

fn queried(answered: Answered) -> Value {
    let failed = answered.fault.is_some();
    let (code, log) = answered.fault.unwrap_or_default();
    let op = |step: ProofStep| json!({"type": step.kind, "key": shape::bytes(&step.key), "data": shape::bytes(&step.data)});
    let ops: Vec<_> = answered.proof.into_iter().map(op).collect();
    json!({"response": {
        "code": code, "log": log, "info": "", "index": "0",
        "key": shape::bytes(&answered.key), "value": shape::bytes(&answered.value),
        "proofOps": (!ops.is_empty()).then(|| json!({"ops": ops})),
        "height": number(answered.height), "codespace": if failed { "sdk" } else { "" },
    }})
}
