//! dapps.feature

use anyhow::{Context as _, Result};
use cucumber::{given, when};
use portico_e2e::network::SERVICE;
use portico_e2e::process::workspace;
use portico_e2e::{EvmNode, Nginx, NodeServer};
use portico_localnet::ports::free_address;
use serde_json::json;
use tokio::process::Command;

use super::World;
use super::ecosystem::{run, script};

/// Sessions' ends that a dApp's subscriptions outlive.
const ROLLOVERS: &str = "1";
/// Bytes of a call that the gateway takes from a page: a browser takes seconds to send what the usual bound refuses.
const MAX_BODY_BYTES: usize = 1_000_000;

#[given("a network whose backend is a Solana node")]
async fn a_solana_node(world: &mut World) -> Result<()> {
    world.spec.suppliers = 2;
    world.spec.socket_server = Some(NodeServer::start("solana-server.mjs").await?);
    Ok(())
}

#[given("a network whose gateway lets the pages of one origin use an EVM node and an event server")]
async fn pages_of_one_origin(world: &mut World) -> Result<()> {
    let page = free_address()?;
    world.spec.suppliers = 1;
    world.spec.evm_node = Some(EvmNode::start().await?);
    world.spec.websockets = true;
    world.spec.event_server = Some(NodeServer::start("event-server.mjs").await?);
    world.spec.gateway =
        json!({"cors_allowed_origins": [format!("http://{page}")], "max_body_bytes": MAX_BODY_BYTES});
    world.page = Some(page);
    Ok(())
}

#[given("a network whose EVM node is behind nginx, which speaks TLS and compresses, and takes batches whole")]
async fn an_evm_node_behind_nginx(world: &mut World) -> Result<()> {
    let node = EvmNode::start().await?;
    world.spec.suppliers = 1;
    world.spec.gateway = json!({"services": {SERVICE: {"batches": "whole"}}});
    world.spec.proxy = Some(Nginx::start(node.url()).await?);
    world.spec.evm_node = Some(node);
    Ok(())
}

#[when(
    "a page in a browser fetches, listens to events and opens a WebSocket, and one of another origin tries to"
)]
async fn browser(world: &mut World) -> Result<()> {
    let url = world.network().await?.service_url();
    let events = world.spec.event_server.as_ref().context("there is a server")?;
    let page = world.page.context("there is a page")?;
    let profile = tempfile::tempdir()?; // the browser leaves it behind when it is killed
    let mut command = script("browser.mjs");
    command
        .args([url.as_str(), events.url(), &page.port().to_string()])
        .env("TMPDIR", profile.path());
    report(world, command).await
}

#[when("a dApp reads large answers over HTTP and a WebSocket")]
async fn large_answers(world: &mut World) -> Result<()> {
    let url = world.network().await?.service_url();
    let node = world.spec.evm_node.as_ref().context("there is a node")?;
    let proxy = world.spec.proxy.as_ref().context("there is a proxy")?;
    let mut command = script("compressed.mjs");
    command.args([url.as_str(), node.url()]).arg(proxy.access_log());
    report(world, command).await
}

#[when("a dApp written with Solana's kit pays and listens over a rollover")]
async fn kit(world: &mut World) -> Result<()> {
    let url = world.network().await?.service_url();
    let mut command = script("solana.mjs");
    command.args([url.as_str(), ROLLOVERS]);
    report(world, command).await
}

#[when("a dApp written with CosmJS pays and listens over a rollover")]
async fn cosmjs(world: &mut World) -> Result<()> {
    let network = world.network().await?;
    let mut command = script("cosmos.mjs");
    command
        .arg(network.service_url())
        .arg(network.actors().service_owner.address().to_string())
        .arg(ROLLOVERS)
        .env("KEY", network.actors().faucet.to_hex())
        .env(
            "NODE_EXTRA_CA_CERTS",
            network.authority().context("its hops are TLS")?,
        );
    report(world, command).await
}

#[when("a dApp written with web3.py pays, batches and listens")]
async fn web3_py(world: &mut World) -> Result<()> {
    let url = world.network().await?.service_url();
    let mut command = Command::new("python3");
    command
        .arg(workspace().join("e2e/py/web3_dapp.py"))
        .arg(url)
        .kill_on_drop(true);
    report(world, command).await
}

async fn report(world: &mut World, command: Command) -> Result<()> {
    world.relay_error = match run(command).await {
        Ok(said) => Some(said),
        Err(error) => anyhow::bail!("{error:#}\n{}", world.network().await?.logs()),
    };
    Ok(())
}
