//! Rolling back: every table is what it was.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::past::{State, batches, commit_batches};
use super::{RETAIN, STORES, assert_whole, begin, commit};
use crate::rows::rows;
use crate::{ChainStore, Disks, StateTries, StoreError};

/// All rows of all tables, as bytes.
pub(super) type Copy = BTreeMap<(u8, Vec<u8>), Vec<u8>>;

pub(super) fn copy(store: &ChainStore) -> Copy {
    let mut copy = Copy::new();
    let read = store.settled_read().expect("readable");
    rows(&read, &mut |row| {
        copy.insert((row.table, row.key.to_vec()), row.value.to_vec());
        Ok(())
    })
    .expect("readable");
    copy
}

/// Without what the past is made of, where it begins, and the keys that are removed but not yet forgotten. What was forgotten before a
/// rollback stays forgotten, so that these are not the same after it.
fn present(copy: Copy) -> Copy {
    const META_STATE_HISTORY_TREE_HISTORY_JOURNAL: [u8; 4] = [0, 3, 5, 6];
    let kept = copy.into_iter().filter_map(|((table, key), row)| {
        if META_STATE_HISTORY_TREE_HISTORY_JOURNAL.contains(&table) {
            return None;
        }
        let row = match table {
            2 | 4 => crate::versioned::value_of(&row).expect("a row")?.to_vec(),
            _ => row,
        };
        Some(((table, key), row))
    });
    kept.collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_rollback_gives_back_every_byte(batches in batches(), to in 0..12_i64) {
        let store = ChainStore::in_memory().expect("made");
        store.init(b"{}", &StateTries::new(&STORES), []).expect("written");
        let tip = i64::try_from(batches.len()).expect("few");
        let to = to.min(tip);
        commit_batches(&store, &batches[..usize::try_from(to).expect("small")], 1, State::new());
        let then = copy(&store);
        let early = ChainStore::in_memory().expect("made");
        early.init(b"{}", &StateTries::new(&STORES), []).expect("written");
        commit_batches(&early, &batches, 1, State::new());
        let all = copy(&early);
        let mut undone = Vec::new();
        let found = early.rollback(to, |height| undone.push(height)).expect("retained");
        prop_assert_eq!(found.height, to);
        prop_assert_eq!(undone, (to + 1..=tip).rev().collect::<Vec<_>>());
        prop_assert!(copy(&early) == then);
        let sound = early.load_tries(&STORES).expect("sound");
        prop_assert_eq!(sound.app_hash(), found.app_hash);
        drop(all);
    }
}

#[test]
fn a_rollback_beyond_what_is_retained_is_refused_and_changes_nothing() {
    let store = ChainStore::on(Disks::in_memory(), RETAIN).expect("made");
    begin(&store);
    (1..=10).for_each(|height| assert!(commit(&store, height).expect("committed")));
    let before = copy(&store);
    for height in [6, 11, -1] {
        let refused = store.rollback(height, |_| ());
        assert!(matches!(
            refused,
            Err(StoreError::NotRetained {
                oldest: 7,
                newest: 10,
                ..
            })
        ));
    }
    assert!(copy(&store) == before, "nothing changed");
    assert_eq!(store.rollback(10, |_| ()).expect("nothing to do").height, 10);
    assert!(copy(&store) == before, "nothing changed");
}

#[test]
fn the_same_blocks_lead_to_the_same_bytes_again() {
    let store = ChainStore::on(Disks::in_memory(), RETAIN).expect("made");
    begin(&store);
    (1..=7).for_each(|height| assert!(commit(&store, height).expect("committed")));
    let at_seven = copy(&store);
    (8..=10).for_each(|height| assert!(commit(&store, height).expect("committed")));
    let at_ten = copy(&store);
    store.rollback(7, |_| ()).expect("retained");
    assert_whole(&store, 7);
    assert!(
        present(copy(&store)) == present(at_seven),
        "the tables of height 7"
    );
    (8..=10).for_each(|height| assert!(commit(&store, height).expect("committed")));
    assert!(
        present(copy(&store)) == present(at_ten),
        "the tables of height 10"
    );
    assert_whole(&store, 10);
}

#[test]
fn a_transaction_that_was_included_twice_is_found_where_it_was_first() {
    let store = ChainStore::in_memory().expect("made");
    begin(&store);
    commit(&store, 1).expect("committed");
    let one = super::TestBlock::new(1);
    let two = super::TestBlock::new(2);
    let tries = super::expected_tries(2);
    let mut write = two.write(&tries);
    let again = [one.tx(), two.tx(), one.tx()];
    write.tx_hashes = &again;
    store.commit(&write, two.changes()).expect("committed");
    let found = |hash| store.snapshot().expect("readable").tx(&hash).expect("readable");
    assert_eq!((found(one.tx()), found(two.tx())), (Some((1, 0)), Some((2, 1))));
    assert_eq!(
        store
            .snapshot()
            .expect("readable")
            .check(|_| ())
            .expect("readable")
            .faults,
        [""; 0]
    );
    store.rollback(1, |_| ()).expect("retained");
    assert_eq!((found(one.tx()), found(two.tx())), (Some((1, 0)), None));
}
