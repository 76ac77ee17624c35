//! What is wrong, and what to do about it. Pure: what was found out goes in.

use std::time::Duration;

use crate::finding::{Finding, Found};
use crate::open_files::OTHERS;
use crate::servicer::check::look::amount;

use super::look::{Address, Application, Disk, Holder, Machine, NodeFacts, Stakes};

/// Memory below which a role is warned about, in bytes: buffers of the defaults fit in it.
const LOW_MEMORY: u64 = 1 << 30;
/// Free space below which it is warned about, and below which nothing is recorded, in bytes.
const LOW_SPACE: u64 = 5 << 30;
const NO_SPACE: u64 = 256 << 20;
/// Time until a write is on the disk from which on it is warned about: each relay waits for one.
const SLOW_SYNC: Duration = Duration::from_millis(20);
/// Time below which no disk that keeps its word writes.
const TOO_FAST: Duration = Duration::from_micros(15);
/// How far the clock may be behind the newest block, and how old that may be, in milliseconds.
const MAX_BEHIND_MS: u64 = 30_000;
const MAX_AGE_MS: u64 = 10 * 60_000;
/// Blocks that nodes of one chain may be apart.
const MAX_APART: i64 = 5;

const GIB: u64 = 1 << 30;

/// Memory and processor.
pub(super) fn of_machine(machine: &Machine) -> Vec<Finding> {
    let mut found = Found::default();
    match machine.memory {
        None => found.good("memory: the system does not tell"),
        Some((all, free)) if free < LOW_MEMORY => found.warning(
            format!("{} MiB of {} MiB memory are free", free >> 20, all >> 20),
            "lower max_answer_bytes_in_flight (gateway) and limits.max_buffered_bytes (servicer), or give the machine more",
        ),
        Some((all, free)) => found.good(format!(
            "{}.{} GiB of {} GiB memory are free",
            free / GIB,
            free % GIB * 10 / GIB,
            all.div_ceil(GIB)
        )),
    }
    let processors = machine.processors;
    match machine.vectors {
        true => found.good(format!(
            "{processors} processors, with the vector unit for ring signatures"
        )),
        false => found.good(format!(
            "{processors} processors, without AVX-512 IFMA: ring signatures take about twice the time"
        )),
    }
    found.all()
}

/// Files that may be open.
pub(super) fn of_files(max_connections: usize, limit: Option<u64>) -> Vec<Finding> {
    let mut found = Found::default();
    let wanted = (max_connections as u64).saturating_add(OTHERS);
    match limit {
        Some(limit) if limit < wanted => found.warning(
            format!("{limit} files may be open; listener.max_connections needs {wanted}"),
            format!("raise the hard limit to {wanted} (ulimit -Hn, LimitNOFILE= of a unit), or lower listener.max_connections"),
        ),
        Some(limit) => found.good(format!("{limit} files may be open")),
        None => found.good("no limit of open files"),
    }
    found.all()
}

/// Addresses that roles listen at.
pub(super) fn of_ports(held: &[(Address, Holder)]) -> Vec<Finding> {
    let mut found = Found::default();
    for (Address { key, address, .. }, holder) in held {
        let port = address.port();
        match holder {
            Holder::Nobody => found.good(format!("{key} {address} is free")),
            Holder::Role => found.good(format!("{key} {address} is served, by a role that answers")),
            Holder::Other => found.fault(
                format!("{key} {address} is taken by a process that does not answer as a role does"),
                format!("see whose it is (ss -ltnp 'sport = :{port}'), end it, or change {key}"),
            ),
            Holder::Refused(error) => found.fault(
                format!("{key} {address} cannot be taken: {error}"),
                format!("change {key} to an address of this machine, and a port above 1023 unless the user may take lower ones"),
            ),
        }
    }
    found.all()
}

/// The disk of a role's data.
pub(super) fn of_disk(disk: &Disk) -> Vec<Finding> {
    let mut found = Found::default();
    let folder = disk.folder.display();
    match disk.free_bytes {
        None => {}
        Some(bytes) if bytes < NO_SPACE => found.fault(
            format!("data_dir {folder}: {} MiB are free", bytes >> 20),
            "make room: what cannot be recorded is refused",
        ),
        Some(bytes) if bytes < LOW_SPACE => found.warning(
            format!("data_dir {folder}: {} MiB are free", bytes >> 20),
            "make room in time",
        ),
        Some(bytes) => found.good(format!("data_dir {folder}: {} GiB are free", bytes / GIB)),
    }
    match &disk.sync {
        Err(error) => found.fault(
            format!("data_dir {folder}: nothing can be written: {error}"),
            "let this user write there, or change data_dir",
        ),
        Ok(took) if *took > SLOW_SYNC => found.warning(
            format!("data_dir {folder}: a write takes {} ms until it is on the disk", took.as_millis()),
            "each relay waits for such a write: use a local SSD, or durability: bounded for services whose relays may be lost",
        ),
        Ok(took) if *took < TOO_FAST => found.warning(
            format!("data_dir {folder}: writes return after {} µs, faster than a disk", took.as_micros()),
            "if it is memory (tmpfs) or a disk that does not keep its word, a power cut loses relays: use another disk",
        ),
        Ok(took) => found.good(format!(
            "data_dir {folder}: a write is on the disk after {}.{} ms",
            took.as_millis(),
            took.as_micros() % 1_000 / 100
        )),
    }
    found.all()
}

/// The chain's nodes: each is a key of the file, since URLs may hold keys.
pub(super) fn of_nodes(nodes: &[(String, Result<NodeFacts, String>)], wanted: Option<&str>) -> Vec<Finding> {
    let mut found = Found::default();
    let answering: Vec<&NodeFacts> = nodes.iter().filter_map(|(_, node)| node.as_ref().ok()).collect();
    let newest = answering.iter().map(|node| node.height).max().unwrap_or(0);
    let first = answering.first().map(|node| node.chain_id.as_str());
    for (key, node) in nodes {
        let node = match node {
            Ok(node) => node,
            Err(error) => {
                let mend =
                    "start the node, or name another with chain.rpc_url, chain.grpc_url and chain.fallbacks";
                match answering.is_empty() {
                    true => found.fault(format!("{key}: its RPC does not answer: {error}"), mend),
                    false => found.warning(format!("{key}: its RPC does not answer: {error}"), mend),
                }
                continue;
            }
        };
        let chain = wanted.or(first).unwrap_or_default();
        if node.chain_id != chain {
            found.fault(
                format!("{key}: it is of chain {:?}, not {chain:?}", node.chain_id),
                "name nodes of one chain, and chain.chain_id as they say it",
            );
            continue;
        }
        if let Err(error) = &node.grpc {
            found.fault(
                format!("{key}: its gRPC does not answer: {error}"),
                "enable gRPC at the node (app.toml, [grpc]), or mend grpc_url",
            );
        }
        if node.catching_up || newest.saturating_sub(node.height) > MAX_APART {
            found.warning(
                format!("{key}: at height {}, behind", node.height),
                "wait until it has caught up; until then another node is asked, if there is one",
            );
        }
        of_clock(key, node, &mut found);
        let application = match node.application.as_str() {
            "" => "of an unknown version",
            version => version,
        };
        found.good(format!(
            "{key}: chain {}, height {}, CometBFT {}, application {application}",
            node.chain_id, node.height, node.version
        ));
    }
    found.all()
}

fn of_clock(key: &str, node: &NodeFacts, found: &mut Found) {
    if node.block_ms == 0 {
        return; // no block is known
    }
    let behind = node.block_ms.saturating_sub(node.now_ms);
    let age = node.now_ms.saturating_sub(node.block_ms);
    if behind > MAX_BEHIND_MS {
        found.fault(
            format!(
                "this machine's clock is {} s behind the newest block of {key}",
                behind / 1_000
            ),
            "set the clock (NTP: timedatectl set-ntp true)",
        );
    } else if age > MAX_AGE_MS {
        found.warning(
            format!("the newest block of {key} is {} s old", age / 1_000),
            "the chain stands still, the node has lost its peers, or this machine's clock is ahead",
        );
    }
}

/// A gateway's own stake, and its applications'.
pub(super) fn of_gateway(stakes: &Stakes) -> Vec<Finding> {
    let mut found = Found::default();
    let gateway = stakes.gateway.as_ref().map(|(address, _)| address.to_string());
    match &stakes.gateway {
        None => {}
        Some((address, None)) => found.fault(
            format!("gateway {address} is not staked: no session holds its key"),
            "stake it: portico tx stake-gateway UPOKT --from KEY",
        ),
        Some((address, Some(stake))) => found.good(format!("gateway {address} has a stake of {stake}")),
    }
    for application in &stakes.applications {
        of_application(application, gateway.as_deref(), &mut found);
    }
    for error in &stakes.unanswered {
        found.fault(
            format!("the chain does not answer about a stake: {error}"),
            "ask again, or name another node",
        );
    }
    found.all()
}

fn of_application(application: &Application, gateway: Option<&str>, found: &mut Found) {
    let Application {
        address,
        service,
        is_delegated,
        staked,
    } = application;
    let name = format!("application {address}, service {service}");
    let Some(staked) = staked else {
        found.fault(
            format!("{name}: it is not staked, so that nobody pays for its relays"),
            format!("stake it: portico tx stake-application UPOKT {service} --from KEY"),
        );
        return;
    };
    let services = staked
        .service_configs
        .iter()
        .map(|config| config.service_id.as_str());
    if !services.clone().any(|id| id == service.as_str()) {
        let others: Vec<&str> = services.collect();
        found.fault(
            format!("{name}: it is staked for {} instead", others.join(", ")),
            "mend service_id, or stake another application",
        );
    }
    if let Some(gateway) = gateway.filter(|_| *is_delegated)
        && !staked
            .delegatee_gateway_addresses
            .iter()
            .any(|delegatee| delegatee == gateway)
    {
        found.fault(
            format!("{name}: it has not delegated to gateway {gateway}"),
            format!("delegate, with the application's key: portico tx delegate {gateway} --from KEY"),
        );
    }
    if staked.unstake_session_end_height > 0 {
        found.warning(
            format!(
                "{name}: its stake ends with the session that ends at {}",
                staked.unstake_session_end_height
            ),
            format!("stake it again: portico tx stake-application UPOKT {service} --from KEY"),
        );
    }
    found.good(format!("{name}: a stake of {}", amount(staked.stake.as_ref())));
}

/// The chain broke off.
pub(super) fn unanswered(error: &anyhow::Error) -> Vec<Finding> {
    let mut found = Found::default();
    found.fault(
        format!("the chain does not answer about the suppliers: {error:#}"),
        "ask again, or name another node",
    );
    found.all()
}

#[cfg(test)]
mod tests;
