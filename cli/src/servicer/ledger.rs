//! `portico servicer ledger`.

use std::collections::BTreeMap;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, ValueEnum};
use portico_protocol::{Address, ServiceId};
use portico_servicer::{Gaps, LedgerRow, LedgerTotals, Step};
use serde_json::{Value, json};

use super::audit;
use super::source::SourceArgs;
use crate::chain::RoleChainArgs;
use crate::table::{Table, grouped};

#[derive(Args)]
pub(super) struct LedgerArgs {
    #[command(flatten)]
    source: SourceArgs,
    #[command(flatten)]
    filter: Filter,
    /// What one line is about
    #[arg(long, value_enum, default_value_t = By::Session)]
    by: By,
    /// How it is printed
    #[arg(long, visible_alias = "output", value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Compare every settlement with the chain's events, and exit with 1 when one differs
    #[arg(long)]
    against_chain: bool,
    #[command(flatten)]
    chain: RoleChainArgs,
}

/// Which sessions.
#[derive(Args)]
pub(super) struct Filter {
    /// Only this supplier, by its operator address
    #[arg(long, value_name = "ADDRESS")]
    pub(super) supplier: Option<Address>,
    /// Only this service
    #[arg(long, value_name = "ID")]
    pub(super) service: Option<ServiceId>,
    /// Only sessions that begin at this height or later
    #[arg(long, value_name = "HEIGHT")]
    pub(super) from_height: Option<i64>,
    /// Only sessions that end at this height or earlier
    #[arg(long, value_name = "HEIGHT")]
    pub(super) to_height: Option<i64>,
}

impl Filter {
    pub(super) fn takes(&self, row: &LedgerRow) -> bool {
        self.supplier.is_none_or(|supplier| row.supplier == supplier)
            && self
                .service
                .as_ref()
                .is_none_or(|service| row.service == *service)
            && self
                .from_height
                .is_none_or(|height| row.session_start_height >= height)
            && self
                .to_height
                .is_none_or(|height| row.session_end_height <= height)
    }
}

/// What one line is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum By {
    /// A session of a supplier
    Session,
    /// A service
    Service,
    /// A supplier
    Supplier,
    /// An application
    Application,
    /// The day (UTC) on which its sessions were opened
    Day,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// A table
    Text,
    /// JSON
    Json,
    /// Comma-separated values, with a line of names
    Csv,
}

/// One line: what it is about, and its sums.
struct Line {
    key: Vec<String>,
    totals: LedgerTotals,
    pending: i128,
    lost: i128,
    closes: bool,
}

/// Names of the figures of a line, in order.
const FIGURES: [&str; 17] = [
    "sessions",
    "validated",
    "served",
    "applicable",
    "recorded",
    "claimed",
    "claimed_upokt",
    "settled_upokt",
    "paid_upokt",
    "slashed_upokt",
    "tx_fees_upokt",
    "proof_fees_upokt",
    "net_upokt",
    "fees_unknown",
    "pending_upokt",
    "lost_upokt",
    "unsettled_sessions",
];

impl LedgerArgs {
    pub(super) async fn run(self) -> Result<ExitCode> {
        let source = self.source.open().await?;
        let rows: Vec<&LedgerRow> = source
            .rows()
            .iter()
            .filter(|row| self.filter.takes(row))
            .collect();
        let lines = lines(&rows, self.by);
        let all = Line::of(Vec::new(), &rows);
        match self.format {
            Format::Text => print!("{}", text(&lines, &all, self.by)),
            Format::Json => println!(
                "{}",
                serde_json::to_string_pretty(&as_json(&lines, &all, self.by))?
            ),
            Format::Csv => print!("{}", csv(&lines, self.by)),
        }
        if !self.against_chain {
            return Ok(ExitCode::SUCCESS);
        }
        let chain = self.chain.or(&self.source.chain()?).connect().await?;
        let audit = audit::compare(&rows, &*chain).await?;
        eprint!("{}", audit.text());
        Ok(if audit.agrees() {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    }
}

impl By {
    const fn names(self) -> &'static [&'static str] {
        match self {
            Self::Session => &["session", "supplier", "service", "start", "end", "stage"],
            Self::Service => &["service"],
            Self::Supplier => &["supplier"],
            Self::Application => &["application"],
            Self::Day => &["day"],
        }
    }

    fn key(self, row: &LedgerRow) -> Vec<String> {
        match self {
            Self::Session => vec![
                row.session_id.clone(),
                row.supplier.to_string(),
                row.service.to_string(),
                row.session_start_height.to_string(),
                row.session_end_height.to_string(),
                row.stage.name().to_owned(),
            ],
            Self::Service => vec![row.service.to_string()],
            Self::Supplier => vec![row.supplier.to_string()],
            Self::Application => vec![row.application.to_string()],
            Self::Day => vec![day(row.opened_at_ms)],
        }
    }
}

fn lines(rows: &[&LedgerRow], by: By) -> Vec<Line> {
    if by == By::Session {
        return rows.iter().map(|row| Line::of(by.key(row), &[row])).collect();
    }
    let mut groups: BTreeMap<Vec<String>, Vec<&LedgerRow>> = BTreeMap::new();
    for &row in rows {
        groups.entry(by.key(row)).or_default().push(row);
    }
    groups
        .into_iter()
        .map(|(key, rows)| Line::of(key, &rows))
        .collect()
}

impl Line {
    fn of(key: Vec<String>, rows: &[&LedgerRow]) -> Self {
        let mut line = Self {
            key,
            totals: LedgerTotals::of(rows.iter().copied()),
            pending: 0,
            lost: 0,
            closes: true,
        };
        for row in rows {
            let gaps = Gaps::of(row);
            line.closes &= gaps.closes(row);
            for gap in gaps.0.iter().filter(|gap| gap.after < Step::Settled) {
                let sum = if gap.pending {
                    &mut line.pending
                } else {
                    &mut line.lost
                };
                *sum = sum.saturating_add(gap.upokt);
            }
        }
        line
    }

    /// In the order of [`FIGURES`].
    fn figures(&self) -> [i128; FIGURES.len()] {
        let totals = &self.totals;
        let upokt = |amount: portico_protocol::Upokt| i128::try_from(amount.0).unwrap_or(i128::MAX);
        [
            totals.sessions.into(),
            totals.validated.into(),
            totals.served.into(),
            totals.applicable.into(),
            totals.committed.into(),
            totals.claimed.into(),
            upokt(totals.claimed_upokt),
            upokt(totals.settled_upokt),
            upokt(totals.paid_upokt),
            upokt(totals.slashed_upokt),
            upokt(totals.tx_fees_upokt),
            upokt(totals.proof_fees_upokt),
            totals.net_upokt(),
            totals.fees_unknown.into(),
            self.pending,
            self.lost,
            totals.unsettled_sessions.into(),
        ]
    }

    fn json(&self, by: By) -> Value {
        let keys = by
            .names()
            .iter()
            .zip(&self.key)
            .map(|(name, key)| ((*name).to_owned(), json!(key)));
        // As texts: amounts may exceed 2^53.
        let figures = FIGURES.iter().zip(self.figures());
        let figures = figures.map(|(name, figure)| ((*name).to_owned(), json!(figure.to_string())));
        Value::Object(keys.chain(figures).collect())
    }
}

fn text(lines: &[Line], all: &Line, by: By) -> String {
    if lines.is_empty() {
        return "no sessions: no relay was served yet, or they are forgotten\n".to_owned();
    }
    let fees = all.totals.tx_fees_upokt.0 > 0 || all.totals.proof_fees_upokt.0 > 0;
    // A table for people leaves out what CSV and JSON have: those that add nothing to their neighbours.
    let shown: Vec<usize> = (0..FIGURES.len())
        .filter(|&index| match FIGURES[index] {
            "applicable" => false,
            "sessions" | "unsettled_sessions" => by != By::Session,
            "slashed_upokt" => all.totals.slashed_upokt.0 > 0,
            "proof_fees_upokt" => all.totals.proof_fees_upokt.0 > 0,
            "tx_fees_upokt" | "net_upokt" => fees,
            "fees_unknown" => all.totals.fees_unknown > 0,
            _ => true,
        })
        .collect();
    let names: Vec<String> = by.names().iter().map(|name| (*name).to_owned()).collect();
    let figures = shown
        .iter()
        .map(|&index| format!(">{}", FIGURES[index].replace('_', " ")));
    let headings: Vec<String> = names.into_iter().chain(figures).collect();
    let mut table = Table::new(&headings.iter().map(String::as_str).collect::<Vec<_>>());
    let cells = |line: &Line, key: Vec<String>| {
        let figures = line.figures();
        key.into_iter()
            .chain(shown.iter().map(|&index| grouped(figures[index])))
            .collect::<Vec<_>>()
    };
    for line in lines {
        table.row(cells(line, line.key.iter().map(|key| short(key)).collect()));
    }
    let mut total = vec![String::new(); by.names().len()];
    "total".clone_into(&mut total[0]);
    table.row(cells(all, total));
    let sum = if all.closes {
        "Every relay and every upokt has its place"
    } else {
        "Relays and upokt do not add up: this is a fault of the servicer, please report it"
    };
    let fees = match all.totals.fees_unknown {
        0 => "",
        _ => {
            "What became of some transactions is not known (yet, or because no node keeps an index of them): fees and net are without those.\n"
        }
    };
    format!(
        "{}\n{sum}; `portico servicer why` tells the reasons.\n{fees}",
        table.text(0)
    )
}

fn as_json(lines: &[Line], all: &Line, by: By) -> Value {
    json!({
        "lines": lines.iter().map(|line| line.json(by)).collect::<Vec<_>>(),
        "totals": all.json(by),
        "closes": all.closes,
    })
}

fn csv(lines: &[Line], by: By) -> String {
    let names: Vec<String> = by
        .names()
        .iter()
        .chain(&FIGURES)
        .map(|name| (*name).to_owned())
        .collect();
    let line = |line: &Line| {
        let figures = line.figures();
        let figures = figures.iter().map(ToString::to_string);
        line.key.iter().cloned().chain(figures).collect::<Vec<_>>()
    };
    let rows = std::iter::once(names).chain(lines.iter().map(line));
    rows.map(|cells| {
        cells
            .iter()
            .map(|cell| quoted(cell))
            .collect::<Vec<_>>()
            .join(",")
            + "\r\n"
    })
    .collect()
}

/// A cell as RFC 4180 has it.
pub(super) fn quoted(cell: &str) -> String {
    match cell.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", cell.replace('"', "\"\"")),
        false => cell.to_owned(),
    }
}

/// The first characters of an id or an address, enough to tell them apart.
pub(super) fn short(text: &str) -> String {
    match text.len() > 20 {
        true => text.chars().take(12).collect(),
        false => text.to_owned(),
    }
}

/// The day (UTC) of a time in milliseconds since 1970, as `2026-11-29`; `unknown` for 0.
fn day(ms: u64) -> String {
    if ms == 0 {
        return "unknown".to_owned();
    }
    // Days since 0000-03-01, in eras of 400 years (Howard Hinnant, "chrono-compatible low-level date algorithms").
    let days = ms / 86_400_000 + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

#[cfg(test)]
mod tests;
