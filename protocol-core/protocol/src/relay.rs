//! Relay requests and responses: hashes, signatures, checks; the mined relay.

use std::collections::BTreeSet;

use bytes::Bytes;

use crate::keys::{PublicKey, SigningKey};
use crate::ring::{Ring, RingError};
use crate::types::{Address, Height};
use crate::wire::pocket::application::Application;
use crate::wire::pocket::service::{RelayMinerError, RelayRequest, RelayResponse};
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

/// SHA-256 of the request's bytes with an empty signature: the message of the ring signature.
#[must_use]
pub fn request_signable_hash(_request: &RelayRequest) -> [u8; 32] {
    unimplemented!()
}

/// SHA-256 of the response's bytes without signature and, iff `payload_hash` is set, without payload.
#[must_use]
pub fn response_signable_hash(_response: &RelayResponse) -> [u8; 32] {
    unimplemented!()
}

/// Builds and ring-signs a request to `supplier` in the session of `header`.
pub fn sign_request(
    _header: &SessionHeader,
    _supplier: &str,
    _payload: Bytes,
    _ring: &Ring,
    _key: &SigningKey,
    _rng: &mut impl rand_core::CryptoRng,
) -> Result<RelayRequest, RelayError> {
    unimplemented!()
}

/// Builds and signs the response to a request with `header`; `payload` must not be empty.
#[must_use]
pub fn sign_response(_header: &SessionHeader, _payload: Bytes, _key: &SigningKey) -> RelayResponse {
    unimplemented!()
}

/// Stateless checks of a request (`RelayRequest.ValidateBasic`, codespace service, code 1111).
pub fn validate_request_basic(_request: &RelayRequest) -> Result<(), RelayError> {
    unimplemented!()
}

/// Stateless checks of a response (`RelayResponse.ValidateBasic`, code 1110).
pub fn validate_response_basic(_response: &RelayResponse) -> Result<(), RelayError> {
    unimplemented!()
}

/// Verifies the ring signature of a request whose keys must all belong to `expected` (see [`ring_addresses`]).
///
/// `expected` holds the addresses of the application and its gateways; the [`crate::ring::placeholder_key`] is accepted when it is the
/// second member of an application without gateways.
pub fn verify_request_signature(
    _request: &RelayRequest,
    _expected: &BTreeSet<Address>,
) -> Result<(), RelayError> {
    unimplemented!()
}

/// Verifies the supplier's signature of a response with its operator key.
pub fn verify_response_signature(_response: &RelayResponse, _supplier: &PublicKey) -> Result<(), RelayError> {
    unimplemented!()
}

/// All that a gateway checks on a response: miner error, shape, header equality, payload hash (when present), supplier signature.
pub fn verify_response(
    _response: &RelayResponse,
    _request_header: &SessionHeader,
    _supplier: &PublicKey,
) -> Result<(), RelayError> {
    unimplemented!()
}

/// First field in which two headers differ, in the order app, service, start, end, id; `None` when equal.
#[must_use]
pub fn header_difference(_a: &SessionHeader, _b: &SessionHeader) -> Option<&'static str> {
    unimplemented!()
}

/// Addresses that may sign for `application` in the session ending at `session_end`: itself, its gateways, and gateways whose
/// undelegation takes effect at or after that height; plus the placeholder's address when there is no gateway at all.
#[must_use]
pub fn ring_addresses(_application: &Application, _session_end: Height) -> BTreeSet<Address> {
    unimplemented!()
}

/// Gateway addresses that sign for `application` at `session_end`, in signing order (delegatees first, unsorted).
#[must_use]
pub fn ring_gateways(_application: &Application, _session_end: Height) -> Vec<Address> {
    unimplemented!()
}

/// A relay as it is stored in the trie: request and response without payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MinedRelay {
    /// Encoded `Relay`: the leaf's value.
    pub bytes: Vec<u8>,
    /// SHA-256 of the bytes: the leaf's key.
    pub hash: [u8; 32],
}

impl MinedRelay {
    /// Encodes the pair exactly as served, the response's payload emptied.
    #[must_use]
    pub fn new(_request: &RelayRequest, _response: &RelayResponse) -> Self {
        unimplemented!()
    }
}
