//! Ring signatures: `…/scalar` runs on any x86-64, `…/ifma` in lanes where the processor has them.
//!
//! Warm: tables stand, as for any ring that relays more than once. `first`: nothing is known of the ring.

#[path = "../../protocol/benches/common/mod.rs"]
mod common;

use std::hint::black_box;

use common::{CpuTime, cpu_time};
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use portico_ring::{
    Ring, RingSignature, RingSigner, build_tables, cache_size, clear_cache, force_scalar, hash_to_curve,
    tables_wanted, use_lanes,
};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng};

const MESSAGE: [u8; 32] = [7; 32];
const SIZES: [usize; 3] = [2, 3, 8];
/// Rings whose tables together exceed every cache of the processor.
const MANY_RINGS: usize = 150;

/// Runs `bench` for each way to compute that this machine has, with nothing kept of before.
fn each_path(mut bench: impl FnMut(&str)) {
    force_scalar(false);
    let paths = if use_lanes() {
        &[("scalar", true), ("ifma", false)][..]
    } else {
        &[("scalar", true)]
    };
    for (path, scalar) in paths {
        force_scalar(*scalar);
        clear_cache();
        bench(path);
    }
    clear_cache();
}

fn keys(rng: &mut StdRng, n: usize) -> Vec<RingSigner> {
    (0..n)
        .map(|_| RingSigner::new(&rng.random()).expect("a scalar"))
        .collect()
}

fn ring_of(keys: &[RingSigner]) -> Ring {
    Ring::new(keys.iter().map(|key| *key.public_key())).expect("two to eight keys")
}

fn verify(signature: &[u8]) {
    let signature = RingSignature::parse(signature).expect("well formed");
    signature.verify(&MESSAGE).expect("valid");
}

/// Builds the tables of a ring, as if two of its members had signed before.
fn warm(keys: &[RingSigner], rng: &mut StdRng) -> Ring {
    let ring = ring_of(keys);
    for key in [0, 0, 1, 1] {
        ring.prepare(&keys[key], rng).expect("a member");
    }
    while build_tables(64) > 0 {}
    ring
}

fn verifying(c: &mut Criterion<CpuTime>) {
    each_path(|path| {
        for n in SIZES {
            let mut rng = StdRng::seed_from_u64(1);
            let keys = keys(&mut rng, n);
            let signature = warm(&keys, &mut rng)
                .sign(&keys[0], &MESSAGE, &mut rng)
                .expect("a member");
            let name = format!("ring/verify/n{n}/{path}");
            c.bench_function(&name, |b| b.iter(|| verify(black_box(&signature))));
        }
    });
    for n in SIZES {
        let mut rng = StdRng::seed_from_u64(2);
        let keys = keys(&mut rng, n);
        let signature = ring_of(&keys)
            .sign(&keys[0], &MESSAGE, &mut rng)
            .expect("a member");
        clear_cache();
        let name = format!("ring/verify_first/n{n}");
        c.bench_function(&name, |b| b.iter(|| verify(black_box(&signature))));
    }
}

fn verifying_many_rings(c: &mut Criterion<CpuTime>) {
    each_path(|path| {
        let mut rng = StdRng::seed_from_u64(3);
        let signatures: Vec<_> = (0..MANY_RINGS)
            .map(|_| {
                let keys = keys(&mut rng, 2);
                warm(&keys, &mut rng)
                    .sign(&keys[0], &MESSAGE, &mut rng)
                    .expect("a member")
            })
            .collect();
        let size = cache_size();
        println!(
            "{MANY_RINGS} rings of two, two images each, {path}: {} MiB of tables",
            size.bytes >> 20
        );
        let mut turn = signatures.iter().cycle();
        let name = format!("ring/verify_{MANY_RINGS}_rings/n2/{path}");
        c.bench_function(&name, |b| {
            b.iter(|| verify(turn.next().expect("an endless turn")))
        });
    });
}

fn preparing_and_signing(c: &mut Criterion<CpuTime>) {
    each_path(|path| {
        for n in SIZES {
            let mut rng = StdRng::seed_from_u64(4);
            let keys = keys(&mut rng, n);
            let ring = warm(&keys, &mut rng);
            both_parts(
                c,
                &ring,
                &keys[0],
                &format!("n{n}/{path}"),
                ["prepare", "sign_online"],
            );
            let own = Ring::new(vec![*keys[0].public_key(); n]).expect("two to eight keys");
            both_parts(
                c,
                &own,
                &keys[0],
                &format!("n{n}/{path}"),
                ["prepare_own", "sign_own"],
            );
        }
    });
}

fn both_parts(
    c: &mut Criterion<CpuTime>,
    ring: &Ring,
    key: &RingSigner,
    name: &str,
    [ahead, online]: [&str; 2],
) {
    let mut rng = StdRng::seed_from_u64(5);
    c.bench_function(&format!("ring/{ahead}/{name}"), |b| {
        b.iter(|| ring.prepare(key, &mut rng).expect("a member"));
    });
    c.bench_function(&format!("ring/{online}/{name}"), |b| {
        b.iter_batched(
            || ring.prepare(key, &mut rng).expect("a member"),
            |prepared| prepared.sign(black_box(&MESSAGE)).expect("a signature"),
            BatchSize::SmallInput,
        );
    });
}

/// A key's tables (of P and Hp(P)) and its image's; in an empty cache, and in one that is full of tables in use.
fn building_tables(c: &mut Criterion<CpuTime>) {
    let mut rng = StdRng::seed_from_u64(6);
    let mut want = move || {
        let keys = keys(&mut rng, 2);
        let ring = ring_of(&keys);
        for _ in 0..2 {
            ring.prepare(&keys[0], &mut rng).expect("a member");
        }
        tables_wanted()
    };
    each_path(|path| {
        want();
        let mut before = cache_size().bytes;
        for what in ["key", "image"] {
            build_tables(1);
            println!(
                "tables of one {what}, {path}: {} KiB",
                (cache_size().bytes - before) >> 10
            );
            before = cache_size().bytes;
        }
        let fresh = |want: &mut dyn FnMut() -> usize| {
            clear_cache();
            want()
        };
        c.bench_function(&format!("ring/build_tables/key_and_image/{path}"), |b| {
            b.iter_batched(|| fresh(&mut want), build_tables, BatchSize::PerIteration);
        });
    });
    force_scalar(true);
    while {
        want();
        build_tables(64) > 0 && cache_size().bytes < 120 << 20
    } {}
    for _ in 0..200 {
        want();
        build_tables(64);
    }
    println!("a full cache: {:?}", cache_size());
    c.bench_function("ring/build_tables/refused_by_a_full_cache", |b| {
        b.iter_batched(&mut want, build_tables, BatchSize::PerIteration);
    });
    clear_cache();
}

fn hashing(c: &mut Criterion<CpuTime>) {
    let mut rng = StdRng::seed_from_u64(7);
    let keys: Vec<_> = keys(&mut rng, 64).iter().map(|key| *key.public_key()).collect();
    let mut turn = keys.iter().cycle();
    c.bench_function("ring/hash_to_curve", |b| {
        b.iter(|| hash_to_curve(turn.next().expect("an endless turn")).expect("a point"));
    });
}

criterion_group! {
    name = benches;
    config = cpu_time();
    targets = verifying, verifying_many_rings, preparing_and_signing, building_tables, hashing
}
criterion_main!(benches);
