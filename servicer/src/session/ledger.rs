//! The money ledger: where each relay of a session went, from request to settlement.
//!
//! ```text
//! served ─► validated ─► applicable ─► committed ─► claimed ─► proved ─► settled
//!             │              │             │           │          │         │
//!          refused     not mined by    writer failed  window   not required overserviced,
//!        (by reason)   difficulty, 5xx  or sealed     missed   or missed    deflated
//! ```

use portico_protocol::{Address, ServiceId, Upokt};
use serde::{Deserialize, Serialize};

use crate::session::record::SessionRecord;
use crate::session::stage::Stage;

/// One session of one supplier.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LedgerRow {
    /// Session id, 64 hexadecimal characters.
    pub session_id: String,
    /// Operator address of the supplier.
    pub supplier: Address,
    /// Application that pays.
    pub application: Address,
    /// Service.
    pub service: ServiceId,
    /// First block of the session.
    pub session_start_height: i64,
    /// Last block of the session.
    pub session_end_height: i64,
    /// Where the session is in its life.
    pub stage: Stage,
    /// Relays whose request passed every check.
    pub validated: u64,
    /// Relays answered with a signature.
    pub served: u64,
    /// Relays answered with a signature that earn nothing, whatever the reason (difficulty, backend error, duplicate, over-serviced).
    pub unpaid: u64,
    /// Relays that met the difficulty, and so had to become leaves.
    pub applicable: u64,
    /// Leaves on disk.
    pub committed: u64,
    /// Compute units of one relay, at the session's start.
    pub compute_units_per_relay: u64,
    /// Compute units of the leaves on disk.
    pub committed_compute_units: u64,
    /// Leaves counted by the claim's root; 0 before the seal.
    pub claimed: u64,
    /// Compute units summed up by the claim's root.
    pub claimed_compute_units: u64,
    /// What the claim is worth under the session's prices and difficulty.
    pub claimed_upokt: Upokt,
    /// Whether the claim is on chain.
    pub claim_on_chain: bool,
    /// Whether the chain asked for a proof; `None` before the draw.
    pub proof_required: Option<bool>,
    /// Whether the chain accepted the proof.
    pub proved: bool,
    /// What settlement took from the application for this claim; `None` before it, 0 when the claim expired.
    pub settled_upokt: Option<Upokt>,
    /// Who received how much of the settlement, by address.
    pub rewards_upokt: std::collections::BTreeMap<String, Upokt>,
    /// Claimed but not settled because the application's budget was used up.
    pub overservicing_loss_upokt: Upokt,
    /// Hashes of the claim transactions, oldest first.
    pub claim_txs: Vec<String>,
    /// Hashes of the proof transactions, oldest first.
    pub proof_txs: Vec<String>,
    /// Why the last claim or proof transaction was refused.
    pub last_error: Option<String>,
}

/// Sums over the rows of a ledger.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerTotals {
    /// Relays answered with a signature.
    pub served: u64,
    /// Leaves on disk.
    pub committed: u64,
    /// Leaves claimed on chain.
    pub claimed: u64,
    /// Compute units claimed on chain.
    pub claimed_compute_units: u64,
    /// Worth of the claims.
    pub claimed_upokt: Upokt,
    /// Settled so far.
    pub settled_upokt: Upokt,
    /// Sessions that are neither settled nor expired nor empty.
    pub unsettled_sessions: u64,
}

impl LedgerTotals {
    /// Adds up `rows`; saturates, which no real amount reaches.
    #[must_use]
    pub fn of(rows: &[LedgerRow]) -> Self {
        let mut totals = Self::default();
        for row in rows {
            totals.served = totals.served.saturating_add(row.served);
            totals.committed = totals.committed.saturating_add(row.committed);
            if row.claim_on_chain {
                totals.claimed = totals.claimed.saturating_add(row.claimed);
                totals.claimed_compute_units = totals
                    .claimed_compute_units
                    .saturating_add(row.claimed_compute_units);
                totals.claimed_upokt.0 = totals.claimed_upokt.0.saturating_add(row.claimed_upokt.0);
            }
            let settled = row.settled_upokt.unwrap_or_default();
            totals.settled_upokt.0 = totals.settled_upokt.0.saturating_add(settled.0);
            totals.unsettled_sessions += u64::from(!row.stage.is_final());
        }
        totals
    }
}

/// The row of a session with `committed` leaves.
pub(crate) fn row(record: SessionRecord, committed: u64) -> LedgerRow {
    let seal = record.seal;
    let settled = record.settled.unwrap_or_default();
    LedgerRow {
        validated: record.counts.validated,
        served: record.counts.served,
        unpaid: record.counts.unpaid,
        applicable: record.counts.applicable,
        committed,
        compute_units_per_relay: record.compute_units_per_relay,
        committed_compute_units: committed.saturating_mul(record.compute_units_per_relay),
        claimed: seal.map_or(0, |seal| seal.leaves),
        claimed_compute_units: seal.map_or(0, |seal| seal.compute_units.0),
        claimed_upokt: seal.map_or(Upokt(0), |seal| seal.worth),
        claim_on_chain: record.claimed_on_chain,
        proof_required: record.proof_required,
        proved: record.proved,
        settled_upokt: record.stage.is_final().then_some(settled.settled),
        rewards_upokt: settled.rewards,
        overservicing_loss_upokt: settled.overservicing_loss,
        claim_txs: record.claim.txs,
        proof_txs: record.proof.txs,
        last_error: record.proof.last_error.or(record.claim.last_error),
        session_id: record.session_id,
        supplier: record.supplier,
        application: record.application,
        service: record.service,
        session_start_height: record.start.0,
        session_end_height: record.end.0,
        stage: record.stage,
    }
}
