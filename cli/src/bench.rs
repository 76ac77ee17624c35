//! `portico bench`: what a relay costs on this machine, beside what a plain proxy's request costs.
//!
//! ```text
//! this process: clients ──HTTP──► gateway ══relay══► servicer ──► static backend :this process
//!                  │                 └──── node ────────┘             (each role a child process)
//!                  ├─────────────► the same roles of another binary, with --versus
//!                  └─────────────► nginx, haproxy or a minimal proxy ──► the same backend
//! ```
//! With `--transport` the clients call over WebSockets, event streams or gRPC instead.
//! Roles are processes of their own, so that the system tells what each uses. All are up at once and measured in turn, in rounds of
//! alternating order: what disturbs the machine for a while disturbs all of them.

mod backend;
mod client;
mod forward;
mod idle;
mod lane;
mod proxy;
mod report;
mod syscalls;
mod transport;
mod turns;
mod usage;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use clap::{Args, Subcommand, ValueEnum};

use crate::open_files;
use crate::output::OutputArgs;
use client::Workload;
use lane::Lane;
use proxy::{Kind, Proxy};
use report::{Measurements, Report};
use syscalls::Tool;
use transport::Transport;
use turns::Turns;

/// The service whose relays are measured.
const SERVICE: &str = "bench";
/// Most calls of each lane while system calls are counted.
const SYSCALL_CALLS: u64 = 1_000;
/// Longest wait for the proxy.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);
/// Pause between two tries to connect to it.
const CONNECT_INTERVAL: Duration = Duration::from_millis(20);

#[derive(Args)]
pub(crate) struct BenchArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Relays per second, latency, and what a relay costs in gateway and servicer: CPU, system calls, context switches, allocations;
    /// beside a plain proxy's request; over HTTP, WebSockets (also the memory of an idle one), event streams or gRPC
    Relay(RelayArgs),
    /// Forward HTTP to a backend and nothing else: what relays are measured beside where neither nginx nor haproxy is installed
    #[command(hide = true)]
    Proxy(forward::ProxyArgs),
}

#[derive(Args)]
struct RelayArgs {
    /// How clients call. All but http are measured beside a minimal proxy of ours, which has them all
    #[arg(long, value_enum, default_value_t = Transport::Http)]
    transport: Transport,
    /// Messages (ws) or chunks (sse) that the backend says per call, each when the client has the one before; default 1 (ws), 100 (sse)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    per_call: Option<u16>,
    /// WebSockets (ws) that are opened and left idle to measure the memory of one, before anything else; 0 for none. Each takes two open
    /// files of every process, so the default of 5000 needs `ulimit -n 11024`
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(..=100_000))]
    idle: Option<u32>,
    /// Keep-alive connections, each with one call at a time
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..))]
    connections: u16,
    /// Relays to send, in all rounds together; messages of the backend (ws), chunks (sse)
    #[arg(long, value_name = "N", default_value_t = 20_000, value_parser = clap::value_parser!(u64).range(1..))]
    relays: u64,
    /// Rounds; every figure is the median of theirs
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=100))]
    rounds: u16,
    /// Stop a round after so many seconds, even if relays are left
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    seconds: u64,
    /// Size of the backend's answers in bytes
    #[arg(long, value_name = "BYTES", default_value_t = 1024)]
    answer_bytes: usize,
    /// Suppliers of the service, all served by one servicer
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1000))]
    suppliers: u16,
    /// What an answer of the servicer waits for
    #[arg(long, value_enum, default_value_t = Durability::Strict)]
    durability: Durability,
    /// Speak TLS on every hop but the backend's, and towards the proxy; needs nginx or haproxy
    #[arg(long)]
    tls: bool,
    /// Measure another portico binary too, in the same rounds, and print CPU ratios per role
    #[arg(long, value_name = "PATH")]
    versus: Option<PathBuf>,
    #[command(flatten)]
    output: OutputArgs,
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

impl RelayArgs {
    /// Messages or chunks per call.
    fn per_call(&self) -> u16 {
        self.per_call.unwrap_or(self.transport.per_call())
    }

    /// WebSockets to leave idle.
    fn idle_sockets(&self) -> u32 {
        let default = if self.transport == Transport::Ws { IDLE } else { 0 };
        self.idle.unwrap_or(default)
    }

    fn check(&self) -> Result<()> {
        let transport = self.transport;
        ensure!(
            transport == Transport::Http || !self.tls,
            "--tls is for --transport http: the proxy that has the others speaks no TLS"
        );
        ensure!(
            transport.has_many() || self.per_call() == 1,
            "--per-call is for --transport ws and sse"
        );
        ensure!(
            transport == Transport::Ws || self.idle_sockets() == 0,
            "--idle is for --transport ws"
        );
        let (wanted, limit) = (idle::files(self.idle_sockets()), open_files::raised());
        ensure!(
            limit.is_none_or(|limit| wanted <= limit || self.idle_sockets() == 0),
            "{} idle WebSockets need `ulimit -n {wanted}`, which is {} here; or take fewer with --idle",
            self.idle_sockets(),
            limit.unwrap_or_default()
        );
        Ok(())
    }
}

/// WebSockets whose memory is measured by default.
const IDLE: u32 = 5_000;

impl BenchArgs {
    pub(crate) async fn run(self) -> Result<()> {
        let args = match self.what {
            What::Relay(args) => args,
            What::Proxy(args) => return args.run().await,
        };
        args.check()?;
        let folder = tempfile::tempdir().context("no temporary folder")?;
        let lanes = start(&args, folder.path()).await?;
        let report = measure(&args, lanes, folder.path()).await?;
        match args.output.is_json() {
            true => println!("{}", serde_json::to_string_pretty(&report)?),
            false => print!("{}", report.text()),
        }
        Ok(())
    }
}

/// Starts everything that is measured: this binary's network, the other binary's if wanted, the proxy last.
async fn start(args: &RelayArgs, folder: &std::path::Path) -> Result<Vec<Lane>> {
    let workload = Workload {
        transport: args.transport,
        per_call: args.per_call(),
        turns: Turns::default(),
    };
    let backend = backend::start(args.answer_bytes, workload.turns.clone()).await?;
    let called = || (workload.clone(), backend);
    eprintln!("starting node, servicer and gateway …");
    let this = std::env::current_exe().context("this program cannot be found")?;
    let mut lanes = vec![Lane::network("this binary", this, &folder.join("this"), args, called()).await?];
    if let Some(other) = &args.versus {
        ensure!(other.is_file(), "there is no program at {}", other.display());
        let (name, folder) = (other.display().to_string(), folder.join("versus"));
        let program = std::path::absolute(other)?;
        lanes.push(Lane::network(&name, program, &folder, args, called()).await?);
    }
    let certificates = lanes.first().and_then(Lane::certificates);
    let proxy = Proxy::start(Kind::find(args.transport).await, folder, backend, certificates).await?;
    lanes.push(Lane::proxy(proxy, workload)?);
    Ok(lanes)
}

async fn measure(args: &RelayArgs, lanes: Vec<Lane>, folder: &std::path::Path) -> Result<Report> {
    let unmeasured = |lane| Measurements {
        lane,
        rounds: Vec::new(),
        syscalls: std::collections::BTreeMap::new(),
        idle: std::collections::BTreeMap::new(),
    };
    let mut lanes: Vec<Measurements> = lanes.into_iter().map(unmeasured).collect();
    let calls = args.relays.div_ceil(args.rounds.into());
    for lane in &lanes {
        lane.lane.round(args, calls.min(WARM_UP_CALLS)).await?;
    }
    if args.idle_sockets() > 0 {
        for lane in &mut lanes {
            eprintln!("opening {} WebSockets …", args.idle_sockets());
            lane.idle = lane.lane.idle(args.idle_sockets()).await?;
        }
    }
    for round in 1..=args.rounds {
        eprintln!("measuring, round {round} of {} …", args.rounds);
        for lane in &mut lanes {
            let measured = lane.lane.round(args, calls).await?;
            lane.rounds.push(measured);
        }
        lanes.reverse(); // who is first in one round is last in the next
    }
    if args.rounds % 2 == 1 {
        lanes.reverse();
    }
    let tool = Tool::find().await;
    if let Some(tool) = tool {
        eprintln!("counting system calls …");
        for lane in &mut lanes {
            lane.syscalls = lane
                .lane
                .syscalls(args, calls.min(SYSCALL_CALLS), tool, folder)
                .await?;
        }
    }
    report(args, &lanes, tool)
}

fn report(args: &RelayArgs, lanes: &[Measurements], tool: Option<Tool>) -> Result<Report> {
    let (proxy, networks) = lanes.split_last().context("the proxy is always measured")?;
    let (ours, versus) = networks.split_first().context("a network is always measured")?;
    let mut reports = vec![ours.report(proxy, versus.first())];
    reports.extend(versus.iter().map(|lane| lane.report(proxy, None)));
    reports.push(proxy.report(proxy, None));
    Ok(Report {
        transport: args.transport,
        per_call: args.per_call(),
        idle_sockets: args.idle_sockets(),
        connections: args.connections,
        answer_bytes: args.answer_bytes,
        tls: args.tls,
        suppliers: args.suppliers,
        durability: args.durability.name(),
        rounds: args.rounds.into(),
        syscalls_by: tool.map(Tool::name),
        lanes: reports,
    })
}

/// Calls of each lane before the first round: connections open, caches and key tables fill.
const WARM_UP_CALLS: u64 = 1_000;
