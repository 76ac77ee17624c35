//! Node, servicer and gateway in this process.

use std::sync::Arc;

use anyhow::{Context, Result};
use portico_client::Chain;
use portico_config::gateway::GatewayConfig;
use portico_config::node::NodeConfig;
use portico_config::servicer::ServicerConfig;
use portico_config::{Config, load};
use portico_gateway::Gateway;
use portico_node::Node;
use portico_servicer::Servicer;
use prometheus::Registry;
use tokio_util::sync::CancellationToken;

use crate::network::{Ledger, Network, Part};
use crate::plan::Plan;
use crate::spec::Role;

/// Opens the roles of a planned network; they begin when their parts run, and end when `stop` is cancelled.
pub async fn start(plan: &Plan, stop: &CancellationToken) -> Result<(Network, Vec<Part>)> {
    let (chain, node) = node(plan, stop)?;
    let config: ServicerConfig = config(plan, Role::Servicer)?;
    let open = || Servicer::open(config, chain.clone(), Registry::new());
    let servicer = tokio::task::block_in_place(open).context("the servicer does not start")?; // it reads its log
    let ledger = Ledger::Here(servicer.handle());
    let config: GatewayConfig = self::config(plan, Role::Gateway)?;
    let gateway = Gateway::bind(config, chain.clone(), Registry::new()).await;
    let gateway = gateway.context("the gateway does not start")?;
    let parts = vec![
        node,
        Part::new("servicer", servicer.run(stop.clone())),
        Part::new("gateway", gateway.run(stop.clone())),
    ];
    Ok((Network { chain, ledger }, parts))
}

fn node(plan: &Plan, stop: &CancellationToken) -> Result<(Arc<dyn Chain>, Part)> {
    let config: NodeConfig = config(plan, Role::Node)?;
    let open = || Node::open(config, plan.genesis.clone(), &Registry::new());
    let node = tokio::task::block_in_place(open).context("the chain does not start")?;
    let chain = node.chain();
    Ok((chain, Part::new("chain", node.run(stop.clone()))))
}

/// Reads a role's file without the environment, whose secrets are for other networks.
fn config<T: Config>(plan: &Plan, role: Role) -> Result<T> {
    Ok(load::load_with(&plan.config_file(role), &|_| None)?)
}
