//! What comes over the relay path: requests, responses, rings, HTTP messages.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use bytes::Bytes;
use portico_protocol::http_payload::{decode_http_request, decode_http_response};
use portico_protocol::relay::{
    MinedRelay, validate_request_basic, validate_response_basic, verify_request_signature, verify_response,
};
use portico_protocol::ring::RingSignature;
use portico_protocol::wire::pocket::service::{Relay, RelayRequest, RelayResponse};
use portico_protocol::wire::sdk::types::{PokthttpRequest, PokthttpResponse};
use portico_protocol::{Address, PublicKey, SigningKey};
use prost::Message;

use crate::{decoded, head};

/// One of this many inputs with a well-formed ring is verified: a hundred times the price of reading one.
const VERIFIED_ONE_IN: u8 = 16;
/// Members of a ring up to which it is verified.
const MAX_VERIFIED: usize = 4;

static SUPPLIER: LazyLock<PublicKey> =
    LazyLock::new(|| SigningKey::from_bytes(&[7; 32]).expect("a scalar").public_key());

/// A relay request, as a servicer takes it in: read, checked, its ring compared and (sometimes) verified.
pub fn relay_request(data: &[u8]) {
    let Some(request) = decoded::<RelayRequest>(data) else {
        return;
    };
    if validate_request_basic(&request).is_err() {
        return;
    }
    let meta = request.meta.as_ref().expect("checked");
    let strangers = verify_request_signature(&request, &BTreeSet::new());
    assert!(strangers.is_err(), "no ring fits an empty group");
    let Ok(keys) = RingSignature::embedded_keys(&meta.signature) else {
        return;
    };
    let expected: BTreeSet<Address> = keys.map(Address::of_key).collect();
    if expected.len() <= MAX_VERIFIED && chosen(data) {
        drop(verify_request_signature(&request, &expected));
    }
}

/// A relay response, as a gateway takes it in.
pub fn relay_response(data: &[u8]) {
    let Some(response) = decoded::<RelayResponse>(data) else {
        return;
    };
    if validate_response_basic(&response).is_err() {
        return;
    }
    let header = response
        .meta
        .as_ref()
        .and_then(|meta| meta.session_header.clone());
    let header = header.expect("checked");
    assert!(
        verify_response(&response, &header, &SUPPLIER).is_err(),
        "nobody signed this"
    );
}

/// A mined relay: a leaf's value, in a proof or in the servicer's log.
pub fn mined_relay(data: &[u8]) {
    let Some(relay) = decoded::<Relay>(data) else {
        return;
    };
    let (Some(request), Some(response)) = (&relay.req, &relay.res) else {
        return;
    };
    let mined = MinedRelay::new(request, response);
    let again = Relay::decode(mined.bytes.as_slice()).expect("our own bytes");
    let (request, response) = (again.req.expect("kept"), again.res.expect("kept"));
    assert_eq!(MinedRelay::new(&request, &response).hash, mined.hash);
}

/// 32 bytes of message, then a serialized ring signature.
pub fn ring(data: &[u8]) {
    let Some((message, bytes)) = head::<32>(data) else {
        return;
    };
    let Ok(signature) = RingSignature::parse(bytes) else {
        return;
    };
    let canonical = signature.to_bytes();
    assert_eq!(canonical.len(), bytes.len());
    if signature.keys().len() > MAX_VERIFIED || !chosen(data) {
        return;
    }
    let again = RingSignature::parse(&canonical).expect("our own bytes");
    assert_eq!(again.to_bytes(), canonical);
    assert_eq!(again.verify(message), signature.verify(message));
    let mut other = *message;
    other[31] ^= 1;
    assert!(signature.verify(&other).is_err() || signature.verify(message).is_err());
}

/// The HTTP messages within relays, both ways.
pub fn http_payload(data: &[u8]) {
    decoded::<PokthttpRequest>(data);
    decoded::<PokthttpResponse>(data);
    let payload = Bytes::copy_from_slice(data);
    drop(decode_http_request(&payload));
    drop(decode_http_response(&payload));
}

/// Decides by the bytes themselves, so that a finding is found again.
fn chosen(data: &[u8]) -> bool {
    data.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte)) % VERIFIED_ONE_IN == 0
}
