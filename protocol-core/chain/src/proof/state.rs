//! Claims and proofs in the state, and what a claim is worth.

use portico_protocol::claim::{ClaimAmount, claim_amount};
use portico_protocol::proof::proof_requirement;
use portico_protocol::session::Timing;
use portico_protocol::wire::pocket::proof::{Claim, Params, Proof, ProofRequirementReason};
use portico_protocol::wire::pocket::session::SessionHeader;
use portico_protocol::{BlockHash, Height};

use crate::context::{Context, be, key, prefix_end, read, required, scan};
use crate::error::{Fault, refuse};
use crate::event::TypedEvent;
use crate::state::{StateError, StateRead, Store};
use crate::{feature, service, session, shared};

pub(crate) const MODULE: &str = "proof";
const PARAMS: &[u8] = b"params";
/// Prefix of claims.
pub(crate) const CLAIMS: &[u8] = b"claim/";
/// Prefix of proofs.
pub(crate) const PROOFS: &[u8] = b"proof/";
const BY_END: &[u8] = b"claim_by_end/";

pub(crate) fn params(state: &dyn StateRead) -> Result<Params, StateError> {
    Ok(read(state, Store::Proof, PARAMS)?.unwrap_or_default())
}

pub(crate) fn set_params(ctx: &mut Context<'_>, params: &Params) {
    ctx.put(Store::Proof, PARAMS.to_vec(), params);
}

pub(super) fn pair_key(kind: &str, session_id: &str, supplier: &str) -> Vec<u8> {
    [key(kind, session_id), format!("{supplier}/").into_bytes()].concat()
}

/// Header of a claim; claims in state have one.
pub(crate) fn header_of(claim: &Claim) -> SessionHeader {
    claim.session_header.clone().unwrap_or_default()
}

/// The claim of (session, supplier).
pub(crate) fn claim(
    state: &dyn StateRead,
    session_id: &str,
    supplier: &str,
) -> Result<Option<Claim>, StateError> {
    read(state, Store::Proof, &pair_key("claim", session_id, supplier))
}

/// The proof of (session, supplier).
pub(crate) fn proof(
    state: &dyn StateRead,
    session_id: &str,
    supplier: &str,
) -> Result<Option<Proof>, StateError> {
    read(state, Store::Proof, &pair_key("proof", session_id, supplier))
}

/// Keeps a proof until the end of the block.
pub(crate) fn save_proof(ctx: &mut Context<'_>, proof: &Proof) {
    let header = proof.session_header.clone().unwrap_or_default();
    let key = pair_key("proof", &header.session_id, &proof.supplier_operator_address);
    ctx.put(Store::Proof, key, proof);
}

fn end_key(claim: &Claim) -> Vec<u8> {
    let header = header_of(claim);
    let pair = pair_key("", &header.session_id, &claim.supplier_operator_address);
    [BY_END, &be(header.session_end_block_height), pair.as_slice()].concat()
}

pub(crate) fn save_claim(ctx: &mut Context<'_>, claim: &Claim) {
    let id = header_of(claim).session_id;
    ctx.put(Store::Proof, end_key(claim), claim);
    ctx.put(
        Store::Proof,
        pair_key("claim", &id, &claim.supplier_operator_address),
        claim,
    );
}

pub(crate) fn remove_claim(ctx: &mut Context<'_>, claim: &Claim) {
    let id = header_of(claim).session_id;
    ctx.delete(Store::Proof, end_key(claim));
    ctx.delete(
        Store::Proof,
        pair_key("claim", &id, &claim.supplier_operator_address),
    );
}

/// Claims of the sessions that end at `end`, by session and supplier.
pub(crate) fn claims_ending_at(state: &dyn StateRead, end: Height) -> Result<Vec<Claim>, StateError> {
    scan(state, Store::Proof, &[BY_END, &be(end.0)].concat())
}

/// Ends of sessions that have claims, not after `last`.
pub(crate) fn ends_with_claims(state: &dyn StateRead, last: Height) -> Result<Vec<Height>, StateError> {
    let until = [BY_END, &be(last.0.saturating_add(1))].concat();
    let mut from = BY_END.to_vec();
    let mut ends = Vec::new();
    while let Some((key, _)) = state
        .range(Store::Proof, &from, Some(&until), 1)?
        .into_iter()
        .next()
    {
        let Some(bytes) = key[BY_END.len()..].first_chunk::<8>() else {
            break;
        };
        ends.push(Height(i64::from_be_bytes(*bytes)));
        let Some(next) = prefix_end(&[BY_END, bytes].concat()) else {
            break;
        };
        from = next;
    }
    Ok(ends)
}

/// What a claim is worth, at the prices and difficulty of its session's start.
pub(crate) fn amount(state: &dyn StateRead, claim: &Claim) -> Result<ClaimAmount, Fault> {
    let header = header_of(claim);
    let start = Height(header.session_start_block_height);
    let prices = shared::params_at(state, start)?;
    let difficulty = service::difficulty_at(state, &header.service_id, start)?;
    claim_amount(
        &claim.root_hash,
        &difficulty.target_hash,
        prices.compute_units_to_tokens_multiplier,
        prices.compute_unit_cost_granularity,
    )
    .map_err(|error| refuse(MODULE, 1131, error.to_string()))
}

/// Errs unless a claim's sum is its count times the compute units per relay at the session's start.
pub(crate) fn check_units(
    state: &dyn StateRead,
    header: &SessionHeader,
    worth: &ClaimAmount,
) -> Result<u64, Fault> {
    let start = Height(header.session_start_block_height);
    let per_relay = required(
        service::compute_units_at(state, &header.service_id, start)?,
        || refuse(MODULE, 1125, format!("service {:?} not found", header.service_id)),
    )?;
    let (sum, count) = (worth.claimed_compute_units, worth.num_relays);
    let expected = if feature::is_enabled(state, feature::EXACT_CLAIM_UNITS, start)? {
        count.checked_mul(per_relay)
    } else {
        Some(count.wrapping_mul(per_relay))
    };
    if expected != Some(sum) {
        let text = format!(
            "claim compute units: {sum} is not equal to number of relays {count} * compute units per relay {per_relay} for service {}",
            header.service_id
        );
        return Err(refuse(MODULE, 1126, text));
    }
    Ok(per_relay)
}

/// Whether a claim must be proved, as drawn now.
pub(crate) fn requirement(
    state: &dyn StateRead,
    claim: &Claim,
    amount: &ClaimAmount,
) -> Result<ProofRequirementReason, Fault> {
    let seed = seed_hash(state, &header_of(claim))?;
    Ok(proof_requirement(claim, amount.claimed, &seed, &params(state)?))
}

/// Hash of the block before the proof window: the seed of the draw and of the challenged path.
pub(crate) fn seed_hash(state: &dyn StateRead, header: &SessionHeader) -> Result<BlockHash, Fault> {
    let end = Height(header.session_end_block_height);
    let params = shared::params_at(state, end)?;
    let seed_height = Height(Timing::new(&params).proof_open(end).0.saturating_sub(1));
    let hash = required(session::block_hash(state, seed_height)?, || {
        // No path can be right yet.
        refuse(
            MODULE,
            1108,
            format!("the hash of block {seed_height}, the proof's seed, is not known"),
        )
    })?;
    hash.try_into()
        .map_err(|_| refuse(MODULE, 1108, "block hash is not 32 bytes"))
}

/// The attributes that claim and proof events share.
pub(crate) fn claim_event(
    kind: &'static str,
    claim: &Claim,
    amount: &ClaimAmount,
    unscaled_units: u64,
) -> TypedEvent {
    let header = header_of(claim);
    TypedEvent::new(kind)
        .long("num_relays", amount.num_relays)
        .long("num_claimed_compute_units", amount.claimed_compute_units)
        .long("num_estimated_compute_units", unscaled_units)
        .text("claimed_upokt", &amount.claimed.to_string())
        .text("service_id", &header.service_id)
        .text("application_address", &header.application_address)
        .long("session_end_block_height", header.session_end_block_height)
        .int("claim_proof_status_int", claim.proof_validation_status)
        .text("supplier_operator_address", &claim.supplier_operator_address)
        .long("num_estimated_relays", amount.estimated_relays)
}
