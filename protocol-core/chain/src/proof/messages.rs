//! Messages of module proof.

use portico_protocol::claim::{ClaimError, validate_create_claim, validate_submit_proof};
use portico_protocol::session::Timing;
use portico_protocol::wire::pocket::proof::{
    Claim, MsgCreateClaim, MsgSubmitProof, Proof, ProofRequirementReason,
};
use portico_protocol::wire::pocket::session::{Session, SessionHeader};
use portico_protocol::{Height, Upokt};

use super::{MODULE, amount, claim, claim_event, params, proof, requirement, save_claim, validation};
use crate::context::{Context, required};
use crate::error::{Fault, refuse};
use crate::state::Store;
use crate::{bank, service, session, shared, stake};

fn basic(error: &ClaimError) -> Fault {
    let code = match error {
        ClaimError::Root(_) => 1104,
        ClaimError::Supplier(_) => 1101,
        ClaimError::Header(_) => 1115,
        ClaimError::EmptyProof => 1108,
        ClaimError::Range(_) => 1131,
    };
    refuse(MODULE, code, error.to_string())
}

/// The on-chain session that a message names, its supplier in it.
fn session_of(ctx: &Context<'_>, header: &SessionHeader, supplier: &str) -> Result<Session, Fault> {
    let start = Height(header.session_start_block_height);
    let found = session::hydrate(
        &ctx.state,
        ctx.height(),
        &header.application_address,
        &header.service_id,
        start,
    )?;
    if found.session_id != header.session_id {
        let text = format!(
            "session id {} is not the on-chain session's {}",
            header.session_id, found.session_id
        );
        return Err(refuse(MODULE, 1116, text));
    }
    if !found
        .suppliers
        .iter()
        .any(|member| member.operator_address == supplier)
    {
        return Err(refuse(
            MODULE,
            1102,
            format!("supplier {supplier} is not in session {}", found.session_id),
        ));
    }
    Ok(found)
}

/// `MsgCreateClaim`: creates or replaces the claim of (session, supplier).
pub(crate) fn msg_create_claim(ctx: &mut Context<'_>, message: &MsgCreateClaim) -> Result<(), Fault> {
    validate_create_claim(message).map_err(|error| basic(&error))?;
    let header = message.session_header.clone().unwrap_or_default();
    let supplier = &message.supplier_operator_address;
    session_of(ctx, &header, supplier)?;
    within_claim_window(ctx, &header)?;
    let claimed = Claim {
        supplier_operator_address: supplier.clone(),
        session_header: Some(header.clone()),
        root_hash: message.root_hash.clone(),
        proof_validation_status: 0,
    };
    let worth = amount(&ctx.state, &claimed)?;
    let start = Height(header.session_start_block_height);
    let per_relay = required(
        service::compute_units_at(&ctx.state, &header.service_id, start)?,
        || refuse(MODULE, 1125, format!("service {} not found", header.service_id)),
    )?;
    let expected = worth.num_relays.checked_mul(per_relay);
    if expected != Some(worth.claimed_compute_units) {
        let text = format!(
            "claim has {} compute units, but {} relays of {per_relay} each",
            worth.claimed_compute_units, worth.num_relays
        );
        return Err(refuse(MODULE, 1126, text));
    }
    let old = claim(&ctx.state, &header.session_id, supplier)?;
    let kind = if old.is_some() {
        "pocket.proof.EventClaimUpdated"
    } else {
        "pocket.proof.EventClaimCreated"
    };
    if let Some(old) = old {
        super::remove_claim(ctx, &old);
    }
    save_claim(ctx, &claimed);
    ctx.emit(claim_event(
        kind,
        &claimed,
        &worth,
        worth.num_relays.saturating_mul(per_relay),
    ));
    Ok(())
}

fn within_claim_window(ctx: &Context<'_>, header: &SessionHeader) -> Result<(), Fault> {
    let end = Height(header.session_end_block_height);
    let params = shared::params_at(&ctx.state, end)?;
    let timing = Timing::new(&params);
    let (open, close, now) = (timing.claim_open(end), timing.claim_close(end), ctx.height());
    if now < open || now > close {
        return Err(refuse(
            MODULE,
            1121,
            format!("claim window is open from {open} to {close}, this is block {now}"),
        ));
    }
    Ok(())
}

/// `MsgSubmitProof`: checks what can be checked without curve arithmetic, and keeps the proof for the end of this block.
pub(crate) fn msg_submit_proof(ctx: &mut Context<'_>, message: &MsgSubmitProof) -> Result<(), Fault> {
    validate_submit_proof(message).map_err(|error| basic(&error))?;
    let sent = message.session_header.clone().unwrap_or_default();
    let supplier = &message.supplier_operator_address;
    let session = session_of(ctx, &sent, supplier)?;
    // From here on the chain's header counts, not the message's.
    let header = session.header.unwrap_or_default();
    within_proof_window(ctx, &header)?;
    let new = Proof {
        supplier_operator_address: supplier.clone(),
        session_header: Some(header.clone()),
        closest_merkle_proof: message.proof.clone(),
    };
    let claimed = validation::well_formed(&ctx.state, &new)?;
    charge_fee(ctx, supplier)?;
    let worth = amount(&ctx.state, &claimed)?;
    if requirement(&ctx.state, &claimed, &worth)? == ProofRequirementReason::NotRequired {
        let text = format!(
            "proof is not required for the claim of supplier {supplier} in session {}",
            header.session_id
        );
        return Err(refuse(MODULE, 1129, text));
    }
    let old = proof(&ctx.state, &header.session_id, supplier)?;
    let kind = if old.is_some() {
        "pocket.proof.EventProofUpdated"
    } else {
        "pocket.proof.EventProofSubmitted"
    };
    ctx.put(
        Store::Proof,
        super::pair_key("proof", &header.session_id, supplier),
        &new,
    );
    let units = worth.claimed_compute_units;
    ctx.emit(claim_event(kind, &claimed, &worth, units));
    Ok(())
}

fn within_proof_window(ctx: &Context<'_>, header: &SessionHeader) -> Result<(), Fault> {
    let end = Height(header.session_end_block_height);
    let params = shared::params_at(&ctx.state, end)?;
    let timing = Timing::new(&params);
    let (open, close, now) = (timing.proof_open(end), timing.proof_close(end), ctx.height());
    if now < open || now > close {
        return Err(refuse(
            MODULE,
            1122,
            format!("proof window is open from {open} to {close}, this is block {now}"),
        ));
    }
    Ok(())
}

/// The fee is taken before the draw, and needs a balance strictly above it.
fn charge_fee(ctx: &mut Context<'_>, supplier: &str) -> Result<(), Fault> {
    let fee = stake::amount(params(&ctx.state)?.proof_submission_fee.as_ref());
    if fee == Upokt(0) {
        return Ok(());
    }
    let address = stake::address(MODULE, 1101, supplier)?;
    let balance = bank::balance(&ctx.state, &address)?;
    if balance <= fee {
        return Err(refuse(
            MODULE,
            1127,
            format!("balance {balance} is not above the proof submission fee of {fee}"),
        ));
    }
    stake::escrow(ctx, MODULE, &address, fee)
}
