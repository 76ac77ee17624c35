//! What a settlement says about each claim.

use std::collections::BTreeMap;

use portico_protocol::Upokt;
use portico_protocol::settlement::Fraction;
use portico_protocol::wire::pocket::proof::{Claim, ClaimProofStatus};
use portico_protocol::wire::pocket::tokenomics::{ClaimExpirationReason, Params};

use super::assessed::Assessed;
use super::budget::Allowed;
use super::operations::Operations;
use super::state::arithmetic;
use crate::context::Context;
use crate::error::Fault;
use crate::event::{TypedEvent, quote};
use crate::proof;

/// A claim whose data do not fit together went, and paid nothing.
pub(super) fn discarded(ctx: &mut Context<'_>, claim: &Claim, error: &str) {
    let header = proof::header_of(claim);
    let error = format!(
        "[UNEXPECTED ERROR] Critical error during claim settlement during session {:?} for operator {} and service {}. \
         Claim will be discarded to prevent chain halt: {error}: internal claim settlement error",
        header.session_id, claim.supplier_operator_address, header.service_id
    );
    ctx.emit(
        TypedEvent::new("pocket.tokenomics.EventClaimDiscarded")
            .text("error", &error)
            .text("service_id", &header.service_id)
            .text("application_address", &header.application_address)
            .long("session_end_block_height", header.session_end_block_height)
            .int("claim_proof_status_int", claim.proof_validation_status)
            .text("supplier_operator_address", &claim.supplier_operator_address),
    );
}

/// A claim expired: its required proof was missing or invalid.
pub(super) fn expired(ctx: &mut Context<'_>, assessed: &Assessed) {
    let invalid = assessed.claim.proof_validation_status == i32::from(ClaimProofStatus::Invalid);
    let reason = if invalid {
        ClaimExpirationReason::ProofInvalid
    } else {
        ClaimExpirationReason::ProofMissing
    };
    let event = proof::claim_event(
        "pocket.tokenomics.EventClaimExpired",
        &assessed.claim,
        &assessed.amount,
        assessed.amount.estimated_compute_units,
    );
    ctx.emit(event.json("expiration_reason", quote(reason.as_str_name())));
}

/// An application's budget did not cover a claim.
pub(super) fn overserviced(
    ctx: &mut Context<'_>,
    assessed: &Assessed,
    allowed: &Allowed,
    by_spend_limit: bool,
) {
    let Some((expected, effective)) = allowed.overserviced else {
        return;
    };
    let header = proof::header_of(&assessed.claim);
    ctx.emit(
        TypedEvent::new("pocket.tokenomics.EventApplicationOverserviced")
            .text("application_addr", &header.application_address)
            .text("supplier_operator_addr", &assessed.supplier.operator_address)
            .text("expected_burn", &expected.to_string())
            .text("effective_burn", &effective.to_string())
            .text("service_id", &header.service_id)
            .long("session_end_block_height", header.session_end_block_height)
            .json("spend_limit_exceeded", by_spend_limit.to_string()),
    );
}

/// JSON of who was paid what: added up by recipient, and each payment.
fn payments(operations: &Operations) -> (String, String) {
    let mut sums: BTreeMap<&str, u128> = BTreeMap::new();
    let mut details = Vec::with_capacity(operations.to_accounts.len());
    for payment in &operations.to_accounts {
        let sum = sums.entry(&payment.to).or_default();
        *sum = sum.saturating_add(payment.amount.0);
        details.push(format!(
            "{{\"recipient_address\":{},\"op_reason\":\"{}\",\"amount\":\"{}\"}}",
            quote(&payment.to),
            payment.reason.as_str_name(),
            payment.amount
        ));
    }
    let sums: Vec<String> = sums
        .iter()
        .map(|(to, sum)| format!("{}:{}", quote(to), quote(&Upokt(*sum).to_string())))
        .collect();
    (
        format!("{{{}}}", sums.join(",")),
        format!("[{}]", details.join(",")),
    )
}

/// A claim was settled.
pub(super) fn settled(
    ctx: &mut Context<'_>,
    assessed: &Assessed,
    settled: Upokt,
    params: &Params,
    operations: &Operations,
) -> Result<(), Fault> {
    let (claim, amount) = (&assessed.claim, &assessed.amount);
    let header = proof::header_of(claim);
    let ratio = Fraction::of(params.mint_ratio).map_err(|error| arithmetic(&error))?;
    let minted = ratio.floor_of(settled).map_err(|error| arithmetic(&error))?;
    let (sums, details) = payments(operations);
    let loss = |from: Upokt, to: Upokt| Upokt(from.0.saturating_sub(to.0)).to_string();
    ctx.emit(
        TypedEvent::new("pocket.tokenomics.EventClaimSettled")
            .int("proof_requirement_int", assessed.requirement.into())
            .long("num_relays", amount.num_relays)
            .long("num_claimed_compute_units", amount.claimed_compute_units)
            .long("num_estimated_compute_units", amount.estimated_compute_units)
            .text("claimed_upokt", &amount.claimed.to_string())
            .text("service_id", &header.service_id)
            .text("application_address", &header.application_address)
            .long("session_end_block_height", header.session_end_block_height)
            .int("claim_proof_status_int", claim.proof_validation_status)
            .text("supplier_operator_address", &claim.supplier_operator_address)
            .json("reward_distribution", sums)
            .json("reward_distribution_detailed", details)
            .text("settled_upokt", &settled.to_string())
            .text("mint_ratio", &params.mint_ratio.to_string())
            .text("session_id", &header.session_id)
            .text("supplier_owner_address", &assessed.supplier.owner_address)
            .long("num_estimated_relays", amount.estimated_relays)
            .text("minted_upokt", &minted.to_string())
            .text("overservicing_loss_upokt", &loss(amount.claimed, settled))
            .text("deflation_loss_upokt", &loss(settled, minted)),
    );
    Ok(())
}
