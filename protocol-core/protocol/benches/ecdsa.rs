//! Ordinary signatures: what a supplier pays per answer, and a gateway per answer it checks.

mod common;

use std::hint::black_box;

use common::{CpuTime, cpu_time};
use criterion::{Criterion, criterion_group, criterion_main};
use portico_protocol::SigningKey;

fn ecdsa(c: &mut Criterion<CpuTime>) {
    let key = SigningKey::from_bytes(&[7; 32]).expect("below the order");
    let public = key.public_key();
    let message = [9; 32];
    let signature = key.sign(&message);
    c.bench_function("ecdsa/sign", |b| b.iter(|| key.sign(black_box(&message))));
    c.bench_function("ecdsa/verify", |b| {
        b.iter(|| {
            public
                .verify(black_box(&message), &signature)
                .expect("it verifies")
        });
    });
}

criterion_group! {
    name = benches;
    config = cpu_time();
    targets = ecdsa
}
criterion_main!(benches);
