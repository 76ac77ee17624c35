//! A chain of four validators, as its RPC and gRPC show it; and one whose validators change.

mod common;

use bytes::Bytes;
use common::Running;
use common::validators::{chain_of, consensus, next_block, seed, set, signing};
use portico_client::RawCodec;
use portico_net::tls::ClientTls;
use portico_node::{Node, NodeError, Upkeep};
use portico_protocol::wire::cosmos::base::query::v1beta1::PageRequest;
use portico_protocol::wire::cosmos::base::tendermint::v1beta1::{
    GetLatestValidatorSetRequest, GetLatestValidatorSetResponse,
};
use prost::Message as _;
use serde_json::Value;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::Endpoint;

async fn get(node: &Running, path: &str) -> Value {
    let answer = ClientTls::public_http()
        .get(format!("{}/{path}", node.rpc))
        .send()
        .await
        .expect("sent");
    answer.json().await.expect("JSON")
}

async fn validators(node: &Running, params: &str) -> Value {
    get(node, &format!("validators?{params}")).await["result"].take()
}

/// How the validators of a commit voted: 2 for the block, 1 absent.
async fn flags(node: &Running, height: i64) -> Vec<u64> {
    let answer = get(node, &format!("commit?height={height}")).await;
    let entries = answer["result"]["signed_header"]["commit"]["signatures"]
        .as_array()
        .expect("a list");
    entries
        .iter()
        .map(|entry| entry["block_id_flag"].as_u64().expect("a flag"))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_block_has_the_signatures_of_all_keys_that_are_here() {
    let folder = tempfile::tempdir().expect("a folder");
    let all = Running::at(signing(folder.path(), &[1, 2, 3, 4]), chain_of(&[1, 2, 3, 4])).await;
    next_block(&all).await;
    for height in [1, 2] {
        assert_eq!(flags(&all, height).await, [2; 4], "at the newest height too");
    }
    let set = validators(&all, "").await;
    assert_eq!(
        (&set["count"], &set["total"], &set["block_height"]),
        (&"4".into(), &"4".into(), &"2".into())
    );
    let proposers: std::collections::BTreeSet<String> = {
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..4 {
            next_block(&all).await;
            let block = get(&all, "block").await;
            seen.insert(block["result"]["block"]["header"]["proposer_address"].to_string());
        }
        seen
    };
    assert_eq!(proposers.len(), 4, "each in turn");
    let status = get(&all, "status").await["result"]["validator_info"].take();
    assert_eq!(status["voting_power"], "1");
    all.stop().await.expect("in order");
    let report = Upkeep::open(folder.path())
        .expect("stopped")
        .check(|_| ())
        .expect("readable");
    assert!(report.faults.is_empty(), "{:?}", report.faults);

    let folder = tempfile::tempdir().expect("a folder");
    let three = Running::at(signing(folder.path(), &[4, 1, 3]), chain_of(&[1, 2, 3, 4])).await;
    next_block(&three).await;
    let flags = flags(&three, 2).await;
    assert_eq!(flags.iter().filter(|flag| **flag == 2).count(), 3);
    three.stop().await.expect("in order");
}

#[tokio::test]
async fn a_node_without_the_keys_of_a_quorum_does_not_start_and_says_whose_it_lacks() {
    let folder = tempfile::tempdir().expect("a folder");
    let open = |numbers: &[u8]| {
        Node::open(
            signing(folder.path(), numbers),
            chain_of(&[1, 2, 3, 4]),
            &prometheus::Registry::new(),
        )
    };
    let error = open(&[1, 2]).err().expect("refused");
    assert!(
        matches!(&error, NodeError::ForeignValidators { here: 2, needed: 3, all: 4, missing, .. } if missing.len() == 2)
    );
    let text = error.to_string();
    assert!(
        text.contains(&consensus(3).public_key_hex()) && !text.contains(&hex::encode(seed(3))),
        "{text}"
    );
    assert!(matches!(open(&[1, 2, 3, 3]), Err(NodeError::KeyTwice(_))));
    open(&[1, 2, 4]).map(drop).expect("three of four");
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_validators_are_those_of_comet_and_of_the_sdk() {
    let numbers: Vec<u8> = (1..=100).collect();
    let folder = tempfile::tempdir().expect("a folder");
    let node = Running::at(signing(folder.path(), &numbers), chain_of(&numbers)).await;
    let mut seen = Vec::new();
    for (page, count) in [(1, 30), (2, 30), (3, 30), (4, 10)] {
        let set = validators(&node, &format!("height=1&page={page}")).await;
        assert_eq!(
            (&set["count"], &set["total"]),
            (&count.to_string().into(), &"100".into())
        );
        seen.extend(set["validators"].as_array().expect("a list").clone());
    }
    let whole = validators(&node, "per_page=1000").await;
    assert_eq!(
        whole["validators"],
        Value::Array(seen.clone()),
        "a hundred at most, which is all"
    );
    let addresses: Vec<_> = seen
        .iter()
        .map(|one| one["address"].as_str().expect("a text"))
        .collect();
    assert!(addresses.is_sorted(), "powers are equal, so addresses decide");
    assert_eq!(
        validators(&node, "height=2").await["block_height"],
        "2",
        "of the block to come"
    );
    for (params, reason) in [
        ("page=5", "within [1, 4] range, given 5"),
        ("page=0", "given 0"),
        ("height=3", "height"),
    ] {
        let answer = get(&node, &format!("validators?{params}")).await;
        assert!(
            answer["error"]["data"]
                .as_str()
                .expect("a reason")
                .contains(reason),
            "{answer}"
        );
    }

    let channel = Endpoint::from_shared(node.grpc.clone()).expect("a URL");
    let mut client = Grpc::new(channel.connect().await.expect("it listens"));
    let (mut key, mut names) = (Vec::new(), Vec::new());
    loop {
        let request = GetLatestValidatorSetRequest {
            pagination: Some(PageRequest {
                key,
                limit: 40,
                ..PageRequest::default()
            }),
        };
        let path = "/cosmos.base.tendermint.v1beta1.Service/GetLatestValidatorSet";
        client.ready().await.expect("connected");
        let request = tonic::Request::new(Bytes::from(request.encode_to_vec()));
        let path = PathAndQuery::from_static(path);
        let answer = client.unary(request, path, RawCodec).await.expect("answered");
        let answer = GetLatestValidatorSetResponse::decode(answer.into_inner()).expect("an answer");
        names.extend(answer.validators.into_iter().map(|one| one.address));
        let pages = answer.pagination.expect("pages");
        assert_eq!(pages.total, 100);
        if pages.next_key.is_empty() {
            break;
        }
        key = pages.next_key;
    }
    assert_eq!(names.len(), 100);
    node.stop().await.expect("in order");
}

#[tokio::test(flavor = "multi_thread")]
async fn validators_change_two_blocks_after_the_authority_says_so() {
    let folder = tempfile::tempdir().expect("a folder");
    let keys = signing(folder.path(), &[1, 2, 3, 4, 5, 6]);
    let node = Running::at(keys.clone(), chain_of(&[1, 2, 3, 4])).await;
    let height = set(&node, &[3, 4, 5, 6, 1]).await;
    for _ in 0..3 {
        next_block(&node).await;
    }
    let total = async |node: &Running, height: i64| {
        let set = validators(node, &format!("height={height}")).await;
        set["total"].as_str().expect("a number").to_owned()
    };
    for (at, count) in [
        (1, "4"),
        (height, "4"),
        (height + 1, "4"),
        (height + 2, "5"),
        (height + 3, "5"),
    ] {
        assert_eq!(total(&node, at).await, count, "height {at}");
        assert_eq!(flags(&node, at).await.len().to_string(), count, "height {at}");
    }
    let header = async |at: i64| get(&node, &format!("header?height={at}")).await["result"]["header"].take();
    let (before, after) = (header(height + 1).await, header(height + 2).await);
    assert_eq!(before["next_validators_hash"], after["validators_hash"]);
    assert_ne!(before["validators_hash"], after["validators_hash"]);
    assert_eq!(
        header(height).await["next_validators_hash"],
        before["validators_hash"]
    );
    node.stop().await.expect("in order");

    // What the data says is enough to go on, and to check all of it.
    let upkeep = Upkeep::open(folder.path()).expect("stopped");
    let report = upkeep.check(|_| ()).expect("readable");
    assert!(report.faults.is_empty(), "{:?}", report.faults);
    drop(upkeep);
    let node = Running::at(keys, chain_of(&[1, 2, 3, 4])).await;
    assert_eq!(total(&node, height + 4).await, "5");

    // A set of others makes this node's next block but one impossible: it ends, and says why.
    set(&node, &[7, 8, 9]).await;
    next_block(&node).await;
    let tx = node.transfer(1, 5).await;
    node.chain.broadcast(tx).await.expect("answered");
    let error = node.ended().await.expect_err("no quorum");
    let text = portico_protocol::causes(&error);
    assert!(
        text.contains("needs the signatures of 3 of its 3 validators, and the keys of 0 are here"),
        "{text}"
    );
    let reopen = |numbers: &[u8]| {
        let config = signing(folder.path(), numbers);
        Node::open(config, chain_of(&[1, 2, 3, 4]), &prometheus::Registry::new())
    };
    let refused = reopen(&[1, 2, 3, 4, 5, 6]);
    assert!(matches!(
        refused,
        Err(NodeError::ForeignValidators {
            here: 0,
            needed: 3,
            all: 3,
            ..
        })
    ));
    reopen(&[7, 8, 9]).map(drop).expect("the new ones can");
}
