//! Commits, crashes and roots.

mod archive;
mod check;
mod crash;
mod faults;
mod formats;
mod kills;
mod logged;
mod past;
mod proofs;
mod rollback;
mod roots;

use crate::{BlockWrite, ChainStore, Change, Disks, Hash, StateTries, Step, StoreError};

pub(crate) const STORES: [&str; 3] = ["auth", "bank", "proof"];

/// Blocks whose state the stores of these tests keep.
pub(crate) const RETAIN: u32 = 3;

/// Store, key, and the value that is set or `None`.
type Write = (&'static str, Vec<u8>, Option<Vec<u8>>);

/// Block `height` of a chain in which every block writes, overwrites and removes keys.
pub(crate) struct TestBlock {
    height: i64,
    keys: Vec<Write>,
    bytes: Vec<u8>,
    tx: Hash,
}

impl TestBlock {
    pub(crate) fn new(height: i64) -> Self {
        let key = |n: i64| n.to_be_bytes().to_vec();
        let keys = vec![
            ("bank", b"total".to_vec(), Some(key(height))),
            ("auth", key(height), Some(vec![7; 100])),
            ("auth", key(height - 2), None),
            ("proof", key(height % 5), Some(key(height))),
        ];
        Self {
            height,
            keys,
            bytes: format!("block {height}").into_bytes(),
            tx: Self::hash(height, 2),
        }
    }

    pub(crate) fn hash(height: i64, kind: u8) -> Hash {
        let mut hash = [kind; 32];
        hash[..8].copy_from_slice(&height.to_be_bytes());
        hash
    }

    pub(crate) fn tx(&self) -> Hash {
        self.tx
    }

    pub(crate) fn changes(&self) -> impl Iterator<Item = Change<'_>> {
        self.keys
            .iter()
            .map(|(store, key, value)| (*store, key.as_slice(), value.as_deref()))
    }

    pub(crate) fn write<'a>(&'a self, tries: &'a StateTries) -> BlockWrite<'a> {
        BlockWrite {
            height: self.height,
            id: Self::hash(self.height, 1),
            app_hash: tries.app_hash(),
            tries,
            block: &self.bytes,
            results: &self.bytes,
            certificate: b"signed",
            tx_hashes: std::slice::from_ref(&self.tx),
        }
    }
}

/// App hash after `height`, computed without a store.
pub(crate) fn expected_root(height: i64) -> Hash {
    expected_tries(height).app_hash()
}

/// Tries after `height`, made without a store.
pub(crate) fn expected_tries(height: i64) -> StateTries {
    let mut tries = StateTries::new(&STORES);
    for height in 1..=height {
        tries
            .apply(TestBlock::new(height).changes())
            .expect("known stores");
    }
    tries
}

pub(crate) fn begin(store: &ChainStore) {
    let tries = StateTries::new(&STORES);
    store.init(b"{}", &tries, []).expect("written");
}

pub(crate) fn commit(store: &ChainStore, height: i64) -> Result<bool, StoreError> {
    let block = TestBlock::new(height);
    store.commit(&block.write(&expected_tries(height)), block.changes())
}

/// Everything in the store is of `height`, and nothing is above.
pub(crate) fn assert_whole(store: &ChainStore, height: i64) {
    let snapshot = store.snapshot().expect("readable");
    let tip = snapshot.tip().expect("a tip");
    assert_eq!(tip.height, height);
    assert_eq!(tip.app_hash, expected_root(height));
    let tries = snapshot.load_tries(&STORES).expect("the recorded root");
    assert_eq!(tries.app_hash(), tip.app_hash);
    for at in 1..=height {
        let block = TestBlock::new(at);
        assert_eq!(snapshot.block(at).expect("readable"), Some(block.bytes.clone()));
        assert_eq!(snapshot.results(at).expect("readable"), Some(block.bytes));
        assert!(snapshot.certificate(at).expect("readable").is_some());
        let id = TestBlock::hash(at, 1);
        assert_eq!(snapshot.block_id(at).expect("readable"), Some(id));
        assert_eq!(snapshot.height_of(&id).expect("readable"), Some(at));
        assert_eq!(snapshot.app_hash(at).expect("readable"), Some(expected_root(at)));
        assert_eq!(snapshot.tx(&block.tx).expect("readable"), Some((at, 0)));
    }
    assert_eq!(snapshot.check(|_| ()).expect("readable").faults, [""; 0]);
    let next = height + 1;
    assert_eq!(snapshot.block(next).expect("readable"), None);
    assert_eq!(snapshot.results(next).expect("readable"), None);
    assert_eq!(snapshot.block_id(next).expect("readable"), None);
    assert_eq!(snapshot.tx(&TestBlock::new(next).tx).expect("readable"), None);
}

#[test]
fn commits_block_after_block_and_finds_everything_again() {
    let store = ChainStore::in_memory().expect("made");
    assert!(store.snapshot().expect("readable").tip().is_none());
    begin(&store);
    for height in 1..=7 {
        assert!(commit(&store, height).expect("committed"));
    }
    assert_whole(&store, 7);
}

#[test]
fn commits_a_block_once() {
    let store = ChainStore::in_memory().expect("made");
    begin(&store);
    for height in [1, 2] {
        commit(&store, height).expect("committed");
    }
    assert!(!commit(&store, 2).expect("known"));
    assert!(!commit(&store, 1).expect("known"));
    assert_whole(&store, 2);
}

#[test]
fn refuses_gaps_forks_and_a_second_genesis() {
    let store = ChainStore::in_memory().expect("made");
    assert!(matches!(
        commit(&store, 1),
        Err(StoreError::Gap { height: 1, tip: -1 })
    ));
    begin(&store);
    commit(&store, 1).expect("committed");
    assert!(matches!(
        commit(&store, 3),
        Err(StoreError::Gap { height: 3, tip: 1 })
    ));
    let other = TestBlock::new(1);
    let tries = expected_tries(1);
    let mut fork = other.write(&tries);
    fork.id = [9; 32];
    assert!(matches!(
        store.commit(&fork, other.changes()),
        Err(StoreError::Fork { height: 1, .. })
    ));
    assert!(matches!(
        store.init(b"{}", &StateTries::new(&STORES), []),
        Err(StoreError::Gap { .. })
    ));
    assert_whole(&store, 1);
}

#[test]
fn a_snapshot_does_not_see_later_blocks() {
    let store = ChainStore::in_memory().expect("made");
    begin(&store);
    commit(&store, 1).expect("committed");
    let before = store.snapshot().expect("readable");
    commit(&store, 2).expect("committed");
    let total = |snapshot: &crate::Snapshot| snapshot.get("bank", b"total").expect("readable");
    assert_eq!(total(&before), Some(1_i64.to_be_bytes().to_vec()));
    assert_eq!(
        total(&store.snapshot().expect("readable")),
        Some(2_i64.to_be_bytes().to_vec())
    );
}

#[test]
fn ranges_end_at_their_limit_their_bound_and_their_store() {
    let store = ChainStore::in_memory().expect("made");
    let keys: [&[u8]; 4] = [b"0", b"a", b"ab", b"b"];
    let changes = STORES
        .iter()
        .flat_map(|store| keys.map(|key| (*store, key, Some(store.as_bytes()))));
    let mut tries = StateTries::new(&STORES);
    tries.apply(changes.clone()).expect("known stores");
    store.init(b"{}", &tries, changes).expect("written");
    let snapshot = store.snapshot().expect("readable");
    let range = |from: &[u8], to: Option<&[u8]>, limit| {
        let entries = snapshot.range("bank", from, to, limit).expect("readable");
        assert!(entries.iter().all(|(_, value)| value == b"bank"));
        entries.into_iter().map(|(key, _)| key).collect::<Vec<_>>()
    };
    assert_eq!(range(b"", None, 9), keys.map(<[u8]>::to_vec));
    assert_eq!(range(b"a", Some(b"b"), 9), [b"a".to_vec(), b"ab".to_vec()]);
    assert_eq!(range(b"a", None, 2), [b"a".to_vec(), b"ab".to_vec()]);
    assert!(range(b"a", None, 0).is_empty());
    assert!(range(b"b", Some(b"a"), 9).is_empty());
}

#[test]
fn refuses_a_block_whose_root_is_not_that_of_its_tries() {
    let store = ChainStore::in_memory().expect("made");
    begin(&store);
    let (block, tries) = (TestBlock::new(1), expected_tries(1));
    let mut write = block.write(&tries);
    write.app_hash = expected_root(2);
    let error = store.commit(&write, block.changes()).expect_err("another root");
    assert!(error.to_string().contains("after block 1"), "{error}");
    assert_whole(&store, 0);
}

#[test]
fn goes_no_further_than_a_block_whose_root_is_not_that_of_its_changes() {
    let disks = Disks::in_memory();
    let store = ChainStore::on(disks.clone(), RETAIN).expect("made");
    begin(&store);
    commit(&store, 1).expect("committed");
    store.settle().expect("written");
    let block = TestBlock::new(2);
    let lost = block.changes().skip(1);
    store
        .commit(&block.write(&expected_tries(2)), lost)
        .expect("nobody looks yet");
    for _ in 0..2 {
        let error = store.settle().expect_err("one change is lost");
        assert!(error.to_string().contains("after block 2"), "{error}");
        let error = commit(&store, 3).expect_err("nothing follows");
        assert!(error.to_string().contains("after block 2"), "{error}");
    }
    drop(store);
    let Err(error) = ChainStore::on(disks.clone(), RETAIN) else {
        panic!("opened with a block that is wrong");
    };
    assert!(error.to_string().contains("after block 2"), "{error}");
    let tables = Disks {
        tables: disks.tables,
        ..Disks::in_memory()
    };
    assert_whole(&ChainStore::on(tables, RETAIN).expect("without the log"), 1);
}

#[test]
fn refuses_to_open_a_chain_with_other_stores() {
    let store = ChainStore::in_memory().expect("made");
    begin(&store);
    assert!(matches!(
        store.load_tries(&["auth", "bank"]),
        Err(StoreError::Stores { .. })
    ));
}

#[test]
fn an_abandoned_commit_leaves_nothing() {
    let store = ChainStore::in_memory().expect("made");
    begin(&store);
    commit(&store, 1).expect("committed");
    for at in [Step::Begun, Step::Appended] {
        let block = TestBlock::new(2);
        let fail = |step| {
            if step == at {
                Err(StoreError::Abandoned)
            } else {
                Ok(())
            }
        };
        let result = store.commit_observed(&block.write(&expected_tries(2)), block.changes(), fail);
        assert!(matches!(result, Err(StoreError::Abandoned)), "{at:?}");
        assert_whole(&store, 1);
    }
    commit(&store, 2).expect("committed");
    assert_whole(&store, 2);
    for at in [
        Step::State,
        Step::Tree,
        Step::Block,
        Step::Index,
        Step::Forgotten,
        Step::Tip,
    ] {
        let fail = |step| {
            if step == at {
                Err(StoreError::Abandoned)
            } else {
                Ok(())
            }
        };
        assert!(
            matches!(store.settle_observed(fail), Err(StoreError::Abandoned)),
            "{at:?}"
        );
        assert_whole(&store, 2);
    }
    commit(&store, 3).expect("committed");
    store.settle().expect("written");
    assert_whole(&store, 3);
}

#[test]
fn a_second_process_is_told_that_the_store_is_open() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("chain.redb");
    let _first = ChainStore::open(&path, RETAIN).expect("opened");
    assert!(matches!(
        ChainStore::open(&path, RETAIN),
        Err(StoreError::Open { .. })
    ));
}
