//! Evidence of an attack: two headers of one height, both of which verify.

use std::cmp::Reverse;

use tendermint::block::{Commit, CommitSig};
use tendermint::evidence::{ConflictingBlock, LightClientAttackEvidence};
use tendermint::validator::Info;
use tendermint::{account, block};

use crate::LightBlock;

/// Two nodes showed different headers that both verify: more than a third of some validators signed for two chains.
#[derive(Clone, Debug)]
pub struct Attack {
    /// Index of the witness.
    pub witness: usize,
    /// For the witness' chain: what the primary showed.
    pub against_primary: LightClientAttackEvidence,
    /// For the primary's chain: what the witness showed.
    pub against_witness: LightClientAttackEvidence,
}

impl Attack {
    /// Of the two blocks, whose heights are equal, after `common`, which both sides have.
    pub(crate) fn of(witness: usize, common: &LightBlock, primary: &LightBlock, other: &LightBlock) -> Self {
        Self {
            witness,
            against_primary: evidence(common, other, primary),
            against_witness: evidence(common, primary, other),
        }
    }
}

/// Evidence that `conflicting` is not the chain's, for those to whom `trusted` is (CometBFT's `light/detector.go`,
/// `newLightClientAttackEvidence`).
fn evidence(
    common: &LightBlock,
    trusted: &LightBlock,
    conflicting: &LightBlock,
) -> LightClientAttackEvidence {
    // A header that cannot follow from the chain is held against those who were trusted before; the others against its own validators.
    let since = if is_lunatic(trusted, conflicting) {
        common
    } else {
        trusted
    };
    LightClientAttackEvidence {
        conflicting_block: ConflictingBlock {
            signed_header: conflicting.signed_header.clone(),
            validator_set: conflicting.validators.clone(),
        },
        common_height: since.signed_header.header.height,
        byzantine_validators: byzantine(common, trusted, conflicting),
        total_voting_power: since.validators.total_voting_power(),
        timestamp: since.time(),
    }
}

/// Whether something in the header is other than what follows from the block before.
fn is_lunatic(trusted: &LightBlock, conflicting: &LightBlock) -> bool {
    let derived = |block: &LightBlock| {
        let header = &block.signed_header.header;
        (
            header.validators_hash,
            header.next_validators_hash,
            header.consensus_hash,
            header.app_hash.clone(),
            header.last_results_hash,
        )
    };
    derived(trusted) != derived(conflicting)
}

/// Who signed what an honest validator does not (`types/evidence.go`, `GetByzantineValidators`). Empty when the headers are of two rounds:
/// then signatures alone do not tell.
fn byzantine(common: &LightBlock, trusted: &LightBlock, conflicting: &LightBlock) -> Vec<Info> {
    let (ours, theirs) = (&trusted.signed_header.commit, &conflicting.signed_header.commit);
    let signed = |commit: &Commit, info: &&Info| signers(commit).any(|address| address == info.address);
    let mut found: Vec<Info> = if is_lunatic(trusted, conflicting) {
        let known = common.validators.validators().iter();
        known.filter(|info| signed(theirs, info)).cloned().collect()
    } else if rounds(ours, theirs) {
        let known = conflicting.validators.validators().iter();
        known
            .filter(|info| signed(ours, info) && signed(theirs, info))
            .cloned()
            .collect()
    } else {
        Vec::new()
    };
    found.sort_by_key(|info| (Reverse(info.power), info.address));
    found
}

fn rounds(a: &Commit, b: &Commit) -> bool {
    let round = |commit: &Commit| -> block::Round { commit.round };
    round(a) == round(b)
}

/// Addresses of those who signed for the block.
fn signers(commit: &Commit) -> impl Iterator<Item = account::Id> + '_ {
    commit.signatures.iter().filter_map(|entry| match entry {
        CommitSig::BlockIdFlagCommit {
            validator_address, ..
        } => Some(*validator_address),
        _ => None,
    })
}
