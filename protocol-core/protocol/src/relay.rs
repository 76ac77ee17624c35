//! Relay requests and responses: hashes, signatures, checks; the mined relay.
//!
//! ```text
//! gateway   sign_request ─────────► servicer  validate_request_basic, verify_request_signature
//!           verify_response ◄───────          sign_response ─► MinedRelay::new: the leaf
//! ```
//! A request is signed by a ring of the application and its gateways ([`ring_addresses`]), a response by the supplier's operator key over
//! the *hash* of its payload; so the mined relay, without the payload, still verifies, and the gateway must compare hash and payload.

mod hash;
mod members;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use bytes::Bytes;
use sha2::{Digest, Sha256};

pub use hash::{MinedRelay, request_signable_hash, response_signable_hash};
pub use members::{placeholder_key, ring_addresses, ring_gateways};

use crate::keys::{PublicKey, SigningKey};
use crate::ring::{Prepared, Ring, RingError, RingSignature};
use crate::session::validate_header;
use crate::types::Address;
use crate::wire::pocket::service::{
    RelayMinerError, RelayRequest, RelayRequestMetadata, RelayResponse, RelayResponseMetadata,
};
use crate::wire::pocket::session::SessionHeader;

/// Why a relay request or response is refused.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum RelayError {
    /// The bytes are not the message.
    #[error("not a relay message")]
    Decode(#[from] prost::DecodeError),
    /// A field is missing or malformed (`ValidateBasic`).
    #[error("{0}")]
    Basic(String),
    /// The ring signature is malformed or does not verify.
    #[error("ring signature refused")]
    Ring(#[from] RingError),
    /// A key in the ring is not of the application or one of its gateways.
    #[error("ring key {0} belongs neither to the application nor to one of its gateways")]
    ForeignRingKey(Address),
    /// The supplier's signature does not verify with its operator key.
    #[error("supplier signature does not verify")]
    SupplierSignature,
    /// `payload_hash` is not SHA-256 of the payload.
    #[error("payload hash does not match the payload")]
    PayloadHash,
    /// The response's session header differs from the request's.
    #[error("session header of the response differs from the request's in {0}")]
    HeaderMismatch(&'static str),
    /// The supplier answered with an unsigned error.
    #[error("supplier error {}/{}: {}", .0.codespace, .0.code, .0.message)]
    Miner(Box<RelayMinerError>),
}

/// Builds and ring-signs a request to `supplier` in the session of `header`.
pub fn sign_request(
    header: &SessionHeader,
    supplier: &str,
    payload: Bytes,
    ring: &Ring,
    key: &SigningKey,
    rng: &mut impl rand_core::CryptoRng,
) -> Result<RelayRequest, RelayError> {
    signed_request(header, supplier, payload, |message| {
        ring.sign(key.ring_signer()?, message, rng)
    })
}

/// As [`sign_request`], with a signature that [`Ring::prepare`] made ahead.
pub fn sign_prepared(
    header: &SessionHeader,
    supplier: &str,
    payload: Bytes,
    prepared: Prepared,
) -> Result<RelayRequest, RelayError> {
    signed_request(header, supplier, payload, |message| prepared.sign(message))
}

fn signed_request(
    header: &SessionHeader,
    supplier: &str,
    payload: Bytes,
    sign: impl FnOnce(&[u8; 32]) -> Result<Vec<u8>, RingError>,
) -> Result<RelayRequest, RelayError> {
    let meta = RelayRequestMetadata {
        session_header: Some(header.clone()),
        signature: Vec::new(),
        supplier_operator_address: supplier.to_owned(),
    };
    let mut request = RelayRequest {
        meta: Some(meta),
        payload,
    };
    let signature = sign(&request_signable_hash(&request))?;
    if let Some(meta) = request.meta.as_mut() {
        meta.signature = signature;
    }
    Ok(request)
}

/// Builds and signs the response to a request with `header`; `payload` must not be empty.
#[must_use]
pub fn sign_response(header: &SessionHeader, payload: Bytes, key: &SigningKey) -> RelayResponse {
    let payload_hash = Sha256::digest(&payload).to_vec();
    sign_hashed(header, payload, payload_hash, key)
}

/// Signs the response of which a leaf is made when its payload went out in other messages: it has the payload's hash, and no payload.
#[must_use]
pub fn sign_payload_hash(header: &SessionHeader, payload_hash: [u8; 32], key: &SigningKey) -> RelayResponse {
    sign_hashed(header, Bytes::new(), payload_hash.to_vec(), key)
}

fn sign_hashed(
    header: &SessionHeader,
    payload: Bytes,
    payload_hash: Vec<u8>,
    key: &SigningKey,
) -> RelayResponse {
    let meta = RelayResponseMetadata {
        session_header: Some(header.clone()),
        supplier_operator_signature: Vec::new(),
    };
    let mut response = RelayResponse {
        meta: Some(meta),
        payload,
        relay_miner_error: None,
        payload_hash,
    };
    let signature = key.sign(&response_signable_hash(&response));
    if let Some(meta) = response.meta.as_mut() {
        meta.supplier_operator_signature = signature.to_vec();
    }
    response
}

/// Stateless checks of a request (`RelayRequest.ValidateBasic`, codespace service, code 1111).
pub fn validate_request_basic(request: &RelayRequest) -> Result<(), RelayError> {
    let meta = request
        .meta
        .as_ref()
        .ok_or_else(|| RelayError::Basic("missing metadata".into()))?;
    validate_header_present(meta.session_header.as_ref())?;
    if meta.signature.is_empty() {
        return Err(RelayError::Basic("missing application signature".into()));
    }
    if meta.supplier_operator_address.is_empty() {
        return Err(RelayError::Basic(
            "relay metadata missing supplier operator address".into(),
        ));
    }
    Ok(())
}

/// Stateless checks of a response (`RelayResponse.ValidateBasic`, code 1110).
pub fn validate_response_basic(response: &RelayResponse) -> Result<(), RelayError> {
    let meta = response
        .meta
        .as_ref()
        .ok_or_else(|| RelayError::Basic("missing metadata".into()))?;
    validate_header_present(meta.session_header.as_ref())?;
    if meta.supplier_operator_signature.is_empty() {
        return Err(RelayError::Basic("missing supplier operator signature".into()));
    }
    Ok(())
}

fn validate_header_present(header: Option<&SessionHeader>) -> Result<(), RelayError> {
    let header = header.ok_or_else(|| RelayError::Basic("missing session header".into()))?;
    validate_header(header).map_err(|error| RelayError::Basic(error.to_string()))
}

/// Verifies the ring signature of a request whose keys must all belong to `expected` (see [`ring_addresses`]).
///
/// As on chain, neither the ring's order nor its size counts, a key may occur twice, and the application's own may be missing.
pub fn verify_request_signature(
    request: &RelayRequest,
    expected: &BTreeSet<Address>,
) -> Result<(), RelayError> {
    let bytes = request
        .meta
        .as_ref()
        .map(|meta| meta.signature.as_slice())
        .unwrap_or_default();
    // Cheap first: a stranger's ring never reaches the curve arithmetic.
    for key in RingSignature::embedded_keys(bytes)? {
        let address = Address::of_key(key);
        if !expected.contains(&address) {
            return Err(RelayError::ForeignRingKey(address));
        }
    }
    let signature = RingSignature::parse(bytes)?;
    signature.verify(&request_signable_hash(request))?;
    signature.keep_members();
    Ok(())
}

/// Whether the request's ring signature will verify in tens of microseconds (see [`crate::ring::is_warm`]): not worth another thread.
#[must_use]
pub fn is_signature_warm(request: &RelayRequest) -> bool {
    request
        .meta
        .as_ref()
        .is_some_and(|meta| crate::ring::is_warm(&meta.signature))
}

/// Verifies the supplier's signature of a response with its operator key.
pub fn verify_response_signature(response: &RelayResponse, supplier: &PublicKey) -> Result<(), RelayError> {
    let signature = response
        .meta
        .as_ref()
        .map(|meta| meta.supplier_operator_signature.as_slice())
        .unwrap_or_default();
    supplier
        .verify(&response_signable_hash(response), signature)
        .map_err(|_| RelayError::SupplierSignature)
}

/// All that a gateway checks on a response: miner error, shape, header equality, payload hash (when present), supplier signature.
pub fn verify_response(
    response: &RelayResponse,
    request_header: &SessionHeader,
    supplier: &PublicKey,
) -> Result<(), RelayError> {
    let signed = response
        .meta
        .as_ref()
        .is_some_and(|meta| !meta.supplier_operator_signature.is_empty());
    if let (Some(error), false) = (&response.relay_miner_error, signed) {
        return Err(RelayError::Miner(Box::new(error.clone())));
    }
    validate_response_basic(response)?;
    let header = response
        .meta
        .as_ref()
        .and_then(|meta| meta.session_header.as_ref());
    if let Some(field) = header.and_then(|header| header_difference(header, request_header)) {
        return Err(RelayError::HeaderMismatch(field));
    }
    if !response.payload_hash.is_empty()
        && response.payload_hash != Sha256::digest(&response.payload).as_slice()
    {
        return Err(RelayError::PayloadHash);
    }
    verify_response_signature(response, supplier)?;
    match &response.relay_miner_error {
        Some(error) => Err(RelayError::Miner(Box::new(error.clone()))),
        None => Ok(()),
    }
}

/// First field in which two headers differ, in the order app, service, start, end, id; `None` when equal.
#[must_use]
pub fn header_difference(a: &SessionHeader, b: &SessionHeader) -> Option<&'static str> {
    let checks = [
        (
            a.application_address == b.application_address,
            "application_address",
        ),
        (a.service_id == b.service_id, "service_id"),
        (
            a.session_start_block_height == b.session_start_block_height,
            "session_start_block_height",
        ),
        (
            a.session_end_block_height == b.session_end_block_height,
            "session_end_block_height",
        ),
        (a.session_id == b.session_id, "session_id"),
    ];
    checks
        .into_iter()
        .find(|(equal, _)| !equal)
        .map(|(_, field)| field)
}
