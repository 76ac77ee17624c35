//! `portico conformance`: what a gateway or a relay miner, of anybody, has to answer and to refuse.
//!
//! ```text
//! gateway   calls as dApps make them, and what is no call
//! miner     captured and forged relay requests; with a key, one that has to be served
//! ```

mod gateway;
mod miner;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, ValueEnum};
use portico_protocol::ServiceId;
use serde::Serialize;

use crate::chain::ChainArgs;
use crate::output::OutputArgs;
use crate::table::Table;

/// Tries a running gateway or relay miner, whoever made it, and prints a table of what it did and what it had to do.
///
/// A gateway is called as a dApp calls it. A relay miner is sent bytes and captured relay requests that it has to refuse; with --key, and a chain, one
/// relay that it has to serve, and forgeries of it. That relay is paid for by the application. Exit code 1 when a row fails.
#[derive(Args)]
pub(crate) struct ConformanceArgs {
    /// Front door of the gateway, e.g. http://127.0.0.1:3069/v1, or relay endpoint of the miner, e.g. http://127.0.0.1:8081
    url: String,
    /// What it is
    #[arg(long, value_enum, default_value_t = Kind::Gateway)]
    kind: Kind,
    /// Service that is called
    #[arg(long, value_name = "ID", default_value = "pocket")]
    service: ServiceId,
    /// JSON-RPC method without params that its nodes answer, e.g. status or eth_blockNumber
    #[arg(long, value_name = "METHOD", default_value = "status")]
    method: String,
    /// Signs relays for a miner: a key file, or an actor of the local network; the application's, or that of a gateway to which it delegated
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// Application that pays; not needed when one application is staked for the service
    #[arg(long, value_name = "ACTOR", requires = "key")]
    application: Option<String>,
    /// Operator address of the supplier that the miner serves; not needed when the URL is one's staked endpoint
    #[arg(long, value_name = "ACTOR", requires = "key")]
    supplier: Option<String>,
    #[command(flatten)]
    chain: ChainArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// What is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// A gateway: takes calls
    Gateway,
    /// A relay miner, such as a servicer: takes relays
    Miner,
}

/// What came of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Verdict {
    /// As it has to be.
    Pass,
    /// Not as it has to be.
    Fail,
    /// Not as we do it, which harms nobody.
    Differs,
    /// Not tried, for want of a key.
    Skipped,
}

/// One thing that was tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Row {
    verdict: Verdict,
    /// What was sent.
    sent: &'static str,
    /// What has to come.
    wanted: &'static str,
    /// What came.
    came: String,
}

impl Row {
    /// A row that passes with what came, or fails for a reason.
    fn of(sent: &'static str, wanted: &'static str, outcome: Result<String, String>) -> Self {
        let (verdict, came) = match outcome {
            Ok(came) => (Verdict::Pass, came),
            Err(came) => (Verdict::Fail, came),
        };
        Self {
            verdict,
            sent,
            wanted,
            came,
        }
    }

    fn skipped(sent: &'static str, wanted: &'static str) -> Self {
        Self {
            verdict: Verdict::Skipped,
            sent,
            wanted,
            came: "needs --key".to_owned(),
        }
    }
}

impl Verdict {
    const fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "FAIL",
            Self::Differs => "differs",
            Self::Skipped => "skipped",
        }
    }
}

impl ConformanceArgs {
    pub(crate) async fn run(self) -> Result<ExitCode> {
        let rows = match self.kind {
            Kind::Gateway => {
                gateway::rows(self.url.trim_end_matches('/'), &self.service, &self.method).await?
            }
            Kind::Miner => miner::rows(&self).await?,
        };
        match self.output.is_json() {
            true => println!("{}", serde_json::to_string_pretty(&rows)?),
            false => print!("{}", text(&rows)),
        }
        Ok(match rows.iter().any(|row| row.verdict == Verdict::Fail) {
            true => ExitCode::FAILURE,
            false => ExitCode::SUCCESS,
        })
    }
}

fn text(rows: &[Row]) -> String {
    let mut table = Table::new(&["", "sent", "wanted", "came"]);
    for row in rows {
        table.row([row.verdict.name(), row.sent, row.wanted, &row.came]);
    }
    let count = |verdict| rows.iter().filter(|row| row.verdict == verdict).count();
    let [passed, failed, differ, skipped] =
        [Verdict::Pass, Verdict::Fail, Verdict::Differs, Verdict::Skipped].map(count);
    format!(
        "{}{passed} passed, {failed} failed, {differ} differ, {skipped} skipped\n",
        table.text(0)
    )
}

/// The beginning of what somebody said, for one cell.
fn beginning(text: &str) -> String {
    const MOST: usize = 60;
    let plain: String = text.chars().filter(|c| !c.is_control()).take(MOST).collect();
    plain.trim().to_owned()
}
