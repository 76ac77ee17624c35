//! What an operator does with a chain's data: copies of a running node, checks, rollbacks, and a node that goes on from each.

mod common;

use std::path::Path;

use common::{CHAIN_ID, Running, config, genesis, key};
use portico_node::{NodeError, Upkeep, ask_for_snapshot, restore_snapshot, verify_snapshot};
use portico_protocol::{Height, Upokt};
use portico_store::StoreError;

/// A chain in `folder` with `blocks` blocks, each with a transfer of its height.
async fn chain(folder: &Path, blocks: u32) -> Running {
    let running = Running::at(config(folder), genesis(CHAIN_ID)).await;
    transfers(&running, blocks).await;
    running
}

async fn transfers(running: &Running, blocks: u32) {
    for _ in 0..blocks {
        let head = running.chain.head().borrow().height;
        let tx = running
            .transfer(1, u128::try_from(head.0).expect("positive"))
            .await;
        let sent = running.chain.broadcast(tx).await.expect("answered");
        assert_eq!(sent.code, 0, "{}", sent.log);
        running.reach(Height(head.0 + 1)).await;
    }
}

async fn balance(running: &Running) -> Upokt {
    running.chain.balance(&key(2).address()).await.expect("answered")
}

fn sound(folder: &Path) -> i64 {
    let report = Upkeep::open(folder)
        .expect("opened")
        .check(|_| ())
        .expect("readable");
    assert_eq!(report.faults, [""; 0]);
    report.tip.expect("one").height
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rolled_back_chain_is_what_it_was_and_goes_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let running = chain(folder.path(), 4).await;
    let (early, at) = (balance(&running).await, running.chain.head().borrow().clone());
    transfers(&running, 3).await;
    let late = balance(&running).await;
    assert!(late > early);
    let open = Upkeep::open(folder.path());
    assert!(
        matches!(open, Err(NodeError::Store(StoreError::Open { .. }))),
        "a node has it open"
    );
    running.stop().await.expect("in order");

    let upkeep = Upkeep::open(folder.path()).expect("opened");
    let blocks = upkeep.blocks(at.height.0 + 1).expect("there");
    let mut undone = Vec::new();
    let done = upkeep
        .rollback(3, |height| undone.push(height))
        .expect("retained");
    assert_eq!((done.from.height, done.to.height), (at.height.0 + 3, at.height.0));
    assert_eq!(done.to.block_id, at.hash);
    assert_eq!(
        undone,
        (at.height.0 + 1..=at.height.0 + 3).rev().collect::<Vec<_>>()
    );
    let beyond = upkeep.rollback(1_000, |_| ()).expect_err("there are not so many");
    assert!(
        matches!(
            beyond,
            NodeError::Store(StoreError::NotRetained { oldest: 0, .. })
        ),
        "{beyond}"
    );
    let mut roots = Vec::new();
    let upkeep = upkeep
        .replay(&blocks, |tip| roots.push(tip.app_hash))
        .expect("the same blocks");
    assert_eq!((roots.len(), roots.last()), (3, Some(&done.from.app_hash)));
    assert!(upkeep.rollback(3, |_| ()).is_ok());
    drop(upkeep);
    assert_eq!(sound(folder.path()), at.height.0);

    let again = Running::at(config(folder.path()), genesis(CHAIN_ID)).await;
    assert_eq!(again.chain.block(at.height).await.expect("there"), at);
    assert_eq!(balance(&again).await, early);
    transfers(&again, 3).await;
    assert!(balance(&again).await > early);
    again.stop().await.expect("in order");
    sound(folder.path());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_runs_is_copied_and_the_copy_goes_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let running = chain(&data, 3).await;
    let copy = folder.path().join("copy");
    let (from, to) = (data.clone(), copy.clone());
    let mut chunks = 0;
    let asked = tokio::task::spawn_blocking(move || ask_for_snapshot(&from, &to, |_| chunks += 1));
    let made = asked
        .await
        .expect("no panic")
        .expect("written")
        .expect("a node answers");
    let at = running.chain.head().borrow().height;
    assert_eq!((made.height, made.chain_id.as_str()), (at.0, CHAIN_ID));
    let copied = balance(&running).await;
    let (from, to) = (data.clone(), copy.clone());
    let again = tokio::task::spawn_blocking(move || ask_for_snapshot(&from, &to, |_| ()));
    let again = again
        .await
        .expect("no panic")
        .expect_err("it is there")
        .to_string();
    assert!(again.contains("exists already"), "{again}");
    transfers(&running, 2).await;
    running.stop().await.expect("in order");
    assert!(
        ask_for_snapshot(&data, &folder.path().join("later"), |_| ())
            .expect("no error")
            .is_none()
    );

    assert_eq!(verify_snapshot(&copy, |_| ()).expect("right"), made);
    let restored = folder.path().join("restored");
    restore_snapshot(&copy, &restored, |_| ()).expect("restored");
    assert_eq!(sound(&restored), at.0);
    let running = Running::at(config(&restored), genesis(CHAIN_ID)).await;
    assert_eq!(balance(&running).await, copied);
    transfers(&running, 2).await;
    running.stop().await.expect("in order");
    sound(&restored);
    assert!(
        restore_snapshot(&copy, &restored, |_| ()).is_err(),
        "nothing is written over"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_with_the_header_of_another_block_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let running = chain(folder.path(), 2).await;
    running.stop().await.expect("in order");
    let copy = folder.path().join("copy");
    let upkeep = Upkeep::open(folder.path()).expect("opened");
    let right = upkeep.write_snapshot(&copy, |_| ()).expect("written");
    upkeep.rollback(1, |_| ()).expect("retained");
    let older = upkeep
        .write_snapshot(&folder.path().join("older"), |_| ())
        .expect("written");
    let path = copy.join("manifest.json");
    let text = std::fs::read_to_string(&path).expect("there");
    std::fs::write(&path, text.replace(&right.header, &older.header)).expect("written");
    assert!(verify_snapshot(&copy, |_| ()).is_err());
    assert!(restore_snapshot(&copy, &folder.path().join("restored"), |_| ()).is_err());
}

#[test]
fn there_is_nothing_to_look_after_where_no_chain_is() {
    let folder = tempfile::tempdir().expect("a folder");
    assert!(matches!(
        Upkeep::open(folder.path()),
        Err(NodeError::NoChain { .. })
    ));
    assert!(
        std::fs::read_dir(folder.path())
            .expect("readable")
            .next()
            .is_none()
    );
}
