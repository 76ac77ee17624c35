use super::*;
mod simulation;

use crate::lifecycle::next::tests::{record, sealed};
use crate::lifecycle::orders::create_claim;
use crate::lifecycle::pack::MAX_BATCH_BYTES;

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

fn looks(effects: &[Effect]) -> Vec<Address> {
    let supplier = |effect: &Effect| match effect {
        Effect::Look(supplier) => Some(*supplier),
        _ => None,
    };
    effects.iter().filter_map(supplier).collect()
}

#[test]
fn a_supplier_is_looked_at_once_per_block() {
    let sessions = [session(0, 1, 5), session(1, 1, 9), session(2, 2, 7)];
    let mut flow = Flow::default();
    // By deadline, which is the same, then by the most valuable session.
    let both = [address(1), address(2)];
    assert_eq!(looks(&flow.plan(Height(12), &sessions, &LIMITS)), both);
    assert!(
        flow.plan(Height(12), &sessions, &LIMITS).is_empty(),
        "in progress"
    );
    assert!(flow.plan(Height(13), &sessions, &LIMITS).is_empty(), "still");
    flow.ended(Job::Look(address(1), Height(12)), true);
    assert!(
        flow.plan(Height(13), &sessions, &LIMITS).is_empty(),
        "a failure waits"
    );
    flow.retry();
    assert_eq!(
        looks(&flow.plan(Height(14), &sessions, &LIMITS)),
        both[..1],
        "but not longer than a block"
    );
}

#[test]
fn what_a_slow_look_finds_is_used_at_once() {
    let sessions = [session(0, 1, 5)];
    let mut flow = Flow::default();
    flow.plan(Height(12), &sessions, &LIMITS);
    flow.ended(Job::Look(address(1), Height(12)), false);
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

/// A refusal may come when the window is over: what no block takes is not handed over again.
#[test]
fn halves_are_sent_within_their_window_only() {
    for (head, sent) in [(15, 2), (16, 0)] {
        let sessions = [session(0, 1, 5), session(1, 1, 6)];
        let mut flow = Flow::default();
        for one in &sessions {
            flow.looked(one.index, &one.record, None, Height(12), Height(12));
            flow.ready(one.index, Kind::Claim, any(1), Height(12));
        }
        let effects = flow.plan(Height(12), &sessions, &LIMITS);
        let batch = effects.into_iter().find_map(|effect| match effect {
            Effect::Send(batch) => Some(batch),
            _ => None,
        });
        flow.split(batch.unwrap());
        assert_eq!(
            sends(&flow.plan(Height(head), &sessions, &LIMITS)).len(),
            sent,
            "at {head}"
        );
        assert_eq!(flow.is_sending(0), sent > 0);
    }
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
    let effects = flow.plan(Height(12), &sessions, &LIMITS);
    assert_eq!(
        (looks(&effects).len(), rehearsed(&effects).len()),
        (MAX_LOOKS, ahead::MAX_REHEARSALS),
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

fn learned(effects: &[Effect]) -> Vec<Fact> {
    let fact = |effect: &Effect| match effect {
        Effect::Learn(fact) => Some(*fact),
        _ => None,
    };
    effects.iter().filter_map(fact).collect()
}

fn rehearsed(effects: &[Effect]) -> Vec<Vec<u64>> {
    let messages = |effect: &Effect| match effect {
        Effect::Rehearse(batch) => Some(batch.messages.iter().map(|(index, _)| *index).collect()),
        _ => None,
    };
    effects.iter().filter_map(messages).collect()
}

/// A session of which the chain wants a proof, and has the claim.
fn asked_for_proof(index: u64, n: u8) -> Session {
    let mut session = session(index, n, 5);
    session.record.stage = Stage::ProofRequired;
    session.record.claimed_on_chain = true;
    session
}

fn claim_of(session: &Session) -> Claim {
    Claim {
        root_hash: sealed().root.to_vec(),
        session_header: Some(session.record.header()),
        ..Claim::default()
    }
}

/// What is the same for many sessions is asked for once, when its height is there and before a step waits for it.
#[test]
fn facts_are_learned_once_and_before_they_are_needed() {
    let mut sessions = [session(0, 1, 5), session(1, 2, 5)];
    for session in &mut sessions {
        session.record.stage = Stage::Open;
    }
    let mut flow = Flow::default();
    assert!(flow.plan(Height(9), &sessions, &LIMITS).is_empty());
    let windows = Fact::SharedParams(Height(10));
    assert_eq!(learned(&flow.plan(Height(10), &sessions, &LIMITS)), [windows]);
    flow.ended(Job::Learn(windows), true);
    assert!(
        learned(&flow.plan(Height(10), &sessions, &LIMITS)).is_empty(),
        "a failure waits"
    );
    flow.retry();
    assert_eq!(learned(&flow.plan(Height(11), &sessions, &LIMITS)), [windows]);
    flow.ended(Job::Learn(windows), false);
    assert!(
        learned(&flow.plan(Height(11), &sessions, &LIMITS)).is_empty(),
        "known"
    );
    for session in &mut sessions {
        session.record.stage = Stage::ClaimSent;
    }
    assert!(
        learned(&flow.plan(Height(14), &sessions, &LIMITS)).is_empty(),
        "no seed yet"
    );
    let application = sessions[0].record.application;
    assert_eq!(
        learned(&flow.plan(Height(15), &sessions, &LIMITS)),
        [
            Fact::ProofParams(Height(15)),
            Fact::Application(Height(10), application)
        ]
    );
}

/// Made from the seed on, simulated while the look is under way, sent when that says that our claim is the chain's, and not before.
#[test]
fn a_proof_is_made_and_simulated_before_a_look_lets_it_go() {
    let sessions = [asked_for_proof(0, 1)];
    let mut flow = Flow::default();
    assert!(flow.plan(Height(14), &sessions, &LIMITS).is_empty());
    assert_eq!(flow.plan(Height(15), &sessions, &LIMITS), [Effect::Prove(0)]);
    flow.ended(Job::Session(0), false);
    flow.made(0, any(7), Height(15));
    assert!(
        flow.plan(Height(15), &sessions, &LIMITS).is_empty(),
        "its window is not open"
    );
    let effects = flow.plan(Height(16), &sessions, &LIMITS);
    assert_eq!(effects.first(), Some(&Effect::Look(address(1))));
    assert_eq!((rehearsed(&effects), sends(&effects)), (vec![vec![0]], vec![]));
    let claim = claim_of(&sessions[0]);
    flow.ended(Job::Look(address(1), Height(16)), false);
    let seen = flow.looked(0, &sessions[0].record, Some(&claim), Height(16), Height(16));
    assert_eq!(seen, Seen::ProofDue);
    let effects = flow.plan(Height(16), &sessions, &LIMITS);
    assert_eq!((rehearsed(&effects), sends(&effects)), (vec![], vec![vec![0]]));
}

/// A claim of another process that took the place of ours: whatever was made of it, nothing is sent.
#[test]
fn a_proof_that_was_made_early_is_not_sent_for_anothers_claim() {
    let mut sessions = [asked_for_proof(0, 1)];
    let mut flow = Flow::default();
    flow.plan(Height(15), &sessions, &LIMITS);
    flow.ended(Job::Session(0), false);
    flow.made(0, any(7), Height(15));
    flow.plan(Height(16), &sessions, &LIMITS);
    let mut claim = claim_of(&sessions[0]);
    claim.root_hash[0] ^= 1;
    let seen = flow.looked(0, &sessions[0].record, Some(&claim), Height(16), Height(16));
    assert_eq!(seen, Seen::Lost(ExpiredReason::ForeignClaim));
    sessions[0].record.expire(ExpiredReason::ForeignClaim, Height(16));
    for head in 16..20 {
        assert!(sends(&flow.plan(Height(head), &sessions, &LIMITS)).is_empty());
    }
    assert!(flow.made.is_empty(), "and it takes no room");
}

/// A look does not wait for the proof, nor the proof for the look: whichever is last lets it go.
#[test]
fn a_look_counts_for_a_proof_that_is_being_made() {
    let sessions = [asked_for_proof(0, 1)];
    let mut flow = Flow::default();
    let effects = flow.plan(Height(16), &sessions, &LIMITS);
    assert_eq!(effects, [Effect::Look(address(1)), Effect::Prove(0)]);
    assert!(flow.wants_look(&sessions[0], &address(1), Height(16)));
    let claim = claim_of(&sessions[0]);
    flow.looked(0, &sessions[0].record, Some(&claim), Height(16), Height(16));
    flow.ended(Job::Session(0), false);
    flow.made(0, any(7), Height(16));
    assert_eq!(sends(&flow.plan(Height(16), &sessions, &LIMITS)), [vec![0]]);
}

/// From the block on in which the proof's window opens, no claim is replaced any more: one look says both that it is there and that it is ours.
#[test]
fn a_claim_that_is_first_seen_within_the_proofs_window_is_not_looked_for_again() {
    for (height, looks_left) in [(15, 1), (16, 0)] {
        let mut sessions = [session(0, 1, 5)];
        sessions[0].record.stage = Stage::ClaimSent;
        let mut flow = Flow::default();
        let claim = claim_of(&sessions[0]);
        let seen = flow.looked(0, &sessions[0].record, Some(&claim), Height(height), Height(16));
        assert_eq!(seen, Seen::Claimed);
        sessions[0].record.stage = Stage::ProofRequired;
        let effects = flow.plan(Height(16), &sessions, &LIMITS);
        assert_eq!(looks(&effects).len(), looks_left, "seen at {height}");
        assert!(effects.contains(&Effect::Prove(0)));
    }
}

/// A session whose claim is in the mempool, or was a moment ago.
fn claim_sent(index: u64, n: u8) -> Session {
    let mut session = session(index, n, 5);
    session.record.stage = Stage::ClaimSent;
    session
}

/// Where a look takes blocks, the proof is there when it says at last that the claim is.
#[test]
fn a_proof_is_made_while_the_claim_is_on_its_way() {
    let mut sessions = [claim_sent(0, 1), claim_sent(1, 2)];
    let application = Fact::Application(Height(10), sessions[0].record.application);
    let mut flow = Flow::default();
    flow.plan(Height(15), &sessions, &LIMITS);
    assert!(
        flow.plan(Height(15), &sessions, &LIMITS).is_empty(),
        "nothing is known"
    );
    flow.ended(Job::Learn(Fact::ProofParams(Height(15))), false);
    let draw = Effect::DrawEarly(vec![0, 1]);
    assert_eq!(flow.plan(Height(15), &sessions, &LIMITS), [draw]);
    flow.ended(Job::DrawEarly, false);
    flow.drawn([(0, true), (1, false)]);
    assert!(
        flow.plan(Height(15), &sessions, &LIMITS).is_empty(),
        "it would wait for the application"
    );
    flow.ended(Job::Learn(application), false);
    assert_eq!(flow.plan(Height(15), &sessions, &LIMITS), [Effect::Prove(0)]);
    flow.ended(Job::Session(0), false);
    flow.made(0, any(7), Height(15));
    assert!(sends(&flow.plan(Height(15), &sessions, &LIMITS)).is_empty());
    let effects = flow.plan(Height(16), &sessions, &LIMITS);
    assert_eq!((rehearsed(&effects), sends(&effects)), (vec![vec![0]], vec![]));
    for session in &mut sessions {
        let claim = claim_of(session);
        let seen = flow.looked(
            session.index,
            &session.record,
            Some(&claim),
            Height(16),
            Height(16),
        );
        assert_eq!(seen, Seen::Claimed);
        session.record.stage = flow.was_drawn(session.index).map(Stage::drawn).unwrap();
    }
    let effects = flow.plan(Height(16), &sessions, &LIMITS);
    assert_eq!((rehearsed(&effects), sends(&effects)), (vec![], vec![vec![0]]));
    assert!(!effects.contains(&Effect::Prove(1)), "nobody asks for it");
}

/// What a look from before the window finds may be replaced by another claim, so it lets no proof go: one that can is not held up by it.
#[test]
fn a_slow_look_does_not_hold_up_one_in_the_proofs_window() {
    let sessions = [claim_sent(0, 1)];
    let mut flow = Flow::default();
    for (head, begins) in [(14, 1), (15, 0), (16, 1), (17, 0), (18, 0)] {
        let effects = flow.plan(Height(head), &sessions, &LIMITS);
        assert_eq!(looks(&effects).len(), begins, "at {head}");
    }
    flow.ended(Job::Look(address(1), Height(14)), false);
    assert!(looks(&flow.plan(Height(18), &sessions, &LIMITS)).is_empty());
    flow.ended(Job::Look(address(1), Height(16)), false);
    assert_eq!(looks(&flow.plan(Height(18), &sessions, &LIMITS)).len(), 1);
}

/// One with some of its proofs only would be simulated in vain.
#[test]
fn proofs_are_simulated_when_all_of_their_transaction_are_made() {
    let sessions = [asked_for_proof(0, 1), asked_for_proof(1, 1)];
    let mut flow = Flow::default();
    flow.plan(Height(16), &sessions, &LIMITS);
    for (index, expected) in [(0, vec![]), (1, vec![vec![0, 1]])] {
        flow.ended(Job::Session(index), false);
        flow.made(index, any(7), Height(16));
        assert_eq!(rehearsed(&flow.plan(Height(16), &sessions, &LIMITS)), expected);
    }
}

/// Claims are simulated in the transactions in which they are sent, once per supplier and set of sessions.
#[test]
fn claims_are_simulated_as_they_will_be_sent() {
    let sessions: Vec<_> = (0..5)
        .map(|index| session(index, 1, 100 - u128::from(index)))
        .collect();
    let mut flow = Flow::default();
    let effects = flow.plan(Height(12), &sessions, &LIMITS);
    assert_eq!(rehearsed(&effects), [vec![0, 1, 2], vec![3, 4]]);
    assert!(
        rehearsed(&flow.plan(Height(13), &sessions, &LIMITS)).is_empty(),
        "once"
    );
    for one in &sessions {
        flow.looked(one.index, &one.record, None, Height(12), Height(13));
        flow.ready(one.index, Kind::Claim, create_claim(&one.record), Height(12));
    }
    flow.ended(Job::Look(address(1), Height(12)), false);
    assert_eq!(
        sends(&flow.plan(Height(13), &sessions, &LIMITS)),
        [vec![0, 1, 2], vec![3, 4]]
    );
}

/// What closes first comes first, whatever it is worth; of what closes at once the more valuable.
#[test]
fn steps_begin_by_deadline_and_then_by_value() {
    let mut sessions = [session(0, 1, 9), session(1, 2, 5), session(2, 3, 7)];
    for session in &mut sessions {
        session.record.stage = Stage::ClaimOnChain;
    }
    sessions[0].record.windows.proof_close = Height(21);
    let steps = |effects: &[Effect]| {
        let index = |effect: &Effect| match effect {
            Effect::Step(index, Action::Draw) => Some(*index),
            _ => None,
        };
        effects.iter().filter_map(index).collect::<Vec<_>>()
    };
    let effects = Flow::default().plan(Height(15), &sessions, &LIMITS);
    assert_eq!(steps(&effects), [2, 1, 0]);
}
