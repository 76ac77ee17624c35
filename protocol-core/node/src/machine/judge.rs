//! Judging blocks that somebody else built.

use bytes::Bytes;
use tendermint::Block;

use super::{After, Machine, Rules};
use crate::block::{self, Proposal};

impl Machine {
    /// Why the header of a block cannot follow `parent`; `None` when it can.
    pub(super) fn fault(&self, parent: &After, block: &Block) -> Option<String> {
        let time_ms = block::time_ms(block.header.time);
        if time_ms <= parent.time_ms {
            return Some("its time is not after its parent's".into());
        }
        if let (Some(commit), Some(id)) = (&block.last_commit, &parent.id) {
            let Rules {
                chain_id, validator, ..
            } = &self.rules;
            if let Err(error) = block::verify_commit(validator, chain_id, commit, parent.height, id) {
                return Some(error.0);
            }
        }
        let txs = block.data.iter().cloned().map(Bytes::from).collect();
        let expected = Proposal {
            last_commit: block.last_commit.clone(),
            ..self.proposal(parent, time_ms, txs)
        };
        match expected.block() {
            Ok(expected) if expected.header == block.header => None,
            Ok(expected) => Some(difference(&expected, block)),
            Err(error) => Some(error.0),
        }
    }
}

/// Names the first part of the header that differs.
fn difference(expected: &Block, block: &Block) -> String {
    let (a, b) = (&expected.header, &block.header);
    let fields = [
        ("height", a.height == b.height),
        ("chain_id", a.chain_id == b.chain_id),
        ("last_block_id", a.last_block_id == b.last_block_id),
        ("last_commit_hash", a.last_commit_hash == b.last_commit_hash),
        ("data_hash", a.data_hash == b.data_hash),
        ("app_hash", a.app_hash == b.app_hash),
        ("last_results_hash", a.last_results_hash == b.last_results_hash),
        ("validators_hash", a.validators_hash == b.validators_hash),
        ("proposer_address", a.proposer_address == b.proposer_address),
    ];
    let wrong = fields.iter().find(|(_, equal)| !equal);
    let name = wrong.map_or("header", |(name, _)| name);
    format!("its {name} is not what follows from its parent")
}
