//! Configuration of the servicer: `portico servicer` and the servicer of a local network.
//!
//! ```yaml
//! listen: 127.0.0.1:8081
//! data_dir: servicer-data
//! suppliers:
//!   - file: keys/supplier1.hex
//! services:
//!   eth:
//!     backend: {url: "http://127.0.0.1:8545"}
//! ```

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use portico_protocol::ServiceId;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::chain::ChainConfig;
use crate::keys::KeyFile;
use crate::listener::ListenerConfig;
use crate::load::{Config, Environment, Faults};
use crate::secret::Secret;
use crate::tls::ServerTls;
use crate::traces::TracesConfig;
use crate::usable;

mod backend;

use self::backend::Urls;
pub use self::backend::{
    BackendConfig, BasicAuth, BreakerConfig, DEFAULT_CLASS, HealthCheck, HealthConfig, MethodClass,
    NodeConfig,
};

/// The whole configuration of a servicer.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ServicerConfig {
    /// Address and port of the relay endpoint. Default 127.0.0.1:8081; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The chain that is asked, for a servicer in a process of its own. Default: a node on this machine.
    pub chain: ChainConfig,
    /// Address and port for `/metrics`, `/ledger`, `/leaves` and `/backup`. Without it `/metrics` is answered on `listen`, and the others too as
    /// long as that is a loopback address.
    pub admin_listen: Option<SocketAddr>,
    /// Folder of the leaf log, the only state a servicer keeps. Default `servicer-data`.
    pub data_dir: PathBuf,
    /// Operator keys of the suppliers served by this process, 64 hexadecimal characters each; at least one.
    pub suppliers: Vec<Secret>,
    /// More operator keys: files of 64 hexadecimal characters, key files of the HA relay miner, or folders of them. They are added to
    /// `suppliers`.
    pub key_files: Vec<KeyFile>,
    /// Keys of suppliers that are on their way out, as in `key_files`: no relay is served for them any more, and what they served is claimed
    /// and proved. A key may be deleted once `portico servicer ledger` shows nothing of it that is not settled.
    pub draining_key_files: Vec<KeyFile>,
    /// The keys of `draining_key_files`.
    #[serde(skip)]
    #[schemars(skip)]
    pub draining: Vec<Secret>,
    /// Services by id; at least one.
    #[schemars(with = "BTreeMap<String, ServiceConfig>")]
    pub services: BTreeMap<ServiceId, ServiceConfig>,
    /// The guard against serving more than an application can pay for.
    pub meter: MeterConfig,
    /// Claim and proof transactions.
    pub tx: TxConfig,
    /// Simulated relays, as a part of `/ready`.
    pub simulation: SimulationConfig,
    /// Bounds of queues and pools.
    pub limits: LimitsConfig,
    /// Time-outs and bounds of clients' connections, at `listen` and at `admin_listen`.
    pub listener: ListenerConfig,
    /// Traces of relays. Default: none.
    pub traces: TracesConfig,
    /// Serves `listen` by TLS. Default: without.
    pub tls: Option<ServerTls>,
    /// Refuses to start while another process on this machine uses the key of one of the suppliers: two that claim with one key cost stake. False
    /// where the other one is of another chain. Default true.
    pub lock_keys: bool,
    /// Blocks for which the leaves of a settled or expired session are kept. Default 120.
    pub keep_leaves_blocks: u32,
}

impl Default for ServicerConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8081)),
            chain: ChainConfig::default(),
            admin_listen: None,
            data_dir: PathBuf::from("servicer-data"),
            suppliers: Vec::new(),
            key_files: Vec::new(),
            draining_key_files: Vec::new(),
            draining: Vec::new(),
            services: BTreeMap::new(),
            meter: MeterConfig::default(),
            tx: TxConfig::default(),
            simulation: SimulationConfig::default(),
            limits: LimitsConfig::default(),
            listener: ListenerConfig::default(),
            traces: TracesConfig::default(),
            tls: None,
            lock_keys: true,
            keep_leaves_blocks: 120,
        }
    }
}

/// One service and the nodes behind it.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ServiceConfig {
    /// The node or nodes that answer JSON-RPC, and every other type that has no entry in `rpc_types`. Left out: only the types of `rpc_types` are
    /// served.
    #[serde(default)]
    pub backend: BackendConfig,
    /// Nodes for particular RPC types: `grpc`, `json_rpc`, `rest`, `comet_bft`, `websocket`. WebSockets are served only where `websocket` is
    /// there: the default backend does not answer them.
    #[serde(default)]
    pub rpc_types: BTreeMap<RpcType, BackendConfig>,
    /// Milliseconds a backend may take for a whole answer. While another node can be asked instead, a read waits for half of it. Default
    /// 10000.
    #[serde(default = "default_timeout_ms")]
    pub timeout_ms: u64,
    /// Relays of the service in progress at a time; beyond them it refuses, and other services go on. Default: all of
    /// `limits.max_in_flight` for the only service, three quarters of it for one of several.
    #[serde(default)]
    pub max_in_flight: Option<usize>,
    /// Methods with time-outs and bounds of their own, by a name for the class. A call is of the first class that names it, by the order of
    /// the classes' names; a batch is of the first class that names one of its calls. At most 16.
    #[serde(default)]
    pub method_classes: BTreeMap<String, MethodClass>,
    /// JSON-RPC methods that only read, beside those that are known to: they may be asked of a second node when the first fails. Whole, or
    /// beginnings with a `*` behind.
    #[serde(default)]
    pub read_methods: Vec<String>,
    /// Largest relay request in bytes. Default 20 MiB.
    #[serde(default = "default_max_bytes")]
    pub max_request_bytes: usize,
    /// Largest backend answer in bytes. Default 20 MiB.
    #[serde(default = "default_max_bytes")]
    pub max_response_bytes: usize,
    /// Milliseconds for which an event stream (`text/event-stream`, `application/x-ndjson`) may say nothing, before it is cut off. Default
    /// 60000.
    #[serde(default = "default_stream_idle_timeout_ms")]
    pub stream_idle_timeout_ms: u64,
    /// Bytes of one event stream, after which it is cut off. Default 1 GiB.
    #[serde(default = "default_max_stream_bytes")]
    pub max_stream_bytes: u64,
    /// What an answer waits for. Default `strict`.
    #[serde(default)]
    pub durability: Durability,
}

impl ServiceConfig {
    /// A service with one node and defaults for the rest.
    #[must_use]
    pub fn new(backend_url: impl Into<String>) -> Self {
        Self {
            backend: BackendConfig::new(backend_url),
            rpc_types: BTreeMap::new(),
            timeout_ms: default_timeout_ms(),
            max_in_flight: None,
            method_classes: BTreeMap::new(),
            read_methods: Vec::new(),
            max_request_bytes: default_max_bytes(),
            max_response_bytes: default_max_bytes(),
            stream_idle_timeout_ms: default_stream_idle_timeout_ms(),
            max_stream_bytes: default_max_stream_bytes(),
            durability: Durability::Strict,
        }
    }
}

/// RPC type of a relay; numbers are those of `pocket.shared.RPCType` and of the `Rpc-Type` header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RpcType {
    /// 1
    Grpc,
    /// 2; connections on which each message is signed.
    Websocket,
    /// 3; what a relay without `Rpc-Type` header is.
    JsonRpc,
    /// 4
    Rest,
    /// 5
    CometBft,
}

/// What a signed answer waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Durability {
    /// The relay's leaf is on disk before the answer leaves: nothing acknowledged is lost, also when the power fails.
    #[default]
    Strict,
    /// The answer leaves at once; a crash loses what the writer had not committed yet (milliseconds).
    Bounded,
}

/// Simulated relays: requests that the servicer signs to itself and sends through signature check, backend and signing, without leaf and
/// budget.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SimulationConfig {
    /// Whether `/ready` depends on them. Default false. Services need a `health.check`, which says what is asked.
    pub enabled: bool,
    /// Milliseconds between two simulated relays of a service and supplier; at least 1000. Default 60000.
    pub interval_ms: u64,
    /// Simulated relays in a row that fail before the service is not ready. Default 2.
    pub failures: u32,
}

impl Default for SimulationConfig {
    fn default() -> Self {
        Self {
            enabled: false,
            interval_ms: 60_000,
            failures: 2,
        }
    }
}

impl SimulationConfig {
    fn check(self, services: &BTreeMap<ServiceId, ServiceConfig>, check: &mut impl FnMut(bool, &str, &str)) {
        check(
            self.interval_ms >= 1000,
            "simulation.interval_ms",
            "must be at least 1000",
        );
        check(self.failures > 0, "simulation.failures", "must be at least 1");
        for (id, service) in services {
            check(
                !self.enabled || !service.has_backend() || service.backend.health.check != HealthCheck::None,
                &format!("services.{id}.backend"),
                "needs a health.check, which says what simulated relays ask",
            );
        }
    }
}

/// Configuration of the relay meter.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MeterConfig {
    /// Whether relays are counted against the application's stake. Default true.
    pub enabled: bool,
    /// Serve beyond the budget; such relays are answered but not mined. Default false: they are refused.
    pub over_servicing: bool,
    /// What is served beyond the budget of a session, at most, in upokt for each supplier of it; relays beyond that are refused too. Counted by
    /// the price of a relay. Default none: without a bound. Only with `over_servicing`.
    pub max_unpaid_upokt: Option<u64>,
}

impl Default for MeterConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            over_servicing: false,
            max_unpaid_upokt: None,
        }
    }
}

/// Configuration of claim and proof transactions.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TxConfig {
    /// Gas limit of each transaction; 0 (the default) simulates it and takes 1.7 times the result.
    pub gas_limit: u64,
    /// Fee in millionths of a upokt per unit of gas: 10 is 0.00001upokt. Default 0, as a local network accepts.
    pub gas_price_micro_upokt: u64,
    /// Seconds after the newest block's time for which a transaction stays valid; 30 to 540. Default 120.
    pub timeout_s: u64,
    /// Most claims or proofs in one transaction. Default 50.
    pub max_messages: usize,
    /// What a claim has to be worth for it to be sent, in percent of what it costs on average: fees, and the chain's fee for a proof by the
    /// probability that one is asked for. 0 sends every claim. Default 100; at most 10000.
    pub min_claim_value_percent: u32,
    /// Memo. Default empty.
    pub memo: String,
}

impl Default for TxConfig {
    fn default() -> Self {
        Self {
            gas_limit: 0,
            gas_price_micro_upokt: 0,
            timeout_s: 120,
            max_messages: 50,
            min_claim_value_percent: 100,
            memo: String::new(),
        }
    }
}

/// Bounds. What happens when one is reached is a decision: a relay is refused before its backend is asked.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LimitsConfig {
    /// Relays in progress at a time, each with a reserved place in the leaf writer's queue. Default 1024.
    pub max_in_flight: usize,
    /// Bytes of request bodies, leaves and answers held at a time, each until it is sent or written; a quarter is kept for those up to
    /// 64 KiB. What does not fit is refused with HTTP 503. Default 128 MiB.
    pub max_buffered_bytes: usize,
    /// Threads that verify ring signatures; 0 (the default) takes one per processor.
    pub verify_threads: usize,
    /// Pairs of application and service of which sessions are held, up to three sessions each. Default 10000.
    pub max_sessions: usize,
    /// WebSockets served at a time. A new one beyond them takes the place of the oldest on which no valid request has come yet; when all have
    /// one, it is refused with HTTP 503. Default 1024.
    pub max_websockets: usize,
    /// Event streams served at a time, beside the relays of `max_in_flight`; beyond them one is refused with HTTP 503. Default 1024.
    pub max_streams: usize,
    /// Milliseconds given to relays in progress when the process is asked to stop. Default 10000.
    pub shutdown_grace_ms: u64,
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self {
            max_in_flight: 1024,
            max_buffered_bytes: 128 << 20,
            verify_threads: 0,
            max_sessions: 10_000,
            max_websockets: 1024,
            max_streams: 1024,
            shutdown_grace_ms: 10_000,
        }
    }
}

const fn default_timeout_ms() -> u64 {
    10_000
}

const fn default_stream_idle_timeout_ms() -> u64 {
    60_000
}

const fn default_max_stream_bytes() -> u64 {
    1 << 30
}

const fn default_max_bytes() -> usize {
    20 << 20
}

impl ServicerConfig {
    /// All semantic errors at once as (key, message); empty when the configuration is usable.
    #[must_use]
    pub fn faults(&self) -> Vec<(String, String)> {
        let mut faults = Vec::new();
        let mut check = |holds: bool, key: &str, message: &str| {
            if !holds {
                faults.push((key.to_owned(), message.to_owned()));
            }
        };
        check(
            !self.suppliers.is_empty(),
            "suppliers",
            "at least one key is needed",
        );
        check(
            !self.services.is_empty(),
            "services",
            "at least one service is needed",
        );
        for (id, service) in &self.services {
            service.check(&format!("services.{id}"), &mut check);
        }
        self.simulation.check(&self.services, &mut check);
        check(
            self.meter.over_servicing || self.meter.max_unpaid_upokt.is_none(),
            "meter.max_unpaid_upokt",
            "bounds what over_servicing serves: it is off",
        );
        check(
            (30..=540).contains(&self.tx.timeout_s),
            "tx.timeout_s",
            "must be 30 to 540",
        );
        check(self.tx.max_messages > 0, "tx.max_messages", "must be at least 1");
        check(
            self.tx.min_claim_value_percent <= 10_000,
            "tx.min_claim_value_percent",
            "must be 0 to 10000",
        );
        check(
            self.limits.max_in_flight > 0,
            "limits.max_in_flight",
            "must be at least 1",
        );
        check(
            self.limits.max_sessions > 0,
            "limits.max_sessions",
            "must be at least 1",
        );
        check(
            self.limits.max_websockets > 0,
            "limits.max_websockets",
            "must be at least 1",
        );
        check(
            self.limits.max_streams > 0,
            "limits.max_streams",
            "must be at least 1",
        );
        faults
    }
}

/// `PORTICO_SUPPLIER_KEYS` (comma-separated) replaces `suppliers`.
impl Config for ServicerConfig {
    fn validate(&self, faults: &mut Faults) {
        self.chain.validate(faults);
        self.listener.validate(faults);
        self.traces.validate(faults);
        usable::keys("suppliers", &self.suppliers, faults);
        usable::keys("draining_key_files", &self.draining, faults);
        if self.draining.iter().any(|key| self.suppliers.contains(key)) {
            faults.add(
                "draining_key_files",
                "holds a key that `suppliers` or `key_files` has too: a supplier either serves or drains"
                    .to_owned(),
            );
        }
        usable::folder("data_dir", &self.data_dir, faults);
        if let Some(tls) = &self.tls {
            tls.validate("tls", faults);
        }
        for (id, service) in &self.services {
            service.validate_tls(&format!("services.{id}"), faults);
        }
        for (key, message) in self.faults() {
            faults.add(&key, message);
        }
    }

    fn take_secrets(&mut self, environment: &Environment<'_>) {
        for file in &mut self.key_files {
            self.suppliers.append(&mut file.take());
        }
        for file in &mut self.draining_key_files {
            self.draining.append(&mut file.take());
        }
        if let Some(keys) = environment.secrets("PORTICO_SUPPLIER_KEYS") {
            self.suppliers = keys;
        }
    }
}

impl ServiceConfig {
    fn validate_tls(&self, key: &str, faults: &mut Faults) {
        for (of_backend, _, backend) in self.backends() {
            backend.tls.validate(&format!("{key}.{of_backend}.tls"), faults);
        }
    }

    fn check(&self, key: &str, check: &mut impl FnMut(bool, &str, &str)) {
        if self.has_backend() || self.rpc_types.is_empty() {
            self.backend.check(&format!("{key}.backend"), Urls::Http, check);
        }
        for (rpc_type, backend) in &self.rpc_types {
            let key = format!("{key}.rpc_types.{}", rpc_type.name());
            backend.check(&key, Urls::of(*rpc_type), check);
        }
        self.check_methods(key, check);
        check(
            self.timeout_ms > 0,
            &format!("{key}.timeout_ms"),
            "must be at least 1",
        );
        check(
            self.stream_idle_timeout_ms > 0,
            &format!("{key}.stream_idle_timeout_ms"),
            "must be at least 1",
        );
        check(
            self.max_stream_bytes > 0,
            &format!("{key}.max_stream_bytes"),
            "must be at least 1",
        );
        check(
            self.max_request_bytes > 0,
            &format!("{key}.max_request_bytes"),
            "must be at least 1",
        );
        check(
            self.max_response_bytes > 0,
            &format!("{key}.max_response_bytes"),
            "must be at least 1",
        );
    }
}

impl RpcType {
    /// Name in configuration files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Grpc => "grpc",
            Self::Websocket => "websocket",
            Self::JsonRpc => "json_rpc",
            Self::Rest => "rest",
            Self::CometBft => "comet_bft",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_lacks_only_what_nobody_can_guess() {
        let faults = ServicerConfig::default().faults();
        let keys: Vec<&str> = faults.iter().map(|(key, _)| key.as_str()).collect();
        assert_eq!(keys, ["suppliers", "services"]);
    }

    #[test]
    fn names_every_wrong_key_at_once() {
        let mut config = ServicerConfig::default();
        let service = ServiceConfig {
            timeout_ms: 0,
            ..ServiceConfig::new("ws://x")
        };
        config.services.insert("eth".parse().unwrap(), service);
        config.tx.timeout_s = 1;
        let faults = config.faults();
        for key in [
            "suppliers",
            "services.eth.backend.url",
            "services.eth.timeout_ms",
            "tx.timeout_s",
        ] {
            assert!(
                faults.iter().any(|(k, _)| k == key),
                "{key} is missing in {faults:?}"
            );
        }
    }

    #[test]
    fn websocket_nodes_have_urls_of_their_own_and_no_checks() {
        let faults_of = |backend: BackendConfig| {
            let mut config = ServicerConfig::default();
            let mut service = ServiceConfig::new("http://x");
            service.rpc_types.insert(RpcType::Websocket, backend);
            config.services.insert("eth".parse().unwrap(), service);
            let keys = config.faults().into_iter().map(|(key, _)| key);
            let key = |key: String| {
                key.strip_prefix("services.eth.rpc_types.websocket.")
                    .map(str::to_owned)
            };
            keys.filter_map(key).collect::<Vec<_>>()
        };
        assert_eq!(
            faults_of(BackendConfig::new("wss://node.example/ws?key=k")),
            [""; 0]
        );
        assert_eq!(faults_of(BackendConfig::new("http://node")), ["url"]);
        let with_http = BackendConfig {
            health: HealthConfig {
                check: HealthCheck::Evm,
                ..HealthConfig::default()
            },
            forward_headers: Some(Vec::new()),
            ..BackendConfig::new("ws://node")
        };
        assert_eq!(faults_of(with_http), ["health.check", "forward_headers"]);
    }

    #[test]
    fn a_service_has_a_backend_of_some_kind() {
        let faults_of = |rpc_types: &[(RpcType, &str)]| {
            let mut service = ServiceConfig::new("");
            let backends = rpc_types.iter();
            service.rpc_types = backends
                .map(|(rpc_type, url)| (*rpc_type, BackendConfig::new(*url)))
                .collect();
            let mut config = ServicerConfig::default();
            config.services.insert("eth".parse().unwrap(), service);
            let keys = config.faults().into_iter().map(|(key, _)| key);
            keys.filter(|key| key.starts_with("services."))
                .collect::<Vec<_>>()
        };
        assert_eq!(faults_of(&[]), ["services.eth.backend.url"]);
        assert_eq!(faults_of(&[(RpcType::Websocket, "ws://node")]), [""; 0]);
        assert_eq!(
            faults_of(&[(RpcType::Grpc, "")]),
            ["services.eth.rpc_types.grpc.url"]
        );
    }

    #[test]
    fn does_not_print_secrets() {
        let config = ServicerConfig {
            suppliers: vec![Secret::new("c0ffee".into())],
            ..Default::default()
        };
        assert!(!format!("{config:?}").contains("c0ffee"));
    }
}
