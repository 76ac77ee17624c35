//! What the Go relay miners asked of their backends and what they made of the answers, against ours
//! (`testdata/go-wire-transports/http.json`): each recorded relay request is sent through a backend whose node answers as it was recorded.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use http_body_util::BodyExt;
use portico_config::servicer::{BackendConfig, RpcType};
use portico_net::budget::Budgets;
use portico_protocol::wire::pocket::service::{RelayRequest, RelayResponse};
use portico_relay::Exchange as _;
use serde::Deserialize;

use super::*;
use crate::backend::{self, BackendMetrics, Backends, Shared};

const RECORDED: &str = include_str!("../../../testdata/go-wire-transports/http.json");
const REFUSALS: &str = include_str!("../../../testdata/go-wire-transports/refusals.json");
const PROBES: &str = include_str!("../../../testdata/go-wire-transports/probes.json");
/// Used by the gateway's own test (`gateway/tests/recorded.rs`), which fails when it does not run all of them.
const GATEWAYS: &str = include_str!("../../../testdata/go-wire-transports/gateways.json");
const CASES: &str = include_str!("../../../testdata/go-wire-transports/cases.txt");

/// Headers of a connection or of the library that sends it, and those that the miners add.
const NOT_COMPARED: [&str; 12] = [
    "accept-encoding",
    "connection",
    "content-length",
    "date",
    "host",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "user-agent",
    "x-configured",
    "expect",
];

/// Headers of an answer that the node's library sets itself.
const OF_THE_CONNECTION: [&str; 5] = [
    "connection",
    "content-length",
    "keep-alive",
    "trailer",
    "transfer-encoding",
];

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Recorded {
    case: String,
    miner: String,
    rpc_type: Option<String>,
    relay_request: String,
    asked: Asked,
    answered: Answered,
    /// Status of the miner's own answer.
    status: u16,
    relay_response: Option<String>,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    method: String,
    url: String,
    headers: Vec<(String, String)>,
    body: String,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Answered {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Probe {
    url: String,
    status: u16,
    body: serde_json::Value,
}

/// What reached the node.
#[derive(Clone, Debug, Default)]
struct Got {
    method: String,
    url: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

type Headers = BTreeMap<String, Vec<String>>;

fn compared(headers: &[(String, String)]) -> Headers {
    let mut map = Headers::new();
    for (name, value) in headers {
        let name = name.to_ascii_lowercase();
        if !NOT_COMPARED.contains(&&*name) && !name.starts_with("pocket-") {
            map.entry(name).or_default().push(value.clone());
        }
    }
    map
}

/// A node that answers as recorded, and keeps what it was asked.
async fn node(answered: Answered) -> (SocketAddr, Arc<Mutex<Got>>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let got = Arc::<Mutex<Got>>::default();
    let state = (answered, Arc::clone(&got));
    let app = Router::new().fallback(answer_as_recorded).with_state(state);
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    (address, got)
}

async fn answer_as_recorded(
    State((answered, got)): State<(Answered, Arc<Mutex<Got>>)>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let text = |value: &http::HeaderValue| value.to_str().unwrap().to_owned();
    let headers = parts.headers.iter();
    *got.lock().unwrap() = Got {
        method: parts.method.to_string(),
        // Over HTTP/2, which a gRPC backend speaks, the URI names the host too.
        url: parts
            .uri
            .path_and_query()
            .map(ToString::to_string)
            .unwrap_or_default(),
        headers: headers
            .map(|(name, value)| (name.to_string(), text(value)))
            .collect(),
        body: body.to_vec(),
    };
    let mut response = Response::builder().status(answered.status);
    for (name, value) in &answered.headers {
        if !OF_THE_CONNECTION.contains(&&*name.to_ascii_lowercase()) {
            response = response.header(name, value);
        }
    }
    response
        .body(Body::from(hex::decode(&answered.body).unwrap()))
        .unwrap()
}

/// Sends the recorded relay through a backend configured as the miner's was.
async fn through_ours(recorded: &Recorded) -> (Got, Result<PokthttpResponse, String>) {
    let (address, got) = node(recorded.answered.clone()).await;
    // The reference miner's REST backend was configured with path and query.
    let of_reference_rest = recorded.miner == "ref" && recorded.asked.url.starts_with("/base");
    let path = if of_reference_rest { "/base?k=v" } else { "/" };
    let every = |more: &[&str]| {
        let names = std::iter::once(&"*").chain(more).map(|&name| name.to_owned());
        Some(names.collect::<Vec<_>>())
    };
    let mut config = ServiceConfig::new(format!("http://{address}{path}"));
    let rpc_type = rpc_type_of(recorded);
    let backend = BackendConfig {
        forward_headers: every(&["authorization", "cookie"]),
        return_headers: every(&["set-cookie"]),
        ..BackendConfig::new(config.backend.url.clone())
    };
    // The backend of the recorded RPC type is the one that answers, the default is none.
    match rpc_type {
        RpcType::JsonRpc => config.backend = backend,
        other => {
            config.backend.url = "http://127.0.0.1:1/".to_owned();
            config.rpc_types.insert(other, backend);
        }
    }
    let shared = Shared {
        connections: backend::connections().unwrap(),
        buffers: Budgets::of_all(64 << 20),
        metrics: BackendMetrics::new(&prometheus::Registry::new()).unwrap(),
        max_in_flight: 1,
    };
    let backends = Backends::new(&SERVICE.parse().unwrap(), &config, &shared).unwrap();
    let request = RelayRequest::decode(&*hex::decode(&recorded.relay_request).unwrap()).unwrap();
    let answer = async {
        let admitted = backends.admit(rpc_type, &request.payload).await?;
        let (mut exchange, _places) = backends
            .open(admitted, request.meta.as_ref().unwrap(), http::HeaderMap::new())
            .await?;
        exchange.next().await.unwrap()
    };
    let answer = answer.await.map_err(|error| format!("{error:?}"));
    let answer = answer.map(|message| PokthttpResponse::decode(message.payload).unwrap());
    let got = got.lock().unwrap().clone();
    (got, answer)
}

fn rpc_type_of(recorded: &Recorded) -> RpcType {
    match recorded
        .rpc_type
        .as_deref()
        .and_then(portico_relay::RpcType::parse)
    {
        Some(portico_relay::RpcType::Rest) => RpcType::Rest,
        Some(portico_relay::RpcType::CometBft) => RpcType::CometBft,
        Some(portico_relay::RpcType::Grpc) => RpcType::Grpc,
        _ => RpcType::JsonRpc,
    }
}

fn payload_of(response: &str) -> PokthttpResponse {
    let response = RelayResponse::decode(&*hex::decode(response).unwrap()).unwrap();
    PokthttpResponse::decode(response.payload).unwrap()
}

fn fields(response: &PokthttpResponse) -> Headers {
    let pairs = response.header.values().flat_map(|header| {
        header
            .values
            .iter()
            .map(|value| (header.key.clone(), value.clone()))
    });
    compared(&pairs.collect::<Vec<_>>())
}

/// Each line of the snapshot is a decision: ours passes redirects on, keeps paths and queries as called, decodes what it signs, carries a
/// backend's 5xx as the reference miner does (HA answers with a status of its own), and takes nothing from around the relay to its inside.
#[tokio::test]
async fn backends_are_asked_and_their_answers_passed_on_as_the_go_miners_do() {
    let recorded: Vec<Recorded> = serde_json::from_str(RECORDED).unwrap();
    assert!(recorded.len() > 150);
    let mut differences = BTreeMap::<&str, BTreeSet<String>>::new();
    let mut differ = |what, case: &str| _ = differences.entry(what).or_default().insert(case.to_owned());
    for recorded in &recorded {
        let case = &*recorded.case;
        let (got, answer) = through_ours(recorded).await;
        let asked = &recorded.asked;
        assert_eq!(got.method, asked.method, "{case}");
        if got.url != asked.url {
            differ("url", &format!("{case}: {} for {}", got.url, asked.url));
        }
        if got.body != hex::decode(&asked.body).unwrap() {
            differ("request body", case);
        }
        let (mut ours, theirs) = (compared(&got.headers), compared(&asked.headers));
        // Our library says so where nobody says what is accepted; it means the same (RFC 9110 §12.5.1).
        if !theirs.contains_key("accept") && ours["accept"] == ["*/*"] {
            ours.remove("accept");
        }
        if ours != theirs {
            differ("request headers", &format!("{case}: {ours:?} for {theirs:?}"));
        }
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => {
                differ("no answer", &format!("{case}: {error}"));
                continue;
            }
        };
        assert_eq!(answer.status_code, u32::from(recorded.answered.status), "{case}");
        let Some(theirs) = &recorded.relay_response else {
            differ("no response of theirs", &format!("{case}: {}", recorded.status));
            continue;
        };
        let theirs = payload_of(theirs);
        if answer.status_code != theirs.status_code {
            differ(
                "status",
                &format!("{case}: {} for {}", answer.status_code, theirs.status_code),
            );
            continue;
        }
        if answer.body_bz != theirs.body_bz {
            differ("response body", case);
        }
        if fields(&answer) != fields(&theirs) {
            differ(
                "response headers",
                &format!("{case}: {:?} for {:?}", fields(&answer), fields(&theirs)),
            );
        }
    }
    let text: Vec<String> = differences
        .into_iter()
        .flat_map(|(what, cases)| cases.into_iter().map(move |case| format!("{what}: {case}")))
        .collect();
    insta::assert_snapshot!(text.join("\n"));
}

/// Each recorded case is used by a test: of HTTP, probes, WebSockets, streams, gRPC and refusals here, of gateways in the gateway.
#[test]
fn every_recorded_case_is_used() {
    let recorded: Vec<Recorded> = serde_json::from_str(RECORDED).unwrap();
    let refusals: BTreeMap<String, BTreeMap<String, serde_json::Value>> =
        serde_json::from_str(REFUSALS).unwrap();
    let mut used: BTreeSet<String> = recorded.into_iter().map(|recorded| recorded.case).collect();
    let probes: BTreeMap<String, Probe> = serde_json::from_str(PROBES).unwrap();
    used.extend(probes.into_keys());
    used.extend(super::websockets::recorded_cases());
    used.extend(super::streams::recorded_cases());
    used.extend(super::grpc::recorded_cases());
    for (miner, cases) in refusals {
        used.extend(cases.into_keys().map(|case| format!("refusal-{miner}-{case}")));
    }
    let gateways: Vec<serde_json::Value> = serde_json::from_str(GATEWAYS).unwrap();
    used.extend(
        gateways
            .iter()
            .map(|case| case["name"].as_str().unwrap().to_owned()),
    );
    let cases: BTreeSet<String> = CASES.lines().map(str::to_owned).collect();
    assert_eq!(cases.len(), 405);
    let unused: Vec<_> = cases.difference(&used).collect();
    assert!(unused.is_empty(), "used by no test: {unused:?}");
    let unknown: Vec<_> = used.difference(&cases).collect();
    assert!(unknown.is_empty(), "no recorded cases: {unknown:?}");
}

/// Whoever watches an HA relay miner may watch ours: each key that its probes answer with is there, but for URLs of nodes and the pool of
/// connections, and the status is the same.
#[tokio::test]
async fn probes_answer_with_the_keys_of_the_ha_relay_miner() {
    let world = World::start().await;
    world.go_to(2).await;
    let recorded: BTreeMap<String, Probe> = serde_json::from_str(PROBES).unwrap();
    for (case, probe) in recorded {
        let path = probe.url.replace("svc-ha", SERVICE);
        let url = format!("http://{}{path}", world.running().address);
        let response = world.client.get(url).send().await.unwrap();
        assert_eq!(response.status().as_u16(), probe.status, "{case}");
        let ours: serde_json::Value = response.json().await.unwrap();
        let is_plain_ready = path == "/ready";
        for key in probe.body.as_object().unwrap().keys() {
            let known = ours.get(key).is_some() || key == "pool" || (is_plain_ready && key == "status");
            assert!(known, "{case}: {key} is missing in {ours}");
        }
        if path.starts_with("/ready/") {
            assert_eq!(ours["ready"], probe.body["ready"], "{case}");
        }
    }
}
