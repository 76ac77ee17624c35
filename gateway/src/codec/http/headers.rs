//! Which headers go to the backend and which come back from it.
//!
//! Lists of what is passed on, not of what is held back: a header that nobody thought of may be a credential, and suppliers are strangers.
//! What a service needs beyond them is the operator's to name.

use std::borrow::Cow;
use std::collections::BTreeMap;

use http::header::CONNECTION;
use http::{HeaderMap, HeaderName, HeaderValue};
use portico_protocol::wire::sdk::types::Header;
use portico_relay::call::HeaderField;
use portico_relay::headers::{HopByHop, canonical};

/// Request headers that are passed on; in lower case.
const TO_BACKENDS: [&str; 18] = [
    "accept",
    "accept-language",
    "cache-control",
    "content-language",
    "content-type",
    "grpc-encoding",
    "grpc-timeout",
    "idempotency-key",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "last-event-id",
    "pragma",
    "prefer",
    "range",
    "x-cosmos-block-height",
];
/// Response headers that are passed on; in lower case. Not the length, which is the body's once its encoding is undone.
const FROM_BACKENDS: [&str; 19] = [
    "accept-ranges",
    "allow",
    "cache-control",
    "content-disposition",
    "content-language",
    "content-location",
    "content-range",
    "content-type",
    "deprecation",
    "etag",
    "expires",
    "grpc-encoding",
    "grpc-metadata-content-type",
    "grpc-metadata-x-cosmos-block-height",
    "last-modified",
    "link",
    "location",
    "preference-applied",
    "x-cosmos-block-height",
];

/// Which headers of a service are passed on beyond those of every service.
#[derive(Clone, Debug, Default)]
pub(crate) struct Passed {
    /// Of requests.
    pub(crate) to_backends: Vec<HeaderName>,
    /// Of responses.
    pub(crate) from_backends: Vec<HeaderName>,
}

/// The headers of a caller's request that its backend gets.
pub(crate) fn request_headers(headers: &HeaderMap, passed: &Passed) -> Vec<HeaderField> {
    let connection = headers.get_all(CONNECTION).into_iter();
    let hop_by_hop = HopByHop::new(connection.filter_map(|value| value.to_str().ok()));
    let mut fields = Vec::new();
    for (name, value) in headers {
        let wanted = TO_BACKENDS.contains(&name.as_str()) || passed.to_backends.contains(name);
        if !wanted || hop_by_hop.covers(name.as_str()) {
            continue;
        }
        // The payload's headers are text; bytes that are none cannot be said in it.
        if let Ok(value) = std::str::from_utf8(value.as_bytes()) {
            fields.push((Cow::Owned(canonical(name.as_str())), Cow::Owned(value.to_owned())));
        }
    }
    fields
}

impl Passed {
    /// The headers of a backend's response that its caller gets.
    pub(crate) fn response_headers(&self, given: &BTreeMap<String, Header>) -> HeaderMap {
        let hop_by_hop = HopByHop::of_relayed(given);
        let mut headers = HeaderMap::new();
        for (name, header) in given {
            let Ok(name) = HeaderName::try_from(name.as_str()) else {
                continue;
            };
            let wanted = FROM_BACKENDS.contains(&name.as_str()) || self.from_backends.contains(&name);
            if !wanted || hop_by_hop.covers(name.as_str()) {
                continue;
            }
            for value in &header.values {
                if let Ok(value) = HeaderValue::try_from(value.as_str()) {
                    headers.append(name.clone(), value);
                }
            }
        }
        headers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let field = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        fields.iter().map(field).collect()
    }

    #[test]
    fn only_listed_headers_and_no_credentials_reach_a_backend() {
        let headers = map(&[
            ("accept", "application/json"),
            ("authorization", "Bearer secret"),
            ("cookie", "a=b"),
            ("x-api-key", "secret"),
            ("connection", "close, range"),
            ("range", "bytes=0-1"),
            ("content-length", "5"),
            ("host", "gw.example"),
        ]);
        let accept = (Cow::from("Accept"), Cow::from("application/json"));
        assert_eq!(
            request_headers(&headers, &Passed::default()),
            std::slice::from_ref(&accept)
        );
        let passed = Passed {
            to_backends: vec![HeaderName::from_static("authorization")],
            ..Passed::default()
        };
        let authorization = (Cow::from("Authorization"), Cow::from("Bearer secret"));
        assert_eq!(request_headers(&headers, &passed), [accept, authorization]);
    }

    #[test]
    fn only_listed_headers_come_back() {
        let header = |key: &str, values: &[&str]| {
            let values = values.iter().map(|value| (*value).to_owned()).collect();
            (
                key.to_owned(),
                Header {
                    key: key.to_owned(),
                    values,
                },
            )
        };
        let given = BTreeMap::from([
            header("Content-Type", &["text/plain"]),
            header("Set-Cookie", &["a=1", "b=2"]),
            header("Link", &["<a>", "<b>"]),
            header("Connection", &["etag"]),
            header("Etag", &["\"1\""]),
            header("Server", &["node"]),
            header("Content-Length", &["9"]),
            header("Location", &["bad\nvalue"]),
        ]);
        let headers = Passed::default().response_headers(&given);
        assert_eq!(headers.keys().count(), 2, "{headers:?}");
        let links: Vec<_> = headers.get_all("link").iter().collect();
        assert_eq!(links, ["<a>", "<b>"]);
        assert_eq!(headers["content-type"], "text/plain");
        let passed = Passed {
            from_backends: vec![HeaderName::from_static("set-cookie")],
            ..Passed::default()
        };
        assert_eq!(
            passed
                .response_headers(&given)
                .get_all("set-cookie")
                .iter()
                .count(),
            2
        );
    }
}
