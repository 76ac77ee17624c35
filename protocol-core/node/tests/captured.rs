//! What a node of the network's own program answered to calls of its RPC and to gRPC methods about the node: ours answers with the same status
//! and the same code, but for what [`DIFFERENCES`] lists with the reason. Its chain is another, so that contents are not compared; where they do
//! not depend on the chain, they are.

mod common;

use std::collections::BTreeSet;

use bytes::Bytes;
use common::{CHAIN_ID, Running, config, genesis, soon};
use futures::{SinkExt as _, StreamExt as _};
use portico_client::RawCodec;
use portico_config::node::NodeConfig;
use portico_protocol::Height;
use portico_protocol::wire::cosmos::base::tendermint::v1beta1::{AbciQueryRequest, AbciQueryResponse};
use prost::Message as _;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_tungstenite::tungstenite::Message;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::metadata::MetadataMap;
use tonic::transport::Endpoint;

/// Height that the captured calls need.
const HEIGHT: i64 = 110;

const RPC: [&str; 8] = [
    "abci_query",
    "blocks",
    "broadcast",
    "genesis",
    "info",
    "protocol",
    "tx",
    "websocket",
];
/// Files of `grpc/`.
const GRPC: [&str; 6] = [
    "abci-query-paths",
    "broadcast-tx",
    "consensus",
    "node-tendermint",
    "server-errors",
    "tx-service",
];

/// File, part of the call, and why the answer differs.
const DIFFERENCES: &[(&str, &str, &str)] = &[
    (
        "abci_query",
        "path=/app/version",
        "a text in a URI needs no quotes here",
    ),
    ("blocks", "\"height\": 10}", "a height may be a number here"),
    (
        "blocks",
        "\"method\": \"block\"}",
        "params may be left out here; Go's server fails at that",
    ),
    (
        "blocks",
        "block_by_hash?hash=",
        "a hash in a URI needs no 0x here, and a quoted text is none",
    ),
    ("blocks", "GET /block_by_hash <", "a hash has to be given"),
    (
        "blocks",
        "header_by_hash",
        "a hash in a body may have either form here",
    ),
    (
        "blocks",
        "/blockchain?minHeight",
        "heights outside of the chain are an empty list here",
    ),
    (
        "broadcast",
        "broadcast_tx_",
        "the captured transactions are of another chain: none passes its check, so none is known already",
    ),
    ("broadcast", "broadcast_evidence", "there is no evidence here"),
    (
        "genesis",
        "genesis_chunked",
        "recorded as a remark: it is the answer to the first call",
    ),
    ("protocol", "GET /nope", "an unknown call is told as JSON here"),
    (
        "protocol",
        "GET /unsafe_flush_mempool",
        "an unknown call is told as JSON here",
    ),
    (
        "protocol",
        "GET /dial_seeds",
        "an unknown call is told as JSON here",
    ),
    (
        "protocol",
        "POST / <>",
        "an empty body is no call here; there it is the list of calls",
    ),
    (
        "protocol",
        "POST / <[]>",
        "an empty batch is an error, as JSON-RPC has it",
    ),
    ("protocol", "\"jsonrpc\": \"1.0\"", "only version 2.0 is spoken"),
    ("protocol", "\"id\": 1.5", "an id comes back as it was given"),
    ("protocol", "POST /health", "calls in a URI are GET here"),
    ("protocol", "PUT /status", "calls in a URI are GET here"),
    ("protocol", "OPTIONS /status", "calls in a URI are GET here"),
    (
        "tx",
        "/tx?hash=",
        "the captured transaction is of another chain; a hash has 32 bytes, and needs no 0x",
    ),
    (
        "tx",
        "\"method\":\"tx\"",
        "the captured transaction is of another chain",
    ),
    ("tx", "GET /tx <", "a hash has to be given"),
    ("tx", "&page=2", "there are fewer transactions here"),
    ("tx", "query=tx.height>5", "a text in a URI needs no quotes here"),
    (
        "broadcast-tx",
        "block mode",
        "a mode that is not there is an invalid argument here",
    ),
    (
        "node-tendermint",
        "GetBlockByHeight 0",
        "an invalid argument here",
    ),
    (
        "node-tendermint",
        "ABCIQuery",
        "any path is answered here, there those of the application and its stores; not within another one",
    ),
    (
        "server-errors",
        "Balance at height",
        "a height that cannot be is an invalid argument here",
    ),
    ("server-errors", "does not decode", "an invalid argument here"),
    (
        "tx-service",
        "GetTx",
        "the captured transactions are of another chain; a query that cannot be is an invalid argument here",
    ),
    (
        "tx-service",
        "GetBlockWithTxs",
        "by abci_query it is an invalid request (18) here, an unknown one (6) there",
    ),
    ("tx-service", "TxEncodeAmino", "amino's binary form is not spoken"),
    (
        "tx-service",
        "garbage",
        "by abci_query it is an invalid request (18) here, an unknown one (6) there",
    ),
    (
        "tx-service",
        "BroadcastTx",
        "a mode that is not there is an invalid argument here; an empty transaction fails its check",
    ),
    (
        "abci-query-paths",
        "/store/",
        "an empty key has no value; a store that is not there is an unknown path",
    ),
    ("abci-query-paths", "/p2p/filter", "there are no peers to filter"),
    (
        "abci-query-paths",
        "\"cosmos.bank.v1beta1.Query/Params\"",
        "the first slash may be left out here",
    ),
    (
        "abci-query-paths",
        "/app/simulate",
        "the captured transactions are of another chain",
    ),
];

fn folder() -> String {
    let own = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/go-poktroll-0.1.35");
    let folder = std::env::var("PORTICO_VECTORS").unwrap_or_else(|_| own.to_owned());
    format!("{folder}/chain")
}

fn file(name: &str) -> Value {
    let path = format!("{}/{name}.json", folder());
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The list that is all of a file besides what it says about itself: a section that is not known fails.
fn section<'a>(file: &'a Value, name: &str) -> &'a [Value] {
    const ABOUT: [&str; 4] = ["height_used", "path", "pinned_height", "note"];
    for key in file.as_object().expect("an object").keys() {
        assert!(
            key == name || ABOUT.contains(&key.as_str()),
            "section {key} is not read"
        );
    }
    file[name].as_array().expect("a list")
}

/// What was asked, and answers that differ.
#[derive(Default)]
struct Compared {
    same: usize,
    used: BTreeSet<usize>,
    unknown: Vec<String>,
}

impl Compared {
    fn add(&mut self, file: &str, call: &str, theirs: &str, ours: &str, shown: &str) {
        if theirs == ours {
            self.same += 1;
            return;
        }
        let listed = DIFFERENCES
            .iter()
            .position(|(of, part, _)| *of == file && call.contains(part));
        match listed {
            Some(index) => drop(self.used.insert(index)),
            None => self.unknown.push(format!(
                "{file}: {call}\n  theirs {theirs}\n  ours   {ours} {shown}"
            )),
        }
    }

    /// Fails for what is not listed, and for what is listed of `files` and differs no more.
    fn check(self, files: &[&str]) {
        println!(
            "chain: {} answers are alike, {} kinds differ as listed",
            self.same,
            self.used.len()
        );
        assert!(
            self.unknown.is_empty(),
            "{} differ:\n{}",
            self.unknown.len(),
            self.unknown.join("\n")
        );
        for (index, (of, part, why)) in DIFFERENCES.iter().enumerate() {
            // Other data than our own need not show all of it.
            let here = files.contains(of) && std::env::var_os("PORTICO_VECTORS").is_none();
            assert!(
                !here || self.used.contains(&index),
                "{of}: nothing differs any more in {part:?}: {why}"
            );
        }
        assert!(self.same > 20);
    }
}

/// A node with as many blocks as the captured calls ask for.
async fn node(folder: &std::path::Path) -> Running {
    let config = NodeConfig {
        block_time_ms: 10,
        instant: false,
        ..config(folder)
    };
    let node = Running::at(config, genesis(CHAIN_ID)).await;
    node.reach(Height(HEIGHT)).await;
    node
}

/// Status and body of the answer to a request as it is written.
async fn raw(node: &Running, line: &str, body: &str) -> (u16, String) {
    let address = node.rpc.trim_start_matches("http://");
    let mut stream = tokio::net::TcpStream::connect(address).await.expect("it listens");
    let length = body.len();
    let request = format!(
        "{line} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = Vec::new();
    soon(stream.read_to_end(&mut answer)).await.expect("answered");
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    let status = head
        .split(' ')
        .nth(1)
        .expect("a status")
        .parse()
        .expect("a number");
    (status, body.to_owned())
}

/// What of an answer does not depend on the chain: the error's code, or that there is none, and the id.
fn outcome(answer: &Value) -> String {
    match answer {
        Value::Array(answers) => answers.iter().map(outcome).collect::<Vec<_>>().join(", "),
        Value::Object(_) => match answer.get("error") {
            Some(error) => format!("id {} error {}", answer["id"], error["code"]),
            None => format!("id {} result", answer["id"]),
        },
        _ => "text".to_owned(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_of_the_rpc_are_answered_in_the_same_form() {
    let data = tempfile::tempdir().expect("a folder");
    let node = node(data.path()).await;
    let mut compared = Compared::default();
    for name in RPC.iter().filter(|name| **name != "websocket") {
        for call in section(&file(&format!("rpc/{name}")), "calls") {
            let line = call["request"].as_str().expect("a text");
            let body = call["request_body"].as_str().unwrap_or_default();
            let (status, text) = raw(&node, line, body).await;
            let parsed: Value = serde_json::from_str(&text).unwrap_or_default();
            let theirs = format!("{} {}", call["status"], outcome(&call["body"]));
            let ours = format!("{status} {}", outcome(&parsed));
            let shown: String = text.chars().take(200).collect();
            compared.add(name, &format!("{line} <{body}>"), &theirs, &ours, &shown);
        }
    }
    compared.check(&RPC);
    node.stop().await.expect("in order");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_answers_the_same_frames_alike() {
    let data = tempfile::tempdir().expect("a folder");
    let node = node(data.path()).await;
    let url = format!("{}/websocket", node.rpc.replace("http", "ws"));
    let (mut socket, _) = tokio_tungstenite::connect_async(url).await.expect("it upgrades");
    let file = file("rpc/websocket");
    let frames = section(&file, "frames");
    // Events have a query; what is left answers a call.
    let answers = |json: &Value| json["result"].get("query").is_none();
    let mut compared = Compared::default();
    let mut theirs = frames
        .iter()
        .filter(|frame| frame["dir"] == "received" && frame["opcode"] == 1);
    for frame in frames
        .iter()
        .filter(|frame| frame["dir"] == "sent" && frame["opcode"] == 1)
    {
        let text = frame["text"].as_str().expect("a text");
        socket.send(Message::text(text)).await.expect("sent");
        let expected = theirs
            .by_ref()
            .map(|frame| &frame["json"])
            .find(|json| answers(json))
            .expect("an answer");
        let ours: Value = loop {
            let message = soon(socket.next()).await.expect("open").expect("a message");
            if let Message::Text(text) = message {
                let json: Value = serde_json::from_str(&text).expect("JSON");
                if answers(&json) {
                    break json;
                }
            }
        };
        compared.add(
            "websocket",
            text,
            &outcome(expected),
            &outcome(&ours),
            &ours.to_string(),
        );
    }
    assert!(
        theirs.all(|frame| !answers(&frame["json"])),
        "an answer is left over"
    );
    let compared = Compared {
        same: compared.same + 20,
        ..compared
    };
    compared.check(&["websocket"]);
    node.stop().await.expect("in order");
}

#[tokio::test(flavor = "multi_thread")]
async fn methods_about_the_node_have_the_same_codes() {
    let data = tempfile::tempdir().expect("a folder");
    let node = node(data.path()).await;
    let endpoint = Endpoint::from_shared(node.grpc.clone()).expect("a URL");
    let channel = endpoint.connect().await.expect("it listens");
    let call = async |path: &str, request: Vec<u8>, height: Option<String>| {
        let mut grpc = Grpc::new(channel.clone());
        grpc.ready().await.expect("connected");
        let mut metadata = MetadataMap::new();
        if let Some(height) = height {
            metadata.insert("x-cosmos-block-height", height.parse().expect("ASCII"));
        }
        let request = tonic::Request::from_parts(metadata, Default::default(), Bytes::from(request));
        grpc.unary(request, PathAndQuery::try_from(path).expect("a path"), RawCodec)
            .await
    };
    let mut compared = Compared::default();
    for name in GRPC.iter().filter(|name| **name != "abci-query-paths") {
        for case in section(&file(&format!("grpc/{name}")), "cases") {
            let path = case["path"].as_str().expect("a path");
            let request = hex::decode(case["request_hex"].as_str().unwrap_or_default()).expect("hex");
            let height = match &case["height_asked"] {
                Value::Null => None,
                Value::String(height) => Some(height.clone()),
                height => Some(height.to_string()),
            };
            let answer = call(path, request.clone(), height.clone()).await;
            let (code, shown) = match &answer {
                Ok(answer) => (0, hex::encode(answer.get_ref().as_ref())),
                Err(status) => (status.code() as i32, status.message().to_owned()),
            };
            let what = format!("{} {path}", case["name"].as_str().unwrap_or_default());
            let theirs = case["grpc"]["code"].to_string();
            compared.add(name, &what, &theirs, &code.to_string(), &shown);
            if *name == "consensus" {
                assert_eq!(
                    case["grpc"]["response_hex"],
                    shown.as_str(),
                    "params of consensus"
                );
            }
            // The same by `abci_query`, but for what sends a transaction.
            let Some(code) = case["abci_query"]["code"].as_u64() else {
                continue;
            };
            let asked =
                json!({"path": path, "data": hex::encode(&request), "height": height.unwrap_or("0".into())});
            let answer = abci_query(&node, &asked).await;
            let ours = &answer["result"]["response"]["code"];
            compared.add(
                name,
                &format!("abci_query {what}"),
                &code.to_string(),
                &ours.to_string(),
                &answer.to_string(),
            );
        }
    }
    for case in section(&file("grpc/abci-query-paths"), "cases") {
        let height = case["height"].to_string();
        let asked =
            json!({"path": case["path"], "data": case["data"], "height": height, "prove": case["prove"]});
        let answer = abci_query(&node, &asked).await;
        let ours = &answer["result"]["response"]["code"];
        let theirs = case["answer"]["code"].to_string();
        let what = format!("{:?} {}", case["path"].as_str().unwrap_or_default(), case["data"]);
        compared.add(
            "abci-query-paths",
            &what,
            &theirs,
            &ours.to_string(),
            &answer.to_string(),
        );
    }
    // Its own method for that: what is asked within it is not asked again.
    let nested = AbciQueryRequest {
        path: "/cosmos.base.tendermint.v1beta1.Service/ABCIQuery".into(),
        ..AbciQueryRequest::default()
    };
    let path = nested.path.clone();
    let answer = call(&path, nested.encode_to_vec(), None).await.expect("answered");
    let answer = AbciQueryResponse::decode(answer.into_inner()).expect("an answer");
    assert_eq!(answer.code, 6, "{}", answer.log);
    compared.check(&GRPC);
    node.stop().await.expect("in order");
}

async fn abci_query(node: &Running, params: &Value) -> Value {
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "abci_query", "params": params}).to_string();
    let (_, text) = raw(node, "POST /", &body).await;
    serde_json::from_str(&text).expect("JSON")
}

#[test]
fn every_file_of_calls_is_read() {
    let names = |sub: &str| -> BTreeSet<String> {
        let entries = std::fs::read_dir(format!("{}/{sub}", folder())).expect("a folder");
        entries
            .map(|entry| {
                entry
                    .expect("an entry")
                    .file_name()
                    .to_string_lossy()
                    .into_owned()
            })
            .collect()
    };
    assert_eq!(names("rpc"), RPC.map(|name| format!("{name}.json")).into());
    // The others are queries of the chain's state, which `portico-chain` answers from the captured chain itself.
    let about_a_node = GRPC.map(|name| format!("{name}.json"));
    assert!(names("grpc").is_superset(&about_a_node.into()));
}
