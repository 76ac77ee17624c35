//! Several nodes behind a service: who is asked, who is not, and what a client sees of it.

use std::sync::Mutex;
use std::time::Duration;

use axum::Json;
use portico_config::servicer::{BackendConfig, HealthCheck, HealthConfig, MethodClass, NodeConfig};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

const READ: &str = r#"{"jsonrpc":"2.0","id":1,"method":"eth_chainId"}"#;
const WRITE: &str = r#"{"jsonrpc":"2.0","id":1,"method":"eth_sendRawTransaction","params":["0x00"]}"#;

/// An EVM node as far as checks and relays go; it answers with its name.
#[derive(Clone)]
struct Evm {
    address: SocketAddr,
    state: Arc<Mutex<EvmState>>,
}

/// What becomes of a node.
type Change = fn(&mut EvmState);

struct EvmState {
    name: &'static str,
    head: u64,
    chain: u64,
    hash: &'static str,
    syncing: bool,
    relays: u64,
    /// Relays, told by their `Pocket-Supplier`, get 500.
    fails_relays: bool,
}

impl Evm {
    async fn start(name: &'static str) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(EvmState {
            name,
            head: 1_000,
            chain: 1,
            hash: "0xaa",
            syncing: false,
            relays: 0,
            fails_relays: false,
        }));
        let app = Router::new()
            .fallback(Self::answer)
            .with_state(Arc::clone(&state));
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { address, state }
    }

    async fn answer(
        State(state): State<Arc<Mutex<EvmState>>>,
        headers: http::HeaderMap,
        body: Bytes,
    ) -> Response {
        let call: Value = serde_json::from_slice(&body).unwrap();
        let mut state = state.lock().unwrap();
        let is_relay = headers.contains_key("pocket-supplier");
        if is_relay && state.fails_relays {
            return http::StatusCode::INTERNAL_SERVER_ERROR.into_response();
        }
        let result = match call["method"].as_str().unwrap() {
            "eth_blockNumber" => json!(format!("{:#x}", state.head)),
            "eth_chainId" if call["params"].is_array() => json!(format!("{:#x}", state.chain)),
            "eth_syncing" => match state.syncing {
                true => json!({ "currentBlock": "0x1" }),
                false => json!(false),
            },
            "eth_getBlockByNumber" => json!({ "hash": state.hash }),
            _ => {
                state.relays += 1;
                json!(state.name)
            }
        };
        Json(json!({ "jsonrpc": "2.0", "id": call["id"], "result": result })).into_response()
    }

    fn set(&self, change: impl FnOnce(&mut EvmState)) {
        change(&mut self.state.lock().unwrap());
    }

    fn relays(&self) -> u64 {
        self.state.lock().unwrap().relays
    }
}

/// A node that takes requests and breaks the connection, or says `answer`; counts the requests.
async fn broken_node(answer: &'static str) -> (SocketAddr, Arc<AtomicU64>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let hits = Arc::<AtomicU64>::default();
    let counted = Arc::clone(&hits);
    tokio::spawn(async move {
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut bytes = [0; 4096];
            if socket.read(&mut bytes).await.unwrap_or(0) > 0 {
                counted.fetch_add(1, Ordering::SeqCst);
            }
            let _ = socket.write_all(answer.as_bytes()).await;
        }
    });
    (address, hits)
}

/// A node that answers one request of each connection, and ends it when the next one comes; counts requests and connections.
async fn closing_node() -> (SocketAddr, Arc<AtomicU64>, Arc<AtomicU64>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (requests, connections) = (Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
    let counted = (Arc::clone(&requests), Arc::clone(&connections));
    tokio::spawn(async move {
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            counted.1.fetch_add(1, Ordering::SeqCst);
            let requests = Arc::clone(&counted.0);
            tokio::spawn(async move {
                let mut bytes = [0; 4096];
                for answer in ["HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}", ""] {
                    if socket.read(&mut bytes).await.unwrap_or(0) > 0 {
                        requests.fetch_add(1, Ordering::SeqCst);
                    }
                    socket.write_all(answer.as_bytes()).await.unwrap();
                }
            });
        }
    });
    (address, requests, connections)
}

/// An address that nothing listens on.
async fn nobody() -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap()
}

fn node(address: SocketAddr, name: &str) -> NodeConfig {
    NodeConfig {
        name: Some(name.to_owned()),
        ..NodeConfig::new(format!("http://{address}/"))
    }
}

fn checked_often(check: HealthCheck) -> HealthConfig {
    HealthConfig {
        check,
        interval_ms: 100,
        timeout_ms: 60_000,
        fall: 1,
        rise: 1,
        probation: 2,
        ..HealthConfig::default()
    }
}

fn service(config: &mut ServicerConfig) -> &mut ServiceConfig {
    config.services.get_mut(&SERVICE.parse().unwrap()).unwrap()
}

async fn world_over(nodes: Vec<NodeConfig>, adjust: impl FnOnce(&mut ServiceConfig)) -> World {
    World::with(|config| {
        let service = service(config);
        service.backend.url.clear();
        service.backend.nodes = nodes;
        adjust(service);
    })
    .await
}

impl World {
    pub(super) async fn until(&self, what: &str, holds: impl AsyncFn() -> bool) {
        let waiting = async {
            while !holds().await {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(120), waiting).await;
        assert!(waited.is_ok(), "{what}: {}", self.ready("/ready").await.1);
    }

    async fn ready(&self, path: &str) -> (u16, String) {
        let url = format!("http://{}{path}", self.running().address);
        let response = self.client.get(url).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }

    async fn until_ready_is(&self, status: u16) {
        self.until("another readiness", async || {
            self.ready("/ready/eth").await.0 == status
        })
        .await;
    }

    /// Sum over the series of a metric that have these labels.
    pub(super) fn metric(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let text = prometheus::TextEncoder::new()
            .encode_to_string(&self.registry.gather())
            .unwrap();
        let has = |line: &str, (key, value): &(&str, &str)| line.contains(&format!("{key}=\"{value}\""));
        let lines = text.lines().filter(|line| {
            let named = line
                .strip_prefix(name)
                .is_some_and(|rest| rest.starts_with(['{', ' ']));
            named && labels.iter().all(|label| has(line, label))
        });
        lines
            .map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
            .sum()
    }
}

#[tokio::test]
async fn relays_are_shared_by_weight() {
    let (a, b) = (Evm::start("a").await, Evm::start("b").await);
    let nodes = vec![
        NodeConfig {
            weight: 3,
            ..node(a.address, "a")
        },
        node(b.address, "b"),
    ];
    let world = world_over(nodes, |_| {}).await;
    for id in 0..12 {
        world
            .relay("/", &format!(r#"{{"id":{id},"method":"eth_call"}}"#))
            .await;
    }
    assert_eq!((a.relays(), b.relays()), (9, 3));
    let answered = |node| {
        world.metric(
            "servicer_backend_requests_total",
            &[("node", node), ("outcome", "answered"), ("service", SERVICE)],
        )
    };
    assert!(answered("a") > 8.5 && answered("b") > 2.5);
}

#[tokio::test]
async fn a_node_that_cannot_be_reached_costs_no_relay_whatever_its_method() {
    let up = Evm::start("up").await;
    let nodes = vec![node(nobody().await, "down"), node(up.address, "up")];
    let world = world_over(nodes, |_| {}).await;
    for id in 0..20 {
        let method = ["eth_call", "eth_sendRawTransaction"][id % 2];
        let answer = world
            .relay("/", &format!(r#"{{"id":{id},"method":"{method}"}}"#))
            .await;
        assert_eq!(answer.status_code, 200);
    }
    assert_eq!(up.relays(), 20);
    assert_eq!(world.row().committed, 20);
    assert!(
        world.metric(
            "servicer_backend_left_total",
            &[("node", "down"), ("reason", "pausing")]
        ) > 0.5,
        "the breaker opened"
    );
}

#[tokio::test]
async fn what_a_node_may_have_seen_is_asked_again_only_when_it_reads() {
    for answer in [
        "",
        "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\ncut",
        "HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n",
    ] {
        let (broken, hits) = broken_node(answer).await;
        let up = Evm::start("up").await;
        let nodes = vec![node(broken, "broken"), node(up.address, "up")];
        let world = world_over(nodes, |_| {}).await;

        let read = world.relay("/", r#"{"id":1,"method":"eth_gasPrice"}"#).await;
        assert_eq!(read.status_code, 200, "{answer:?}");
        assert_eq!((hits.load(Ordering::SeqCst), up.relays()), (1, 1), "{answer:?}");
        // The other node is next.
        world.relay("/", r#"{"id":2,"method":"eth_gasPrice"}"#).await;

        let request = world.request("/", WRITE);
        let written = world.post(request.encode_to_vec()).await.status().as_u16();
        let expected = if answer.contains("503") { 200 } else { 502 };
        assert_eq!(written, expected, "{answer:?}: the node's own answer, or none");
        assert_eq!(
            (hits.load(Ordering::SeqCst), up.relays()),
            (2, 2),
            "{answer:?}: sent once"
        );
    }
}

#[tokio::test]
async fn a_read_whose_used_connection_ends_is_sent_once_more_and_a_write_is_not() {
    let (address, requests, connections) = closing_node().await;
    let world = world_over(vec![node(address, "closing")], |_| {}).await;
    let counts = || {
        (
            requests.load(Ordering::SeqCst),
            connections.load(Ordering::SeqCst),
        )
    };
    let read = async |id: u64| {
        let body = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"eth_chainId"}}"#);
        world.relay("/", &body).await.status_code
    };
    assert_eq!(read(1).await, 200);
    assert_eq!(counts(), (1, 1));
    // Over the first connection, then over one of its own, which is not kept.
    assert_eq!(read(2).await, 200);
    assert_eq!(counts(), (3, 2));
    assert_eq!(read(3).await, 200);
    assert_eq!(counts(), (4, 3));

    let request = world.request("/", WRITE);
    let written = world.post(request.encode_to_vec()).await.status();
    assert_eq!(written.as_u16(), 502);
    assert_eq!(counts(), (5, 3), "sent once");
    let failed = world.metric("servicer_backend_requests_total", &[("outcome", "unreachable")]);
    assert!((failed - 1.0).abs() < 0.5, "only the write failed: {failed}");
}

#[tokio::test]
async fn a_node_that_hangs_leaves_a_read_half_of_the_time_for_another() {
    let hanging = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let up = Evm::start("up").await;
    let nodes = vec![
        node(hanging.local_addr().unwrap(), "hanging"),
        node(up.address, "up"),
    ];
    let world = world_over(nodes, |service| service.timeout_ms = 2_000).await;
    let answer = world.relay("/", r#"{"id":1,"method":"eth_gasPrice"}"#).await;
    assert_eq!((answer.status_code, up.relays()), (200, 1));
}

#[tokio::test]
async fn a_node_of_another_chain_behind_syncing_or_forked_is_not_asked_until_probation_is_over() {
    let (a, b) = (Evm::start("a").await, Evm::start("b").await);
    let nodes = vec![node(a.address, "a"), node(b.address, "b")];
    let world = world_over(nodes, |service| {
        service.backend.health = checked_often(HealthCheck::Evm)
    })
    .await;
    let usable = |node| world.metric("servicer_backend_usable", &[("node", node)]) > 0.5;
    world
        .until("both are checked", async || usable("a") && usable("b"))
        .await;
    let wrong: [(&str, Change); 4] = [
        ("behind", |b| b.head = 900),
        ("syncing", |b| b.syncing = true),
        ("wrong_chain", |b| b.chain = 5),
        ("forked", |b| b.hash = "0xbb"),
    ];
    for (reason, change) in wrong {
        b.set(change);
        world.until(reason, async || !usable("b")).await;
        let left = world.metric(
            "servicer_backend_left_total",
            &[("node", "b"), ("reason", reason)],
        );
        assert!(left > 0.5, "{reason}");
        let before = (a.relays(), b.relays());
        for id in 0..6 {
            world
                .relay("/", &format!(r#"{{"id":"{reason}{id}","method":"eth_call"}}"#))
                .await;
        }
        assert_eq!((a.relays(), b.relays()), (before.0 + 6, before.1), "{reason}");
        assert_eq!(world.ready("/ready/eth").await.0, 200, "one node is enough");
        b.set(|b| (b.head, b.chain, b.hash, b.syncing) = (1_000, 1, "0xaa", false));
        world.until("b is back", async || usable("b")).await;
    }
    let seen = world.metric("servicer_backend_head", &[("node", "a")]);
    assert!((seen - 1_000.0).abs() < 0.5, "{seen}");
}

#[tokio::test]
async fn without_a_healthy_node_relays_are_refused_before_they_cost_anything() {
    let a = Evm::start("a").await;
    let world = world_over(vec![node(a.address, "a")], |service| {
        service.backend.health = HealthConfig {
            chain_id: Some("1".to_owned()),
            ..checked_often(HealthCheck::Evm)
        };
    })
    .await;
    world.until_ready_is(200).await;
    a.set(|a| a.chain = 2);
    world.until_ready_is(503).await;
    let (status, text) = world.ready("/ready").await;
    assert_eq!(status, 503);
    assert!(
        text.contains("service eth has no healthy node (default: a wrong_chain)"),
        "{text}"
    );
    assert_eq!(world.ready("/ready/other").await.0, 404);

    let refused = world.refused(&world.request("/", READ)).await;
    refused.is(503, "backend unavailable");
    assert_eq!(refused.retry_after.as_deref(), Some("1"));
    assert!(world.rows().is_empty(), "nothing was opened for it");
    assert_eq!(a.relays(), 0);

    a.set(|a| a.chain = 1);
    world.until_ready_is(200).await;
    world.relay("/", r#"{"id":1,"method":"eth_call"}"#).await;
}

#[tokio::test]
async fn a_dead_node_is_left_alone_for_a_while_and_tried_again() {
    let address = nobody().await;
    let world = world_over(vec![node(address, "a")], |service| {
        service.backend.breaker.failures = 2;
        service.backend.breaker.pause_ms = 500;
        service.backend.breaker.max_pause_ms = 500;
    })
    .await;
    for id in ["1", "2"] {
        world
            .refused(&world.request("/", id))
            .await
            .is(502, "backend error");
    }
    assert_eq!(world.ready("/ready/eth").await.0, 503);
    world
        .refused(&world.request("/", "3"))
        .await
        .is(503, "backend unavailable");

    let listener = tokio::net::TcpListener::bind(address).await.unwrap();
    let app = Router::new().fallback(async || "back");
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    let tries = AtomicU64::new(10);
    world
        .until("the node is tried again", async || {
            let request = world.request("/", &tries.fetch_add(1, Ordering::SeqCst).to_string());
            world.is_served(&request).await
        })
        .await;
}

#[tokio::test]
async fn a_full_service_refuses_before_its_backend_and_leaves_others_alone() {
    let world = World::with(|config| {
        let other = service(config).clone();
        service(config).max_in_flight = Some(1);
        config.services.insert("other".parse().unwrap(), other);
    })
    .await;
    let held = world.request("/wait", "held");
    let holding = world.post(held.encode_to_vec());
    let rest = async {
        world
            .until("the first is there", async || world.backend.hits() == 1)
            .await;
        let refused = world.refused(&world.request("/", "second")).await;
        refused.is(503, "overloaded: too many relays of service eth");
        assert_eq!(refused.retry_after.as_deref(), Some("1"));
        assert_eq!(world.backend.hits(), 1, "the backend was not asked");
        let header = world.chain.header(world.chain.height(), "other");
        let supplier = world.supplier().to_string();
        let other = world.request_in(&header, &supplier, "/", "other");
        assert!(world.is_served(&other).await, "another service goes on");
        world.backend.gate.add_permits(1);
    };
    let (held, ()) = tokio::join!(holding, rest);
    assert_eq!(held.status(), 200);
    assert!(world.is_served(&world.request("/", "third")).await);
    let full = world.metric(
        "servicer_service_full_total",
        &[("service", SERVICE), ("class", "default")],
    );
    assert!((full - 1.0).abs() < 0.5);
    assert!(world.metric("servicer_service_in_flight", &[]).abs() < 0.5);
}

#[tokio::test]
async fn a_class_of_methods_has_its_own_bound_and_time() {
    let world = World::with(|config| {
        let class = MethodClass {
            methods: vec!["trace_*".to_owned()],
            timeout_ms: Some(100),
            max_in_flight: Some(1),
        };
        service(config).timeout_ms = 60_000;
        service(config).method_classes.insert("heavy".to_owned(), class);
    })
    .await;
    let refused = world
        .refused(&world.request("/never", r#"{"method":"trace_block"}"#))
        .await;
    refused.is(502, "within 100 ms");

    let held = world.request("/wait", r#"{"method":"eth_call"}"#);
    let holding = world.post(held.encode_to_vec());
    let rest = async {
        world
            .until("the first is there", async || world.backend.hits() == 2)
            .await;
        assert!(
            world
                .is_served(&world.request("/", r#"{"id":1,"method":"trace_block"}"#))
                .await
        );
        world.backend.gate.add_permits(1);
    };
    let (held, ()) = tokio::join!(holding, rest);
    assert_eq!(held.status(), 200, "its own time is the service's");
}

#[tokio::test]
async fn simulated_relays_go_through_everything_but_the_books() {
    let a = Evm::start("a").await;
    let world = World::with(|config| {
        config.simulation.enabled = true;
        config.simulation.interval_ms = 1_000;
        let service = service(config);
        service.backend = BackendConfig::new(format!("http://{}/", a.address));
        service.backend.health = checked_often(HealthCheck::Evm);
        service.backend.forward_pocket_headers = true;
    })
    .await;
    world.go_to(2).await;
    let simulated = |outcome| world.metric("servicer_simulated_relays_total", &[("outcome", outcome)]);
    world
        .until("relays of both suppliers are simulated", async || {
            simulated("ok") > 3.5
        })
        .await;
    assert_eq!(world.ready("/ready").await.0, 200);
    assert!(world.rows().is_empty(), "no session, no leaf, no budget");
    assert_eq!(world.chain.session_calls(), 0, "the chain is not asked");

    a.set(|a| a.fails_relays = true);
    world
        .until("they fail", async || world.ready("/ready").await.0 == 503)
        .await;
    let text = world.ready("/ready").await.1;
    assert!(
        text.contains("simulated relays of service eth fail at the answer for"),
        "{text}"
    );
    a.set(|a| a.fails_relays = false);
    world
        .until("they are well again", async || {
            world.ready("/ready").await.0 == 200
        })
        .await;
}

#[tokio::test]
async fn the_page_about_backends_names_every_series() {
    let a = Evm::start("a").await;
    let world = World::with(|config| {
        config.simulation.enabled = true;
        let service = service(config);
        service.backend = BackendConfig::new(format!("http://{}/", a.address));
        service.backend.health = checked_often(HealthCheck::Evm);
        service.max_in_flight = Some(1);
    })
    .await;
    world.until_ready_is(200).await;
    a.set(|a| a.chain = 2);
    a.set(|a| a.syncing = true);
    let simulated = async || world.metric("servicer_simulated_relays_total", &[]) > 0.5;
    world
        .until("the node left", async || {
            world.metric("servicer_backend_left_total", &[]) > 0.5
        })
        .await;
    world.until("relays are simulated", simulated).await;
    let page = include_str!("../../docs/backends.md");
    for family in world.registry.gather() {
        let name = family.name();
        let of_backends = ["servicer_backend_", "servicer_service_", "servicer_simulated_"];
        let is_old = name == "servicer_backend_seconds";
        if of_backends.iter().any(|start| name.starts_with(start)) && !is_old {
            assert!(page.contains(&format!("| `{name}` |")), "{name}");
        }
    }
}
