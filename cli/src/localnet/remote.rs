//! The same network as three processes of this binary, which talk over the node's RPC and gRPC as strangers would.

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use portico_client::{Chain, RemoteChain};
use portico_protocol::{ServiceId, SigningKey};
use portico_servicer::LedgerRow;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio_util::sync::CancellationToken;

use super::actors::{Actors, consensus_key};
use super::home::Home;
use super::ports::local;
use super::start::{Books, Network};
use crate::folders::localnet_key;
use crate::parts::Parts;

/// Longest wait for the node's first block.
const NODE_TIMEOUT: Duration = Duration::from_secs(60);
/// Pause between two looks for it.
const NODE_INTERVAL: Duration = Duration::from_millis(50);
/// Variables of the environment that would overrule the configuration files, such as `PORTICO_CHAIN_RPC`.
const OUR_VARIABLES: &str = "PORTICO_";
/// Longest wait for a process that was asked to end.
const STOP_TIMEOUT: Duration = Duration::from_secs(15);

/// Starts the roles of the network in `home`, the node first; the first to end ends all.
pub(super) async fn network(
    home: &Home,
    actors: &Actors,
    block_time: Duration,
    parts: &mut Parts,
) -> Result<Network> {
    let (ports, ended) = (home.saved.ports, parts.stop());
    let mut start = |role, config| -> Result<()> {
        let child = Role::start(home, role, &config)?;
        parts.start(role, child.run(parts.stop()));
        Ok(())
    };
    start("node", node_config(home, block_time)?)?;
    let (rpc, grpc) = (url(ports.rpc), url(ports.grpc));
    let chain = tokio::select! {
        chain = connected(&rpc, &grpc) => chain?,
        () = ended.cancelled() => bail!("the node ended before its first block; its last lines are above"),
    };
    start("servicer", servicer_config(home))?;
    start("gateway", gateway_config(home, actors))?;
    Ok(Network {
        chain: Arc::new(chain),
        books: Books::At(format!("{}/ledger", url(ports.servicer))),
    })
}

/// The servicer's ledger, asked of its process.
pub(super) async fn ledger(url: &str) -> Result<Vec<LedgerRow>> {
    let asked = async {
        crate::http::client()?
            .get(url)
            .send()
            .await?
            .error_for_status()?
            .json()
            .await
    };
    let mut answer: Value = asked
        .await
        .with_context(|| format!("the servicer does not show its ledger at {url}"))?;
    serde_json::from_value(answer["sessions"].take()).context("the servicer's ledger has another shape")
}

fn url(port: u16) -> String {
    format!("http://{}", local(port))
}

fn node_config(home: &Home, block_time: Duration) -> Result<Value> {
    let ports = home.saved.ports;
    Ok(json!({
        "data_dir": home.dir.join("chain"),
        "genesis": home.genesis(),
        "rpc_listen": local(ports.rpc),
        "grpc_listen": local(ports.grpc),
        "block_time_ms": u64::try_from(block_time.as_millis())?,
        "validator_key": {"file": consensus_key(&home.dir)},
    }))
}

fn servicer_config(home: &Home) -> Value {
    let services = home.saved.backends.keys().map(|id| {
        let backend = json!({"backend": {"url": home.saved.backend(id)}});
        (id.to_string(), backend)
    });
    json!({
        "listen": local(home.saved.ports.servicer),
        "data_dir": home.dir.join("servicer"),
        "chain": chain_config(home),
        "suppliers": [{"file": localnet_key(&home.dir, "supplier")}],
        "services": services.collect::<serde_json::Map<_, _>>(),
    })
}

fn gateway_config(home: &Home, actors: &Actors) -> Value {
    let application =
        |(service, key): (&ServiceId, &SigningKey)| json!({"address": key.address(), "service_id": service});
    json!({
        "listen": local(home.saved.ports.gateway),
        "chain": chain_config(home),
        "gateway_key": {"file": localnet_key(&home.dir, "gateway")},
        "applications": actors.applications.iter().map(application).collect::<Vec<_>>(),
    })
}

fn chain_config(home: &Home) -> Value {
    json!({"rpc_url": url(home.saved.ports.rpc), "grpc_url": url(home.saved.ports.grpc)})
}

async fn connected(rpc: &str, grpc: &str) -> Result<RemoteChain> {
    let connect = async {
        loop {
            if let Ok(chain) = RemoteChain::connect(rpc, grpc).await
                && chain.status().await.is_ok_and(|status| status.head.height.0 > 0)
            {
                return chain;
            }
            tokio::time::sleep(NODE_INTERVAL).await;
        }
    };
    let waited = tokio::time::timeout(NODE_TIMEOUT, connect).await;
    waited.with_context(|| format!("the node made no block within {} s", NODE_TIMEOUT.as_secs()))
}

/// A process of one role.
struct Role {
    name: &'static str,
    child: Child,
}

impl Role {
    /// Writes the role's configuration into the network's folder and starts it.
    fn start(home: &Home, name: &'static str, config: &Value) -> Result<Self> {
        let file = write_config(&home.dir, name, config)?;
        let program = std::env::current_exe().context("this program cannot be found")?;
        let mut command = Command::new(program);
        for (variable, _) in std::env::vars_os() {
            if variable.to_string_lossy().starts_with(OUR_VARIABLES) {
                command.env_remove(variable);
            }
        }
        let child = command
            .arg(name)
            .arg("--config")
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn();
        Ok(Self {
            name,
            child: child.with_context(|| format!("the {name} does not start"))?,
        })
    }

    /// Shows what it says, and waits until it ends or is to stop.
    async fn run(mut self, stop: CancellationToken) -> Result<()> {
        let (out, err) = (self.child.stdout.take(), self.child.stderr.take());
        let name = self.name;
        let (ended, (), ()) = tokio::join!(self.ended(stop), show(name, out), show(name, err));
        ended
    }

    async fn ended(&mut self, stop: CancellationToken) -> Result<()> {
        tokio::select! {
            status = self.child.wait() => {
                stop.cancel(); // who waits for it need not any more
                return verdict(status?);
            }
            () = stop.cancelled() => {}
        }
        self.terminate().await?;
        match tokio::time::timeout(STOP_TIMEOUT, self.child.wait()).await {
            Ok(status) => verdict(status?),
            Err(_) => {
                self.child.kill().await?;
                bail!(
                    "it did not stop within {} s and was killed",
                    STOP_TIMEOUT.as_secs()
                )
            }
        }
    }

    /// Asks it to end, as an operator does. A Ctrl-C on the terminal has reached it already.
    async fn terminate(&mut self) -> Result<()> {
        let Some(pid) = self.child.id() else {
            return Ok(());
        };
        let asked = Command::new("kill").arg(pid.to_string()).status().await;
        asked.context("the kill command does not start")?;
        Ok(())
    }
}

fn verdict(status: ExitStatus) -> Result<()> {
    match status.success() {
        true => Ok(()),
        false => bail!("it ended with {status}; its last lines are above"),
    }
}

/// Prints lines with the role's name before them.
async fn show(name: &str, output: Option<impl AsyncRead + Unpin>) {
    let Some(output) = output else { return };
    let mut lines = BufReader::new(output).lines();
    // Whoever cannot be read any more has ended, and that is told elsewhere.
    while let Ok(Some(line)) = lines.next_line().await {
        if !line.is_empty() {
            eprintln!("{name:>8} | {line}");
        }
    }
}

/// Secrets are named by their files only.
fn write_config(dir: &Path, name: &str, config: &Value) -> Result<PathBuf> {
    let file = dir.join(format!("{name}.yaml"));
    std::fs::write(&file, serde_saphyr::to_string(config)?)
        .with_context(|| format!("{} cannot be written", file.display()))?;
    Ok(file)
}
