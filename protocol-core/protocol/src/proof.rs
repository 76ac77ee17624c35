//! Proofs: the challenged path, whether a proof is required, and what the chain checks of one.

use crate::types::{BlockHash, Upokt};
use crate::wire::pocket::proof::{Claim, Params, ProofRequirementReason};

/// Path that the proof of a session must be closest to: SHA-256(seed block hash ‖ session id text).
#[must_use]
pub fn proof_path(_seed_block_hash: &[u8], _session_id: &str) -> [u8; 32] {
    unimplemented!()
}

/// A double in [0, 1) from Go's `math/rand`, seeded with the varint of SHA-256 of the parts.
#[must_use]
pub fn seeded_float64(_parts: &[&[u8]]) -> f64 {
    unimplemented!()
}

/// Whether the claim must be proved (`chain.md` §13). The draw covers the claim's status: off chain, pass it as pending.
#[must_use]
pub fn proof_requirement(
    _claim: &Claim,
    _claimed: Upokt,
    _seed_block_hash: &BlockHash,
    _params: &Params,
) -> ProofRequirementReason {
    unimplemented!()
}
