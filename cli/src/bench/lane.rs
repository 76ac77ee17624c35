//! One of the things that are measured in turn: a network of this binary or of another, or the plain proxy.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use portico_localnet::{
    Certificates, Output, Plan, Processes, Program, Role, Spec, SupplierSpec, free_ports,
};
use portico_protocol::ServiceId;
use serde_json::json;

use super::client::{Client, Measured, Workload};
use super::idle::Idle;
use super::proxy::Proxy;
use super::syscalls::Tool;
use super::transport::Transport;
use super::usage::{Spent, Usage, memory};
use super::{RelayArgs, SERVICE};
use crate::metrics::ALLOCATIONS;

/// Calls before each measurement: the caches that the other lanes displaced fill again.
const WARM_UP_CALLS: u64 = 300;

/// What is measured, with its processes.
pub(super) struct Lane {
    /// What it is called.
    pub(super) name: String,
    client: Client,
    http: reqwest::Client,
    certificates: Option<Certificates>,
    processes: Vec<Measurable>,
    _running: Running,
}

/// A process whose usage is measured.
struct Measurable {
    name: &'static str,
    pid: u32,
    /// Where its metrics are, if it has any.
    metrics: Option<String>,
}

/// What ends with the lane.
enum Running {
    Network(#[expect(dead_code, reason = "held")] Box<Processes>),
    Proxy(#[expect(dead_code, reason = "held")] Box<Proxy>),
}

/// What one round saw.
pub(super) struct Round {
    pub(super) measured: Measured,
    /// By process.
    pub(super) spent: Vec<(&'static str, Spent)>,
    /// Allocations, of the processes that count them.
    pub(super) allocations: BTreeMap<&'static str, u64>,
}

impl Lane {
    /// A network of `program` with the bench's backend behind the servicer, in `folder`; waits until the gateway is ready.
    pub(super) async fn network(
        name: &str,
        program: PathBuf,
        folder: &Path,
        args: &RelayArgs,
        (workload, backend): (Workload, SocketAddr),
    ) -> Result<Self> {
        std::fs::create_dir(folder)?;
        let plan = Plan::open(folder, free_ports()?, spec(args, backend)?, &mut rand::rng())?;
        let program = Program {
            path: program,
            output: Output::Logged(folder.to_owned()),
            log_level: Some("warn".to_owned()),
        };
        let (_, mut running) = Processes::start(&plan, program).await?;
        running.ready(&plan).await?;
        let metrics = |role| match role {
            Role::Node => None,
            Role::Servicer => Some(format!("{}/metrics", plan.servicer_url())),
            Role::Gateway => Some(format!("{}/metrics", plan.gateway_url())),
        };
        let measurable = |(role, pid): (Role, u32)| Measurable {
            name: role.name(),
            pid,
            metrics: metrics(role),
        };
        let own = Measurable {
            name: "clients and backend",
            pid: std::process::id(),
            metrics: None,
        };
        Ok(Self {
            name: name.to_owned(),
            client: client(args, &plan, workload)?,
            http: plan.http_client()?,
            certificates: plan.certificates.clone(),
            processes: running.ids().into_iter().map(measurable).chain([own]).collect(),
            _running: Running::Network(Box::new(running)),
        })
    }

    /// The plain proxy.
    pub(super) fn proxy(proxy: Proxy, workload: Workload) -> Result<Self> {
        let pid = proxy.process.id().context("the proxy has ended")?;
        let process = Measurable {
            name: "proxy",
            pid,
            metrics: None,
        };
        Ok(Self {
            name: proxy.kind.name().to_owned(),
            client: Client::new(&format!("{}/v1", proxy.url), proxy.tls.clone(), workload)?,
            http: crate::http::client()?,
            certificates: None,
            processes: vec![process],
            _running: Running::Proxy(Box::new(proxy)),
        })
    }

    /// Sends `calls` calls, after a few that are not measured.
    pub(super) async fn round(&self, args: &RelayArgs, calls: u64) -> Result<Round> {
        let limit = Duration::from_secs(args.seconds);
        let run = |calls| self.client.run(args.connections, calls, limit);
        let failed = || format!("{}: a measurement failed", self.name);
        run(WARM_UP_CALLS.min(calls)).await.with_context(failed)?;
        let allocations = self.allocations().await;
        let before = self.usage()?;
        let measured = run(calls).await.with_context(failed)?;
        let after = self.usage()?;
        let later = self.allocations().await;
        let used = self.processes.iter().zip(before.iter().zip(&after));
        Ok(Round {
            measured,
            spent: used
                .map(|(process, (before, after))| (process.name, after.since(before)))
                .collect(),
            allocations: later
                .into_iter()
                .filter_map(|(name, later)| Some((name, later.checked_sub(*allocations.get(name)?)?)))
                .collect(),
        })
    }

    /// Bytes of memory that one of `sockets` idle WebSockets takes, by process; without this process, which is at both ends of them.
    pub(super) async fn idle(&self, sockets: u32) -> Result<BTreeMap<&'static str, f64>> {
        let before = self.memory()?;
        let opened = Idle::open(&self.client, sockets).await;
        let mut idle = opened.with_context(|| self.name.clone())?;
        let after = self.memory()?;
        idle.must_be_open()?;
        let per_socket = |(name, after): (&'static str, u64)| {
            let grown = after.saturating_sub(*before.get(name)?);
            Some((name, grown as f64 / f64::from(sockets)))
        };
        Ok(after.into_iter().filter_map(per_socket).collect())
    }

    fn memory(&self) -> Result<BTreeMap<&'static str, u64>> {
        let others = self.processes.iter();
        let others = others.filter(|process| process.pid != std::process::id());
        others
            .map(|process| Ok((process.name, memory(process.pid)?)))
            .collect()
    }

    /// System calls per call of each process, while `calls` calls are sent.
    pub(super) async fn syscalls(
        &self,
        args: &RelayArgs,
        calls: u64,
        tool: Tool,
        folder: &Path,
    ) -> Result<BTreeMap<&'static str, f64>> {
        let pids: Vec<u32> = self.processes.iter().map(|process| process.pid).collect();
        // Not of this process: strace cannot stop what waits for it.
        let others = pids.iter().copied().filter(|pid| *pid != std::process::id());
        let others: Vec<u32> = others.collect();
        let counters = tool.attach(&others, folder).await?;
        let limit = Duration::from_secs(args.seconds);
        let measured = self.client.run(args.connections, calls, limit).await?;
        let counts = counters.finish().await?;
        let names = self.processes.iter().map(|process| process.name);
        let per_call = counts.iter().map(|count| *count as f64 / measured.calls() as f64);
        Ok(names.zip(per_call).collect())
    }

    /// Certificates of its hops, where they are TLS.
    pub(super) const fn certificates(&self) -> Option<&Certificates> {
        self.certificates.as_ref()
    }

    /// Its processes' names, in the order of the report.
    pub(super) fn process_names(&self) -> impl Iterator<Item = &'static str> {
        self.processes.iter().map(|process| process.name)
    }

    fn usage(&self) -> Result<Vec<Usage>> {
        self.processes
            .iter()
            .map(|process| Usage::of(process.pid))
            .collect()
    }

    /// The counts of the processes that have one; another binary may have none.
    async fn allocations(&self) -> BTreeMap<&'static str, u64> {
        let mut counts = BTreeMap::new();
        for process in &self.processes {
            if let Some(url) = &process.metrics
                && let Some(count) = allocations(&self.http, url).await
            {
                counts.insert(process.name, count);
            }
        }
        counts
    }
}

async fn allocations(http: &reqwest::Client, url: &str) -> Option<u64> {
    let answer = http.get(url).send().await.ok()?;
    let text = answer.text().await.ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(ALLOCATIONS))?;
    line.trim().parse().ok()
}

/// A client of the network's gateway, for its only service.
fn client(args: &RelayArgs, plan: &Plan, workload: Workload) -> Result<Client> {
    let root = match args.transport {
        Transport::Http => "/v1".to_owned(),
        Transport::Ws | Transport::Sse | Transport::Grpc => format!("/v1/{SERVICE}"),
    };
    let url = format!("{}{root}", plan.gateway_url());
    Client::new(&url, plan.client_tls()?, workload)
}

/// One service and application, with as many suppliers as asked for, all served by one servicer.
fn spec(args: &RelayArgs, backend: SocketAddr) -> Result<Spec> {
    let service: ServiceId = SERVICE.parse()?;
    let mut spec = Spec::new(BTreeMap::from([(
        service.clone(),
        Some(format!("http://{backend}")),
    )]));
    spec.suppliers = vec![SupplierSpec::here(vec![service.clone()]); usize::from(args.suppliers)];
    spec.tls = args.tls;
    let mut servicer = json!({"services": {SERVICE: {"durability": args.durability.name()}}});
    match args.transport {
        Transport::Http | Transport::Sse => {}
        Transport::Grpc => _ = spec.grpc.insert(service, format!("http://{backend}")),
        Transport::Ws => {
            spec.websockets.insert(service, format!("ws://{backend}"));
            spec.block_time = SLOW_BLOCKS;
            let sockets = args.idle_sockets().saturating_add(SPARE_SOCKETS);
            let listener = json!({"max_connections": sockets, "max_connections_per_ip": sockets});
            servicer["limits"] = json!({"max_websockets": sockets});
            servicer["listener"] = listener.clone();
            spec.settings.gateway = json!({"max_websockets": sockets, "listener": listener});
        }
    }
    spec.settings.servicer = servicer;
    Ok(spec)
}

/// Time between blocks where WebSockets are open: at a session's end each gets another beside it for a while, which is not an idle one's memory.
const SLOW_BLOCKS: Duration = Duration::from_secs(10);
/// WebSockets that a network takes beyond the idle ones: those of the measurements, and connections of other kinds.
const SPARE_SOCKETS: u32 = 4_096;
