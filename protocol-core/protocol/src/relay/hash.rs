//! What is hashed: the signed bytes of requests and responses, and the mined relay.
//!
//! All of it is the message *encoded anew*, so other field orders on the wire, or unknown fields, do not count. Payloads are hashed in
//! place: they can be large.

use bytes::Bytes;
use prost::Message;
use prost::encoding::{WireType, encode_key, encode_varint};
use sha2::{Digest, Sha256};

use crate::wire::pocket::service::{
    Relay, RelayRequest, RelayRequestMetadata, RelayResponse, RelayResponseMetadata,
};

/// Field number of `payload` in requests and responses.
const PAYLOAD_FIELD: u32 = 2;

/// SHA-256 of the request's bytes with an empty signature: the message of the ring signature.
#[must_use]
pub fn request_signable_hash(request: &RelayRequest) -> [u8; 32] {
    let meta = request.meta.as_ref().map(|meta| RelayRequestMetadata {
        session_header: meta.session_header.clone(),
        signature: Vec::new(),
        supplier_operator_address: meta.supplier_operator_address.clone(),
    });
    // A non-nullable message in Go: written even when empty.
    let head = RelayRequest {
        meta: Some(meta.unwrap_or_default()),
        payload: Bytes::new(),
    };
    digest(&head.encode_to_vec(), &request.payload, &[])
}

/// SHA-256 of the response's bytes without signature and, iff `payload_hash` is set, without payload.
#[must_use]
pub fn response_signable_hash(response: &RelayResponse) -> [u8; 32] {
    let header = response
        .meta
        .as_ref()
        .and_then(|meta| meta.session_header.clone());
    let head = RelayResponse {
        meta: Some(RelayResponseMetadata {
            session_header: header,
            supplier_operator_signature: Vec::new(),
        }),
        ..RelayResponse::default()
    };
    let tail = RelayResponse {
        meta: None,
        payload: Bytes::new(),
        relay_miner_error: response.relay_miner_error.clone(),
        payload_hash: response.payload_hash.clone(),
    };
    digest(
        &head.encode_to_vec(),
        unhashed_payload(response),
        &tail.encode_to_vec(),
    )
}

/// SHA-256 of a message: fields before the payload, the payload, fields after it.
fn digest(head: &[u8], payload: &[u8], tail: &[u8]) -> [u8; 32] {
    let mut hasher = Sha256::new_with_prefix(head);
    if !payload.is_empty() {
        let mut key = Vec::with_capacity(8);
        encode_key(PAYLOAD_FIELD, WireType::LengthDelimited, &mut key);
        encode_varint(payload.len() as u64, &mut key);
        hasher.update(&key);
        hasher.update(payload);
    }
    hasher.update(tail);
    hasher.finalize().into()
}

/// The payload where no hash stands for it: in answers of old chains.
fn unhashed_payload(response: &RelayResponse) -> &Bytes {
    static NONE: Bytes = Bytes::new();
    if response.payload_hash.is_empty() {
        &response.payload
    } else {
        &NONE
    }
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
    /// Encodes the pair exactly as served, the response's payload emptied; without `payload_hash` the payload stays, as the signature
    /// covers it.
    #[must_use]
    pub fn new(request: &RelayRequest, response: &RelayResponse) -> Self {
        let relay = Relay {
            req: Some(RelayRequest {
                meta: Some(request.meta.clone().unwrap_or_default()),
                payload: request.payload.clone(),
            }),
            res: Some(RelayResponse {
                meta: Some(response.meta.clone().unwrap_or_default()),
                payload: unhashed_payload(response).clone(),
                relay_miner_error: response.relay_miner_error.clone(),
                payload_hash: response.payload_hash.clone(),
            }),
        };
        let bytes = relay.encode_to_vec();
        let hash = Sha256::digest(&bytes).into();
        Self { bytes, hash }
    }
}
