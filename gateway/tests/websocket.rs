//! A caller's WebSocket through the gateway, over suppliers that sign each message, sessions that end, and suppliers that fail.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use portico_config::Secret;
use portico_config::gateway::GatewayConfig;
use portico_config::listener::ListenerConfig;
use portico_config::secret::write_secret_file;
use portico_config::tls::ServerTls as ServerFiles;
use portico_net::tls::{ClientTls, ServerTls};
use portico_net::websocket::{self, Close, ConnectError, Incoming, Kind, Limits, Message, Receiver, Sender};
use portico_net::{Listener, ListenerMetrics, dial_websocket};
use portico_protocol::SigningKey;
use portico_protocol::relay::{sign_response, verify_request_signature};
use portico_protocol::wire::pocket::service::RelayRequest;
use portico_protocol::wire::pocket::session::SessionHeader;
use portico_protocol::wire::pocket::shared::RpcType;
use portico_testkit::MemoryChain;
use prost::Message as _;
use serde_json::{Value, json};
use support::{APPLICATION, FIRST_SUPPLIER, GATEWAY, Net, config, key, net_on, service, staked};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// Time for what must come.
const SOON: Duration = Duration::from_secs(10);

/// A supplier that takes WebSockets. Its backend answers requests with their method's name, knows subscriptions, and tells heads when the test
/// says so.
struct Supplier {
    key: SigningKey,
    address: SocketAddr,
    state: Mutex<Told>,
    changed: Notify,
    opened: AtomicU64,
}

#[derive(Default)]
struct Told {
    handshakes: Vec<HeaderMap>,
    requests: Vec<(SessionHeader, Kind, Value)>,
    /// Heads to tell, by number, on all sockets.
    heads: Vec<u64>,
    /// The close that ends all sockets; `Some(None)` ends them without one.
    end: Option<Option<Close>>,
    /// Does not answer requests of this method.
    silent_on: Option<&'static str>,
    /// Signs with another key.
    lies: bool,
    /// Refuses handshakes.
    refuses: bool,
}

fn limits() -> Limits {
    Limits {
        max_message_bytes: 1 << 20,
        write_timeout: SOON,
        budgets: None,
    }
}

impl Supplier {
    async fn start(number: u8) -> Arc<Self> {
        Self::over(number, None)
    }

    /// The same, which speaks TLS if there is any.
    fn over(number: u8, tls: Option<ServerTls>) -> Arc<Self> {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let supplier = Arc::new(Self {
            key: key(number),
            address: socket.local_addr().unwrap(),
            state: Mutex::default(),
            changed: Notify::new(),
            opened: AtomicU64::new(0),
        });
        let metrics = ListenerMetrics::new(&prometheus::Registry::new()).unwrap();
        let listener = Listener::new("supplier", socket, &ListenerConfig::default(), &metrics).tls(tls);
        let router = Router::new().fallback(take).with_state(supplier.clone());
        tokio::spawn(listener.serve(router, CancellationToken::new()));
        supplier
    }

    fn with(&self, change: impl FnOnce(&mut Told)) {
        change(&mut self.state.lock().unwrap());
        self.changed.notify_waiters();
    }

    fn opened(&self) -> u64 {
        self.opened.load(Ordering::SeqCst)
    }

    fn methods(&self) -> Vec<String> {
        let state = self.state.lock().unwrap();
        let method =
            |(_, _, request): &(_, _, Value)| request["method"].as_str().unwrap_or_default().to_owned();
        state.requests.iter().map(method).collect()
    }

    async fn serve(&self, mut receiver: Receiver, sender: Sender) {
        let number = self.opened.fetch_add(1, Ordering::SeqCst);
        let (mut header, mut subscription, mut told) = (None, None, 0);
        loop {
            let changed = self.changed.notified();
            let end = self.state.lock().unwrap().end.clone();
            if let Some(end) = end {
                if let Some(close) = end {
                    sender.close(close).await;
                    receiver.finish().await;
                }
                return;
            }
            let heads = self.state.lock().unwrap().heads.clone();
            if let (Some(header), Some(id)) = (&header, &subscription) {
                for head in heads.iter().skip(told) {
                    let result = json!({"number": format!("0x{head:x}"), "hash": format!("0xh{head}")});
                    let pushed = json!({"jsonrpc": "2.0", "method": "eth_subscription", "params": {"subscription": id, "result": result}});
                    self.say(&sender, header, Kind::Text, pushed.to_string()).await;
                }
                told = heads.len();
            }
            let incoming = tokio::select! {
                incoming = receiver.next() => incoming,
                () = changed => continue,
            };
            let Ok(Incoming::Message(message)) = incoming else {
                sender.close(Close::default()).await;
                return;
            };
            let request = RelayRequest::decode(message.bytes).unwrap();
            let members = [key(APPLICATION).address(), key(GATEWAY).address()].into();
            verify_request_signature(&request, &members).expect("the gateway's ring signature");
            let meta = request.meta.unwrap();
            assert_eq!(meta.supplier_operator_address, self.key.address().to_string());
            let of = meta.session_header.unwrap();
            assert!(
                header.as_ref().is_none_or(|header| *header == of),
                "one session on each socket"
            );
            let text = String::from_utf8(request.payload.to_vec()).unwrap();
            let asked: Value = serde_json::from_str(&text).unwrap_or(Value::Null);
            self.state
                .lock()
                .unwrap()
                .requests
                .push((of.clone(), message.kind, asked.clone()));
            let method = asked["method"].as_str().unwrap_or_default().to_owned();
            let silent = !method.is_empty() && self.state.lock().unwrap().silent_on == Some(method.as_str());
            if !silent {
                let result = match method.as_str() {
                    "" => Value::Null,
                    "eth_subscribe" => {
                        told = self.state.lock().unwrap().heads.len();
                        let id = format!("0x{}{number}", self.key.address());
                        subscription = Some(id.clone());
                        json!(id)
                    }
                    "eth_getBlockByNumber" => {
                        let newest = self
                            .state
                            .lock()
                            .unwrap()
                            .heads
                            .last()
                            .map(|head| format!("0x{head:x}"));
                        let block = match asked["params"][0].as_str().unwrap() {
                            "latest" => newest.unwrap_or_else(|| "0x0".to_owned()),
                            block => block.to_owned(),
                        };
                        let number = u64::from_str_radix(&block[2..], 16).unwrap();
                        json!({"number": block, "hash": format!("0xh{number}"), "transactions": []})
                    }
                    other => json!(other),
                };
                let answer = match method.is_empty() {
                    true => text,
                    false => json!({"jsonrpc": "2.0", "id": asked["id"], "result": result}).to_string(),
                };
                self.say(&sender, &of, message.kind, answer).await;
            }
            header = Some(of);
        }
    }

    async fn say(&self, sender: &Sender, header: &SessionHeader, kind: Kind, payload: String) {
        let signer = match self.state.lock().unwrap().lies {
            true => key(99),
            false => self.key.clone(),
        };
        let bytes = sign_response(header, payload.into(), &signer)
            .encode_to_vec()
            .into();
        let _ = sender.send(Message { kind, bytes }).await; // the gateway may be gone
    }
}

async fn take(State(supplier): State<Arc<Supplier>>, mut request: Request) -> Response {
    supplier
        .state
        .lock()
        .unwrap()
        .handshakes
        .push(request.headers().clone());
    if supplier.state.lock().unwrap().refuses {
        let mut response = Response::new(r#"{"error":"overloaded"}"#.into());
        *response.status_mut() = http::StatusCode::SERVICE_UNAVAILABLE;
        return response;
    }
    let (response, upgrade) = websocket::accept(&mut request).unwrap();
    tokio::spawn(async move {
        let (receiver, sender) = upgrade.open(limits()).await.unwrap();
        supplier.serve(receiver, sender).await;
    });
    response
}

/// A gateway over suppliers that are staked for WebSockets.
struct World {
    net: Net,
    chain: Arc<MemoryChain>,
    suppliers: Vec<Arc<Supplier>>,
}

impl World {
    async fn start(suppliers: u8) -> Self {
        Self::with(suppliers, |_| {}).await
    }

    async fn with(count: u8, adjust: impl FnOnce(&mut GatewayConfig)) -> Self {
        let mut suppliers = Vec::new();
        for number in 0..count {
            suppliers.push(Supplier::start(FIRST_SUPPLIER + number).await);
        }
        Self::of("http", suppliers, adjust).await
    }

    /// Over these suppliers, whose staked URLs have this scheme.
    async fn of(
        scheme: &str,
        suppliers: Vec<Arc<Supplier>>,
        adjust: impl FnOnce(&mut GatewayConfig),
    ) -> Self {
        let (chain, _) = staked(Vec::new()).await;
        for supplier in &suppliers {
            let url = format!("{scheme}://{}/relay", supplier.address);
            let (key, kind) = (supplier.key.public_key(), RpcType::Websocket);
            chain.stake_supplier(key, &service("eth"), &url, kind);
        }
        let mut config = config();
        config.relay_timeout_ms = 5_000;
        adjust(&mut config);
        Self {
            net: net_on(config, chain.clone(), Vec::new()).await,
            chain,
            suppliers,
        }
    }

    async fn connect(&self, path: &str, headers: &[(&str, &str)]) -> Result<Caller, ConnectError> {
        let url: Uri = format!("{}{path}", self.net.url.replace("http", "ws"))
            .parse()
            .unwrap();
        let socket = dial_websocket(&url, &ClientTls::public()).await.unwrap();
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(
                name.parse::<HeaderName>().unwrap(),
                HeaderValue::try_from(*value).unwrap(),
            );
        }
        let (receiver, sender) = websocket::connect(socket, &url, map, limits()).await?;
        Ok(Caller { receiver, sender })
    }

    /// The same once there is a place: one is given back a moment after its close.
    async fn connect_in_time(&self, path: &str, headers: &[(&str, &str)]) -> Caller {
        let connecting = async {
            loop {
                match self.connect(path, headers).await {
                    Ok(caller) => return caller,
                    Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
                }
            }
        };
        tokio::time::timeout(SOON, connecting).await.expect("a place")
    }

    async fn caller(&self) -> Caller {
        self.connect("/v1/eth", &[]).await.unwrap()
    }

    async fn refused(&self, path: &str, headers: &[(&str, &str)]) -> (u16, String) {
        match self.connect(path, headers).await {
            Err(ConnectError::Refused { status, text }) => {
                let body: Value = serde_json::from_slice(&text).unwrap();
                (
                    status,
                    body["error"]["data"]["reason"].as_str().unwrap().to_owned(),
                )
            }
            Err(error) => panic!("{error:?}"),
            Ok(_) => panic!("it was granted"),
        }
    }

    /// The supplier with a socket, and the others.
    fn serving(&self) -> (&Supplier, Vec<&Supplier>) {
        let (serving, others): (Vec<_>, Vec<_>) =
            self.suppliers.iter().map(|s| &**s).partition(|s| s.opened() > 0);
        (serving[0], others)
    }
}

struct Caller {
    receiver: Receiver,
    sender: Sender,
}

impl Caller {
    async fn say(&self, text: &str) {
        let bytes = Bytes::copy_from_slice(text.as_bytes());
        self.sender
            .send(Message {
                kind: Kind::Text,
                bytes,
            })
            .await
            .unwrap();
    }

    async fn incoming(&mut self) -> Incoming {
        let next = tokio::time::timeout(SOON, self.receiver.next()).await;
        next.expect("something comes").unwrap()
    }

    async fn next(&mut self) -> Value {
        match self.incoming().await {
            Incoming::Message(message) => serde_json::from_slice(&message.bytes).unwrap(),
            other => panic!("{other:?} is no message"),
        }
    }

    async fn close(&mut self) -> Close {
        match self.incoming().await {
            Incoming::Close(close) => close,
            other => panic!("{other:?} is no close"),
        }
    }

    async fn ask(&mut self, id: u32, method: &str) -> Value {
        self.request(id, method).await;
        let answer = self.next().await;
        assert_eq!(answer["id"], id, "{answer}");
        answer["result"].clone()
    }

    async fn request(&self, id: u32, method: &str) {
        let params = match method {
            "eth_subscribe" => json!(["newHeads"]),
            _ => json!([]),
        };
        let request = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        self.say(&request.to_string()).await;
    }

    /// The number of the next head, which must come under this subscription.
    async fn head(&mut self, subscription: &Value) -> u64 {
        let told = self.next().await;
        assert_eq!(told["method"], "eth_subscription", "{told}");
        assert_eq!(&told["params"]["subscription"], subscription);
        let number = told["params"]["result"]["number"].as_str().unwrap();
        u64::from_str_radix(&number[2..], 16).unwrap()
    }
}

#[tokio::test]
async fn messages_are_signed_and_answers_verified() {
    let world = World::start(1).await;
    let mut caller = world.caller().await;
    assert_eq!(caller.ask(1, "eth_blockNumber").await, "eth_blockNumber");
    // The frame's kind goes all the way, and so does what is no JSON-RPC.
    let binary = Message {
        kind: Kind::Binary,
        bytes: Bytes::from_static(b"opaque"),
    };
    caller.sender.send(binary.clone()).await.unwrap();
    assert_eq!(caller.incoming().await, Incoming::Message(binary));
    caller.sender.close(Close::new(1000, "done")).await;
    assert_eq!(caller.close().await, Close::new(1000, ""));

    let state = world.suppliers[0].state.lock().unwrap();
    let handshake = &state.handshakes[0];
    let (session, _, _) = &state.requests[0];
    let supplier = world.suppliers[0].key.address().to_string();
    for (name, value) in [
        ("target-service-id", "eth"),
        ("rpc-type", "2"),
        ("app-address", &session.application_address),
        ("pocket-session-id", &session.session_id),
        ("pocket-supplier-address", &supplier),
    ] {
        assert_eq!(handshake[name], value, "{name}");
    }
    assert_eq!(state.requests[0].1, Kind::Text);
    assert_eq!(state.requests[1].1, Kind::Binary);
}

/// A certificate of this machine that vouches for itself, and its key.
fn certificate(folder: &Path) -> ServerFiles {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let (certificate, key) = (folder.join("server.pem"), folder.join("server.key"));
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    write_secret_file(&key, &Secret::new(made.signing_key.serialize_pem())).unwrap();
    ServerFiles {
        cert_file: certificate.into(),
        key_file: key.into(),
        client_ca_file: None,
    }
}

#[tokio::test]
async fn a_supplier_staked_as_https_is_asked_over_tls_that_holds_and_not_at_all_otherwise() {
    let folder = tempfile::tempdir().unwrap();
    let files = certificate(folder.path());
    let supplier = || Supplier::over(FIRST_SUPPLIER, Some(ServerTls::open(&files).unwrap()));
    let trusting = |config: &mut GatewayConfig| config.supplier_tls.ca_file = Some(files.cert_file.clone());
    let world = World::of("https", vec![supplier()], trusting).await;
    let mut caller = world.caller().await;
    let subscription = caller.ask(1, "eth_subscribe").await;
    world.suppliers[0].with(|told| told.heads.push(7));
    assert_eq!(caller.head(&subscription).await, 7);
    assert_eq!(caller.ask(2, "eth_blockNumber").await, "eth_blockNumber");

    let failed = (502, "suppliers_failed".to_owned());
    let doubting = World::of("https", vec![supplier()], |_| {}).await;
    assert_eq!(doubting.refused("/v1/eth", &[]).await, failed, "nobody vouches");
    let plain = World::of("https", vec![Supplier::start(FIRST_SUPPLIER).await], trusting).await;
    assert_eq!(plain.refused("/v1/eth", &[]).await, failed, "it speaks no TLS");
    for world in [doubting, plain] {
        assert!(world.suppliers[0].state.lock().unwrap().handshakes.is_empty());
    }
}

#[tokio::test]
async fn handshakes_are_routed_and_refused_like_calls() {
    let world = World::with(1, |config| {
        config.max_websockets = 1;
        config.cors_allowed_origins = vec!["https://app.example".to_owned()];
    })
    .await;
    for (path, headers) in [
        ("/v1", &[("target-service-id", "eth")][..]),
        ("/v1/eth?key=1", &[]),
    ] {
        let mut caller = world.connect_in_time(path, headers).await;
        assert_eq!(caller.ask(1, "m").await, "m");
        assert_eq!(world.refused("/v1/eth", &[]).await, (503, "overloaded".into()));
        caller.sender.close(Close::default()).await;
        caller.close().await;
    }
    assert_eq!(
        world.refused("/v1/nosuch", &[]).await,
        (404, "unknown_service".into())
    );
    let elsewhere = [("origin", "https://evil.example")];
    assert_eq!(
        world.refused("/v1/eth", &elsewhere).await,
        (401, "unauthorized".into())
    );
    let answer = world
        .net
        .post_with("/v1/eth", support::call("1"), &[("rpc-type", "websocket")])
        .await;
    assert_eq!(answer.reason(), "rpc_type_unsupported");
}

#[tokio::test]
async fn without_a_supplier_there_is_no_socket() {
    let world = World::start(2).await;
    for supplier in &world.suppliers {
        supplier.with(|told| told.refuses = true);
    }
    assert_eq!(
        world.refused("/v1/eth", &[]).await,
        (502, "suppliers_failed".into())
    );
    let (chain, suppliers) = staked(vec![support::Manner::Honest]).await;
    let net = net_on(config(), chain.clone(), suppliers).await;
    let for_http = World {
        net,
        chain,
        suppliers: Vec::new(),
    };
    // Its only endpoint takes requests: it is not asked for a WebSocket.
    assert_eq!(
        for_http.refused("/v1/eth", &[]).await,
        (501, "rpc_type_unsupported".into())
    );
}

#[tokio::test]
async fn an_answer_that_does_not_verify_is_not_shown() {
    let world = World::start(2).await;
    let mut caller = world.caller().await;
    let (liar, others) = world.serving();
    liar.with(|told| told.lies = true);
    assert_eq!(caller.ask(1, "first").await, "first", "the other supplier's");
    assert_eq!(others[0].methods(), ["first"]);
    assert_eq!(
        world.net.metric("gateway_supplier_failures_total", "signature"),
        1
    );
}

/// The session ends, and the next one begins: one socket for the caller, two for the suppliers, and no message is lost or told twice.
#[tokio::test]
async fn a_socket_outlives_its_session() {
    let world = World::start(1).await;
    let supplier = &world.suppliers[0];
    let mut caller = world.caller().await;
    let subscription = caller.ask(1, "eth_subscribe").await;
    supplier.with(|told| told.heads.push(1));
    assert_eq!(caller.head(&subscription).await, 1);
    supplier.with(|told| told.silent_on = Some("slow"));
    caller.request(2, "slow").await;
    assert_eq!(caller.ask(3, "quick").await, "quick");
    while world.chain.height() < 11 {
        world.chain.advance();
    }
    for _ in 0..200 {
        if supplier
            .methods()
            .iter()
            .filter(|method| *method == "eth_subscribe")
            .count()
            == 2
        {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(
        supplier.opened(),
        2,
        "the new session's is opened beside the old one, which owes an answer"
    );
    for head in 2..5 {
        supplier.with(|told| told.heads.push(head));
        assert_eq!(
            caller.head(&subscription).await,
            head,
            "once, though both tell it"
        );
    }
    assert_eq!(caller.ask(4, "after").await, "after");
    let sessions: Vec<i64> = {
        let state = supplier.state.lock().unwrap();
        let starts = state
            .requests
            .iter()
            .map(|(header, ..)| header.session_start_block_height);
        starts.collect()
    };
    assert_eq!((sessions[0], sessions[sessions.len() - 1]), (1, 11));
    assert_eq!(world.net.metric("gateway_websocket_rebinds_total", "session"), 1);
}

/// The supplier is gone: another one answers what it left, and fills in the blocks that were missed.
#[tokio::test]
async fn a_socket_outlives_its_supplier() {
    let world = World::start(2).await;
    let mut caller = world.caller().await;
    let subscription = caller.ask(1, "eth_subscribe").await;
    let (first, others) = world.serving();
    first.with(|told| told.heads.push(10));
    assert_eq!(caller.head(&subscription).await, 10);
    first.with(|told| told.silent_on = Some("slow"));
    caller.request(2, "slow").await;
    while !first.methods().contains(&"slow".to_owned()) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    first.with(|told| (told.end, told.refuses) = (Some(None), true));
    let answer = caller.next().await;
    assert_eq!((&answer["id"], &answer["result"]), (&json!(2), &json!("slow")));
    let second = others[0];
    assert_eq!(second.methods()[..2], ["eth_subscribe", "slow"]);
    while second.methods().len() < 3 {
        tokio::time::sleep(Duration::from_millis(5)).await; // its newest block, which is asked for
    }
    second.with(|told| told.heads.push(13));
    for number in 11..=13 {
        assert_eq!(caller.head(&subscription).await, number);
    }
    assert_eq!(
        second.methods()[2..],
        ["eth_getBlockByNumber"; 3],
        "the newest one, then what is missing"
    );
}

/// A caller whose only supplier ends its socket before it has answered request 7, and refuses others.
async fn caller_without_supplier() -> (World, Caller) {
    let world = World::start(1).await;
    let caller = world.caller().await;
    let supplier = &world.suppliers[0];
    supplier.with(|told| told.silent_on = Some("slow"));
    caller.request(7, "slow").await;
    while supplier.methods().is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    supplier.with(|told| (told.end, told.refuses) = (Some(None), true));
    (world, caller)
}

/// As a supplier that starts anew, or whose session is over a moment before the next one is known here.
#[tokio::test]
async fn a_socket_waits_for_its_only_supplier_to_come_back() {
    let (world, mut caller) = caller_without_supplier().await;
    let supplier = &world.suppliers[0];
    while supplier.state.lock().unwrap().handshakes.len() < 2 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    supplier.with(|told| *told = Told::default());
    assert_eq!(caller.next().await["result"], "slow");
    assert_eq!(supplier.opened(), 2);
}

#[tokio::test]
async fn a_supplier_whose_budget_is_used_up_is_left_for_another() {
    let world = World::start(2).await;
    let mut caller = world.caller().await;
    assert_eq!(caller.ask(1, "first").await, "first");
    let (first, others) = world.serving();
    first.with(|told| told.silent_on = Some("second"));
    caller.request(2, "second").await;
    first.with(|told| told.end = Some(Some(Close::new(4002, "stake limit exceeded"))));
    assert_eq!(caller.next().await["result"], "second");
    assert_eq!(others[0].methods(), ["second"]);
    // In this session it is not asked again, by whomever.
    let mut another = world.caller().await;
    assert_eq!(another.ask(1, "third").await, "third");
    assert_eq!(first.opened(), 1);
}

#[tokio::test]
async fn when_nobody_is_left_requests_get_an_error_before_the_close() {
    let (_world, mut caller) = caller_without_supplier().await;
    let error = caller.next().await;
    assert_eq!(error["id"], 7);
    assert_eq!(error["error"]["data"]["reason"], "suppliers_failed");
    assert_eq!(caller.close().await, Close::new(1013, "suppliers_failed"));
}

/// What is no JSON-RPC has no requests that could be asked again.
#[tokio::test]
async fn an_opaque_socket_ends_with_its_supplier() {
    let world = World::start(2).await;
    let mut caller = world.caller().await;
    caller.say("opaque").await;
    caller.incoming().await;
    world
        .serving()
        .0
        .with(|told| told.end = Some(Some(Close::new(4000, "session expired"))));
    assert_eq!(caller.close().await.code, Some(1012));
}

#[tokio::test]
async fn an_idle_socket_needs_no_supplier_until_it_speaks() {
    let world = World::start(1).await;
    let supplier = &world.suppliers[0];
    let mut caller = world.caller().await;
    assert_eq!(caller.ask(1, "first").await, "first");
    supplier.with(|told| told.end = Some(Some(Close::new(1001, "no request came"))));
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(supplier.opened(), 1);
    supplier.with(|told| told.end = None);
    assert_eq!(caller.ask(2, "second").await, "second");
    assert_eq!(supplier.opened(), 2);
}

#[tokio::test]
async fn a_stop_is_told_to_callers() {
    let world = World::start(1).await;
    let mut caller = world.caller().await;
    caller.ask(1, "first").await;
    world.net.stop.cancel();
    assert_eq!(caller.close().await, Close::new(1001, "the gateway is stopping"));
    drop(caller);
    world.net.gateway.await.unwrap().unwrap();
}
