//! The servicer on a real node: what the chain says to strangers, and what a servicer makes of it.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod founding;

use std::sync::Arc;

use bytes::Bytes;
use portico_chain::genesis::Genesis;
use portico_client::{Blocks, Chain, ChainError, RemoteChain, Sessions};
use portico_config::Secret;
use portico_config::node::NodeConfig;
use portico_config::servicer::{
    BackendConfig, HealthCheck, HealthConfig, NodeConfig as BackendNode, ServiceConfig, ServicerConfig,
};
use portico_node::Node;
use portico_protocol::relay::sign_request;
use portico_protocol::ring::Ring;
use portico_protocol::tx::{SignerContext, TxOptions, pack, sign_tx};
use portico_protocol::wire::cosmos::bank::v1beta1::MsgSend;
use portico_protocol::wire::pocket::session::SessionHeader;
use portico_protocol::{Height, ServiceId, SigningKey, Upokt};
use portico_servicer::Servicer;
use portico_testkit::MemoryChain;
use prost::Message;
use rand::SeedableRng;
use tokio_util::sync::CancellationToken;

use founding::{SEED, genesis, key, service};

/// A node whose blocks stand still after the first, and a servicer that asks it over gRPC.
struct Network {
    chain: RemoteChain,
    servicer: String,
    registry: prometheus::Registry,
    client: reqwest::Client,
    stop: CancellationToken,
    _folder: tempfile::TempDir,
}

impl Drop for Network {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Network {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let stop = CancellationToken::new();
        let config = NodeConfig {
            data_dir: folder.path().join("node"),
            rpc_listen: "127.0.0.1:0".parse().unwrap(),
            grpc_listen: "127.0.0.1:0".parse().unwrap(),
            block_time_ms: 3_600_000,
            instant: true,
            validator_key: Some(Secret::new(hex::encode(SEED))),
            ..NodeConfig::default()
        };
        let node = Node::open(config, genesis(), &prometheus::Registry::new()).unwrap();
        let (rpc, grpc, local) = (node.rpc_addr(), node.grpc_addr(), node.chain());
        tokio::spawn(node.run(stop.clone()));
        let mut head = local.head();
        head.wait_for(|head| head.height >= Height(1)).await.unwrap();
        let chain = RemoteChain::connect(&format!("http://{rpc}"), &format!("http://{grpc}"))
            .await
            .unwrap();

        let mut config = ServicerConfig {
            listen: "127.0.0.1:0".parse().unwrap(),
            data_dir: folder.path().join("servicer"),
            suppliers: vec![Secret::from(&key(3))],
            ..ServicerConfig::default()
        };
        config
            .services
            .insert(service(), ServiceConfig::new("http://127.0.0.1:1/"));
        let registry = prometheus::Registry::new();
        let servicer = Servicer::open(config, Arc::new(chain.clone()), registry.clone()).unwrap();
        let address = servicer.local_addr();
        tokio::spawn(servicer.run(stop.clone()));
        Self {
            chain,
            servicer: format!("http://{address}/"),
            registry,
            client: portico_net::tls::ClientTls::public()
                .http_client()
                .no_proxy()
                .build()
                .unwrap(),
            stop,
            _folder: folder,
        }
    }

    async fn header(&self) -> SessionHeader {
        let head = self.chain.status().await.unwrap().head.height;
        let session = self.chain.session(&key(1).address(), &service(), head).await;
        session.unwrap().header.unwrap()
    }

    /// Status of the answer to a request in the session of `header`, signed by the gateway.
    async fn ask(&self, header: &SessionHeader, n: u64) -> u16 {
        let ring = Ring::new(vec![key(1).public_key(), key(2).public_key()]).unwrap();
        let mut rng = rand::rngs::StdRng::seed_from_u64(n);
        let (supplier, payload) = (key(3).address().to_string(), Bytes::from_static(b"x"));
        let request = sign_request(header, &supplier, payload, &ring, &key(2), &mut rng).unwrap();
        let sent = self
            .client
            .post(&self.servicer)
            .body(request.encode_to_vec())
            .send();
        sent.await.unwrap().status().as_u16()
    }

    /// The counter of look-ups, as `/metrics` shows it.
    fn lookups(&self) -> String {
        let text = prometheus::TextEncoder::new()
            .encode_to_string(&self.registry.gather())
            .unwrap();
        let line = text
            .lines()
            .find(|line| line.starts_with("servicer_session_lookups_total "));
        line.unwrap().to_owned()
    }
}

/// The node answers an unknown application with gRPC Internal: taken for a failure, it was asked for every request.
#[tokio::test(flavor = "multi_thread")]
async fn an_invented_application_is_looked_up_once_a_block() {
    let network = Network::start().await;
    let mut header = network.header().await;
    header.application_address = key(9).address().to_string();
    for n in 0..50 {
        assert_eq!(network.ask(&header, n).await, 403);
    }
    assert_eq!(network.lookups(), "servicer_session_lookups_total 1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_invented_applications_does_not_block_a_new_session() {
    let network = Arc::new(Network::start().await);
    let header = network.header().await;
    let flood: Vec<_> = (0..400_u64)
        .map(|n| {
            let (network, mut header) = (Arc::clone(&network), header.clone());
            let mut bytes = [1; 32];
            bytes[..8].copy_from_slice(&(n + 1).to_be_bytes());
            let invented = SigningKey::from_bytes(&bytes).unwrap();
            header.application_address = invented.address().to_string();
            tokio::spawn(async move { network.ask(&header, n).await })
        })
        .collect();
    for refused in flood {
        let status = refused.await.unwrap();
        assert!(status == 403 || status == 503, "{status}");
    }
    // Its payload is no HTTP request: it came as far as the backend, past session, signature and budget.
    assert_eq!(network.ask(&header, 1).await, 400);
}

/// A node of the chain `chain_id` that makes its first block at once and no other; the address of its RPC.
async fn backend_node(
    folder: &std::path::Path,
    chain_id: &str,
    stop: &CancellationToken,
) -> std::net::SocketAddr {
    let config = NodeConfig {
        data_dir: folder.to_owned(),
        rpc_listen: "127.0.0.1:0".parse().unwrap(),
        grpc_listen: "127.0.0.1:0".parse().unwrap(),
        block_time_ms: 3_600_000,
        instant: true,
        validator_key: Some(Secret::new(hex::encode(SEED))),
        ..NodeConfig::default()
    };
    let genesis = Genesis {
        chain_id: chain_id.into(),
        ..genesis()
    };
    let node = Node::open(config, genesis, &prometheus::Registry::new()).unwrap();
    let (address, local) = (node.rpc_addr(), node.chain());
    tokio::spawn(node.run(stop.clone()));
    let mut head = local.head();
    head.wait_for(|head| head.height >= Height(1)).await.unwrap();
    address
}

/// Four real nodes behind a service: one is of another chain, one has made another first block, one is killed. Relays go to those that are
/// left, and `/ready` says what is wrong with the others.
#[tokio::test(flavor = "multi_thread")]
async fn nodes_of_another_chain_forked_and_dead_ones_are_told_apart_by_their_answers() {
    let network = Network::start().await;
    let folder = tempfile::tempdir().unwrap();
    let (dead, stop) = (CancellationToken::new(), CancellationToken::new());
    let at = |name: &str| folder.path().join(name);
    let nodes = [
        ("good", backend_node(&at("good"), "portico-test", &stop).await),
        ("other", backend_node(&at("other"), "portico-other", &stop).await),
        ("forked", backend_node(&at("forked"), "portico-test", &stop).await),
        ("dying", backend_node(&at("dying"), "portico-other", &dead).await),
    ];
    let node = |(name, address): (&str, std::net::SocketAddr)| BackendNode {
        name: Some(name.to_owned()),
        ..BackendNode::new(format!("http://{address}/"))
    };
    let mut service_config = ServiceConfig::new("");
    service_config.backend = BackendConfig {
        nodes: nodes[..3].iter().map(|&each| node(each)).collect(),
        health: HealthConfig {
            check: HealthCheck::CometBft,
            chain_id: Some("portico-test".to_owned()),
            compare_depth_blocks: 0,
            interval_ms: 100,
            timeout_ms: 60_000,
            fall: 1,
            ..HealthConfig::default()
        },
        ..BackendConfig::default()
    };
    let mut dying = service_config.clone();
    dying.backend.nodes = vec![node(nodes[3])];
    dying.backend.health.chain_id = None;
    let mut config = ServicerConfig {
        listen: "127.0.0.1:0".parse().unwrap(),
        data_dir: at("servicer"),
        suppliers: vec![Secret::from(&key(3))],
        ..ServicerConfig::default()
    };
    config.services.insert(service(), service_config);
    config.services.insert(ServiceId::new("dying").unwrap(), dying);
    let chain = Arc::new(network.chain.clone());
    let servicer = Servicer::open(config, chain, prometheus::Registry::new()).unwrap();
    let address = servicer.local_addr();
    tokio::spawn(servicer.run(stop.clone()));

    let until = async |service: &str, expected: &str| {
        let url = format!("http://{address}/ready/{service}");
        let waiting = async {
            loop {
                let answer = network.client.get(&url).send().await.unwrap();
                let answer: serde_json::Value = answer.json().await.unwrap();
                let endpoints = answer["backends"]["endpoints"].as_array().unwrap().iter();
                let nodes: Vec<String> = endpoints
                    .map(|node| format!("{}={}", node["name"], node["reason"]).replace('"', ""))
                    .collect();
                if nodes.join(" ") == expected {
                    return;
                }
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        };
        let waited = tokio::time::timeout(std::time::Duration::from_secs(120), waiting).await;
        assert!(waited.is_ok(), "{service} never was {expected}");
    };
    until("svc", "good=null other=wrong_chain forked=forked").await;
    until("dying", "dying=null").await;
    dead.cancel();
    until("dying", "dying=failing").await;
    until("svc", "good=null other=wrong_chain forked=forked").await;
    stop.cancel();
}

/// What the chain says to questions and transactions that go wrong, in words.
async fn refusals(chain: &dyn Chain) -> Vec<String> {
    fn said<T: std::fmt::Debug>(question: &str, answer: Result<T, ChainError>) -> String {
        format!("{question}: {answer:?}")
    }
    let nobody = key(9).address();
    let header = chain.session(&key(1).address(), &service(), Height(1)).await;
    let session_id = header.unwrap().session_id;
    let mut all = Vec::new();
    for height in [-1, 0, 1_000] {
        let height = Height(height);
        all.push(said("block", chain.block(height).await));
        all.push(said("results", chain.block_results(height).await));
        if height != Height(0) {
            let session = chain.session(&key(1).address(), &service(), height).await;
            all.push(said("session", session));
        }
    }
    for hash in ["", "xyz", &"0".repeat(63), &"g".repeat(64), &"0".repeat(64)] {
        all.push(said("tx", chain.tx(hash).await));
    }
    let other = ServiceId::new("other").unwrap();
    all.push(said(
        "session",
        chain.session(&nobody, &service(), Height(1)).await,
    ));
    all.push(said(
        "session",
        chain.session(&key(1).address(), &other, Height(1)).await,
    ));
    all.push(said("claim", chain.claim(&session_id, &key(3).address()).await));
    all.push(said("account", chain.account(&nobody).await));
    all.push(said(
        "units",
        chain.compute_units_per_relay(&other, Height(1)).await,
    ));

    let account = chain.account(&key(1).address()).await.unwrap();
    let chain_id = chain.status().await.unwrap().chain_id;
    let payment = |upokt: u128, sequence: u64| {
        let message = MsgSend {
            from_address: key(1).address().to_string(),
            to_address: key(2).address().to_string(),
            amount: vec![Upokt(upokt).into()],
        };
        let options = TxOptions {
            gas_limit: 1_000_000,
            ..TxOptions::default()
        };
        let context = SignerContext {
            chain_id: chain_id.clone(),
            account_number: account.number,
            sequence,
        };
        Bytes::from(sign_tx(vec![pack(&message)], &options, &context, &key(1)))
    };
    all.push(said("simulate", chain.simulate(payment(1_u128 << 100, 0)).await));
    for tx in [
        Bytes::from_static(b"x"),
        payment(5, 7),
        payment(5, 0),
        payment(5, 0),
        payment(6, 0),
    ] {
        all.push(said("broadcast", chain.broadcast(tx).await));
    }
    all
}

/// The chain of the tests beside this one refuses in the node's words.
#[tokio::test(flavor = "multi_thread")]
async fn the_chain_in_memory_refuses_what_the_node_refuses() {
    let folder = tempfile::tempdir().unwrap();
    let config = NodeConfig {
        data_dir: folder.path().to_owned(),
        rpc_listen: "127.0.0.1:0".parse().unwrap(),
        grpc_listen: "127.0.0.1:0".parse().unwrap(),
        block_time_ms: 3_600_000,
        validator_key: Some(Secret::new(hex::encode(SEED))),
        ..NodeConfig::default()
    };
    let node = Node::open(config, genesis(), &prometheus::Registry::new()).unwrap();
    let (chain, stop) = (node.chain(), CancellationToken::new());
    tokio::spawn(node.run(stop.clone()));
    let mut head = chain.head();
    head.wait_for(|head| head.height >= Height(1)).await.unwrap();
    let (node, memory) = (
        refusals(&*chain).await,
        refusals(&*MemoryChain::of(genesis())).await,
    );
    stop.cancel();
    assert_eq!(node.len(), memory.len());
    for (node, memory) in node.iter().zip(&memory) {
        assert_eq!(node, memory);
    }
}
