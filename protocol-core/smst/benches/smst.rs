//! What a trie costs: `cargo bench -p portico-smst`. Names are `smst/WHAT/LEAVES`, with 1k, 100k and 1m leaves.
//!
//! | name | one iteration |
//! |---|---|
//! | `insert` | one more leaf into a [`LeafSet`] of that many, by its hash; growth included |
//! | `root` | the root of a set of which nothing is known but the leaves |
//! | `closest` | proof of the leaf closest to a path, once the root is known; values have 1 KiB |
//! | `membership` | proof that a path has its leaf, from a trie |
//! | `verify` | a compact closest proof by the strict rule |
//! | `verify_membership` | a membership proof |
//! | `hash_leaf/1kib` | the hash that an insert needs, of a leaf with a value of 1 KiB |
//! | `gob/write`, `gob/read` | the bytes of a compact closest proof |

#![allow(missing_docs, reason = "criterion's macros make functions")]
#![allow(clippy::unwrap_used, reason = "a benchmark that fails stops")]

use std::hint::black_box;
use std::time::Duration;

use criterion::measurement::{Measurement, WallTime};
use criterion::{BatchSize, BenchmarkGroup, BenchmarkId, Criterion, criterion_group, criterion_main};
use portico_smst::{CompactClosestProof, Leaf, LeafSet, Path, Rule, Sum, SumTrie, sum_leaf_data};

const WEIGHT: u64 = 7;
const SIZES: [(&str, u64); 3] = [("1k", 1_000), ("100k", 100_000), ("1m", 1_000_000)];

type Group<'a> = BenchmarkGroup<'a, WallTime>;

/// A relay of 1 KiB.
fn value(seq: u64) -> Vec<u8> {
    seq.to_be_bytes().repeat(128)
}

fn path(seq: u64) -> Path {
    Path::of_key(&seq.to_be_bytes())
}

fn leaf(seq: u64) -> (Path, [u8; 32]) {
    let path = path(seq);
    (path, LeafSet::hash_leaf(&path, &value(seq), WEIGHT))
}

fn insert(group: &mut Group<'_>, size: &str, full: &LeafSet) {
    let first = full.len() as u64;
    // Made ahead, so that only inserts are measured; a set grows by a quarter before it is made anew.
    let more: Vec<_> = (first..first + first / 4).map(leaf).collect();
    group.bench_function(BenchmarkId::new("insert", size), |bencher| {
        bencher.iter_custom(|iterations| {
            let (mut left, mut spent) = (iterations, Duration::ZERO);
            while left > 0 {
                let mut set = full.clone();
                let start = WallTime.start();
                let batch = left.min(more.len() as u64);
                for ((path, hash), seq) in more.iter().zip(0..batch) {
                    black_box(set.insert(*path, *hash, seq));
                }
                spent += WallTime.end(start);
                left -= batch;
            }
            spent
        });
    });
}

fn root(group: &mut Group<'_>, size: &str, unknown: &LeafSet) {
    group.bench_function(BenchmarkId::new("root", size), |bencher| {
        bencher.iter_batched_ref(|| unknown.clone(), LeafSet::root, BatchSize::PerIteration);
    });
}

fn closest(group: &mut Group<'_>, size: &str, set: &mut LeafSet) {
    let root = set.root();
    let mut asked = (0u64..).map(|index| Path::of_key(&[&b"asked"[..], &index.to_be_bytes()].concat()));
    group.bench_function(BenchmarkId::new("closest", size), |bencher| {
        bencher.iter_batched(
            || asked.next().unwrap(),
            |path| set.prove_closest(&path, |leaf| Some(value(leaf.seq))).unwrap(),
            BatchSize::SmallInput,
        );
    });
    let path = asked.next().unwrap();
    let proof = set.prove_closest(&path, |leaf| Some(value(leaf.seq))).unwrap();
    let compact = proof.compact::<Sum>().unwrap();
    group.bench_function(BenchmarkId::new("verify", size), |bencher| {
        bencher.iter(|| compact.verify::<Sum>(Rule::Strict, &root, &path).unwrap());
    });
    if size == "1m" {
        let bytes = compact.to_gob();
        group.bench_function("gob/write", |bencher| bencher.iter(|| compact.to_gob()));
        group.bench_function("gob/read", |bencher| {
            bencher.iter(|| CompactClosestProof::from_gob(&bytes).unwrap());
        });
    }
}

fn membership(group: &mut Group<'_>, size: &str, set: &LeafSet) {
    let seqs = set.leaves().map(|(leaf, _)| leaf.seq);
    let leaves = set
        .leaves()
        .map(|(leaf, digest)| Leaf::by_digest(leaf.path, digest));
    let trie: SumTrie = leaves.collect();
    let root = trie.root();
    let seqs: std::collections::HashMap<Path, u64> =
        set.leaves().map(|(leaf, _)| leaf.path).zip(seqs).collect();
    let prove = |path: &Path| trie.prove_with(path, |path| Some(value(seqs[path]))).unwrap();
    let mut asked = (0..set.len() as u64).cycle().map(path);
    group.bench_function(BenchmarkId::new("membership", size), |bencher| {
        bencher.iter_batched(
            || asked.next().unwrap(),
            |path| prove(&path),
            BatchSize::SmallInput,
        );
    });
    let (path, data) = (path(0), sum_leaf_data(&value(0), WEIGHT));
    let proof = prove(&path);
    group.bench_function(BenchmarkId::new("verify_membership", size), |bencher| {
        bencher.iter(|| proof.verify::<Sum>(root.as_ref(), &path, &data).unwrap());
    });
}

fn benches(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("smst");
    group.sample_size(10);
    group.warm_up_time(Duration::from_secs(1));
    group.measurement_time(Duration::from_secs(3));
    for (size, count) in SIZES {
        let mut set = LeafSet::new(WEIGHT);
        for seq in 0..count {
            let (path, hash) = leaf(seq);
            assert!(set.insert(path, hash, seq));
        }
        insert(&mut group, size, &set);
        root(&mut group, size, &set);
        closest(&mut group, size, &mut set);
        membership(&mut group, size, &set);
    }
    let (path, value) = (path(0), value(0));
    group.bench_function("hash_leaf/1kib", |bencher| {
        bencher.iter(|| LeafSet::hash_leaf(&path, black_box(&value), WEIGHT));
    });
    group.finish();
}

criterion_group!(all, benches);
criterion_main!(all);
