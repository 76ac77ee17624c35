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
mod network;

use std::time::Duration;

use anyhow::{Result, ensure};
use clap::{Args, Subcommand, ValueEnum};

use crate::table::{Table, grouped};
use client::Measured;
use cpu::CpuTime;
use network::Network;

/// Relays before the measurement: connections open, caches and key tables fill.
const WARM_UP_RELAYS: u64 = 500;

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
        let network = Network::start(backend, args.durability.name()).await?;
        let outcome = measure(&args, &network).await;
        network.stop().await;
        print!("{}", outcome?);
        Ok(())
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
