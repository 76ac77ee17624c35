//! Laws of the plan, whatever suppliers do.

use std::collections::BTreeSet;
use std::time::Duration;

use portico_protocol::relay::RelayError as ProtocolError;
use portico_protocol::ring::Ring;
use portico_protocol::wire::pocket::session::{Session, SessionHeader};
use portico_protocol::wire::pocket::shared::RpcType as WireRpcType;
use portico_protocol::{Address, ServiceId, SigningKey};
use portico_session_cache::{Endpoint, SupplierView};
use proptest::prelude::*;

use super::*;

fn view(start: i64, suppliers: usize) -> Arc<SessionView> {
    let key = SigningKey::from_bytes(&[1; 32]).unwrap().public_key();
    let operator = |index: usize| Address::new([u8::try_from(index).unwrap(); 20]);
    let supplier = |index: usize| SupplierView {
        operator: operator(index),
        operator_text: operator(index).to_string(),
        public_key: key,
        endpoints: vec![Endpoint {
            url: "http://supplier".to_owned(),
            rpc_type: WireRpcType::JsonRpc,
        }],
    };
    Arc::new(SessionView {
        application: key.address(),
        service: ServiceId::new("eth").unwrap(),
        header: SessionHeader {
            session_id: format!("{start:064}"),
            ..Default::default()
        },
        start: Height(start),
        end: Height(start + 9),
        grace_end: Height(start + 10),
        suppliers: (0..suppliers).map(supplier).collect(),
        ring: Ring::new(vec![key, key]).unwrap(),
        params: Default::default(),
        session: Session::default(),
    })
}

fn fault(kind: u8) -> Fault {
    match kind % 7 {
        0 => Fault::OverServiced(String::new()),
        1 => Fault::Session(String::new()),
        2 => Fault::Unverified(ProtocolError::SupplierSignature),
        3 => Fault::BadPayload {
            why: "no",
            status: 200,
            text: String::new(),
        },
        4 => Fault::Timeout(1),
        5 => Fault::Connect(String::new()),
        _ => Fault::Undecodable,
    }
}

/// Runs a plan in which every supplier fails as `faults` says; returns who was tried in which session, and the end.
fn run(
    suppliers: usize,
    max_attempts: u32,
    faults: &[u8],
    seed: u64,
) -> (Vec<(Height, Address)>, RelayError) {
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut reputation = Reputation::default();
    let mut plan = Plan::new(
        RpcType::JsonRpc,
        None,
        [0].into(),
        max_attempts,
        deadline,
        &mut StdRng::seed_from_u64(seed),
    );
    let mut tried = Vec::new();
    loop {
        assert!(tried.len() <= 2 * suppliers, "it ends");
        match plan.decide(Instant::now(), Height(11)) {
            Decision::Open(index) => {
                plan.opened(index, Some(Ok(view(11, suppliers))), &reputation, Height(11))
            }
            Decision::OpenPrevious(index) => {
                plan.reopened(index, Some(view(1, suppliers)), &reputation, Height(11))
            }
            Decision::Try(candidate) => {
                let fault = fault(faults.get(tried.len()).copied().unwrap_or(4));
                let operator = candidate.supplier().operator;
                tried.push((candidate.session.start, operator));
                reputation.blame(&candidate.session, &operator, Height(11), &fault);
                let miss = Miss {
                    fault,
                    ms: 1,
                    fallback: None,
                };
                plan.failed(&candidate, miss);
            }
            Decision::GiveUp => return (tried, plan.into_outcome().unwrap_err()),
        }
    }
}

proptest! {
    #[test]
    fn tries_nobody_twice_and_keeps_to_the_budget(
        suppliers in 0_usize..12,
        max_attempts in 1_u32..6,
        faults in proptest::collection::vec(any::<u8>(), 0..30),
        seed: u64,
    ) {
        let (tried, _) = run(suppliers, max_attempts, &faults, seed);
        prop_assert_eq!(tried.iter().collect::<BTreeSet<_>>().len(), tried.len());
        let costly = tried.iter().enumerate().filter(|(i, _)| faults.get(*i).is_none_or(|kind| kind % 7 != 0));
        prop_assert!(costly.count() <= max_attempts as usize + 1, "one more only for a previous session");
    }

    #[test]
    fn decides_the_same_from_the_same_seed(
        faults in proptest::collection::vec(any::<u8>(), 0..30),
        seed: u64,
    ) {
        prop_assert_eq!(run(8, 3, &faults, seed).0, run(8, 3, &faults, seed).0);
    }
}

#[test]
fn a_late_plan_tries_nobody() {
    let now = Instant::now();
    let mut plan = Plan::new(
        RpcType::JsonRpc,
        None,
        [0].into(),
        3,
        now,
        &mut StdRng::seed_from_u64(1),
    );
    assert!(matches!(plan.decide(now, Height(11)), Decision::GiveUp));
    assert!(matches!(plan.into_outcome(), Err(RelayError::Deadline { .. })));
}

#[test]
fn begins_with_any_of_the_applications_and_opens_each_once() {
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut first = BTreeSet::new();
    for seed in 0..50 {
        let mut plan = Plan::new(
            RpcType::JsonRpc,
            None,
            [0, 1, 2].into(),
            3,
            deadline,
            &mut StdRng::seed_from_u64(seed),
        );
        let mut opened = Vec::new();
        while let Decision::Open(index) = plan.decide(Instant::now(), Height(11)) {
            opened.push(index);
            plan.opened(index, Some(Ok(view(11, 0))), &Reputation::default(), Height(11));
        }
        first.insert(opened[0]);
        opened.sort_unstable();
        assert_eq!(opened, [0, 1, 2]);
        assert!(matches!(plan.into_outcome(), Err(RelayError::NoSupplier { .. })));
    }
    assert_eq!(first.len(), 3);
}

#[test]
fn a_supplier_comes_back_by_answering() {
    let session = view(11, 1);
    let supplier = session.suppliers[0].operator;
    let mut reputation = Reputation::default();
    for _ in 0..6 {
        reputation.outdone(&supplier, Height(11), &Fault::Timeout(1));
    }
    assert_eq!(
        reputation.rank(&session, &supplier, Height(11)),
        crate::core::reputation::Rank::Tier(2)
    );
    for _ in 0..40 {
        reputation.praise(&supplier, Height(11));
    }
    assert_eq!(
        reputation.rank(&session, &supplier, Height(11)),
        crate::core::reputation::Rank::Tier(0)
    );
}

#[test]
fn a_call_that_fails_everywhere_blames_nobody() {
    let session = view(11, 1);
    let supplier = session.suppliers[0].operator;
    let mut reputation = Reputation::default();
    for _ in 0..10 {
        let text = String::new();
        let page = Fault::BadPayload {
            why: "no",
            status: 404,
            text,
        };
        for fault in [Fault::Timeout(1), page, Fault::TooLarge(1)] {
            reputation.blame(&session, &supplier, Height(11), &fault);
        }
    }
    let rank = reputation.rank(&session, &supplier, Height(11));
    assert_eq!(rank, crate::core::reputation::Rank::Tier(0));
}

#[test]
fn a_session_that_ended_is_given_up_once() {
    let deadline = Instant::now() + Duration::from_secs(60);
    let (reputation, rng) = (Reputation::default(), &mut StdRng::seed_from_u64(1));
    let mut plan = Plan::new(RpcType::JsonRpc, None, [0].into(), 3, deadline, rng);
    let mut now = Height(11);
    let mut opened = Vec::new();
    loop {
        match plan.decide(Instant::now(), now) {
            Decision::Open(index) => {
                // The cache has no newer session yet when it is asked again.
                opened.push(now);
                plan.opened(index, Some(Ok(view(11, 5))), &reputation, now);
            }
            Decision::OpenPrevious(_) => panic!("the session is over, its suppliers are not behind"),
            Decision::Try(candidate) => {
                now = Height(22); // the session ended at 20
                let fault = Fault::Session(String::new());
                plan.failed(
                    &candidate,
                    Miss {
                        fault,
                        ms: 1,
                        fallback: None,
                    },
                );
            }
            Decision::GiveUp => break,
        }
        assert!(opened.len() < 10, "it ends");
        if plan.failed.len() == 2 {
            break;
        }
    }
    assert_eq!(opened, [Height(11), Height(22)]);
}
