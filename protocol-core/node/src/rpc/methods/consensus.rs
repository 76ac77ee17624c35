//! Where consensus stands: at the block to come, whose validators have not voted. All of them vote at once here, so that nobody sees more.

use serde_json::{Value, json};

use super::{Answer, Methods};
use crate::rpc::shape::{self, hex, number};
use crate::validators::Validators;

impl Methods {
    /// The short form.
    pub(super) async fn consensus_state(&self) -> Answer {
        let head = self.api.head();
        let height = head.height.0.saturating_add(1);
        let set = self.api.validators(Some(height)).await?.validators;
        let (address, _) = set.proposer(height);
        let index = set.infos().iter().position(|info| info.address == address);
        Ok(json!({"round_state": {
            "height/round/step": format!("{height}/0/1"),
            "start_time": shape::time(head.time_ms)?,
            "proposal_block_hash": "",
            "locked_block_hash": "",
            "valid_block_hash": "",
            "height_vote_set": [no_votes(&set)],
            "proposer": {"address": hex(address.as_bytes()), "index": index},
        }}))
    }

    /// The long form.
    pub(super) async fn dump_consensus_state(&self) -> Answer {
        let head = self.api.head();
        let height = head.height.0.saturating_add(1);
        let set = self.api.validators(Some(height)).await?.validators;
        let last = match head.height.0 {
            0 => Value::Null,
            height => members(&self.api.validators(Some(height)).await?.validators, height),
        };
        let time = shape::time(head.time_ms)?;
        Ok(json!({
            "round_state": {
                "height": number(height),
                "round": 0,
                "step": 1,
                "start_time": time,
                "commit_time": time,
                "validators": members(&set, height),
                "proposal": null,
                "proposal_block": null,
                "proposal_block_parts": null,
                "locked_round": -1,
                "locked_block": null,
                "locked_block_parts": null,
                "valid_round": -1,
                "valid_block": null,
                "valid_block_parts": null,
                "votes": [no_votes(&set)],
                "commit_round": -1,
                "last_commit": null,
                "last_validators": last,
                "triggered_timeout_precommit": false,
            },
            "peers": [],
        }))
    }
}

/// Votes of round 0 of the block to come.
fn no_votes(set: &Validators) -> Value {
    let nil = vec!["nil-Vote"; set.len()];
    let bits = format!(
        "BA{{{}:{}}} 0/{} = 0.00",
        set.len(),
        "_".repeat(set.len()),
        set.len()
    );
    json!({"round": 0, "prevotes": nil, "prevotes_bit_array": bits, "precommits": nil, "precommits_bit_array": bits})
}

fn members(set: &Validators, height: i64) -> Value {
    let (address, _) = set.proposer(height);
    let proposer = set.infos().iter().find(|info| info.address == address);
    json!({
        "validators": set.infos().iter().map(shape::validator).collect::<Vec<_>>(),
        "proposer": proposer.map(shape::validator),
    })
}
