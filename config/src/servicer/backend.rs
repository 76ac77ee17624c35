//! The nodes behind a service: where they are, how they are checked, how much is asked of them.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::Deserialize;

use super::{RpcType, ServiceConfig};
use crate::chain::{has_host, has_websocket_host};
use crate::secret::Secret;
use crate::tls::ClientTls;

/// Most nodes behind a service for one RPC type.
const MAX_NODES: usize = 16;
/// Most classes of methods of a service.
const MAX_CLASSES: usize = 16;
/// Longest name of a node or of a class, in characters; both are labels of metrics.
const MAX_NAME: usize = 40;
/// Class of every method that no configured class names.
pub const DEFAULT_CLASS: &str = "default";

/// The nodes that answer relays of an RPC type: either `url` for one node, or `nodes` for several.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BackendConfig {
    /// `http://` or `https://` URL of the only node; its path is put before, its query parameters are added to those of the request. Below
    /// `rpc_types.websocket`: the `ws://` or `wss://` URL that connections are opened at, as it is.
    pub url: String,
    /// Several nodes, at most 16. Relays go to those that are healthy, by weight.
    pub nodes: Vec<NodeConfig>,
    /// Headers set on each request to each node; they replace those of the request. For WebSockets: on each handshake.
    pub headers: BTreeMap<String, Secret>,
    /// HTTP basic authentication.
    pub basic_auth: Option<BasicAuth>,
    /// Adds `Pocket-Supplier`, `Pocket-Service`, `Pocket-Session-Id`, `Pocket-Application`, `Pocket-Session-Start-Height` and
    /// `Pocket-Session-End-Height`. Default false.
    pub forward_pocket_headers: bool,
    /// Headers of requests that are passed on: names, or beginnings with a `*` behind. Default: all but `Authorization`, `Cookie` and
    /// `Proxy-Authorization`, which have to be named here. Headers of one connection are never passed on.
    pub forward_headers: Option<Vec<String>>,
    /// Headers of answers that are passed back, as in `forward_headers`. Default: all but `Set-Cookie`.
    pub return_headers: Option<Vec<String>>,
    /// TLS towards nodes whose URLs are `https` or `wss`.
    pub tls: ClientTls,
    /// How the nodes are checked. Default: not at all. WebSocket nodes are judged by the connections that they take, and not checked.
    pub health: HealthConfig,
    /// When a node that fails relays is left alone.
    pub breaker: BreakerConfig,
}

/// One of several nodes.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct NodeConfig {
    /// URL, as `backend.url`.
    pub url: String,
    /// Name in logs, metrics and `/ready`. Default: host and port of the URL.
    pub name: Option<String>,
    /// Share of the relays, 0 to 1000; 0 is asked only when no other node can be. Default 1.
    #[schemars(default = "one")]
    #[serde(default = "one")]
    pub weight: u32,
    /// Headers beside those of the backend, for this node alone.
    pub headers: BTreeMap<String, Secret>,
    /// HTTP basic authentication instead of the backend's.
    pub basic_auth: Option<BasicAuth>,
}

/// How nodes are checked.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HealthConfig {
    /// What a node is asked. Default `none`.
    pub check: HealthCheck,
    /// Path and query that a check of kind `http` asks for. Default `/`.
    pub path: String,
    /// Text that the answer to a check of kind `http` must contain. Default: any answer with a status of 200 to 299 will do.
    pub contains: Option<String>,
    /// The chain that the nodes must be of: EVM's chain id in decimal, CometBFT's network, Solana's genesis hash. Default: that of most
    /// nodes by weight, the first of them where that leaves it open.
    pub chain_id: Option<String>,
    /// Blocks (Solana: slots) by which a node may be behind the highest of its peers. Default 10.
    pub max_behind_blocks: u64,
    /// Blocks below the lowest head at which the hashes of all nodes are compared; deep enough not to see reorganisations. Default 20.
    pub compare_depth_blocks: u64,
    /// Milliseconds between two rounds of checks; at least 100. Default 10000.
    pub interval_ms: u64,
    /// Milliseconds that an answer to a check may take. Default 3000.
    pub timeout_ms: u64,
    /// Failed checks in a row after which a node is not asked any more. Default 3.
    pub fall: u32,
    /// Good checks in a row after which such a node is asked again. Default 2.
    pub rise: u32,
    /// Good checks in a row after which a node is asked again that was behind its peers, syncing, or of another chain. Default 5.
    pub probation: u32,
}

impl Default for HealthConfig {
    fn default() -> Self {
        Self {
            check: HealthCheck::None,
            path: "/".to_owned(),
            contains: None,
            chain_id: None,
            max_behind_blocks: 10,
            compare_depth_blocks: 20,
            interval_ms: 10_000,
            timeout_ms: 3_000,
            fall: 3,
            rise: 2,
            probation: 5,
        }
    }
}

/// What a node is asked to see how it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HealthCheck {
    /// Nothing.
    #[default]
    None,
    /// `eth_blockNumber`, `eth_chainId`, `eth_syncing`, and the hash of a block.
    Evm,
    /// `getHealth`, `getSlot` and `getGenesisHash`.
    Solana,
    /// `/status`, and the hash of a block by `/commit`.
    CometBft,
    /// GET of a path.
    Http,
}

/// When a node that fails relays is left alone: after `failures` in a row for `pause_ms`, then one relay tries it, and each failure of such
/// a trial doubles the pause.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BreakerConfig {
    /// Relays in a row that the node did not answer, or with 502, 503 or 504; 0 switches the breaker off. Default 5.
    pub failures: u32,
    /// Milliseconds of the first pause. Default 1000.
    pub pause_ms: u64,
    /// Milliseconds of the longest pause. Default 60000.
    pub max_pause_ms: u64,
}

impl Default for BreakerConfig {
    fn default() -> Self {
        Self {
            failures: 5,
            pause_ms: 1_000,
            max_pause_ms: 60_000,
        }
    }
}

/// Methods with bounds of their own.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MethodClass {
    /// JSON-RPC methods, or paths (beginning with `/`) of other requests: whole, or beginnings with a `*` behind. At least one.
    pub methods: Vec<String>,
    /// Milliseconds a backend may take for a whole answer. Default: the service's.
    pub timeout_ms: Option<u64>,
    /// Calls of the class in progress at a time. Default: as many as of the service.
    pub max_in_flight: Option<usize>,
}

/// User name and password of a backend.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BasicAuth {
    /// User name.
    pub username: String,
    /// Password.
    pub password: Secret,
}

/// Which URLs nodes may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Urls {
    Http,
    WebSocket,
}

impl Urls {
    pub(super) const fn of(rpc_type: RpcType) -> Self {
        match rpc_type {
            RpcType::Websocket => Self::WebSocket,
            _ => Self::Http,
        }
    }

    fn takes(self, url: &str) -> bool {
        match self {
            Self::Http => has_host(url),
            Self::WebSocket => has_websocket_host(url),
        }
    }

    const fn wants(self) -> &'static str {
        match self {
            Self::Http => "must be an http:// or https:// URL with a host",
            Self::WebSocket => "must be a ws:// or wss:// URL with a host",
        }
    }
}

const fn one() -> u32 {
    1
}

impl BackendConfig {
    /// A node at `url`, without headers or authentication.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            ..Self::default()
        }
    }

    /// The nodes with their keys below the backend's (`""` for that of `url`).
    #[must_use]
    pub fn all_nodes(&self) -> Vec<(String, NodeConfig)> {
        if self.nodes.is_empty() {
            return vec![(String::new(), NodeConfig::new(&self.url))];
        }
        let keyed = |(index, node): (usize, &NodeConfig)| (format!(".nodes[{index}]"), node.clone());
        self.nodes.iter().enumerate().map(keyed).collect()
    }

    pub(super) fn check(&self, key: &str, urls: Urls, check: &mut impl FnMut(bool, &str, &str)) {
        if self.nodes.is_empty() {
            check(urls.takes(&self.url), &format!("{key}.url"), urls.wants());
        } else {
            check(
                self.url.is_empty(),
                &format!("{key}.url"),
                "is for one node, and nodes for several: give one of the two",
            );
            self.check_nodes(key, urls, check);
        }
        if urls == Urls::WebSocket {
            self.check_websocket(key, check);
        }
        for (name, list) in [
            ("forward_headers", &self.forward_headers),
            ("return_headers", &self.return_headers),
        ] {
            let plain = |text: &str| {
                text.chars()
                    .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
            };
            let is_header =
                |pattern: &String| !pattern.is_empty() && plain(pattern.strip_suffix('*').unwrap_or(pattern));
            check(
                list.iter().flatten().all(is_header),
                &format!("{key}.{name}"),
                "must be names of headers, or beginnings with a * behind",
            );
        }
        self.health.check_keys(&format!("{key}.health"), check);
        let breaker = &self.breaker;
        check(
            breaker.pause_ms > 0 && breaker.pause_ms <= breaker.max_pause_ms,
            &format!("{key}.breaker.pause_ms"),
            "must be at least 1 and no more than max_pause_ms",
        );
    }

    /// What makes no sense where there are no requests.
    fn check_websocket(&self, key: &str, check: &mut impl FnMut(bool, &str, &str)) {
        check(
            self.health.check == HealthCheck::None,
            &format!("{key}.health.check"),
            "must be none: WebSocket nodes are judged by the connections that they take",
        );
        for (name, list) in [
            ("forward_headers", &self.forward_headers),
            ("return_headers", &self.return_headers),
        ] {
            check(
                list.is_none(),
                &format!("{key}.{name}"),
                "is for HTTP: a message of a WebSocket has no headers",
            );
        }
    }

    fn check_nodes(&self, key: &str, urls: Urls, check: &mut impl FnMut(bool, &str, &str)) {
        check(
            self.nodes.len() <= MAX_NODES,
            &format!("{key}.nodes"),
            "must be at most 16 nodes",
        );
        check(
            self.nodes.iter().any(|node| node.weight > 0),
            &format!("{key}.nodes"),
            "must have a node whose weight is not 0",
        );
        let mut names = BTreeSet::new();
        for (index, node) in self.nodes.iter().enumerate() {
            let key = format!("{key}.nodes[{index}]");
            check(urls.takes(&node.url), &format!("{key}.url"), urls.wants());
            check(node.weight <= 1000, &format!("{key}.weight"), "must be 0 to 1000");
            if let Some(name) = &node.name {
                check(
                    is_name(name),
                    &format!("{key}.name"),
                    "must be 1 to 40 letters, digits, and any of . _ - :",
                );
            }
            check(
                names.insert(node.label()),
                &format!("{key}.name"),
                "must tell the node from the others: give each a name of its own",
            );
        }
    }
}

impl NodeConfig {
    /// A node at `url`, without a name.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            weight: 1,
            ..Self::default()
        }
    }

    /// Name in logs and metrics: never the URL, whose path or query may be a secret.
    #[must_use]
    pub fn label(&self) -> String {
        if let Some(name) = &self.name {
            return name.clone();
        }
        let rest = self.url.split_once("://").map_or(&*self.url, |(_, rest)| rest);
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let host = authority.rsplit('@').next().unwrap_or_default();
        host.chars().take(MAX_NAME).collect()
    }
}

impl HealthConfig {
    fn check_keys(&self, key: &str, check: &mut impl FnMut(bool, &str, &str)) {
        let mut number =
            |holds: bool, name: &str, message: &str| check(holds, &format!("{key}.{name}"), message);
        number(self.interval_ms >= 100, "interval_ms", "must be at least 100");
        number(self.timeout_ms > 0, "timeout_ms", "must be at least 1");
        for (name, count) in [
            ("fall", self.fall),
            ("rise", self.rise),
            ("probation", self.probation),
        ] {
            number((1..=1000).contains(&count), name, "must be 1 to 1000");
        }
        number(
            self.path.starts_with('/') && !self.path.contains(char::is_whitespace),
            "path",
            "must begin with / and have no spaces",
        );
        let of_chain = !matches!(self.check, HealthCheck::None | HealthCheck::Http);
        number(
            of_chain || self.chain_id.is_none(),
            "chain_id",
            "needs a check that asks for it: evm, solana or comet_bft",
        );
        let decimal = |id: &String| id.parse::<u64>().is_ok();
        number(
            self.check != HealthCheck::Evm || self.chain_id.as_ref().is_none_or(decimal),
            "chain_id",
            "must be a decimal number",
        );
        let of_http = self.check == HealthCheck::Http;
        number(
            of_http || (self.path == "/" && self.contains.is_none()),
            "path",
            "path and contains are for the check http",
        );
    }
}

impl MethodClass {
    fn check(&self, key: &str, check: &mut impl FnMut(bool, &str, &str)) {
        check(
            !self.methods.is_empty(),
            &format!("{key}.methods"),
            "must name at least one method or path",
        );
        for pattern in &self.methods {
            check(
                is_pattern(pattern),
                &format!("{key}.methods"),
                "must be methods or paths, or beginnings of them with a * behind",
            );
        }
        check(
            self.timeout_ms != Some(0),
            &format!("{key}.timeout_ms"),
            "must be at least 1",
        );
        check(
            self.max_in_flight != Some(0),
            &format!("{key}.max_in_flight"),
            "must be at least 1",
        );
    }
}

impl ServiceConfig {
    /// Whether there is a backend for types without an entry of their own.
    #[must_use]
    pub fn has_backend(&self) -> bool {
        self.backend != BackendConfig::default()
    }

    /// The backends that there are, with their keys below the service's.
    pub fn backends(&self) -> impl Iterator<Item = (String, Option<RpcType>, &BackendConfig)> {
        let default = self
            .has_backend()
            .then(|| ("backend".to_owned(), None, &self.backend));
        let by_type = self
            .rpc_types
            .iter()
            .map(|(rpc_type, backend)| (format!("rpc_types.{}", rpc_type.name()), Some(*rpc_type), backend));
        default.into_iter().chain(by_type)
    }

    pub(super) fn check_methods(&self, key: &str, check: &mut impl FnMut(bool, &str, &str)) {
        check(
            self.max_in_flight != Some(0),
            &format!("{key}.max_in_flight"),
            "must be at least 1",
        );
        check(
            self.method_classes.len() <= MAX_CLASSES,
            &format!("{key}.method_classes"),
            "must be at most 16 classes",
        );
        for (name, class) in &self.method_classes {
            let key = format!("{key}.method_classes.{name}");
            check(
                is_name(name) && name != DEFAULT_CLASS,
                &key,
                "must have a name of 1 to 40 letters, digits, and any of . _ - : that is not \"default\"",
            );
            class.check(&key, check);
        }
        for pattern in &self.read_methods {
            check(
                is_pattern(pattern),
                &format!("{key}.read_methods"),
                "must be methods, or beginnings of them with a * behind",
            );
        }
    }
}

fn is_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-:".contains(c);
    (1..=MAX_NAME).contains(&name.len()) && name.chars().all(plain)
}

fn is_pattern(pattern: &str) -> bool {
    let text = pattern.strip_suffix('*').unwrap_or(pattern);
    !pattern.is_empty() && !text.contains(|c: char| c == '*' || c.is_whitespace())
}

#[cfg(test)]
mod tests;
