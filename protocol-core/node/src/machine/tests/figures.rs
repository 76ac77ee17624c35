//! Figures that have a goal: `just chain-figures`, and in `just nightly`.

use std::time::SystemTime;

use portico_chain::state::{StateRead, Store};

use super::*;

/// Heights of the pipeline: `PORTICO_PIPELINE`, else 100,000.
fn heights() -> i64 {
    std::env::var("PORTICO_PIPELINE").map_or(100_000, |text| text.parse().expect("a number"))
}

/// Most that a read may take, nanoseconds.
const MAX_GET_NS: f64 = 2_000.0;
/// Reads that are timed.
const GETS: u32 = 100_000;
/// Blocks that are replayed, each with one transfer.
const REPLAYED: i64 = 1_000;
/// Fewest of them in a second.
const MIN_REPLAYED: f64 = 300.0;

fn nanoseconds_a_get(state: &impl StateRead, key: &[u8]) -> f64 {
    let started = SystemTime::now();
    for _ in 0..GETS {
        std::hint::black_box(
            state
                .get(Store::Bank, std::hint::black_box(key))
                .expect("readable"),
        );
    }
    let took = started.elapsed().expect("forward");
    took.as_secs_f64() * 1e9 / f64::from(GETS)
}

#[test]
#[ignore = "it measures; `just chain-figures` runs it"]
fn a_get_costs_no_more_at_the_end_of_a_long_pipeline() {
    let machine = machine();
    let (mut ahead, mut time) = (ROOT, GENESIS_MS);
    let mut waiting = None;
    let mut first = f64::MAX;
    for height in 1..=heights() {
        time += 1;
        let built = build(&machine, &ahead, height, time);
        ahead = built.id;
        if let Some(before) = waiting.replace(built) {
            assert!(commit(&machine, &before).expect("next"));
        }
        if height == 2 {
            let state = machine.below(&ahead).expect("known").state();
            first = nanoseconds_a_get(&state, b"supply/upokt/");
        }
    }
    let state = machine.below(&ahead).expect("known").state();
    let last = nanoseconds_a_get(&state, b"supply/upokt/");
    println!(
        "get at pipeline height 2: {first:.0} ns; at {}: {last:.0} ns (at most {MAX_GET_NS:.0})",
        heights()
    );
    assert!(last <= MAX_GET_NS || cfg!(debug_assertions), "{last} ns");
}

#[test]
#[ignore = "it measures; `just chain-figures` runs it"]
fn near_empty_blocks_are_replayed() {
    let maker = machine();
    let (mut blocks, mut parent) = (Vec::new(), ROOT);
    for height in 1..=REPLAYED {
        let sequence = u64::try_from(height - 1).expect("above 0");
        let txs = vec![transfer(1, sequence, 1)];
        let slot = slot(height, GENESIS_MS + sequence + 1);
        let built = maker.build(&parent, slot, &mut Given(txs)).expect("built");
        assert!(commit(&maker, &built).expect("next"));
        blocks.push((parent, built));
        parent = blocks.last().expect("one").1.id;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let store = ChainStore::open(&folder.path().join("chain.redb"), 1_000).expect("opened");
    let bounds = portico_config::node::MempoolConfig::default();
    let machine = machine_on(store, GENESIS_MS, bounds);
    let started = SystemTime::now();
    for (parent, built) in &blocks {
        let verdict = machine.verify(parent, &built.bytes).expect("judged");
        assert_eq!(verdict, Verdict::Valid(built.id));
        assert!(commit(&machine, built).expect("next"));
    }
    let took = started.elapsed().expect("forward").as_secs_f64();
    let rate = f64::from(i32::try_from(REPLAYED).expect("few")) / took;
    println!("near-empty blocks replayed to disk: {rate:.0} per second (at least {MIN_REPLAYED:.0} wanted)");
}
