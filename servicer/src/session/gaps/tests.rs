use std::collections::BTreeMap;

use portico_protocol::Upokt;
use proptest::prelude::*;

use super::*;
use crate::session::failed::FailedBy;
use crate::session::ledger;
use crate::session::unpaid::UnpaidBy;

/// 100 relays in 14 that earn nothing before the leaf and 86 leaves, sealed; one relay is worth 4200 upokt.
fn row(stage: Stage) -> LedgerRow {
    let mut record = crate::lifecycle::next::tests::record();
    record.stage = stage;
    let row = ledger::row(record, 86);
    LedgerRow {
        validated: 100,
        served: 96,
        unpaid: 9,
        unpaid_by: UnpaidBy::new([3, 2, 4, 0]),
        failed_by: failed(&["backend_timeout", "backend_timeout"], &["recording_failed"]),
        applicable: 88,
        claimed: 86,
        claimed_upokt: Upokt(361_200),
        claim_on_chain: true,
        ..row
    }
}

fn failed(unanswered: &[&str], unrecorded: &[&str]) -> FailedBy {
    let mut by = FailedBy::default();
    for name in unanswered {
        by.unanswered(Refusal::named(name).unwrap());
    }
    for name in unrecorded {
        by.unrecorded(Refusal::named(name).unwrap());
    }
    by
}

fn found(row: &LedgerRow) -> Vec<(&'static str, u64, i128)> {
    let gaps = Gaps::of(row);
    assert!(gaps.closes(row), "{gaps:?}");
    gaps.0
        .iter()
        .map(|gap| (gap.reason.name(), gap.relays, gap.upokt))
        .collect()
}

/// What every row above lost before its leaves.
const BEFORE: [(&str, u64, i128); 7] = [
    ("backend_timeout", 2, 8_400),
    ("no_answer", 1, 4_200),
    ("backend_error", 3, 12_600),
    ("over_serviced", 2, 8_400),
    ("difficulty", 4, 0),
    ("recording_failed", 1, 4_200),
    ("not_recorded", 1, 4_200),
];

#[test]
fn a_settled_session_tells_of_relays_first_and_then_of_money() {
    let mut row = row(Stage::Settled);
    row.settled_upokt = Some(Upokt(300_000));
    row.deflation_loss_upokt = Upokt(7_500);
    row.paid_upokt = BTreeMap::from([("pokt1a".into(), Upokt(200_000)), ("pokt1b".into(), Upokt(4_000))]);
    let money = [
        ("overserviced_claim", 0, 61_200),
        ("deflation", 0, 7_500),
        ("others_shares", 0, 88_500),
    ];
    assert_eq!(found(&row), [&BEFORE[..], &money].concat());
}

#[test]
fn an_expired_claim_is_lost_as_a_whole() {
    let reason = ExpiredReason::ProofMissing;
    let row = row(Stage::Expired { reason });
    assert_eq!(
        found(&row),
        [&BEFORE[..], &[("proof_missing", 86, 361_200)]].concat()
    );
    assert!(!Gaps::of(&row).0.last().unwrap().pending);
}

#[test]
fn what_goes_on_is_pending_and_not_lost() {
    let mut open = row(Stage::Open);
    (open.claimed, open.claimed_upokt, open.claim_on_chain) = (0, Upokt(0), false);
    assert_eq!(found(&open), [&BEFORE[..], &[("open", 86, 361_200)]].concat());
    let gaps = Gaps::of(&open).0;
    assert!(gaps.last().unwrap().pending && gaps.last().unwrap().after == Step::Recorded);
    let claimed = row(Stage::ProofRequired);
    assert_eq!(found(&claimed).last().unwrap(), &("proof_required", 86, 361_200));
    assert_eq!(Gaps::of(&claimed).0.last().unwrap().after, Step::Claimed);
}

#[test]
fn a_session_of_an_earlier_version_closes_without_reasons() {
    let mut row = row(Stage::Settled);
    row.unpaid_by = UnpaidBy::default();
    row.settled_upokt = Some(Upokt(361_200));
    row.rewards_upokt = BTreeMap::from([(row.supplier.to_string(), Upokt(250_000))]);
    let found = found(&row);
    assert!(found.contains(&("unknown", 9, 37_800)), "{found:?}");
    assert!(found.contains(&("others_shares", 0, 111_200)), "{found:?}");
}

/// A crash may have kept a count of refusals and lost that of the relays, and another version may know refusals that this one does not.
#[test]
fn no_more_are_told_than_were_lost() {
    let mut row = row(Stage::Settled);
    row.settled_upokt = Some(Upokt(361_200));
    row.failed_by = failed(&["overloaded", "backend_timeout"].repeat(5), &["sealed"; 7]);
    row.failed_by.unanswered.insert("of_a_later_version".into(), 9);
    let found = found(&row);
    // By name, so that backend_timeout is counted first and takes what there is.
    assert_eq!(found[0], ("backend_timeout", 3, 12_600), "{found:?}");
    assert!(found.contains(&("too_late", 2, 8_400)), "{found:?}");
    let names: Vec<&str> = found.iter().map(|(name, ..)| *name).collect();
    for other in ["overloaded", "no_answer", "not_recorded"] {
        assert!(!names.contains(&other), "{found:?}");
    }
}

proptest! {
    /// Whatever the counters say, no relay and no upokt is without a place.
    #[test]
    fn every_row_closes(
        (lost, by, not_recorded, leaves) in (0u64..50, [0u64..50, 0..50, 0..50, 0..50], 0u64..50, 0u64..5_000),
        (settled, deflation, paid) in (0u128..9_000, 0u128..500, 0u128..9_000),
        stage in prop::sample::select(vec![
            Stage::Open, Stage::Sealed, Stage::ClaimOnChain, Stage::Settled,
            Stage::Expired { reason: ExpiredReason::ClaimWindowMissed },
            Stage::Expired { reason: ExpiredReason::ProofInvalid },
        ]),
    ) {
        let unpaid_by = UnpaidBy::new(by);
        let applicable = leaves + by[3] + not_recorded;
        let sealed = !matches!(stage, Stage::Open);
        let on_chain = !matches!(stage, Stage::Open | Stage::Sealed | Stage::Expired { reason: ExpiredReason::ClaimWindowMissed });
        let row = LedgerRow {
            validated: lost + by[0] + by[1] + by[2] + applicable,
            unpaid: unpaid_by.total(),
            unpaid_by,
            applicable,
            committed: leaves,
            claimed: if sealed { leaves } else { 0 },
            claimed_upokt: Upokt(if sealed { u128::from(leaves) * 4_200 } else { 0 }),
            claim_on_chain: on_chain,
            settled_upokt: (stage == Stage::Settled).then_some(Upokt(settled)),
            deflation_loss_upokt: Upokt(if stage == Stage::Settled { deflation } else { 0 }),
            paid_upokt: if stage == Stage::Settled { [("a".to_owned(), Upokt(paid))].into() } else { BTreeMap::new() },
            ..row(stage)
        };
        prop_assert!(Gaps::of(&row).closes(&row), "{row:?}");
    }
}
