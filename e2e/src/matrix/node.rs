//! The node behind one cell's service: speaks every transport, counts what reaches it, and says what the cell's condition wants.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Result;
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures::{Stream, StreamExt as _, stream};
use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use http_body::Frame;
use http_body_util::StreamBody;
use portico_localnet::local;
use portico_net::Parts;
use portico_net::websocket::{self, Incoming, Limits, Message, is_upgrade};
use portico_relay::grpc::{self, Wire};
use serde_json::{Value, json};
use tokio::net::TcpSocket;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What a node says that says garbage.
pub(super) const GARBAGE: &str = "<html>502 Bad Gateway</html>";
/// Garbage in an event stream: no event, no text, and the delimiter of the Go programs' framing.
pub(super) const GARBAGE_STREAM: &[u8] = b"\xff\x00||POKT_STREAM||<html>";
/// What a GET of a page is answered with.
pub(super) const PAGE: &str = r#"{"things":[7]}"#;
/// What a gRPC call is answered with.
pub(super) const REPLY: &[u8] = b"pong";
/// Events or messages of a stream, and how many of them a held one tells before it is released.
pub(super) const EVENTS: usize = 5;
pub(super) const EVENTS_BEFORE: usize = 3;
/// Path of a stream that is held.
pub(super) const HELD: &str = "/held";
/// Methods of gRPC that are answered by a stream, and by one that is held.
pub(super) const COUNT: &str = "/demo.Demo/Count";
pub(super) const HELD_COUNT: &str = "/demo.Demo/HeldCount";

/// Largest answer that the services of the condition "too large" allow, in bytes.
pub(super) const MAX_ANSWER: usize = 64 << 10;
/// Bytes of an answer beyond it.
const LARGE: usize = 200 << 10;
/// Connections that wait to be taken.
const BACKLOG: u32 = 128;
/// Largest message that is read.
const MAX_MESSAGE: usize = 1 << 20;
/// Time for a peer to take a message.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// What a node does with calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    /// Answers them.
    Answers,
    /// Says [`GARBAGE`].
    Garbage,
    /// Says more than [`MAX_ANSWER`].
    TooLarge,
    /// Does not listen.
    Dead,
}

/// A running node.
#[derive(Debug)]
pub(super) struct Node {
    address: SocketAddr,
    shared: Arc<Shared>,
    life: Life,
}

#[derive(Debug)]
enum Life {
    Serves(JoinHandle<()>),
    /// Holds the port.
    Dead(#[expect(dead_code, reason = "held")] TcpSocket),
}

#[derive(Debug)]
struct Shared {
    manner: Manner,
    hits: AtomicU64,
    released: watch::Sender<bool>,
}

impl Node {
    pub(super) async fn start(manner: Manner) -> Result<Self> {
        // Bound before it listens: the port of a dead node is nobody else's, and refuses connections.
        let socket = TcpSocket::new_v4()?;
        socket.bind(local(0))?;
        let address = socket.local_addr()?;
        let shared = Arc::new(Shared {
            manner,
            hits: AtomicU64::new(0),
            released: watch::Sender::new(false),
        });
        let router = Router::new().fallback(answer).with_state(Arc::clone(&shared));
        let life = match manner {
            Manner::Dead => Life::Dead(socket),
            _ => {
                let listener = socket.listen(BACKLOG)?;
                Life::Serves(tokio::spawn(async move {
                    let _ = axum::serve(listener, router).await;
                }))
            }
        };
        Ok(Self {
            address,
            shared,
            life,
        })
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Calls and messages so far.
    pub(super) fn hits(&self) -> u64 {
        self.shared.hits.load(Ordering::SeqCst)
    }

    /// Lets streams that are held go on.
    pub(super) fn release(&self) {
        self.shared.released.send_replace(true);
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Life::Serves(server) = &self.life {
            server.abort();
        }
    }
}

async fn answer(State(node): State<Arc<Shared>>, mut request: Request) -> Response {
    if is_upgrade(request.headers()) {
        let Ok((response, upgrade)) = websocket::accept(&mut request) else {
            return http::StatusCode::BAD_REQUEST.into_response();
        };
        tokio::spawn(async move {
            if let Ok((receiver, sender)) = upgrade.open(limits()).await {
                socket(&node, receiver, sender).await;
            }
        });
        return response;
    }
    let number = node.hits.fetch_add(1, Ordering::SeqCst);
    let content_type = request.headers().get(CONTENT_TYPE);
    let wire = content_type.and_then(|value| Wire::of(value.as_bytes()));
    let (path, method) = (request.uri().path().to_owned(), request.method().clone());
    match (node.manner, wire, &*path) {
        (_, _, "/events" | HELD) => events(&node, path == HELD),
        (Manner::Garbage, ..) => ([(CONTENT_TYPE, "text/html")], GARBAGE).into_response(),
        (_, Some(_), COUNT | HELD_COUNT) => messages(&node, path == HELD_COUNT),
        (_, Some(_), _) => grpc_answer(node.manner),
        (Manner::TooLarge, ..) => {
            let text = json!({"jsonrpc": "2.0", "id": 1, "result": "0".repeat(LARGE)});
            axum::Json(text).into_response()
        }
        (_, _, "/status") => axum::Json(json!({"jsonrpc": "2.0", "id": -1, "result": {}})).into_response(),
        _ if method == http::Method::GET => ([(CONTENT_TYPE, "application/json")], PAGE).into_response(),
        _ => {
            let body = axum::body::to_bytes(request.into_body(), MAX_MESSAGE).await;
            let call: Value = serde_json::from_slice(&body.unwrap_or_default()).unwrap_or_default();
            axum::Json(result(&call, number)).into_response()
        }
    }
}

/// Each one another, so that no relay is another's duplicate.
fn result(call: &Value, number: u64) -> Value {
    json!({"jsonrpc": "2.0", "id": call["id"], "result": format!("0x{number:x}")})
}

fn grpc_answer(manner: Manner) -> Response {
    let large = vec![0; LARGE];
    let message = match manner {
        Manner::TooLarge => &large,
        _ => REPLY,
    };
    let body = Body::new(Parts::new(vec![framed(message)]).trailers(well()));
    ([(CONTENT_TYPE, "application/grpc")], body).into_response()
}

/// A message of gRPC with its prefix.
pub(super) fn framed(message: &[u8]) -> Bytes {
    [&grpc::prefix(message.len())[..], message].concat().into()
}

/// Trailers of a call that went well.
fn well() -> HeaderMap {
    let mut trailers = HeaderMap::new();
    trailers.insert(grpc::STATUS, HeaderValue::from_static("0"));
    trailers
}

fn events(node: &Shared, held: bool) -> Response {
    let manner = node.manner;
    let told = told(node, held, move |number| match manner {
        Manner::Garbage => (number == 0).then(|| Bytes::from_static(GARBAGE_STREAM)),
        // Without end: the servicer is to end it.
        Manner::TooLarge => Some(Bytes::from(format!("data: {}\n\n", "0".repeat(1_000)))),
        Manner::Answers | Manner::Dead => {
            (number < EVENTS).then(|| Bytes::from(format!("data: {number}\n\n")))
        }
    });
    let body = Body::from_stream(told.map(Ok::<_, Infallible>));
    ([(CONTENT_TYPE, "text/event-stream")], body).into_response()
}

fn messages(node: &Shared, held: bool) -> Response {
    let manner = node.manner;
    let told = told(node, held, move |number| match manner {
        Manner::TooLarge => Some(framed(&[0; 1_000])),
        Manner::Answers | Manner::Garbage | Manner::Dead => (number < EVENTS).then(|| framed(REPLY)),
    });
    let frames = told.map(Frame::data);
    let frames = frames.chain(stream::once(async { Frame::trailers(well()) }));
    let body = Body::new(StreamBody::new(frames.map(Ok::<_, Infallible>)));
    ([(CONTENT_TYPE, "application/grpc")], body).into_response()
}

/// The pieces of a stream, by their number; one that is held waits for its release between two of them.
fn told(
    node: &Shared,
    held: bool,
    piece: impl Fn(usize) -> Option<Bytes> + Send + 'static,
) -> impl Stream<Item = Bytes> + Send + 'static {
    let next = (0, piece, node.released.subscribe());
    stream::unfold(next, move |(number, piece, mut released)| async move {
        if held && number == EVENTS_BEFORE {
            let _ = released.wait_for(|released| *released).await;
        }
        Some((piece(number)?, (number + 1, piece, released)))
    })
}

async fn socket(node: &Shared, mut receiver: websocket::Receiver, sender: websocket::Sender) {
    while let Ok(Incoming::Message(message)) = receiver.next().await {
        let number = node.hits.fetch_add(1, Ordering::SeqCst);
        let call: Value = serde_json::from_slice(&message.bytes).unwrap_or_default();
        let bytes = match node.manner {
            Manner::Garbage => Bytes::from_static(GARBAGE.as_bytes()),
            Manner::TooLarge => Bytes::from(vec![b'0'; LARGE]),
            Manner::Answers | Manner::Dead => result(&call, number).to_string().into(),
        };
        let kind = message.kind;
        if sender.send(Message { kind, bytes }).await.is_err() {
            return;
        }
    }
}

/// Bounds of this program's own ends of WebSockets.
pub(super) const fn limits() -> Limits {
    Limits {
        max_message_bytes: MAX_MESSAGE,
        write_timeout: WRITE_TIMEOUT,
        budgets: None,
    }
}
