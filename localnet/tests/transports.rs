//! The table of `docs/transports.md`, row by row, against a gateway and a servicer.
#![allow(clippy::unwrap_used)] // a test

mod backend;

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, Uri};
use portico_localnet::{Ledger, Plan, Spec, free_ports, in_process, ready};
use portico_net::tls::ClientTls;
use portico_net::websocket::{self, ConnectError, Incoming, Kind, Limits, Message};
use portico_net::{dial_websocket, websocket_url};
use portico_protocol::ServiceId;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

/// Whose node answers.
const WORKS: &str = "works";
/// Whose node is not there.
const DEAD: &str = "dead";
/// Behind a service's name: the same, whose batches are sent whole.
const WHOLE: &str = "-whole";
/// Weight of a relay, as the network has it by default.
const COMPUTE_UNITS: u64 = 10;
/// Longest wait for books to say what they are to say.
const SETTLES_WITHIN: Duration = Duration::from_secs(20);
/// A message of gRPC.
const PING: &[u8] = b"\0\0\0\0\x04ping";

/// A row of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Row {
    caller: String,
    requests: u64,
    answers: u64,
    leaves: u64,
    charge: u64,
    error: String,
}

/// The rows between the mark and the table's end.
fn rows(page: &str) -> Vec<Row> {
    let (_, rest) = page.split_once("<!-- test: transports -->").unwrap();
    let lines = rest.trim_start().lines();
    let table = lines.take_while(|line| line.starts_with('|')).skip(2);
    let row = |line: &str| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [caller, requests, answers, leaves, charge, error] = cells[..] else {
            panic!("a row has six cells: {line}");
        };
        let number = |cell: &str| cell.parse().unwrap();
        Row {
            caller: caller.to_owned(),
            requests: number(requests),
            answers: number(answers),
            leaves: number(leaves),
            charge: number(charge),
            error: error.to_owned(),
        }
    };
    table.map(row).collect()
}

/// What a call comes to for its caller: nothing wrong, or the form of the error.
type Seen = Result<(), String>;

struct Caller {
    gateway: String,
    client: reqwest::Client,
    http2: reqwest::Client,
}

impl Caller {
    /// Makes the call that a row describes, to a service.
    async fn call(&self, row: &str, service: &str) -> Option<Seen> {
        let url = format!("{}/v1/{service}", self.gateway);
        let one = json!({"jsonrpc": "2.0", "id": 1, "method": "eth_chainId", "params": []});
        let events = "text/event-stream";
        Some(match row {
            "posts a JSON-RPC call" => json_rpc(self.client.post(url).json(&one)).await,
            "posts a JSON-RPC batch of three calls" => batch(self.client.post(url)).await,
            "posts a JSON-RPC batch of three calls to a service with `batches: whole`" => {
                batch(self.client.post(url + WHOLE)).await
            }
            "posts a JSON-RPC call that is answered by three events" => {
                plain(self.client.post(url).header(ACCEPT, events).json(&one), 3).await
            }
            "makes a REST request" => plain(self.client.get(url + "/rest?a=b"), 0).await,
            "makes a CometBFT request by URI" => {
                plain(
                    self.client.get(url + "/status").header("rpc-type", "comet_bft"),
                    0,
                )
                .await
            }
            "reads three events" => plain(self.client.get(url + "/events").header(ACCEPT, events), 3).await,
            "reads three lines of NDJSON" => plain(self.client.get(url + "/lines"), 3).await,
            "sends a call over a WebSocket" => socket(&url, &one, 1).await,
            "subscribes over a WebSocket, and gets an answer and two notifications" => {
                let params = ["newPendingTransactions"];
                let call = json!({"jsonrpc": "2.0", "id": 1, "method": "eth_subscribe", "params": params});
                socket(&url, &call, 3).await
            }
            "makes a unary gRPC call" => self.grpc(service, "One", PING, 1).await,
            "makes a gRPC call that is answered by three messages" => {
                self.grpc(service, "Three", PING, 3).await
            }
            "makes a gRPC call of three messages" => self.grpc(service, "One", &PING.repeat(3), 1).await,
            "makes a gRPC-Web call" => web(&self.client, &url, "One", 1).await,
            "makes a gRPC-Web call that is answered by three messages" => {
                web(&self.client, &url, "Three", 3).await
            }
            _ => return None,
        })
    }

    async fn grpc(&self, service: &str, method: &str, body: &[u8], messages: usize) -> Seen {
        let post = self.http2.post(format!("{}/demo.Demo/{method}", self.gateway));
        let post = post.header("target-service-id", service).header("te", "trailers");
        let post = post.header(CONTENT_TYPE, "application/grpc").body(body.to_vec());
        let response = http::Response::<reqwest::Body>::from(post.send().await.unwrap());
        let (head, body) = response.into_parts();
        let body = http_body_util::BodyExt::collect(body).await.unwrap();
        let mut fields = head.headers;
        fields.extend(body.trailers().cloned().unwrap_or_default());
        status_of(&fields, &body.to_bytes(), messages)
    }
}

/// Says the status of a gRPC call that failed; else looks at its messages.
fn status_of(fields: &HeaderMap, body: &Bytes, messages: usize) -> Seen {
    match fields["grpc-status"].to_str().unwrap() {
        "0" => {
            assert_eq!(portico_relay::grpc::count(body), Some(messages), "{body:?}");
            Ok(())
        }
        status => Err(format!("gRPC status {status}")),
    }
}

async fn web(client: &reqwest::Client, url: &str, method: &str, messages: usize) -> Seen {
    let post = client.post(format!("{url}/demo.Demo/{method}"));
    let post = post.header(CONTENT_TYPE, "application/grpc-web+proto").body(PING);
    let body = post.send().await.unwrap().bytes().await.unwrap();
    let end = body.windows(5).rposition(|window| window[0] == 0x80).unwrap();
    let trailers = String::from_utf8(body[end + 5..].to_vec()).unwrap();
    let status = trailers
        .lines()
        .find_map(|line| line.strip_prefix("grpc-status: "));
    let fields = HeaderMap::from_iter([("grpc-status".parse().unwrap(), status.unwrap().parse().unwrap())]);
    status_of(&fields, &body.slice(..end), messages)
}

async fn json_rpc(request: reqwest::RequestBuilder) -> Seen {
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    let answer: Value = response.json().await.unwrap();
    assert_eq!(answer["id"], 1, "{answer}");
    match answer["error"]["code"].as_i64() {
        None => Ok(()),
        Some(_) => Err(format!("JSON-RPC error, HTTP {status}")),
    }
}

async fn batch(post: reqwest::RequestBuilder) -> Seen {
    let call = |id: u64| json!({"jsonrpc": "2.0", "id": id, "method": "eth_chainId", "params": []});
    let response = post.json(&[call(1), call(2), call(3)]).send().await.unwrap();
    let status = response.status().as_u16();
    let answers: Vec<Value> = response.json().await.unwrap();
    let ids: Vec<&Value> = answers.iter().map(|answer| &answer["id"]).collect();
    assert_eq!(ids, [1, 2, 3]);
    match answers
        .iter()
        .filter(|answer| answer["error"].is_object())
        .count()
    {
        0 => Ok(()),
        3 => Err(format!("JSON-RPC error for each call, HTTP {status}")),
        _ => panic!("{answers:?}"),
    }
}

/// A request by HTTP, whose body has so many pieces; 0 for one that is no stream.
async fn plain(request: reqwest::RequestBuilder, pieces: usize) -> Seen {
    let response = request.send().await.unwrap();
    let status = response.status();
    let text = response.text().await.unwrap();
    if status.is_success() {
        assert!(pieces == 0 || text.matches("piece").count() == pieces, "{text}");
        return Ok(());
    }
    let error: Value = serde_json::from_str(&text).unwrap();
    assert!(error["error"].is_object(), "{error}");
    Err(format!("JSON error, HTTP {}", status.as_u16()))
}

async fn socket(url: &str, call: &Value, messages: usize) -> Seen {
    let url: Uri = websocket_url(url).parse().unwrap();
    let limits = Limits {
        max_message_bytes: 1 << 20,
        write_timeout: Duration::from_secs(10),
        budgets: None,
    };
    let dialled = dial_websocket(&url, &ClientTls::public()).await.unwrap();
    let (mut receiver, sender) = match websocket::connect(dialled, &url, HeaderMap::new(), limits).await {
        Ok(open) => open,
        Err(ConnectError::Refused { status, .. }) => {
            return Err(format!("handshake refused, HTTP {status}"));
        }
        Err(error) => panic!("{error}"),
    };
    let (kind, bytes) = (Kind::Text, Bytes::from(call.to_string()));
    sender.send(Message { kind, bytes }).await.unwrap();
    for _ in 0..messages {
        match receiver.next().await.unwrap() {
            Incoming::Message(message) => {
                let said: Value = serde_json::from_slice(&message.bytes).unwrap();
                if said["error"].is_object() {
                    return Err("JSON-RPC error".to_owned());
                }
            }
            close @ Incoming::Close(_) => return Err(format!("{close:?}")),
        }
    }
    Ok(())
}

/// Requests, answers, leaves and compute units of a service so far, and of that whose batches are sent whole.
async fn books(ledger: &Ledger, service: &ServiceId) -> [u64; 4] {
    let rows = ledger.rows().await.unwrap();
    let whole = format!("{service}{WHOLE}");
    let rows = rows
        .iter()
        .filter(|row| row.service == *service || row.service.as_str() == whole);
    rows.fold([0; 4], |[a, b, c, d], row| {
        let (committed, units) = (row.committed, row.committed_compute_units);
        [a + row.validated, b + row.served, c + committed, d + units]
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn every_row_of_the_table_is_what_happens() {
    let page = include_str!("../../docs/transports.md");
    let rows = rows(page);
    let (works, dead): (ServiceId, ServiceId) = (WORKS.parse().unwrap(), DEAD.parse().unwrap());
    let (http1, http2, nobody) = backend::start().await;
    let whole = [&works, &dead].map(|id| format!("{id}{WHOLE}").parse::<ServiceId>().unwrap());
    let mut spec = Spec::new(BTreeMap::from([
        (works.clone(), Some(format!("http://{http1}"))),
        (dead.clone(), Some(format!("http://{nobody}"))),
        (whole[0].clone(), Some(format!("http://{http1}"))),
        (whole[1].clone(), Some(format!("http://{nobody}"))),
    ]));
    let sent_whole = json!({"batches": "whole"});
    spec.settings.gateway =
        json!({"services": {whole[0].as_str(): sent_whole, whole[1].as_str(): sent_whole}});
    spec.websockets = [
        (works.clone(), format!("ws://{http1}")),
        (dead.clone(), format!("ws://{nobody}")),
    ]
    .into();
    spec.grpc = [
        (works.clone(), format!("http://{http2}")),
        (dead.clone(), format!("http://{nobody}")),
    ]
    .into();
    // A session that is over takes no part of the books with it, but one in its middle is easier to understand.
    spec.block_time = Duration::from_secs(5);
    let folder = tempfile::tempdir().unwrap();
    let plan = Plan::open(folder.path(), free_ports().unwrap(), spec, &mut rand::rng()).unwrap();
    let stop = CancellationToken::new();
    let (network, parts) = in_process::start(&plan, &stop).await.unwrap();
    let mut running = tokio::task::JoinSet::new();
    for part in parts {
        running.spawn(part.run);
    }
    let client = plan.http_client().unwrap();
    for url in [plan.servicer_url(), plan.gateway_url()] {
        ready(&client, &format!("{url}/ready")).await.unwrap();
    }
    let http2 = ClientTls::public()
        .http_client()
        .http2_prior_knowledge()
        .build()
        .unwrap();
    let gateway = plan.gateway_url();
    let caller = Caller {
        gateway,
        client,
        http2,
    };

    let mut wrong = Vec::new();
    for row in &rows {
        let before = books(&network.ledger, &works).await;
        let Some(seen) = caller.call(&row.caller, WORKS).await else {
            panic!("no call is known that does what this row says: {}", row.caller);
        };
        assert_eq!(seen, Ok(()), "{}", row.caller);
        let expected = [row.requests, row.answers, row.leaves, row.charge * COMPUTE_UNITS];
        let mut counted = [0; 4];
        // Of a stream, the leaf is written when its caller has the end; a WebSocket's last message may be on its way into the log.
        let settled = tokio::time::timeout(SETTLES_WITHIN, async {
            while counted != expected {
                tokio::time::sleep(Duration::from_millis(50)).await;
                let now = books(&network.ledger, &works).await;
                counted = std::array::from_fn(|index| now[index] - before[index]);
            }
            // And nothing more.
            tokio::time::sleep(Duration::from_millis(200)).await;
            let now = books(&network.ledger, &works).await;
            counted = std::array::from_fn(|index| now[index] - before[index]);
        });
        _ = settled.await;
        if counted != expected {
            wrong.push(format!("{}: {counted:?} instead of {expected:?}", row.caller));
        }
        let error = caller.call(&row.caller, DEAD).await.unwrap();
        if error.as_ref() != Err(&row.error) {
            wrong.push(format!("{}: {error:?} instead of {}", row.caller, row.error));
        }
    }
    let nothing = books(&network.ledger, &dead).await;
    stop.cancel();
    while running.join_next().await.is_some() {}
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(nothing[2..], [0, 0], "what no node answers makes no leaf");
    assert_eq!(rows.len(), ROWS, "a call has no row, or two");
}

/// Calls that [`Caller::call`] knows.
const ROWS: usize = 15;
