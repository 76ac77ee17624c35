//! Several machines over random trees of blocks: whoever builds a block, all others find it valid, and an altered one invalid.

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use rand::SeedableRng as _;
use rand::rngs::StdRng;

use super::*;
use crate::block;

const MACHINES: usize = 4;
/// Blocks of a tree above its tip.
const BLOCKS: usize = 8;
/// Heights of a chain.
const HEIGHTS: u32 = 5;

/// Trees that are tried: `PORTICO_TREES=10000` for a long run.
fn trees() -> u32 {
    std::env::var("PORTICO_TREES").map_or(40, |text| text.parse().expect("a number"))
}

/// Transactions of all kinds: valid ones, some that fail, that are not admitted, and garbage.
fn transactions(rng: &mut StdRng) -> Vec<Bytes> {
    let count = rng.random_range(0..5_usize);
    let one = |rng: &mut StdRng| match rng.random_range(0..8_u8) {
        0 => Bytes::from_static(b"garbage"),
        1 => transfer(1, 0, 9_000_000),
        2 => transfer(3, 0, 1),
        _ => transfer(rng.random_range(1..3), rng.random_range(0..6), 1),
    };
    (0..count).map(|_| one(rng)).collect()
}

/// A block that differs in one byte, or at its end.
fn altered(rng: &mut StdRng, bytes: &[u8]) -> Vec<u8> {
    let mut altered = bytes.to_vec();
    match rng.random_range(0..4_u8) {
        0 => altered.extend([0x2a, 0]),
        1 => altered.truncate(bytes.len() - 1),
        _ => altered[rng.random_range(0..bytes.len())] ^= 1 << rng.random_range(0..8_u8),
    }
    altered
}

struct Lockstep {
    machines: Vec<Arc<Machine>>,
    rng: StdRng,
    /// Blocks above the tip, with their parents among them.
    tree: Vec<Built>,
}

impl Lockstep {
    fn new(seed: u64) -> Self {
        Self {
            machines: (0..MACHINES).map(|_| machine()).collect(),
            rng: StdRng::seed_from_u64(seed),
            tree: Vec::new(),
        }
    }

    /// One machine builds on the tip or on a block of the tree; the others judge the block and altered ones.
    fn grow(&mut self) {
        let tip = self.machines[0].tip();
        let below = self.rng.random_range(0..=self.tree.len());
        let parent = below.checked_sub(1).map(|index| &self.tree[index]);
        let (id, height, time_ms) = parent.map_or((tip.block_id, tip.height.0, tip.time_ms), |parent| {
            (parent.id, parent.height.0, parent.time_ms)
        });
        let slot = slot(height + 1, time_ms + self.rng.random_range(1..5_000));
        let maker = self.rng.random_range(0..MACHINES);
        let mut txs = Given(transactions(&mut self.rng));
        let built = self.machines[maker].build(&id, slot, &mut txs).expect("built");
        let other = altered(&mut self.rng, &built.bytes);
        for machine in &self.machines {
            let verdict = |bytes: &[u8]| machine.verify(&id, bytes).expect("judged");
            assert_eq!(verdict(&built.bytes), Verdict::Valid(built.id));
            match verdict(&other) {
                Verdict::Valid(found) => assert_another_block(&built, &other, found),
                Verdict::Invalid(_) | Verdict::Missing(_) => {}
            }
        }
        self.tree.push(built);
    }

    /// All commit the same child of the tip, each once more than needed.
    fn commit(&mut self) {
        let tip = self.machines[0].tip().block_id;
        let children: Vec<usize> = (0..self.tree.len())
            .filter(|index| self.tree[*index].parent == tip)
            .collect();
        let chosen = self.tree[children[self.rng.random_range(0..children.len())]].clone();
        for machine in &self.machines {
            if self.rng.random_bool(0.1) {
                machine.discard_unfinalized();
                machine.verify(&tip, &chosen.bytes).expect("judged again");
            }
            assert!(commit(machine, &chosen).expect("next"));
            assert!(!commit(machine, &chosen).expect("known"));
        }
        let tips: Vec<_> = self.machines.iter().map(|machine| machine.tip()).collect();
        assert!(tips.iter().all(|other| *other == tips[0]), "{tips:?}");
        self.tree.clear();
        for machine in &self.machines {
            machine.discard_unfinalized();
        }
    }
}

/// What is valid though it was altered is another block: its time, say, is the maker's choice.
fn assert_another_block(built: &Built, other: &[u8], found: [u8; 32]) {
    assert_ne!(found, built.id);
    let decode = |bytes: &[u8]| block::decode(bytes).expect("a block").header;
    assert_ne!(
        decode(&built.bytes),
        decode(other),
        "nothing lies outside of the header"
    );
}

#[test]
fn machines_agree_on_random_trees_of_blocks() {
    let config = Config {
        cases: trees().div_ceil(HEIGHTS),
        ..Config::default()
    };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let outcome = runner.run(&any::<u64>().no_shrink(), |seed| {
        let mut lockstep = Lockstep::new(seed);
        for _ in 0..HEIGHTS {
            for _ in 0..BLOCKS {
                lockstep.grow();
            }
            lockstep.commit();
        }
        Ok(())
    });
    outcome.expect("machines agree");
}
