//! Hostile clients against real role processes, with normal traffic beside them.
//!
//! ```text
//! abuse client (a process of its own) ──► gateway / servicer / node
//! normal clients ──► gateway                    p99 with and without
//! /proc/PID/status of each role                 peak memory
//! ```
//! `abuse run` prints all of it at full size; `features/abuse.feature` asserts a scaled-down one.

pub mod client;
mod http2;
mod normal;
mod report;

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use portico_localnet::Role;
use prost::Message as _;
use tokio::process::Command;

use crate::network::Network;
use client::Seen;
pub use normal::Normal;
pub use report::Report;

/// Time beyond an attack's own that its client is given to end.
const CLIENT_GRACE: Duration = Duration::from_secs(60);

/// What a hostile client does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Connections that send nothing.
    Silent,
    /// Connections that send half a head.
    HalfHead,
    /// Connections that send half an HTTP/2 preface.
    HalfPreface,
    /// Callers of 15 MB answers who read 1 KiB a second.
    SlowReaders,
    /// Batches of 30 calls with answers of 15 MB each.
    BigBatches,
    /// Bodies of 100 MB.
    BigBodies,
    /// HTTP/2 connections with thousands of streams whose bodies never end.
    Streams,
    /// HTTP/2 connections that open streams and reset them at once.
    RapidResets,
    /// Relay requests with a forged signature; the count is a rate per second.
    Forged,
    /// Relay requests of applications that do not exist; the count is a rate per second.
    Invented,
}

impl Kind {
    /// All.
    pub const ALL: [Self; 10] = [
        Self::Silent,
        Self::HalfHead,
        Self::HalfPreface,
        Self::SlowReaders,
        Self::BigBatches,
        Self::BigBodies,
        Self::Streams,
        Self::RapidResets,
        Self::Forged,
        Self::Invented,
    ];

    /// Its name on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Silent => "silent",
            Self::HalfHead => "half-head",
            Self::HalfPreface => "half-preface",
            Self::SlowReaders => "slow-readers",
            Self::BigBatches => "big-batches",
            Self::BigBodies => "big-bodies",
            Self::Streams => "streams",
            Self::RapidResets => "rapid-resets",
            Self::Forged => "forged",
            Self::Invented => "invented",
        }
    }
}

impl std::str::FromStr for Kind {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|kind| kind.name() == text);
        found.with_context(|| format!("there is no attack {text:?}"))
    }
}

/// An attack on one role.
#[derive(Clone, Copy, Debug)]
pub struct Attack {
    /// What is done.
    pub kind: Kind,
    /// To whom.
    pub target: Role,
    /// Connections, callers, streams or requests per second.
    pub count: u32,
    /// For how long, in seconds.
    pub seconds: u64,
}

impl Attack {
    /// An attack.
    #[must_use]
    pub const fn new(kind: Kind, target: Role, count: u32, seconds: u64) -> Self {
        Self {
            kind,
            target,
            count,
            seconds,
        }
    }

    /// The attacks of the acceptance at full size.
    #[must_use]
    pub fn full() -> Vec<Self> {
        let mut attacks = Vec::new();
        for target in Role::ALL {
            for kind in [Kind::Silent, Kind::HalfHead, Kind::HalfPreface] {
                attacks.push(Self::new(kind, target, 10_000, 30));
            }
            attacks.push(Self::new(Kind::Streams, target, 38_000, 20));
            attacks.push(Self::new(Kind::RapidResets, target, 100_000, 20));
            attacks.push(Self::new(Kind::BigBodies, target, 20, 20));
        }
        attacks.push(Self::new(Kind::SlowReaders, Role::Gateway, 100, 30));
        attacks.push(Self::new(Kind::BigBatches, Role::Gateway, 4, 30));
        attacks.push(Self::new(Kind::Forged, Role::Servicer, 1_000, 30));
        attacks.push(Self::new(Kind::Invented, Role::Servicer, 1_000, 30));
        attacks
    }
}

/// What an attack did.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The attack.
    pub attack: Attack,
    /// What the hostile client saw.
    pub seen: Seen,
    /// What normal clients saw meanwhile.
    pub normal: Normal,
    /// Peak memory of each role's process since its start, in bytes.
    pub peaks: Vec<(Role, u64)>,
}

impl Network {
    /// Runs an attack from a process of `program`, which is the `abuse` binary, with normal traffic beside it.
    pub async fn attack(&self, attack: Attack, program: &Path) -> Result<Outcome> {
        let request = self.folder().join("request");
        let forged = self.forged_request().await?;
        std::fs::write(&request, forged.encode_to_vec())?;
        let client = hostile(program, attack, self.address(attack.target), &request);
        let duration = Duration::from_secs(attack.seconds);
        let (seen, normal) = tokio::join!(client, normal::traffic(self, duration));
        Ok(Outcome {
            attack,
            seen: seen?,
            normal: normal?,
            peaks: self.peaks()?,
        })
    }

    /// Normal traffic alone, for this long.
    pub async fn normal(&self, seconds: u64) -> Result<Normal> {
        normal::traffic(self, Duration::from_secs(seconds)).await
    }

    /// Peak memory of each role's process since its start, in bytes.
    pub fn peaks(&self) -> Result<Vec<(Role, u64)>> {
        let ids = self.process_ids();
        ensure!(ids.len() == Role::ALL.len(), "a role has ended:\n{}", self.logs());
        ids.into_iter()
            .map(|(role, pid)| Ok((role, peak(pid)?)))
            .collect()
    }
}

/// `VmHWM` of a process.
fn peak(pid: u32) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
    let kib: u64 = kib
        .context("no VmHWM: peak memory is only known on Linux")?
        .parse()?;
    Ok(kib << 10)
}

async fn hostile(
    program: &Path,
    attack: Attack,
    target: std::net::SocketAddr,
    request: &PathBuf,
) -> Result<Seen> {
    let mut command = Command::new(program);
    command
        .args(["client", attack.kind.name(), &target.to_string()])
        .args([attack.count.to_string(), attack.seconds.to_string()])
        .arg(request)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let limit = Duration::from_secs(attack.seconds) + CLIENT_GRACE;
    let output = tokio::time::timeout(limit, command.output())
        .await
        .context("the hostile client does not end")??;
    if !output.status.success() {
        bail!(
            "the hostile client failed: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}
