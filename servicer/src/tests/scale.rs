//! Hundreds of suppliers and tens of services in one process, over a chain whose nodes take their time: every session is claimed and proved in
//! its window. In virtual time: what is measured is what waits for what, and not this machine.
//!
//! `PORTICO_SUPPLIERS=500 cargo test -p portico-servicer --lib -- scale --nocapture` is the full size, of all but the half block.

use std::time::Duration;

use portico_client::Sessions as _;
use portico_protocol::{Height, Upokt};
use sha2::{Digest as _, Sha256};

use super::faulty::{Faults, Faulty};
use super::nodes::{MortalNode, State, as_one};
use super::*;
use crate::{Gaps, Stage};

/// Suppliers of a normal test run.
const SUPPLIERS: u64 = 50;
/// Of the suppliers a tenth is in a session, and there are services for a 25th.
pub(super) const PER_SESSION: u64 = 10;
pub(super) const PER_SERVICE: u64 = 25;
const BLOCK: Duration = Duration::from_secs(1);
/// Blocks of a session.
pub(super) const SESSION: u64 = 20;

/// Keys of so many suppliers.
pub(super) fn keys(count: u64) -> Vec<SigningKey> {
    let key = |n: u64| SigningKey::from_bytes(&Sha256::digest(n.to_be_bytes()).into()).unwrap();
    (0..count).map(key).collect()
}

/// What a run came to.
struct Outcome {
    sessions: usize,
    claims: Vec<i64>,
    proofs: Vec<i64>,
}

/// What the servicer has of the chain: from a moment on with its faults, and with what happens at each block.
struct Over {
    chain: Arc<dyn Chain>,
    turn_bad: Box<dyn Fn()>,
    at: Box<dyn Fn(i64)>,
    /// How long after a block that is.
    after: Duration,
}

impl Over {
    /// One node with faults.
    fn faulty(chain: &Arc<MemoryChain>, faults: Faults) -> Self {
        let faulty = Faulty::new(Arc::clone(chain), 1, faults);
        Self {
            chain: faulty.clone(),
            turn_bad: Box::new(move || faulty.set(true)),
            at: Box::new(|_| ()),
            after: Duration::ZERO,
        }
    }

    /// Three nodes that answer in a block, of which one is dead for three blocks, then the next; the second keeps no index.
    fn dying_in_turn(chain: &Arc<MemoryChain>, offset: i64, after: Duration) -> Self {
        let node = |index| MortalNode::new(chain, BLOCK, index != 1);
        let nodes: Vec<_> = (0..3).map(node).collect();
        let (slow, turns) = (nodes.clone(), nodes.clone());
        Self {
            chain: Arc::new(as_one(&nodes)),
            turn_bad: Box::new(move || slow.iter().for_each(|node| node.be_slow())),
            at: Box::new(move |height| {
                let dead = (height + offset) / 3 % 3;
                for (index, node) in (0..).zip(&turns) {
                    node.be(if index == dead { State::Dead } else { State::Alive });
                }
            }),
            after,
        }
    }
}

/// Serves one relay for each supplier in each session, and lets the chain go on.
async fn run(suppliers: u64, over: impl FnOnce(&Arc<MemoryChain>) -> Over) -> Outcome {
    let services = usize::try_from(suppliers / PER_SERVICE).unwrap();
    let mut world = World::without_servicer().await;
    world.suppliers = keys(suppliers);
    world.chain.set_suppliers(&world.suppliers);
    world.chain.found(|genesis| {
        genesis.params.num_suppliers_per_session = suppliers / PER_SESSION;
        genesis.params.shared.num_blocks_per_session = SESSION;
    });
    let names: Vec<String> = (0..services).map(|n| format!("s{n}")).collect();
    for name in &names {
        world.chain.header(1, name);
    }
    let over = over(&world.chain);
    world.run_over(Arc::clone(&over.chain), services);
    for name in &names {
        let header = world.chain.header(1, name);
        let application = header.application_address.parse().unwrap();
        let session = world
            .chain
            .session(&application, &name.parse().unwrap(), Height(1))
            .await;
        for supplier in session.unwrap().suppliers {
            let request = world.request_in(&header, &supplier.operator_address, "/", "x");
            assert!(world.is_served(&request).await);
        }
    }
    tokio::time::pause();
    (over.turn_bad)();
    while world.chain.height() < 34 {
        tokio::time::sleep(over.after).await;
        (over.at)(world.chain.height());
        tokio::time::sleep(BLOCK - over.after).await;
        world.chain.advance();
    }
    tokio::time::sleep(BLOCK * 5).await;
    let rows = world.rows();
    let unpaid: Vec<_> = rows.iter().filter(|row| row.stage != Stage::Settled).collect();
    assert!(
        unpaid.is_empty(),
        "{} of {} sessions, such as {:?}; {:?}",
        unpaid.len(),
        rows.len(),
        unpaid[0],
        world.chain.handed_over()
    );
    for row in &rows {
        assert!(
            Gaps::of(row).closes(row) && row.settled_upokt == Some(Upokt(COST)),
            "{row:?}"
        );
    }
    Outcome {
        sessions: rows.len(),
        claims: world.heights_of("/pocket.proof.MsgCreateClaim"),
        proofs: world.heights_of("/pocket.proof.MsgSubmitProof"),
    }
}

pub(super) fn suppliers() -> u64 {
    let asked = std::env::var("PORTICO_SUPPLIERS").ok();
    asked.map_or(SUPPLIERS, |text| text.parse().expect("a number"))
}

/// The windows are 22 to 26 and 26 to 30; what is handed over at a height is in the next one.
fn tell(what: &str, suppliers: u64, outcome: &Outcome) {
    let of = |heights: &[i64]| (*heights.iter().min().unwrap(), *heights.iter().max().unwrap());
    let (claims, proofs) = (of(&outcome.claims), of(&outcome.proofs));
    println!(
        "{suppliers} suppliers, {} services, {what}: {} sessions of suppliers settled, claims in blocks {claims:?}, proofs in blocks {proofs:?}",
        suppliers / PER_SERVICE,
        outcome.sessions
    );
    assert!(claims.0 >= 23 && claims.1 <= 26 && proofs.0 >= 27 && proofs.1 <= 30);
}

#[tokio::test]
async fn every_session_is_in_its_window_when_the_chain_answers_in_a_fifth_of_a_block() {
    let faults = Faults {
        slow: Duration::from_millis(270), // half of it at least: 200 ms on average
        ..Faults::default()
    };
    let outcome = run(suppliers(), |chain| Over::faulty(chain, faults)).await;
    tell("answers in 200 ms", suppliers(), &outcome);
}

#[tokio::test]
async fn every_session_is_in_its_window_when_the_chain_answers_in_half_a_block() {
    let faults = Faults {
        slow: BLOCK / 2,
        no_index: true,
        ..Faults::default()
    };
    let outcome = run(SUPPLIERS, |chain| Over::faulty(chain, faults)).await;
    tell(
        "answers in up to 500 ms, no index of transactions",
        SUPPLIERS,
        &outcome,
    );
}

/// Heads are known a block late, and every question takes a whole block: a window of four has room for as many in a row.
#[tokio::test]
async fn every_session_is_in_its_window_when_the_chain_answers_in_a_whole_block() {
    let faults = Faults {
        steady: BLOCK,
        no_index: true,
        ..Faults::default()
    };
    let outcome = run(suppliers(), |chain| Over::faulty(chain, faults)).await;
    tell("answers in 1 s, no index of transactions", suppliers(), &outcome);
}

/// Wherever in the life of the sessions a node dies, and the next one when it is back.
#[tokio::test]
async fn every_session_is_in_its_window_when_nodes_that_answer_in_a_whole_block_die_in_turn() {
    let moments = [0.1, 0.4, 0.8].map(|part| BLOCK.mul_f64(part));
    for offset in 0..9 {
        for (turn, after) in (0..).zip(moments) {
            if suppliers() > SUPPLIERS && turn != offset % 3 {
                continue; // each takes a minute then
            }
            let outcome = run(suppliers(), |chain| Over::dying_in_turn(chain, offset, after)).await;
            let what =
                format!("answers in 1 s, nodes dying in turn from {offset} on, {after:?} after a block");
            tell(&what, suppliers(), &outcome);
            tokio::time::resume();
        }
    }
}

/// Everything that is asked before a first relay is served, in real time: none of it waits for what it does not need.
#[tokio::test]
async fn relays_are_served_over_a_chain_that_answers_in_a_second() {
    let mut world = World::without_servicer().await;
    let header = world.chain.header(1, "s0");
    let faults = Faults {
        steady: Duration::from_secs(1),
        ..Faults::default()
    };
    let faulty = Faulty::new(Arc::clone(&world.chain), 1, faults);
    faulty.set(true);
    world.run_over(faulty, 1);
    let request = world.request_in(&header, &world.supplier().to_string(), "/", "x");
    assert!(world.is_served(&request).await);
}
