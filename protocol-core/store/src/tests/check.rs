//! The check finds every kind of damage.

use redb::{Key, TableDefinition, Value};

use super::{begin, commit};
use crate::tables::{BLOCKS, HEIGHTS, JOURNAL, STATE, STATE_HISTORY, TIP, TREE, TREE_HISTORY, TXS};
use crate::{ChainStore, StoreError, Tip};

fn chain() -> ChainStore {
    let store = ChainStore::in_memory().expect("made");
    begin(&store);
    (1..=9).for_each(|height| assert!(commit(&store, height).expect("committed")));
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
    let found = [
        ("state", put(STATE, ("bank", total), b"9")),
        ("state, extra key", put(STATE, ("bank", extra), b"9")),
        ("unknown store", put(STATE, ("gov", extra), b"9")),
        ("history", put(STATE_HISTORY, ("bank", total, 5), &[1, 7])),
        ("history, missing", cut(STATE_HISTORY, ("bank", total, 5))),
        ("tree, missing", cut(TREE, ("bank", root))),
        ("tree history, missing", cut(TREE_HISTORY, ("bank", root, 4))),
        ("journal, missing", cut(JOURNAL, (4, 0))),
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
