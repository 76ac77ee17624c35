//! Node, servicer and gateway in one process.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use portico_chain::genesis::Genesis;
use portico_client::Chain;
use portico_config::Secret;
use portico_config::gateway::{ApplicationConfig, GatewayConfig};
use portico_config::node::NodeConfig;
use portico_config::servicer::{ServiceConfig, ServicerConfig};
use portico_gateway::Gateway;
use portico_node::Node;
use portico_protocol::Address;
use portico_servicer::{LedgerRow, Servicer, ServicerHandle};

use super::actors::{Actors, consensus_key};
use super::home::Home;
use super::ports::local;
use super::remote;
use crate::parts::Parts;

/// What the story needs of the running parts.
pub(super) struct Network {
    /// The chain, embedded or in another process.
    pub(super) chain: Arc<dyn Chain>,
    /// The servicer's books.
    pub(super) books: Books,
}

/// Where the servicer's ledger is.
pub(super) enum Books {
    /// In this process.
    Here(ServicerHandle),
    /// At this URL.
    At(String),
}

impl Books {
    /// One row per session and supplier.
    pub(super) async fn ledger(&self) -> Result<Vec<LedgerRow>> {
        match self {
            Self::Here(servicer) => Ok(servicer.ledger()),
            Self::At(url) => remote::ledger(url).await,
        }
    }
}

/// Starts the parts of the network in `home`.
pub(super) async fn network(
    home: &Home,
    actors: &Actors,
    genesis: Genesis,
    block_time: Duration,
    parts: &mut Parts,
) -> Result<Network> {
    let chain = node(home, genesis, block_time, parts)?;
    let config = servicer_config(home, actors);
    let open = || Servicer::open(config, chain.clone(), prometheus::Registry::new());
    let servicer = tokio::task::block_in_place(open).context("the servicer does not start")?; // it reads its log
    let handle = servicer.handle();
    let bound = Gateway::bind(
        gateway_config(home, actors),
        chain.clone(),
        prometheus::Registry::new(),
    )
    .await;
    let gateway = bound.context("the gateway does not start")?;
    parts.start("servicer", servicer.run(parts.stop()));
    parts.start("gateway", gateway.run(parts.stop()));
    Ok(Network {
        chain,
        books: Books::Here(handle),
    })
}

fn node(home: &Home, genesis: Genesis, block_time: Duration, parts: &mut Parts) -> Result<Arc<dyn Chain>> {
    let ports = home.saved.ports;
    let config = NodeConfig {
        data_dir: home.dir.join("chain"),
        rpc_listen: local(ports.rpc),
        grpc_listen: local(ports.grpc),
        block_time_ms: u64::try_from(block_time.as_millis())?,
        validator_key: Some(Secret::read(&consensus_key(&home.dir))?),
        ..NodeConfig::default()
    };
    let open = || Node::open(config, genesis, &prometheus::Registry::new());
    let node = tokio::task::block_in_place(open).context("the chain does not start")?;
    let chain = node.chain();
    parts.start("chain", node.run(parts.stop()));
    Ok(chain)
}

fn servicer_config(home: &Home, actors: &Actors) -> ServicerConfig {
    let services = home.saved.backends.keys();
    ServicerConfig {
        listen: local(home.saved.ports.servicer),
        data_dir: home.dir.join("servicer"),
        suppliers: vec![Secret::from(&actors.supplier)],
        services: services
            .map(|id| (id.clone(), ServiceConfig::new(home.saved.backend(id))))
            .collect(),
        ..ServicerConfig::default()
    }
}

fn gateway_config(home: &Home, actors: &Actors) -> GatewayConfig {
    let application = |(service_id, address): (_, Address)| ApplicationConfig {
        address: Some(address),
        service_id,
        key: None,
    };
    let applications = actors
        .applications
        .iter()
        .map(|(service, key)| (service.clone(), key.address()));
    GatewayConfig {
        listen: local(home.saved.ports.gateway),
        gateway_key: Some(Secret::from(&actors.gateway)),
        applications: applications.map(application).collect(),
        ..GatewayConfig::default()
    }
}
