//! evm.feature

use anyhow::{Context as _, Result, bail, ensure};
use cucumber::{given, then, when};
use portico_e2e::EvmNode;
use portico_e2e::process::workspace;

use super::World;

#[given("a network whose backend is a real EVM node")]
async fn a_network_over_an_evm_node(world: &mut World) -> Result<()> {
    world.spec.suppliers = 1;
    world.spec.evm_node = Some(EvmNode::start().await?);
    world.network().await?;
    Ok(())
}

#[when("a dApp written with viem reads, sends a transaction and batches")]
async fn viem_dapp(world: &mut World) -> Result<()> {
    let network = world.network().await?;
    network.await_fresh_session().await?;
    let output = tokio::process::Command::new("node")
        .arg(workspace().join("e2e/js/dapp.mjs"))
        .arg(network.dapp().url())
        .output()
        .await
        .context("node does not start")?;
    if !output.status.success() {
        bail!("the dApp failed:\n{}", String::from_utf8_lossy(&output.stderr));
    }
    world.relay_error = Some(String::from_utf8(output.stdout)?);
    Ok(())
}

#[then("the dApp is content")]
fn content(world: &mut World) -> Result<()> {
    let line = world.relay_error.as_deref().unwrap_or_default();
    let report: serde_json::Value = serde_json::from_str(line.trim()).context("the dApp reported nothing")?;
    ensure!(report["ok"] == true, "{report}");
    Ok(())
}

#[then("every one of its calls is a leaf of the session's trie")]
async fn its_calls_are_leaves(world: &mut World) -> Result<()> {
    let network = world.network().await?;
    let served = network.relays_served().await?;
    let leaves = network.leaves_of_all_sessions().await?;
    ensure!(served >= 10, "only {served} relays were served");
    ensure!(leaves == served, "{leaves} leaves for {served} relays");
    Ok(())
}
