//! Roots: the same from scratch and step by step, the documented bytes, the standard outer tree.

use std::collections::BTreeMap;

use proptest::prelude::*;
use sha2::{Digest as _, Sha256};

use super::STORES;
use crate::{BlockWrite, ChainStore, Change, StateTries, app_hash};

type Batch = Vec<(usize, u8, Option<u8>)>;

fn changes(batch: &Batch) -> BTreeMap<(&'static str, Vec<u8>), Option<Vec<u8>>> {
    batch
        .iter()
        .map(|(store, key, value)| ((STORES[*store], vec![*key]), value.map(|value| vec![value])))
        .collect()
}

fn borrowed<'a>(
    changes: &'a BTreeMap<(&'static str, Vec<u8>), Option<Vec<u8>>>,
) -> impl Iterator<Item = Change<'a>> {
    changes
        .iter()
        .map(|((store, key), value)| (*store, key.as_slice(), value.as_deref()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_root_is_that_of_the_state_from_scratch(
        batches in prop::collection::vec(prop::collection::vec((0..3_usize, 0..20_u8, any::<Option<u8>>()), 0..20), 1..6)
    ) {
        let store = ChainStore::in_memory().expect("made");
        let mut tries = StateTries::new(&STORES);
        store.init(b"{}", &tries, []).expect("written");
        let mut state = BTreeMap::new();
        for (height, batch) in (1_i64..).zip(&batches) {
            let changes = changes(batch);
            let fork = tries.clone();
            tries.apply(borrowed(&changes)).expect("known stores");
            prop_assert_eq!(fork.app_hash(), store.load_tries(&STORES).expect("sound").app_hash());
            let write = BlockWrite {
                height,
                id: [u8::try_from(height).expect("few"); 32],
                app_hash: tries.app_hash(),
            tries: &tries,
                block: b"",
                results: b"",
                certificate: b"",
                tx_hashes: &[],
            };
            store.commit(&write, borrowed(&changes)).expect("committed");
            state.extend(changes);
        }
        state.retain(|_, value| value.is_some());
        let mut scratch = StateTries::new(&STORES);
        scratch.apply(borrowed(&state)).expect("known stores");
        prop_assert_eq!(scratch.app_hash(), tries.app_hash());
        prop_assert_eq!(store.load_tries(&STORES).expect("sound").app_hash(), tries.app_hash());
    }
}

#[test]
fn a_store_of_one_key_has_the_leaf_that_ics_23_verifiers_compute() {
    let mut tries = StateTries::new(&["bank"]);
    tries
        .apply([("bank", b"key".as_slice(), Some(b"value".as_slice()))])
        .expect("known");
    let leaf = Sha256::new_with_prefix([0])
        .chain_update(Sha256::digest(b"key"))
        .chain_update(Sha256::digest(b"value"))
        .finalize();
    assert_eq!(tries.root("bank"), Some(leaf.into()));
    let outer = Sha256::new_with_prefix(b"\x00\x04bank\x20")
        .chain_update(Sha256::digest(leaf))
        .finalize();
    assert_eq!(tries.app_hash(), <[u8; 32]>::from(outer));
}

#[test]
fn changes_to_unknown_stores_are_refused() {
    let mut tries = StateTries::new(&STORES);
    assert!(tries.apply([("gov", b"k".as_slice(), None)]).is_err());
}

#[test]
fn the_outer_root_depends_on_every_store() {
    let roots = |n: u8| [("a", [1; 32]), ("b", [2; 32]), ("c", [n; 32])];
    assert_ne!(app_hash(&roots(3)), app_hash(&roots(4)));
    assert_ne!(app_hash(&roots(3)), app_hash(&roots(3)[..2]));
}
