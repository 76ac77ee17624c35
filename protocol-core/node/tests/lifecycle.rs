//! Begin, stop, go on; what is refused at the start.

mod common;

use common::{CHAIN_ID, Running, config, genesis, key};
use portico_config::Secret;
use portico_node::{Node, NodeError};
use portico_protocol::{Height, Upokt};

fn open(config: portico_config::node::NodeConfig, chain_id: &str) -> Result<Node, NodeError> {
    Node::open(config, genesis(chain_id), &prometheus::Registry::new())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_goes_on_from_the_same_height_state_and_app_hash() {
    let folder = tempfile::tempdir().expect("a folder");
    let node = Running::at(config(folder.path()), genesis(CHAIN_ID)).await;
    let tx = node.transfer(1, 5).await;
    let hash = node.chain.broadcast(tx).await.expect("answered").hash;
    node.reach(Height(2)).await;
    let (before, blocks) = (app_hash(&node).await, [1, 2].map(Height));
    let mut heads = Vec::new();
    for height in blocks {
        heads.push(node.chain.block(height).await.expect("known"));
    }
    node.stop().await.expect("in order");

    let mut other = genesis(CHAIN_ID);
    other.accounts[0].balance = Upokt(7); // the genesis of the data wins
    let reopened = Node::open(config(folder.path()), other.clone(), &prometheus::Registry::new());
    let chain = reopened.expect("opened").chain();
    assert_eq!(*chain.head().borrow(), heads[1]);
    assert!(chain.tx(&hash).await.expect("answered").is_some());
    drop(chain);

    let node = Running::at(config(folder.path()), other).await;
    let header: serde_json::Value = rpc(&node, "header?height=3").await;
    assert_eq!(
        header["result"]["header"]["app_hash"],
        before.as_str(),
        "of the state after 2"
    );
    let last = &header["result"]["header"]["last_block_id"]["hash"];
    assert_eq!(*last, hex::encode_upper(heads[1].hash));
    let mut again = Vec::new();
    for height in blocks {
        again.push(node.chain.block(height).await.expect("known"));
    }
    assert_eq!(again, heads);
    let balance = node.chain.balance(&key(1).address()).await.expect("known");
    assert_eq!(balance, Upokt(1_000_000_000 - 5));
    node.stop().await.expect("in order");
}

async fn rpc(node: &Running, call: &str) -> serde_json::Value {
    let response = portico_net::tls::ClientTls::public_http()
        .get(format!("{}/{call}", node.rpc))
        .send()
        .await
        .expect("answered");
    response.json().await.expect("JSON")
}

/// App hash after the newest block, hexadecimal.
async fn app_hash(node: &Running) -> String {
    use base64::Engine as _;

    let info = rpc(node, "abci_info").await;
    let text = info["result"]["response"]["last_block_app_hash"]
        .as_str()
        .expect("a text");
    let bytes = base64::engine::general_purpose::STANDARD
        .decode(text)
        .expect("base64");
    hex::encode_upper(bytes)
}

#[tokio::test]
async fn a_taken_port_is_named_with_the_key_to_change() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("free");
    let address = taken.local_addr().expect("bound");
    let folder = tempfile::tempdir().expect("a folder");
    let mut rpc = config(folder.path());
    rpc.rpc_listen = address;
    let text = open(rpc, CHAIN_ID).err().expect("taken").to_string();
    assert!(
        text.contains(&address.to_string()) && text.contains("rpc_listen"),
        "{text}"
    );
    let mut grpc = config(folder.path());
    grpc.grpc_listen = address;
    let text = open(grpc, CHAIN_ID).err().expect("taken").to_string();
    assert!(
        text.contains(&address.to_string()) && text.contains("grpc_listen"),
        "{text}"
    );
}

#[tokio::test]
async fn data_of_another_chain_is_refused_with_both_names() {
    let folder = tempfile::tempdir().expect("a folder");
    drop(open(config(folder.path()), CHAIN_ID).expect("begun"));
    let error = open(config(folder.path()), "another").err().expect("refused");
    assert!(
        matches!(&error, NodeError::ForeignChain { stored, configured, .. } if stored == CHAIN_ID && configured == "another")
    );
}

#[tokio::test]
async fn one_node_at_a_time_uses_the_data() {
    let folder = tempfile::tempdir().expect("a folder");
    let _first = open(config(folder.path()), CHAIN_ID).expect("begun");
    assert!(matches!(
        open(config(folder.path()), CHAIN_ID),
        Err(NodeError::Store(_))
    ));
}

#[tokio::test]
async fn a_key_that_is_not_the_genesis_validators_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut foreign = config(folder.path());
    foreign.validator_key = Some(Secret::new("11".repeat(32)));
    assert!(matches!(
        open(foreign, CHAIN_ID),
        Err(NodeError::ForeignValidators { here: 0, .. })
    ));
    let mut own = config(folder.path());
    own.validator_key = None; // a new key is made, which no genesis names
    assert!(matches!(
        open(own, CHAIN_ID),
        Err(NodeError::ForeignValidators { here: 0, .. })
    ));
    assert!(folder.path().join("validator.hex").exists());
}

#[tokio::test]
async fn a_genesis_that_cannot_be_a_chain_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let refuse = |change: &dyn Fn(&mut portico_chain::genesis::Genesis)| {
        let mut genesis = genesis(CHAIN_ID);
        change(&mut genesis);
        let result = Node::open(config(folder.path()), genesis, &prometheus::Registry::new());
        assert!(matches!(result, Err(NodeError::Genesis(_))));
    };
    refuse(&|genesis| genesis.chain_id = "no spaces allowed".into());
    refuse(&|genesis| genesis.validators.clear());
    refuse(&|genesis| genesis.validators.push(genesis.validators[0].clone()));
    refuse(&|genesis| genesis.validators[0].consensus_public_key = "zz".into());
}

#[tokio::test(flavor = "multi_thread")]
async fn counts_heights_blocks_and_transactions() {
    let node = Running::new().await;
    let tx = node.transfer(1, 5).await;
    node.chain.broadcast(tx).await.expect("answered");
    node.reach(Height(2)).await;
    let families = node.registry.gather();
    let value = |name: &str| {
        let family = families
            .iter()
            .find(|family| family.name() == name)
            .expect("there");
        let metric = &family.get_metric()[0];
        metric.get_gauge().get_value() + metric.get_counter().get_value()
    };
    assert_eq!(value("portico_chain_height"), 2.0);
    assert_eq!(value("portico_chain_mempool_txs"), 0.0);
    assert_eq!(value("portico_chain_broadcasts_total"), 1.0);
    node.stop().await.expect("in order");
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_say_nothing_do_not_keep_the_node_from_stopping() {
    use tokio::io::AsyncWriteExt as _;

    let node = Running::new().await;
    let mut halves = Vec::new();
    for url in [&node.rpc, &node.grpc] {
        let address = url.trim_start_matches("http://");
        let mut stream = tokio::net::TcpStream::connect(address).await.expect("it listens");
        stream
            .write_all(b"POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\nhalf")
            .await
            .expect("sent");
        halves.push(stream);
    }
    node.stop().await.expect("in order");
}
