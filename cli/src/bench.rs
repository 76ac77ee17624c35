//! `portico bench`: what a relay costs on this machine.
//!
//! ```text
//! this process: clients ──HTTP──► gateway ══relay══► servicer ──► static backend :this process
//!                                    └──── node ────────┘           (each role a child process of this binary)
//! ```
//! Roles are processes of their own, so that the system tells the CPU time of each.

mod backend;
mod client;
mod cpu;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use clap::{Args, Subcommand, ValueEnum};
use portico_localnet::{Output, Plan, Processes, Program, Spec, free_ports, local};
use portico_protocol::ServiceId;
use serde_json::json;
use tempfile::TempDir;

use crate::table::{Table, grouped};
use client::Measured;
use cpu::CpuTime;

/// Relays before the measurement: connections open, caches and key tables fill.
const WARM_UP_RELAYS: u64 = 500;
/// The service whose relays are measured.
const SERVICE: &str = "bench";

#[derive(Args)]
pub(crate) struct BenchArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Relays per second, latency, and CPU seconds per relay for gateway and servicer separately
    Relay(RelayArgs),
}

#[derive(Args)]
struct RelayArgs {
    /// Keep-alive connections to the gateway, each with one call at a time
    #[arg(long, value_name = "N", default_value_t = 32)]
    connections: u16,
    /// Relays to send
    #[arg(long, value_name = "N", default_value_t = 20_000)]
    relays: u64,
    /// Stop after so many seconds, even if relays are left
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    seconds: u64,
    /// Size of the backend's answers in bytes
    #[arg(long, value_name = "BYTES", default_value_t = 1024)]
    answer_bytes: usize,
    /// What an answer of the servicer waits for
    #[arg(long, value_enum, default_value_t = Durability::Strict)]
    durability: Durability,
}

/// As in the servicer's configuration.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Durability {
    /// The leaf is on disk before the answer leaves
    Strict,
    /// The answer leaves at once
    Bounded,
}

impl Durability {
    const fn name(self) -> &'static str {
        match self {
            Self::Strict => "strict",
            Self::Bounded => "bounded",
        }
    }
}

impl BenchArgs {
    pub(crate) async fn run(self) -> Result<()> {
        let What::Relay(args) = self.what;
        ensure!(
            args.connections > 0 && args.relays > 0,
            "at least one connection and one relay are needed"
        );
        let backend = backend::start(args.answer_bytes).await?;
        eprintln!("starting node, servicer and gateway …");
        let network = Network::start(&args, backend).await?;
        let outcome = measure(&args, &network).await;
        drop(network);
        print!("{}", outcome?);
        Ok(())
    }
}

/// Node, servicer and gateway as processes, in a folder that goes with them.
struct Network {
    gateway: SocketAddr,
    processes: Processes,
    _folder: TempDir,
}

impl Network {
    /// Starts everything with `backend` behind the servicer and waits until the gateway is ready.
    async fn start(args: &RelayArgs, backend: SocketAddr) -> Result<Self> {
        let folder = tempfile::tempdir().context("no temporary folder")?;
        let service: ServiceId = SERVICE.parse()?;
        let mut spec = Spec::new(BTreeMap::from([(service, Some(format!("http://{backend}")))]));
        spec.settings.servicer = json!({"services": {SERVICE: {"durability": args.durability.name()}}});
        let plan = Plan::open(folder.path(), free_ports()?, spec, &mut rand::rng())?;
        let program = Program {
            output: Output::Logged(folder.path().to_owned()),
            log_level: Some("warn".to_owned()),
            ..Program::this()?
        };
        let (_, mut processes) = Processes::start(&plan, program).await?;
        processes.ready(&plan).await?;
        Ok(Self {
            gateway: local(plan.ports.gateway),
            processes,
            _folder: folder,
        })
    }

    /// CPU time of each role, and of this process (clients and backend).
    fn cpu(&self) -> Result<Vec<(&'static str, CpuTime)>> {
        let own = ("clients and backend", std::process::id());
        let roles = self.processes.ids();
        let roles = roles.iter().map(|(role, pid)| (role.name(), *pid));
        let all = roles.chain([own]);
        all.map(|(name, pid)| Ok((name, CpuTime::of(pid)?))).collect()
    }
}

async fn measure(args: &RelayArgs, network: &Network) -> Result<String> {
    let limit = Duration::from_secs(args.seconds);
    client::run(network.gateway, args.connections, WARM_UP_RELAYS, limit).await?;
    eprintln!("measuring …");
    let before = network.cpu()?;
    let measured = client::run(network.gateway, args.connections, args.relays, limit).await?;
    let after = network.cpu()?;
    Ok(text(args, &measured, &before, &after))
}

fn text(
    args: &RelayArgs,
    measured: &Measured,
    before: &[(&str, CpuTime)],
    after: &[(&str, CpuTime)],
) -> String {
    let mut summary = Table::new(&["", ">"]);
    summary.row(["relays".to_owned(), grouped(measured.relays())]);
    summary.row(["connections".to_owned(), args.connections.to_string()]);
    summary.row(["relays/s".to_owned(), grouped(measured.per_second())]);
    summary.row(["p50 ms".to_owned(), millis(measured.percentile(50))]);
    summary.row(["p99 ms".to_owned(), millis(measured.percentile(99))]);
    let mut cpu = Table::new(&["process", ">CPU s", ">CPU µs per relay", ">cores"]);
    for ((name, before), (_, after)) in before.iter().zip(after) {
        let used = after.since(*before);
        cpu.row([
            (*name).to_owned(),
            format!("{:.2}", used.as_secs_f64()),
            format!("{:.1}", used.as_secs_f64() * 1e6 / measured.relays() as f64),
            format!("{:.2}", used.as_secs_f64() / measured.took.as_secs_f64()),
        ]);
    }
    format!("{}\n{}", summary.text(0), cpu.text(0))
}

fn millis(time: Duration) -> String {
    format!("{:.2}", time.as_secs_f64() * 1e3)
}
