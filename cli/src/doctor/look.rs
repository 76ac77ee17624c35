//! What is asked of the machine, of its ports and disks, and of the chain's nodes.

use std::io::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use portico_client::ChainError;
use portico_config::gateway::GatewayConfig;
use portico_engine::{Clock, SystemClock};
use portico_net::tls::ClientTls;
use portico_protocol::{Address as Account, ServiceId, Upokt};
use serde_json::Value;
use tokio::time::Instant;

use crate::chain::{ChainArgs, Node};
use crate::servicer::check::look::amount;

/// Time for a node, or for what holds a port, to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Writes to disk that are timed; the middle one counts.
const WRITES: usize = 9;
/// Bytes of such a write: a batch of leaves.
const WRITE_BYTES: usize = 64 << 10;

/// What the machine has.
#[derive(Clone, Debug, Default)]
pub(super) struct Machine {
    /// Bytes of memory that this process may use, and that are free now; `None` where the system does not tell.
    pub(super) memory: Option<(u64, u64)>,
    pub(super) processors: usize,
    /// Whether the processor has the vector instructions that ring signatures are fast with.
    pub(super) vectors: bool,
}

/// Files that may be open; `None` where there is no limit, or none is known.
pub(super) fn files() -> Option<u64> {
    crate::open_files::raised()
}

pub(super) fn machine() -> Machine {
    #[cfg(target_arch = "x86_64")]
    let vectors = std::is_x86_feature_detected!("avx512f") && std::is_x86_feature_detected!("avx512ifma");
    #[cfg(not(target_arch = "x86_64"))]
    let vectors = false;
    Machine {
        memory: memory(),
        processors: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        vectors,
    }
}

/// What the kernel says, within the control group's limit.
fn memory() -> Option<(u64, u64)> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let bytes = |key: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(key))?;
        let kib: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
        Some(kib.saturating_mul(1_024))
    };
    let (mut all, mut free) = (bytes("MemTotal:")?, bytes("MemAvailable:")?);
    let number = |file: &str| -> Option<u64> {
        let text = std::fs::read_to_string(Path::new("/sys/fs/cgroup").join(file)).ok()?;
        text.trim().parse().ok()
    };
    if let Some(limit) = number("memory.max") {
        all = all.min(limit);
        free = free.min(limit.saturating_sub(number("memory.current").unwrap_or(0)));
    }
    Some((all, free))
}

/// An address that a role listens at.
#[derive(Clone, Debug)]
pub(super) struct Address {
    pub(super) key: &'static str,
    pub(super) address: SocketAddr,
    tls: bool,
}

impl Address {
    pub(super) const fn new(key: &'static str, address: SocketAddr, tls: bool) -> Self {
        Self { key, address, tls }
    }
}

/// Who has an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Holder {
    /// Nobody.
    Nobody,
    /// Somebody who answers as our roles do.
    Role,
    /// Somebody else.
    Other,
    /// It cannot be taken.
    Refused(String),
}

pub(super) async fn ports(addresses: Vec<Address>) -> Vec<(Address, Holder)> {
    let mut held = Vec::new();
    for address in addresses {
        let holder = match TcpListener::bind(address.address) {
            Ok(_) => Holder::Nobody,
            Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => match answers(&address).await {
                true => Holder::Role,
                false => Holder::Other,
            },
            Err(error) => Holder::Refused(error.to_string()),
        };
        held.push((address, holder));
    }
    held
}

/// Whether a role of ours answers: by its health, or, on a node's gRPC, by HTTP/2 at all.
async fn answers(at: &Address) -> bool {
    let client = ClientTls::public()
        .http_client()
        .danger_accept_invalid_certs(true); // it is only asked who it is
    let client = match at.key {
        "grpc_listen" => client.http2_prior_knowledge(),
        _ => client,
    };
    let Ok(client) = client.build() else {
        return false;
    };
    let host = match at.address.ip().is_unspecified() {
        true => SocketAddr::new(std::net::Ipv4Addr::LOCALHOST.into(), at.address.port()),
        false => at.address,
    };
    let url = format!("{}://{host}/health", if at.tls { "https" } else { "http" });
    let asked = client.get(url).timeout(PATIENCE).send().await;
    asked.is_ok_and(|answer| answer.status().is_success() || at.key == "grpc_listen")
}

/// What a folder's disk does.
#[derive(Clone, Debug)]
pub(super) struct Disk {
    pub(super) folder: PathBuf,
    /// Free bytes; `None` where the system does not tell.
    pub(super) free_bytes: Option<u64>,
    /// How long a small write takes until it is on the disk; or why nothing can be written.
    pub(super) sync: Result<Duration, String>,
}

/// Looks at the disk of `folder`, or of the folder in which it will be.
pub(super) async fn disk(folder: &Path) -> Disk {
    let there = folder.ancestors().find(|folder| folder.is_dir());
    let there = there.map_or_else(|| PathBuf::from("."), Path::to_owned);
    let free_bytes = portico_disk::free_bytes(&there);
    let timed = tokio::task::spawn_blocking(move || timed(&there)).await;
    let sync = match timed {
        Ok(Ok(took)) => Ok(took),
        Ok(Err(error)) => Err(error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    Disk {
        folder: folder.to_owned(),
        free_bytes,
        sync,
    }
}

fn timed(folder: &Path) -> std::io::Result<Duration> {
    let mut file = tempfile::tempfile_in(folder)?;
    let mut times = Vec::with_capacity(WRITES);
    for _ in 0..WRITES {
        let begun = Instant::now();
        file.write_all(&[0; WRITE_BYTES])?;
        file.sync_data()?;
        times.push(begun.elapsed());
    }
    times.sort_unstable();
    Ok(times[WRITES / 2])
}

/// What the chain's nodes say, and a connection if one answers.
pub(super) struct Chain {
    pub(super) nodes: Vec<(String, Result<NodeFacts, String>)>,
    pub(super) connected: Option<Arc<dyn portico_client::Chain>>,
}

/// What one node says.
#[derive(Clone, Debug)]
pub(super) struct NodeFacts {
    pub(super) chain_id: String,
    /// Of the program that answers RPC, and of the application behind it; empty when it does not tell.
    pub(super) version: String,
    pub(super) application: String,
    pub(super) height: i64,
    pub(super) catching_up: bool,
    /// Time of its newest block, and of this machine when it was asked, in milliseconds since 1970.
    pub(super) block_ms: u64,
    pub(super) now_ms: u64,
    /// Why its gRPC does not answer.
    pub(super) grpc: Result<(), String>,
}

impl Chain {
    pub(super) async fn look(args: &ChainArgs) -> Self {
        let mut nodes = Vec::new();
        match args.each() {
            Ok(each) => {
                for node in each {
                    let facts = tokio::time::timeout(2 * PATIENCE, of_node(&node)).await;
                    let facts = facts.unwrap_or_else(|_| Err("it does not answer in time".to_owned()));
                    nodes.push((node.key.clone(), facts));
                }
            }
            Err(error) => nodes.push(("chain".to_owned(), Err(format!("{error:#}")))),
        }
        let answers = nodes
            .iter()
            .any(|(_, node)| matches!(node, Ok(facts) if facts.grpc.is_ok()));
        let connected = match answers {
            true => args.connect().await.ok(),
            false => None,
        };
        Self { nodes, connected }
    }
}

async fn of_node(node: &Node) -> Result<NodeFacts, String> {
    let client = node.config.tls.http_client().no_proxy().timeout(PATIENCE).build();
    let client = client.map_err(|error| error.to_string())?;
    let ask = async |path: &str| -> Result<Value, String> {
        let url = format!("{}/{path}", node.config.rpc_url.trim_end_matches('/'));
        // Without the URL, which may hold a key.
        let plain = |error: reqwest::Error| portico_protocol::causes(&error.without_url());
        let answer = client.get(url).send().await.map_err(plain)?;
        let answer: Value = answer.json().await.map_err(plain)?;
        Ok(answer.get("result").cloned().unwrap_or(answer))
    };
    let status = ask("status").await?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let application = ask("abci_info").await;
    let application = application.map(|info| text(&info["response"]["version"]));
    let head = portico_client::RemoteChain::open(&node.config).await;
    let (grpc, head) = match head {
        Ok(chain) => (
            Ok(()),
            Some(portico_client::Blocks::head(&chain).borrow().clone()),
        ),
        Err(error) => (Err(error.to_string()), None),
    };
    Ok(NodeFacts {
        chain_id: text(&status["node_info"]["network"]),
        version: text(&status["node_info"]["version"]),
        application: application.unwrap_or_default(),
        height: text(&status["sync_info"]["latest_block_height"])
            .parse()
            .unwrap_or(0),
        catching_up: status["sync_info"]["catching_up"] == true,
        block_ms: head.map_or(0, |head| head.time_ms),
        now_ms: SystemClock.now_ms(),
        grpc,
    })
}

/// What the chain has of a gateway and its applications.
#[derive(Clone, Debug, Default)]
pub(super) struct Stakes {
    /// The gateway's address and stake, if it has a key.
    pub(super) gateway: Option<(Account, Option<Upokt>)>,
    pub(super) applications: Vec<Application>,
    /// What the chain did not answer.
    pub(super) unanswered: Vec<String>,
}

/// An application of the configuration.
#[derive(Clone, Debug)]
pub(super) struct Application {
    pub(super) address: Account,
    pub(super) service: ServiceId,
    /// Whether the gateway's key signs for it.
    pub(super) is_delegated: bool,
    /// `None` where it is not staked.
    pub(super) staked: Option<portico_protocol::wire::pocket::application::Application>,
}

pub(super) async fn stakes(config: &GatewayConfig, chain: &dyn portico_client::Chain) -> Stakes {
    let mut stakes = Stakes::default();
    let gateway = config.gateway_key.as_ref().and_then(|key| key.signing_key().ok());
    if let Some(address) = gateway.map(|key| key.address()) {
        match chain.gateway(&address).await {
            Ok(gateway) => stakes.gateway = Some((address, Some(amount(gateway.stake.as_ref())))),
            Err(ChainError::NotFound(_)) => stakes.gateway = Some((address, None)),
            Err(error) => stakes.unanswered.push(error.to_string()),
        }
    }
    for application in &config.applications {
        let own = application.key.as_ref().and_then(|key| key.signing_key().ok());
        let Some(address) = application
            .address
            .or_else(|| own.as_ref().map(|key| key.address()))
        else {
            continue;
        };
        let staked = match chain.application(&address).await {
            Ok(staked) => Some(staked),
            Err(ChainError::NotFound(_)) => None,
            Err(error) => {
                stakes.unanswered.push(error.to_string());
                continue;
            }
        };
        stakes.applications.push(Application {
            address,
            service: application.service_id.clone(),
            is_delegated: own.is_none(),
            staked,
        });
    }
    stakes
}
