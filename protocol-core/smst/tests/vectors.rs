//! All cases of `smst.json` and `smt.json`: what the Go library makes of tries, proofs and bytes.
//!
//! Each section of a file has its own module; a section or field that is not known here fails to parse.

#![allow(
    clippy::unwrap_used,
    reason = "a test that unwraps nothing fails, as it should"
)]

mod vectors {
    pub(crate) mod closest;
    pub(crate) mod file;
    pub(crate) mod gob;
    pub(crate) mod kind;
    pub(crate) mod membership;
    pub(crate) mod sequences;
}

use portico_smst::{Plain, Sum};
use vectors::file::File;
use vectors::kind::Kind;
use vectors::{closest, gob, membership, sequences};

fn run<K: Kind>(name: &str) {
    let file = File::read(name);
    assert_eq!(file.meta.main_spec.sum_trie, K::SUM);
    println!("{name}: {} sequences", sequences::check::<K>(&file));
    println!("{name}: {} membership", membership::check::<K>(&file));
    println!("{name}: {} closest", closest::check::<K>(&file));
    println!("{name}: {} closest_tampered", closest::check_tampered::<K>(&file));
    println!(
        "{name}: {} compact_closest_tampered",
        closest::check_compact_tampered::<K>(&file)
    );
    println!("{name}: {} gob_decode", gob::check::<K>(&file));
}

#[test]
fn the_sum_trie_agrees_with_go_in_every_vector() {
    run::<Sum>("smst.json");
}

#[test]
fn the_plain_trie_agrees_with_go_in_every_vector() {
    run::<Plain>("smt.json");
}
