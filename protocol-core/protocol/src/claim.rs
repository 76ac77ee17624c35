//! Claims: the root of a session's trie, and what it is worth.

use num_bigint::BigUint;
use prost::Message;
use sha2::{Digest, Sha256};

use crate::difficulty::BASE_TARGET;
use crate::session::{HeaderError, validate_header};
use crate::types::{Address, ComputeUnits, Upokt};
use crate::wire::pocket::proof::{Claim, MsgCreateClaim, MsgSubmitProof};
use crate::wire::pocket::session::SessionHeader;

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

/// Length of a sum trie's root: hash 32, sum 8, count 8.
const ROOT_LEN: usize = 48;

/// Sum (compute units) and count (relays) that a 48-byte root carries.
pub fn root_totals(root: &[u8]) -> Result<(ComputeUnits, u64), ClaimError> {
    let root: &[u8; ROOT_LEN] = root.try_into().map_err(|_| {
        ClaimError::Root(format!(
            "expecting root hash to be {ROOT_LEN} bytes, got {} bytes",
            root.len()
        ))
    })?;
    let number = |at: usize| u64::from_be_bytes(*root[at..].first_chunk().expect("8 bytes are left"));
    Ok((ComputeUnits(number(32)), number(40)))
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
///
/// # Errors
/// [`ClaimError::Root`]; [`ClaimError::Range`] for a target or granularity of zero, for a sum without a leaf, and for an amount beyond
/// 2^128 upokt, which only an absurdly small target gives: the network computes with such a number, and nobody could pay it.
pub fn claim_amount(
    root: &[u8],
    target_hash: &[u8],
    compute_units_to_tokens_multiplier: u64,
    compute_unit_cost_granularity: u64,
) -> Result<ClaimAmount, ClaimError> {
    let (sum, count) = root_totals(root)?;
    let claimed = claimed_number(
        root,
        target_hash,
        compute_units_to_tokens_multiplier,
        compute_unit_cost_granularity,
    )?;
    let estimated = scaled_to_base(sum) / BigUint::from_bytes_be(target_hash);
    let per_relay = sum.0.checked_div(count).unwrap_or(0);
    // Informational; the network keeps its low 64 bits.
    let estimated = estimated.iter_u64_digits().next().unwrap_or(0);
    let claimed = claimed
        .try_into()
        .map_err(|_| ClaimError::Range("claimed amount"))?;
    Ok(ClaimAmount {
        num_relays: count,
        claimed_compute_units: sum.0,
        estimated_compute_units: estimated,
        estimated_relays: estimated.checked_div(per_relay).unwrap_or(0),
        claimed: Upokt(claimed),
    })
}

/// What the application is asked to pay, whatever its size.
pub(crate) fn claimed_number(
    root: &[u8],
    target_hash: &[u8],
    compute_units_to_tokens_multiplier: u64,
    compute_unit_cost_granularity: u64,
) -> Result<BigUint, ClaimError> {
    let (sum, count) = root_totals(root)?;
    let target = BigUint::from_bytes_be(target_hash);
    if target == BigUint::ZERO || compute_unit_cost_granularity == 0 {
        return Err(ClaimError::Range("difficulty target or granularity of zero"));
    }
    if count == 0 && sum.0 != 0 {
        return Err(ClaimError::Range("sum without a leaf"));
    }
    Ok(scaled_to_base(sum) * compute_units_to_tokens_multiplier / (target * compute_unit_cost_granularity))
}

fn scaled_to_base(sum: ComputeUnits) -> BigUint {
    BigUint::from(sum.0) * BigUint::from_bytes_be(&BASE_TARGET)
}

/// `MsgCreateClaim.ValidateBasic`.
pub fn validate_create_claim(message: &MsgCreateClaim) -> Result<(), ClaimError> {
    validate_parts(
        &message.supplier_operator_address,
        message.session_header.as_ref(),
    )?;
    let (sum, count) = root_totals(&message.root_hash)?;
    if count == 0 {
        return Err(ClaimError::Root("has zero relays".into()));
    }
    if sum.0 == 0 {
        return Err(ClaimError::Root("has zero compute units".into()));
    }
    Ok(())
}

/// `MsgSubmitProof.ValidateBasic`.
pub fn validate_submit_proof(message: &MsgSubmitProof) -> Result<(), ClaimError> {
    validate_parts(
        &message.supplier_operator_address,
        message.session_header.as_ref(),
    )?;
    if message.proof.is_empty() {
        Err(ClaimError::EmptyProof)
    } else {
        Ok(())
    }
}

fn validate_parts(supplier: &str, header: Option<&SessionHeader>) -> Result<(), ClaimError> {
    supplier
        .parse::<Address>()
        .map_err(|_| ClaimError::Supplier(supplier.to_owned()))?;
    validate_header(header.ok_or_else(|| HeaderError("is missing".into()))?)?;
    Ok(())
}

/// SHA-256 of the claim's bytes, as the requirement draw uses it.
#[must_use]
pub fn claim_hash(claim: &Claim) -> [u8; 32] {
    Sha256::digest(claim.encode_to_vec()).into()
}
