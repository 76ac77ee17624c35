//! Proofs, judged by the unmodified `ics23` crate with the specifications that it ships.

use std::collections::{BTreeMap, BTreeSet};

use ics23::commitment_proof::Proof;
use ics23::{
    CommitmentProof, HostFunctionsManager, smt_spec, tendermint_spec, verify_batch_membership,
    verify_batch_non_membership, verify_membership, verify_non_membership,
};
use proptest::prelude::*;
use sha2::{Digest as _, Sha256};

use super::STORES;
use crate::{BlockWrite, ChainStore, Change, Hash, Snapshot, StateProof, StateTries, batch};

/// Whether a proof leads from the key to `app_hash`, as somebody sees it who has nothing but the header.
pub(super) fn verifies(proof: &StateProof, key: &[u8], value: Option<&[u8]>, app_hash: &Hash) -> bool {
    let root = proof.store_root.to_vec();
    let inner = match (value, &proof.key_proof) {
        (Some(value), Some(inner)) => {
            verify_membership::<HostFunctionsManager>(inner, &smt_spec(), &root, key, value)
        }
        (None, Some(inner)) => verify_non_membership::<HostFunctionsManager>(inner, &smt_spec(), &root, key),
        (value, None) => value.is_none() && proof.store_root == [0; 32],
    };
    inner && outer(proof, app_hash)
}

fn outer(proof: &StateProof, app_hash: &Hash) -> bool {
    let (name, root) = (proof.store.as_bytes(), &proof.store_root);
    verify_membership::<HostFunctionsManager>(
        &proof.store_proof,
        &tendermint_spec(),
        &app_hash.to_vec(),
        name,
        root,
    )
}

fn key(n: u32) -> Vec<u8> {
    Sha256::digest(n.to_be_bytes())[..20].to_vec()
}

/// Blocks that set and remove; returns the app hash after each height.
fn chain(store: &ChainStore, blocks: &[Vec<(u32, bool)>]) -> Vec<Hash> {
    let mut tries = StateTries::new(&STORES);
    store.init(b"{}", &tries, []).expect("written");
    let mut roots = vec![tries.app_hash()];
    for (height, block) in (1_i64..).zip(blocks) {
        let changes: BTreeMap<Vec<u8>, Option<Vec<u8>>> = block
            .iter()
            .map(|(n, set)| (key(*n), set.then(|| format!("{n} at {height}").into_bytes())))
            .collect();
        let changes = || {
            changes
                .iter()
                .map(|(key, value)| -> Change<'_> { ("bank", key, value.as_deref()) })
        };
        tries.apply(changes()).expect("known");
        let write = BlockWrite {
            height,
            id: Sha256::digest(height.to_be_bytes()).into(),
            app_hash: tries.app_hash(),
            tries: &tries,
            block: b"",
            results: b"",
            certificate: b"",
            tx_hashes: &[],
        };
        store.commit(&write, changes()).expect("committed");
        roots.push(tries.app_hash());
    }
    roots
}

/// Ten thousand keys present, ten thousand absent, a fifth of the present ones changed or removed later.
fn ten_thousand() -> (ChainStore, Vec<Hash>) {
    let store = ChainStore::in_memory().expect("made");
    let all = (0..10_000).map(|n| (n, true)).collect();
    let changed = (0..1_000).map(|n| (n * 10, true)).collect();
    let removed = (0..1_000).map(|n| (n * 10 + 5, false)).collect();
    let roots = chain(&store, &[all, changed, removed]);
    (store, roots)
}

#[test]
fn ten_thousand_keys_and_ten_thousand_absent_ones_are_proved_at_every_height() {
    let (store, roots) = ten_thousand();
    let index = |height: i64| usize::try_from(height).expect("small");
    for height in 1..=3_i64 {
        let at = store.at(height).expect("retained");
        let step = if height == 1 { 1 } else { 7 };
        for n in (0..10_000_u32).step_by(step) {
            let value = at.get("bank", &key(n)).expect("readable");
            assert_eq!(value.is_none(), height == 3 && n % 10 == 5);
            let proof = at.prove("bank", &key(n)).expect("proved");
            assert!(
                verifies(&proof, &key(n), value.as_deref(), &roots[index(height)]),
                "{n} at {height}"
            );
            let absent = at.prove("bank", &key(n + 10_000)).expect("proved");
            assert!(
                verifies(&absent, &key(n + 10_000), None, &roots[index(height)]),
                "{n} at {height}"
            );
        }
    }
}

#[test]
fn a_batch_of_both_kinds_is_verified_at_once_up_to_the_header() {
    let (store, roots) = ten_thousand();
    let at = store.at(2).expect("retained");
    let keys: Vec<Vec<u8>> = (9_000..11_000).map(key).collect();
    let proofs: Vec<StateProof> = keys
        .iter()
        .map(|key| at.prove("bank", key).expect("proved"))
        .collect();
    let whole = batch(&proofs).expect("compressed");
    let root = proofs[0].store_root.to_vec();
    let (there, absent) = proofs.split_at(1_000);
    let items: BTreeMap<&[u8], &[u8]> = there
        .iter()
        .map(|proof| (proof.key.as_slice(), proof.value.as_deref().expect("there")))
        .collect();
    let absent: Vec<&[u8]> = absent.iter().map(|proof| proof.key.as_slice()).collect();
    assert_eq!((items.len(), absent.len()), (1_000, 1_000));
    // The crate decompresses once per call, and looks through the batch once per key.
    let items: BTreeMap<_, _> = items.into_iter().step_by(10).collect();
    assert!(verify_batch_membership::<HostFunctionsManager>(
        &whole,
        &smt_spec(),
        &root,
        items.clone()
    ));
    assert!(verify_batch_non_membership::<HostFunctionsManager>(
        &whole,
        &smt_spec(),
        &root,
        &absent[..100]
    ));
    assert!(outer(&proofs[0], &roots[2]));
    let mut wrong = items;
    *wrong.values_mut().next().expect("one") = b"other";
    assert!(!verify_batch_membership::<HostFunctionsManager>(
        &whole,
        &smt_spec(),
        &root,
        wrong
    ));
    assert!(!verify_batch_non_membership::<HostFunctionsManager>(
        &whole,
        &smt_spec(),
        &root,
        &[keys[0].as_slice()]
    ));
}

#[test]
fn a_proof_is_of_one_key_value_height_and_store() {
    let (store, roots) = ten_thousand();
    let at = |height| store.at(height).expect("retained");
    let proof = at(1).prove("bank", &key(10)).expect("proved");
    let value = proof.value.clone().expect("there");
    assert!(verifies(&proof, &key(10), Some(&value), &roots[1]));
    assert!(
        !verifies(&proof, &key(11), Some(&value), &roots[1]),
        "another key"
    );
    assert!(
        !verifies(&proof, &key(10), Some(b"10 at 2"), &roots[1]),
        "another value"
    );
    assert!(
        !verifies(&proof, &key(10), Some(&value), &roots[2]),
        "another height"
    );
    assert!(!verifies(&proof, &key(10), None, &roots[1]), "absence");
    let renamed = StateProof {
        store: "auth".into(),
        ..proof
    };
    assert!(
        !verifies(&renamed, &key(10), Some(&value), &roots[1]),
        "another store"
    );
    let removed = at(3).prove("bank", &key(5)).expect("proved");
    assert!(verifies(&removed, &key(5), None, &roots[3]));
    assert!(
        !verifies(&removed, &key(5), None, &roots[2]),
        "it was there before"
    );
}

#[test]
fn a_proof_with_any_changed_byte_is_refused() {
    use prost_ics23::Message as _;
    let (store, roots) = ten_thousand();
    let at = store.at(3).expect("retained");
    for n in [1, 20_000] {
        let proof = at.prove("bank", &key(n)).expect("proved");
        let inner = proof.key_proof.as_ref().expect("not empty").encode_to_vec();
        let mut refused = 0;
        for index in 0..inner.len() {
            let mut bytes = inner.clone();
            bytes[index] ^= 1 << (index % 8);
            let Ok(changed) = CommitmentProof::decode(bytes.as_slice()) else {
                continue;
            };
            if changed == proof.key_proof.clone().expect("not empty") {
                continue;
            }
            let changed = StateProof {
                key_proof: Some(changed),
                ..proof.clone()
            };
            let accepted = verifies(&changed, &key(n), proof.value.as_deref(), &roots[3]);
            // The key of an absence is not hashed: it may say anything, verifiers use the key that they ask about.
            assert!(
                !accepted || absent_key_differs(&changed, &key(n)),
                "byte {index} of {n}"
            );
            refused += 1;
        }
        assert!(refused > 100, "{refused}");
    }
}

fn absent_key_differs(proof: &StateProof, key: &[u8]) -> bool {
    match proof.key_proof.as_ref().and_then(|proof| proof.proof.as_ref()) {
        Some(Proof::Nonexist(absent)) => absent.key != key,
        _ => false,
    }
}

#[test]
fn stores_of_no_key_and_of_one_key_are_proved_too() {
    let store = ChainStore::in_memory().expect("made");
    let roots = chain(&store, &[vec![(1, true)], vec![(1, false)]]);
    let at = |height| store.at(height).expect("retained");
    let one = at(1).prove("bank", &key(1)).expect("proved");
    assert!(verifies(&one, &key(1), Some(b"1 at 1"), &roots[1]));
    for n in 2..40 {
        let absent = at(1).prove("bank", &key(n)).expect("proved");
        assert!(verifies(&absent, &key(n), None, &roots[1]), "{n}");
    }
    for height in [0, 2] {
        let empty = at(height).prove("bank", &key(1)).expect("proved");
        assert_eq!((empty.key_proof.clone(), empty.store_root), (None, [0; 32]));
        assert!(verifies(
            &empty,
            &key(1),
            None,
            &roots[usize::try_from(height).expect("small")]
        ));
        assert!(!verifies(&empty, &key(1), None, &roots[1]));
    }
}

#[test]
fn an_empty_value_is_proved_as_a_zero_byte() {
    let store = ChainStore::in_memory().expect("made");
    let changes: [Change<'_>; 2] = [("bank", b"a", Some(b"")), ("bank", b"b", Some(b"1"))];
    let mut tries = StateTries::new(&STORES);
    tries.apply(changes).expect("known");
    store.init(b"{}", &tries, changes).expect("written");
    let at = store.snapshot().expect("readable");
    assert_eq!(at.get("bank", b"a").expect("readable"), Some(Vec::new()));
    let proof = at.prove("bank", b"a").expect("proved");
    assert!(verifies(&proof, b"a", Some(&[0]), &tries.app_hash()));
    let absent = at.prove("bank", b"c").expect("proved");
    assert!(verifies(&absent, b"c", None, &tries.app_hash()));
}

fn neighbours(
    snapshot: &Snapshot,
    keys: &BTreeSet<Vec<u8>>,
    asked: &[u8],
) -> (Option<Vec<u8>>, Option<Vec<u8>>) {
    let path = |key: &[u8]| <[u8; 32]>::from(Sha256::digest(key));
    let mut sorted: Vec<_> = keys.iter().map(|key| (path(key), key.clone())).collect();
    sorted.sort();
    let below = sorted.iter().rev().find(|(at, _)| *at < path(asked));
    let above = sorted.iter().find(|(at, _)| *at > path(asked));
    let proof = snapshot.prove("bank", asked).expect("proved").key_proof;
    let Some(Proof::Nonexist(absent)) = proof.and_then(|proof| proof.proof) else {
        panic!("it is absent");
    };
    assert_eq!(
        absent.left.map(|proof| proof.key),
        below.map(|(_, key)| key.clone())
    );
    assert_eq!(
        absent.right.map(|proof| proof.key),
        above.map(|(_, key)| key.clone())
    );
    (
        below.map(|(_, key)| key.clone()),
        above.map(|(_, key)| key.clone()),
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn absence_is_shown_by_the_two_nearest_keys(present in prop::collection::btree_set(0..60_u32, 1..40)) {
        let store = ChainStore::in_memory().expect("made");
        let roots = chain(&store, &[present.iter().map(|n| (*n, true)).collect()]);
        let at = store.snapshot().expect("readable");
        let keys: BTreeSet<_> = present.iter().map(|n| key(*n)).collect();
        for n in (0..60).filter(|n| !present.contains(n)) {
            neighbours(&at, &keys, &key(n));
            prop_assert!(verifies(&at.prove("bank", &key(n)).expect("proved"), &key(n), None, &roots[1]));
        }
    }
}
