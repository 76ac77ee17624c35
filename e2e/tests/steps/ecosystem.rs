//! ecosystem.feature

use anyhow::{Context as _, Result, bail, ensure};
use cucumber::{then, when};
use portico_e2e::process::workspace;
use tokio::process::Command;

use super::World;

#[when("a gRPC client lists the services by reflection and asks for a session")]
async fn reflection(world: &mut World) -> Result<()> {
    let network = world.network().await?;
    let mut command = script("reflection.mjs");
    command
        .arg(network.grpc_addr())
        .arg(network.actors().application.address().to_string())
        .arg(portico_e2e::genesis::service().to_string());
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

fn script(name: &str) -> Command {
    let mut command = Command::new("node");
    command
        .arg(workspace().join("e2e/js").join(name))
        .kill_on_drop(true);
    command
}

/// What the script printed; its complaint when it failed.
async fn run(mut command: Command) -> Result<String> {
    let output = command.output().await.context("node does not start")?;
    if !output.status.success() {
        bail!("the script failed:\n{}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8(output.stdout)?)
}
