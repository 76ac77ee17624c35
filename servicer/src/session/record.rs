//! What is stored of a session of a supplier: enough to claim and prove it after a restart.

use std::collections::BTreeMap;

use portico_protocol::session::Timing;
use portico_protocol::wire::pocket::session::SessionHeader;
use portico_protocol::wire::pocket::shared::Params;
use portico_protocol::{Address, ComputeUnits, Height, ServiceId, Upokt};
use serde::{Deserialize, Serialize};

use crate::fees::SessionFees;
use crate::session::failed::FailedBy;
use crate::session::stage::{ExpiredReason, Stage};
use crate::session::unpaid::UnpaidBy;

/// Transaction hashes kept per phase; older ones are dropped.
const MAX_TXS: usize = 8;

/// A session of one supplier. Prices and weight are those of the session's start, windows those of its end; neither changes
/// while the record lives, whatever happens to the chain's params.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct SessionRecord {
    pub(crate) application: Address,
    pub(crate) service: ServiceId,
    pub(crate) session_id: String,
    pub(crate) start: Height,
    pub(crate) end: Height,
    pub(crate) supplier: Address,
    /// Weight of each leaf.
    pub(crate) compute_units_per_relay: u64,
    #[serde(with = "hex_array")]
    pub(crate) target_hash: [u8; 32],
    pub(crate) compute_units_to_tokens_multiplier: u64,
    pub(crate) compute_unit_cost_granularity: u64,
    pub(crate) windows: Windows,
    pub(crate) stage: Stage,
    pub(crate) seal: Option<Seal>,
    pub(crate) claim: Sending,
    /// The chain was seen to hold our claim.
    pub(crate) claimed_on_chain: bool,
    pub(crate) proof: Sending,
    pub(crate) proof_required: Option<bool>,
    pub(crate) proved: bool,
    pub(crate) settled: Option<Settled>,
    pub(crate) counts: CountSnapshot,
    /// Height at which the stage became final.
    pub(crate) final_height: Option<Height>,
    /// Leaves at the time they were deleted; `None` while they are on disk.
    pub(crate) deleted_leaves: Option<u64>,
    /// Leaves that were not on disk as they were written when the session was sealed: the claim is without them.
    #[serde(default)]
    pub(crate) damaged_leaves: u64,
    /// Time of the newest block when the first relay opened it, in milliseconds since 1970; 0 when an earlier version opened it.
    #[serde(default)]
    pub(crate) opened_at_ms: u64,
    /// What the chain burned of the supplier's stake because the claim was not proved.
    #[serde(default)]
    pub(crate) slashed: Upokt,
    /// Its transactions, and what they cost; none of those that an earlier version sent.
    #[serde(default)]
    pub(crate) fees: SessionFees,
}

/// Heights of a session's life after its end (`x/shared/types/session.go`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Windows {
    pub(crate) grace_end: Height,
    pub(crate) claim_open: Height,
    pub(crate) claim_close: Height,
    pub(crate) proof_open: Height,
    pub(crate) proof_close: Height,
}

impl Windows {
    /// Windows of the session that ends at `end`, under the params in force there.
    pub(crate) fn new(params: &Params, end: Height) -> Self {
        let timing = Timing::new(params);
        Self {
            grace_end: timing.grace_end(end),
            claim_open: timing.claim_open(end),
            claim_close: timing.claim_close(end),
            proof_open: timing.proof_open(end),
            proof_close: timing.proof_close(end),
        }
    }

    /// Height from which on waiting longer may cost the claim: half of its window is left.
    pub(crate) const fn claim_middle(&self) -> Height {
        Height(i64::midpoint(self.claim_open.0, self.claim_close.0))
    }

    /// Height whose block hash decides whether and what to prove.
    pub(crate) const fn seed(&self) -> Height {
        Height(self.proof_open.0 - 1)
    }
}

/// What the claim says, fixed on disk before it is broadcast.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Seal {
    /// 48 bytes: hash, sum, count.
    #[serde(with = "hex_array")]
    pub(crate) root: [u8; 48],
    pub(crate) leaves: u64,
    pub(crate) compute_units: ComputeUnits,
    /// What the claim is worth.
    pub(crate) worth: Upokt,
    pub(crate) height: Height,
}

/// How far the sending of one phase's message is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sending {
    pub(crate) attempts: u32,
    /// Height at which the mempool last accepted it; `None` when it never did, or when the accepted transaction failed.
    pub(crate) accepted_at: Option<Height>,
    /// Hashes of accepted transactions, oldest first.
    pub(crate) txs: Vec<String>,
    /// Send it in a transaction of its own: one with several messages failed.
    pub(crate) alone: bool,
    /// Last refusal, for `/ledger` and logs.
    pub(crate) last_error: Option<String>,
    /// It is not sent as long as the supplier's account cannot pay for it.
    #[serde(default)]
    pub(crate) unfunded: bool,
}

impl Sending {
    /// The mempool took transaction `hash` at `height`.
    pub(crate) fn accepted(&mut self, hash: String, height: Height) {
        self.attempts = self.attempts.saturating_add(1);
        self.accepted_at = Some(height);
        self.last_error = None;
        if self.txs.len() == MAX_TXS {
            self.txs.remove(0);
        }
        self.txs.push(hash);
    }

    /// As if the mempool had never taken it: due at once, unless the chain has it.
    pub(crate) fn forgotten(&self) -> Self {
        Self {
            accepted_at: None,
            unfunded: false,
            ..self.clone()
        }
    }

    /// The message was refused, or its transaction failed in a block: the next block tries again.
    pub(crate) fn refused(&mut self, error: String, batched: bool) {
        self.attempts = self.attempts.saturating_add(1);
        self.accepted_at = None;
        self.alone |= batched;
        self.last_error = Some(error);
    }
}

/// What the settlement event said.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Settled {
    pub(crate) settled: Upokt,
    pub(crate) overservicing_loss: Upokt,
    /// What of it was not minted again: the chain's mint ratio is below 1.
    #[serde(default)]
    pub(crate) deflation_loss: Upokt,
    /// Everything that was minted for it, by address.
    pub(crate) rewards: BTreeMap<String, Upokt>,
    /// What of that is the revenue share of the supplier's shareholders, by address.
    #[serde(default)]
    pub(crate) shares: BTreeMap<String, Upokt>,
}

/// Relay counters as of the last stored transition; leaves are counted by the log itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CountSnapshot {
    pub(crate) validated: u64,
    pub(crate) served: u64,
    pub(crate) unpaid: u64,
    pub(crate) applicable: u64,
    /// `unpaid` by reason; adds up to less in records of earlier versions.
    #[serde(default)]
    pub(crate) unpaid_by: UnpaidBy,
    /// Those that are neither served nor leaves, by the refusal.
    #[serde(default)]
    pub(crate) failed_by: FailedBy,
}

impl CountSnapshot {
    /// Each leaf was a relay that was validated, served and applicable.
    pub(crate) fn raise_to(&mut self, leaves: u64) {
        for counter in [&mut self.validated, &mut self.served, &mut self.applicable] {
            *counter = (*counter).max(leaves);
        }
    }
}

impl SessionRecord {
    /// The session's header as the chain has it.
    pub(crate) fn header(&self) -> SessionHeader {
        SessionHeader {
            application_address: self.application.to_string(),
            service_id: self.service.to_string(),
            session_id: self.session_id.clone(),
            session_start_block_height: self.start.0,
            session_end_block_height: self.end.0,
        }
    }

    /// Whether it was given up because it cannot be proved, while the chain may hold its claim: only the settlement tells what that costs, or
    /// that it was paid without a proof.
    pub(crate) fn is_given_up(&self) -> bool {
        let unproved = matches!(
            self.stage,
            Stage::Expired {
                reason: ExpiredReason::RootMismatch | ExpiredReason::ProofNotVerified
            }
        );
        let before = |height: Height| height < self.windows.proof_close;
        unproved && self.claim.attempts > 0 && self.final_height.is_some_and(before)
    }

    /// Whether the settlement of its claim is to be told yet.
    pub(crate) fn is_unsettled(&self) -> bool {
        !self.stage.is_final() || self.is_given_up()
    }

    /// Ends the session without payment.
    pub(crate) fn expire(&mut self, reason: ExpiredReason, height: Height) {
        self.finish(Stage::Expired { reason }, height);
    }

    /// Moves to a final stage.
    pub(crate) fn finish(&mut self, stage: Stage, height: Height) {
        self.stage = stage;
        self.final_height = Some(height);
    }
}

/// Byte arrays as hexadecimal text.
mod hex_array {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer, const N: usize>(bytes: &[u8; N], s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&hex::encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>, const N: usize>(d: D) -> Result<[u8; N], D::Error> {
        let text = String::deserialize(d)?;
        let mut bytes = [0; N];
        hex::decode_to_slice(&text, &mut bytes).map_err(D::Error::custom)?;
        Ok(bytes)
    }
}
