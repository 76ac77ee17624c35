//! Where the relays and the money of a session went: every difference between two steps of the ledger, with its reason.
//!
//! ```text
//! validated − refused − no_answer − backend_error − over_serviced − difficulty = applicable
//! applicable − duplicate − refused − not_recorded = recorded       recorded − damaged − late = claimed, or pending, or expired
//! worth of the claim − pending − expired − overserviced_claim = settled        settled − deflation − others_shares = paid
//! ```
//! The equations hold for every row to the last relay and upokt; [`Gaps::closes`] says so.

use portico_relay::refusal::Reason as Refusal;
use serde::Serialize;

use crate::session::failed;
use crate::session::ledger::LedgerRow;
use crate::session::stage::{ExpiredReason, Stage};

/// A step that a relay did not reach, or money that did not reach the supplier's shareholders.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Gap {
    /// The last step that was reached.
    pub after: Step,
    /// Why it went no further.
    pub reason: Reason,
    /// Relays that this is about; 0 for what is about money only.
    pub relays: u64,
    /// What that is worth. Below 0 when inflation paid more than the claim was worth.
    pub upokt: i128,
    /// Whether it can still be paid.
    pub pending: bool,
}

/// The steps of the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// The request passed every check.
    Validated,
    /// The relay met the difficulty and the budget.
    Applicable,
    /// Its leaf is on disk.
    Recorded,
    /// It is counted by the root of the claim.
    Claimed,
    /// The claim was settled.
    Settled,
}

/// Why relays are not paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// The client got a refusal though the request passed every check.
    Refused(Refusal),
    /// No signed answer was made, for a reason that was not counted.
    NoAnswer,
    /// The backend answered with an HTTP status from 500 on.
    BackendError,
    /// The budget was used up, and the operator chose to serve anyway.
    OverServiced,
    /// Above the target of the difficulty.
    Difficulty,
    /// Unpaid, in a session that an earlier version served, which kept no reasons.
    Unknown,
    /// A leaf already.
    Duplicate,
    /// The leaf was not written, for a reason that was not counted.
    NotRecorded,
    /// A leaf that the disk changed or lost.
    Damaged,
    /// A leaf that is not counted by the claim's root.
    Late,
    /// It goes on.
    Pending(Stage),
    /// Nothing will be paid for the session.
    Expired(ExpiredReason),
    /// The application's stake did not cover the claim.
    OverservicedClaim,
    /// The chain mints less than it burns.
    Deflation,
    /// What others receive: service owner, validators, DAO.
    OthersShares,
}

/// All gaps of a row, in the order of the steps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gaps(pub Vec<Gap>);

impl Reason {
    /// Name in tables, JSON and CSV.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            // The name that a stage of sessions has is not that of relays.
            Self::Refused(Refusal::Sealed) => "too_late",
            Self::Refused(refusal) => refusal.row().name,
            Self::NoAnswer => "no_answer",
            Self::BackendError => "backend_error",
            Self::OverServiced => "over_serviced",
            Self::Difficulty => "difficulty",
            Self::Unknown => "unknown",
            Self::Duplicate => "duplicate",
            Self::NotRecorded => "not_recorded",
            Self::Damaged => "damaged",
            Self::Late => "late",
            Self::Pending(stage) => stage.name(),
            Self::Expired(reason) => reason.name(),
            Self::OverservicedClaim => "overserviced_claim",
            Self::Deflation => "deflation",
            Self::OthersShares => "others_shares",
        }
    }

    /// What it means, and what an operator can do about it.
    #[must_use]
    pub const fn explanation(self) -> &'static str {
        match self {
            Self::Refused(refusal) => refused(refusal),
            Self::NoAnswer => {
                "the client was gone before the answer came, or the servicer was killed meanwhile. While a session lasts, relays in progress count here too"
            }
            Self::BackendError => {
                "the backend answered with an HTTP error (status 500 or higher), which earns nothing; look at the backend's log"
            }
            Self::OverServiced => {
                "the application's budget for the session was used up. Nothing more could be earned from it; these relays were served for nothing because \
                 meter.over_servicing is on: turn it off to refuse them instead"
            }
            Self::Difficulty => {
                "this is normal: of a busy service only some relays count, which their hashes decide by chance. Each that counts is paid more to make up \
                 for the others, so you lose nothing by these"
            }
            Self::Unknown => "an earlier version served the session and kept no reasons",
            Self::Duplicate => "the same request and answer were recorded already, and are paid once",
            Self::NotRecorded => {
                "the servicer was killed while the relay's record was written; its client got no answer. While a session lasts, relays in progress count \
                 here too"
            }
            Self::Damaged => {
                "when the claim was made, the relay's record on disk was missing or altered. It was left out, because there is no proof for a claim that counts \
                 it. Check the disk"
            }
            Self::Late => "the relay was recorded after the contents of the claim were fixed",
            Self::Pending(stage) => match stage {
                Stage::Open => "the session is served; its claim follows when the claim window opens",
                Stage::Draining => {
                    "the session is over; relays in progress are waited for before it is sealed"
                }
                Stage::Sealed => "sealed; the claim is sent when its window opens",
                Stage::ClaimSent => "the claim was handed to the chain and is not in a block yet",
                Stage::ClaimOnChain => {
                    "claimed; the block before the proof window decides whether a proof is asked for"
                }
                Stage::ProofNotRequired => {
                    "claimed, no proof is asked for; it settles when the proof window closes"
                }
                Stage::ProofRequired => "claimed, a proof is asked for and is sent when its window opens",
                Stage::ProofSent => "the proof was handed to the chain and is not in a block yet",
                Stage::ProofOnChain => "proved; it settles when the proof window closes",
                Stage::Settled | Stage::Expired { .. } | Stage::Empty => "nothing more will happen",
            },
            Self::Expired(reason) => reason.explanation(),
            Self::OverservicedClaim => {
                "the application's stake did not cover all claims of the session, so the chain paid a part; serve less for it, or ask for a \
                 higher stake"
            }
            Self::Deflation => "the chain's mint ratio is below 1: it mints less than the application paid",
            Self::OthersShares => {
                "the usual deduction: by the chain's params, parts of what is settled go to the service's owner, to validators and to the DAO (the network's \
                 treasury). On a network that mints more for suppliers than this deducts, it is an addition and has no minus"
            }
        }
    }
}

/// Why a client got a refusal whose request had passed every check.
const fn refused(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::BackendTimeout => {
            "the backend did not answer in time, so the client got an error; look at the backend's load, or raise timeout_ms of the service"
        }
        Refusal::BackendUnreachable => {
            "the connection to the backend could not be made, or it broke before the answer, so the client got an error; the servicer's and the \
             backend's logs say more"
        }
        Refusal::BackendUnhealthy => {
            "all of the service's backend nodes were out of use after failures, so none was asked and the client got an error; \
             the servicer's log says when and why each went out of use"
        }
        Refusal::BackendNoAnswer | Refusal::BackendEncoding => {
            "the backend's answer was empty, cut off or in a content encoding that cannot be decoded, so the client got an error; look at the backend's log"
        }
        Refusal::ResponseTooLarge => {
            "the backend's answer was larger than max_response_bytes of the service allows, so the client got an error; raise \
             max_response_bytes if such answers are to be served"
        }
        Refusal::Overloaded | Refusal::ResponseNoRoom => {
            "the servicer had as many relays or bytes in progress as its limits allow, so the client got an error; raise the limits if the machine has room"
        }
        Refusal::RecordingFailed => {
            "the disk did not take the relay's record, so the relay cannot be paid and the client got an error; the servicer's log has the disk's error, such \
             as that it is full"
        }
        Refusal::Sealed => {
            "the backend's answer came after the session's claim was made, which counted the relays until then, so the client got an error; the backend was slow"
        }
        Refusal::Stopping => "the servicer was stopping, so the client got an error",
        _ => {
            "the client got this error after its request had passed every check; the servicer's log says more"
        }
    }
}

impl Serialize for Reason {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl Gaps {
    /// The gaps of a session of a supplier.
    #[must_use]
    pub fn of(row: &LedgerRow) -> Self {
        let mut gaps = Vec::new();
        relays(row, &mut gaps);
        claim(row, &mut gaps);
        money(row, &mut gaps);
        gaps.retain(|gap| gap.relays > 0 || gap.upokt != 0);
        Self(gaps)
    }

    /// Whether steps and gaps of `row` add up: relays from validated to claimed, upokt from the claim's worth to what was paid.
    #[must_use]
    pub fn closes(&self, row: &LedgerRow) -> bool {
        let lost: u128 = self.0.iter().map(|gap| u128::from(gap.relays)).sum();
        let reached = if settled(row) { row.claimed } else { 0 };
        let relays = u128::from(row.validated) == lost.saturating_add(u128::from(reached));
        let after_claim = |gap: &&Gap| gap.after >= Step::Claimed;
        let away: i128 = self.0.iter().filter(after_claim).map(|gap| gap.upokt).sum();
        let worth = if claimed(row) { row.claimed_upokt.0 } else { 0 };
        relays && signed(worth) == away.saturating_add(signed(row.paid().0))
    }
}

/// Whether there is a claim: of one that was never on chain nothing can be paid.
const fn claimed(row: &LedgerRow) -> bool {
    row.claim_on_chain || settled(row)
}

const fn settled(row: &LedgerRow) -> bool {
    matches!(row.stage, Stage::Settled)
}

/// From the request to the leaf.
fn relays(row: &LedgerRow, gaps: &mut Vec<Gap>) {
    let by = row.unpaid_by;
    let mut add = |after, reason, relays: u64, worth: bool| {
        let upokt = if worth { worth_of(relays, row) } else { 0 };
        gaps.push(Gap {
            after,
            reason,
            relays,
            upokt,
            pending: false,
        });
    };
    let before_leaves = by
        .backend_error
        .saturating_add(by.over_serviced)
        .saturating_add(by.difficulty);
    let unknown = row.unpaid.saturating_sub(by.total());
    // Leaves tell of more than counters after a crash.
    let answered = before_leaves
        .saturating_add(unknown)
        .saturating_add(row.applicable);
    let mut left = row.validated.saturating_sub(answered);
    for (refusal, relays) in failed::within(&row.failed_by.unanswered, &mut left) {
        add(Step::Validated, Reason::Refused(refusal), relays, true);
    }
    add(Step::Validated, Reason::NoAnswer, left, true);
    add(Step::Validated, Reason::BackendError, by.backend_error, true);
    add(Step::Validated, Reason::OverServiced, by.over_serviced, true);
    add(Step::Validated, Reason::Difficulty, by.difficulty, false);
    add(Step::Validated, Reason::Unknown, unknown, true);
    let duplicate = by.duplicate.min(row.applicable.saturating_sub(row.committed));
    add(Step::Applicable, Reason::Duplicate, duplicate, false);
    let recorded = row.committed.saturating_add(duplicate);
    let mut left = row.applicable.saturating_sub(recorded);
    for (refusal, relays) in failed::within(&row.failed_by.unrecorded, &mut left) {
        add(Step::Applicable, Reason::Refused(refusal), relays, true);
    }
    add(Step::Applicable, Reason::NotRecorded, left, true);
}

/// From the leaf to the claim.
fn claim(row: &LedgerRow, gaps: &mut Vec<Gap>) {
    let sealed = row.claimed > 0;
    let damaged = row.damaged.min(row.committed);
    let sound = row.committed.saturating_sub(damaged);
    let late = if sealed {
        sound.saturating_sub(row.claimed)
    } else {
        0
    };
    gaps.push(Gap {
        after: Step::Recorded,
        reason: Reason::Damaged,
        relays: damaged,
        upokt: worth_of(damaged, row),
        pending: false,
    });
    gaps.push(Gap {
        after: Step::Recorded,
        reason: Reason::Late,
        relays: late,
        upokt: worth_of(late, row),
        pending: false,
    });
    let reason = match row.stage {
        Stage::Settled | Stage::Empty => return,
        Stage::Expired { reason } => Reason::Expired(reason),
        stage => Reason::Pending(stage),
    };
    let (relays, upokt) = match sealed {
        true => (row.claimed, signed(row.claimed_upokt.0)),
        false => (sound, worth_of(sound, row)),
    };
    gaps.push(Gap {
        after: if claimed(row) {
            Step::Claimed
        } else {
            Step::Recorded
        },
        reason,
        relays,
        upokt,
        pending: !row.stage.is_final(),
    });
}

/// From the settled claim to what the shareholders received.
fn money(row: &LedgerRow, gaps: &mut Vec<Gap>) {
    if !settled(row) {
        return;
    }
    let settled = signed(row.settled_upokt.unwrap_or_default().0);
    let deflation = signed(row.deflation_loss_upokt.0);
    let mut add = |after, reason, upokt| {
        gaps.push(Gap {
            after,
            reason,
            relays: 0,
            upokt,
            pending: false,
        });
    };
    add(
        Step::Claimed,
        Reason::OverservicedClaim,
        signed(row.claimed_upokt.0).saturating_sub(settled),
    );
    add(Step::Settled, Reason::Deflation, deflation);
    let others = settled
        .saturating_sub(deflation)
        .saturating_sub(signed(row.paid().0));
    add(Step::Settled, Reason::OthersShares, others);
}

/// What relays that did not reach a claim would have been worth in one, at the base difficulty.
fn worth_of(relays: u64, row: &LedgerRow) -> i128 {
    signed(u128::from(relays).saturating_mul(row.relay_upokt.0))
}

fn signed(amount: u128) -> i128 {
    i128::try_from(amount).unwrap_or(i128::MAX)
}

#[cfg(test)]
mod tests;
