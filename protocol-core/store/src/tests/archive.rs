//! Snapshots: online, named by chunk when wrong, there whole or not at all.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use super::rollback::copy;
use super::{RETAIN, STORES, TestBlock, assert_whole, begin, commit};
use crate::versioned::value_of;
use crate::{About, BlockWrite, ChainStore, Manifest, StateTries, StoreError};

fn about(_: &crate::Snapshot) -> Result<About, StoreError> {
    Ok(About {
        chain_id: "test".into(),
        header: vec![1, 2, 3],
    })
}

/// A chain of twelve blocks in `folder`.
fn chain(folder: &Path) -> ChainStore {
    let store = ChainStore::open(&folder.join("chain.redb"), RETAIN).expect("opened");
    begin(&store);
    (1..=12).for_each(|height| assert!(commit(&store, height).expect("committed")));
    store
}

/// A chain of one block with so many bytes of state that there are several chunks.
fn large(folder: &Path) -> ChainStore {
    let store = ChainStore::open(&folder.join("chain.redb"), RETAIN).expect("opened");
    let mut tries = StateTries::new(&STORES);
    store.init(b"{}", &tries, []).expect("written");
    let keys: Vec<[u8; 4]> = (0..3_000_u32).map(u32::to_be_bytes).collect();
    let value = [7; 1_000];
    let changes = || {
        keys.iter()
            .map(|key| ("bank", key.as_slice(), Some(value.as_slice())))
    };
    tries.apply(changes()).expect("known");
    let write = BlockWrite {
        height: 1,
        id: [1; 32],
        app_hash: tries.app_hash(),
        tries: &tries,
        block: b"block",
        results: b"results",
        certificate: b"certificate",
        tx_hashes: &[],
    };
    store.commit(&write, changes()).expect("committed");
    store
}

#[test]
fn a_restored_store_has_every_row_and_makes_the_next_block() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = chain(dir.path());
    let folder = dir.path().join("snapshot");
    let made = store.write_snapshot(&folder, about, |_| ()).expect("written");
    assert_eq!(
        (made.height, made.oldest, made.chain_id.as_str()),
        (12, 9, "test")
    );
    assert_eq!(made.header, "010203");
    commit(&store, 13).expect("blocks go on");
    assert_eq!(Manifest::verify(&folder, |_| ()).expect("right"), made);
    let path = dir.path().join("restored.redb");
    Manifest::restore(&folder, &path, |_| ()).expect("restored");
    let restored = ChainStore::open(&path, RETAIN).expect("opened");
    assert_whole(&restored, 12);
    store.rollback(12, |_| ()).expect("retained");
    let (mut a, mut b) = (copy(&restored), copy(&store));
    for copy in [&mut a, &mut b] {
        // Block 13 made the original forget height 9.
        copy.retain(|(table, key), _| *table != 0 || key != b"oldest");
        copy.retain(|(table, _), _| ![3, 5, 6].contains(table));
        copy.retain(|(table, _), row| ![2, 4].contains(table) || value_of(row).expect("a row").is_some());
    }
    assert!(a == b, "every row");
    commit(&restored, 13).expect("committed");
    assert_whole(&restored, 13);
}

#[test]
fn a_snapshot_is_of_one_block_although_blocks_go_on_meanwhile() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = large(dir.path());
    let folder = dir.path().join("snapshot");
    let mut height = 1;
    let made = store.write_snapshot(&folder, about, |_| {
        height += 1;
        let block = TestBlock::new(height);
        let mut tries = store.load_tries(&STORES).expect("sound");
        tries.apply(block.changes()).expect("known");
        store
            .commit(&block.write(&tries), block.changes())
            .expect("committed");
    });
    let made = made.expect("written");
    assert!(made.chunks.len() >= 3, "{}", made.chunks.len());
    assert_eq!(
        (
            made.height,
            store.snapshot().expect("readable").tip().expect("one").height
        ),
        (1, height)
    );
    Manifest::verify(&folder, |_| ()).expect("right");
    let path = dir.path().join("restored.redb");
    Manifest::restore(&folder, &path, |_| ()).expect("restored");
    let restored = ChainStore::open(&path, RETAIN)
        .expect("opened")
        .load_tries(&STORES)
        .expect("sound");
    assert_eq!(crate::snapshot::hex(&restored.app_hash()), made.app_hash);
}

fn refused(folder: &Path, dir: &Path) -> String {
    let restored = dir.join("restored.redb");
    let errors = [
        Manifest::verify(folder, |_| ()).expect_err("wrong"),
        Manifest::restore(folder, &restored, |_| ()).expect_err("wrong"),
    ];
    assert!(!restored.exists());
    let names = errors.map(|error| match error {
        StoreError::Archive { file, .. } => file,
        other => panic!("{other}"),
    });
    assert_eq!(names[0], names[1]);
    names[0].clone()
}

#[test]
fn a_flipped_byte_is_named_by_its_chunk() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = large(dir.path());
    let folder = dir.path().join("snapshot");
    let made = store.write_snapshot(&folder, about, |_| ()).expect("written");
    for index in 0..made.chunks.len() {
        let path = folder.join(format!("chunk-{index:05}"));
        let right = fs::read(&path).expect("there");
        for at in [0, right.len() / 2, right.len() - 1] {
            let mut wrong = right.clone();
            wrong[at] ^= 0x10;
            fs::write(&path, wrong).expect("written");
            assert_eq!(refused(&folder, dir.path()), format!("chunk-{index:05}"));
        }
        for wrong in [&right[1..], &[right.as_slice(), &[0]].concat()] {
            fs::write(&path, wrong).expect("written");
            assert_eq!(refused(&folder, dir.path()), format!("chunk-{index:05}"));
        }
        fs::remove_file(&path).expect("removed");
        assert_eq!(refused(&folder, dir.path()), format!("chunk-{index:05}"));
        fs::write(&path, right).expect("written");
    }
    let path = folder.join("manifest.json");
    let right = fs::read_to_string(&path).expect("there");
    for wrong in [
        right.replace("\"height\": 1", "\"height\": 2"),
        right.replace(&made.app_hash, &made.block_id),
        right.replace("\"rows\"", "\"lines\""),
        right[..right.len() / 2].to_owned(),
    ] {
        assert_ne!(wrong, right);
        fs::write(&path, wrong).expect("written");
        assert_eq!(refused(&folder, dir.path()), "manifest.json");
    }
    fs::write(&path, right).expect("written");
    Manifest::verify(&folder, |_| ()).expect("right again");
}

#[test]
fn nothing_is_written_over() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = chain(dir.path());
    let folder = dir.path().join("snapshot");
    store.write_snapshot(&folder, about, |_| ()).expect("written");
    assert!(matches!(
        store.write_snapshot(&folder, about, |_| ()),
        Err(StoreError::Exists(_))
    ));
    let path = dir.path().join("chain.redb");
    assert!(matches!(
        Manifest::restore(&folder, &path, |_| ()),
        Err(StoreError::Exists(_))
    ));
    assert_whole(&store, 12);
}

/// Names the folder to the dying process.
const FOLDER: &str = "PORTICO_TEST_SNAPSHOT";
/// What it does: `create` or `restore`, and the chunk at which it dies.
const DIES: &str = "PORTICO_TEST_DIES";

/// Not a test by itself: the process that the test below starts and loses.
#[test]
#[ignore = "the test below runs it as a process of its own"]
fn child() {
    let (Some(folder), Ok(dies)) = (std::env::var_os(FOLDER), std::env::var(DIES)) else {
        return;
    };
    let dir = Path::new(&folder);
    let (what, at) = dies.split_once(' ').expect("two words");
    let die = |index| {
        if at == format!("{index}") {
            std::process::abort();
        }
    };
    if what == "create" {
        let store = ChainStore::open(&dir.join("chain.redb"), RETAIN).expect("opened");
        store
            .write_snapshot(&dir.join("second"), about, die)
            .expect("written");
    } else {
        Manifest::restore(&dir.join("first"), &dir.join("restored.redb"), die).expect("restored");
    }
}

#[test]
fn a_crash_leaves_nothing_under_the_final_name() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = large(dir.path());
    let first = store
        .write_snapshot(&dir.path().join("first"), about, |_| ())
        .expect("written");
    drop(store);
    for what in ["create", "restore"] {
        for at in 0..first.chunks.len() {
            let status = Command::new(std::env::current_exe().expect("known"))
                .args(["--exact", "tests::archive::child", "--ignored", "--nocapture"])
                .env(FOLDER, dir.path())
                .env(DIES, format!("{what} {at}"))
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status()
                .expect("started");
            assert!(!status.success(), "{what} {at}: it was to die");
            assert!(!dir.path().join("second").exists() && !dir.path().join("restored.redb").exists());
        }
    }
    let store = ChainStore::open(&dir.path().join("chain.redb"), RETAIN).expect("opened");
    let second = store
        .write_snapshot(&dir.path().join("second"), about, |_| ())
        .expect("written");
    assert_eq!(second, first);
    Manifest::restore(
        &dir.path().join("second"),
        &dir.path().join("restored.redb"),
        |_| (),
    )
    .expect("restored");
    let restored = ChainStore::open(&dir.path().join("restored.redb"), RETAIN).expect("opened");
    assert!(copy(&restored) == copy(&store), "every row");
}
