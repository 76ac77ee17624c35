//! A claim that is due, looked at.

use portico_protocol::claim::ClaimAmount;
use portico_protocol::wire::pocket::proof::{Claim, ClaimProofStatus, ProofRequirementReason};
use portico_protocol::wire::pocket::shared::{Service, Supplier};

/// A claim that is due, with all that its settlement looks at.
pub(super) struct Assessed {
    pub(super) claim: Claim,
    pub(super) amount: ClaimAmount,
    pub(super) requirement: ProofRequirementReason,
    pub(super) service: Service,
    pub(super) supplier: Supplier,
}

impl Assessed {
    /// Whether it is paid, as far as the draw and its proof are concerned.
    pub(super) fn settles(&self) -> bool {
        self.requirement == ProofRequirementReason::NotRequired
            || self.claim.proof_validation_status == i32::from(ClaimProofStatus::Validated)
    }
}
