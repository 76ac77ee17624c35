use proptest::prelude::*;

use super::*;
use crate::session::record::{Seal, Windows};
use portico_protocol::{ComputeUnits, Upokt};

/// Session 1..=10 with the default windows, sealed.
pub(crate) fn record() -> SessionRecord {
    let address = "pokt1mrqt5f7qh8uxs27cjm9t7v9e74a9vvdnq5jva4".parse().unwrap();
    SessionRecord {
        application: address,
        service: "eth".parse().unwrap(),
        session_id: "ab".repeat(32),
        start: Height(1),
        end: Height(10),
        supplier: address,
        compute_units_per_relay: 100,
        target_hash: [0xff; 32],
        compute_units_to_tokens_multiplier: 42_000_000,
        compute_unit_cost_granularity: 1_000_000,
        windows: Windows {
            grace_end: Height(11),
            claim_open: Height(12),
            claim_close: Height(16),
            proof_open: Height(16),
            proof_close: Height(20),
        },
        stage: Stage::Open,
        seal: None,
        claim: Sending::default(),
        claimed_on_chain: false,
        proof: Sending::default(),
        proof_required: None,
        proved: false,
        settled: None,
        counts: Default::default(),
        final_height: None,
        deleted_leaves: None,
        damaged_leaves: 0,
        opened_at_ms: 1_700_000_000_000,
        slashed: Upokt(0),
        fees: crate::fees::SessionFees::default(),
    }
}

pub(crate) fn sealed() -> Seal {
    seal()
}

fn seal() -> Seal {
    let mut root = [1; 48];
    root[32..40].copy_from_slice(&500_u64.to_be_bytes());
    root[40..].copy_from_slice(&5_u64.to_be_bytes());
    Seal {
        root,
        leaves: 5,
        compute_units: ComputeUnits(500),
        worth: Upokt(21_000),
        height: Height(12),
    }
}

fn ours() -> Claim {
    Claim {
        root_hash: seal().root.to_vec(),
        ..Claim::default()
    }
}

#[test]
fn acts_at_exact_heights() {
    let at = |stage: &Stage, head: i64| {
        let final_height = stage.is_final().then_some(Height(20));
        next(
            &SessionRecord {
                stage: *stage,
                final_height,
                ..record()
            },
            Height(head),
            0,
            100,
        )
    };
    for (stage, before, first, action) in [
        (Stage::Open, 11, 12, Action::Drain),
        (Stage::Sealed, 11, 12, Action::Claim),
        (Stage::ClaimSent, 11, 12, Action::Claim),
        (Stage::ClaimOnChain, 14, 15, Action::Draw),
        (Stage::ProofRequired, 15, 16, Action::Prove),
        (Stage::ProofSent, 15, 16, Action::Prove),
        (
            Stage::ProofNotRequired,
            30,
            31,
            Action::GiveUp(ExpiredReason::NotSettled),
        ),
        (
            Stage::ProofRequired,
            15,
            31,
            Action::GiveUp(ExpiredReason::ProofWindowMissed),
        ),
        (Stage::Settled, 120, 121, Action::DeleteLeaves),
        (Stage::Empty, 120, 121, Action::DeleteLeaves),
    ] {
        assert_eq!(at(&stage, before), Action::Wait, "{stage:?} at {before}");
        assert_eq!(at(&stage, first), action, "{stage:?} at {first}");
    }
}

#[test]
fn waits_for_relays_in_progress_for_half_of_the_claim_window() {
    let draining = SessionRecord {
        stage: Stage::Draining,
        ..record()
    };
    assert_eq!(next(&draining, Height(12), 0, 100), Action::Seal);
    assert_eq!(next(&draining, Height(13), 1, 100), Action::Wait);
    assert_eq!(next(&draining, Height(14), 1, 100), Action::Seal);
}

#[test]
fn sends_a_claim_only_while_a_block_of_the_window_is_left() {
    let sealed = SessionRecord {
        stage: Stage::Sealed,
        seal: Some(seal()),
        ..record()
    };
    let step = |head| claim_step(&sealed, None, Height(head));
    assert_eq!(
        [11, 12, 15, 16].map(step),
        [
            ClaimStep::Wait,
            ClaimStep::Send,
            ClaimStep::Send,
            ClaimStep::Missed
        ]
    );
    assert_eq!(
        claim_step(&sealed, Some(&ours()), Height(16)),
        ClaimStep::OnChain,
        "included in the last block"
    );
}

#[test]
fn sends_again_at_half_time_and_at_the_last_chances() {
    let sent = Sending {
        accepted_at: Some(Height(12)),
        ..Sending::default()
    };
    let waiting = SessionRecord {
        stage: Stage::ClaimSent,
        seal: Some(seal()),
        claim: sent,
        ..record()
    };
    let step = |head| claim_step(&waiting, None, Height(head));
    assert_eq!(
        [12, 13, 14, 15].map(step),
        [ClaimStep::Wait, ClaimStep::Wait, ClaimStep::Send, ClaimStep::Send]
    );
    let refused = SessionRecord {
        claim: Sending {
            attempts: 1,
            ..Sending::default()
        },
        ..waiting
    };
    assert_eq!(
        claim_step(&refused, None, Height(13)),
        ClaimStep::Send,
        "never accepted: at every block"
    );
}

/// What may happen between two blocks.
#[derive(Clone, Copy, Debug)]
struct Luck {
    /// The mempool takes what it is given.
    accepts: bool,
    /// What it took is in the next block.
    includes: bool,
    in_flight: u64,
    blocks: i64,
}

fn luck() -> impl Strategy<Value = Luck> {
    (any::<bool>(), any::<bool>(), 0u64..2, 1i64..4).prop_map(|(accepts, includes, in_flight, blocks)| Luck {
        accepts,
        includes,
        in_flight,
        blocks,
    })
}

proptest! {
    /// Whatever the mempool and the network do: no proof precedes its claim, nothing is sent outside its window, and every session ends.
    #[test]
    fn no_proof_precedes_its_claim(days in prop::collection::vec(luck(), 60), required: bool) {
        let mut record = record();
        let (mut claim, mut proved): (Option<Claim>, bool) = (None, false);
        let (mut claim_pending, mut proof_pending) = (false, false);
        let mut head = Height(1);
        for day in days {
            head = Height(head.0 + day.blocks);
            let in_claim_window = head.0 >= 12 && head.0 <= 16;
            let in_proof_window = head.0 >= 16 && head.0 <= 20;
            if claim_pending && day.includes && in_claim_window { claim = Some(ours()); claim_pending = false; }
            if proof_pending && day.includes && in_proof_window {
                prop_assert!(claim.is_some(), "a proof without a claim");
                claim.as_mut().unwrap().set_proof_validation_status(ClaimProofStatus::Validated);
                proved = true;
            }
            if head.0 >= 20 && claim.take().is_some() && !record.stage.is_final() {
                match !required || proved {
                    true => record.finish(Stage::Settled, head),
                    false => record.expire(ExpiredReason::ProofMissing, head),
                }
            }
            for _ in 0..8 {
                match next(&record, head, day.in_flight, 1_000) {
                    Action::Wait | Action::DeleteLeaves => break,
                    Action::Drain => record.stage = Stage::Draining,
                    Action::Seal => { record.seal = Some(seal()); record.stage = Stage::Sealed; }
                    Action::Claim => match claim_step(&record, claim.as_ref(), head) {
                        ClaimStep::OnChain => { record.claimed_on_chain = true; record.stage = Stage::ClaimOnChain }
                        ClaimStep::Missed => record.expire(ExpiredReason::ClaimWindowMissed, head),
                        ClaimStep::Foreign => prop_assert!(false, "our own claim is not foreign"),
                        ClaimStep::Wait => break,
                        ClaimStep::Send => {
                            prop_assert!(record.seal.is_some(), "a claim before the seal");
                            prop_assert!((12..16).contains(&head.0), "a claim sent at {}", head);
                            if day.accepts { record.claim.accepted(String::new(), head); record.stage = Stage::ClaimSent; claim_pending = true; }
                            else { record.claim.refused(String::new(), false) }
                            break;
                        }
                    },
                    Action::Draw => {
                        prop_assert!(head.0 >= 15, "drawn before the seed exists");
                        record.stage = if required { Stage::ProofRequired } else { Stage::ProofNotRequired };
                    }
                    Action::Prove => match proof_step(&record, claim.as_ref(), head) {
                        ProofStep::Proved => record.stage = Stage::ProofOnChain,
                        ProofStep::Foreign => prop_assert!(false, "our own claim is not foreign"),
                        ProofStep::Wait => break,
                        ProofStep::Send => {
                            prop_assert!(record.claimed_on_chain, "a proof before its claim was seen on chain");
                            prop_assert!((16..20).contains(&head.0), "a proof sent at {}", head);
                            if day.accepts { record.proof.accepted(String::new(), head); record.stage = Stage::ProofSent; proof_pending = true; }
                            else { record.proof.refused(String::new(), false) }
                            break;
                        }
                    },
                    Action::GiveUp(reason) => record.expire(reason, head),
                }
            }
        }
        prop_assert!(record.stage.is_final(), "{:?} at {}", record.stage, head);
    }
}

#[test]
fn what_was_seen_above_a_chain_that_went_back_is_looked_for_again() {
    let sending = |height: i64| {
        let mut sending = Sending::default();
        sending.accepted("AB".into(), Height(height));
        sending
    };
    let proved = SessionRecord {
        stage: Stage::ProofSent,
        seal: Some(seal()),
        claim: sending(12),
        claimed_on_chain: true,
        proof: sending(16),
        proof_required: Some(true),
        ..record()
    };
    let again = rewound(&proved, Height(13)).unwrap();
    assert_eq!((again.stage, again.seal), (Stage::Sealed, proved.seal));
    assert_eq!((again.claimed_on_chain, again.proof_required), (false, None));
    assert_eq!(claim_step(&again, Some(&ours()), Height(13)), ClaimStep::OnChain);
    assert_eq!(claim_step(&again, None, Height(13)), ClaimStep::Send, "at once");
    let settled = |height| {
        let mut record = proved.clone();
        record.finish(Stage::Settled, Height(height));
        record
    };
    assert_eq!(rewound(&settled(20), Height(20)), None, "settled below");
    assert_eq!(rewound(&settled(20), Height(19)).unwrap().stage, Stage::Sealed);
    let deleted = SessionRecord {
        deleted_leaves: Some(5),
        ..settled(20)
    };
    assert_eq!(
        rewound(&deleted, Height(13)),
        None,
        "there is nothing left to claim"
    );
    for stage in [Stage::Open, Stage::Draining, Stage::Sealed] {
        let early = SessionRecord {
            stage,
            ..proved.clone()
        };
        assert_eq!(rewound(&early, Height(9)), None, "{stage:?}");
    }
}
