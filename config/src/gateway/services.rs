//! What a service needs beyond the defaults.

use std::collections::{BTreeMap, BTreeSet};

use portico_protocol::ServiceId;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::load::Faults;
use crate::servicer::RpcType;

/// Headers that say how bytes travel, which are never passed on.
const OF_TRANSPORT: [&str; 13] = [
    "accept-encoding",
    "connection",
    "content-encoding",
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

/// What a service needs beyond the defaults.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ServiceConfig {
    /// Other names of the service, in paths and in `Target-Service-Id`.
    pub aliases: Vec<String>,
    /// Host names under which only this service is called, without a port, e.g. `eth.rpc.example`.
    pub hosts: Vec<String>,
    /// Kinds of call that the service offers. Empty (the default): what a request speaks is told from the request. With one kind of HTTP
    /// (`json_rpc`, `rest`, `comet_bft`), every request is of that kind.
    pub rpc_types: Vec<RpcType>,
    /// Request headers that are passed on to backends beside those that REST needs, such as `Authorization` where backends want it: suppliers
    /// see them. REST and CometBFT by URI only.
    pub forward_headers: Vec<String>,
    /// Response headers of backends that are passed on beside those that REST needs. REST and CometBFT by URI only.
    pub return_headers: Vec<String>,
    /// How JSON-RPC batches are relayed.
    pub batches: Batches,
}

/// How the JSON-RPC batches of a service are relayed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Batches {
    /// Each call is a relay of its own: several suppliers share a batch, one that fails costs no other call an answer, and nodes that take no
    /// batches answer all the same.
    #[default]
    Split,
    /// A batch is one relay, charged once, which one node answers from one state. Split all the same are batches with an entry that is no
    /// request, that sends a transaction, or that is for another kind of node than the others.
    Whole,
}

/// Reports what is wrong with the settings of `services`; `served` are those that there are.
pub(super) fn validate(
    services: &BTreeMap<ServiceId, ServiceConfig>,
    served: &BTreeSet<ServiceId>,
    faults: &mut Faults,
) {
    let mut names: BTreeSet<&str> = served.iter().map(ServiceId::as_str).collect();
    let mut hosts = BTreeSet::new();
    for (id, service) in services {
        faults.within(&format!("services.{id}"), |faults| {
            faults.expect(served.contains(id), "", "is no application's service");
            for (index, alias) in service.aliases.iter().enumerate() {
                let key = format!("aliases[{index}]");
                faults.expect(
                    is_segment(alias),
                    &key,
                    "must be letters, digits, `-`, `_`, `.` or `~`",
                );
                faults.expect(names.insert(alias), &key, "names another service too");
            }
            for (index, host) in service.hosts.iter().enumerate() {
                let key = format!("hosts[{index}]");
                faults.expect(
                    is_host(host),
                    &key,
                    "must be a host name in lower case, without a port",
                );
                faults.expect(hosts.insert(host.as_str()), &key, "is another service's too");
            }
            service.validate_headers(faults);
        });
    }
}

impl ServiceConfig {
    fn validate_headers(&self, faults: &mut Faults) {
        let lists = [
            ("forward_headers", &self.forward_headers),
            ("return_headers", &self.return_headers),
        ];
        for (list, headers) in lists {
            for (index, header) in headers.iter().enumerate() {
                let key = format!("{list}[{index}]");
                faults.expect(is_token(header), &key, "is not a header name");
                let of_transport = OF_TRANSPORT.iter().any(|name| name.eq_ignore_ascii_case(header));
                faults.expect(
                    !of_transport,
                    &key,
                    "belongs to a connection and is never passed on",
                );
            }
        }
    }
}

/// What may be a path segment as it is.
fn is_segment(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    (1..=128).contains(&text.len()) && text.bytes().all(plain)
}

fn is_host(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte);
    (1..=253).contains(&text.len()) && text.bytes().all(plain)
}

/// A name of a header (RFC 9110 §5.6.2).
fn is_token(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    (1..=128).contains(&text.len()) && text.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_taken_and_headers_of_the_transport_are_refused() {
        let id = |text: &str| ServiceId::new(text).unwrap();
        let text = |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect::<Vec<_>>();
        let eth = ServiceConfig {
            aliases: text(&["ethereum", "pocket", "a/b"]),
            hosts: text(&["eth.example", "Eth.example:80"]),
            forward_headers: text(&["Authorization", "Host", "bad name"]),
            ..ServiceConfig::default()
        };
        let pocket = ServiceConfig {
            aliases: text(&["ethereum"]),
            hosts: text(&["eth.example"]),
            return_headers: text(&["Set-Cookie", "content-encoding"]),
            ..ServiceConfig::default()
        };
        let services = BTreeMap::from([
            (id("eth"), eth),
            (id("pocket"), pocket),
            (id("sol"), ServiceConfig::default()),
        ]);
        let mut faults = Faults::default();
        validate(&services, &[id("eth"), id("pocket")].into(), &mut faults);
        let keys: Vec<_> = faults.found().iter().map(|fault| fault.key.as_str()).collect();
        assert_eq!(
            keys,
            [
                "services.eth.aliases[1]",
                "services.eth.aliases[2]",
                "services.eth.hosts[1]",
                "services.eth.forward_headers[1]",
                "services.eth.forward_headers[2]",
                "services.pocket.aliases[0]",
                "services.pocket.hosts[0]",
                "services.pocket.return_headers[1]",
                "services.sol",
            ]
        );
    }
}
