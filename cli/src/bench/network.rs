//! Node, servicer and gateway as child processes of this binary, in a folder that goes with them.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use portico_protocol::ServiceId;
use tempfile::TempDir;
use tokio::process::{Child, Command};

use super::cpu::CpuTime;
use crate::localnet::{Actors, Ports, consensus_key, free_ports, genesis, local};

/// Longest wait for a child to be ready.
const READY_TIMEOUT: Duration = Duration::from_secs(60);
/// Pause between two looks at readiness.
const READY_INTERVAL: Duration = Duration::from_millis(50);
/// Longest wait for a child to end after it was asked to.
const STOP_TIMEOUT: Duration = Duration::from_secs(20);

/// The running children.
pub(super) struct Network {
    /// Front door of the gateway.
    pub(super) gateway: SocketAddr,
    children: Vec<(&'static str, Child)>,
    _folder: TempDir,
}

impl Network {
    /// Starts everything with `backend` behind the servicer and waits until the gateway is ready.
    pub(super) async fn start(backend: SocketAddr, durability: &str) -> Result<Self> {
        let folder = tempfile::tempdir().context("no temporary folder")?;
        let plan = Plan::write(folder.path(), backend, durability)?;
        let mut network = Self {
            gateway: local(plan.ports.gateway),
            children: Vec::new(),
            _folder: folder,
        };
        network
            .spawn("node", &plan, &format!("http://{}/health", local(plan.ports.rpc)))
            .await?;
        network
            .spawn(
                "servicer",
                &plan,
                &format!("http://{}/ready", local(plan.ports.servicer)),
            )
            .await?;
        network
            .spawn(
                "gateway",
                &plan,
                &format!("http://{}/ready", local(plan.ports.gateway)),
            )
            .await?;
        Ok(network)
    }

    async fn spawn(&mut self, role: &'static str, plan: &Plan, ready: &str) -> Result<()> {
        let log = plan.folder.join(format!("{role}.log"));
        let mut command = Command::new(std::env::current_exe()?);
        command
            .arg(role)
            .arg("--config")
            .arg(plan.folder.join(format!("{role}.yaml")));
        command
            .env("RUST_LOG", "warn")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .kill_on_drop(true);
        let child = command.stderr(std::fs::File::create(&log)?).spawn();
        self.children.push((
            role,
            child.with_context(|| format!("the {role} cannot be started"))?,
        ));
        let waited = tokio::time::timeout(READY_TIMEOUT, self.ready(role, ready)).await;
        let failed = || format!("the {role} is not ready; its log says: {}", tail(&log));
        waited.with_context(failed)?.with_context(failed)
    }

    async fn ready(&mut self, role: &str, url: &str) -> Result<()> {
        let client = crate::http::client()?;
        loop {
            if client
                .get(url)
                .send()
                .await
                .is_ok_and(|answer| answer.status().is_success())
            {
                return Ok(());
            }
            if let Some((_, child)) = self.children.last_mut()
                && let Some(status) = child.try_wait()?
            {
                bail!("the {role} ended: {status}");
            }
            tokio::time::sleep(READY_INTERVAL).await;
        }
    }

    /// CPU time of each child, and of this process (clients and backend).
    pub(super) fn cpu(&self) -> Result<Vec<(&'static str, CpuTime)>> {
        let own = ("clients and backend", std::process::id());
        let children = self
            .children
            .iter()
            .filter_map(|(role, child)| Some((*role, child.id()?)));
        children
            .rev()
            .chain([own])
            .map(|(name, pid)| Ok((name, CpuTime::of(pid)?)))
            .collect()
    }

    /// Ends the children, the gateway first.
    pub(super) async fn stop(mut self) {
        for (role, child) in self.children.iter_mut().rev() {
            let _ = child.start_kill();
            if tokio::time::timeout(STOP_TIMEOUT, child.wait()).await.is_err() {
                tracing::warn!(role, "does not end");
            }
        }
    }
}

/// The last lines of a log.
fn tail(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().rev().take(3).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join(" | ")
}

/// Files of the network.
struct Plan {
    folder: PathBuf,
    ports: Ports,
}

impl Plan {
    fn write(folder: &Path, backend: SocketAddr, durability: &str) -> Result<Self> {
        let service: ServiceId = "bench".parse()?;
        let ports = free_ports()?;
        std::fs::create_dir(folder.join("keys"))?;
        let actors = Actors::open(folder, [&service].into_iter())?;
        let application = actors
            .applications
            .get(&service)
            .context("no application")?
            .address();
        let endpoint = format!("http://{}", local(ports.servicer));
        let genesis = genesis(&[&service], &endpoint, &actors)?;
        let (rpc, grpc) = (local(ports.rpc), local(ports.grpc));
        let chain = format!("chain: {{rpc_url: \"http://{rpc}\", grpc_url: \"http://{grpc}\"}}\n");
        let write = |name: &str, text: String| std::fs::write(folder.join(name), text);
        write("genesis.json", serde_json::to_string(&genesis)?)?;
        write(
            "node.yaml",
            format!(
                "data_dir: {}\ngenesis: {}\nrpc_listen: {rpc}\ngrpc_listen: {grpc}\nvalidator_key: {{file: {}}}\n",
                folder.join("node").display(),
                folder.join("genesis.json").display(),
                consensus_key(folder).display(),
            ),
        )?;
        write(
            "servicer.yaml",
            format!(
                "listen: {}\n{chain}data_dir: {}\nsuppliers: [{{file: keys/supplier.hex}}]\n\
                 services: {{{service}: {{backend: {{url: \"http://{backend}\"}}, durability: {durability}}}}}\n",
                local(ports.servicer),
                folder.join("servicer").display()
            ),
        )?;
        write(
            "gateway.yaml",
            format!(
                "listen: {}\n{chain}gateway_key: {{file: keys/gateway.hex}}\n\
                 applications: [{{address: {application}, service_id: {service}}}]\n",
                local(ports.gateway)
            ),
        )?;
        Ok(Self {
            folder: folder.to_owned(),
            ports,
        })
    }
}
