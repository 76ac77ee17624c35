//! A process that dies while it commits, and what the next one finds.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use super::{RETAIN, TestBlock, assert_whole, begin, commit, expected_tries};
use crate::{ChainStore, Step};

/// Names the file to the dying process.
const FILE: &str = "PORTICO_TEST_STORE";
/// Names the step at which it dies; without it it commits until it is killed.
const STEP: &str = "PORTICO_TEST_STEP";

/// Names the height at whose undoing it dies.
const UNDONE: &str = "PORTICO_TEST_UNDONE";

/// Not a test by itself: the process that the tests below start and lose.
#[test]
#[ignore = "the tests of this file run it as a process of its own"]
fn child() {
    let Some(path) = std::env::var_os(FILE) else {
        return;
    };
    let store = ChainStore::open(Path::new(&path), RETAIN).expect("opened");
    if let Ok(height) = std::env::var(UNDONE) {
        store
            .rollback(2, |undone| {
                if undone.to_string() == height {
                    std::process::abort()
                }
            })
            .expect("retained");
        return;
    }
    begin(&store);
    let last = match std::env::var(STEP) {
        Ok(step) => {
            (1..=3).for_each(|height| assert!(commit(&store, height).expect("committed")));
            let block = TestBlock::new(4);
            let die = |at| {
                if format!("{at:?}") == step {
                    std::process::abort();
                }
                Ok(())
            };
            let _ = store.commit_observed(&block.write(&expected_tries(4)), block.changes(), die);
            let _ = store.settle_observed(die);
            4
        }
        Err(_) => 0,
    };
    for height in last + 1..500 {
        commit(&store, height).expect("committed");
        println!("{height}");
    }
}

fn start(path: &Path, step: Option<Step>) -> std::process::Child {
    let mut command = Command::new(std::env::current_exe().expect("known"));
    command
        .args(["--exact", "tests::crash::child", "--ignored", "--nocapture"])
        .env(FILE, path)
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    if let Some(step) = step {
        command.env(STEP, format!("{step:?}"));
    }
    command.spawn().expect("started")
}

#[test]
fn a_crash_at_any_step_leaves_the_block_whole_or_absent() {
    for step in Step::ALL {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("chain.redb");
        let status = start(&path, Some(step)).wait().expect("ended");
        assert!(!status.success(), "{step:?}: it was to die");
        let store = ChainStore::open(&path, RETAIN).expect("opened");
        assert_whole(&store, if step == Step::Begun { 3 } else { 4 });
        commit(&store, 4).expect("committed again, or known");
        assert_whole(&store, 4);
    }
}

#[test]
fn kill_9_loses_no_acknowledged_block() {
    for acknowledged in [1, 2, 5, 11, 23] {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("chain.redb");
        let mut child = start(&path, None);
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let heights = lines.filter_map(|line| line.ok()?.parse::<i64>().ok());
        let seen = heights
            .take_while(|height| *height <= acknowledged)
            .take(usize::try_from(acknowledged).expect("small"))
            .last();
        child.kill().expect("killed");
        child.wait().expect("ended");
        let store = ChainStore::open(&path, RETAIN).expect("opened");
        let tip = store.snapshot().expect("readable").tip().expect("a tip").height;
        assert!(tip >= seen.expect("it committed"), "{tip} < {seen:?}");
        assert_whole(&store, tip);
    }
}

#[test]
fn a_crash_in_a_rollback_leaves_every_block() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("chain.redb");
    let store = ChainStore::open(&path, RETAIN).expect("opened");
    begin(&store);
    (1..=5).for_each(|height| assert!(commit(&store, height).expect("committed")));
    drop(store);
    for height in 3..=5 {
        let status = Command::new(std::env::current_exe().expect("known"))
            .args(["--exact", "tests::crash::child", "--ignored", "--nocapture"])
            .env(FILE, &path)
            .env(UNDONE, height.to_string())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .expect("started");
        assert!(!status.success(), "{height}: it was to die");
        assert_whole(&ChainStore::open(&path, RETAIN).expect("opened"), 5);
    }
}
