//! refusals.feature

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context as _, Result, ensure};
use cucumber::{given, then, when};
use portico_e2e::DApp;
use portico_e2e::process::workspace;
use serde_json::{Value, json};
use tokio::process::Command;
use tokio::task::JoinHandle;

use super::World;
use super::ecosystem::{run, script};

/// Callers that keep the gateway's only place for a relay taken.
const CALLERS: usize = 3;
/// Time that each of their calls takes, in milliseconds.
const CALL_MS: u64 = 2_000;
/// Tries of curl's call: a relay of ours may slip in between those that keep the gateway busy.
const TRIES: usize = 50;
/// A body beyond the gateway's bound, and one beyond the servicer's.
const BODIES: [usize; 2] = [20_000_000, 30_000_000];

#[given("a gateway that relays one call at a time")]
fn one_at_a_time(world: &mut World) {
    world.spec.gateway = json!({"max_concurrent_relays": 1});
}

#[when(
    "node's fetch, ethers and viem, Python's requests and curl send what is refused, while the gateway is busy"
)]
async fn clients_are_refused(world: &mut World) -> Result<()> {
    let network = world.network().await?;
    let (gateway, servicer) = (network.dapp().url().to_owned(), network.servicer_url());
    let stop = Arc::new(AtomicBool::new(false));
    let busy: Vec<_> = (0..CALLERS)
        .map(|_| keep_busy(network.dapp(), stop.clone()))
        .collect();
    let outcome = ask(&gateway, &servicer).await;
    stop.store(true, Ordering::SeqCst);
    for caller in busy {
        caller.await?;
    }
    world.relay_error = Some(outcome?);
    Ok(())
}

#[then("each of them sees every refusal")]
fn all_seen(world: &mut World) -> Result<()> {
    let reports = world.relay_error.as_deref().unwrap_or_default();
    ensure!(reports.lines().count() == 2, "{reports}");
    for line in reports.lines() {
        let report: Value = serde_json::from_str(line).context("a client reported nothing")?;
        ensure!(report["ok"] == true, "{report}");
    }
    Ok(())
}

/// Calls that take long, one after the other.
fn keep_busy(dapp: DApp, stop: Arc<AtomicBool>) -> JoinHandle<()> {
    tokio::spawn(async move {
        let call = json!({"jsonrpc": "2.0", "id": 1, "method": "wait", "params": [CALL_MS]});
        while !stop.load(Ordering::SeqCst) {
            let _ = dapp.send(&call).await; // refused while another of them is under way
        }
    })
}

/// The reports of the scripts, a line each; errs with the first refusal that did not arrive.
async fn ask(gateway: &str, servicer: &str) -> Result<String> {
    let mut node = script("refusals.mjs");
    node.args([gateway, servicer]);
    let mut python = Command::new("python3");
    python
        .arg(workspace().join("e2e/py/refusals.py"))
        .args([gateway, servicer])
        .kill_on_drop(true);
    let reports = run(node).await? + &run(python).await?;
    let call = r#"{"jsonrpc":"2.0","id":1,"method":"eth_blockNumber","params":[]}"#;
    let [beyond_gateway, beyond_servicer] = BODIES;
    curl(gateway, &"0".repeat(beyond_gateway), "400").await?;
    curl(&format!("{gateway}/nosuch"), call, "404").await?;
    curl(gateway, call, "503").await?;
    curl(servicer, &"0".repeat(beyond_servicer), "413").await?;
    Ok(reports)
}

async fn curl(url: &str, body: &str, status: &str) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("body");
    std::fs::write(&file, body)?;
    let mut seen = String::new();
    for _ in 0..TRIES {
        let mut command = Command::new("curl");
        command
            .args([
                "-sS",
                "-o",
                "/dev/null",
                "-w",
                "%{http_code}",
                "-X",
                "POST",
                "--data-binary",
            ])
            .arg(format!("@{}", file.display()))
            .arg(url)
            .kill_on_drop(true);
        seen = run(command).await?;
        if seen == status {
            return Ok(());
        }
    }
    anyhow::bail!("curl sees HTTP {seen} of {url} instead of {status}")
}
