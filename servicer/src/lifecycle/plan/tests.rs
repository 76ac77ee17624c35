use super::*;
use crate::lifecycle::next::tests::{record, sealed};

const LIMITS: Limits = Limits {
    max_messages: 3,
    keep_leaves_blocks: 100,
};

fn address(n: u8) -> Address {
    portico_protocol::SigningKey::from_bytes(&[n; 32])
        .unwrap()
        .address()
}

/// A sealed session of supplier `n`, worth `worth`.
fn session(index: u64, n: u8, worth: u128) -> Session {
    let mut seal = sealed();
    seal.worth = Upokt(worth);
    Session {
        index,
        in_flight: 0,
        record: SessionRecord {
            supplier: address(n),
            session_id: format!("{index:064}"),
            stage: Stage::Sealed,
            seal: Some(seal),
            ..record()
        },
    }
}

fn any(size: usize) -> Any {
    Any {
        type_url: String::new(),
        value: vec![0; size],
    }
}

fn sends(effects: &[Effect]) -> Vec<Vec<u64>> {
    let messages = |effect: &Effect| match effect {
        Effect::Send(batch) => Some(batch.messages.iter().map(|(index, _)| *index).collect()),
        _ => None,
    };
    effects.iter().filter_map(messages).collect()
}

#[test]
fn a_supplier_is_looked_at_once_per_block() {
    let sessions = [session(0, 1, 5), session(1, 1, 9), session(2, 2, 7)];
    let mut flow = Flow::default();
    // By deadline, which is the same, then by the most valuable session.
    let looks = [Effect::Look(address(1)), Effect::Look(address(2))];
    assert_eq!(flow.plan(Height(12), &sessions, &LIMITS), looks);
    assert!(
        flow.plan(Height(12), &sessions, &LIMITS).is_empty(),
        "in progress"
    );
    assert!(flow.plan(Height(13), &sessions, &LIMITS).is_empty(), "still");
    flow.ended(Job::Look(address(1)), true);
    assert!(
        flow.plan(Height(13), &sessions, &LIMITS).is_empty(),
        "a failure waits"
    );
    flow.retry();
    assert_eq!(
        flow.plan(Height(14), &sessions, &LIMITS),
        looks[..1],
        "but not longer than a block"
    );
}

#[test]
fn what_a_slow_look_finds_is_used_at_once() {
    let sessions = [session(0, 1, 5)];
    let mut flow = Flow::default();
    flow.plan(Height(12), &sessions, &LIMITS);
    flow.ended(Job::Look(address(1)), false);
    let late = flow.looked(0, &sessions[0].record, None, Height(12), Height(15));
    assert_eq!(late, Seen::ClaimDue);
    let too_late = flow.looked(0, &sessions[0].record, None, Height(12), Height(16));
    assert_eq!(too_late, Seen::Nothing);
    let missed = flow.looked(0, &sessions[0].record, None, Height(16), Height(17));
    assert_eq!(missed, Seen::Lost(ExpiredReason::ClaimWindowMissed));
}

#[test]
fn messages_wait_for_their_siblings_within_a_block_only() {
    let sessions = [session(0, 1, 5), session(1, 1, 6)];
    let mut flow = Flow::default();
    for one in &sessions {
        flow.looked(one.index, &one.record, None, Height(12), Height(12));
    }
    flow.busy.insert(Job::Session(1)); // something slow of the second
    flow.ready(0, Kind::Claim, any(1), Height(12));
    assert!(sends(&flow.plan(Height(12), &sessions, &LIMITS)).is_empty());
    assert_eq!(sends(&flow.plan(Height(13), &sessions, &LIMITS)), [vec![0]]);
}

#[test]
fn transactions_are_packed_by_count_and_bytes_and_halved() {
    let sessions: Vec<_> = (0..7)
        .map(|index| session(index, 1, 100 - u128::from(index)))
        .collect();
    let mut flow = Flow::default();
    for index in 0..7 {
        flow.looked(index, &sessions[0].record, None, Height(12), Height(12));
        let size = if index == 5 { MAX_BATCH_BYTES } else { 1 };
        flow.ready(index, Kind::Claim, any(size), Height(12));
    }
    let effects = flow.plan(Height(12), &sessions, &LIMITS);
    assert_eq!(sends(&effects), [vec![0, 1, 2], vec![3, 4], vec![5], vec![6]]);
    let Some(Effect::Send(first)) = effects.first() else {
        panic!("a transaction")
    };
    flow.split(first.clone());
    let halves = sends(&flow.plan(Height(12), &sessions, &LIMITS));
    assert_eq!(halves, [vec![1, 2], vec![0]]);
}

#[test]
fn no_question_takes_the_room_of_what_is_ready() {
    let sessions: Vec<_> = (0..2 * MAX_LOOKS as u64)
        .map(|n| {
            let mut session = session(n, 1, 1);
            let mut bytes = [0; 20];
            bytes[..8].copy_from_slice(&n.to_be_bytes());
            session.record.supplier = Address::new(bytes);
            session
        })
        .collect();
    let mut flow = Flow::default();
    assert_eq!(
        flow.plan(Height(12), &sessions, &LIMITS).len(),
        MAX_LOOKS,
        "none is answered"
    );
    flow.ready(99, Kind::Claim, any(1), Height(12));
    assert_eq!(sends(&flow.plan(Height(12), &sessions, &LIMITS)), [vec![99]]);
}

#[test]
fn a_session_is_not_given_up_before_its_events_are_known() {
    let mut one = session(0, 1, 5);
    one.record.stage = Stage::ProofNotRequired;
    let sessions = [one];
    let mut flow = Flow::default();
    assert_eq!(
        flow.plan(Height(31), &sessions, &LIMITS),
        [Effect::Settle(Height(20))]
    );
    flow.ended(Job::Settle(Height(20)), true);
    assert!(flow.plan(Height(31), &sessions, &LIMITS).is_empty());
    assert_eq!(flow.settled_up_to(Height(31), &sessions), Height(19));
    flow.retry();
    flow.plan(Height(32), &sessions, &LIMITS);
    flow.ended(Job::Settle(Height(20)), false);
    let given_up = Effect::Step(0, Action::GiveUp(ExpiredReason::NotSettled));
    assert_eq!(flow.plan(Height(32), &sessions, &LIMITS), [given_up]);
    assert_eq!(flow.settled_up_to(Height(32), &sessions), Height(32));
}

#[test]
fn a_window_that_is_about_to_close_raises_one_alarm() {
    let sessions = [session(0, 1, 5)];
    let mut flow = Flow::default();
    let mut alarms = |head: i64| flow.alarms(Height(head), &sessions).len();
    assert_eq!([12, 13, 14, 15, 16].map(&mut alarms), [0, 0, 1, 0, 0]);
}
