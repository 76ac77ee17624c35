//! The servicer's process killed at random moments, under load, over many sessions: what clients hold is claimed, and all of it settles.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};

use crate::network::{Load, Network, RELAY_UPOKT};
use crate::process::{LONG_PATIENCE, eventually_within};
use crate::{NetworkSpec, ProofPolicy};

/// Time between two blocks: a restart takes a part of one, and windows are four blocks.
const BLOCK_TIME: Duration = Duration::from_secs(1);
/// Longest time from a start to the next kill, in milliseconds.
const MAX_LIFE_MS: u64 = 2_500;

/// What became of it.
#[derive(Debug, Default)]
pub struct Report {
    /// Kills.
    pub kills: usize,
    /// Kills by the stages that sessions were in.
    pub stages: BTreeMap<String, usize>,
    /// Calls that were answered.
    pub answers: usize,
    /// Sessions, with what was settled for all of them in upokt.
    pub sessions: usize,
    /// See above.
    pub settled_upokt: u128,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} kills, while sessions were", self.kills)?;
        for (stage, kills) in &self.stages {
            writeln!(f, "  {stage:<16} {kills:>5} times")?;
        }
        writeln!(
            f,
            "{} answers, 0 of them lost; {} sessions, all settled exactly: {} upokt in the ledger, on chain and on the account",
            self.answers, self.sessions, self.settled_upokt
        )
    }
}

/// The network for it: every claim is proved, transactions cost fees, and leaves stay.
#[must_use]
pub fn spec() -> NetworkSpec {
    NetworkSpec {
        suppliers: 1,
        proofs: ProofPolicy::Always,
        block_time: Some(BLOCK_TIME),
        servicer: json!({
            "keep_leaves_blocks": 1_000_000,
            "tx": {"gas_price_micro_upokt": 10, "timeout_s": 30},
        }),
        ..NetworkSpec::default()
    }
}

/// Kills the servicer of a network of [`spec`] so often while so many clients call, and checks what is left.
///
/// # Errors
/// When an answered relay is no leaf, or something is not settled to the last upokt.
pub async fn run(network: &mut Network, clients: usize, kills: usize, seed: u64) -> Result<Report> {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut report = Report {
        kills,
        ..Report::default()
    };
    let load = Load::start(network, clients);
    for _ in 0..kills {
        load.await_more(1).await?;
        let life = Duration::from_millis(rng.random_range(0..MAX_LIFE_MS));
        tokio::time::sleep(life).await;
        let stages: BTreeSet<String> = network
            .servicer_sessions()
            .await
            .unwrap_or_default()
            .iter()
            .filter_map(|row| row["stage"]["stage"].as_str().map(str::to_owned))
            .collect();
        for stage in stages {
            *report.stages.entry(stage).or_default() += 1;
        }
        network.kill_servicer().await?;
    }
    let recovered = load.await_more(1).await;
    let answers = load.stop().await?;
    recovered?;
    report.answers = answers.len();

    let settled = eventually_within(LONG_PATIENCE, "all sessions are settled", || async {
        let rows = network.servicer_sessions().await?;
        let is_final = |row: &Value| {
            matches!(
                row["stage"]["stage"].as_str(),
                Some("settled" | "expired" | "empty")
            )
        };
        Ok(rows.iter().all(is_final).then_some(rows))
    });
    let rows = settled.await.with_context(|| network.logs())?;
    let mut leaves = BTreeMap::new();
    for row in &rows {
        let session = row["session_id"].as_str().context("a row without its session")?;
        let of_session = network.leaves(session).await?;
        let stage = row["stage"]["stage"].as_str().unwrap_or_default();
        let told: u128 = row["settled_upokt"].as_u64().unwrap_or_default().into();
        ensure!(
            stage == if of_session.is_empty() { "empty" } else { "settled" },
            "a session is {stage}: {row}"
        );
        ensure!(
            told == of_session.len() as u128 * RELAY_UPOKT,
            "{told} upokt for {} leaves: {row}",
            of_session.len()
        );
        report.settled_upokt += told;
        leaves.insert(session.to_owned(), of_session);
    }
    report.sessions = rows.len();
    for answer in &answers {
        let session = answer
            .header("x-session-id")
            .context("an answer without its session")?;
        let relay = answer
            .header("x-relay-id")
            .context("an answer without its relay")?;
        ensure!(
            leaves.get(session).is_some_and(|leaves| leaves.contains(relay)),
            "relay {relay} of session {session} was answered and is no leaf"
        );
    }
    let on_chain = network.check_totals().await?;
    ensure!(
        on_chain == report.settled_upokt,
        "{on_chain} upokt on chain, {} in the ledger's rows",
        report.settled_upokt
    );
    Ok(report)
}
