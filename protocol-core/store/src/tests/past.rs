//! States of older heights: what they read, when they are forgotten, how much a block forgets.

use std::collections::BTreeMap;

use proptest::prelude::*;
use redb::ReadableTableMetadata as _;

use super::{STORES, begin, commit, expected_root};
use crate::{BlockWrite, ChainStore, Change, Disks, Snapshot, StateTries, StoreError};

pub(super) type State = BTreeMap<(usize, Vec<u8>), Vec<u8>>;
pub(super) type Batch = BTreeMap<(usize, Vec<u8>), Option<Vec<u8>>>;

/// Few keys that are prefixes of each other, so that blocks change, remove and set again the same ones.
fn batch() -> impl Strategy<Value = Batch> {
    let key = prop::collection::vec(0..3_u8, 1..4);
    prop::collection::btree_map(
        (0..3_usize, key),
        prop::option::of(prop::collection::vec(any::<u8>(), 0..3)),
        0..12,
    )
}

fn changes(batch: &Batch) -> impl Iterator<Item = Change<'_>> + Clone {
    batch
        .iter()
        .map(|((store, key), value)| (STORES[*store], key.as_slice(), value.as_deref()))
}

pub(super) fn batches() -> impl Strategy<Value = Vec<Batch>> {
    prop::collection::vec(batch(), 1..12)
}

/// Commits the batches as blocks `first`, …; returns the states after each, the one `before` first.
pub(super) fn commit_batches(store: &ChainStore, batches: &[Batch], first: i64, before: State) -> Vec<State> {
    let mut tries = store.load_tries(&STORES).expect("sound");
    let mut states = vec![before];
    for (height, batch) in (first..).zip(batches) {
        tries.apply(changes(batch)).expect("known stores");
        let write = BlockWrite {
            height,
            id: [u8::try_from(height).expect("few"); 32],
            app_hash: tries.app_hash(),
            tries: &tries,
            block: b"block",
            results: b"results",
            certificate: b"certificate",
            tx_hashes: &[[u8::try_from(height).expect("few"); 32], [255; 32]],
        };
        store.commit(&write, changes(batch)).expect("committed");
        let mut state = states.last().expect("one").clone();
        for (key, value) in batch {
            match value {
                Some(value) => state.insert(key.clone(), value.clone()),
                None => state.remove(key),
            };
        }
        states.push(state);
    }
    states
}

fn assert_reads(snapshot: &Snapshot, state: &State) {
    for (index, store) in STORES.iter().enumerate() {
        let all: Vec<_> = state
            .iter()
            .filter(|((of, _), _)| *of == index)
            .map(|((_, key), value)| (key.clone(), value.clone()))
            .collect();
        assert_eq!(
            snapshot.range(store, &[], None, usize::MAX).expect("readable"),
            all
        );
        let some: Vec<_> = all
            .iter()
            .filter(|(key, _)| key.as_slice() >= [1].as_slice() && key.as_slice() < [2, 1].as_slice())
            .take(3)
            .cloned()
            .collect();
        assert_eq!(
            snapshot.range(store, &[1], Some(&[2, 1]), 3).expect("readable"),
            some
        );
        for first in 0..3_u8 {
            for key in [vec![first], vec![first, 1], vec![first, 2, 0]] {
                let expected = state.get(&(index, key.clone())).cloned();
                assert_eq!(snapshot.get(store, &key).expect("readable"), expected);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn every_retained_height_reads_as_it_was(batches in batches(), retain in 0..8_u32, settled in 0..12_usize) {
        let store = ChainStore::on(Disks::in_memory(), retain).expect("made");
        store.init(b"{}", &StateTries::new(&STORES), []).expect("written");
        let settled = settled.min(batches.len());
        let mut states = commit_batches(&store, &batches[..settled], 1, State::new());
        store.settle().expect("written");
        let last = states.pop().expect("one");
        states.extend(commit_batches(&store, &batches[settled..], 1 + i64::try_from(settled).expect("few"), last));
        let tip = i64::try_from(batches.len()).expect("few");
        let oldest = (tip - i64::from(retain)).max(0);
        for (height, state) in (0_i64..).zip(&states) {
            match store.at(height) {
                Ok(snapshot) => {
                    prop_assert!(height >= oldest);
                    prop_assert_eq!(snapshot.height(), height);
                    assert_reads(&snapshot, state);
                }
                Err(StoreError::NotRetained { oldest: told, newest, .. }) => {
                    prop_assert!(height < oldest);
                    prop_assert_eq!((told, newest), (oldest, tip));
                }
                Err(error) => return Err(TestCaseError::fail(error.to_string())),
            }
        }
    }
}

#[test]
fn a_height_above_the_tip_is_not_retained() {
    let store = ChainStore::in_memory().expect("made");
    begin(&store);
    commit(&store, 1).expect("committed");
    assert!(matches!(
        store.at(2),
        Err(StoreError::NotRetained {
            height: 2,
            oldest: 0,
            newest: 1
        })
    ));
    assert!(store.at(-1).is_err());
}

#[test]
fn what_is_kept_of_the_past_does_not_grow_with_the_chain() {
    let store = ChainStore::on(Disks::in_memory(), 3).expect("made");
    begin(&store);
    let rows = |store: &ChainStore| {
        store.settle().expect("written");
        let snapshot = store.snapshot().expect("readable");
        let tables = snapshot.tables();
        [
            tables.state.history_len().expect("counted"),
            tables.tree.history_len().expect("counted"),
            tables.journal.len().expect("counted"),
        ]
    };
    let mut most = [0; 3];
    for height in 1..=60 {
        commit(&store, height).expect("committed");
        let now = rows(&store);
        if height > 10 {
            assert!(
                now.iter().zip(most).all(|(now, most)| *now <= most),
                "{now:?} at {height}, before {most:?}"
            );
        } else {
            most = std::array::from_fn(|index| most[index].max(now[index]));
        }
    }
    assert_eq!(store.snapshot().expect("readable").oldest(), 57);
}

#[test]
fn retaining_less_than_before_catches_up_a_few_heights_per_block() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("chain.redb");
    let store = ChainStore::open(&path, 100).expect("opened");
    begin(&store);
    (1..=20).for_each(|height| assert!(commit(&store, height).expect("committed")));
    drop(store);
    let store = ChainStore::open(&path, 2).expect("opened");
    let mut oldest = Vec::new();
    for height in 21..=27 {
        commit(&store, height).expect("committed");
        oldest.push(store.snapshot().expect("readable").oldest());
    }
    assert_eq!(oldest, [4, 8, 12, 16, 20, 24, 25]);
    let at = store.at(25).expect("retained");
    assert_eq!(at.roots().expect("readable").len(), 3);
    assert_eq!(at.app_hash(25).expect("readable"), Some(expected_root(25)));
}
