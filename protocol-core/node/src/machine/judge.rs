//! Judging blocks that somebody else built.

use bytes::Bytes;
use tendermint::Block;

use super::Rules;
use super::below::Below;
use crate::block::{self, Proposal};

/// Why the block `decoded`, encoded as `bytes`, cannot follow its parent, whatever its transactions do; `None` when it can.
///
/// The block is made again from what it may choose itself: its time, its transactions, and whether it has a commit to its parent. Both
/// encodings must be equal, so that nothing in a block is outside of what is judged here.
pub(super) fn fault(rules: &Rules, below: &Below, decoded: &Block, bytes: &[u8]) -> Option<String> {
    let time_ms = block::time_ms(decoded.header.time);
    if time_ms <= below.after.time_ms {
        return Some("its time is not after its parent's".into());
    }
    if let Some(fault) = last_commit_fault(rules, below, decoded) {
        return Some(fault);
    }
    let txs = decoded.data.iter().cloned().map(Bytes::from).collect();
    let expected = Proposal {
        last_commit: decoded.last_commit.clone(),
        ..below.proposal(rules, time_ms, txs)
    };
    match expected.block() {
        Err(error) => Some(error.0),
        Ok(expected) if expected.header != decoded.header => Some(difference(&expected, decoded)),
        Ok(expected) if block::encode(&expected) != bytes => {
            Some("it holds more than follows from its header, or is not encoded canonically".into())
        }
        Ok(_) => None,
    }
}

/// The first block has no commit. A later one has that of its parent, or none: an engine may propose on a block whose commit it does not
/// have yet.
fn last_commit_fault(rules: &Rules, below: &Below, decoded: &Block) -> Option<String> {
    let commit = decoded.last_commit.as_ref()?;
    let Some(parent) = &below.after.id else {
        return Some("the first block has a commit to a block before it".into());
    };
    let height = below.after.height;
    let committers = &below.after.committers;
    let verified = block::verify_commit(committers, &rules.chain_id, commit, height, parent);
    verified.err().map(|error| error.0)
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
        (
            "next_validators_hash",
            a.next_validators_hash == b.next_validators_hash,
        ),
        ("proposer_address", a.proposer_address == b.proposer_address),
    ];
    let wrong = fields.iter().find(|(_, equal)| !equal);
    let name = wrong.map_or("header", |(name, _)| name);
    format!("its {name} is not what follows from its parent")
}
