//! Queries of module proof.

use portico_protocol::wire::pocket;

use super::page::filtered;
use super::view::{Answer, QueryError, View, address, answer, found, read, unknown};
use crate::proof;
use crate::state::Store;

impl View<'_> {
    pub(super) fn proof(&self, method: &str, request: &[u8]) -> Answer<Vec<u8>> {
        use pocket::proof::*;
        match method {
            "Params" => answer(&QueryParamsResponse {
                params: Some(proof::params(self.state)?),
            }),
            "Claim" => {
                let request: QueryGetClaimRequest = read(request)?;
                let (session, supplier) = (&request.session_id, &request.supplier_operator_address);
                named(session, supplier, "claim")?;
                let claim = found(proof::claim(self.state, session, supplier)?, || {
                    absent(session, supplier, "claim")
                })?;
                answer(&QueryGetClaimResponse { claim: Some(claim) })
            }
            "Proof" => {
                let request: QueryGetProofRequest = read(request)?;
                let (session, supplier) = (&request.session_id, &request.supplier_operator_address);
                named(session, supplier, "proof")?;
                let proof = found(proof::proof(self.state, session, supplier)?, || {
                    absent(session, supplier, "proof")
                })?;
                answer(&QueryGetProofResponse { proof: Some(proof) })
            }
            "AllClaims" => {
                use query_all_claims_request::Filter;
                let request: QueryAllClaimsRequest = read(request)?;
                let wanted = |claim: &Claim| match &request.filter {
                    None => true,
                    // An empty id is the beginning of every key.
                    Some(Filter::SessionId(id)) if id.is_empty() => true,
                    Some(Filter::SupplierOperatorAddress(supplier)) => {
                        claim.supplier_operator_address == *supplier
                    }
                    Some(Filter::SessionId(id)) => proof::header_of(claim).session_id == *id,
                    Some(Filter::SessionEndHeight(end)) => ends_at(claim.session_header.as_ref(), *end),
                };
                let (claims, pagination) = filtered(
                    self.state,
                    Store::Proof,
                    proof::CLAIMS,
                    request.pagination.clone(),
                    wanted,
                )?;
                answer(&QueryAllClaimsResponse { claims, pagination })
            }
            "AllProofs" => {
                use query_all_proofs_request::Filter;
                let request: QueryAllProofsRequest = read(request)?;
                let wanted = |proof: &Proof| match &request.filter {
                    None => true,
                    Some(Filter::SupplierOperatorAddress(supplier)) => {
                        proof.supplier_operator_address == *supplier
                    }
                    Some(Filter::SessionId(id)) => proof
                        .session_header
                        .as_ref()
                        .is_some_and(|header| header.session_id == *id),
                    Some(Filter::SessionEndHeight(end)) => ends_at(proof.session_header.as_ref(), *end),
                };
                let (proofs, pagination) = filtered(
                    self.state,
                    Store::Proof,
                    proof::PROOFS,
                    request.pagination.clone(),
                    wanted,
                )?;
                answer(&QueryAllProofsResponse { proofs, pagination })
            }
            _ => unknown("pocket.proof.Query", method),
        }
    }
}

/// What names a claim or proof (`what`) must be there.
fn named(session: &str, supplier: &str, what: &str) -> Answer<()> {
    if session.is_empty() {
        let text = format!("invalid empty session ID for {what} being retrieved: invalid session ID");
        return Err(QueryError::InvalidArgument(text));
    }
    let invalid = |error| {
        QueryError::InvalidArgument(format!(
            "invalid supplier operator address for {what} being retrieved {supplier}; ({error}): invalid address"
        ))
    };
    address(supplier).map(drop).map_err(invalid)
}

fn absent(session: &str, supplier: &str, what: &str) -> String {
    format!("session ID {session:?} and supplier {supplier:?}: {what} not found")
}

fn ends_at(header: Option<&pocket::session::SessionHeader>, end: u64) -> bool {
    header.is_some_and(|header| u64::try_from(header.session_end_block_height) == Ok(end))
}
