//! Where the chain is: for roles in a process of their own.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::load::Faults;
use crate::tls::ClientTls;

/// RPC and gRPC of a node on this machine.
const LOCAL: [&str; 2] = ["http://127.0.0.1:26657", "http://127.0.0.1:9090"];

/// Longest id that a chain may have (CometBFT), in bytes.
const MAX_CHAIN_ID: usize = 50;

/// A public network, whose endpoints need not be written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Network {
    /// The network with real money.
    Main,
    /// The public test network.
    Beta,
}

impl Network {
    /// RPC and gRPC of the network's public full node. They are the addresses that the network publishes; that they answer was not
    /// verified.
    const fn urls(self) -> [&'static str; 2] {
        match self {
            Self::Main => [
                "https://sauron-rpc.infra.pocket.network",
                "https://sauron-grpc.infra.pocket.network:443",
            ],
            Self::Beta => [
                "https://sauron-rpc.beta.infra.pocket.network",
                "https://sauron-grpc.beta.infra.pocket.network:443",
            ],
        }
    }
}

/// The full nodes that are asked and sent transactions: ours, or any of the network's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ChainConfig {
    /// A public network, which gives `rpc_url` and `grpc_url` their defaults: `main` or `beta`. The addresses are as published, and were not
    /// verified.
    pub network: Option<Network>,
    /// Its CometBFT-style RPC, `http` or `https`. Default: the network's, else <http://127.0.0.1:26657>.
    pub rpc_url: Option<String>,
    /// Its gRPC, `http` or `https`. Default: the network's, else <http://127.0.0.1:9090>.
    pub grpc_url: Option<String>,
    /// What the chain is called, e.g. `pocket`. A node that says another id ends the process, with both ids. Default: not checked.
    pub chain_id: Option<String>,
    /// More nodes of the same chain, asked when the one above does not answer or falls behind. Default none.
    pub fallbacks: Vec<NodeUrls>,
    /// TLS towards all of them, where their URLs are `https`.
    pub tls: ClientTls,
}

/// Both ends of a full node.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NodeUrls {
    /// Its CometBFT-style RPC.
    pub rpc_url: String,
    /// Its gRPC.
    pub grpc_url: String,
}

impl ChainConfig {
    /// CometBFT-style RPC of the first node.
    #[must_use]
    pub fn rpc_url(&self) -> &str {
        let default = || self.network.map_or(LOCAL[0], |network| network.urls()[0]);
        self.rpc_url.as_deref().unwrap_or_else(default)
    }

    /// gRPC of the first node.
    #[must_use]
    pub fn grpc_url(&self) -> &str {
        let default = || self.network.map_or(LOCAL[1], |network| network.urls()[1]);
        self.grpc_url.as_deref().unwrap_or_else(default)
    }

    /// Reports what is no URL, and files that cannot be used.
    pub(crate) fn validate(&self, faults: &mut Faults) {
        check("chain", self.rpc_url(), self.grpc_url(), faults);
        for (index, node) in self.fallbacks.iter().enumerate() {
            let key = format!("chain.fallbacks[{index}]");
            check(&key, &node.rpc_url, &node.grpc_url, faults);
        }
        if let Some(id) = &self.chain_id {
            let printable = id.bytes().all(|byte| byte.is_ascii_graphic());
            faults.expect(
                printable && (1..=MAX_CHAIN_ID).contains(&id.len()),
                "chain.chain_id",
                "must be 1 to 50 visible ASCII characters",
            );
        }
        self.tls.validate("chain.tls", faults);
    }
}

fn check(key: &str, rpc_url: &str, grpc_url: &str, faults: &mut Faults) {
    for (name, url) in [("rpc_url", rpc_url), ("grpc_url", grpc_url)] {
        faults.expect(
            has_host(url),
            &format!("{key}.{name}"),
            "must be an http:// or https:// URL with a host",
        );
    }
}

/// Whether `url` is `http` or `https` and names a host.
pub(crate) fn has_host(url: &str) -> bool {
    has_host_after(["http://", "https://"], url)
}

/// Whether `url` is `ws` or `wss` and names a host.
pub(crate) fn has_websocket_host(url: &str) -> bool {
    has_host_after(["ws://", "wss://"], url)
}

fn has_host_after(schemes: [&str; 2], url: &str) -> bool {
    let rest = schemes.iter().find_map(|scheme| url.strip_prefix(scheme));
    let host = rest.and_then(|rest| rest.split(['/', '?', '#']).next());
    host.is_some_and(|host| !host.is_empty() && !host.starts_with(':') && !host.contains(char::is_whitespace))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_fills_in_what_is_not_named() {
        let local = ChainConfig::default();
        assert_eq!([local.rpc_url(), local.grpc_url()], LOCAL);
        let beta = ChainConfig {
            network: Some(Network::Beta),
            grpc_url: Some("https://own.example:9090".to_owned()),
            ..ChainConfig::default()
        };
        assert_eq!(beta.rpc_url(), "https://sauron-rpc.beta.infra.pocket.network");
        assert_eq!(beta.grpc_url(), "https://own.example:9090");
    }

    #[test]
    fn a_url_names_a_scheme_and_a_host() {
        for url in ["http://a", "https://a:1/x?y", "http://[::1]:80"] {
            assert!(has_host(url), "{url}");
        }
        for url in [
            "http://",
            "https:///x",
            "http://:80",
            "ws://a",
            "a:9090",
            "http://a b",
        ] {
            assert!(!has_host(url), "{url}");
        }
    }
}
