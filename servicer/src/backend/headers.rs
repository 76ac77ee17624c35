//! Headers of relays: which are passed on, and what is added.

use std::collections::BTreeMap;

use http::header::{CONNECTION, CONTENT_LENGTH, HOST, TE, TRAILER, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue};
use portico_protocol::wire::pocket::service::RelayRequestMetadata;
use portico_protocol::wire::sdk::types::Header;

/// Headers of one connection, which are not passed on (RFC 9110 §7.6.1), besides those that the client library sets itself.
const NOT_FORWARDED: [&HeaderName; 7] = [
    &CONNECTION,
    &TE,
    &TRAILER,
    &TRANSFER_ENCODING,
    &UPGRADE,
    &HOST,
    &CONTENT_LENGTH,
];
/// More of them, without constants.
const NOT_FORWARDED_NAMES: [&str; 4] = ["expect", "keep-alive", "proxy-connection", "proxy-authorization"];
/// Prefix of the headers that tell a backend about the relay; never taken from a request when they are set by us.
pub(super) const POCKET_PREFIX: &str = "pocket-";

/// Whether a header belongs to one connection only.
pub(super) fn not_forwarded(name: &HeaderName) -> bool {
    NOT_FORWARDED.contains(&name) || NOT_FORWARDED_NAMES.contains(&name.as_str())
}

/// Adds the headers that tell a backend about the relay.
pub(super) fn pocket_headers(meta: &RelayRequestMetadata, headers: &mut HeaderMap) {
    let session = meta.session_header.clone().unwrap_or_default();
    let start = session.session_start_block_height.to_string();
    let end = session.session_end_block_height.to_string();
    let values = [
        ("pocket-supplier", meta.supplier_operator_address.as_str()),
        ("pocket-service", &session.service_id),
        ("pocket-session-id", &session.session_id),
        ("pocket-application", &session.application_address),
        ("pocket-session-start-height", &start),
        ("pocket-session-end-height", &end),
    ];
    for (name, value) in values {
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
}

/// Response headers under their canonical names, sorted, as the Go programs write them.
pub(super) fn relayed_headers(headers: &HeaderMap) -> BTreeMap<String, Header> {
    let mut relayed: BTreeMap<String, Header> = BTreeMap::new();
    for (name, value) in headers {
        if not_forwarded(name) && *name != CONTENT_LENGTH {
            continue;
        }
        let key = canonical(name.as_str());
        let entry = relayed.entry(key.clone()).or_insert_with(|| Header {
            key,
            values: Vec::new(),
        });
        entry
            .values
            .push(String::from_utf8_lossy(value.as_bytes()).into_owned());
    }
    relayed
}

/// `content-type` → `Content-Type`.
fn canonical(name: &str) -> String {
    let mut upper = true;
    let letter = |c: char| {
        let c = if upper { c.to_ascii_uppercase() } else { c };
        upper = c == '-';
        c
    };
    name.chars().map(letter).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_header_names_as_go_does() {
        assert_eq!(canonical("x-request-id"), "X-Request-Id");
        assert_eq!(canonical("etag"), "Etag");
    }
}
