//! A remote chain of several nodes: one that fails or comes back, and every block once.

mod common;

use common::{CHAIN_ID, Running, config, genesis, key, soon};
use portico_client::{Accounts, BlockStream, Blocks, RemoteChain, RemoteConfig};
use portico_protocol::{Height, Upokt};

async fn over(nodes: &[&Running]) -> RemoteChain {
    let configs: Vec<_> = nodes
        .iter()
        .map(|node| RemoteConfig::new(&node.rpc, &node.grpc))
        .collect();
    RemoteChain::open_all(&configs).await.expect("they answer")
}

/// Makes one block.
async fn block(node: &Running, amount: u128) {
    let before = node.chain.head().borrow().height;
    let sent = node.chain.broadcast(node.transfer(1, amount).await).await;
    assert_eq!(sent.expect("taken").code, 0);
    node.reach(Height(before.0 + 1)).await;
}

#[tokio::test]
async fn another_node_answers_when_the_chosen_one_is_gone() {
    let (first, second) = (Running::new().await, Running::new().await);
    block(&second, 7).await; // so that their answers differ
    let remote = over(&[&first, &second]).await;
    let target = key(2).address();
    let at_first = first.chain.balance(&target).await.expect("known");
    assert_eq!(remote.balance(&target).await.expect("answered"), at_first);
    first.stop().await.expect("in order");
    assert_eq!(
        remote.balance(&target).await.expect("answered"),
        Upokt(at_first.0 + 7)
    );
    let mut head = Blocks::head(&remote);
    soon(head.wait_for(|head| head.height == Height(2)))
        .await
        .expect("it follows");
    second.stop().await.expect("in order");
}

#[tokio::test]
async fn a_node_that_falls_behind_is_left() {
    let (first, second) = (Running::new().await, Running::new().await);
    let remote = over(&[&first, &second]).await;
    for amount in 1..=3 {
        block(&second, amount).await;
    }
    let mut head = Blocks::head(&remote);
    soon(head.wait_for(|head| head.height == Height(4)))
        .await
        .expect("it follows");
    assert_eq!(
        Blocks::status(&remote).await.expect("answered").head.height,
        Height(4)
    );
    first.stop().await.expect("in order");
    second.stop().await.expect("in order");
}

#[tokio::test]
async fn a_node_that_comes_back_is_asked_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let first = Running::at(config(folder.path()), genesis(CHAIN_ID)).await;
    let second = Running::new().await;
    let remote = over(&[&first, &second]).await;
    let mut again = config(folder.path());
    let address = |url: &str| url.trim_start_matches("http://").parse().expect("an address");
    (again.rpc_listen, again.grpc_listen) = (address(&first.rpc), address(&first.grpc));
    first.stop().await.expect("in order");
    Blocks::status(&remote).await.expect("the second answers");
    let first = Running::at(again, genesis(CHAIN_ID)).await;
    second.stop().await.expect("in order");
    Blocks::status(&remote).await.expect("the first answers again");
    first.stop().await.expect("in order");
}

#[tokio::test]
async fn every_block_is_told_once_and_in_order_across_a_change_of_nodes() {
    let (first, second) = (Running::new().await, Running::new().await);
    let remote = over(&[&first, &second]).await;
    let mut blocks = BlockStream::after(std::sync::Arc::new(remote), Height(0));
    assert_eq!(soon(blocks.next()).await.expect("told").height, Height(1));
    for amount in 1..=4 {
        block(&second, amount).await;
    }
    first.stop().await.expect("in order");
    for height in 2..=5 {
        assert_eq!(soon(blocks.next()).await.expect("told").height, Height(height));
    }
    second.stop().await.expect("in order");
}
