//! A supplier that lies: staked like any other, but what it signs is garbage.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Result;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use portico_net::websocket::{self, Incoming, Limits, Message, Upgrade};
use portico_protocol::SigningKey;
use portico_protocol::http_payload;
use portico_protocol::relay::sign_response;
use portico_protocol::wire::pocket::service::{RelayRequest, RelayResponse};
use portico_protocol::wire::sdk::types::{Header, PokthttpResponse};
use portico_relay::stream::{self, End, Framing, StreamWriter};
use prost::Message as _;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// What it answers every call with.
const LIE: &[u8] = br#"{"jsonrpc":"2.0","id":1,"result":"a lie"}"#;
/// Largest request that is read.
const MAX_BYTES: usize = 1 << 20;
/// Time for a peer to take a message.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// A relay endpoint, also for WebSockets and streams, whose answers carry a signature of the right length over other bytes.
#[derive(Debug)]
pub struct LyingSupplier {
    addr: SocketAddr,
    asked: Arc<AtomicU64>,
    server: JoinHandle<()>,
}

#[derive(Clone)]
struct Liar {
    key: SigningKey,
    asked: Arc<AtomicU64>,
}

impl LyingSupplier {
    /// Serves on `addr` with the supplier's real key.
    pub async fn start(addr: SocketAddr, key: SigningKey) -> Result<Self> {
        let listener = TcpListener::bind(addr).await?;
        let asked = Arc::new(AtomicU64::new(0));
        let router = Router::new().fallback(lie).with_state(Liar {
            key,
            asked: Arc::clone(&asked),
        });
        let server = tokio::spawn(async move {
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self { addr, asked, server })
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Requests it has answered.
    #[must_use]
    pub fn asked(&self) -> u64 {
        self.asked.load(Ordering::SeqCst)
    }
}

impl Drop for LyingSupplier {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn lie(State(liar): State<Liar>, mut request: Request) -> Response {
    liar.asked.fetch_add(1, Ordering::SeqCst);
    if websocket::is_upgrade(request.headers()) {
        return match websocket::accept(&mut request) {
            Ok((response, upgrade)) => {
                tokio::spawn(lie_on_a_socket(liar, upgrade));
                response
            }
            Err(error) => error.status().into_response(),
        };
    }
    let takes_stream = request.headers().contains_key(stream::HEADER);
    let body = axum::body::to_bytes(request.into_body(), MAX_BYTES).await;
    let request = RelayRequest::decode(body.unwrap_or_default()).unwrap_or_default();
    let asked = http_payload::decode_http_request(&request.payload).unwrap_or_default();
    if takes_stream && asked.url.ends_with("/events") {
        return lying_stream(&request);
    }
    let payload = http_payload::encode_http_response(
        200,
        [("Content-Type", "application/json")],
        Bytes::from_static(LIE),
    );
    liar.sign(&request, payload).encode_to_vec().into_response()
}

/// What comes on a socket is answered as over HTTP, but without HTTP.
async fn lie_on_a_socket(liar: Liar, upgrade: Upgrade) {
    let limits = Limits {
        max_message_bytes: MAX_BYTES,
        write_timeout: WRITE_TIMEOUT,
        budgets: None,
    };
    let Ok((mut receiver, sender)) = upgrade.open(limits).await else {
        return;
    };
    while let Ok(Incoming::Message(message)) = receiver.next().await {
        let request = RelayRequest::decode(message.bytes).unwrap_or_default();
        let bytes = liar
            .sign(&request, Bytes::from_static(LIE))
            .encode_to_vec()
            .into();
        let kind = message.kind;
        if sender.send(Message { kind, bytes }).await.is_err() {
            return;
        }
    }
}

/// Chained messages, in order and complete, that another key than the supplier's has signed.
fn lying_stream(request: &RelayRequest) -> Response {
    let (key, meta) = (
        SigningKey::generate(&mut rand::rng()),
        request.meta.clone().unwrap_or_default(),
    );
    let head = PokthttpResponse {
        status_code: 200,
        header: [(
            "Content-Type".to_owned(),
            header("Content-Type", "text/event-stream"),
        )]
        .into(),
        ..PokthttpResponse::default()
    };
    let session = meta.session_header.unwrap_or_default();
    let mut writer = StreamWriter::new(Framing::Chained, session, &meta.signature, head, Arc::new(key));
    let mut frames = writer.frames(Bytes::from_static(b"data: a lie\n\n"));
    frames.extend(writer.finish(End::Complete, BTreeMap::new()).frame);
    let headers = [(stream::HEADER, stream::VERSION)];
    (headers, frames.concat()).into_response()
}

fn header(key: &str, value: &str) -> Header {
    Header {
        key: key.to_owned(),
        values: vec![value.to_owned()],
    }
}

impl Liar {
    /// A response with this payload and a signature of the right length over other bytes.
    fn sign(&self, request: &RelayRequest, payload: Bytes) -> RelayResponse {
        let header = request.meta.as_ref().and_then(|meta| meta.session_header.clone());
        let mut response = sign_response(&header.unwrap_or_default(), payload, &self.key);
        if let Some(meta) = response.meta.as_mut() {
            meta.supplier_operator_signature = self.key.sign(b"something else").to_vec();
        }
        response
    }
}
