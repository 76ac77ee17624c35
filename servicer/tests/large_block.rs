//! A block that settles the claims of a whole network: its results are larger than what can be held.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod founding;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::stream;
use peak_alloc::PeakAlloc;
use portico_client::{RemoteChain, Sessions};
use portico_config::Secret;
use portico_config::node::NodeConfig;
use portico_config::servicer::{ServiceConfig, ServicerConfig};
use portico_node::Node;
use portico_protocol::Height;
use portico_protocol::relay::sign_request;
use portico_protocol::ring::Ring;
use portico_protocol::wire::sdk::types::PokthttpRequest;
use portico_servicer::{Servicer, Stage};
use prost::Message;
use rand::SeedableRng;
use tokio_util::sync::CancellationToken;

use founding::{SEED, genesis, key, service};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// What the events of other suppliers add to the results of a block.
const OTHERS_BYTES: usize = 220 << 20;
/// Most memory that reading it may take, both ends of its connection included.
const MOST_BYTES: usize = 32 << 20;
const EVENTS: &str = "\"finalize_block_events\":[";

/// The RPC of a node in whose blocks everybody else is settled as well. The first such answer breaks off.
#[derive(Clone)]
struct Crowd {
    node: String,
    client: reqwest::Client,
    answers: Arc<AtomicU64>,
    others: Bytes,
}

impl Crowd {
    fn new(node: String) -> Self {
        let payment = r#"{\"recipient_address\":\"pokt1a\",\"op_reason\":\"TLM\",\"amount\":\"1upokt\"},"#;
        let attribute =
            |key: &str, value: &str| format!(r#"{{"key":"{key}","value":"{value}","index":true}}"#);
        let attributes = [
            attribute("supplier_operator_address", r#"\"pokt1somebodyelse\""#),
            attribute(
                "reward_distribution_detailed",
                &format!("[{}]", payment.repeat(64)),
            ),
        ];
        let kind = "pocket.tokenomics.EventClaimSettled";
        let event = format!(r#"{{"type":"{kind}","attributes":[{}]}},"#, attributes.join(","));
        Self {
            node,
            client: portico_net::tls::ClientTls::public()
                .http_client()
                .no_proxy()
                .build()
                .unwrap(),
            answers: Arc::default(),
            others: event.repeat(16).into(),
        }
    }

    async fn start(self) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let app = Router::new().fallback(Self::answer).with_state(self);
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        url
    }

    async fn answer(State(crowd): State<Self>, body: Bytes) -> Response {
        let is_results = body.windows(15).any(|part| part == b"\"block_results\"");
        let asked = crowd.client.post(&crowd.node).body(body).send().await.unwrap();
        let real = asked.text().await.unwrap();
        if !is_results {
            return real.into_response();
        }
        let (before, after) = real.split_once(EVENTS).unwrap();
        let count = OTHERS_BYTES / crowd.others.len();
        let broken = crowd.answers.fetch_add(1, Ordering::SeqCst) == 0;
        let mut pieces: Vec<Result<Bytes, &str>> = vec![Ok(format!("{before}{EVENTS}").into())];
        pieces.extend(vec![Ok(crowd.others); count / if broken { 2 } else { 1 }]);
        pieces.push(match broken {
            true => Err("broken off"),
            false => Ok(after.to_owned().into()),
        });
        Body::from_stream(stream::iter(pieces)).into_response()
    }
}

async fn backend() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let app = Router::new().fallback(|| async { "answer" });
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    url
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_that_settles_for_a_whole_network_takes_little_memory() {
    let folder = tempfile::tempdir().unwrap();
    let stop = CancellationToken::new();
    let config = NodeConfig {
        data_dir: folder.path().join("node"),
        rpc_listen: "127.0.0.1:0".parse().unwrap(),
        grpc_listen: "127.0.0.1:0".parse().unwrap(),
        block_time_ms: 300,
        validator_key: Some(Secret::new(hex::encode(SEED))),
        ..NodeConfig::default()
    };
    let node = Node::open(config, genesis(), &prometheus::Registry::new()).unwrap();
    let (rpc, grpc, local) = (node.rpc_addr(), node.grpc_addr(), node.chain());
    tokio::spawn(node.run(stop.clone()));
    local
        .head()
        .wait_for(|head| head.height >= Height(1))
        .await
        .unwrap();
    let crowd = Crowd::new(format!("http://{rpc}"));
    let answers = Arc::clone(&crowd.answers);
    let (rpc, grpc) = (crowd.start().await, format!("http://{grpc}"));
    let chain = Arc::new(RemoteChain::connect(&rpc, &grpc).await.unwrap());

    let mut config = ServicerConfig {
        listen: "127.0.0.1:0".parse().unwrap(),
        data_dir: folder.path().join("servicer"),
        suppliers: vec![Secret::from(&key(3))],
        ..ServicerConfig::default()
    };
    config
        .services
        .insert(service(), ServiceConfig::new(backend().await));
    let servicer = Servicer::open(config, chain.clone(), prometheus::Registry::new()).unwrap();
    let (address, handle) = (servicer.local_addr(), servicer.handle());
    tokio::spawn(servicer.run(stop.clone()));
    let session = chain.session(&key(1).address(), &service(), Height(0)).await;
    let ring = Ring::new(vec![key(1).public_key(), key(2).public_key()]).unwrap();
    let payload = PokthttpRequest {
        method: "POST".into(),
        url: "http://relay.example/".into(),
        ..PokthttpRequest::default()
    };
    let request = sign_request(
        &session.unwrap().header.unwrap(),
        &key(3).address().to_string(),
        payload.encode_to_vec().into(),
        &ring,
        &key(2),
        &mut rand::rngs::StdRng::seed_from_u64(1),
    );
    let client = portico_net::tls::ClientTls::public().http_client().no_proxy();
    let sent = client
        .build()
        .unwrap()
        .post(format!("http://{address}/"))
        .header("rpc-type", "3")
        .body(request.unwrap().encode_to_vec());
    assert_eq!(sent.send().await.unwrap().status(), 200);

    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    let settled = async {
        while handle
            .ledger()
            .first()
            .is_none_or(|row| row.stage != Stage::Settled)
        {
            assert_ne!(
                handle.ledger().first().map(|row| row.stage.is_final()),
                Some(true)
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(240), settled)
        .await
        .expect("the claim is settled");
    stop.cancel();
    let taken = MEMORY.peak_usage().saturating_sub(before);
    assert!(taken < MOST_BYTES, "{taken} bytes were held");
    assert!(
        answers.load(Ordering::SeqCst) > 1,
        "the answer that broke off is asked for again"
    );
    let row = handle.ledger().into_iter().next().unwrap();
    assert!(row.paid() > portico_protocol::Upokt(0), "{row:?}");
}
