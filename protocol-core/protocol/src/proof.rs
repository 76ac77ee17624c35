//! Proofs: the challenged path, whether a proof is required, and what the chain checks of one.

mod cooked;
mod go_rand;

use sha2::{Digest, Sha256};

use crate::claim::claim_hash;
use crate::types::{BlockHash, Upokt};
use crate::wire::pocket::proof::{Claim, Params, ProofRequirementReason};

pub use go_rand::GoRand;

/// Path that the proof of a session must be closest to: SHA-256(seed block hash ‖ session id text).
#[must_use]
pub fn proof_path(seed_block_hash: &[u8], session_id: &str) -> [u8; 32] {
    Sha256::new()
        .chain_update(seed_block_hash)
        .chain_update(session_id)
        .finalize()
        .into()
}

/// A double in [0, 1) from Go's `math/rand`, seeded with the varint of SHA-256 of the parts.
#[must_use]
pub fn seeded_float64(parts: &[&[u8]]) -> f64 {
    seeded(parts).float64()
}

/// The generator that [`seeded_float64`] draws from.
#[must_use]
pub fn seeded(parts: &[&[u8]]) -> GoRand {
    let digest = parts
        .iter()
        .fold(Sha256::new(), |hash, part| hash.chain_update(part))
        .finalize();
    GoRand::new(go_rand::varint(&digest))
}

/// Whether the claim must be proved (`chain.md` §13). The draw covers the claim's status: off chain, pass it as pending.
///
/// A params object without a threshold coin is read as a threshold of zero: every claim is proved.
#[must_use]
pub fn proof_requirement(
    claim: &Claim,
    claimed: Upokt,
    seed_block_hash: &BlockHash,
    params: &Params,
) -> ProofRequirementReason {
    let threshold = params
        .proof_requirement_threshold
        .as_ref()
        .and_then(|coin| Upokt::try_from(coin).ok());
    if claimed >= threshold.unwrap_or_default() {
        return ProofRequirementReason::Threshold;
    }
    let sample = seeded_float64(&[&claim_hash(claim), seed_block_hash]);
    if sample <= params.proof_request_probability {
        ProofRequirementReason::Probabilistic
    } else {
        ProofRequirementReason::NotRequired
    }
}
