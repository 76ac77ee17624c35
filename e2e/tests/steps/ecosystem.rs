//! ecosystem.feature

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use cucumber::{then, when};
use portico_e2e::process::workspace;
use tokio::process::Command;

use super::World;

/// A script that is not done by then never will be.
const SCRIPT_TIMEOUT: Duration = Duration::from_secs(120);

#[when("a script written with CosmJS uses the chain")]
async fn cosmjs(world: &mut World) -> Result<()> {
    let network = world.network().await?;
    let actors = network.actors();
    let mut command = script("chain.mjs");
    command
        .arg(network.rpc_url())
        .arg(actors.service_owner.address().to_string())
        .arg(actors.gateway.address().to_string())
        .arg(workspace().join("protocol-core/protocol/proto"))
        .env("KEY", actors.faucet.to_hex())
        .env("SERVICE", portico_e2e::network::service().to_string());
    world.relay_error = Some(run(command).await?);
    Ok(())
}

#[when("a gRPC client lists the services by reflection and asks for a session")]
async fn reflection(world: &mut World) -> Result<()> {
    let network = world.network().await?;
    let mut command = script("reflection.mjs");
    command
        .arg(network.grpc_addr())
        .arg(network.application().to_string())
        .arg(portico_e2e::network::service().to_string());
    world.relay_error = Some(run(command).await?);
    Ok(())
}

#[then("the script is content")]
fn content(world: &mut World) -> Result<()> {
    let line = world.relay_error.as_deref().unwrap_or_default();
    let report: serde_json::Value =
        serde_json::from_str(line.trim()).context("the script reported nothing")?;
    ensure!(report["ok"] == true, "{report}");
    Ok(())
}

pub(super) fn script(name: &str) -> Command {
    let mut command = Command::new("node");
    command
        .arg(workspace().join("e2e/js").join(name))
        .kill_on_drop(true);
    command
}

/// What the script printed; its complaint when it failed.
pub(super) async fn run(command: Command) -> Result<String> {
    run_within(command, SCRIPT_TIMEOUT).await
}

/// The same with another patience.
pub(super) async fn run_within(mut command: Command, patience: Duration) -> Result<String> {
    let output = tokio::time::timeout(patience, command.output()).await;
    let output = output
        .with_context(|| format!("the script is not done after {patience:?}"))?
        .context("node does not start")?;
    if !output.status.success() {
        bail!("the script failed:\n{}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8(output.stdout)?)
}
