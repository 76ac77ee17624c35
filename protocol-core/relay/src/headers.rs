//! Names of HTTP headers: which belong to one connection only, and how the network's programs write them.

use std::collections::BTreeMap;

use portico_protocol::wire::sdk::types::Header;

/// Headers of one connection (RFC 9110 §7.6.1), and those by which a connection is set up or a body is framed; in lower case.
const OF_A_CONNECTION: [&str; 11] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Which headers of a message are not passed on: those of its connection, and those that its `Connection` header names.
#[derive(Clone, Debug, Default)]
pub struct HopByHop(Vec<String>);

impl HopByHop {
    /// `connection` are the values of the message's `Connection` headers.
    pub fn new<'v>(connection: impl IntoIterator<Item = &'v str>) -> Self {
        let names = connection.into_iter().flat_map(|value| value.split(','));
        let names = names.map(|name| name.trim().to_ascii_lowercase());
        Self(names.filter(|name| !name.is_empty()).collect())
    }

    /// Of a message as a relay carries it, whose names may be in any case.
    #[must_use]
    pub fn of_relayed(headers: &BTreeMap<String, Header>) -> Self {
        let named = headers
            .iter()
            .filter(|(name, _)| name.eq_ignore_ascii_case("connection"));
        Self::new(named.flat_map(|(_, header)| header.values.iter().map(String::as_str)))
    }

    /// Whether the header `name`, in any case, is not passed on.
    #[must_use]
    pub fn covers(&self, name: &str) -> bool {
        let same = |other: &str| other.eq_ignore_ascii_case(name);
        is_of_a_connection(name) || self.0.iter().any(|named| same(named))
    }
}

/// Whether the header `name`, in any case, belongs to one connection whatever a message says.
#[must_use]
pub fn is_of_a_connection(name: &str) -> bool {
    OF_A_CONNECTION
        .iter()
        .any(|other| other.eq_ignore_ascii_case(name))
}

/// A name as Go's programs write it: `content-type` → `Content-Type`.
#[must_use]
pub fn canonical(name: &str) -> String {
    let mut upper = true;
    let letter = |c: char| {
        let c = match upper {
            true => c.to_ascii_uppercase(),
            false => c.to_ascii_lowercase(),
        };
        upper = c == '-';
        c
    };
    name.chars().map(letter).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_of_the_connection_and_those_that_it_names_are_not_passed_on() {
        let hop_by_hop = HopByHop::new(["close, X-Hop", " x-other ,,"]);
        for name in ["Connection", "TE", "x-hop", "X-OTHER", "content-length", "Host"] {
            assert!(hop_by_hop.covers(name), "{name}");
        }
        for name in ["", "X-Hopped", "Content-Type", "close-not"] {
            assert!(!hop_by_hop.covers(name), "{name}");
        }
        assert!(!HopByHop::default().covers("x-hop"));
    }

    #[test]
    fn writes_names_as_go_does() {
        for (name, written) in [
            ("x-request-id", "X-Request-Id"),
            ("ETag", "Etag"),
            ("content-TYPE", "Content-Type"),
        ] {
            assert_eq!(canonical(name), written);
        }
    }
}
