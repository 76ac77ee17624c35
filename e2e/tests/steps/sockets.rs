//! sockets.feature

use anyhow::{Context as _, Result};
use cucumber::{given, when};
use portico_e2e::EvmNode;

use super::World;
use super::ecosystem::{run, script};

#[given("a network whose EVM node takes WebSockets")]
async fn an_evm_node_with_websockets(world: &mut World) -> Result<()> {
    world.spec.suppliers = 2;
    world.spec.evm_node = Some(EvmNode::start().await?);
    world.spec.websockets = true;
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
