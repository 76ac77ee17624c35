//! Where a session of a supplier is in its life, as it is stored and shown.

use serde::{Deserialize, Serialize};

/// Where a session of a supplier is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExpiredReason {
    /// No claim of ours was on chain when the claim window closed.
    ClaimWindowMissed,
    /// The supplier's account could not pay for the claim and its proof, so none was sent.
    Unfunded,
    /// The claim would have cost more than it is worth, so none was sent.
    Unprofitable,
    /// Another process with the same key claimed the session, with a root that this one cannot prove.
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

impl ExpiredReason {
    /// Name in tables, as in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ClaimWindowMissed => "claim_window_missed",
            Self::Unfunded => "unfunded",
            Self::Unprofitable => "unprofitable",
            Self::ForeignClaim => "foreign_claim",
            Self::ProofWindowMissed => "proof_window_missed",
            Self::RootMismatch => "root_mismatch",
            Self::ProofNotVerified => "proof_not_verified",
            Self::ProofMissing => "proof_missing",
            Self::ProofInvalid => "proof_invalid",
            Self::Discarded => "discarded",
            Self::NotSettled => "not_settled",
        }
    }

    /// What it means, and what an operator can do about it.
    #[must_use]
    pub const fn explanation(self) -> &'static str {
        match self {
            Self::ClaimWindowMissed => {
                "no claim was on chain when the claim window closed; the last error says why. Keep the servicer and its chain node running through the window"
            }
            Self::Unfunded => {
                "the supplier's account could not pay the fees of this claim, of its proof and of the other claims in progress, so no claim was sent: \
                 a claim without its proof costs stake. The last error says what the account has and what it needs; had it been funded before the window \
                 closed, the claim would have been sent"
            }
            Self::Unprofitable => {
                "the claim would have cost more than it is worth: transaction fees, plus the proof fee times the chance that a proof is asked for; so none \
                 was sent, which is a decision and no fault. The last error has both figures; a lower tx.min_claim_value_percent allows claims at a loss"
            }
            Self::ForeignClaim => {
                "a claim of this supplier's key was already on chain, for relays that this servicer does not have, so this one's were not claimed. It is from \
                 another process with the key, or from this one before a backup was restored. Whoever sent it must prove it, or stake is lost: keep that \
                 process running through the proof window, then run one servicer per key. If it was none of yours, somebody else has the key"
            }
            Self::ProofWindowMissed => {
                "a proof was asked for and none was on chain when the proof window closed; the last error says why. Keep the servicer and its chain node \
                 running through the window"
            }
            Self::RootMismatch => {
                "the chain asked for a proof, and none could be made: relay records on disk were lost or changed after the claim was sent. Check the disk, and \
                 whether files were deleted or a backup was restored"
            }
            Self::ProofNotVerified => {
                "the proof does not pass the chain's checks here, so it was not sent, as it would have been refused; the last error says why"
            }
            Self::ProofMissing => {
                "the chain asked for a proof, and no block took one in time, so the claim expired; the last error says why. A transaction that a node accepted \
                 and no block took was lost by that node, or paid too low a fee: give the servicer a second node, and see tx.gas_price_micro_upokt"
            }
            Self::ProofInvalid => "the chain found the proof invalid; the last error says why",
            Self::Discarded => {
                "the chain discarded the claim because its data did not fit together, for example without the application"
            }
            Self::NotSettled => {
                "the settlement's height passed and no event told of the claim, or the chain node has forgotten its events; look at the claim \
                 with `portico query`"
            }
        }
    }
}

impl Stage {
    /// Of a claim on chain of which it is known whether a proof is asked for.
    pub(crate) const fn drawn(required: bool) -> Self {
        match required {
            true => Self::ProofRequired,
            false => Self::ProofNotRequired,
        }
    }

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
