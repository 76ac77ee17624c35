//! `portico servicer why`.

use std::collections::BTreeMap;

use anyhow::{Result, bail, ensure};
use clap::Args;
use portico_protocol::{Address, difficulty};
use portico_servicer::{
    ExpiredReason, FoundRelay, Gap, Gaps, LedgerRow, LedgerTotals, Reason, Stage, Unpaid,
};
use serde_json::{Value, json};

use super::ledger::{Filter, Format, quoted, short};
use super::source::{Source, SourceArgs};
use crate::table::{Table, grouped};

#[derive(Args)]
pub(super) struct WhyArgs {
    /// A session id or its first characters, a supplier's operator address, or the hash of a relay (`relay` in the answer of
    /// `portico relay --key`)
    #[arg(value_name = "SESSION|SUPPLIER|RELAY")]
    what: Option<String>,
    #[command(flatten)]
    source: SourceArgs,
    #[command(flatten)]
    filter: Filter,
    /// How it is printed
    #[arg(long, visible_alias = "output", value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// What was found, with the rows that it is about.
enum Answer<'a> {
    /// All sessions, or those of a supplier.
    Summary(Vec<&'a LedgerRow>),
    /// Sessions by id.
    Sessions(Vec<&'a LedgerRow>),
    /// A relay, what is said of it, and the session that decides the rest.
    Relay(String, Vec<&'a LedgerRow>),
}

impl WhyArgs {
    pub(super) async fn run(self) -> Result<()> {
        let source = self.source.open().await?;
        let rows: Vec<&LedgerRow> = source
            .rows()
            .iter()
            .filter(|row| self.filter.takes(row))
            .collect();
        let answer = find(self.what.as_deref(), rows, &source).await?;
        match self.format {
            Format::Text => print!("{}", answer.text()),
            Format::Json => println!("{}", serde_json::to_string_pretty(&answer.json())?),
            Format::Csv => print!("{}", answer.csv()),
        }
        Ok(())
    }
}

async fn find<'a>(what: Option<&str>, rows: Vec<&'a LedgerRow>, source: &Source) -> Result<Answer<'a>> {
    let Some(what) = what else {
        return Ok(Answer::Summary(rows));
    };
    if let Ok(supplier) = what.parse::<Address>() {
        let of_supplier: Vec<_> = rows.into_iter().filter(|row| row.supplier == supplier).collect();
        ensure!(
            !of_supplier.is_empty(),
            "no session of supplier {supplier} is known: it served no relay here, or its sessions are forgotten"
        );
        return Ok(Answer::Summary(of_supplier));
    }
    let what = what.to_ascii_lowercase();
    ensure!(
        what.len() <= 64 && what.chars().all(|c| c.is_ascii_hexdigit()),
        "{what:?} is no session id, no operator address and no hash of a relay"
    );
    let sessions: Vec<_> = rows
        .iter()
        .copied()
        .filter(|row| row.session_id.starts_with(&what))
        .collect();
    if !sessions.is_empty() {
        return Ok(Answer::Sessions(sessions));
    }
    let mut hash = [0; 32];
    if hex::decode_to_slice(&what, &mut hash).is_err() {
        bail!("no session begins with {what}; `portico servicer ledger` lists those that are known");
    }
    relay(&hash, &rows, source).await
}

async fn relay<'a>(hash: &[u8; 32], rows: &[&'a LedgerRow], source: &Source) -> Result<Answer<'a>> {
    let of = |session: &str, supplier: Address| {
        let is_it = |row: &&&LedgerRow| row.session_id == session && row.supplier == supplier;
        rows.iter().filter(is_it).copied().collect::<Vec<_>>()
    };
    let name = hex::encode(hash);
    match source.relay(hash).await? {
        Some(FoundRelay::Leaf {
            session_id,
            supplier,
            seq,
        }) => {
            let said = format!(
                "relay {name} is recorded: leaf {seq} of session {session_id}. Its session decides the rest."
            );
            Ok(Answer::Relay(said, of(&session_id, supplier)))
        }
        Some(FoundRelay::Unpaid(relay)) => {
            let reason = reason_of(relay.reason);
            let said = format!(
                "relay {name} was answered in session {} and is not paid: {}: {}.",
                relay.session_id,
                reason.name(),
                reason.explanation()
            );
            Ok(Answer::Relay(said, of(&relay.session_id, relay.supplier)))
        }
        None => Ok(Answer::Relay(unknown(&name, hash, rows), Vec::new())),
    }
}

/// A relay that is neither a leaf nor remembered. What its hash alone tells is told.
fn unknown(name: &str, hash: &[u8; 32], rows: &[&LedgerRow]) -> String {
    let above = |row: &&&LedgerRow| {
        let mut target = [0; 32];
        hex::decode_to_slice(&row.target_hash, &mut target).is_ok()
            && !difficulty::is_applicable(hash, &target)
    };
    let above = rows.iter().filter(above).count();
    let mut said = format!(
        "relay {name} is no leaf of this servicer, so no claim counts it. It was refused, it was not answered here, its answer earned nothing \
         (and newer such relays, or a restart, have made it forgotten), or its session is forgotten."
    );
    if above > 0 {
        said += &format!(
            " Its hash is above the difficulty's target in {above} of the {} sessions that are known: there it is difficulty: {}.",
            rows.len(),
            Reason::Difficulty.explanation()
        );
    }
    said
}

const fn reason_of(reason: Unpaid) -> Reason {
    match reason {
        Unpaid::BackendError => Reason::BackendError,
        Unpaid::OverServiced => Reason::OverServiced,
        Unpaid::Difficulty => Reason::Difficulty,
        Unpaid::Duplicate => Reason::Duplicate,
    }
}

/// Gaps of one reason over several sessions.
#[derive(Default)]
struct Sum {
    sessions: u64,
    relays: u64,
    upokt: i128,
    pending: bool,
}

fn by_reason(rows: &[&LedgerRow]) -> BTreeMap<Reason, Sum> {
    let mut sums: BTreeMap<Reason, Sum> = BTreeMap::new();
    for gap in rows.iter().flat_map(|row| Gaps::of(row).0) {
        let sum = sums.entry(gap.reason).or_default();
        sum.sessions += 1;
        sum.relays = sum.relays.saturating_add(gap.relays);
        sum.upokt = sum.upokt.saturating_add(gap.upokt);
        sum.pending = gap.pending;
    }
    sums
}

impl Answer<'_> {
    fn text(&self) -> String {
        match self {
            Self::Summary(rows) => summary(rows),
            Self::Sessions(rows) => rows.iter().map(|row| session(row)).collect::<Vec<_>>().join("\n"),
            Self::Relay(said, rows) => {
                let sessions = rows.iter().map(|row| format!("\n{}", session(row)));
                format!("{said}\n{}", sessions.collect::<String>())
            }
        }
    }

    fn rows(&self) -> &[&LedgerRow] {
        match self {
            Self::Summary(rows) | Self::Sessions(rows) | Self::Relay(_, rows) => rows,
        }
    }

    fn json(&self) -> Value {
        match self {
            Self::Summary(rows) => json!({
                "totals": LedgerTotals::of(rows.iter().copied()),
                "reasons": by_reason(rows).iter().map(|(reason, sum)| reason_json(*reason, sum)).collect::<Vec<_>>(),
            }),
            Self::Sessions(rows) => {
                json!({ "sessions": rows.iter().map(|row| session_json(row)).collect::<Vec<_>>() })
            }
            Self::Relay(said, rows) => json!({
                "relay": said,
                "sessions": rows.iter().map(|row| session_json(row)).collect::<Vec<_>>(),
            }),
        }
    }

    /// One line per session, supplier and reason.
    fn csv(&self) -> String {
        let mut text = "session,supplier,service,after,reason,relays,upokt,pending\r\n".to_owned();
        for row in self.rows() {
            for gap in Gaps::of(row).0 {
                let cells = [
                    row.session_id.clone(),
                    row.supplier.to_string(),
                    row.service.to_string(),
                    after(&gap),
                    gap.reason.name().to_owned(),
                    gap.relays.to_string(),
                    gap.upokt.to_string(),
                    gap.pending.to_string(),
                ];
                text += &(cells.map(|cell| quoted(&cell)).join(",") + "\r\n");
            }
        }
        text
    }
}

fn after(gap: &Gap) -> String {
    serde_json::to_value(gap.after)
        .ok()
        .and_then(|value| Some(value.as_str()?.to_owned()))
        .unwrap_or_default()
}

fn reason_json(reason: Reason, sum: &Sum) -> Value {
    json!({
        "reason": reason.name(),
        "sessions": sum.sessions,
        "relays": sum.relays,
        "upokt": sum.upokt.to_string(),
        "pending": sum.pending,
        "explanation": reason.explanation(),
    })
}

fn session_json(row: &LedgerRow) -> Value {
    let gaps = Gaps::of(row);
    let gap = |gap: &Gap| {
        json!({
            "after": gap.after,
            "reason": gap.reason.name(),
            "relays": gap.relays,
            "upokt": gap.upokt.to_string(),
            "pending": gap.pending,
            "explanation": gap.reason.explanation(),
        })
    };
    json!({ "session": row, "gaps": gaps.0.iter().map(gap).collect::<Vec<_>>(), "closes": gaps.closes(row) })
}

/// All sessions: what came of their relays, and the reasons by what they cost.
fn summary(rows: &[&LedgerRow]) -> String {
    let totals = LedgerTotals::of(rows.iter().copied());
    if rows.is_empty() {
        return "no sessions: no relay was served yet, or they are forgotten\n".to_owned();
    }
    let mut text = format!(
        "{} sessions, {} of them not over yet. Of {} relays whose request was valid, {} were answered, {} recorded and {} claimed on chain;\n\
         the claims are worth {} upokt, {} were settled and {} paid to the suppliers' shareholders.\n\n",
        grouped(totals.sessions),
        grouped(totals.unsettled_sessions),
        grouped(totals.validated),
        grouped(totals.served),
        grouped(totals.committed),
        grouped(totals.claimed),
        grouped(totals.claimed_upokt.0),
        grouped(totals.settled_upokt.0),
        grouped(totals.paid_upokt.0),
    );
    if totals.slashed_upokt.0 > 0 {
        text += &format!(
            "{} upokt were burned of the suppliers' stakes.\n\n",
            grouped(totals.slashed_upokt.0)
        );
    }
    text += &fees(&totals);
    let mut sums: Vec<_> = by_reason(rows).into_iter().collect();
    if sums.is_empty() {
        return text + "Nothing is missing.\n";
    }
    sums.sort_by_key(|(reason, sum)| (sum.pending, std::cmp::Reverse(sum.upokt), *reason));
    let mut table = Table::new(&["not paid because", ">sessions", ">relays", ">upokt", ""]);
    for (reason, sum) in &sums {
        let pending = if sum.pending { "not yet" } else { "" };
        table.row([
            reason.name(),
            &grouped(sum.sessions),
            &grouped(sum.relays),
            &grouped(sum.upokt),
            pending,
        ]);
    }
    text += &table.text(0);
    for (reason, _) in &sums {
        text += &format!("\n{}: {}.\n", reason.name(), reason.explanation());
    }
    text + &rejected(rows)
}

/// What claims and proofs cost; nothing where they were free.
fn fees(totals: &LedgerTotals) -> String {
    let mut text = String::new();
    if totals.tx_fees_upokt.0 > 0 || totals.proof_fees_upokt.0 > 0 {
        text = format!(
            "Claims and proofs cost {} upokt in fees of transactions and {} in fees of proofs: {} upokt are left of what was paid.\n",
            grouped(totals.tx_fees_upokt.0),
            grouped(totals.proof_fees_upokt.0),
            grouped(totals.net_upokt())
        );
    }
    if totals.fees_unknown > 0 {
        text += &format!(
            "Transactions of which it is not known what became (not yet, or no node keeps an index of them): {}; their fees are not counted.\n",
            grouped(totals.fees_unknown)
        );
    }
    if text.is_empty() { text } else { text + "\n" }
}

/// Refusals of transactions, of sessions where money depends on it.
fn rejected(rows: &[&LedgerRow]) -> String {
    let refused = rows
        .iter()
        .filter(|row| row.last_error.is_some() && row.stage != Stage::Settled);
    let line = |row: &&&LedgerRow| {
        let error = row.last_error.as_deref().unwrap_or_default();
        format!(
            "\nsession {} of {}: last error: {error}\n",
            short(&row.session_id),
            row.supplier
        )
    };
    refused.take(MAX_REFUSALS).map(|row| line(&row)).collect()
}

/// Refusals shown in a summary.
const MAX_REFUSALS: usize = 10;

/// One session: its steps, what is missing after each, and why.
fn session(row: &LedgerRow) -> String {
    let state = match row.stage {
        Stage::Expired { reason } => format!("not paid ({})", reason.name()),
        stage => stage.name().replace('_', " "),
    };
    let mut text = format!(
        "session      {}\nsupplier     {}\napplication  {}\nservice      {}\nblocks       {} to {}; claims {} to {}, proofs {} to {}\nstage        {state}\n",
        row.session_id,
        row.supplier,
        row.application,
        row.service,
        row.session_start_height,
        row.session_end_height,
        row.claim_open_height,
        row.claim_close_height,
        row.proof_open_height,
        row.proof_close_height,
    );
    if let Some(height) = row.final_height {
        text.truncate(text.trim_end().len());
        text += &format!(" at height {height}\n");
    }
    let by_another = Stage::Expired {
        reason: ExpiredReason::ForeignClaim,
    };
    let proof = match (row.proof_required, row.proved) {
        (None, _) if row.stage == by_another => "left to the process whose claim is on chain",
        (None, _) if row.stage.is_final() && !row.claim_on_chain => "none needed: nothing was claimed",
        (None, _) => "not known yet whether one is asked for",
        (Some(false), _) => "not asked for",
        (Some(true), true) => "asked for, accepted",
        (Some(true), false) if row.stage.is_final() => "asked for, none accepted in time",
        (Some(true), false) => "asked for, not on chain yet",
    };
    text += &format!("proof        {proof}\n");
    for (name, hashes) in [("claim tx", &row.claim_txs), ("proof tx", &row.proof_txs)] {
        text += &hashes
            .iter()
            .map(|hash| format!("{name:<12} {hash}\n"))
            .collect::<String>();
    }
    if row.tx_fees_upokt.0 > 0 || row.proof_fees_upokt.0 > 0 {
        text += &format!(
            "fees         {} upokt for transactions, {} for proofs\n",
            grouped(row.tx_fees_upokt.0),
            grouped(row.proof_fees_upokt.0)
        );
    }
    if row.fees_unknown > 0 {
        text += &format!(
            "             the fees of {} transactions are not known: no node said what became of them\n",
            grouped(row.fees_unknown)
        );
    }
    if let Some(error) = &row.last_error {
        let is_decision = matches!(
            row.stage,
            Stage::Expired {
                reason: ExpiredReason::Unfunded | ExpiredReason::Unprofitable
            }
        );
        let name = if is_decision { "because" } else { "last error" };
        text += &format!("{name:<12} {error}\n");
    }
    let gaps = Gaps::of(row);
    text.push('\n');
    text += &steps(row, &gaps);
    let told: std::collections::BTreeSet<Reason> = gaps.0.iter().map(|gap| gap.reason).collect();
    for reason in told {
        text += &format!("\n{}: {}.\n", reason.name(), reason.explanation());
    }
    if !gaps.closes(row) {
        text += "\nRelays and upokt do not add up: this is a fault of the servicer, please report it.\n";
    }
    text
}

fn steps(row: &LedgerRow, gaps: &Gaps) -> String {
    use portico_servicer::Step::{Applicable, Claimed, Recorded, Settled, Validated};
    let mut table = Table::new(&["", "", ">relays", ">upokt"]);
    let none = String::new;
    let claimed_upokt = if row.claim_on_chain {
        grouped(row.claimed_upokt.0)
    } else {
        none()
    };
    let claimed = if row.claim_on_chain {
        grouped(row.claimed)
    } else {
        "0".to_owned()
    };
    let steps = [
        ("validated", grouped(row.validated), none(), Validated),
        ("applicable", grouped(row.applicable), none(), Applicable),
        ("recorded", grouped(row.committed), none(), Recorded),
        ("claimed", claimed, claimed_upokt, Claimed),
        (
            "settled",
            none(),
            grouped(row.settled_upokt.unwrap_or_default().0),
            Settled,
        ),
    ];
    for (name, relays, upokt, step) in steps {
        table.row([name, "", &relays, &upokt]);
        for gap in gaps.0.iter().filter(|gap| gap.after == step) {
            let relays = if gap.relays > 0 {
                format!("-{}", grouped(gap.relays))
            } else {
                none()
            };
            table.row(["", gap.reason.name(), &relays, &grouped(-gap.upokt)]);
        }
    }
    table.row(["paid", "", "", &grouped(row.paid().0)]);
    for (address, share) in &row.paid_upokt {
        table.row(["", address.as_str(), "", &grouped(share.0)]);
    }
    if row.slashed_upokt.0 > 0 {
        table.row([
            "slashed",
            "of the supplier's stake",
            "",
            &format!("-{}", grouped(row.slashed_upokt.0)),
        ]);
    }
    table.text(0)
}

#[cfg(test)]
mod tests;
