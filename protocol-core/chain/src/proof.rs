//! Module proof: claims, proofs, their validation at the end of the block.

mod messages;
mod state;
mod validation;

pub(crate) use messages::{check_create_claim, check_submit_proof, msg_create_claim, msg_submit_proof};
pub(crate) use state::{
    CLAIMS, PROOFS, amount, check_units, claim, claim_event, claims_ending_at, ends_with_claims, header_of,
    params, proof, remove_claim, requirement, set_params,
};
#[cfg(test)]
pub(crate) use state::{save_claim, save_proof};
pub(crate) use validation::end_block;
