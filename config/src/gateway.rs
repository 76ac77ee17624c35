//! Configuration of the gateway: `portico gateway` and the gateway of a local network.
//!
//! ```yaml
//! listen: 127.0.0.1:3069
//! gateway_key: {file: keys/gateway.hex}      # signs for the applications that delegated to it
//! applications:
//!   - {address: pokt1…, service_id: eth}     # signed for with gateway_key
//!   - {key: {file: keys/app.hex}, service_id: pocket} # signed for with its own key
//! ```

mod services;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use portico_protocol::{Address, ServiceId};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::chain::ChainConfig;
use crate::listener::ListenerConfig;
use crate::load::{Config, Environment, Faults};
use crate::secret::Secret;
use crate::tls::{ClientTls, ServerTls};
use crate::traces::TracesConfig;

pub use self::services::{Batches, ServiceConfig};

/// Largest body that may be allowed, in bytes: 64 MiB, far above what any chain's node takes.
const MAX_BODY_BYTES: usize = 64 << 20;
/// Largest answer that may be allowed, in bytes: 256 MiB.
const MAX_RESPONSE_BYTES: usize = 256 << 20;
/// Most bytes of answers that may be allowed at the same time: 64 GiB.
const MAX_ANSWER_BYTES: u64 = 64 << 30;
/// Longest batch that may be allowed.
const MAX_BATCH: usize = 10_000;
/// Most suppliers that one call may try: no session of the network holds more.
const MAX_ATTEMPTS: u32 = 50;
/// Most relays at the same time that may be set.
const MAX_AT_ONCE: u64 = 1_000_000;
/// Most bytes of one event stream that may be allowed: 1 PiB.
const MAX_STREAM_BYTES: u64 = 1 << 50;
/// Longest time that may be set, in milliseconds: one hour.
const MAX_TIME_MS: u64 = 3_600_000;

/// The whole configuration of a gateway.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct GatewayConfig {
    /// Address and port of the front door. Default 127.0.0.1:3069; port 0 takes a free one.
    #[schemars(with = "String")]
    pub listen: SocketAddr,
    /// Address and port for operators: `/metrics`, `/ready` with every service's state, `/health`. Not for the public. Default: none; then
    /// the front door serves them itself if it listens on a loopback address, and nobody does otherwise.
    #[schemars(with = "Option<String>")]
    pub admin_listen: Option<SocketAddr>,
    /// The chain that is asked, for a gateway in a process of its own. Default: a node on this machine.
    pub chain: ChainConfig,
    /// The gateway's private key; signs for every application without a key of its own, which must have delegated to this
    /// gateway. The environment variable `PORTICO_GATEWAY_KEY` replaces it.
    pub gateway_key: Option<Secret>,
    /// Applications whose stake pays for relays; at least one. Several may share a service.
    pub applications: Vec<ApplicationConfig>,
    /// What services of the applications need beyond the defaults: names, hosts, kinds of call, headers. Default: nothing.
    #[schemars(with = "BTreeMap<String, ServiceConfig>")]
    pub services: BTreeMap<ServiceId, ServiceConfig>,
    /// Suppliers that one call may try before its caller sees an error. Default 3.
    pub max_attempts: u32,
    /// Time for one call with all its attempts, in milliseconds. Default 30000.
    pub relay_timeout_ms: u64,
    /// Time for one supplier's answer, in milliseconds; then the next supplier is tried. Default 12000: more than the 10000 that
    /// servicers give their backends, so that their word on a slow one still arrives.
    pub attempt_timeout_ms: u64,
    /// Time to connect to a supplier, in milliseconds. Default 2000.
    pub connect_timeout_ms: u64,
    /// Largest body of a call (a batch counts as one), in bytes. Default 5242880 (5 MiB).
    pub max_body_bytes: usize,
    /// Largest answer taken from a supplier, in bytes. Default 67108864 (64 MiB).
    pub max_response_bytes: usize,
    /// Bytes of answers held at the same time, over all callers: from their arrival until callers have taken them. Beyond it calls are
    /// refused with 503; a quarter is kept for answers up to 64 KiB. Default 134217728 (128 MiB).
    pub max_answer_bytes_in_flight: usize,
    /// Bytes of all answers to one batch; entries whose answer does not fit get an error. Default 67108864 (64 MiB).
    pub max_answer_bytes_per_request: usize,
    /// Bytes of answers beyond 64 KiB that are held at the same time for callers at one address (of IPv6, one network of 64 bits), until they
    /// have taken them. From three quarters of it on, their calls are refused with 503 before they cost a relay. Calls to methods whose answers
    /// were large lately take turns: a quarter of it is asked for at a time, half of it in a second. Raise it where a proxy that does not buffer answers stands before
    /// the gateway: all callers have its address. Default: `max_answer_bytes_per_request`.
    pub max_answer_bytes_per_client: Option<usize>,
    /// Most entries of a batch. Default 1000.
    pub max_batch: usize,
    /// Entries of one batch that are relayed at the same time. Default 16.
    pub max_batch_concurrency: usize,
    /// Relays under way at the same time, over all callers; beyond it callers are told to come back. One of several services takes three
    /// quarters of them at most. Default 1024.
    pub max_concurrent_relays: usize,
    /// WebSockets served at the same time; beyond them a new one is refused with 503. Each is a connection of `listener` too. Default 1024.
    pub max_websockets: usize,
    /// Event streams (`text/event-stream`, `application/x-ndjson`) served at the same time; beyond them one is refused with 503. Default 1024.
    pub max_streams: usize,
    /// Milliseconds for which a supplier's event stream may say nothing, before it is cut off. Default 90000: more than the 60000 that servicers
    /// give their backends.
    pub stream_idle_timeout_ms: u64,
    /// Bytes of one event stream, after which it is cut off. Default 1073741824 (1 GiB).
    pub max_stream_bytes: u64,
    /// Time-outs and bounds of callers' connections.
    pub listener: ListenerConfig,
    /// Traces of relays. Default: none.
    pub traces: TracesConfig,
    /// Serves `listen` by TLS. Default: without.
    pub tls: Option<ServerTls>,
    /// TLS towards suppliers whose URLs are `https`.
    pub supplier_tls: ClientTls,
    /// Refuses suppliers whose URL leads to a private address or to this machine: whoever stakes a supplier could make the gateway post
    /// into its own network. Default: where `chain.network` names a public network.
    pub refuse_private_suppliers: Option<bool>,
    /// Idle connections kept to one supplier. Default 64.
    pub max_idle_per_supplier: usize,
    /// Whether suppliers are asked for a receipt of every call (batches apart), not only of those with `Pocket-Sign-Receipt: true`. Default
    /// false.
    pub request_receipts: bool,
    /// Web origins whose pages may call, e.g. `https://app.example`; `*` allows all. Default `["*"]`.
    pub cors_allowed_origins: Vec<String>,
    /// Time for calls under way to finish when the gateway stops, in milliseconds. Default 10000.
    pub shutdown_grace_ms: u64,
}

impl Default for GatewayConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 3069)),
            admin_listen: None,
            chain: ChainConfig::default(),
            gateway_key: None,
            applications: Vec::new(),
            services: BTreeMap::new(),
            max_attempts: 3,
            relay_timeout_ms: 30_000,
            attempt_timeout_ms: 12_000,
            connect_timeout_ms: 2_000,
            max_body_bytes: 5 << 20,
            max_response_bytes: 64 << 20,
            max_answer_bytes_in_flight: 128 << 20,
            max_answer_bytes_per_request: 64 << 20,
            max_answer_bytes_per_client: None,
            max_batch: 1_000,
            max_batch_concurrency: 16,
            max_concurrent_relays: 1_024,
            max_websockets: 1_024,
            max_streams: 1_024,
            stream_idle_timeout_ms: 90_000,
            max_stream_bytes: 1 << 30,
            listener: ListenerConfig::default(),
            traces: TracesConfig::default(),
            tls: None,
            supplier_tls: ClientTls::default(),
            refuse_private_suppliers: None,
            max_idle_per_supplier: 64,
            request_receipts: false,
            cors_allowed_origins: vec!["*".to_owned()],
            shutdown_grace_ms: 10_000,
        }
    }
}

/// An application that the gateway signs for.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApplicationConfig {
    /// The application's address; may be left out when `key` is given.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub address: Option<Address>,
    /// The service that the application is staked for.
    #[schemars(with = "String")]
    pub service_id: ServiceId,
    /// The application's own private key. Without it `gateway_key` signs.
    #[serde(default)]
    pub key: Option<Secret>,
}

impl GatewayConfig {
    /// Whether the front door serves operators too: only this machine can reach it, and they have no address of their own.
    #[must_use]
    pub fn front_door_is_admin(&self) -> bool {
        self.admin_listen.is_none() && self.listen.ip().is_loopback()
    }

    /// Whether suppliers with private addresses are refused: as `refuse_private_suppliers` says, else on public networks.
    #[must_use]
    pub fn refuses_private_suppliers(&self) -> bool {
        self.refuse_private_suppliers
            .unwrap_or(self.chain.network.is_some())
    }

    /// Bytes of large answers that are held for callers at one address: as configured, or the default.
    #[must_use]
    pub fn max_answer_bytes_per_client(&self) -> usize {
        self.max_answer_bytes_per_client
            .unwrap_or(self.max_answer_bytes_per_request)
    }

    /// Ids of the services that are served: those of the applications, in order of the alphabet.
    #[must_use]
    pub fn served(&self) -> BTreeSet<ServiceId> {
        self.applications
            .iter()
            .map(|application| application.service_id.clone())
            .collect()
    }
}

impl Config for GatewayConfig {
    fn validate(&self, faults: &mut Faults) {
        self.chain.validate(faults);
        self.listener.validate(faults);
        self.traces.validate(faults);
        if let Some(tls) = &self.tls {
            tls.validate("tls", faults);
        }
        self.supplier_tls.validate("supplier_tls", faults);
        if let Some(Err(error)) = self.gateway_key.as_ref().map(Secret::signing_key) {
            faults.add("gateway_key", error.to_string());
        }
        faults.expect(
            !self.applications.is_empty(),
            "applications",
            "must name at least one application",
        );
        for (index, application) in self.applications.iter().enumerate() {
            faults.within(&format!("applications[{index}]"), |faults| {
                application.validate(self.gateway_key.is_some(), faults);
            });
        }
        let same_port = |admin: SocketAddr| admin == self.listen && admin.port() != 0;
        faults.expect(
            !self.admin_listen.is_some_and(same_port),
            "admin_listen",
            "must be another address than `listen`",
        );
        services::validate(&self.services, &self.served(), faults);
        self.validate_limits(faults);
        self.validate_origins(faults);
    }

    fn take_secrets(&mut self, environment: &Environment<'_>) {
        if let Some(key) = environment.secret("PORTICO_GATEWAY_KEY") {
            self.gateway_key = Some(key);
        }
    }
}

impl GatewayConfig {
    fn validate_limits(&self, faults: &mut Faults) {
        let attempts = u64::from(self.max_attempts);
        let bounds = [
            ("max_attempts", attempts, u64::from(MAX_ATTEMPTS)),
            ("relay_timeout_ms", self.relay_timeout_ms, MAX_TIME_MS),
            ("attempt_timeout_ms", self.attempt_timeout_ms, MAX_TIME_MS),
            ("connect_timeout_ms", self.connect_timeout_ms, MAX_TIME_MS),
            ("shutdown_grace_ms", self.shutdown_grace_ms, MAX_TIME_MS),
            (
                "max_body_bytes",
                self.max_body_bytes as u64,
                MAX_BODY_BYTES as u64,
            ),
            (
                "max_response_bytes",
                self.max_response_bytes as u64,
                MAX_RESPONSE_BYTES as u64,
            ),
            (
                "max_answer_bytes_in_flight",
                self.max_answer_bytes_in_flight as u64,
                MAX_ANSWER_BYTES,
            ),
            (
                "max_answer_bytes_per_request",
                self.max_answer_bytes_per_request as u64,
                MAX_ANSWER_BYTES,
            ),
            (
                "max_answer_bytes_per_client",
                self.max_answer_bytes_per_client() as u64,
                MAX_ANSWER_BYTES,
            ),
            ("max_batch", self.max_batch as u64, MAX_BATCH as u64),
            (
                "max_batch_concurrency",
                self.max_batch_concurrency as u64,
                MAX_BATCH as u64,
            ),
            (
                "max_concurrent_relays",
                self.max_concurrent_relays as u64,
                MAX_AT_ONCE,
            ),
            ("max_websockets", self.max_websockets as u64, MAX_AT_ONCE),
            ("max_streams", self.max_streams as u64, MAX_AT_ONCE),
            ("stream_idle_timeout_ms", self.stream_idle_timeout_ms, MAX_TIME_MS),
            ("max_stream_bytes", self.max_stream_bytes, MAX_STREAM_BYTES),
        ];
        for (key, value, most) in bounds {
            faults.expect((1..=most).contains(&value), key, format!("must be 1 to {most}"));
        }
        for (key, value, limit, bound) in [
            (
                "max_response_bytes",
                self.max_response_bytes,
                "max_answer_bytes_per_request",
                self.max_answer_bytes_per_request,
            ),
            (
                "max_answer_bytes_per_request",
                self.max_answer_bytes_per_request,
                "max_answer_bytes_per_client",
                self.max_answer_bytes_per_client(),
            ),
            (
                "max_answer_bytes_per_request",
                self.max_answer_bytes_per_request,
                "three quarters of max_answer_bytes_in_flight",
                self.max_answer_bytes_in_flight - self.max_answer_bytes_in_flight / 4,
            ),
        ] {
            faults.expect(
                value <= bound,
                key,
                format!("must be at most {limit}, which is {bound}"),
            );
        }
    }

    fn validate_origins(&self, faults: &mut Faults) {
        for (index, origin) in self.cors_allowed_origins.iter().enumerate() {
            let scheme = origin.starts_with("http://") || origin.starts_with("https://");
            let bare = scheme && !origin.ends_with('/') && origin.bytes().all(|byte| byte.is_ascii_graphic());
            let key = format!("cors_allowed_origins[{index}]");
            faults.expect(
                origin == "*" || bare,
                &key,
                "must be `*` or an origin such as https://app.example",
            );
        }
    }
}

impl ApplicationConfig {
    fn validate(&self, has_gateway_key: bool, faults: &mut Faults) {
        match (&self.key, &self.address) {
            (None, None) => faults.add("", "must have an address or a key"),
            (None, Some(_)) => {
                faults.expect(has_gateway_key, "", "must have a key, or gateway_key must be set")
            }
            (Some(key), address) => match (key.signing_key(), address) {
                (Err(error), _) => faults.add("key", error.to_string()),
                (Ok(key), Some(address)) => {
                    let own = key.address();
                    faults.expect(
                        own == *address,
                        "address",
                        format!("is not the key's, which is {own}"),
                    );
                }
                (Ok(_), None) => {}
            },
        }
    }
}

#[cfg(test)]
mod tests;
