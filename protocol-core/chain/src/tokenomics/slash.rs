//! What a claim that was not proved costs its supplier.

use portico_protocol::wire::pocket::proof::Claim;

use crate::context::Context;
use crate::error::Fault;
use crate::event::TypedEvent;
use crate::{proof, stake, supplier};

/// Burns the penalty of an expired claim out of its supplier's stake.
pub(super) fn slash(ctx: &mut Context<'_>, claim: &Claim) -> Result<(), Fault> {
    let header = proof::header_of(claim);
    let penalty = stake::amount(proof::params(&ctx.state)?.proof_missing_penalty.as_ref());
    let operator = &claim.supplier_operator_address;
    let Some((burned, left)) = supplier::slash(ctx, operator, penalty)? else {
        return Ok(());
    };
    ctx.emit(
        TypedEvent::new("pocket.tokenomics.EventSupplierSlashed")
            .text("proof_missing_penalty", &burned.to_string())
            .text("service_id", &header.service_id)
            .text("application_address", &header.application_address)
            .long("session_end_block_height", header.session_end_block_height)
            .int("claim_proof_status_int", claim.proof_validation_status)
            .text("supplier_operator_address", operator)
            .text("supplier_stake_after_slash", &left.to_string()),
    );
    Ok(())
}
