//! Answers that come piece by piece: as they were recorded of the HA relay miner (`testdata/go-wire-transports/streams.json`), and what ours
//! bounds, counts and ends.

use std::collections::BTreeSet;
use std::time::Duration;

use portico_protocol::receipt;
use portico_relay::stream::{self, Framing, Part, StreamFault, StreamReader};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::*;

const RECORDED: &str = include_str!("../../../testdata/go-wire-transports/streams.json");
/// Time for what must come.
const SOON: Duration = Duration::from_secs(30);
const FRAMINGS: [Framing; 2] = [Framing::Delimited, Framing::Chained];

fn recorded() -> Vec<Value> {
    let recording: Value = serde_json::from_str(RECORDED).unwrap();
    recording["cases"].as_array().unwrap().clone()
}

/// Names of all recorded cases: each is read here or in `portico-relay`'s tests, which read all of the file.
pub(super) fn recorded_cases() -> Vec<String> {
    let name = |case: &Value| case["case"].as_str().unwrap().to_owned();
    recorded().iter().map(name).collect()
}

/// A node that says what a test tells it to: `None` breaks the connection off, the end of the channel ends the answer.
struct Node {
    address: SocketAddr,
    says: mpsc::Sender<Option<Bytes>>,
    hits: Arc<AtomicU64>,
}

type Said = Arc<tokio::sync::Mutex<Option<mpsc::Receiver<Option<Bytes>>>>>;

impl Node {
    async fn start(content_type: &'static str) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (says, said) = mpsc::channel(1);
        let (said, hits): (Said, _) = (
            Arc::new(tokio::sync::Mutex::new(Some(said))),
            Arc::new(AtomicU64::new(0)),
        );
        let counted = Arc::clone(&hits);
        let app = Router::new().fallback(move || {
            let (said, counted) = (Arc::clone(&said), Arc::clone(&counted));
            async move {
                counted.fetch_add(1, Ordering::SeqCst);
                let Some(said) = said.lock().await.take() else {
                    let silent = futures::stream::pending::<Result<Bytes, std::io::Error>>();
                    return ([("content-type", content_type)], Body::from_stream(silent)).into_response();
                };
                let said = futures::StreamExt::map(ReceiverStream::new(said), |said| {
                    said.ok_or_else(|| std::io::Error::other("broken off"))
                });
                (
                    [("content-type", content_type), ("x-node", "1")],
                    Body::from_stream(said),
                )
                    .into_response()
            }
        });
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { address, says, hits }
    }

    async fn say(&self, text: &str) {
        self.says.send(Some(Bytes::from(text.to_owned()))).await.unwrap();
    }
}

/// What a client reads of one stream.
struct Client {
    response: reqwest::Response,
    reader: StreamReader,
}

impl Client {
    /// The next part, or what ends the stream.
    async fn next(&mut self) -> Result<Part, StreamFault> {
        loop {
            if let Some(part) = self.reader.part()? {
                return Ok(part);
            }
            match tokio::time::timeout(SOON, self.response.chunk()).await.unwrap() {
                Ok(Some(bytes)) => self.reader.push(&bytes),
                Ok(None) => self.reader.close(),
                Err(_) => return Err(StreamFault::Truncated),
            }
        }
    }

    /// All bytes, and what ends the stream.
    async fn rest(&mut self) -> (Vec<u8>, Result<(), StreamFault>) {
        let mut bytes = Vec::new();
        loop {
            match self.next().await {
                Ok(Part::Head { http, .. }) => bytes.extend_from_slice(&http.body_bz),
                Ok(Part::Data(data)) => bytes.extend_from_slice(&data),
                Ok(Part::End { .. }) => return (bytes, Ok(())),
                Err(fault) => return (bytes, Err(fault)),
            }
        }
    }

    /// Reads until so much was said.
    async fn until(&mut self, expected: &str) {
        let mut bytes = Vec::new();
        while bytes != expected.as_bytes() {
            match self.next().await.unwrap() {
                Part::Head { http, .. } => bytes.extend_from_slice(&http.body_bz),
                Part::Data(data) => bytes.extend_from_slice(&data),
                Part::End { .. } => panic!("ends after {bytes:?}"),
            }
        }
    }
}

impl World {
    async fn streaming(node: &Node, adjust: impl FnOnce(&mut ServiceConfig)) -> Self {
        let address = node.address;
        Self::with(move |config| {
            let service = config.services.get_mut(&SERVICE.parse().unwrap()).unwrap();
            service.backend.url = format!("http://{address}/");
            adjust(service);
        })
        .await
    }

    /// Asks for a stream in `framing`.
    async fn stream(&self, framing: Framing, request: &RelayRequest) -> Client {
        let client = self.post_stream(framing, request).await;
        assert_eq!(client.response.status(), 200);
        let headers = client.response.headers();
        match framing {
            Framing::Delimited => assert_eq!(headers["content-type"], "text/event-stream"),
            Framing::Chained => assert_eq!(headers[stream::HEADER], stream::VERSION),
        }
        client
    }

    async fn post_stream(&self, framing: Framing, request: &RelayRequest) -> Client {
        let mut post = self.client.post(format!("http://{}/", self.running().address));
        if framing == Framing::Chained {
            post = post.header(stream::HEADER, stream::VERSION);
        }
        let response = post
            .header("rpc-type", "4")
            .body(request.encode_to_vec())
            .send()
            .await
            .unwrap();
        let meta = request.meta.clone().unwrap();
        let supplier = self.suppliers[0].public_key();
        Client {
            response,
            reader: StreamReader::new(framing, meta.session_header.unwrap(), &meta.signature, supplier),
        }
    }

    /// Waits until the ledger has so many leaves of one session, and nothing is in progress.
    async fn leaves(&self, count: u64) {
        let reached = async {
            loop {
                let rows = self.rows();
                if rows.iter().map(|row| row.committed).sum::<u64>() == count && self.open_streams() == 0 {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let waited = tokio::time::timeout(SOON, reached).await;
        waited.unwrap_or_else(|_| panic!("{:?}, {} streams", self.rows(), self.open_streams()));
    }

    fn open_streams(&self) -> u64 {
        self.series("servicer_streams", &[])
    }

    fn ended(&self, reason: &str) -> u64 {
        self.series("servicer_streams_ended_total", &[("reason", reason)])
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts")]
    fn series(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        let families = self.registry.gather();
        let Some(family) = families.iter().find(|family| family.name() == name) else {
            return 0;
        };
        let of_labels = family.get_metric().iter().filter(|metric| {
            let has = |&(name, value): &(&str, &str)| {
                metric
                    .get_label()
                    .iter()
                    .any(|label| label.name() == name && label.value() == value)
            };
            labels.iter().all(has)
        });
        of_labels
            .map(|metric| (metric.get_gauge().get_value() + metric.get_counter().get_value()) as u64)
            .sum()
    }
}

#[tokio::test]
async fn an_event_is_told_when_it_comes_and_the_whole_stream_is_one_leaf() {
    for framing in FRAMINGS {
        let node = Node::start("text/event-stream").await;
        let world = World::streaming(&node, |_| {}).await;
        let request = world.request("/events", "");
        let mut client = world.stream(framing, &request).await;
        for n in 0..5 {
            let event = format!("data: {n} ||POKT_STREAM|| {n}\n\n");
            node.say(&event).await;
            client.until(&event).await; // before anything else is said
        }
        assert_eq!((world.open_streams(), world.row().committed), (1, 0));
        node.say("data: half a line").await;
        let Node { says, hits, .. } = node;
        drop(says);
        let (rest, end) = client.rest().await;
        assert_eq!((&*rest, end), (&b"data: half a line"[..], Ok(())), "{framing:?}");
        world.leaves(1).await;
        assert_eq!(
            (
                world.row().served,
                world.row().unpaid,
                hits.load(Ordering::SeqCst)
            ),
            (1, 0, 1)
        );
        assert_eq!(world.ended("complete"), 1);
        let refused = world.refused(&request).await;
        refused.is(409, "sent before");
        assert_eq!(hits.load(Ordering::SeqCst), 1);
    }
}

#[tokio::test]
async fn the_head_of_a_chained_stream_comes_before_its_first_event() {
    let node = Node::start("text/event-stream; charset=utf-8").await;
    let world = World::streaming(&node, |_| {}).await;
    let mut client = world
        .stream(Framing::Chained, &world.request("/events", ""))
        .await;
    let Part::Head { http, .. } = client.next().await.unwrap() else {
        panic!()
    };
    assert_eq!(http.status_code, 200);
    assert_eq!(
        http.header["Content-Type"].values,
        ["text/event-stream; charset=utf-8"]
    );
    assert_eq!(http.header["X-Node"].values, ["1"]);
    node.say("data: 1\n\n").await;
    client.until("data: 1\n\n").await;
}

#[tokio::test]
async fn a_client_that_leaves_stops_the_node_and_pays_for_what_it_got() {
    for framing in FRAMINGS {
        let node = Node::start("text/event-stream").await;
        let world = World::streaming(&node, |_| {}).await;
        let mut client = world.stream(framing, &world.request("/events", "")).await;
        node.say("data: 1\n\n").await;
        client.until("data: 1\n\n").await;
        drop(client);
        tokio::time::timeout(SOON, node.says.closed()).await.unwrap();
        world.leaves(1).await;
        assert_eq!(world.ended("client_gone"), 1, "{framing:?}");
    }
}

#[tokio::test]
async fn a_node_that_breaks_off_is_told_as_such() {
    for framing in FRAMINGS {
        let node = Node::start("text/event-stream").await;
        let world = World::streaming(&node, |_| {}).await;
        let mut client = world.stream(framing, &world.request("/events", "")).await;
        node.say("data: 1\n\n").await;
        client.until("data: 1\n\n").await;
        node.says.send(None).await.unwrap();
        let (_, end) = client.rest().await;
        let told = match framing {
            Framing::Delimited => StreamFault::Truncated,
            Framing::Chained => StreamFault::Cut("backend_gone".to_owned()),
        };
        assert_eq!(end, Err(told));
        world.leaves(1).await;
    }
}

#[tokio::test]
async fn silence_and_too_much_end_a_stream() {
    let node = Node::start("text/event-stream").await;
    let world = World::streaming(&node, |service| service.stream_idle_timeout_ms = 50).await;
    let mut client = world
        .stream(Framing::Chained, &world.request("/events", ""))
        .await;
    let (_, end) = client.rest().await;
    assert_eq!(end, Err(StreamFault::Cut("idle".to_owned())));
    world.leaves(0).await; // nothing was said, nothing is paid

    let node = Node::start("text/event-stream").await;
    let world = World::streaming(&node, |service| service.max_stream_bytes = 10).await;
    let mut client = world
        .stream(Framing::Chained, &world.request("/events", ""))
        .await;
    node.say("0123456789").await;
    client.until("0123456789").await;
    node.say("1").await;
    let (_, end) = client.rest().await;
    assert_eq!(end, Err(StreamFault::Cut("too_large".to_owned())));
    world.leaves(1).await;
}

#[tokio::test]
async fn a_stream_ends_with_its_session_and_is_claimed() {
    let node = Node::start("text/event-stream").await;
    let world = World::streaming(&node, |_| {}).await;
    let mut client = world
        .stream(Framing::Chained, &world.request("/events", ""))
        .await;
    node.say("data: 1\n\n").await;
    client.until("data: 1\n\n").await;
    world.go_to(11).await; // the last block of its grace period
    node.say("data: 2\n\n").await;
    client.until("data: 2\n\n").await;
    world.chain.advance();
    let (_, end) = client.rest().await;
    assert_eq!(end, Err(StreamFault::Cut("session_over".to_owned())));
    world.leaves(1).await;
    world.go_to(30).await;
    assert_eq!(world.row().stage, crate::Stage::Settled);
    assert_eq!(Some(world.row().claimed_upokt), world.row().settled_upokt);
}

#[tokio::test]
async fn a_servicer_that_stops_ends_its_streams_and_keeps_their_leaves() {
    let node = Node::start("text/event-stream").await;
    let mut world = World::streaming(&node, |_| {}).await;
    let mut client = world
        .stream(Framing::Chained, &world.request("/events", ""))
        .await;
    node.say("data: 1\n\n").await;
    client.until("data: 1\n\n").await;
    let (stopped, (_, end)) = tokio::join!(world.stop(), client.rest());
    let () = stopped;
    assert_eq!(end, Err(StreamFault::Cut("stopping".to_owned())));
    world.run(world.config());
    assert_eq!(world.row().committed, 1);
}

#[tokio::test]
async fn more_streams_than_allowed_are_refused() {
    let node = Node::start("text/event-stream").await;
    let address = node.address;
    let world = World::with(move |config| {
        config.limits.max_streams = 1;
        let service = config.services.get_mut(&SERVICE.parse().unwrap()).unwrap();
        service.backend.url = format!("http://{address}/");
    })
    .await;
    let mut first = world
        .stream(Framing::Chained, &world.request("/events", ""))
        .await;
    node.say("data: 1\n\n").await;
    first.until("data: 1\n\n").await;
    let second = world.refused(&world.request("/events", "other")).await;
    second.is(503, "streams");
    drop(first);
    world.leaves(1).await;
}

/// PATH decodes one message: what it asks for is answered whole.
#[tokio::test]
async fn who_understands_no_streams_gets_one_message() {
    let node = Node::start("text/event-stream").await;
    let world = World::streaming(&node, |_| {}).await;
    let mut request = PokthttpRequest::decode(payload("/events", "")).unwrap();
    let key = "Content-Type".to_owned();
    let values = vec!["application/json".to_owned()];
    request.header.insert(
        key.clone(),
        portico_protocol::wire::sdk::types::Header { key, values },
    );
    let relay = sign_request(
        &world.header(),
        &world.supplier().to_string(),
        request.encode_to_vec().into(),
        &Ring::new(vec![world.application.public_key(), world.gateway.public_key()]).unwrap(),
        &world.gateway,
        &mut rng(),
    )
    .unwrap();
    let post = world.client.post(format!("http://{}/", world.running().address));
    let post = post
        .header("content-type", "application/json")
        .header("rpc-type", "4");
    let sending = tokio::spawn(post.body(relay.encode_to_vec()).send());
    node.say("data: 1\n\n").await;
    node.say("data: 2\n\n").await;
    drop(node.says);
    let response = sending.await.unwrap().unwrap();
    assert!(response.headers().get(receipt::HEADER).is_none());
    let response = RelayResponse::decode(response.bytes().await.unwrap()).unwrap();
    let answer = PokthttpResponse::decode(response.payload).unwrap();
    assert_eq!(answer.body_bz, "data: 1\n\ndata: 2\n\n");
    world.leaves(1).await;
}

/// What each recorded node said, through ours: the client gets its bytes. The HA relay miner changes some: it ends lines as it likes.
#[tokio::test]
async fn recorded_streams_are_passed_on_byte_by_byte() {
    let mut played = BTreeSet::new();
    for case in recorded() {
        let name = case["case"].as_str().unwrap();
        let exchanges = case["exchanges"].as_array().unwrap();
        let of = |leg: &str| {
            exchanges
                .iter()
                .find(|exchange| exchange["leg"].as_str().unwrap().starts_with(leg))
        };
        let Some(backend) = of("backend").filter(|backend| backend["body"].is_string()) else {
            continue;
        };
        let status = backend["status"].as_u64().unwrap();
        let body = hex::decode(backend["body"].as_str().unwrap()).unwrap();
        let field = |name: &str| {
            let mut headers = backend["headers"].as_array().unwrap().iter();
            let found = headers.find(|field| field[0].as_str().unwrap().eq_ignore_ascii_case(name));
            found.map(|field| field[1].as_str().unwrap().to_owned())
        };
        let content_type = field("content-type").unwrap();
        let breaks = backend["truncated"].as_bool().unwrap();
        if status != 200 {
            continue; // 201 is below, 500 is answered whole
        }
        let node = Node::start(Box::leak(content_type.clone().into_boxed_str())).await;
        let world = World::streaming(&node, |_| {}).await;
        let says = node.says.clone();
        drop(node.says);
        let told = body.clone();
        let saying = tokio::spawn(async move {
            for line in told.split_inclusive(|byte| *byte == b'\n') {
                says.send(Some(Bytes::copy_from_slice(line))).await.unwrap();
            }
            if breaks {
                says.send(None).await.unwrap();
            }
        });
        let mut client = world
            .stream(Framing::Chained, &world.request("/events", ""))
            .await;
        let (got, end) = client.rest().await;
        saying.await.unwrap();
        assert_eq!(got, body, "{name}");
        assert_eq!(end.is_err(), breaks, "{name}");
        world.leaves(u64::from(!(breaks && body.is_empty()))).await;
        played.insert(name.to_owned());
    }
    assert!(played.len() >= 18, "{played:?}");
}
