//! gRPC: relays sent by it, and nodes that speak it; as they were recorded of the HA relay miner and pocket-ap
//! (`testdata/go-wire-transports/grpc.json`).

use std::collections::BTreeMap;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use http_body_util::BodyExt as _;
use portico_config::servicer::{BackendConfig, RpcType};
use portico_net::Parts;
use portico_net::budget::Budgets;
use portico_protocol::wire::sdk::types::Header;
use portico_relay::Exchange as _;
use portico_relay::grpc::{self, Wire};
use serde_json::Value;

use super::*;
use crate::backend::{self, BackendMetrics, Backends, Shared};

const RECORDED: &str = include_str!("../../../testdata/go-wire-transports/grpc.json");

fn recorded() -> Vec<Value> {
    let recording: Value = serde_json::from_str(RECORDED).unwrap();
    recording["cases"].as_array().unwrap().clone()
}

/// Names of all recorded cases: each is read here.
pub(super) fn recorded_cases() -> Vec<String> {
    let name = |case: &Value| case["case"].as_str().unwrap().to_owned();
    recorded().iter().map(name).collect()
}

/// What a node answers every call with.
#[derive(Clone, Default)]
struct Says {
    status: u16,
    headers: HeaderMap,
    body: Bytes,
    trailers: Option<HeaderMap>,
}

/// A node that speaks HTTP/2, and counts.
async fn node(says: Says) -> (SocketAddr, Arc<AtomicU64>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, hits) = (listener.local_addr().unwrap(), Arc::new(AtomicU64::new(0)));
    let counted = Arc::clone(&hits);
    let app = Router::new().fallback(move |request: Request| {
        counted.fetch_add(1, Ordering::SeqCst);
        let says = says.clone();
        async move {
            assert_eq!(request.version(), http::Version::HTTP_2);
            assert_eq!(request.headers()["te"], "trailers");
            let parts = Parts::new(vec![says.body]);
            let body = match says.trailers {
                Some(trailers) => Body::new(parts.trailers(trailers)),
                None => Body::new(parts),
            };
            let mut response = Response::new(body);
            *response.status_mut() = StatusCode::from_u16(says.status).unwrap();
            *response.headers_mut() = says.headers;
            response
        }
    });
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    (address, hits)
}

fn map(fields: &[(&str, &str)]) -> HeaderMap {
    let field = |(name, value): &(&str, &str)| {
        let name = HeaderName::try_from(*name).unwrap();
        (name, HeaderValue::try_from(*value).unwrap())
    };
    fields.iter().map(field).collect()
}

fn framed(message: &[u8]) -> Bytes {
    [&grpc::prefix(message.len())[..], message].concat().into()
}

async fn echo() -> (SocketAddr, Arc<AtomicU64>) {
    node(Says {
        status: 200,
        headers: map(&[("content-type", "application/grpc"), ("x-head", "h")]),
        body: framed(b"pong"),
        trailers: Some(map(&[("grpc-status", "0"), ("x-trailer", "t")])),
    })
    .await
}

/// A call as a gateway relays it.
fn called() -> Bytes {
    let header = |key: &str, value: &str| {
        let (key, values) = (key.to_owned(), vec![value.to_owned()]);
        (key.clone(), Header { key, values })
    };
    let request = PokthttpRequest {
        method: "POST".into(),
        url: "http://relay.example/demo.Demo/Echo".into(),
        header: [
            header("Content-Type", "application/grpc"),
            header("Te", "trailers"),
        ]
        .into(),
        body_bz: framed(b"ping"),
    };
    request.encode_to_vec().into()
}

/// What came back for one call.
#[derive(Debug)]
struct Came {
    status: u8,
    text: String,
    message: Option<Bytes>,
}

impl World {
    async fn with_grpc(address: SocketAddr) -> Self {
        Self::with(move |config| {
            let service = config.services.get_mut(&SERVICE.parse().unwrap()).unwrap();
            let backend = BackendConfig::new(format!("http://{address}/"));
            service.rpc_types.insert(RpcType::Grpc, backend);
        })
        .await
    }

    fn call_in(&self, header: &SessionHeader, supplier: &str) -> RelayRequest {
        let ring = Ring::new(vec![self.application.public_key(), self.gateway.public_key()]).unwrap();
        let mut rng = StdRng::seed_from_u64(rand::random());
        sign_request(header, supplier, called(), &ring, &self.gateway, &mut rng).unwrap()
    }

    fn call(&self) -> RelayRequest {
        self.call_in(&self.header(), &self.supplier().to_string())
    }

    async fn by_grpc(&self, wire: Wire, request: &RelayRequest) -> Came {
        self.raw_by_grpc(wire, framed(&request.encode_to_vec())).await
    }

    async fn raw_by_grpc(&self, wire: Wire, body: Bytes) -> Came {
        let client = portico_net::tls::ClientTls::public().http_client().no_proxy();
        let client = match wire {
            Wire::Native => client.http2_prior_knowledge(),
            _ => client,
        };
        let url = format!("http://{}{}", self.running().address, grpc::SEND_RELAY);
        let post = client
            .build()
            .unwrap()
            .post(url)
            .header("content-type", wire.content_type());
        let response = post.header("rpc-type", "1").body(body).send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], wire.content_type());
        let (head, body) = http::Response::<reqwest::Body>::from(response).into_parts();
        let collected = body.collect().await.unwrap();
        let mut status = collected.trailers().cloned().unwrap_or_default();
        let mut bytes = collected.to_bytes();
        if wire == Wire::Web {
            let at = match bytes[0] {
                0 => {
                    grpc::PREFIX
                        + usize::try_from(u32::from_be_bytes(bytes[1..5].try_into().unwrap())).unwrap()
                }
                _ => 0,
            };
            let text = String::from_utf8(bytes[at + grpc::PREFIX..].to_vec()).unwrap();
            assert_eq!(bytes[at], 0x80);
            for line in text.lines() {
                let (name, value) = line.split_once(": ").unwrap();
                status.extend(map(&[(name, value)]));
            }
            bytes.truncate(at);
        } else if bytes.is_empty() {
            status = head.headers;
        }
        let text = |name: &str| status.get(name).map(|value| value.to_str().unwrap().to_owned());
        Came {
            status: text(grpc::STATUS).unwrap().parse().unwrap(),
            text: text(grpc::MESSAGE).unwrap_or_default(),
            message: grpc::only(&bytes),
        }
    }

    fn read(&self, request: &RelayRequest, message: Bytes) -> PokthttpResponse {
        let response = RelayResponse::decode(message).unwrap();
        let header = request.meta.as_ref().unwrap().session_header.as_ref().unwrap();
        let supplier = self.suppliers[0].public_key();
        portico_protocol::relay::verify_response(&response, header, &supplier).unwrap();
        PokthttpResponse::decode(response.payload).unwrap()
    }
}

#[tokio::test]
async fn a_relay_of_a_grpc_call_is_served_by_grpc_by_grpc_web_and_by_http() {
    let (address, hits) = echo().await;
    let world = World::with_grpc(address).await;
    let mut answers = Vec::new();
    for wire in [Wire::Native, Wire::Web] {
        let request = world.call();
        let came = world.by_grpc(wire, &request).await;
        assert_eq!((came.status, &*came.text), (0, ""));
        answers.push(world.read(&request, came.message.unwrap()));
    }
    let request = world.call();
    let post = world.client.post(format!("http://{}/", world.running().address));
    let post = post
        .header("rpc-type", "1")
        .header("content-type", "application/json");
    let response = post.body(request.encode_to_vec()).send().await.unwrap();
    answers.push(world.read(&request, response.bytes().await.unwrap()));
    for answer in answers {
        assert_eq!((answer.status_code, &answer.body_bz), (200, &framed(b"pong")));
        for (name, value) in [("Grpc-Status", "0"), ("X-Trailer", "t"), ("X-Head", "h")] {
            assert_eq!(answer.header[name].values, [value]);
        }
    }
    assert_eq!((world.row().committed, hits.load(Ordering::SeqCst)), (3, 3));
}

/// Whatever is wrong with a request is said by the same row of the table as over HTTP, reaches no node and makes no leaf.
#[tokio::test]
async fn a_refused_relay_reaches_no_node_and_makes_no_leaf() {
    let (address, hits) = echo().await;
    let world = World::with_grpc(address).await;
    let supplier = world.supplier().to_string();
    let other_session = SessionHeader {
        session_id: "0".repeat(64),
        ..world.header()
    };
    let changed = |change: fn(&mut RelayRequest)| {
        let mut request = world.call();
        change(&mut request);
        request
    };
    let served = world.call();
    assert_eq!(world.by_grpc(Wire::Native, &served).await.status, 0);
    let stranger = {
        let ring = Ring::new(vec![key(8).public_key(), key(9).public_key()]).unwrap();
        sign_request(&world.header(), &supplier, called(), &ring, &key(8), &mut rng()).unwrap()
    };
    let refused = [
        (stranger, 7, "ring"),
        (world.call_in(&other_session, &supplier), 7, ""),
        (
            world.call_in(&world.header(), &key(9).address().to_string()),
            9,
            "",
        ),
        (
            changed(|request| request.payload = [&called()[..], b"\x0a\x03PUT"].concat().into()),
            7,
            "ring",
        ),
        (
            changed(|request| request.meta.as_mut().unwrap().signature[50] ^= 1),
            7,
            "ring",
        ),
        (served, 6, "sent before"),
        (changed(|request| request.meta = None), 3, ""),
    ];
    for wire in [Wire::Native, Wire::Web] {
        for (index, (request, status, text)) in refused.iter().enumerate() {
            let came = world.by_grpc(wire, request).await;
            assert!(came.message.is_none());
            assert_ne!(came.status, 0, "{index}: {came:?}");
            let http = world.refused(request).await;
            let said = came.text.replace("%25", "%");
            assert!(
                said == http.error && said.contains(text),
                "{index}: {came:?}, over HTTP {http:?}"
            );
            assert!(*status == came.status || *status == 6, "{index}: {came:?}");
        }
        for body in [&b""[..], b"\0\0\0\0", b"\x01\0\0\0\0", b"\0\0\0\0\x01\xff"] {
            let came = world.raw_by_grpc(wire, Bytes::from_static(body)).await;
            assert!(matches!(came.status, 3 | 13), "{came:?}");
        }
    }
    assert_eq!((world.row().committed, hits.load(Ordering::SeqCst)), (1, 1));
}

#[tokio::test]
async fn grpc_wants_http_2_and_one_method() {
    let (address, _) = echo().await;
    let world = World::with_grpc(address).await;
    let url = format!("http://{}{}", world.running().address, grpc::SEND_RELAY);
    let post = world.client.post(&url).header("content-type", "application/grpc");
    let response = post.body(framed(b"")).send().await.unwrap();
    assert_eq!(response.status(), 505);
    let post = world.client.post(url.replace("SendRelay", "Other"));
    let response = post
        .header("content-type", "application/grpc-web")
        .body(framed(b""))
        .send()
        .await
        .unwrap();
    assert!(String::from_utf8_lossy(&response.bytes().await.unwrap()).contains("grpc-status: 12"));
}

#[tokio::test]
async fn a_node_that_takes_longer_than_the_caller_waits_is_not_waited_for() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = Router::new().fallback(|| async { std::future::pending::<Response>().await });
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    let world = World::with_grpc(address).await;
    let mut request = PokthttpRequest::decode(called()).unwrap();
    let (key, values) = ("Grpc-Timeout".to_owned(), vec!["50m".to_owned()]);
    request.header.insert(key.clone(), Header { key, values });
    let ring = Ring::new(vec![world.application.public_key(), world.gateway.public_key()]).unwrap();
    let payload = request.encode_to_vec().into();
    let supplier = world.supplier().to_string();
    let relay = sign_request(
        &world.header(),
        &supplier,
        payload,
        &ring,
        &world.gateway,
        &mut rng(),
    )
    .unwrap();
    let came = world.by_grpc(Wire::Native, &relay).await;
    assert_eq!(came.status, 14, "{came:?}");
    assert_eq!(world.rows().iter().map(|row| row.committed).sum::<u64>(), 0);
}

/// Each recorded node's answer through ours: the payload that the HA relay miner signed. What it refused, or answered for a node that failed, is told
/// apart by name.
#[tokio::test]
async fn nodes_answers_become_the_payloads_of_the_ha_relay_miner() {
    let (mut same, mut others) = (0, Vec::new());
    for case in recorded() {
        let name = case["case"].as_str().unwrap();
        let exchanges = case["exchanges"].as_array().unwrap();
        let of = |leg: &str| {
            exchanges
                .iter()
                .find(|exchange| exchange["leg"].as_str().unwrap().starts_with(leg))
        };
        let (Some(relay), Some(backend)) = (
            of("relay"),
            of("grpcbackend").filter(|backend| backend["wire"] == "h2"),
        ) else {
            others.push(name.to_owned());
            continue;
        };
        let bytes = |value: &Value| hex::decode(value.as_str().unwrap()).unwrap();
        let unframed = |bytes: Vec<u8>| match bytes.first_chunk::<5>() {
            _ if relay["wire"] == "h2" => Bytes::from(bytes),
            Some([0, length @ ..]) => {
                let length = usize::try_from(u32::from_be_bytes(*length)).unwrap();
                Bytes::from(bytes).slice(5..5 + length)
            }
            _ => Bytes::new(), // trailers alone, or nothing
        };
        let fields = |key: &str| {
            let mut map = HeaderMap::new();
            for field in backend[key].as_array().unwrap() {
                if let Ok(name) = HeaderName::try_from(field[0].as_str().unwrap()) {
                    map.append(name, HeaderValue::try_from(field[1].as_str().unwrap()).unwrap());
                }
            }
            map
        };
        let status = backend["headers"].as_array().unwrap().iter();
        let mut status = status
            .filter(|field| field[0] == ":status")
            .map(|field| field[1].as_str().unwrap());
        let messages = backend["responses"].as_array().unwrap().iter();
        let body: Vec<u8> = match backend["text"].as_str() {
            Some(text) => text.as_bytes().to_vec(),
            None => messages
                .flat_map(|message| framed(&bytes(message)).to_vec())
                .collect(),
        };
        let trailers = fields("trailers");
        let says = Says {
            status: status.next_back().unwrap().parse().unwrap(),
            headers: fields("headers"),
            body: body.into(),
            trailers: (!trailers.is_empty()).then_some(trailers),
        };
        let (address, _) = node(says.clone()).await;
        let mut config = ServiceConfig::new("http://127.0.0.1:1/");
        let backend = BackendConfig::new(format!("http://{address}/"));
        config.rpc_types.insert(RpcType::Grpc, backend);
        let shared = Shared {
            connections: backend::connections().unwrap(),
            buffers: Budgets::of_all(64 << 20),
            metrics: BackendMetrics::new(&prometheus::Registry::new()).unwrap(),
            max_in_flight: 1,
        };
        let backends = Backends::new(&SERVICE.parse().unwrap(), &config, &shared).unwrap();
        let request = RelayRequest::decode(unframed(bytes(&relay["requests"][0]))).unwrap();
        let admitted = backends.admit(RpcType::Grpc, &request.payload).await.unwrap();
        let opened = backends
            .open(admitted, request.meta.as_ref().unwrap(), http::HeaderMap::new())
            .await;
        let (mut exchange, _places) = opened.unwrap();
        let message = exchange.next().await.unwrap().unwrap();
        let ours = PokthttpResponse::decode(message.payload).unwrap();
        let theirs = relay["responses"]
            .as_array()
            .unwrap()
            .first()
            .map(|response| unframed(bytes(response)));
        let theirs = theirs.and_then(|bytes| RelayResponse::decode(bytes).ok());
        let theirs = theirs.filter(|response| !response.payload.is_empty());
        let Some(theirs) = theirs.and_then(|response| PokthttpResponse::decode(response.payload).ok()) else {
            assert!(ours.status_code >= 500, "{name}: {ours:?}");
            others.push(name.to_owned());
            continue;
        };
        let compared = |response: &PokthttpResponse| -> BTreeMap<String, Vec<String>> {
            let headers = response
                .header
                .values()
                .map(|header| (header.key.clone(), header.values.clone()));
            headers
                .filter(|(key, _)| key != "Date" && key != "Content-Length")
                .collect()
        };
        assert_eq!(compared(&ours), compared(&theirs), "{name}");
        assert_eq!(
            (ours.status_code, &ours.body_bz),
            (theirs.status_code, &theirs.body_bz),
            "{name}"
        );
        same += 1;
    }
    assert!(same >= 25, "{same}, others: {others:?}");
    assert_eq!(same + others.len(), 50);
}
