//! Claims: the root of a session's trie, and what it is worth.

use crate::types::{ComputeUnits, Upokt};
use crate::wire::pocket::proof::{Claim, MsgCreateClaim, MsgSubmitProof};

/// Why a claim or proof message is refused without looking at state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClaimError {
    /// A root that is not 48 bytes, or counts nothing.
    #[error("invalid root hash: {0}")]
    Root(String),
    /// The supplier's address is malformed.
    #[error("invalid supplier operator address {0:?}")]
    Supplier(String),
    /// The session header is malformed.
    #[error(transparent)]
    Header(#[from] crate::session::HeaderError),
    /// The proof is empty.
    #[error("the proof is empty")]
    EmptyProof,
    /// Arithmetic left its range.
    #[error("{0} is out of range")]
    Range(&'static str),
}

/// Sum (compute units) and count (relays) that a 48-byte root carries.
pub fn root_totals(_root: &[u8]) -> Result<(ComputeUnits, u64), ClaimError> {
    unimplemented!()
}

/// What a claim amounts to (`chain.md` §14.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimAmount {
    /// Leaves of the trie.
    pub num_relays: u64,
    /// Sum of the trie.
    pub claimed_compute_units: u64,
    /// Sum scaled by the difficulty multiplier, rounded down.
    pub estimated_compute_units: u64,
    /// Relays that were served according to the difficulty.
    pub estimated_relays: u64,
    /// What the application is asked to pay.
    pub claimed: Upokt,
}

/// Amount of a claim with this root under the difficulty target and prices of the session's start.
pub fn claim_amount(
    _root: &[u8],
    _target_hash: &[u8],
    _compute_units_to_tokens_multiplier: u64,
    _compute_unit_cost_granularity: u64,
) -> Result<ClaimAmount, ClaimError> {
    unimplemented!()
}

/// `MsgCreateClaim.ValidateBasic`.
pub fn validate_create_claim(_message: &MsgCreateClaim) -> Result<(), ClaimError> {
    unimplemented!()
}

/// `MsgSubmitProof.ValidateBasic`.
pub fn validate_submit_proof(_message: &MsgSubmitProof) -> Result<(), ClaimError> {
    unimplemented!()
}

/// SHA-256 of the claim's bytes, as the requirement draw uses it.
#[must_use]
pub fn claim_hash(_claim: &Claim) -> [u8; 32] {
    unimplemented!()
}
