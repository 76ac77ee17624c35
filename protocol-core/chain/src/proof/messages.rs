//! Messages of module proof.

use portico_protocol::Height;
use portico_protocol::claim::{ClaimError, validate_create_claim, validate_submit_proof};
use portico_protocol::session::Timing;
use portico_protocol::wire::pocket::proof::{
    Claim, ClaimProofStatus, MsgCreateClaim, MsgSubmitProof, Proof, ProofRequirementReason,
};
use portico_protocol::wire::pocket::session::{Session, SessionHeader};

use super::state::{MODULE, amount, claim, claim_event, params, proof, requirement, save_claim, save_proof};
use super::{state, validation};
use crate::context::Context;
use crate::error::{Fault, refuse};
use crate::{bank, session, shared, stake};

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
            "session ID does not match onchain session ID; expected {:?}, got {:?}",
            found.session_id, header.session_id
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
            format!(
                "supplier operator address {supplier:?} not found in session ID {:?}",
                found.session_id
            ),
        ));
    }
    Ok(found)
}

/// Stateless checks of `MsgCreateClaim`.
pub(crate) fn check_create_claim(message: &MsgCreateClaim) -> Result<(), Fault> {
    validate_create_claim(message).map_err(|error| basic(&error))
}

/// Stateless checks of `MsgSubmitProof`.
pub(crate) fn check_submit_proof(message: &MsgSubmitProof) -> Result<(), Fault> {
    validate_submit_proof(message).map_err(|error| basic(&error))
}

/// `MsgCreateClaim`: creates or replaces the claim of (session, supplier).
pub(crate) fn msg_create_claim(ctx: &mut Context<'_>, message: &MsgCreateClaim) -> Result<(), Fault> {
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
    state::check_units(&ctx.state, &header, &worth)?;
    let old = claim(&ctx.state, &header.session_id, supplier)?;
    let kind = if old.is_some() {
        "pocket.proof.EventClaimUpdated"
    } else {
        "pocket.proof.EventClaimCreated"
    };
    if let Some(old) = old {
        state::remove_claim(ctx, &old);
    }
    save_claim(ctx, &claimed);
    ctx.emit(claim_event(kind, &claimed, &worth, worth.claimed_compute_units));
    Ok(())
}

fn within_claim_window(ctx: &Context<'_>, header: &SessionHeader) -> Result<(), Fault> {
    let end = Height(header.session_end_block_height);
    let params = shared::params_at(&ctx.state, end)?;
    let timing = Timing::new(&params);
    let (open, close, now) = (timing.claim_open(end), timing.claim_close(end), ctx.height());
    if now < open {
        let text = format!(
            "current block height ({now}) is less than the session's earliest claim commit height ({open})"
        );
        return Err(refuse(MODULE, 1121, text));
    }
    if now > close {
        let text = format!(
            "current block height ({now}) is greater than session claim window close height ({close})"
        );
        return Err(refuse(MODULE, 1121, text));
    }
    Ok(())
}

/// `MsgSubmitProof`: checks what can be checked without curve arithmetic, and keeps the proof for the end of this block.
pub(crate) fn msg_submit_proof(ctx: &mut Context<'_>, message: &MsgSubmitProof) -> Result<(), Fault> {
    let supplier = &message.supplier_operator_address;
    let new = Proof {
        supplier_operator_address: supplier.clone(),
        session_header: message.session_header.clone(),
        closest_merkle_proof: message.proof.clone(),
    };
    let claimed = ensure_well_formed(ctx, &new)?;
    let header = state::header_of(&claimed);
    charge_fee(ctx, supplier)?;
    let worth = amount(&ctx.state, &claimed)?;
    if requirement(&ctx.state, &claimed, &worth)? == ProofRequirementReason::NotRequired {
        return Err(refuse(MODULE, 1129, ""));
    }
    let old = proof(&ctx.state, &header.session_id, supplier)?;
    let kind = if old.is_some() {
        "pocket.proof.EventProofUpdated"
    } else {
        "pocket.proof.EventProofSubmitted"
    };
    save_proof(ctx, &new);
    let units = worth.estimated_compute_units;
    // A proof that is sent again begins anew: the event says so, whatever came of the one before.
    let begun = Claim {
        proof_validation_status: ClaimProofStatus::PendingValidation.into(),
        ..claimed
    };
    ctx.emit(claim_event(kind, &begun, &worth, units));
    Ok(())
}

/// All checks of a proof that need no curve arithmetic; returns the claim that it proves.
fn ensure_well_formed(ctx: &Context<'_>, proof: &Proof) -> Result<Claim, Fault> {
    let sent = proof.session_header.clone().unwrap_or_default();
    let session = session_of(ctx, &sent, &proof.supplier_operator_address)?;
    // From here on the chain's header counts, not the message's.
    let header = session.header.unwrap_or_default();
    within_proof_window(ctx, &header)?;
    validation::well_formed(&ctx.state, proof, &header)
}

fn within_proof_window(ctx: &Context<'_>, header: &SessionHeader) -> Result<(), Fault> {
    let end = Height(header.session_end_block_height);
    let params = shared::params_at(&ctx.state, end)?;
    let timing = Timing::new(&params);
    let (open, close, now) = (timing.proof_open(end), timing.proof_close(end), ctx.height());
    if now < open {
        let text = format!(
            "current block height ({now}) is less than session's earliest proof commit height ({open})"
        );
        return Err(refuse(MODULE, 1122, text));
    }
    if now > close {
        let text = format!(
            "current block height ({now}) is greater than session proof window close height ({close})"
        );
        return Err(refuse(MODULE, 1122, text));
    }
    Ok(())
}

/// The fee is taken before the draw, and needs a balance strictly above it: also a fee of nothing needs an account with something.
fn charge_fee(ctx: &mut Context<'_>, supplier: &str) -> Result<(), Fault> {
    let fee = stake::amount(params(&ctx.state)?.proof_submission_fee.as_ref());
    let address = stake::address(MODULE, 1101, supplier)?;
    let balance = bank::balance(&ctx.state, &address)?;
    if balance <= fee {
        return Err(refuse(
            MODULE,
            1127,
            format!("account has {}, but the proof submission fee is {fee}", balance.0),
        ));
    }
    stake::escrow(ctx, MODULE, &address, fee)
}
