//! Payloads against bytes of the Go implementation.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::*;
use portico_vectors::{Hex, counted};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RequestCase {
    name: String,
    method: String,
    url: String,
    header: BTreeMap<String, HeaderCase>,
    body: Hex,
    bytes: Hex,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ResponseCase {
    name: String,
    status_code: u16,
    header: BTreeMap<String, HeaderCase>,
    body: Hex,
    bytes: Hex,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HeaderCase {
    key: String,
    values: Vec<String>,
}

/// Name and value of each header line, names in lower case and the lines of different names mixed, as HTTP brings them.
fn lines(header: &BTreeMap<String, HeaderCase>) -> Vec<(String, String)> {
    let most = header.values().map(|entry| entry.values.len()).max().unwrap_or(0);
    (0..most)
        .flat_map(|nth| {
            header.iter().rev().filter_map(move |(name, entry)| {
                assert_eq!(*name, entry.key);
                Some((name.to_lowercase(), entry.values.get(nth)?.clone()))
            })
        })
        .collect()
}

fn same(ours: &BTreeMap<String, Header>, theirs: &BTreeMap<String, HeaderCase>) -> bool {
    ours.len() == theirs.len()
        && ours.iter().all(|(name, header)| {
            let case = &theirs[name];
            header.key == case.key && header.values == case.values
        })
}

/// Checks the sections of `relay.json` that are about payloads.
pub(crate) fn agrees_with_go(requests: &[RequestCase], responses: &[ResponseCase]) {
    for case in requests {
        let bytes = encode_http_request(
            &case.method,
            &case.url,
            lines(&case.header),
            case.body.0.clone().into(),
        );
        assert_eq!(bytes, case.bytes.0, "{}", case.name);
        let decoded = decode_http_request(&bytes).unwrap();
        assert_eq!(decoded.method, case.method);
        assert_eq!(decoded.url, case.url);
        assert_eq!(decoded.body_bz, case.body.0);
        assert!(same(&decoded.header, &case.header), "{}", case.name);
    }
    counted("relay.json", "pokt_http_request", requests.len());
    for case in responses {
        let bytes = encode_http_response(case.status_code, lines(&case.header), case.body.0.clone().into());
        assert_eq!(bytes, case.bytes.0, "{}", case.name);
        let decoded = decode_http_response(&bytes).unwrap();
        assert_eq!(decoded.status_code, u32::from(case.status_code));
        assert_eq!(decoded.body_bz, case.body.0);
        assert!(same(&decoded.header, &case.header), "{}", case.name);
    }
    counted("relay.json", "pokt_http_response", responses.len());
}

#[test]
fn the_body_of_a_decoded_payload_is_not_copied() {
    let payload = encode_http_response(200, [("a", "b")], Bytes::from_static(b"a body"));
    let body = decode_http_response(&payload).unwrap().body_bz;
    assert!(payload.as_ptr_range().contains(&body.as_ptr()));
}

#[test]
fn header_names_become_canonical_as_in_go() {
    for (name, expected) in [
        ("content-type", "Content-Type"),
        ("CONTENT-TYPE", "Content-Type"),
        ("eTag", "Etag"),
        ("x--y", "X--Y"),
        ("-a", "-A"),
        ("x_y-z1z", "X_y-Z1z"),
        ("", ""),
        ("with space", "with space"),
        ("ünit", "ünit"),
        ("a:b", "a:b"),
    ] {
        assert_eq!(canonical(name), expected, "{name:?}");
    }
}

#[test]
fn refuses_bytes_that_are_no_message() {
    for bytes in [&b"\xff"[..], b"\x0a\x05ab", b"\x12\x02\x0a\xff"] {
        assert!(decode_http_request(&Bytes::copy_from_slice(bytes)).is_err());
    }
    assert!(
        decode_http_response(&Bytes::from_static(b"\x0a\x01a")).is_err(),
        "a status is a number"
    );
}
