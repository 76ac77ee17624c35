//! Requests as the `tendermint-rpc` crate writes them, answers as it reads them.

mod common;

use common::{CHAIN_ID, Running, key, soon};
use futures::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tendermint::merkle::{self, MerkleHash};
use tendermint_rpc::dialect::v0_38::Dialect;
use tendermint_rpc::endpoint::{
    abci_info, abci_query, block, block_by_hash, block_results, block_search, blockchain, broadcast, commit,
    consensus_params, genesis, genesis_chunked, header, header_by_hash, health, net_info, status, tx,
    tx_search, validators,
};
use tendermint_rpc::event::{Event, EventData, v0_38::DeEvent};
use tendermint_rpc::{Order, Response as _, SimpleRequest};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

/// The crate leaves the choice of SHA-256 to its user.
#[derive(Default)]
struct Sha;

impl tendermint::crypto::Sha256 for Sha {
    fn digest(data: impl AsRef<[u8]>) -> [u8; 32] {
        Sha256::digest(data).into()
    }
}

impl MerkleHash for Sha {
    fn empty_hash(&mut self) -> merkle::Hash {
        Sha256::digest([]).into()
    }
    fn leaf_hash(&mut self, bytes: &[u8]) -> merkle::Hash {
        Sha256::new_with_prefix([0]).chain_update(bytes).finalize().into()
    }
    fn inner_hash(&mut self, left: merkle::Hash, right: merkle::Hash) -> merkle::Hash {
        Sha256::new_with_prefix([1])
            .chain_update(left)
            .chain_update(right)
            .finalize()
            .into()
    }
}

/// Sends a request of the crate; returns what it makes of the answer.
async fn ask<R: SimpleRequest<Dialect>>(node: &Running, request: R) -> R::Output {
    let method = request.method();
    let sent = portico_net::tls::ClientTls::public_http()
        .post(&node.rpc)
        .body(request.into_json())
        .send();
    let text = sent.await.expect("answered").text().await.expect("a body");
    let response = R::Response::from_string(&text);
    response
        .unwrap_or_else(|error| panic!("{method}: {error}\n{text}"))
        .into()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_is_understood() {
    let node = Running::new().await;
    let raw = node.transfer(1, 5).await;
    let sent = ask(&node, broadcast::tx_commit::Request::new(raw.to_vec())).await;
    assert!(sent.tx_result.code.is_ok(), "{sent:?}");
    let height = sent.height;
    assert_eq!(height.value(), 2);

    let found = ask(&node, block::Request::new(height)).await;
    assert_eq!(found.block.header.hash_with::<Sha>(), found.block_id.hash);
    assert_eq!(found.block.data, [raw.to_vec()]);
    let by_hash = ask(&node, block_by_hash::Request::new(found.block_id.hash)).await;
    assert_eq!(by_hash.block.expect("known"), found.block);
    assert_eq!(
        ask(&node, header::Request::new(height)).await.header,
        found.block.header
    );
    let by_hash = ask(&node, header_by_hash::Request::new(found.block_id.hash)).await;
    assert_eq!(by_hash.header.expect("known"), found.block.header);
    let signed = ask(&node, commit::Request::new(height)).await.signed_header;
    assert_eq!(signed.commit.block_id, found.block_id);
    let results = ask(&node, block_results::Request::new(height)).await;
    assert_eq!(results.txs_results.expect("one")[0], sent.tx_result);
    let listed = ask(&node, blockchain::Request::new(1_u32.into(), height)).await;
    assert_eq!(listed.block_metas.len(), 2);

    let one = ask(&node, tx::Request::new(sent.hash, true)).await;
    let proof = one.proof.expect("asked for");
    assert_eq!(Some(proof.root_hash), found.block.header.data_hash);
    let query = format!("message.sender='{}' AND tx.height=2", key(1).address());
    let hits = ask(
        &node,
        tx_search::Request::new(query, false, 1, 10, Order::Descending),
    )
    .await;
    assert_eq!((hits.total_count, hits.txs[0].hash), (1, sent.hash));
    let hits = ask(
        &node,
        block_search::Request::new("block.height <= 2", 1, 10, Order::Ascending),
    )
    .await;
    assert_eq!(hits.blocks[1].block, found.block);

    let set = ask(&node, validators::Request::new(Some(height), None, None)).await;
    assert_eq!(set.validators[0].address, found.block.header.proposer_address);
    let status = ask(&node, status::Request).await;
    assert_eq!(status.sync_info.latest_block_hash, found.block_id.hash);
    assert_eq!(status.node_info.network.as_str(), CHAIN_ID);
    let info = ask(&node, abci_info::Request).await;
    assert_eq!(info.response.last_block_height, height);
    assert_eq!(
        ask(&node, consensus_params::Request::new(None))
            .await
            .block_height,
        height
    );
    assert!(ask(&node, net_info::Request).await.listening);
    ask(&node, health::Request).await;
    let first = ask(&node, genesis::Request::<Value>::default()).await.genesis;
    let chunk = ask(&node, genesis_chunked::Request::new(0)).await;
    let text: Value = serde_json::from_slice(&chunk.data).expect("JSON");
    assert_eq!(
        (first.chain_id.as_str(), &text["app_state"]),
        (CHAIN_ID, &first.app_state)
    );

    let raw = node.transfer(1, 6).await;
    let sent = ask(&node, broadcast::tx_sync::Request::new(raw.to_vec())).await;
    assert!(sent.code.is_ok(), "{}", sent.log);
    node.reach(portico_protocol::Height(3)).await;
    let raw = node.transfer(1, 7).await;
    ask(&node, broadcast::tx_async::Request::new(raw.to_vec())).await;
    node.reach(portico_protocol::Height(4)).await;
    node.stop().await.expect("in order");
}

/// The proof of a key at a height leads to the app hash in the next header.
#[tokio::test(flavor = "multi_thread")]
async fn raw_keys_are_proved_at_older_heights() {
    let node = Running::new().await;
    for height in 2..4 {
        let tx = node.transfer(1, 5).await;
        assert_eq!(node.chain.broadcast(tx).await.expect("sent").code, 0);
        node.reach(portico_protocol::Height(height)).await;
    }
    let height = tendermint::block::Height::from(2_u32);
    let next = header::Request::new(height.increment());
    let app_hash = ask(&node, next).await.header.app_hash;
    let mut values = Vec::new();
    for raw in ["supply/upokt/", "nothing"] {
        let path = Some("/store/bank/key".into());
        let request = abci_query::Request::new(path, raw.as_bytes().to_vec(), Some(height), true);
        let answer = ask(&node, request).await.response;
        assert!(answer.code.is_ok(), "{}", answer.log);
        assert_eq!((answer.height, answer.key.as_slice()), (height, raw.as_bytes()));
        let ops = answer.proof.expect("asked for").ops;
        for root in [app_hash.as_bytes(), &[7; 32]] {
            let leads = leads_to(&ops, &answer.value, root);
            assert_eq!(leads, root == app_hash.as_bytes(), "{raw} below {root:?}");
        }
        assert!(!leads_to(&ops, b"another value", app_hash.as_bytes()));
        values.push(answer.value);
    }
    assert!(!values[0].is_empty() && values[1].is_empty());
    node.stop().await.expect("in order");
}

/// Whether the ops lead from the key's value, or its absence where that is empty, over the store's root to `app_hash`.
fn leads_to(ops: &[tendermint::merkle::proof::ProofOp], value: &[u8], app_hash: &[u8]) -> bool {
    use ics23::commitment_proof::Proof;
    use ics23::{HostFunctionsManager, smt_spec, tendermint_spec};
    use ics23::{verify_membership, verify_non_membership};
    use prost_ics23::Message as _;

    let [key, store] = ops else {
        panic!("{} ops", ops.len());
    };
    assert_eq!(
        [&key.field_type, &store.field_type],
        ["ics23:smt", "ics23:simple"]
    );
    let [of_key, of_store] =
        [key, store].map(|op| ics23::CommitmentProof::decode(&op.data[..]).expect("a proof"));
    let Some(Proof::Exist(existence)) = &of_store.proof else {
        panic!("{of_store:?}");
    };
    let root = existence.value.clone();
    let inner = if value.is_empty() {
        verify_non_membership::<HostFunctionsManager>(&of_key, &smt_spec(), &root, &key.key)
    } else {
        verify_membership::<HostFunctionsManager>(&of_key, &smt_spec(), &root, &key.key, value)
    };
    let app_hash = app_hash.to_vec();
    inner
        && verify_membership::<HostFunctionsManager>(
            &of_store,
            &tendermint_spec(),
            &app_hash,
            &store.key,
            &root,
        )
}

struct Socket(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Socket {
    async fn open(node: &Running) -> Self {
        let url = format!("{}/websocket", node.rpc.replace("http", "ws"));
        Self(connect_async(url).await.expect("a WebSocket").0)
    }

    async fn send(&mut self, text: &str) {
        self.0.send(Message::text(text)).await.expect("sent");
    }

    async fn text(&mut self) -> String {
        loop {
            match self.0.next().await.expect("open").expect("a message") {
                Message::Text(text) => return text.to_string(),
                Message::Ping(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    async fn call(&mut self, id: u32, method: &str, params: Value) -> Value {
        let call = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        self.send(&call.to_string()).await;
        let answer: Value = serde_json::from_str(&self.text().await).expect("JSON");
        assert_eq!(answer["id"], id, "{answer}");
        answer
    }

    async fn subscribe(&mut self, id: u32, query: &str) -> Value {
        self.call(id, "subscribe", json!({"query": query})).await
    }

    /// The next event, with the id of its subscription.
    async fn event(&mut self) -> (Value, Event) {
        let text = self.text().await;
        let id = serde_json::from_str::<Value>(&text).expect("JSON")["id"].take();
        (id, DeEvent::from_string(&text).expect("an event").into())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn subscribers_hear_of_blocks_headers_and_their_transactions() {
    let node = Running::new().await;
    let mut socket = Socket::open(&node).await;
    let tx = node.transfer(1, 5).await;
    let hash = portico_protocol::tx::tx_hash(&tx);
    let sender = format!("tm.event='Tx' AND message.sender='{}'", key(1).address());
    for (id, query) in [
        (1, "tm.event='NewBlock'"),
        (2, "tm.event='NewBlockHeader'"),
        (3, sender.as_str()),
        (4, &format!("tm.event = 'Tx' AND tx.hash='{hash}'")),
        (5, "tm.event='Tx' AND tx.height > 2"),
    ] {
        assert_eq!(socket.subscribe(id, query).await["result"], json!({}), "{query}");
    }
    assert_eq!(node.chain.broadcast(tx.clone()).await.expect("sent").code, 0);

    let (id, event) = socket.event().await;
    let EventData::NewBlock {
        block,
        block_id,
        result_finalize_block,
    } = event.data
    else {
        panic!("a block is expected");
    };
    assert_eq!((id, event.query.as_str()), (json!(1), "tm.event='NewBlock'"));
    let header = block.expect("there").header;
    assert_eq!(
        (header.height.value(), header.hash_with::<Sha>()),
        (2, block_id.hash)
    );
    assert_eq!(result_finalize_block.expect("there").tx_results.len(), 1);
    // The crate has no type for headers.
    let told: Value = serde_json::from_str(&socket.text().await).expect("JSON");
    let data = &told["result"]["data"];
    assert_eq!(
        (&told["id"], &data["type"]),
        (&json!(2), &json!("tendermint/event/NewBlockHeader"))
    );
    let told: tendermint::block::Header =
        serde_json::from_value(data["value"]["header"].clone()).expect("a header");
    assert_eq!(told, header);
    let mut told = Vec::new();
    for _ in 0..2 {
        let (id, event) = socket.event().await;
        let EventData::Tx { tx_result } = event.data else {
            panic!("a transaction is expected");
        };
        assert_eq!((tx_result.height, tx_result.tx.as_slice()), (2, tx.as_ref()));
        assert_eq!(
            event.events.expect("there")["tx.hash"],
            std::slice::from_ref(&hash)
        );
        told.push(id.as_u64().expect("a number"));
    }
    told.sort_unstable();
    assert_eq!(told, [3, 4], "and not the one about later heights");

    assert_eq!(
        socket
            .call(6, "unsubscribe", json!({"query": "tm.event='NewBlock'"}))
            .await["result"],
        json!({})
    );
    assert_eq!(
        socket.call(7, "unsubscribe_all", json!({})).await["result"],
        json!({})
    );
    assert_eq!(
        socket.call(8, "status", json!({})).await["result"]["sync_info"]["latest_block_height"],
        "2"
    );
    node.stop().await.expect("in order");
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_subscriptions_are_refused_and_the_connection_goes_on() {
    let node = Running::new().await;
    let mut socket = Socket::open(&node).await;
    for (text, code) in [
        ("{", -32_700),
        ("[]", -32_600),
        ("\"text\"", -32_600),
        (r#"{"jsonrpc":"2.0","id":1,"method":"nothing"}"#, -32_601),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"subscribe","params":{"query":7}}"#,
            -32_602,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"subscribe","params":{"query":"tm.event"}}"#,
            -32_603,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"unsubscribe","params":{"query":"a=1"}}"#,
            -32_603,
        ),
    ] {
        socket.send(text).await;
        let answer: Value = serde_json::from_str(&socket.text().await).expect("JSON");
        assert_eq!(answer["error"]["code"], code, "{text}: {answer}");
    }
    for id in 0..5 {
        assert_eq!(
            socket.subscribe(id, &format!("a={id}")).await["result"],
            json!({})
        );
    }
    assert_eq!(
        socket.subscribe(9, "a=0").await["error"]["data"],
        "already subscribed"
    );
    assert_eq!(
        socket.subscribe(9, "a=9").await["error"]["data"],
        "max_subscriptions_per_client 5 reached"
    );
    let over_http = portico_net::tls::ClientTls::public_http()
        .get(format!("{}/subscribe?query=%22a=1%22", node.rpc))
        .send()
        .await
        .expect("answered");
    assert_eq!(over_http.status(), 404);
    node.stop().await.expect("in order");
    let end: Value = serde_json::from_str(&socket.text().await).expect("JSON");
    assert_eq!(
        end["error"]["data"],
        "subscription was canceled (reason: the node stops)"
    );
}

#[tokio::test]
async fn a_client_who_closes_is_answered_in_kind() {
    let node = Running::new().await;
    let mut socket = Socket::open(&node).await;
    socket.subscribe(1, "tm.event='NewBlock'").await;
    socket.0.close(None).await.expect("sent");
    // Clients wait for this, some for half a minute.
    assert!(matches!(socket.0.next().await, Some(Ok(Message::Close(_)))));
    assert!(socket.0.next().await.is_none(), "and nothing after it");
    node.stop().await.expect("in order");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_websocket_too_many_is_refused_until_another_ends() {
    let node = Running::new().await;
    let mut sockets = Vec::new();
    for _ in 0..256 {
        sockets.push(Socket::open(&node).await);
    }
    let url = format!("{}/websocket", node.rpc.replace("http", "ws"));
    let refused = connect_async(&url).await.expect_err("there is no room");
    let Error::Http(answer) = refused else {
        panic!("{refused}");
    };
    assert_eq!(answer.status(), 503);
    assert_eq!(
        answer.body().as_deref(),
        Some(b"there are 256 WebSockets already".as_slice())
    );
    assert_eq!(
        sockets[255].call(1, "health", json!({})).await["result"],
        json!({}),
        "the others go on"
    );
    let mut leaving = sockets.pop().expect("many").0;
    leaving.close(None).await.expect("closed");
    while leaving.next().await.is_some() {}
    // The node ends the connection before it gives its place away.
    soon(async { while connect_async(&url).await.is_err() {} }).await;
    node.stop().await.expect("in order");
}
