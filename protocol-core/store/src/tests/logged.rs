//! The log: what is torn, what is damaged, and what is read before it is in the tables.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use proptest::prelude::*;
use redb::StorageBackend;
use redb::backends::InMemoryBackend;

use super::past::{State, batches, commit_batches};
use super::{RETAIN, STORES, TestBlock, assert_whole, begin, commit, expected_root, expected_tries};
use crate::live::MAX_LAYERS;
use crate::tables::{META, META_FORMAT};
use crate::{ChainStore, Disks, StateTries, StoreError};

/// Everything in a file of the log.
fn contents(disks: &Disks) -> Vec<u8> {
    let log = &disks.logs[0];
    let mut bytes = vec![0; usize::try_from(log.len().expect("known")).expect("small")];
    log.read(0, &mut bytes).expect("read");
    bytes
}

/// The tables of `disks` as they are, with another log.
fn with_log(disks: &Disks, bytes: &[u8]) -> Disks {
    let copy = Disks::in_memory();
    let mut tables = vec![0; usize::try_from(disks.tables.len().expect("known")).expect("small")];
    disks.tables.read(0, &mut tables).expect("read");
    for (file, bytes) in [(&copy.tables, tables.as_slice()), (&copy.logs[0], bytes)] {
        file.set_len(bytes.len() as u64).expect("grown");
        file.write(0, bytes).expect("written");
    }
    copy
}

/// Tables at block 1, and blocks 2, 3 and 4 in the log, with where each record ends.
fn three() -> (Disks, Vec<usize>) {
    let disks = Disks::in_memory();
    let store = ChainStore::on(disks.clone(), 10).expect("made");
    begin(&store);
    commit(&store, 1).expect("committed");
    store.settle().expect("written");
    let ends = (2..=4).map(|height| {
        commit(&store, height).expect("committed");
        contents(&disks).len()
    });
    let ends = ends.collect();
    let crashed = with_log(&disks, &contents(&disks));
    drop(store);
    (crashed, ends)
}

#[test]
fn the_last_record_may_end_anywhere() {
    let (disks, ends) = three();
    let log = contents(&disks);
    for len in (0..=log.len()).step_by(7).chain(ends.iter().copied()) {
        let store = ChainStore::on(with_log(&disks, &log[..len]), 10).expect("opened");
        let whole = ends.iter().filter(|end| **end <= len).count();
        assert_whole(&store, 1 + i64::try_from(whole).expect("few"));
        let zeros = [&log[..len], &[0; 600]].concat(); // the file grew, and what was written there did not arrive
        assert!(ChainStore::on(with_log(&disks, &zeros), 10).is_ok());
    }
}

#[test]
fn a_damaged_byte_before_the_last_record_is_an_error_wherever_it_is() {
    let (disks, ends) = three();
    let log = contents(&disks);
    for at in 0..ends[1] {
        let mut damaged = log.clone();
        damaged[at] ^= 1 << (at % 8);
        let Err(error) = ChainStore::on(with_log(&disks, &damaged), 10) else {
            panic!("opened with byte {at} damaged");
        };
        let text = error.to_string();
        assert!(
            matches!(error, StoreError::Damaged(_)) && text.contains("restore"),
            "{text}"
        );
    }
    let lost = [&log[..ends[0]], &log[ends[1]..]].concat();
    assert!(matches!(
        ChainStore::on(with_log(&disks, &lost), 10),
        Err(StoreError::Damaged(_))
    ));
}

#[test]
fn a_block_cannot_look_like_records() {
    let (disks, ends) = three();
    let log = contents(&disks);
    let store = ChainStore::on(with_log(&disks, &log[..ends[0]]), 10).expect("opened");
    store.settle().expect("written");
    let (block, tries) = (TestBlock::new(3), expected_tries(3));
    let mut write = block.write(&tries);
    write.block = &log[ends[0]..]; // whole records of blocks 3 and 4, as somebody could send them in a transaction
    let before = Disks::in_memory();
    let tables = {
        let crashed = ChainStore::on(before.clone(), 10).expect("made");
        begin(&crashed);
        (1..=2).for_each(|height| assert!(commit(&crashed, height).expect("committed")));
        crashed.settle().expect("written");
        crashed.commit(&write, block.changes()).expect("committed");
        let log = contents(&before);
        with_log(&before, &log[..log.len() - 1])
    };
    let store = ChainStore::on(tables, 10).expect("its end is torn");
    assert_whole(&store, 2);
}

#[test]
fn a_log_of_another_store_is_refused() {
    let (disks, _) = three();
    let other = Disks::in_memory();
    let refused = |disks: Disks| match ChainStore::on(disks, 10) {
        Err(StoreError::Damaged(text)) => text,
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("opened"),
    };
    let tables = with_log(&other, &contents(&disks));
    assert!(refused(tables).contains("no genesis"));
    let store = ChainStore::on(other.clone(), 10).expect("made");
    begin(&store);
    drop(store);
    assert!(refused(with_log(&other, &contents(&disks))).contains("does not follow"));
}

#[test]
fn a_store_of_format_3_is_read_and_becomes_one_of_format_4() {
    let format = |store: &ChainStore| {
        let read = store.settled_read().expect("readable");
        let row = read.open_table(META).expect("there").get(META_FORMAT);
        row.expect("read").expect("there").value().to_vec()
    };
    let disks = Disks::in_memory();
    let store = ChainStore::on(disks.clone(), 10).expect("made");
    begin(&store);
    (1..=5).for_each(|height| assert!(commit(&store, height).expect("committed")));
    store.settle().expect("written");
    let set = |number: u32| {
        store.transact(|write| {
            write
                .open_table(META)?
                .insert(META_FORMAT, number.to_le_bytes().as_slice())?;
            Ok(true)
        })
    };
    set(3).expect("written");
    let old = with_log(&disks, &[]);
    for other in [2, 5] {
        set(other).expect("written");
        let found = match ChainStore::on(with_log(&disks, &[]), 10) {
            Err(StoreError::Format { found, .. }) => found,
            _ => panic!("opened with format {other}"),
        };
        assert_eq!(found, other);
    }
    let store = ChainStore::on(old.clone(), 10).expect("opened");
    assert_whole(&store, 5);
    assert_eq!(format(&store), 4_u32.to_le_bytes());
    commit(&store, 6).expect("committed");
    drop(store);
    assert_whole(&ChainStore::on(old, 10).expect("opened"), 6);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn proofs_are_the_same_from_memory_and_from_pages(batches in batches(), settled in 0..12_usize) {
        let store = ChainStore::in_memory().expect("made");
        store.init(b"{}", &StateTries::new(&STORES), []).expect("written");
        let settled = settled.min(batches.len());
        let mut states = commit_batches(&store, &batches[..settled], 1, State::new());
        store.settle().expect("written");
        let last = states.pop().expect("one");
        commit_batches(&store, &batches[settled..], 1 + i64::try_from(settled).expect("few"), last);
        let logged = store.snapshot().expect("readable");
        store.settle().expect("written");
        let written = store.snapshot().expect("readable");
        prop_assert_eq!(logged.tip(), written.tip());
        for height in 0..=i64::try_from(batches.len()).expect("few") {
            let (logged, written) = (logged.at(height).expect("there"), written.at(height).expect("there"));
            prop_assert_eq!(logged.roots().expect("readable"), written.roots().expect("readable"));
            let keys = (0..3_u8).flat_map(|a| (0..3).map(move |b| vec![a, b])).chain((0..3).map(|a| vec![a]));
            for (key, name) in keys.flat_map(|key| STORES.map(|name| (key.clone(), name))) {
                prop_assert_eq!(logged.prove(name, &key).expect("proved"), written.prove(name, &key).expect("proved"));
            }
        }
    }
}

/// Tables that take no writes for a while.
#[derive(Debug)]
struct Refusing(InMemoryBackend, AtomicBool);

impl StorageBackend for Refusing {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        match self.1.load(Ordering::SeqCst) {
            true => Err(io::ErrorKind::StorageFull.into()),
            false => self.0.write(offset, data),
        }
    }
}

#[test]
fn tables_that_take_no_writes_hold_commits_up_at_the_bound_and_no_reader() {
    let tables = Arc::new(Refusing(InMemoryBackend::new(), false.into()));
    let disks = Disks {
        tables: tables.clone(),
        ..Disks::in_memory()
    };
    let store = ChainStore::on(disks.clone(), RETAIN).expect("made");
    begin(&store);
    commit(&store, 1).expect("committed");
    store.settle().expect("written");
    let early = store.snapshot().expect("readable");
    tables.1.store(true, Ordering::SeqCst);
    let last = 1 + i64::try_from(MAX_LAYERS).expect("few");
    (2..=last).for_each(|height| assert!(commit(&store, height).expect("committed")));
    assert!(commit(&store, last + 1).expect_err("no room").is_unwritable());
    let value = |snapshot: &crate::Snapshot| snapshot.get("bank", b"total").expect("readable");
    assert_eq!(value(&early), Some(1_i64.to_be_bytes().to_vec()));
    assert_eq!(
        early.prove("bank", b"total").expect("proved").app_hash,
        expected_root(1)
    );
    assert_eq!(
        value(&store.snapshot().expect("readable")),
        Some(last.to_be_bytes().to_vec())
    );
    tables.1.store(false, Ordering::SeqCst);
    commit(&store, last + 1).expect("room again");
    drop(store);
    assert_whole(&ChainStore::on(disks, RETAIN).expect("opened"), last + 1);
}
