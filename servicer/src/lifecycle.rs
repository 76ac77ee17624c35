//! From the first relay of a session to its settlement: what to do at which height. Pure: the driver looks, asks and sends.
//!
//! ```text
//! Open ─► Draining ─► Sealed ─► ClaimSent ─► ClaimOnChain ─┬─► ProofNotRequired ─────────────────────┬─► Settled
//!  │ grace end │ last relay │ claim window    │ read back  └─► ProofRequired ─► ProofSent ─► ProofOnChain ┘
//!              └─► Empty    └────────────┬────┴─────────────────────┬────────────────┘
//!                                        └───────► Expired(reason) ◄┘
//! ```
//! A transaction handed over while block h is the newest can be in block h + 1 at the earliest: a window [open, close] is used while
//! open ≤ h < close. The seed of the draw and of the proven path is the hash of the block before the proof window opens.

use portico_protocol::Height;
use portico_protocol::wire::pocket::proof::{Claim, ClaimProofStatus};
use serde::{Deserialize, Serialize};

use crate::record::{Sending, SessionRecord};

/// Blocks after the settlement height for which a settlement event is waited for.
const SETTLEMENT_MARGIN_BLOCKS: i64 = 10;
/// Proofs sent after the chain judged one invalid: another try can only help if something outside the proof was wrong.
const MAX_INVALID_PROOFS: u32 = 3;

/// Where a session of a supplier is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "stage", rename_all = "snake_case")]
pub enum Stage {
    /// Relays are accepted.
    Open,
    /// The grace period is over: relays in progress may still become leaves.
    Draining,
    /// Root, sum and count are fixed and on disk; no later leaf counts.
    Sealed,
    /// A claim was handed to the mempool.
    ClaimSent,
    /// The chain holds our claim.
    ClaimOnChain,
    /// The draw says that no proof is needed.
    ProofNotRequired,
    /// The draw asks for a proof.
    ProofRequired,
    /// A proof was handed to the mempool.
    ProofSent,
    /// The chain accepted the proof.
    ProofOnChain,
    /// The claim was settled.
    Settled,
    /// Nothing will be paid.
    Expired {
        /// Why.
        reason: ExpiredReason,
    },
    /// The session ended without a leaf.
    Empty,
}

/// Why a session is not paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExpiredReason {
    /// No claim of ours was on chain when the claim window closed.
    ClaimWindowMissed,
    /// Another process with the same key claimed as much or more, with a root that this one cannot prove.
    ForeignClaim,
    /// A proof was required and none was accepted when the proof window closed.
    ProofWindowMissed,
    /// The leaves on disk do not give the sealed root: no proof is sent.
    RootMismatch,
    /// The proof does not pass the chain's own checks here: it is not sent.
    ProofNotVerified,
    /// The chain expired the claim for a missing proof.
    ProofMissing,
    /// The chain expired the claim for an invalid proof.
    ProofInvalid,
    /// The chain discarded the claim.
    Discarded,
    /// The settlement height passed and no event told of the claim.
    NotSettled,
}

impl Stage {
    /// Whether nothing more will happen to the session.
    #[must_use]
    pub const fn is_final(&self) -> bool {
        matches!(self, Self::Settled | Self::Expired { .. } | Self::Empty)
    }

    /// Name in metrics, as in JSON.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Draining => "draining",
            Self::Sealed => "sealed",
            Self::ClaimSent => "claim_sent",
            Self::ClaimOnChain => "claim_on_chain",
            Self::ProofNotRequired => "proof_not_required",
            Self::ProofRequired => "proof_required",
            Self::ProofSent => "proof_sent",
            Self::ProofOnChain => "proof_on_chain",
            Self::Settled => "settled",
            Self::Expired { .. } => "expired",
            Self::Empty => "empty",
        }
    }
}

/// What to do for a session now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Nothing before the next block.
    Wait,
    /// Accept no further relays.
    Drain,
    /// Fix root, sum and count on disk.
    Seal,
    /// Look at the chain's claim, then [`claim_step`].
    Claim,
    /// Draw whether a proof is required.
    Draw,
    /// Look at the chain's claim, then [`proof_step`].
    Prove,
    /// Record that nothing will be paid.
    GiveUp(ExpiredReason),
    /// Delete the leaves: they are needed no more.
    DeleteLeaves,
}

/// What to do for a session with `in_flight` relays in progress, `head` being the newest block.
pub(crate) fn next(record: &SessionRecord, head: Height, in_flight: u64, keep_leaves_blocks: u32) -> Action {
    let windows = &record.windows;
    let over = Height(windows.proof_close.0.saturating_add(SETTLEMENT_MARGIN_BLOCKS));
    match record.stage {
        Stage::Open if head > windows.grace_end => Action::Drain,
        Stage::Draining if in_flight == 0 || head >= drain_deadline(record) => Action::Seal,
        Stage::Sealed | Stage::ClaimSent if head >= windows.claim_open => Action::Claim,
        Stage::ClaimOnChain if head > over => Action::GiveUp(ExpiredReason::NotSettled),
        Stage::ClaimOnChain if head >= windows.seed() => Action::Draw,
        Stage::ProofRequired | Stage::ProofSent if head > over => {
            Action::GiveUp(ExpiredReason::ProofWindowMissed)
        }
        Stage::ProofRequired | Stage::ProofSent if head >= windows.proof_open => Action::Prove,
        Stage::ProofNotRequired | Stage::ProofOnChain if head > over => {
            Action::GiveUp(ExpiredReason::NotSettled)
        }
        Stage::Settled | Stage::Expired { .. } | Stage::Empty if record.deleted_leaves.is_none() => {
            let since = record.final_height.unwrap_or(head).max(windows.proof_close);
            let keep_until = Height(since.0.saturating_add(i64::from(keep_leaves_blocks)));
            if head > keep_until {
                Action::DeleteLeaves
            } else {
                Action::Wait
            }
        }
        _ => Action::Wait,
    }
}

/// The session as it is to be taken up when the chain went back to `head`: what was seen above it may never have been, so the chain is asked
/// again. Leaves and seal stay. `None` when nothing of it is in doubt, or its leaves are deleted.
pub(crate) fn rewound(record: &SessionRecord, head: Height) -> Option<SessionRecord> {
    let certain = match record.stage {
        Stage::Open | Stage::Draining | Stage::Sealed | Stage::Empty => true,
        stage if stage.is_final() => record.final_height.is_none_or(|height| height <= head),
        _ => false,
    };
    if certain || record.seal.is_none() || record.deleted_leaves.is_some() {
        return None;
    }
    Some(SessionRecord {
        stage: Stage::Sealed,
        claim: record.claim.forgotten(),
        claimed_on_chain: false,
        proof: record.proof.forgotten(),
        proof_required: None,
        proved: false,
        settled: None,
        final_height: None,
        ..record.clone()
    })
}

/// Height at which relays in progress are waited for no longer: half of the claim window is left for the claim.
fn drain_deadline(record: &SessionRecord) -> Height {
    let windows = &record.windows;
    Height(windows.claim_open.0 + (windows.claim_close.0 - windows.claim_open.0) / 2)
}

/// What to do about a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClaimStep {
    /// The chain holds it.
    OnChain,
    /// The chain holds another one that must not be replaced.
    Foreign,
    /// Hand it to the mempool.
    Send,
    /// Look again at the next block.
    Wait,
    /// The window is closed.
    Missed,
}

/// Decides about a sealed session's claim; `on_chain` is what the chain holds for (session, supplier) at `head`.
pub(crate) fn claim_step(record: &SessionRecord, on_chain: Option<&Claim>, head: Height) -> ClaimStep {
    let Some(seal) = &record.seal else {
        return ClaimStep::Wait;
    };
    if let Some(claim) = on_chain {
        if claim.root_hash == seal.root {
            return ClaimStep::OnChain;
        }
        if root_sum(&claim.root_hash) >= seal.compute_units.0 {
            return ClaimStep::Foreign;
        }
    }
    let (open, close) = (record.windows.claim_open, record.windows.claim_close);
    if head >= close {
        ClaimStep::Missed
    } else if head >= open && is_due(&record.claim, head, open, close) {
        ClaimStep::Send
    } else {
        ClaimStep::Wait
    }
}

/// What to do about a proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProofStep {
    /// The chain accepted it.
    Proved,
    /// Hand it to the mempool.
    Send,
    /// Look again at the next block.
    Wait,
}

/// Decides about a required proof; `on_chain` is the claim that the chain holds at `head`, whose status tells of the proof (proofs
/// themselves are consumed in the block that includes them).
pub(crate) fn proof_step(record: &SessionRecord, on_chain: Option<&Claim>, head: Height) -> ProofStep {
    let (open, close) = (record.windows.proof_open, record.windows.proof_close);
    let Some(claim) = on_chain else {
        return ProofStep::Wait;
    };
    let status = claim.proof_validation_status();
    if status == ClaimProofStatus::Validated {
        return ProofStep::Proved;
    }
    let tries_left = status != ClaimProofStatus::Invalid || record.proof.attempts < MAX_INVALID_PROOFS;
    let in_window = open <= head && head < close;
    if in_window && tries_left && is_due(&record.proof, head, open, close) {
        ProofStep::Send
    } else {
        ProofStep::Wait
    }
}

/// Whether a message that is not on chain at `head` is to be sent (again).
///
/// One that the mempool never took, or whose transaction failed, is due at every block. One that it took is due again when half of the
/// window is over, and at the window's last two chances: the mempool may have lost it.
fn is_due(sending: &Sending, head: Height, open: Height, close: Height) -> bool {
    let Some(accepted) = sending.accepted_at else {
        return true;
    };
    let middle = Height(open.0 + (close.0 - open.0) / 2);
    let last_chances = Height(close.0 - 2);
    head > accepted && ((accepted < middle && head >= middle) || head >= last_chances)
}

/// Sum in a 48-byte root; 0 for anything else.
fn root_sum(root: &[u8]) -> u64 {
    let bytes = root.get(32..40).and_then(|bytes| <[u8; 8]>::try_from(bytes).ok());
    bytes.map_or(0, u64::from_be_bytes)
}

#[cfg(test)]
pub(crate) mod tests;
