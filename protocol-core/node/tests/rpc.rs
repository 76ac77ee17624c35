//! JSON-RPC as clients of CometBFT speak it.

mod common;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use common::{CHAIN_ID, Running, key};
use portico_protocol::Height;
use portico_protocol::wire::pocket::application::{QueryGetApplicationRequest, QueryGetApplicationResponse};
use prost::Message as _;
use serde_json::{Value, json};

async fn post(node: &Running, body: impl Into<reqwest::Body>) -> (u16, Value) {
    let sent = portico_net::tls::ClientTls::public_http()
        .post(&node.rpc)
        .body(body)
        .send();
    let response = sent.await.expect("answered");
    let status = response.status().as_u16();
    let text = response.text().await.expect("a body");
    (status, serde_json::from_str(&text).unwrap_or_default())
}

async fn call(node: &Running, method: &str, params: Value) -> Value {
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
    let (status, answer) = post(node, body.to_string()).await;
    assert_eq!((status, &answer["id"]), (200, &json!(1)), "{answer}");
    answer
}

async fn get(node: &Running, call: &str) -> Value {
    let response = portico_net::tls::ClientTls::public_http()
        .get(format!("{}/{call}", node.rpc))
        .send()
        .await
        .expect("answered");
    response.json().await.expect("JSON")
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_come_back_and_batches_are_answered_in_order() {
    let node = Running::new().await;
    let batch = json!([
        {"jsonrpc": "2.0", "id": "a", "method": "health"},
        {"jsonrpc": "2.0", "method": "health"},
        {"jsonrpc": "2.0", "id": 7, "method": "nothing"},
        {"jsonrpc": "2.0", "id": null, "method": "health", "params": []},
        3,
    ]);
    let (status, answers) = post(&node, batch.to_string()).await;
    assert_eq!(status, 200);
    let ids: Vec<_> = answers
        .as_array()
        .expect("a batch")
        .iter()
        .map(|answer| answer["id"].clone())
        .collect();
    assert_eq!(ids, [json!("a"), json!(7), Value::Null, Value::Null]);
    assert_eq!(answers[0], json!({"jsonrpc": "2.0", "id": "a", "result": {}}));
    assert_eq!(answers[1]["error"]["code"], -32_601);
    assert_eq!(answers[3]["error"]["code"], -32_600);
    node.stop().await.expect("in order");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_malformed_or_too_large_is_refused() {
    let node = Running::new().await;
    assert_eq!(post(&node, "{").await.1["error"]["code"], -32_700);
    assert_eq!(post(&node, "[]").await.1["error"]["code"], -32_600);
    let long = Value::Array(vec![json!({"jsonrpc": "2.0", "id": 1, "method": "health"}); 21]);
    assert_eq!(post(&node, long.to_string()).await.1["error"]["code"], -32_600);
    let nested = "[".repeat(100_000);
    assert_eq!(post(&node, nested).await.1["error"]["code"], -32_700);
    assert_eq!(post(&node, vec![b' '; (2 << 20) + 1]).await.0, 413);
    for (method, params) in [
        ("block", json!({"height": "x"})),
        ("block", json!({"height": 1.5})),
        ("tx", json!({"hash": "AAAA"})),
        ("tx", json!({"hash": 5})),
        ("broadcast_tx_sync", json!({"tx": "%"})),
        ("abci_query", json!({"path": "/x", "data": "zz"})),
    ] {
        let answer = call(&node, method, params).await;
        assert_eq!(answer["error"]["code"], -32_602, "{answer}");
    }
    for height in ["0", "-1", "99", "9223372036854775807"] {
        let answer = call(&node, "block", json!({"height": height})).await;
        assert_eq!(answer["error"]["code"], -32_603, "{answer}");
    }
    let answer = call(&node, "validators", json!({"page": "2"})).await;
    assert_eq!(answer["error"]["code"], -32_603, "{answer}");
    assert_eq!(call(&node, "health", json!({})).await["result"], json!({}));
    node.stop().await.expect("in order");
}

/// Whether an answer has come with all of its body.
fn is_whole(answer: &str) -> bool {
    let Some((head, body)) = answer.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    let length: usize = length.expect("a length").parse().expect("a number");
    body.len() >= length
}

/// Targets of requests go out as people type them into a terminal; the second on the same connection.
#[tokio::test(flavor = "multi_thread")]
async fn quotes_and_brackets_may_be_raw_in_a_uri() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    let node = Running::new().await;
    let address = node.rpc.trim_start_matches("http://");
    let mut stream = tokio::net::TcpStream::connect(address).await.expect("it listens");
    for (target, expected) in [
        (r#"/block?height="1""#, r#""height":"1""#),
        (
            r#"/tx_search?query="tx.height>0"&per_page="5""#,
            r#""total_count":"0""#,
        ),
    ] {
        let head = format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n");
        stream.write_all(head.as_bytes()).await.expect("sent");
        let mut answer = String::new();
        while !is_whole(&answer) {
            let mut buffer = vec![0; 1 << 16];
            let count = stream.read(&mut buffer).await.expect("answered");
            assert!(count > 0, "closed after {answer}");
            answer += std::str::from_utf8(&buffer[..count]).expect("text");
        }
        assert!(
            answer.starts_with("HTTP/1.1 200 OK") && answer.contains(expected),
            "{answer}"
        );
    }
    node.stop().await.expect("in order");
}

#[tokio::test(flavor = "multi_thread")]
async fn blocks_headers_and_commits_agree_with_each_other() {
    let node = Running::new().await;
    let tx = node.transfer(1, 5).await;
    let answer = call(&node, "broadcast_tx_commit", json!({"tx": BASE64.encode(&tx)})).await;
    assert_eq!(answer["result"]["tx_result"]["code"], 0, "{answer}");
    assert_eq!(answer["result"]["height"], "2");
    let hash = answer["result"]["hash"].as_str().expect("a text").to_owned();

    let block = call(&node, "block", json!({"height": "2"})).await["result"].take();
    assert_eq!(block, get(&node, "block").await["result"], "the newest");
    assert_eq!(block["block"]["header"]["chain_id"], CHAIN_ID);
    assert_eq!(block["block"]["data"]["txs"], json!([BASE64.encode(&tx)]));
    let id = block["block_id"]["hash"].as_str().expect("a text");
    assert_eq!(
        get(&node, &format!("block_by_hash?hash=0x{id}")).await["result"],
        block
    );
    let header = get(&node, "header?height=2").await["result"]["header"].take();
    assert_eq!(header, block["block"]["header"]);
    let commit = get(&node, "commit?height=1").await["result"]["signed_header"]["commit"].take();
    assert_eq!(commit, block["block"]["last_commit"]);
    assert_eq!(commit["block_id"], block["block"]["header"]["last_block_id"]);
    let results = get(&node, "block_results?height=2").await["result"].take();
    let found = get(&node, &format!("tx?hash=0x{hash}")).await["result"].take();
    assert_eq!(results["txs_results"][0], found["tx_result"]);
    assert_eq!((&found["height"], &found["index"]), (&json!("2"), &json!(0)));
    assert_eq!(found["tx_result"]["events"][0]["attributes"][0]["index"], true);
    let status = get(&node, "status").await["result"].take();
    assert_eq!(status["sync_info"]["latest_block_hash"], id);
    assert_eq!(status["sync_info"]["latest_block_height"], "2");
    assert_eq!(status["sync_info"]["earliest_block_height"], "1");
    assert_eq!(status["node_info"]["network"], CHAIN_ID);
    let validators = get(&node, "validators").await["result"].take();
    assert_eq!(validators["validators"][0]["address"], header["proposer_address"]);
    assert_eq!(
        validators["validators"][0]["voting_power"], "1",
        "whatever its stake"
    );
    let metas = get(&node, "blockchain").await["result"].take();
    assert_eq!(metas["block_metas"][0]["header"], header);
    assert_eq!(metas["block_metas"][1]["num_txs"], "0");
    assert_eq!(
        get(&node, "genesis").await["result"]["genesis"]["chain_id"],
        CHAIN_ID
    );
    assert_eq!(get(&node, "num_unconfirmed_txs").await["result"]["total"], "0");
    assert_eq!(get(&node, "net_info").await["result"]["n_peers"], "0");
    assert_eq!(
        get(&node, "consensus_params").await["result"]["block_height"],
        "2"
    );
    node.stop().await.expect("in order");
}

/// What stock light clients check: the header hashes to the id, and the validator signed it.
#[tokio::test(flavor = "multi_thread")]
async fn signed_headers_verify() {
    use ed25519_dalek::{Signature, VerifyingKey};

    let node = Running::new().await;
    let signed = get(&node, "commit?height=1").await["result"]["signed_header"].take();
    let commit: tendermint::block::Commit =
        serde_json::from_value(signed["commit"].clone()).expect("a commit");
    let validators = get(&node, "validators").await["result"].take();
    let key = BASE64.decode(
        validators["validators"][0]["pub_key"]["value"]
            .as_str()
            .expect("a text"),
    );
    let key: [u8; 32] = key.expect("base64").try_into().expect("32 bytes");
    let tendermint::block::CommitSig::BlockIdFlagCommit {
        timestamp,
        signature: Some(signature),
        ..
    } = &commit.signatures[0]
    else {
        panic!("a signature is expected");
    };
    let vote = tendermint::vote::CanonicalVote {
        vote_type: tendermint::vote::Type::Precommit,
        height: commit.height,
        round: commit.round,
        block_id: Some(commit.block_id),
        timestamp: Some(*timestamp),
        chain_id: CHAIN_ID.parse().expect("an id"),
    };
    let raw = tendermint_proto::v0_38::types::CanonicalVote::from(vote);
    let signature = Signature::from_slice(signature.as_bytes()).expect("64 bytes");
    let key = VerifyingKey::from_bytes(&key).expect("a key");
    key.verify_strict(&raw.encode_length_delimited_to_vec(), &signature)
        .expect("the validator's");
    let block = get(&node, "block?height=1").await["result"].take();
    assert_eq!(signed["commit"]["block_id"], block["block_id"]);
    node.stop().await.expect("in order");
}

#[tokio::test(flavor = "multi_thread")]
async fn abci_query_reaches_every_query_and_raw_keys() {
    let node = Running::new().await;
    let request = QueryGetApplicationRequest {
        address: key(1).address().to_string(),
    };
    let data = hex::encode(request.encode_to_vec());
    let path = "/pocket.application.Query/Application";
    let by_body = call(
        &node,
        "abci_query",
        json!({"path": path, "data": data, "height": "0"}),
    )
    .await;
    let by_uri = get(&node, &format!("abci_query?path=%22{path}%22&data=0x{data}")).await;
    assert_eq!(by_body["result"], by_uri["result"]);
    let value = by_body["result"]["response"]["value"].as_str().expect("a text");
    let answer = QueryGetApplicationResponse::decode(BASE64.decode(value).expect("base64").as_slice());
    let application = answer.expect("an answer").application.expect("known");
    assert_eq!(application.address, key(1).address().to_string());

    let code = async |path: &str, data: &str, height: &str| {
        let params = json!({"path": path, "data": data, "height": height});
        call(&node, "abci_query", params).await["result"]["response"]["code"].take()
    };
    assert_eq!(code("/pocket.application.Query/Nothing", "", "0").await, 6);
    assert_eq!(code("/nothing", "", "0").await, 6);
    assert_eq!(code("", "", "0").await, 6);
    assert_eq!(code(path, "ff", "0").await, 18);
    assert_eq!(code(path, &data, "77").await, 26, "not there yet");
    assert_eq!(code(path, &data, "-1").await, 18);
    assert_eq!(code(path, &data, "1").await, 0, "the newest by its number");
    let absent = QueryGetApplicationRequest {
        address: key(99).address().to_string(),
    };
    assert_eq!(code(path, &hex::encode(absent.encode_to_vec()), "0").await, 22);
    assert_eq!(code("/store/bank/key", "00", "0").await, 0);
    assert_eq!(code("/store/nothing/key", "00", "0").await, 6);
    node.stop().await.expect("in order");
}

#[tokio::test(flavor = "multi_thread")]
async fn transactions_wait_where_they_can_be_seen() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut config = common::config(folder.path());
    config.instant = false;
    let node = Running::at(config, common::genesis(CHAIN_ID)).await;
    let tx = node.transfer(1, 5).await;
    let sent = get(&node, &format!("broadcast_tx_sync?tx=0x{}", hex::encode(&tx))).await;
    assert_eq!(sent["result"]["code"], 0, "{sent}");
    assert_eq!(sent["result"]["hash"], portico_protocol::tx::tx_hash(&tx));
    let waiting = get(&node, "unconfirmed_txs").await["result"].take();
    assert_eq!(waiting["txs"], json!([BASE64.encode(&tx)]));
    assert_eq!(waiting["total_bytes"], tx.len().to_string());
    let again = call(&node, "broadcast_tx_sync", json!({"tx": BASE64.encode(&tx)})).await;
    assert_eq!(
        again["error"],
        json!({"code": -32_603, "message": "Internal error", "data": "tx already exists in cache"})
    );
    let hash = portico_protocol::tx::tx_hash(&tx);
    let absent = get(&node, &format!("tx?hash=0x{hash}")).await;
    assert_eq!(absent["error"]["data"], format!("tx ({hash}) not found"));
    assert_eq!(node.chain.head().borrow().height, Height(1));
    node.stop().await.expect("in order");
}
