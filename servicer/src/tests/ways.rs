//! The other ways to a relay beside plain HTTP, as `kills` goes them: streams, gRPC, WebSockets. What a client holds is what it read to its end.

use std::time::Duration;

use http::{HeaderMap, HeaderValue};
use http_body_util::BodyExt as _;
use portico_config::servicer::{BackendConfig, RpcType};
use portico_net::tls::ClientTls;
use portico_net::websocket::{self, Incoming, Kind, Limits, Message as Frame};
use portico_net::{Parts, dial_websocket};
use portico_protocol::relay::MinedRelay;
use portico_relay::grpc;
use portico_relay::stream::{self, Framing, Part, StreamReader};

use super::*;

/// Pieces of a stream.
const PIECES: usize = 3;
/// Messages of a socket.
const MESSAGES: usize = 2;
/// Time for what comes, unless the process has ended.
const SOON: Duration = Duration::from_secs(5);

/// Called at each effect.
pub(super) type OnEffect = Arc<dyn Fn(&'static str) + Send + Sync>;

/// A node that streams, and speaks gRPC and WebSockets.
#[derive(Clone)]
pub(super) struct Node {
    address: SocketAddr,
    on_effect: Arc<Mutex<OnEffect>>,
}

impl Node {
    pub(super) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let nothing: OnEffect = Arc::new(|_| {});
        let node = Self {
            address: listener.local_addr().unwrap(),
            on_effect: Arc::new(Mutex::new(nothing)),
        };
        let app = Router::new().fallback(Self::answer).with_state(node.clone());
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        node
    }

    pub(super) fn on_effect(&self, on_effect: OnEffect) {
        *self.on_effect.lock().unwrap() = on_effect;
    }

    /// Puts this node behind [`SERVICE`], for everything but JSON-RPC.
    pub(super) fn put(&self, config: &mut ServicerConfig) {
        let service = config.services.get_mut(&SERVICE.parse().unwrap()).unwrap();
        for (rpc_type, scheme) in [
            (RpcType::Rest, "http"),
            (RpcType::Grpc, "http"),
            (RpcType::Websocket, "ws"),
        ] {
            let backend = BackendConfig::new(format!("{scheme}://{}/", self.address));
            service.rpc_types.insert(rpc_type, backend);
        }
    }

    fn reach(&self, effect: &'static str) {
        let called = Arc::clone(&*self.on_effect.lock().unwrap());
        called(effect);
    }

    async fn answer(State(node): State<Self>, mut request: Request) -> Response {
        if request.headers().contains_key(http::header::UPGRADE) {
            let (response, upgrade) = websocket::accept(&mut request).unwrap();
            tokio::spawn(async move {
                let (mut receiver, sender) = upgrade.open(limits()).await.ok()?;
                while let Ok(Incoming::Message(frame)) = receiver.next().await {
                    node.reach("backend.message");
                    sender.send(frame).await.ok()?;
                }
                Some(())
            });
            return response;
        }
        if request.version() == http::Version::HTTP_2 {
            node.reach("backend.call");
            let mut status = HeaderMap::new();
            status.insert("grpc-status", HeaderValue::from_static("0"));
            let body = Body::new(Parts::new(vec![framed(b"pong")]).trailers(status));
            return ([("content-type", "application/grpc")], body).into_response();
        }
        let pieces = futures::stream::unfold(0, move |said| {
            let node = node.clone();
            async move {
                if said == PIECES {
                    return None;
                }
                node.reach("backend.piece");
                tokio::task::yield_now().await; // so that they are told one by one
                let piece = Bytes::from(format!("{{\"piece\":{said}}}\n"));
                Some((Ok::<_, std::io::Error>(piece), said + 1))
            }
        });
        (
            [("content-type", "application/x-ndjson")],
            Body::from_stream(pieces),
        )
            .into_response()
    }
}

fn limits() -> Limits {
    Limits {
        max_message_bytes: 1 << 20,
        write_timeout: SOON,
        budgets: None,
    }
}

fn framed(message: &[u8]) -> Bytes {
    [&grpc::prefix(message.len())[..], message].concat().into()
}

/// What a client does with one session, on its own.
pub(super) struct Asker {
    pub(super) address: SocketAddr,
    pub(super) client: reqwest::Client,
    pub(super) supplier: SigningKey,
    pub(super) on_effect: OnEffect,
}

impl Asker {
    /// Streams that were read to their ends.
    pub(super) async fn streams(&self, requests: Vec<RelayRequest>) -> Vec<[u8; 32]> {
        let mut answered = Vec::new();
        for request in requests {
            answered.extend(self.stream(request).await);
        }
        answered
    }

    /// Calls that were answered.
    pub(super) async fn calls(&self, requests: Vec<RelayRequest>) -> Vec<[u8; 32]> {
        let mut answered = Vec::new();
        for request in requests {
            answered.extend(self.call(request).await);
        }
        answered
    }

    /// A stream that was read to its end; the leaf commits to the last message.
    async fn stream(&self, request: RelayRequest) -> Option<[u8; 32]> {
        let url = format!("http://{}/", self.address);
        let post = self.client.post(url).header(stream::HEADER, stream::VERSION);
        let post = post.header("rpc-type", "4").body(request.encode_to_vec());
        let mut response = post.send().await.ok()?;
        response.headers().get(stream::HEADER)?;
        let meta = request.meta.clone().unwrap();
        let header = meta.session_header.unwrap();
        let supplier = self.supplier.public_key();
        let mut reader = StreamReader::new(Framing::Chained, header, &meta.signature, supplier);
        let mut all = Vec::new();
        loop {
            match reader.part().ok()? {
                Some(Part::End { .. }) => break,
                Some(_) => (self.on_effect)("piece"),
                None => {
                    let bytes = tokio::time::timeout(SOON, response.chunk()).await.ok()?.ok()??;
                    all.extend_from_slice(&bytes);
                    reader.push(&bytes);
                }
            }
        }
        Some(MinedRelay::new(&request, &last(&all)?).hash)
    }

    /// A call whose message and status came.
    async fn call(&self, request: RelayRequest) -> Option<[u8; 32]> {
        let client = ClientTls::public()
            .http_client()
            .no_proxy()
            .http2_prior_knowledge();
        let url = format!("http://{}{}", self.address, grpc::SEND_RELAY);
        let post = client.build().unwrap().post(url).header("rpc-type", "1");
        let post = post.header("content-type", "application/grpc");
        let sending = post.body(framed(&request.encode_to_vec())).send();
        let response = tokio::time::timeout(SOON, sending).await.ok()?.ok()?;
        let body = http::Response::<reqwest::Body>::from(response).into_body();
        let collected = tokio::time::timeout(SOON, body.collect()).await.ok()?.ok()?;
        let status = collected.trailers()?.get(grpc::STATUS)?.clone();
        let message = grpc::only(&collected.to_bytes())?;
        (self.on_effect)("answer");
        (status == "0").then_some(())?;
        Some(MinedRelay::new(&request, &RelayResponse::decode(message).ok()?).hash)
    }

    /// A socket, and the answers that came on it.
    pub(super) async fn socket(&self, requests: Vec<RelayRequest>) -> Vec<[u8; 32]> {
        let mut answered = Vec::new();
        let _ended = self.talk(requests, &mut answered).await;
        answered
    }

    async fn talk(&self, requests: Vec<RelayRequest>, answered: &mut Vec<[u8; 32]>) -> Option<()> {
        let url: http::Uri = format!("ws://{}/", self.address).parse().unwrap();
        let mut headers = HeaderMap::new();
        headers.insert("target-service-id", HeaderValue::from_static(SERVICE));
        headers.insert("rpc-type", HeaderValue::from_static("2"));
        let opening = async {
            let socket = dial_websocket(&url, &ClientTls::public()).await.ok()?;
            websocket::connect(socket, &url, headers, limits()).await.ok()
        };
        let (mut receiver, sender) = tokio::time::timeout(SOON, opening).await.ok()??;
        for request in requests {
            let frame = Frame {
                kind: Kind::Binary,
                bytes: request.encode_to_vec().into(),
            };
            sender.send(frame).await.ok()?;
            let next = tokio::time::timeout(SOON, receiver.next()).await.ok()?;
            let Ok(Incoming::Message(frame)) = next else {
                return None;
            };
            let response = RelayResponse::decode(frame.bytes).ok()?;
            answered.push(MinedRelay::new(&request, &response).hash);
            (self.on_effect)("message");
        }
        Some(())
    }
}

/// The message of the last frame.
fn last(frames: &[u8]) -> Option<RelayResponse> {
    let (mut rest, mut found) = (frames, None);
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        found = Some(RelayResponse::decode(after.get(..length)?).ok()?);
        rest = after.get(length..)?;
    }
    found
}

impl World {
    /// Requests of a session by each of the other ways: a stream's, a call's, a socket's.
    pub(super) fn other_requests(&self, header: &SessionHeader, rng: &mut StdRng) -> [Vec<RelayRequest>; 3] {
        let supplier = self.supplier().to_string();
        let application = chain::application(&header.service_id).public_key();
        let ring = Ring::new(vec![application, self.gateway.public_key()]).unwrap();
        let mut sign =
            |payload: Bytes| sign_request(header, &supplier, payload, &ring, &self.gateway, rng).unwrap();
        let call = PokthttpRequest {
            method: "POST".into(),
            url: "http://relay.example/demo.Demo/Echo".into(),
            header: [("content-type", "application/grpc"), ("te", "trailers")]
                .map(|(key, value)| {
                    let (key, values) = (key.to_owned(), vec![value.to_owned()]);
                    (
                        key.clone(),
                        portico_protocol::wire::sdk::types::Header { key, values },
                    )
                })
                .into(),
            body_bz: framed(b"ping"),
        };
        let stream = vec![sign(payload("/stream", ""))];
        let call = vec![sign(call.encode_to_vec().into())];
        let socket = (0..MESSAGES).map(|n| sign(Bytes::from(format!("{{\"message\":{n}}}"))));
        [stream, call, socket.collect()]
    }
}
