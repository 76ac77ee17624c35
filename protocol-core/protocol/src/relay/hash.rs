//! What is hashed: the signed bytes of requests and responses, and the mined relay.
//!
//! All of it is the message *encoded anew*, so other field orders on the wire, or unknown fields, do not count. Payloads are hashed in
//! place: they can be large.

use bytes::{BufMut, Bytes};
use prost::Message;
use prost::encoding::{WireType, encode_key, encode_varint, message, string};
use sha2::{Digest, Sha256};

use crate::wire::pocket::service::{RelayRequest, RelayResponse};
use crate::wire::pocket::session::SessionHeader;

/// Field number of `meta` in requests and responses.
const META: u32 = 1;
/// Field number of `payload` in requests and responses.
const PAYLOAD: u32 = 2;
/// Field number of `relay_miner_error` in responses.
const MINER_ERROR: u32 = 3;
/// Field number of `payload_hash` in responses.
const PAYLOAD_HASH: u32 = 4;
/// Field number of `session_header` in the metadata of both.
const SESSION_HEADER: u32 = 1;
/// Field number of `supplier_operator_address` in the metadata of requests.
const SUPPLIER: u32 = 3;
/// Field number of `req` in a relay.
const REQUEST: u32 = 1;
/// Field number of `res` in a relay.
const RESPONSE: u32 = 2;
/// Most bytes that the number and the length of a field take here.
const MAX_KEY: usize = 11;

/// SHA-256 of the request's bytes with an empty signature: the message of the ring signature.
#[must_use]
pub fn request_signable_hash(request: &RelayRequest) -> [u8; 32] {
    let meta = request.meta.as_ref();
    let header = meta.and_then(|meta| meta.session_header.as_ref());
    let supplier = meta.map(|meta| &meta.supplier_operator_address);
    digest(&unsigned_meta(header, supplier), &request.payload, &[])
}

/// SHA-256 of the response's bytes without signature and, iff `payload_hash` is set, without payload.
#[must_use]
pub fn response_signable_hash(response: &RelayResponse) -> [u8; 32] {
    let meta = response.meta.as_ref();
    let head = unsigned_meta(meta.and_then(|meta| meta.session_header.as_ref()), None);
    digest(&head, unhashed_payload(response), &after_payload(response))
}

/// The field `meta` of a message without its signature. It is no nullable message in Go: written even when it is empty.
fn unsigned_meta(header: Option<&SessionHeader>, supplier: Option<&String>) -> Vec<u8> {
    let supplier = supplier.filter(|supplier| !supplier.is_empty());
    let of_header = header.map_or(0, |header| message::encoded_len(SESSION_HEADER, header));
    let of_supplier = supplier.map_or(0, |supplier| string::encoded_len(SUPPLIER, supplier));
    let length = of_header.saturating_add(of_supplier);
    let mut bytes = Vec::with_capacity(length.saturating_add(MAX_KEY));
    begin(META, length, &mut bytes);
    if let Some(header) = header {
        message::encode(SESSION_HEADER, header, &mut bytes);
    }
    if let Some(supplier) = supplier {
        string::encode(SUPPLIER, supplier, &mut bytes);
    }
    bytes
}

/// The fields of a response that follow its payload.
fn after_payload(response: &RelayResponse) -> Vec<u8> {
    let RelayResponse {
        relay_miner_error,
        payload_hash,
        ..
    } = response;
    let of_error = relay_miner_error
        .as_ref()
        .map_or(0, |error| message::encoded_len(MINER_ERROR, error));
    let mut bytes = Vec::with_capacity(
        of_error
            .saturating_add(payload_hash.len())
            .saturating_add(MAX_KEY),
    );
    if let Some(error) = relay_miner_error {
        message::encode(MINER_ERROR, error, &mut bytes);
    }
    if !payload_hash.is_empty() {
        prost::encoding::bytes::encode(PAYLOAD_HASH, payload_hash, &mut bytes);
    }
    bytes
}

/// Number and length of a field of bytes.
fn begin(field: u32, length: usize, bytes: &mut impl BufMut) {
    encode_key(field, WireType::LengthDelimited, bytes);
    encode_varint(length as u64, bytes);
}

/// SHA-256 of a message: fields before the payload, the payload, fields after it.
fn digest(head: &[u8], payload: &[u8], tail: &[u8]) -> [u8; 32] {
    let mut hasher = Sha256::new_with_prefix(head);
    if !payload.is_empty() {
        let mut key = [0; MAX_KEY];
        let mut rest = &mut key[..];
        begin(PAYLOAD, payload.len(), &mut rest);
        let used = MAX_KEY.saturating_sub(rest.len());
        hasher.update(&key[..used]);
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
        let (meta, payload) = (response.meta.as_ref(), unhashed_payload(response));
        let after = after_payload(response);
        let of_request = meta_len(request.meta.as_ref()).saturating_add(payload_len(&request.payload));
        let of_response = meta_len(meta)
            .saturating_add(payload_len(payload))
            .saturating_add(after.len());
        let size = of_request.saturating_add(of_response);
        let mut bytes = Vec::with_capacity(size.saturating_add(2 * MAX_KEY));
        begin(REQUEST, of_request, &mut bytes);
        put_meta(request.meta.as_ref(), &mut bytes);
        put_payload(&request.payload, &mut bytes);
        begin(RESPONSE, of_response, &mut bytes);
        put_meta(meta, &mut bytes);
        put_payload(payload, &mut bytes);
        bytes.extend_from_slice(&after);
        let hash = Sha256::digest(&bytes).into();
        Self { bytes, hash }
    }
}

/// Length of the field `meta`; see [`put_meta`].
fn meta_len(meta: Option<&impl Message>) -> usize {
    meta.map_or(2, |meta| message::encoded_len(META, meta))
}

/// The field `meta`: no nullable message in Go, so it is written even when it is missing.
fn put_meta(meta: Option<&impl Message>, bytes: &mut Vec<u8>) {
    match meta {
        Some(meta) => message::encode(META, meta, bytes),
        None => begin(META, 0, bytes),
    }
}

fn payload_len(payload: &Bytes) -> usize {
    match payload.is_empty() {
        true => 0,
        false => prost::encoding::bytes::encoded_len(PAYLOAD, payload),
    }
}

fn put_payload(payload: &Bytes, bytes: &mut Vec<u8>) {
    if !payload.is_empty() {
        prost::encoding::bytes::encode(PAYLOAD, payload, bytes);
    }
}
