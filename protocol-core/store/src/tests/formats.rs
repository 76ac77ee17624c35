//! What earlier versions wrote is taken over: `testdata/` has the file and the snapshot of a chain that a program of format 3 made.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;

use super::{TestBlock, assert_whole, commit, expected_root};
use crate::{ChainStore, Manifest};

/// Blocks whose state the old chain kept.
const RETAIN: u32 = 5;

fn testdata(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata").join(name)
}

fn old_file(folder: &Path) -> PathBuf {
    let mut bytes = Vec::new();
    let packed = std::fs::File::open(testdata("format-3.redb.gz")).expect("there");
    GzDecoder::new(packed).read_to_end(&mut bytes).expect("whole");
    let path = folder.join("chain.redb");
    std::fs::write(&path, bytes).expect("written");
    path
}

/// The chain at height 12 with the past that it had, and on from there.
fn goes_on(store: &ChainStore) {
    assert_whole(store, 12);
    for height in 7..=12 {
        let at = store.at(height).expect("retained");
        let total = at.prove("bank", b"total").expect("proved");
        assert_eq!(total.value, Some(height.to_be_bytes().to_vec()));
        assert_eq!(total.app_hash, expected_root(height));
    }
    assert!(store.at(6).is_err());
    store.rollback(9, |_| ()).expect("retained");
    assert_whole(store, 9);
    for height in 10..=30 {
        assert!(commit(store, height).expect("committed"));
    }
    assert_whole(store, 30);
    store.settle().expect("settled");
    assert_whole(store, 30);
    assert_eq!(
        store
            .snapshot()
            .expect("readable")
            .tx(&TestBlock::new(2).tx())
            .expect("readable"),
        Some((2, 0))
    );
}

#[test]
fn a_file_of_format_3_is_taken_over_with_its_past() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = old_file(dir.path());
    let store = ChainStore::open(&path, RETAIN).expect("taken over");
    goes_on(&store);
    drop(store);
    assert_whole(&ChainStore::open(&path, RETAIN).expect("opened again"), 30);
}

#[test]
fn a_snapshot_of_format_3_is_restored_as_one_of_now() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("chain.redb");
    let verified = Manifest::verify(&testdata("snapshot-3"), |_| ()).expect("right");
    assert_eq!(
        (verified.store_format, verified.height, verified.oldest),
        (3, 12, 7)
    );
    Manifest::restore(&testdata("snapshot-3"), &path, |_| ()).expect("restored");
    goes_on(&ChainStore::open(&path, RETAIN).expect("opened"));
}
