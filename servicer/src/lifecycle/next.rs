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

use crate::session::record::{Sending, SessionRecord};
use crate::session::stage::{ExpiredReason, Stage};

/// Blocks after the settlement height for which a settlement event is waited for.
const SETTLEMENT_MARGIN_BLOCKS: i64 = 10;
/// Proofs sent after the chain judged one invalid: another try can only help if something outside the proof was wrong.
const MAX_INVALID_PROOFS: u32 = 3;

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
        // Relays in progress are waited for no longer than that.
        Stage::Draining if in_flight == 0 || head >= windows.claim_middle() => Action::Seal,
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
    /// The chain holds another claim than ours: a proof would be of what it does not hold, and cost stake.
    Foreign,
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
    if record.seal.is_none_or(|seal| claim.root_hash != seal.root) {
        return ProofStep::Foreign;
    }
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
