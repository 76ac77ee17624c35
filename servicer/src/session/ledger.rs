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

use crate::session::failed::FailedBy;
use crate::session::meter::Prices;
use crate::session::record::SessionRecord;
use crate::session::stage::Stage;
use crate::session::unpaid::UnpaidBy;

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
    /// `unpaid` by reason; adds up to less for sessions that an earlier version served.
    #[serde(default)]
    pub unpaid_by: UnpaidBy,
    /// Relays whose client got a refusal though they passed every check, by its reason; those of earlier versions' sessions are not among them.
    #[serde(default)]
    pub failed_by: FailedBy,
    /// Relays that met the difficulty, and so had to become leaves.
    pub applicable: u64,
    /// Leaves on disk.
    pub committed: u64,
    /// Leaves that were not on disk as they were written when the session was sealed: the claim is without them.
    #[serde(default)]
    pub damaged: u64,
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
    /// What of the settlement was not minted again.
    #[serde(default)]
    pub deflation_loss_upokt: Upokt,
    /// What the supplier's shareholders received, by address: a part of `rewards_upokt`.
    #[serde(default)]
    pub paid_upokt: std::collections::BTreeMap<String, Upokt>,
    /// What the chain burned of the supplier's stake because the claim was not proved.
    #[serde(default)]
    pub slashed_upokt: Upokt,
    /// What one relay costs the application, rounded down.
    #[serde(default)]
    pub relay_upokt: Upokt,
    /// Target of the service's difficulty at the session's start, 64 hexadecimal characters: a relay's hash up to it becomes a leaf.
    #[serde(default)]
    pub target_hash: String,
    /// First height at which a claim can be sent.
    #[serde(default)]
    pub claim_open_height: i64,
    /// Last block that takes a claim.
    #[serde(default)]
    pub claim_close_height: i64,
    /// First height at which a proof can be sent.
    #[serde(default)]
    pub proof_open_height: i64,
    /// Last block that takes a proof; it settles the claim.
    #[serde(default)]
    pub proof_close_height: i64,
    /// Height at which the stage became final.
    #[serde(default)]
    pub final_height: Option<i64>,
    /// Time of the newest block when the first relay opened the session, in milliseconds since 1970; 0 when an earlier version did.
    #[serde(default)]
    pub opened_at_ms: u64,
    /// Fees that the chain took for the transactions with its claims and proofs, also for those that failed in their block. 0 in a session that an
    /// earlier version claimed, which took none down.
    #[serde(default)]
    pub tx_fees_upokt: Upokt,
    /// What the chain took for proofs themselves (`proof_submission_fee`).
    #[serde(default)]
    pub proof_fees_upokt: Upokt,
    /// Transactions of which it is not known yet, or any more, whether a block took them: their fees are not in the sums.
    #[serde(default)]
    pub fees_unknown: u64,
}

impl LedgerRow {
    /// What the supplier's shareholders received together. Of sessions that an earlier version settled only the operator's part is known.
    #[must_use]
    pub fn paid(&self) -> Upokt {
        let shares = match self.paid_upokt.is_empty() {
            false => self.paid_upokt.values().copied().collect::<Vec<_>>(),
            true => self
                .rewards_upokt
                .get(&self.supplier.to_string())
                .copied()
                .into_iter()
                .collect(),
        };
        Upokt(shares.iter().fold(0, |sum, share| sum.saturating_add(share.0)))
    }
}

/// Sums over the rows of a ledger.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LedgerTotals {
    /// Sessions of suppliers.
    pub sessions: u64,
    /// Relays whose request passed every check.
    pub validated: u64,
    /// Relays answered with a signature.
    pub served: u64,
    /// Relays that met the difficulty.
    pub applicable: u64,
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
    /// What the suppliers' shareholders received.
    pub paid_upokt: Upokt,
    /// Burned of suppliers' stakes.
    pub slashed_upokt: Upokt,
    /// Fees of transactions.
    pub tx_fees_upokt: Upokt,
    /// Fees of proofs.
    pub proof_fees_upokt: Upokt,
    /// Transactions whose fees are not known.
    pub fees_unknown: u64,
    /// Sessions that are neither settled nor expired nor empty.
    pub unsettled_sessions: u64,
}

impl LedgerTotals {
    /// Adds up `rows`; saturates, which no real amount reaches.
    #[must_use]
    pub fn of<'a>(rows: impl IntoIterator<Item = &'a LedgerRow>) -> Self {
        let mut totals = Self::default();
        rows.into_iter().for_each(|row| totals.add(row));
        totals
    }

    /// What was earned: paid to the shareholders, less all fees. Where the operator is the only shareholder, its balance changed by that.
    #[must_use]
    pub fn net_upokt(&self) -> i128 {
        let signed = |upokt: Upokt| i128::try_from(upokt.0).unwrap_or(i128::MAX);
        signed(self.paid_upokt)
            .saturating_sub(signed(self.tx_fees_upokt))
            .saturating_sub(signed(self.proof_fees_upokt))
    }

    fn add(&mut self, row: &LedgerRow) {
        let add = |sum: &mut u64, number: u64| *sum = sum.saturating_add(number);
        let add_upokt = |sum: &mut Upokt, upokt: Upokt| sum.0 = sum.0.saturating_add(upokt.0);
        add(&mut self.sessions, 1);
        add(&mut self.validated, row.validated);
        add(&mut self.served, row.served);
        add(&mut self.applicable, row.applicable);
        add(&mut self.committed, row.committed);
        if row.claim_on_chain {
            add(&mut self.claimed, row.claimed);
            add(&mut self.claimed_compute_units, row.claimed_compute_units);
            add_upokt(&mut self.claimed_upokt, row.claimed_upokt);
        }
        add_upokt(&mut self.settled_upokt, row.settled_upokt.unwrap_or_default());
        add_upokt(&mut self.paid_upokt, row.paid());
        add_upokt(&mut self.slashed_upokt, row.slashed_upokt);
        add_upokt(&mut self.tx_fees_upokt, row.tx_fees_upokt);
        add_upokt(&mut self.proof_fees_upokt, row.proof_fees_upokt);
        add(&mut self.fees_unknown, row.fees_unknown);
        add(&mut self.unsettled_sessions, u64::from(!row.stage.is_final()));
    }
}

/// The row of a session with `committed` leaves.
pub(crate) fn row(record: SessionRecord, committed: u64) -> LedgerRow {
    let seal = record.seal;
    // Those that are left out were there once.
    let damaged = record.damaged_leaves;
    let committed = committed.max(seal.map_or(0, |seal| seal.leaves).saturating_add(damaged));
    let settled = record.settled.unwrap_or_default();
    let fees = record.fees.sums();
    let prices = Prices {
        compute_units_per_relay: record.compute_units_per_relay,
        compute_units_to_tokens_multiplier: record.compute_units_to_tokens_multiplier,
        compute_unit_cost_granularity: record.compute_unit_cost_granularity,
    };
    LedgerRow {
        unpaid_by: record.counts.unpaid_by,
        failed_by: record.counts.failed_by,
        deflation_loss_upokt: settled.deflation_loss,
        paid_upokt: settled.shares,
        slashed_upokt: record.slashed,
        relay_upokt: Upokt(prices.cost_per_relay()),
        target_hash: hex::encode(record.target_hash),
        claim_open_height: record.windows.claim_open.0,
        claim_close_height: record.windows.claim_close.0,
        proof_open_height: record.windows.proof_open.0,
        proof_close_height: record.windows.proof_close.0,
        final_height: record.final_height.map(|height| height.0),
        opened_at_ms: record.opened_at_ms,
        tx_fees_upokt: fees.cost.tx,
        proof_fees_upokt: fees.cost.proof,
        fees_unknown: fees.unknown,
        validated: record.counts.validated,
        served: record.counts.served,
        unpaid: record.counts.unpaid,
        applicable: record.counts.applicable,
        committed,
        damaged,
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
