//! A node that is killed while it makes blocks, and what the next one finds.

mod common;

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use common::{CHAIN_ID, config, genesis};
use portico_config::node::NodeConfig;
use portico_node::{Node, Upkeep};
use portico_protocol::Height;
use tokio_util::sync::CancellationToken;

/// Names the data folder to the process that is killed.
const FOLDER: &str = "PORTICO_TEST_NODE";
/// It ends by itself there, should nobody kill it.
const LAST: i64 = 500;

fn fast(folder: &Path) -> NodeConfig {
    NodeConfig {
        block_time_ms: 10,
        instant: false,
        ..config(folder)
    }
}

/// Not a test by itself: the process that the test below starts and kills.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "the test of this file runs it as a process of its own"]
async fn child() {
    let Some(folder) = std::env::var_os(FOLDER) else {
        return;
    };
    let registry = prometheus::Registry::new();
    let node = Node::open(fast(Path::new(&folder)), genesis(CHAIN_ID), &registry).expect("opened");
    let mut head = node.chain().head();
    let stop = CancellationToken::new();
    let run = tokio::spawn(node.run(stop.clone()));
    loop {
        head.changed().await.expect("it runs");
        let height = head.borrow_and_update().height;
        println!("{height}");
        if height.0 >= LAST {
            break;
        }
    }
    stop.cancel();
    run.await.expect("no panic").expect("in order");
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_9_loses_no_block_that_anybody_saw() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut told = 0;
    for blocks in [1, 7, 20] {
        let mut child = Command::new(std::env::current_exe().expect("known"))
            .args(["--exact", "child", "--ignored", "--nocapture"])
            .env(FOLDER, folder.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("started");
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let mut heights = lines.filter_map(|line| line.ok()?.parse::<i64>().ok());
        let goes_on = heights.next().expect("it makes blocks");
        assert!(goes_on > told, "{goes_on} after {told}");
        told = heights.take(blocks).last().expect("it makes blocks");
        child.kill().expect("killed");
        child.wait().expect("ended");

        let report = Upkeep::open(folder.path())
            .expect("opened")
            .check(|_| ())
            .expect("readable");
        assert_eq!(report.faults, [""; 0]);
        let registry = prometheus::Registry::new();
        let node = Node::open(fast(folder.path()), genesis(CHAIN_ID), &registry).expect("whole");
        let chain = node.chain();
        let head = chain.head().borrow().clone();
        assert!(head.height.0 >= told, "{} < {told}", head.height);
        told = head.height.0;
        for height in 1..=told {
            let block = chain.block(Height(height)).await.expect("there");
            assert_eq!(block.height.0, height);
            chain.block_results(Height(height)).await.expect("there");
        }
        assert_eq!(chain.block(head.height).await.expect("there"), head);
    }
}
