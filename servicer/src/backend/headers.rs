//! Headers of relays: which are passed on, and what is added.

use std::collections::BTreeMap;

use http::header::{ACCEPT_ENCODING, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue};
use portico_protocol::wire::pocket::service::RelayRequestMetadata;
use portico_protocol::wire::sdk::types::Header;
use portico_relay::headers::{HopByHop, canonical};

use super::methods::Pattern;

/// Prefix of the headers that tell a backend about the relay; never taken from a request when they are set by us.
const POCKET_PREFIX: &str = "pocket-";

/// Credentials, which are passed on only where they are named.
const CREDENTIALS: [&str; 4] = ["authorization", "cookie", "proxy-authorization", "set-cookie"];

/// Which headers are passed on.
#[derive(Clone, Debug)]
pub(super) struct Allowed(Option<Vec<Pattern>>);

impl Allowed {
    /// As configured; `None` is all but credentials.
    pub(super) fn new(config: Option<&[String]>) -> Self {
        let pattern = |text: &String| Pattern::new(&text.to_ascii_lowercase());
        Self(config.map(|list| list.iter().map(pattern).collect()))
    }

    fn allows(&self, name: &HeaderName) -> bool {
        let name = name.as_str();
        let is_credential = CREDENTIALS.contains(&name);
        match &self.0 {
            None => !is_credential,
            Some(list) => list
                .iter()
                .any(|pattern| pattern.matches(name) && (!is_credential || pattern.is_whole())),
        }
    }
}

/// Headers of a relayed request for its backend. Encodings are not the client's to ask for: the answer is signed as its reader gets it.
pub(super) fn forwarded(
    relayed: BTreeMap<String, Header>,
    allowed: &Allowed,
    without_pocket: bool,
) -> HeaderMap {
    let hop_by_hop = HopByHop::of_relayed(&relayed);
    let mut headers = HeaderMap::new();
    for (key, header) in relayed {
        let Ok(name) = HeaderName::try_from(key.as_str()) else {
            continue;
        };
        let ours = without_pocket && name.as_str().starts_with(POCKET_PREFIX);
        if ours || name == ACCEPT_ENCODING || hop_by_hop.covers(name.as_str()) || !allowed.allows(&name) {
            continue;
        }
        for value in header.values {
            if let Ok(value) = HeaderValue::try_from(value) {
                headers.append(name.clone(), value);
            }
        }
    }
    headers
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

/// Response headers under their canonical names, sorted, as the Go programs write them. `decoded` is the length of a body that was encoded
/// and is not any more.
pub(super) fn relayed_headers(
    headers: &HeaderMap,
    decoded: Option<usize>,
    allowed: &Allowed,
) -> BTreeMap<String, Header> {
    let connection = headers.get_all(CONNECTION).into_iter();
    let hop_by_hop = HopByHop::new(connection.filter_map(|value| value.to_str().ok()));
    let mut relayed: BTreeMap<String, Header> = BTreeMap::new();
    for (name, value) in headers {
        let is_of_message = *name == CONTENT_LENGTH || *name == CONTENT_TYPE;
        let passes = is_of_message || (!hop_by_hop.covers(name.as_str()) && allowed.allows(name));
        if !passes {
            continue;
        }
        let value = match decoded {
            Some(_) if *name == CONTENT_ENCODING => continue,
            Some(length) if *name == CONTENT_LENGTH => length.to_string(),
            _ => String::from_utf8_lossy(value.as_bytes()).into_owned(),
        };
        let key = canonical(name.as_str());
        let entry = relayed.entry(key.clone()).or_insert_with(|| Header {
            key,
            values: Vec::new(),
        });
        entry.values.push(value);
    }
    relayed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(key: &str, values: &[&str]) -> (String, Header) {
        let values = values.iter().map(|value| (*value).to_owned()).collect();
        let key = key.to_owned();
        (key.clone(), Header { key, values })
    }

    #[test]
    fn headers_that_connection_names_are_not_passed_on() {
        let relayed = BTreeMap::from([
            header("connection", &["close, X-Hop", "x-other"]),
            header("X-Hop", &["1"]),
            header("X-Other", &["2"]),
            header("X-Kept", &["3"]),
            header("Accept-Encoding", &["gzip, br"]),
        ]);
        let headers = forwarded(relayed, &Allowed::new(None), true);
        assert_eq!(headers.len(), 1, "{headers:?}");
        assert_eq!(headers["x-kept"], "3");

        let mut answered = HeaderMap::new();
        answered.insert("connection", HeaderValue::from_static("x-hop"));
        answered.insert("x-hop", HeaderValue::from_static("1"));
        answered.insert("content-length", HeaderValue::from_static("5"));
        answered.insert("content-encoding", HeaderValue::from_static("gzip"));
        let relayed = relayed_headers(&answered, Some(9), &Allowed::new(None));
        assert_eq!(relayed.keys().collect::<Vec<_>>(), ["Content-Length"]);
        assert_eq!(relayed["Content-Length"].values, ["9"]);
    }

    #[test]
    fn credentials_pass_where_they_are_named_and_others_as_listed() {
        let names = |allowed: Option<&[&str]>| {
            let allowed: Option<Vec<String>> =
                allowed.map(|list| list.iter().map(|&name| name.to_owned()).collect());
            let relayed = ["Authorization", "Cookie", "X-Api-One", "X-Other", "Accept"];
            let relayed = relayed.iter().map(|name| header(name, &["v"])).collect();
            let headers = forwarded(relayed, &Allowed::new(allowed.as_deref()), false);
            let mut names: Vec<String> = headers.keys().map(ToString::to_string).collect();
            names.sort();
            names.join(" ")
        };
        assert_eq!(names(None), "accept x-api-one x-other");
        assert_eq!(names(Some(&[])), "");
        assert_eq!(names(Some(&["*"])), "accept x-api-one x-other");
        assert_eq!(
            names(Some(&["X-Api-*", "Authorization"])),
            "authorization x-api-one"
        );

        let mut answered = HeaderMap::new();
        for name in ["set-cookie", "content-type", "x-a", "etag"] {
            answered.insert(name, HeaderValue::from_static("v"));
        }
        let keys = |allowed: Option<&[String]>| {
            let relayed = relayed_headers(&answered, None, &Allowed::new(allowed));
            relayed.into_keys().collect::<Vec<_>>().join(" ")
        };
        assert_eq!(keys(None), "Content-Type Etag X-A");
        assert_eq!(keys(Some(&["set-cookie".to_owned()])), "Content-Type Set-Cookie");
    }

    #[test]
    fn writes_header_names_as_go_does() {
        assert_eq!(canonical("x-request-id"), "X-Request-Id");
        assert_eq!(canonical("etag"), "Etag");
    }
}
