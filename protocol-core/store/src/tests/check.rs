//! The check finds every kind of damage.

use redb::{Key, TableDefinition, Value};

use super::{begin, commit};
use crate::tables::{BLOCKS, HEIGHTS, JOURNAL, STATE, STATE_HISTORY, TIP, TREE, TREE_HISTORY, TXS};
use crate::{ChainStore, StoreError, Tip};

fn chain() -> ChainStore {
    let store = ChainStore::in_memory().expect("made");
    begin(&store);
    (1..=9).for_each(|height| assert!(commit(&store, height).expect("committed")));
    store.settle().expect("written");
    store
}

/// What the check says after `damage`.
fn faults(damage: impl FnOnce(&redb::WriteTransaction) -> Result<(), StoreError>) -> Vec<String> {
    let store = chain();
    store
        .transact(|write| damage(write).map(|()| true))
        .expect("written");
    match store.snapshot().expect("readable").check(|_| ()) {
        Ok(report) => report.faults,
        Err(StoreError::Damaged(fault)) => vec![fault],
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn a_sound_store_has_no_faults_and_is_counted() {
    let store = chain();
    let mut heights = Vec::new();
    let report = store
        .snapshot()
        .expect("readable")
        .check(|height| heights.push(height));
    let report = report.expect("readable");
    assert_eq!(report.faults, [""; 0]);
    assert_eq!(report.tip.map(|tip: Tip| tip.height), Some(9));
    assert_eq!((report.oldest, report.txs), (0, 9));
    assert_eq!(report.keys, 1 + 2 + 5); // total, the newest two, one in five
    assert!(report.pages >= 3 && report.history > 20, "{report:?}");
    assert_eq!(heights, (1..=9).rev().collect::<Vec<_>>());
}

/// What the check says after a row was written.
fn put<'k, 'v, K: Key + 'static, V: Value + 'static>(
    table: TableDefinition<'static, K, V>,
    key: K::SelfType<'k>,
    value: V::SelfType<'v>,
) -> Vec<String> {
    faults(|write| {
        write.open_table(table)?.insert(key, value)?;
        Ok(())
    })
}

/// What the check says after a row was removed.
fn cut<'k, K: Key + 'static, V: Value + 'static>(
    table: TableDefinition<'static, K, V>,
    key: K::SelfType<'k>,
) -> Vec<String> {
    faults(|write| {
        write.open_table(table)?.remove(key)?;
        Ok(())
    })
}

#[test]
fn every_table_is_compared_with_the_others() {
    let (total, extra): (&[u8], &[u8]) = (b"total", b"x");
    let root: &[u8] = &[];
    let nine = [4_i64.to_be_bytes().as_slice(), &4_i64.to_be_bytes(), &[1, 9]].concat();
    let found = [
        ("state", put(STATE, ("bank", total), &nine)),
        ("state, extra key", put(STATE, ("bank", extra), &nine)),
        ("unknown store", put(STATE, ("gov", extra), &nine)),
        ("removed long ago", put(STATE, ("bank", extra), &[0; 17])),
        ("no version", put(STATE, ("bank", total), &[9])),
        (
            "history",
            put(
                STATE_HISTORY,
                (5, "bank", total),
                &[&[0], nine.as_slice()].concat(),
            ),
        ),
        ("history, missing", cut(STATE_HISTORY, (5, "bank", total))),
        ("history, extra", put(STATE_HISTORY, (10, "bank", total), &[0])),
        ("tree, missing", cut(TREE, ("bank", root))),
        ("tree history, missing", cut(TREE_HISTORY, (4, "bank", root))),
        ("journal, missing", cut(JOURNAL, 4)),
        ("block, missing", cut(BLOCKS, 3)),
        ("heights", put(HEIGHTS, [3; 32], 3)),
        ("txs", put(TXS, [3; 32], (10, 0))),
        ("txs, missing", cut(TXS, super::TestBlock::new(4).tx())),
        ("tip", put(TIP, (), (9, [1; 32], [2; 32]))),
    ];
    for (what, faults) in found {
        assert!(!faults.is_empty(), "{what}");
    }
}
