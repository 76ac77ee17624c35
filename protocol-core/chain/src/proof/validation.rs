//! What makes a proof valid: shape when it is submitted, signatures and path at the end of that block.

use portico_protocol::difficulty::is_applicable;
use portico_protocol::proof::proof_path;
use portico_protocol::relay::{
    header_difference, ring_addresses, validate_request_basic, validate_response_basic,
    verify_request_signature, verify_response_signature,
};
use portico_protocol::session::Timing;
use portico_protocol::wire::pocket::proof::{Claim, ClaimProofStatus, Proof};
use portico_protocol::wire::pocket::service::{Relay, RelayRequest, RelayResponse};
use portico_protocol::wire::pocket::session::SessionHeader;
use portico_protocol::{Address, Height, PublicKey, causes};
use portico_smst::{ClosestProof, CompactClosestProof, Path, Rule, Sum, SumDigest};
use prost::Message;
use sha2::{Digest, Sha256};

use super::state;
use super::state::{MODULE, PROOFS, claim, save_claim, seed_hash};
use crate::context::{Context, required};
use crate::error::{Fault, refuse};
use crate::event::TypedEvent;
use crate::state::{StateError, StateRead, Store};
use crate::{application, auth, feature, service, shared};

/// A proof taken apart.
struct Parts {
    closest: ClosestProof,
    request: RelayRequest,
    response: RelayResponse,
    relay_hash: [u8; 32],
    weight: Option<u64>,
}

fn parts(proof: &Proof) -> Result<Parts, Fault> {
    let fault = |text: String| refuse(MODULE, 1108, text);
    let compact = CompactClosestProof::from_gob(&proof.closest_merkle_proof).map_err(|e| {
        fault(format!(
            "failed to unmarshal sparse compact merkle closest proof: {e}"
        ))
    })?;
    let closest = compact.expand::<Sum>().map_err(|e| fault(e.to_string()))?;
    let value = closest.value::<Sum>().map_err(|e| fault(e.to_string()))?;
    // A proof without a leaf proves an empty relay, which no check lets pass.
    let bytes = value.unwrap_or_default();
    let weight = closest.weight::<Sum>();
    let relay_hash = Sha256::digest(bytes).into();
    let relay = Relay::decode(bytes).map_err(|error| refuse(MODULE, 1109, error.to_string()))?;
    let (request, response) = (relay.req.unwrap_or_default(), relay.res.unwrap_or_default());
    Ok(Parts {
        request,
        response,
        relay_hash,
        weight,
        closest,
    })
}

/// Checks of a proof for the on-chain session of `header`, in the network's order; returns the claim that is proved.
pub(super) fn well_formed(
    state: &dyn StateRead,
    proof: &Proof,
    header: &SessionHeader,
) -> Result<Claim, Fault> {
    if proof.closest_merkle_proof.is_empty() {
        return Err(refuse(MODULE, 1108, "closest merkle proof cannot be empty"));
    }
    let parts = parts(proof)?;
    validate_request_basic(&parts.request).map_err(|error| refuse("service", 1111, error.to_string()))?;
    let request_meta = parts.request.meta.unwrap_or_default();
    if request_meta.supplier_operator_address != proof.supplier_operator_address {
        return Err(refuse(MODULE, 1123, "supplier type mismatch"));
    }
    validate_response_basic(&parts.response).map_err(|error| refuse("service", 1110, error.to_string()))?;
    let response_header = parts
        .response
        .meta
        .unwrap_or_default()
        .session_header
        .unwrap_or_default();
    for (what, found) in [
        ("request", request_meta.session_header.unwrap_or_default()),
        ("response", response_header),
    ] {
        if let Some(field) = header_difference(&found, header) {
            return Err(refuse(
                MODULE,
                1109,
                format!("the relay {what}'s session header differs in {field}"),
            ));
        }
    }
    let start = Height(header.session_start_block_height);
    let target = service::difficulty_at(state, &header.service_id, start)?.target_hash;
    if target.len() != 32 || !is_applicable(&parts.relay_hash, &target) {
        return Err(refuse(
            MODULE,
            1130,
            "the proved relay does not meet the relay mining difficulty",
        ));
    }
    claim_with_header(state, proof, header)
}

/// The claim of the proof's session and supplier; its header as it was sent must be the on-chain one.
fn claim_with_header(state: &dyn StateRead, proof: &Proof, header: &SessionHeader) -> Result<Claim, Fault> {
    let supplier = &proof.supplier_operator_address;
    let found = required(claim(state, &header.session_id, supplier)?, || {
        refuse(
            MODULE,
            1106,
            format!(
                "no claim found for session ID {:?} and supplier {supplier:?}",
                header.session_id
            ),
        )
    })?;
    let claimed = state::header_of(&found);
    let code = if claimed.session_start_block_height != header.session_start_block_height {
        1118
    } else if claimed.session_end_block_height != header.session_end_block_height {
        1117
    } else if claimed.application_address != header.application_address {
        1101
    } else if claimed.service_id != header.service_id {
        1103
    } else {
        return Ok(found);
    };
    let text = "the claim's session header differs from the on-chain session's";
    Err(refuse(MODULE, code, text))
}

/// Checks at the end of the block: ring, supplier signature, challenged path, branch to the claimed root.
fn signatures_and_path(state: &dyn StateRead, proof: &Proof, claim: &Claim) -> Result<(), Fault> {
    let key = operator_key(state, &proof.supplier_operator_address)?;
    let parts = parts(proof)?;
    verify_ring(state, &parts.request)?;
    verify_response_signature(&parts.response, &key).map_err(|error| refuse(MODULE, 1111, causes(&error)))?;
    let sent = proof.session_header.clone().unwrap_or_default();
    let claimed = state::header_of(claim);
    let start = Height(claimed.session_start_block_height);
    let strict = feature::is_enabled(state, feature::STRICT_CLOSEST_PROOF, start)?;
    let header = if strict { &claimed } else { &sent };
    let asked = Path::new(proof_path(&seed_hash(state, header)?, &header.session_id));
    if strict {
        check_leaf(state, &parts, &claimed)?;
    }
    let root: [u8; 48] = claim
        .root_hash
        .as_slice()
        .try_into()
        .map_err(|_| refuse(MODULE, 1108, "claimed root is not 48 bytes"))?;
    let rule = if strict { Rule::Strict } else { Rule::Network };
    parts
        .closest
        .verify::<Sum>(rule, &SumDigest::new(root), &asked)
        .map_err(|error| refuse(MODULE, 1108, error.to_string()))
}

fn operator_key(state: &dyn StateRead, operator: &str) -> Result<PublicKey, Fault> {
    let address: Address = operator
        .parse()
        .map_err(|_| refuse(MODULE, 1101, "invalid supplier operator address"))?;
    required(auth::public_key(state, &address)?, || {
        refuse(
            MODULE,
            1114,
            format!("supplier {operator} has no public key on chain"),
        )
    })
}

/// The request is signed by the ring of its application at the end of its session.
fn verify_ring(state: &dyn StateRead, request: &RelayRequest) -> Result<(), Fault> {
    let header = request
        .meta
        .as_ref()
        .and_then(|meta| meta.session_header.clone())
        .unwrap_or_default();
    let address = &header.application_address;
    let app = required(application::application(state, address)?, || {
        refuse(MODULE, 1113, format!("application {address} not found"))
    })?;
    let live = shared::params(state)?;
    let end = Timing::new(&live).end(Height(header.session_end_block_height));
    verify_request_signature(request, &ring_addresses(&app, end))
        .map_err(|error| refuse(MODULE, 1110, causes(&error)))
}

/// The leaf lies where its relay's hash says, so that a relay counts once, and weighs what a relay of the service does.
fn check_leaf(state: &dyn StateRead, parts: &Parts, header: &SessionHeader) -> Result<(), Fault> {
    if parts.closest.closest_path != Path::of_key(&parts.relay_hash).as_ref() {
        return Err(refuse(
            MODULE,
            1108,
            "the proved leaf is not at the path of its relay",
        ));
    }
    let start = Height(header.session_start_block_height);
    if parts.weight != service::compute_units_at(state, &header.service_id, start)? {
        return Err(refuse(
            MODULE,
            1108,
            "the proved leaf has not the weight of a relay",
        ));
    }
    Ok(())
}

/// Validates the proofs of this block: sets their claims' status, and forgets them.
pub(crate) fn end_block(ctx: &mut Context<'_>) -> Result<(), Fault> {
    for proof in ctx.scan::<Proof>(Store::Proof, PROOFS)? {
        let header = proof.session_header.clone().unwrap_or_default();
        let supplier = &proof.supplier_operator_address;
        ctx.delete(
            Store::Proof,
            state::pair_key("proof", &header.session_id, supplier),
        );
        let Some(mut claim) = claim(&ctx.state, &header.session_id, supplier)? else {
            continue;
        };
        let failure = match signatures_and_path(&ctx.state, &proof, &claim) {
            Ok(()) => String::new(),
            Err(Fault::Module(error)) => error.text,
            Err(Fault::State(error)) => return Err(error.into()),
        };
        let status = if failure.is_empty() {
            ClaimProofStatus::Validated
        } else {
            ClaimProofStatus::Invalid
        };
        claim.proof_validation_status = status.into();
        save_claim(ctx, &claim);
        checked(ctx, &claim, &failure)?;
    }
    Ok(())
}

fn checked(ctx: &mut Context<'_>, claim: &Claim, failure: &str) -> Result<(), StateError> {
    let header = state::header_of(claim);
    let event = TypedEvent::new("pocket.proof.EventProofValidityChecked")
        .long("block_height", ctx.height())
        .text("failure_reason", failure)
        .text("service_id", &header.service_id)
        .text("application_address", &header.application_address)
        .long("session_end_block_height", header.session_end_block_height)
        .int("claim_proof_status_int", claim.proof_validation_status)
        .text("supplier_operator_address", &claim.supplier_operator_address);
    ctx.emit(event);
    Ok(())
}
