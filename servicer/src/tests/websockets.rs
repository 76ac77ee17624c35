//! WebSockets: as they were recorded of the Go relay miners (`testdata/go-wire-transports/websocket.json`), and what ours bounds, counts and
//! ends.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use http::{HeaderMap, HeaderValue, Uri};
use portico_config::listener::ListenerConfig;
use portico_config::secret::write_secret_file;
use portico_config::servicer::{BackendConfig, Durability, RpcType};
use portico_config::tls::ServerTls as ServerFiles;
use portico_net::tls::{ClientTls, ServerTls};
use portico_net::websocket::{
    self, Close, ConnectError, Incoming, Kind, Limits, Message as Frame, Receiver, Sender,
};
use portico_net::{Listener, ListenerMetrics, dial_websocket};
use portico_protocol::PublicKey;
use portico_protocol::relay::{verify_response, verify_response_signature};
use portico_relay::message::parts;
use portico_relay::refusal::Reason;
use serde::Deserialize;

use super::*;
use crate::Stage;

const RECORDED: &str = include_str!("../../../testdata/go-wire-transports/websocket.json");
/// Time for what must come.
const SOON: Duration = Duration::from_secs(10);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Recording {
    /// Public keys by address.
    suppliers: BTreeMap<String, String>,
    cases: Vec<Case>,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    case: String,
    #[expect(dead_code, reason = "for readers of the file")]
    what: String,
    exchanges: Vec<Exchange>,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Exchange {
    leg: String,
    headers: Vec<(String, String)>,
    status: Option<u16>,
    #[expect(dead_code, reason = "for readers of the file")]
    url: Option<String>,
    refusal: Option<String>,
    frames: Vec<Recorded>,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Recorded {
    from: String,
    opcode: String,
    fin: Option<bool>,
    hex: Option<String>,
    code: Option<u16>,
    reason: Option<String>,
}

impl Recorded {
    fn bytes(&self) -> Vec<u8> {
        hex::decode(self.hex.as_deref().unwrap_or_default()).unwrap()
    }

    fn is_from_client(&self) -> bool {
        self.from == "client"
    }

    fn kind(&self) -> Option<Kind> {
        match &*self.opcode {
            "text" => Some(Kind::Text),
            "binary" => Some(Kind::Binary),
            _ => None,
        }
    }

    fn close(&self) -> Option<Close> {
        (self.opcode == "close").then(|| Close {
            code: self.code,
            reason: self.reason.clone().unwrap_or_default(),
        })
    }
}

fn recording() -> Recording {
    serde_json::from_str(RECORDED).unwrap()
}

/// Names of all recorded cases: each is read here, and played out unless a page says where it is.
pub(super) fn recorded_cases() -> Vec<String> {
    recording().cases.into_iter().map(|case| case.case).collect()
}

/// What a scripted node does behind a client's socket.
#[derive(Clone, Default)]
struct Script {
    /// Sent once so many messages have come: of the first at once.
    answers: Vec<Vec<Frame>>,
    /// How it ends after its last answer.
    end: Option<Ending>,
}

#[derive(Clone)]
enum Ending {
    Close(Close),
    Drop,
}

/// What reached it.
#[derive(Default)]
struct Got {
    connections: Vec<HeaderMap>,
    frames: Vec<Frame>,
    close: Option<Close>,
}

/// A node for WebSockets that plays a script on each connection.
#[derive(Clone)]
struct Node {
    address: SocketAddr,
    got: Arc<Mutex<Got>>,
    ended: Arc<tokio::sync::Notify>,
    script: Script,
}

fn limits() -> Limits {
    Limits {
        max_message_bytes: 64 << 20,
        write_timeout: SOON,
        budgets: None,
    }
}

fn text(text: &str) -> Frame {
    Frame {
        kind: Kind::Text,
        bytes: Bytes::from(text.to_owned()),
    }
}

impl Node {
    async fn start(script: Script) -> Self {
        Self::over(script, None)
    }

    /// The same, which speaks TLS if there is any.
    fn over(script: Script, tls: Option<ServerTls>) -> Self {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let node = Self {
            address: socket.local_addr().unwrap(),
            got: Arc::default(),
            ended: Arc::default(),
            script,
        };
        let metrics = ListenerMetrics::new(&prometheus::Registry::new()).unwrap();
        let listener = Listener::new("node", socket, &ListenerConfig::default(), &metrics).tls(tls);
        let app = Router::new().fallback(Self::accept).with_state(node.clone());
        tokio::spawn(listener.serve(app, CancellationToken::new()));
        node
    }

    /// A node that says each message again.
    async fn echoing() -> Self {
        Self::start(Script::default()).await
    }

    async fn accept(State(node): State<Self>, mut request: Request) -> Response {
        node.got
            .lock()
            .unwrap()
            .connections
            .push(request.headers().clone());
        let (response, upgrade) = websocket::accept(&mut request).unwrap();
        tokio::spawn(async move {
            let (receiver, sender) = upgrade.open(limits()).await.unwrap();
            node.play(receiver, sender).await;
            node.ended.notify_one();
        });
        response
    }

    async fn play(&self, mut receiver: Receiver, sender: Sender) {
        let mut taken = 0;
        let say = async |taken: usize| {
            for frame in self.script.answers.get(taken).into_iter().flatten() {
                sender.send(frame.clone()).await.unwrap();
            }
            taken + 1 == self.script.answers.len()
        };
        let mut last = say(0).await;
        loop {
            if last {
                match &self.script.end {
                    Some(Ending::Drop) => return,
                    Some(Ending::Close(close)) => sender.close(close.clone()).await,
                    None => {}
                }
            }
            match receiver.next().await {
                Ok(Incoming::Message(frame)) => {
                    self.got.lock().unwrap().frames.push(frame.clone());
                    taken += 1;
                    if self.script.answers.is_empty() {
                        sender.send(frame).await.unwrap();
                    }
                    last = say(taken).await;
                }
                Ok(Incoming::Close(close)) => {
                    sender.close(close.clone()).await;
                    self.got.lock().unwrap().close = Some(close);
                    return;
                }
                Err(_) => return,
            }
        }
    }

    /// The close that the servicer sent, once the connection is over.
    async fn close(&self) -> Option<Close> {
        tokio::time::timeout(SOON, self.ended.notified()).await.unwrap();
        self.got.lock().unwrap().close.clone()
    }
}

/// A client's end of a socket.
struct Client {
    receiver: Receiver,
    sender: Sender,
    header: SessionHeader,
    supplier: PublicKey,
}

impl World {
    async fn with_node(node: &Node) -> Self {
        Self::with_sockets(node, |_| {}).await
    }

    async fn with_sockets(node: &Node, adjust: impl FnOnce(&mut ServicerConfig)) -> Self {
        let mut world = Self::without_servicer().await;
        world.run_sockets(node, adjust);
        world
    }

    fn run_sockets(&mut self, node: &Node, adjust: impl FnOnce(&mut ServicerConfig)) {
        let mut config = self.config();
        let service = config.services.get_mut(&SERVICE.parse().unwrap()).unwrap();
        let backend = BackendConfig::new(format!("ws://{}/ws", node.address));
        service.rpc_types.insert(RpcType::Websocket, backend);
        adjust(&mut config);
        self.run(config);
    }

    async fn handshake(&self, headers: &[(&str, &str)]) -> Result<(Receiver, Sender), ConnectError> {
        let url: Uri = format!("ws://{}/", self.running().address).parse().unwrap();
        let socket = dial_websocket(&url, &ClientTls::public()).await.unwrap();
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let name: http::HeaderName = name.parse().unwrap();
            map.insert(name, HeaderValue::try_from(*value).unwrap());
        }
        websocket::connect(socket, &url, map, limits()).await
    }

    async fn socket(&self) -> Client {
        let headers = [("target-service-id", SERVICE), ("rpc-type", "2")];
        let (receiver, sender) = self.handshake(&headers).await.unwrap();
        Client {
            receiver,
            sender,
            header: self.header(),
            supplier: self.suppliers[0].public_key(),
        }
    }

    /// A signed request whose payload is a frame's bytes.
    fn framed(&self, header: &SessionHeader, bytes: Bytes) -> RelayRequest {
        let application = chain::application(&header.service_id).public_key();
        let ring = Ring::new(vec![application, self.gateway.public_key()]).unwrap();
        let supplier = self.supplier().to_string();
        sign_request(header, &supplier, bytes, &ring, &self.gateway, &mut rng()).unwrap()
    }
}

impl Client {
    async fn send(&self, world: &World, frame: Frame) {
        let request = world.framed(&self.header, frame.bytes);
        self.send_request(frame.kind, &request).await;
    }

    async fn send_request(&self, kind: Kind, request: &RelayRequest) {
        let bytes = request.encode_to_vec().into();
        self.sender.send(Frame { kind, bytes }).await.unwrap();
    }

    async fn incoming(&mut self) -> Result<Incoming, websocket::WebSocketError> {
        let next = tokio::time::timeout(SOON, self.receiver.next());
        next.await.expect("something comes")
    }

    /// The next message, whose signature must hold.
    async fn next(&mut self) -> Frame {
        match self.incoming().await {
            Ok(Incoming::Message(frame)) => {
                let response = RelayResponse::decode(frame.bytes).unwrap();
                verify_response(&response, &self.header, &self.supplier).unwrap();
                Frame {
                    kind: frame.kind,
                    bytes: response.payload,
                }
            }
            other => panic!("{other:?} is no message"),
        }
    }

    async fn close(&mut self) -> Close {
        match self.incoming().await {
            Ok(Incoming::Close(close)) => close,
            other => panic!("{other:?} is no close"),
        }
    }

    async fn asks(&mut self, world: &World, frame: Frame) -> Frame {
        self.send(world, frame).await;
        self.next().await
    }
}

/// Each recorded message is read and written to the same bytes, its signature holds, and its payload is what the backend got or gave.
#[test]
fn recorded_messages_are_read_and_written_alike() {
    let Recording { suppliers, cases } = recording();
    let (mut requests, mut responses) = (0, 0);
    for case in &cases {
        for leg in case.exchanges.iter().filter(|leg| leg.leg.starts_with("relay.")) {
            for frame in leg.frames.iter().filter(|frame| frame.kind().is_some()) {
                let (name, bytes) = (&case.case, frame.bytes());
                assert_eq!(frame.fin, None, "{name}: all frames are whole messages");
                if frame.is_from_client() {
                    let Ok(request) = RelayRequest::decode(&*bytes) else {
                        assert!(name.ends_with("not-protobuf"), "{name}");
                        continue;
                    };
                    assert_eq!(request.encode_to_vec(), bytes, "{name}");
                    requests += 1;
                    continue;
                }
                let Ok(response) = RelayResponse::decode(&*bytes) else {
                    assert!(
                        name.ends_with("not-protobuf") || name.ends_with("backend-first"),
                        "{name}"
                    );
                    continue; // the HA miner passed it on as it was
                };
                assert_eq!(parts(response.clone()).concat(), bytes, "{name}");
                responses += 1;
                let signer = suppliers.values().find(|key| {
                    let key = PublicKey::from_slice(&hex::decode(key).unwrap()).unwrap();
                    verify_response_signature(&response, &key).is_ok()
                });
                let unsigned = name.ends_with("ha-empty-payload") && response.payload.is_empty();
                assert!(signer.is_some() || unsigned, "{name}");
            }
        }
    }
    assert_eq!((cases.len(), requests, responses), (86, REQUESTS, RESPONSES));
}

/// Messages of the recording.
const REQUESTS: usize = 151;
const RESPONSES: usize = 143;

/// Where ours ends another way than the recorded miner, and how: the case without its client (`pap`, `path`, `signed`).
fn ours_instead(case: &str, miner: &str) -> Option<Close> {
    let refused = |reason: Reason| {
        let row = reason.row();
        Some((row.websocket, row.close_reason().to_owned()))
    };
    let close = match (case, miner) {
        // 1006 must not be sent.
        ("backend-drops", _) => Some((1011, "the backend's connection is lost".to_owned())),
        // Neither answers nor closes.
        ("first-signature-flipped" | "signature-flipped" | "no-signature", "ref") => {
            refused(Reason::Signature)
        }
        ("wrong-session" | "wrong-supplier" | "expired-session", "ref") => refused(Reason::SessionHeader),
        // The HA miner leaves it unanswered, the reference miner's process ends.
        ("no-header", _) => Some((1007, "invalid relay request: no session header".to_owned())),
        // The HA miner hands it to the backend unpaid; the reference miner says what its decoder said.
        ("not-protobuf", _) => refused(Reason::Undecodable),
        // Closed with 1000, as if nothing had been wrong.
        ("over-serviced", "ref") => refused(Reason::OverServiced),
        ("session-expiry" | "session-expiry-idle", "ref") => refused(Reason::SessionNotActive),
        _ => None,
    };
    close.map(|(code, reason)| Close::new(code, &reason))
}

/// Cases that are no socket with a request, or not of the miner; the tests that have them, or why there is none.
const ELSEWHERE: [(&str, &str); 8] = [
    ("handshake-", "handshakes_are_granted_and_refused_as_recorded"),
    ("backend-down", "a_backend_that_is_down_is_told"),
    (
        "backend-first",
        "what_a_backend_says_first_is_signed_like_an_answer",
    ),
    ("client-ping", "portico-net"),
    ("no-endpoint", "PATH alone"),
    (
        "previous-session",
        "PATH signs for a session that the reference miner's bridge is not in; ours is in the first request's",
    ),
    ("path-session-expiry", "two miners at once; each alone is here"),
    ("tool-ha-websocket", "sockets_play_out_as_recorded"),
];

/// Case and miner of `ws-CLIENT-MINER-CASE`.
fn parsed(case: &str) -> (&str, &str) {
    let rest = case.strip_prefix("ws-").unwrap_or(case);
    let (_, rest) = rest.split_once('-').unwrap();
    rest.split_once('-')
        .map_or((rest, ""), |(miner, case)| (case, miner))
}

/// Plays a recorded socket with our servicer between the same client and the same backend.
async fn plays_out(case: &Case) {
    let (name, miner) = parsed(&case.case);
    let find = |leg: &str| {
        case.exchanges
            .iter()
            .find(|exchange| exchange.leg.starts_with(leg))
    };
    let (relay, backend) = (find("relay.").unwrap(), find("backend.").unwrap());
    let mut script = Script {
        answers: vec![Vec::new()],
        end: None,
    };
    let mut taken = Vec::new();
    for frame in &backend.frames {
        match (frame.kind(), frame.is_from_client()) {
            (Some(kind), from_client) => {
                let frame = Frame {
                    kind,
                    bytes: frame.bytes().into(),
                };
                if from_client {
                    taken.push(frame);
                    script.answers.push(Vec::new());
                } else {
                    script.answers.last_mut().unwrap().push(frame);
                }
            }
            (None, false) if name.starts_with("backend-closes") => {
                script.end = frame.close().map(Ending::Close).or(script.end);
            }
            (None, _) => {}
        }
    }
    if name == "backend-drops" {
        script.end = Some(Ending::Drop);
    }
    let instead = ours_instead(name, miner);
    // Requests that the recorded miner took without a word are answered by nobody here.
    let node = Node::start(script).await;
    let mut world = World::without_servicer().await;
    if name == "over-serviced" {
        // Of the HA miner's two answers each is a relay; the reference miner also counts the second request.
        let relays = if miner == "ha" { 3 } else { 2 };
        world.chain.set_stake(4 * relays * COST);
    }
    world.run_sockets(&node, |_| {});
    let mut client = world.socket().await;
    let mut sent = 0;
    let mut expired = false;
    for (index, frame) in relay.frames.iter().enumerate() {
        let what = format!("{}, frame {index}", case.case);
        match (frame.kind(), frame.is_from_client()) {
            (Some(kind), true) => {
                let bytes = frame.bytes();
                let recorded = RelayRequest::decode(&*bytes).unwrap_or_default();
                let mut request = world.framed(&client.header, recorded.payload);
                sent += 1;
                let is_wrong = sent == 2 || name.starts_with("first-");
                if name == "not-protobuf" && is_wrong {
                    client
                        .sender
                        .send(Frame {
                            kind,
                            bytes: bytes.into(),
                        })
                        .await
                        .unwrap();
                    break;
                }
                let mut wrong = is_wrong;
                let meta = request.meta.as_mut().unwrap();
                let header = meta.session_header.as_mut().unwrap();
                match name {
                    _ if !is_wrong => {}
                    "first-signature-flipped" | "signature-flipped" => meta.signature[40] ^= 1,
                    "no-signature" => meta.signature.clear(),
                    "no-header" => meta.session_header = None,
                    "wrong-session" => header.session_id = "ab".repeat(32),
                    "expired-session" => header.session_end_block_height -= 1,
                    "wrong-supplier" => {
                        meta.supplier_operator_address = world.suppliers[1].address().to_string();
                    }
                    _ => wrong = false,
                }
                client.send_request(kind, &request).await;
                if wrong {
                    break;
                }
            }
            (Some(kind), false) => {
                let response = RelayResponse::decode(&*frame.bytes()).unwrap();
                if response.relay_miner_error.is_some() {
                    continue; // the HA miner says so twice; ours by its close
                }
                if (name, miner, sent) == ("over-serviced", "ref", 2) {
                    continue; // asked of the backend, and not paid for any more
                }
                let expected = Frame {
                    kind,
                    bytes: response.payload,
                };
                assert_eq!(client.next().await, expected, "{what}");
            }
            (None, true) if frame.opcode == "close" && instead.is_none() => {
                let close = frame.close().unwrap();
                let server_closes = relay.frames[..index].iter().any(|f| f.close().is_some())
                    || relay
                        .frames
                        .iter()
                        .any(|f| !f.is_from_client() && f.reason.as_deref().is_some_and(|r| !r.is_empty()));
                if server_closes {
                    continue;
                }
                client.sender.close(close.clone()).await;
                let echoed = Close {
                    reason: String::new(),
                    ..close.clone().sendable()
                };
                assert_eq!(client.close().await, echoed, "{what}");
                assert_eq!(node.close().await, Some(close.sendable()), "{what}");
                expired = true;
                break;
            }
            (None, _) => {}
        }
    }
    if !expired {
        if name.starts_with("session-expiry") {
            world.go_to(12).await;
        }
        let by_server = relay.frames.iter().filter(|frame| !frame.is_from_client());
        let recorded = by_server.filter_map(Recorded::close).next_back();
        let expected = instead.or(recorded).unwrap();
        assert_eq!(client.close().await, expected, "{}", case.case);
        if miner == "ha"
            && !name.starts_with("backend-")
            && !matches!(name, "no-header" | "not-protobuf" | "first-signature-flipped")
        {
            let by_client = backend.frames.iter().filter(|frame| frame.is_from_client());
            let recorded = by_client.filter_map(Recorded::close).next_back();
            assert_eq!(node.close().await, recorded.map(told_to_backend), "{}", case.case);
        }
    }
    let got: Vec<Frame> = node.got.lock().unwrap().frames.clone();
    let held_back =
        usize::from(name == "not-protobuf" && miner == "ha") + usize::from(name == "over-serviced");
    assert!(
        got.len() + held_back >= taken.len() && taken.starts_with(&got),
        "{}: the backend got {got:?}, recorded {taken:?}",
        case.case
    );
}

/// A client that is gone is gone for us, whatever its system said.
fn told_to_backend(recorded: Close) -> Close {
    match recorded.reason.as_str() {
        "unexpected EOF" => Close::new(1001, "client gone"),
        _ => recorded,
    }
}

#[tokio::test]
async fn sockets_play_out_as_recorded() {
    let mut played = BTreeSet::new();
    for case in recording().cases {
        let name = case.case.clone();
        let elsewhere = ELSEWHERE[..7].iter().any(|(part, _)| name.contains(part));
        // A client that drops its connection has a test of its own.
        if elsewhere || name.contains("client-drops") {
            continue;
        }
        println!("{name}");
        plays_out(&case).await;
        played.insert(name);
    }
    assert!(played.len() > 50, "{}", played.len());
}

#[tokio::test]
async fn handshakes_are_granted_and_refused_as_recorded() {
    let node = Node::echoing().await;
    let world = World::with_node(&node).await;
    for case in recording().cases {
        let Some((_, what)) = case.case.split_once("-handshake-") else {
            continue;
        };
        let is_ha = case.case.contains("-ha-");
        let recorded = &case.exchanges[0];
        let headers: Vec<(&str, &str)> = recorded
            .headers
            .iter()
            .map(|(name, value)| match (name.as_str(), value.as_str()) {
                ("target-service-id", "svc-ha" | "svc-ref") => ("target-service-id", SERVICE),
                pair => pair,
            })
            .collect();
        let status = match world.handshake(&headers).await {
            Ok((receiver, _sender)) => {
                drop(receiver);
                101
            }
            Err(ConnectError::Refused { status, text }) => {
                let text = String::from_utf8(text.to_vec()).unwrap();
                assert!(text.starts_with("{\"error\":\""), "{what}: {text}");
                assert!(recorded.refusal.is_some() || !is_ha, "{what}");
                status
            }
            Err(error) => panic!("{what}: {error:?}"),
        };
        let expected = match (is_ha, what) {
            // The reference miner refuses by HTTP 200, and what it wants beside the service is in each request.
            (false, "no-service") => 400,
            (false, "unknown-service") => 404,
            (false, _) => 101,
            (true, _) => recorded.status.unwrap(),
        };
        assert_eq!(status, expected, "{}", case.case);
    }
}

#[tokio::test]
async fn a_service_without_a_node_for_websockets_refuses_them() {
    let world = World::start().await;
    match world.handshake(&[("target-service-id", SERVICE)]).await {
        Err(ConnectError::Refused { status, .. }) => assert_eq!(status, 503),
        other => panic!("{other:?}"),
    }
    // A WebSocket is no HTTP relay either.
    let url = format!("http://{}/", world.running().address);
    let request = world.request("/", "x").encode_to_vec();
    let post = world.client.post(url).header("rpc-type", "2").body(request);
    assert_eq!(post.send().await.unwrap().status(), 503);
}

#[tokio::test]
async fn a_backend_that_is_down_is_told() {
    let node = Node {
        address: "127.0.0.1:1".parse().unwrap(),
        ..Node::echoing().await
    };
    let world = World::with_node(&node).await;
    let mut client = world.socket().await;
    client.send(&world, text("hello")).await;
    assert_eq!(
        client.close().await,
        Close::new(4003, "backend connection failed")
    );
    assert_eq!(world.rows().len(), 0, "nothing was recorded");
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
async fn a_node_at_wss_is_asked_over_tls_that_holds_and_not_at_all_otherwise() {
    let folder = tempfile::tempdir().unwrap();
    let files = certificate(folder.path());
    let over_tls = || Node::over(Script::default(), Some(ServerTls::open(&files).unwrap()));
    let world = async |node: &Node, trusts: bool| {
        World::with_sockets(node, |config| {
            let service = config.services.get_mut(&SERVICE.parse().unwrap()).unwrap();
            let mut backend = BackendConfig::new(format!("wss://{}/ws", node.address));
            backend.tls.ca_file = trusts.then(|| files.cert_file.clone());
            service.rpc_types.insert(RpcType::Websocket, backend);
        })
        .await
    };
    let node = over_tls();
    let trusting = world(&node, true).await;
    let mut client = trusting.socket().await;
    for said in ["hello", "again"] {
        assert_eq!(client.asks(&trusting, text(said)).await, text(said));
    }
    client.sender.close(Close::new(1000, "")).await;
    assert_eq!(node.close().await.unwrap().code, Some(1000));

    // A certificate that nobody vouches for, and a node without one.
    for (node, trusts) in [(over_tls(), false), (Node::echoing().await, true)] {
        let world = world(&node, trusts).await;
        let mut client = world.socket().await;
        client.send(&world, text("hello")).await;
        let failed = Close::new(4003, "backend connection failed");
        assert_eq!(client.close().await, failed);
        assert!(node.got.lock().unwrap().connections.is_empty());
        assert_eq!(world.rows().len(), 0, "nothing was recorded");
    }
}

/// Both Go miners dial the backend at the handshake: the reference miner drops what it says before the first request, the HA miner passes it
/// on unsigned, and gateways end the socket for that.
#[tokio::test]
async fn what_a_backend_says_first_is_signed_like_an_answer() {
    let node = Node::start(Script {
        answers: vec![vec![text("welcome")], vec![text("answer")]],
        end: None,
    })
    .await;
    let world = World::with_node(&node).await;
    let mut client = world.socket().await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(
        node.got.lock().unwrap().connections.is_empty(),
        "no stranger reaches it"
    );
    assert_eq!(client.asks(&world, text("first")).await, text("welcome"));
    assert_eq!(client.next().await, text("answer"));
}

/// The relays of a socket are those that the reference relay miner counts: each message of the backend with the newest request, and each
/// request but the first with the newest answer.
#[tokio::test]
async fn each_message_is_a_leaf_and_all_of_them_are_paid() {
    let push = |n: u32| text(&format!("push {n}"));
    let node = Node::start(Script {
        answers: vec![
            vec![],
            vec![text("subscribed"), push(1), push(2), push(3)],
            vec![text("answer")],
        ],
        end: None,
    })
    .await;
    let world = World::with_node(&node).await;
    let mut client = world.socket().await;
    assert_eq!(client.asks(&world, text("subscribe")).await, text("subscribed"));
    for n in 1..=3 {
        assert_eq!(client.next().await, push(n));
    }
    assert_eq!(world.row().committed, 4, "on disk before they left");
    assert_eq!(client.asks(&world, text("ask")).await, text("answer"));
    let row = world.row();
    assert_eq!(
        (row.validated, row.served, row.committed, row.unpaid),
        (6, 6, 6, 0)
    );
    for (name, label) in [
        ("servicer_relays_total", ("outcome", "served")),
        ("servicer_served_total", ("transport", "websocket")),
    ] {
        assert_eq!(world.metric(name, &[label]), 6.0, "{name}, as in the ledger");
    }

    let leaves = world
        .running()
        .handle
        .leaves(&row.session_id, &row.supplier)
        .unwrap();
    let mut pairs = Vec::new();
    for leaf in leaves {
        let relay = portico_protocol::wire::pocket::service::Relay::decode(&*leaf.relay).unwrap();
        let (request, response) = (relay.req.unwrap(), relay.res.unwrap());
        verify_response_signature(&response, &client.supplier).unwrap();
        assert!(response.payload.is_empty() && response.payload_hash.len() == 32);
        pairs.push(String::from_utf8(request.payload.to_vec()).unwrap());
    }
    pairs.sort();
    assert_eq!(
        pairs,
        ["ask", "ask", "subscribe", "subscribe", "subscribe", "subscribe"]
    );

    // The socket ends with its session, before the claim.
    world.go_to(12).await;
    assert_eq!(client.close().await, Close::new(4000, "session expired"));
    assert_eq!(node.close().await, Some(Close::new(1001, "session ended")));
    world.go_to(20).await;
    let row = world.row();
    assert_eq!((row.stage, row.claimed), (Stage::Settled, 6));
    assert!(crate::Gaps::of(&row).closes(&row), "{row:?}");
}

/// A subscription brings messages for ever, the application's stake does not.
#[tokio::test]
async fn a_subscription_ends_with_the_budget() {
    let pushes: Vec<Frame> = (0..100).map(|n| text(&n.to_string())).collect();
    let node = Node::start(Script {
        answers: vec![vec![], pushes],
        end: None,
    })
    .await;
    let mut world = World::without_servicer().await;
    world.chain.set_stake(4 * 5 * COST);
    world.run_sockets(&node, |_| {});
    let mut client = world.socket().await;
    client.send(&world, text("subscribe")).await;
    for n in 0..5 {
        assert_eq!(client.next().await, text(&n.to_string()));
    }
    assert_eq!(client.close().await, Close::new(4002, "stake limit exceeded"));
    assert_eq!(node.close().await, Some(Close::new(1013, "rate limited")));
    assert_eq!(world.row().committed, 5);
}

#[tokio::test]
async fn a_client_that_is_gone_leaves_no_connection_behind() {
    let node = Node::echoing().await;
    let world = World::with_node(&node).await;
    let mut client = world.socket().await;
    client.asks(&world, text("hello")).await;
    drop(client);
    assert_eq!(node.close().await, Some(Close::new(1001, "client gone")));
    let mut gone = false;
    for _ in 0..100 {
        gone = metric(&world, "servicer_websockets") == 0.0;
        if gone {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(gone, "its place is free");
}

fn metric(world: &World, name: &str) -> f64 {
    let families = world.registry.gather();
    let family = families.iter().find(|family| family.name() == name).unwrap();
    family.get_metric()[0].get_gauge().get_value()
}

/// The same signed request is served once, on whichever transport and socket it comes.
#[tokio::test]
async fn a_request_is_not_served_twice() {
    let node = Node::echoing().await;
    let world = World::with_node(&node).await;
    let (mut first, mut second) = (world.socket().await, world.socket().await);
    let request = world.framed(&first.header, Bytes::from_static(b"once"));
    first.send_request(Kind::Text, &request).await;
    assert_eq!(first.next().await, text("once"));
    second.send_request(Kind::Text, &request).await;
    assert_eq!(second.close().await.code, Some(1008));
    assert_eq!(node.got.lock().unwrap().frames.len(), 1);
}

#[tokio::test]
async fn sockets_are_bounded_and_the_silent_give_way() {
    let node = Node::echoing().await;
    let world = World::with_sockets(&node, |config| config.limits.max_websockets = 2).await;
    let (mut paying, mut silent) = (world.socket().await, world.socket().await);
    paying.asks(&world, text("hello")).await;
    let mut third = world.socket().await;
    assert_eq!(silent.close().await.code, Some(1013));
    assert_eq!(third.asks(&world, text("third")).await, text("third"));
    match world.handshake(&[("target-service-id", SERVICE)]).await {
        Err(ConnectError::Refused { status, .. }) => assert_eq!(status, 503),
        other => panic!("{other:?}"),
    }
    assert_eq!(paying.asks(&world, text("again")).await, text("again"));
}

#[tokio::test]
async fn messages_are_bounded_in_both_directions() {
    let large = Frame {
        kind: Kind::Binary,
        bytes: vec![7; 5_000].into(),
    };
    let node = Node::start(Script {
        answers: vec![vec![], vec![text("small")], vec![large.clone()]],
        end: None,
    })
    .await;
    let world = World::with_sockets(&node, |config| {
        let service = config.services.get_mut(&SERVICE.parse().unwrap()).unwrap();
        service.max_response_bytes = 4_999;
        service.max_request_bytes = 4_999;
        service.durability = Durability::Bounded;
    })
    .await;
    let mut client = world.socket().await;
    assert_eq!(client.asks(&world, text("one")).await, text("small"));
    client.send(&world, text("two")).await;
    assert_eq!(client.close().await.code, Some(1009), "the backend's");
    let mut client = world.socket().await;
    client.send(&world, large).await;
    assert_eq!(client.close().await.code, Some(1009), "the client's");
}

#[tokio::test]
async fn a_stop_is_told_to_both_sides() {
    let node = Node::echoing().await;
    let mut world = World::with_node(&node).await;
    let mut client = world.socket().await;
    client.asks(&world, text("hello")).await;
    let stopping = world.running.take().unwrap();
    stopping.stop.cancel();
    assert_eq!(client.close().await, Close::new(1001, "the servicer is stopping"));
    assert_eq!(node.close().await.unwrap().code, Some(1001));
    drop(client);
    stopping.task.await.unwrap().unwrap();
}
