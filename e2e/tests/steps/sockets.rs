//! sockets.feature

use std::time::Duration;

use anyhow::{Context as _, Result};
use cucumber::{given, when};
use portico_e2e::EvmNode;
use portico_e2e::process::LONG_PATIENCE;

use super::World;
use super::ecosystem::{run, run_within, script};

/// Of the network with many clients: each block of the node is a message for each of them, signed and verified.
const BLOCK_TIME: Duration = Duration::from_secs(2);

#[given("a network whose EVM node takes WebSockets")]
async fn an_evm_node_with_websockets(world: &mut World) -> Result<()> {
    world.spec.suppliers = 2;
    world.spec.evm_node = Some(EvmNode::start().await?);
    world.spec.websockets = true;
    Ok(())
}

#[given("a network with two servicers, whose EVM node takes WebSockets and can be reorganized")]
async fn two_servicers_over_anvil(world: &mut World) -> Result<()> {
    world.spec.suppliers = 1;
    world.spec.second_servicer = true;
    world.spec.evm_node = Some(EvmNode::start_anvil().await?);
    world.spec.websockets = true;
    world.spec.block_time = Some(BLOCK_TIME);
    Ok(())
}

#[when(
    regex = r"^(\d+) clients follow blocks and logs over (\d+) rollovers, while a servicer is killed and blocks are replaced$"
)]
async fn clients_follow(world: &mut World, clients: usize, rollovers: usize) -> Result<()> {
    let network = world.network().await?;
    let (gateway, victim) = (network.gateway_url(), network.second_servicer()?);
    let node = world.spec.evm_node.as_ref().context("there is a node")?;
    let mut command = script("feeds.mjs");
    command.arg(gateway).arg(node.url());
    command.args([clients.to_string(), rollovers.to_string(), victim.to_string()]);
    world.relay_error = match run_within(command, LONG_PATIENCE).await {
        Ok(said) => Some(said),
        Err(error) => anyhow::bail!("{error:#}\n{}", world.network().await?.logs()),
    };
    Ok(())
}

#[when(regex = r"^(\d+) clients of viem and of ethers each listen over (\d+) rollovers$")]
async fn clients_listen(world: &mut World, clients: usize, rollovers: usize) -> Result<()> {
    let network = world.network().await?;
    let gateway = network.gateway_url();
    let node = world.spec.evm_node.as_ref().context("there is a node")?;
    let mut command = script("sockets.mjs");
    command.arg(gateway).arg(node.url());
    command.args([clients.to_string(), rollovers.to_string()]);
    let said = run(command).await;
    world.relay_error = match said {
        Ok(said) => Some(said),
        Err(error) => anyhow::bail!("{error:#}\n{}", world.network().await?.logs()),
    };
    Ok(())
}
