//! What a network consists of.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use portico_protocol::{ServiceId, Upokt};
use serde_json::Value;

/// The service that needs no node of the user's: the chain's own RPC answers it.
pub const CHAIN_SERVICE: &str = "pocket";

/// [`CHAIN_SERVICE`] as an id.
///
/// # Panics
/// Never: the constant is a service id.
#[must_use]
pub fn chain_service() -> ServiceId {
    CHAIN_SERVICE.parse().expect("the constant is a service id")
}

/// One POKT in upokt.
pub(crate) const POKT: u128 = 1_000_000;

/// What a network consists of: one node, one servicer, one gateway, and who is staked.
#[derive(Clone, Debug)]
pub struct Spec {
    /// Services on the chain and behind the servicer, with the URL of the node behind each; none takes the chain's own RPC.
    pub services: BTreeMap<ServiceId, Option<String>>,
    /// URL (`ws` or `wss`) of the node behind a service that takes its WebSockets; the chain's own RPC takes those of its service.
    pub websockets: BTreeMap<ServiceId, String>,
    /// URL of the node behind a service that takes its gRPC calls; the chain's own gRPC takes those of its service.
    pub grpc: BTreeMap<ServiceId, String>,
    /// URL of the node behind a service that takes its REST calls, where it is another than that of its other calls.
    pub rest: BTreeMap<ServiceId, String>,
    /// Services that an application is staked for, which the gateway serves.
    pub applications: Vec<ServiceId>,
    /// Suppliers, in the order of their keys.
    pub suppliers: Vec<SupplierSpec>,
    /// Stake of each application. The default pays for some 200 million relays.
    pub application_stake: Upokt,
    /// Stakes of single services' applications, where they differ.
    pub application_stakes: BTreeMap<ServiceId, Upokt>,
    /// Weight of a relay. Not 1 by default, so that relays and compute units cannot be mixed up unnoticed.
    pub compute_units_per_relay: u64,
    /// Which claims must be proved. By default all, so that the whole line is seen.
    pub proofs: ProofPolicy,
    /// Time from block to block.
    pub block_time: Duration,
    /// Whether every hop is TLS, with certificates made for the purpose.
    pub tls: bool,
    /// Settings of the roles beyond what a network needs.
    pub settings: Settings,
}

impl Spec {
    /// A network with these services, an application for each, and one supplier of all.
    #[must_use]
    pub fn new(services: BTreeMap<ServiceId, Option<String>>) -> Self {
        let ids: Vec<ServiceId> = services.keys().cloned().collect();
        Self {
            services,
            websockets: BTreeMap::new(),
            grpc: BTreeMap::new(),
            rest: BTreeMap::new(),
            applications: ids.clone(),
            suppliers: vec![SupplierSpec::here(ids)],
            application_stake: Upokt(100_000 * POKT),
            application_stakes: BTreeMap::new(),
            compute_units_per_relay: 10,
            proofs: ProofPolicy::Always,
            block_time: Duration::from_secs(1),
            tls: false,
            settings: Settings::default(),
        }
    }
}

impl Spec {
    /// Whether the service's suppliers take WebSockets.
    pub(crate) fn has_websockets(&self, id: &ServiceId) -> bool {
        self.websockets.contains_key(id) || self.is_of_chain(id)
    }

    /// Whether the service's suppliers take gRPC.
    pub(crate) fn has_grpc(&self, id: &ServiceId) -> bool {
        self.grpc.contains_key(id) || self.is_of_chain(id)
    }

    /// Whether the service's suppliers take REST apart from its other calls.
    pub(crate) fn has_rest(&self, id: &ServiceId) -> bool {
        self.rest.contains_key(id)
    }

    /// Whether the chain itself answers the service's calls.
    fn is_of_chain(&self, id: &ServiceId) -> bool {
        self.services.get(id).is_some_and(Option::is_none)
    }
}

/// A staked supplier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SupplierSpec {
    /// Services it is staked for.
    pub services: Vec<ServiceId>,
    /// Where its relays go when it is not the network's servicer that serves it.
    pub elsewhere: Option<SocketAddr>,
}

impl SupplierSpec {
    /// A supplier of `services` that the network's servicer serves.
    #[must_use]
    pub const fn here(services: Vec<ServiceId>) -> Self {
        Self {
            services,
            elsewhere: None,
        }
    }
}

/// Which claims must be proved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProofPolicy {
    /// As the network's default params draw it.
    #[default]
    Default,
    /// All of them.
    Always,
    /// None.
    Never,
}

/// Keys of the roles' configuration files that replace or complete what a network writes, as JSON objects; null changes nothing.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Of the node.
    pub node: Value,
    /// Of the servicer.
    pub servicer: Value,
    /// Of the gateway.
    pub gateway: Value,
}

/// The roles of a network, in the order in which they start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The chain.
    Node,
    /// Answers relays.
    Servicer,
    /// Takes calls.
    Gateway,
}

impl Role {
    /// All, in the order in which they start.
    pub const ALL: [Self; 3] = [Self::Node, Self::Servicer, Self::Gateway];

    /// Its sub-command, and the stem of its files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Node => "node",
            Self::Servicer => "servicer",
            Self::Gateway => "gateway",
        }
    }
}
