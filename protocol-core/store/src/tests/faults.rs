//! A disk that is full, or fails, at any write of a commit.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU8, Ordering};

use portico_disk::Disk;
use redb::StorageBackend;
use redb::backends::InMemoryBackend;

use super::{RETAIN, TestBlock, assert_whole, begin, commit, expected_root, expected_tries};
use crate::{ChainStore, Disks, StoreError};

/// How writes fail once there are no more good ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// Writes and growth fail until somebody makes space.
    Full = 1,
    /// Nothing can be written or synced.
    Broken = 2,
    /// The write is done by half.
    Torn = 3,
    /// Data are written, but syncing fails.
    Unsynced = 4,
    /// One operation fails, the next ones do not.
    Once = 5,
}

/// A disk in memory on which the next `good` writes succeed.
#[derive(Debug)]
struct FaultyDisk {
    files: [InMemoryBackend; 3],
    good: AtomicI64,
    fault: AtomicU8,
}

impl FaultyDisk {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            files: std::array::from_fn(|_| InMemoryBackend::new()),
            good: AtomicI64::new(i64::MAX),
            fault: AtomicU8::new(0),
        })
    }

    fn fail_after(&self, good: i64, fault: Fault) {
        self.fault.store(fault as u8, Ordering::SeqCst);
        self.good.store(good, Ordering::SeqCst);
    }

    /// The tables and the log of a store.
    fn disks(self: &Arc<Self>) -> Disks {
        let file = |index| -> Disk { Arc::new(FaultyFile(Arc::clone(self), index)) };
        Disks {
            tables: file(0),
            logs: [file(1), file(2)],
        }
    }

    fn heal(&self) {
        self.good.store(i64::MAX, Ordering::SeqCst);
    }

    /// Whether an operation of this kind fails now.
    fn fails(&self, faults: &[Fault]) -> bool {
        let left = self.good.fetch_sub(1, Ordering::SeqCst);
        let fault = self.fault.load(Ordering::SeqCst);
        if left <= 0 && fault == Fault::Once as u8 {
            self.heal();
            return true;
        }
        left <= 0 && faults.iter().any(|one| *one as u8 == fault)
    }
}

fn no_space() -> io::Error {
    io::Error::from(io::ErrorKind::StorageFull)
}

/// One of the files on a disk.
#[derive(Debug)]
struct FaultyFile(Arc<FaultyDisk>, usize);

impl FaultyFile {
    fn fails(&self, faults: &[Fault]) -> bool {
        self.0.fails(faults)
    }

    fn disk(&self) -> &InMemoryBackend {
        &self.0.files[self.1]
    }
}

impl StorageBackend for FaultyFile {
    fn len(&self) -> io::Result<u64> {
        self.disk().len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.disk().read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        match self.fails(&[Fault::Full, Fault::Broken]) {
            true => Err(no_space()),
            false => self.disk().set_len(len),
        }
    }

    fn sync_data(&self) -> io::Result<()> {
        match self.fails(&[Fault::Broken, Fault::Unsynced]) {
            true => Err(io::Error::other("EIO")),
            false => self.disk().sync_data(),
        }
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        if self.fails(&[Fault::Full, Fault::Broken, Fault::Torn]) {
            if self.0.fault.load(Ordering::SeqCst) == Fault::Torn as u8 {
                self.disk().write(offset, &data[..data.len() / 2])?;
            }
            return Err(no_space());
        }
        self.disk().write(offset, data)
    }
}

/// Block 5 of a chain of four fails with this fault after so many good writes; returns whether it did.
fn one_failure(fault: Fault, good: i64) -> bool {
    let disk = FaultyDisk::new();
    let store = ChainStore::on(disk.disks(), RETAIN).expect("made");
    begin(&store);
    (1..=4).for_each(|height| assert!(commit(&store, height).expect("committed")));
    disk.fail_after(good, fault);
    let committed = commit(&store, 5);
    let there = committed.is_ok();
    let failed = match committed.and_then(|_| store.settle()) {
        Ok(()) => false,
        Err(error) => {
            assert!(error.is_unwritable(), "{fault:?} after {good}: {error}");
            true
        }
    };
    if failed && fault != Fault::Once {
        // Reads go on; the block is there when its record is, whether the tables can be written or not.
        assert_whole(&store, if there { 5 } else { 4 });
        assert!(store.is_read_only());
        if fault != Fault::Unsynced {
            let again = if there {
                store.settle()
            } else {
                commit(&store, 5).map(|_| ())
            };
            assert!(again.expect_err("it still fails").is_unwritable());
            assert_whole(&store, if there { 5 } else { 4 });
        }
    }
    disk.heal();
    assert_eq!(commit(&store, 5).expect("there is space again"), !there);
    store.settle().expect("there is space again");
    assert!(!store.is_read_only());
    assert_whole(&store, 5);
    commit(&store, 6).expect("committed");
    drop(store);
    let store = ChainStore::on(disk.disks(), RETAIN).expect("opened again");
    assert_whole(&store, 6);
    failed
}

#[test]
fn a_disk_that_fails_at_any_write_costs_nothing_but_time() {
    for fault in [
        Fault::Full,
        Fault::Broken,
        Fault::Torn,
        Fault::Unsynced,
        Fault::Once,
    ] {
        let failures = (0..).take_while(|good| one_failure(fault, *good)).count();
        assert!(failures > 3, "{fault:?}: {failures} places to fail");
    }
}

#[test]
fn a_crash_while_the_disk_is_full_leaves_the_last_block() {
    for good in 0..8 {
        let disk = FaultyDisk::new();
        let store = ChainStore::on(disk.disks(), RETAIN).expect("made");
        begin(&store);
        (1..=4).for_each(|height| assert!(commit(&store, height).expect("committed")));
        disk.fail_after(good, Fault::Full);
        let _ = commit(&store, 5);
        let tip = store.snapshot().expect("readable").tip().expect("a tip").height;
        std::mem::forget(store); // nothing is closed
        disk.heal();
        let store = ChainStore::on(disk.disks(), RETAIN).expect("opened again");
        assert_whole(&store, tip);
    }
}

#[test]
fn a_store_that_only_reads_serves_older_heights_and_proofs() {
    let disk = FaultyDisk::new();
    let store = ChainStore::on(disk.disks(), RETAIN).expect("made");
    begin(&store);
    (1..=4).for_each(|height| assert!(commit(&store, height).expect("committed")));
    disk.fail_after(0, Fault::Full);
    let block = TestBlock::new(5);
    let refused = store.commit(&block.write(&expected_tries(5)), block.changes());
    assert!(matches!(refused, Err(StoreError::Unwritable(_))));
    let proof = store
        .at(2)
        .expect("retained")
        .prove("bank", b"total")
        .expect("proved");
    assert_eq!(proof.value, Some(2_i64.to_be_bytes().to_vec()));
    assert_eq!(proof.app_hash, expected_root(2));
    assert!(matches!(
        store.rollback(3, |_| ()),
        Err(StoreError::Unwritable(_))
    ));
    disk.heal();
    assert_eq!(store.rollback(3, |_| ()).expect("space again").height, 3);
}
