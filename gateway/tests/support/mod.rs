//! A network for one test: a chain in memory, suppliers that listen on real ports and sign, a gateway in front of them.
#![allow(dead_code, missing_docs, unreachable_pub, clippy::unwrap_used)]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::StreamExt as _;
use http::StatusCode;
use portico_config::Secret;
use portico_config::gateway::{ApplicationConfig, GatewayConfig};
use portico_gateway::Gateway;
use portico_protocol::receipt;
use portico_protocol::relay::{sign_response, verify_request_signature};
use portico_protocol::wire::pocket::service::{RelayMinerError, RelayRequest, RelayResponse};
use portico_protocol::wire::pocket::session::SessionHeader;
use portico_protocol::wire::pocket::shared::RpcType;
use portico_protocol::wire::sdk::types::{Header, PokthttpRequest, PokthttpResponse};
use portico_protocol::{Address, ServiceId, SigningKey};
use portico_relay::stream::{self, End, Framing, StreamWriter};
use portico_testkit::MemoryChain;
use prost::Message;
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub const APPLICATION: u8 = 1;
pub const GATEWAY: u8 = 2;
pub const FIRST_SUPPLIER: u8 = 10;

pub fn key(number: u8) -> SigningKey {
    SigningKey::from_bytes(&[number; 32]).unwrap()
}

pub fn service(id: &str) -> ServiceId {
    ServiceId::new(id).unwrap()
}

/// How a supplier behaves.
#[derive(Clone, Debug)]
pub enum Manner {
    /// Answers as its backend does: `result` is the method's name.
    Honest,
    /// The backend's HTTP status and body.
    Backend(u32, String),
    /// Answers with HTTP status 200 and this body, after a moment.
    Slow(String),
    /// The backend's whole response.
    Response(PokthttpResponse),
    /// The same with one header.
    BackendWith(u32, (&'static str, &'static str), String),
    /// Signs with a key that is not its own.
    ForeignKey,
    /// The signature's bytes are no signature.
    Garbage,
    /// Changes the payload after signing.
    TamperedPayload,
    /// Answers for another session.
    OtherHeader,
    /// HTTP 200 with an unsigned error.
    MinerError(&'static str, u32),
    /// An HTTP error with JSON.
    HttpError(u16, &'static str),
    /// HTTP 200 with something else.
    Raw(&'static [u8]),
    /// Never answers.
    Silent,
    /// Refuses sessions but the one that ends here.
    OnlySessionEnding(i64),
    /// As [`Manner::OnlySessionEnding`], but refuses others only when as many as the barrier wants have come.
    SealsOthersThan(i64, Arc<tokio::sync::Barrier>),
    /// The backend's body with a `Content-Encoding`.
    Encoded(&'static str, Bytes),
    /// Answers honestly; something on the way compressed it.
    OuterEncoded(&'static str, fn(&[u8]) -> Vec<u8>),
    /// Answers with a receipt, if it is asked for one: its own, or another text.
    Receipt(Option<&'static str>),
    /// Answers piece by piece.
    Stream(Streamed),
    /// Answers, but waits for this many calls to be under way first.
    Barrier(Arc<tokio::sync::Barrier>),
}

/// A stream of a supplier: the pieces of `data: N` in events, and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Streamed {
    /// In our framing, if it is asked for, else in that of the Go miners.
    Well,
    /// In that of the Go miners, whatever is asked for.
    AsGo,
    /// After the second message nothing comes, and the connection stays open.
    Stalls,
    /// The second message is left out.
    LeavesOut,
    /// The first message is signed with another key.
    ForeignKey,
    /// The third message is signed with another key.
    TurnsForeign,
    /// The connection ends in order after the second message.
    EndsEarly,
    /// The supplier says after the second message that it had to stop.
    Cut,
    /// Messages of gRPC, in our framing, with the node's trailers.
    Messages,
    /// The same, cut after the second.
    MessagesCut,
    /// The same, cut within the second.
    MessageCut,
    /// An answer of gRPC's without a message, with its status in the head.
    StatusInHead,
}

/// What [`Streamed::Messages`] says.
const MESSAGES: [&[u8]; 3] = [b"\0\0\0\0\x01a", b"\0\0\0\0\x01b", b"\0\0\0\0\x01c"];

/// A supplier with its listener.
#[derive(Debug)]
pub struct Supplier {
    pub key: SigningKey,
    pub url: String,
    pub hits: AtomicUsize,
    /// Requests that are served now, and most of them at a time so far.
    pub under_way: (AtomicUsize, AtomicUsize),
    pub manner: Mutex<Manner>,
    /// Requests as the backend would get them.
    pub seen: Mutex<Vec<PokthttpRequest>>,
    /// Kinds of call that were asked for, as numbers.
    pub kinds: Mutex<Vec<String>>,
}

impl Supplier {
    pub fn address(&self) -> Address {
        self.key.address()
    }

    pub fn hits(&self) -> usize {
        self.hits.load(Ordering::SeqCst)
    }

    pub fn behave(&self, manner: Manner) {
        *self.manner.lock().unwrap() = manner;
    }
}

/// The network of one test.
pub struct Net {
    pub chain: Arc<MemoryChain>,
    pub suppliers: Vec<Arc<Supplier>>,
    pub client: reqwest::Client,
    pub url: String,
    /// The operators' address, if the configuration gave them one.
    pub admin: Option<String>,
    pub stop: CancellationToken,
    pub gateway: JoinHandle<Result<(), portico_gateway::GatewayError>>,
    pub registry: prometheus::Registry,
}

/// A gateway configuration: the gateway's key signs for the application, service `eth`. Nothing times out, however slow the machine;
/// tests of timeouts set their own.
pub fn config() -> GatewayConfig {
    GatewayConfig {
        listen: "127.0.0.1:0".parse().unwrap(),
        gateway_key: Some(Secret::from(&key(GATEWAY))),
        applications: vec![ApplicationConfig {
            address: Some(key(APPLICATION).address()),
            service_id: service("eth"),
            key: None,
        }],
        relay_timeout_ms: 600_000,
        attempt_timeout_ms: 600_000,
        connect_timeout_ms: 600_000,
        ..Default::default()
    }
}

/// A chain with the application staked and delegated, and a supplier for each of these kinds of call.
pub async fn staked_for(kinds: &[RpcType]) -> (Arc<MemoryChain>, Vec<Arc<Supplier>>) {
    let (chain, mut suppliers) = staked(Vec::new()).await;
    for (number, kind) in (FIRST_SUPPLIER..).zip(kinds) {
        let supplier = supplier(number, Manner::Honest).await;
        chain.stake_supplier(supplier.key.public_key(), &service("eth"), &supplier.url, *kind);
        suppliers.push(supplier);
    }
    (chain, suppliers)
}

/// A chain with the application staked and delegated, and suppliers with these manners.
pub async fn staked(manners: Vec<Manner>) -> (Arc<MemoryChain>, Vec<Arc<Supplier>>) {
    let chain = MemoryChain::new();
    chain.add_account(key(GATEWAY).public_key());
    chain.stake_application(
        key(APPLICATION).public_key(),
        &service("eth"),
        &[key(GATEWAY).address()],
    );
    let mut suppliers = Vec::new();
    for (number, manner) in (FIRST_SUPPLIER..).zip(manners) {
        let supplier = supplier(number, manner).await;
        chain.stake_supplier(
            supplier.key.public_key(),
            &service("eth"),
            &supplier.url,
            RpcType::JsonRpc,
        );
        suppliers.push(supplier);
    }
    (chain, suppliers)
}

pub async fn net(manners: Vec<Manner>) -> Net {
    net_with(config(), manners).await
}

pub async fn net_with(config: GatewayConfig, manners: Vec<Manner>) -> Net {
    let (chain, suppliers) = staked(manners).await;
    net_on(config, chain, suppliers).await
}

pub async fn net_on(config: GatewayConfig, chain: Arc<MemoryChain>, suppliers: Vec<Arc<Supplier>>) -> Net {
    let registry = prometheus::Registry::new();
    let gateway = Gateway::bind_seeded(config, chain.clone(), registry.clone(), [42; 32])
        .await
        .unwrap();
    running(gateway, chain, suppliers, registry)
}

/// As [`net`], with signatures made ahead, as in production.
#[allow(dead_code, reason = "not every test file uses it")]
pub async fn net_signing_ahead(manners: Vec<Manner>) -> Net {
    let (chain, suppliers) = staked(manners).await;
    let registry = prometheus::Registry::new();
    let gateway = Gateway::bind(config(), chain.clone(), registry.clone())
        .await
        .unwrap();
    running(gateway, chain, suppliers, registry)
}

fn running(
    gateway: Gateway,
    chain: Arc<MemoryChain>,
    suppliers: Vec<Arc<Supplier>>,
    registry: prometheus::Registry,
) -> Net {
    let url = format!("http://{}", gateway.local_addr());
    let admin = gateway.admin_addr().map(|address| format!("http://{address}"));
    let stop = CancellationToken::new();
    let gateway = tokio::spawn(gateway.run(stop.clone()));
    let client = portico_net::tls::ClientTls::public()
        .http_client()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap();
    Net {
        chain,
        suppliers,
        client,
        url,
        admin,
        stop,
        gateway,
        registry,
    }
}

/// An HTTP answer, read.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: http::HeaderMap,
    pub text: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub fn reason(&self) -> String {
        self.json()["error"]["data"]["reason"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }
}

impl Net {
    pub async fn post(&self, path: &str, body: impl Into<reqwest::Body>) -> Answer {
        self.post_with(path, body, &[]).await
    }

    pub async fn post_with(
        &self,
        path: &str,
        body: impl Into<reqwest::Body>,
        headers: &[(&str, &str)],
    ) -> Answer {
        let mut request = self.client.post(format!("{}{path}", self.url)).body(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(self.client.get(format!("{}{path}", self.url))).await
    }

    pub async fn send(&self, request: reqwest::RequestBuilder) -> Answer {
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Answer {
            status,
            headers,
            text: response.text().await.unwrap(),
        }
    }

    /// Value of a metric; 0 when it does not exist.
    pub fn metric(&self, name: &str, label: &str) -> u64 {
        let families = self.registry.gather();
        let family = families.iter().find(|family| family.name() == name);
        let metrics = family.into_iter().flat_map(|family| family.get_metric());
        let matching = metrics
            .filter(|metric| label.is_empty() || metric.get_label().iter().any(|pair| pair.value() == label));
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        matching
            .map(|metric| (metric.get_counter().get_value() + metric.get_gauge().get_value()) as u64)
            .sum()
    }
}

pub fn call(id: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"eth_blockNumber","params":[]}}"#)
}

pub async fn supplier(number: u8, manner: Manner) -> Arc<Supplier> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let supplier = Arc::new(Supplier {
        key: key(number),
        url: format!("http://{}", listener.local_addr().unwrap()),
        hits: AtomicUsize::new(0),
        under_way: Default::default(),
        manner: Mutex::new(manner),
        seen: Mutex::default(),
        kinds: Mutex::default(),
    });
    let router = Router::new().fallback(serve).with_state(supplier.clone());
    tokio::spawn(async move { axum::serve(listener, router).await });
    supplier
}

async fn serve(State(supplier): State<Arc<Supplier>>, headers: http::HeaderMap, body: Bytes) -> Response {
    supplier.hits.fetch_add(1, Ordering::SeqCst);
    let (now, most) = &supplier.under_way;
    most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
    let kind = headers["rpc-type"].to_str().unwrap().to_owned();
    supplier.kinds.lock().unwrap().push(kind);
    assert_eq!(headers["content-type"], "application/json");
    assert_eq!(headers["accept-encoding"], "identity");
    let request = RelayRequest::decode(body).unwrap();
    let meta = request.meta.clone().unwrap();
    assert_eq!(meta.supplier_operator_address, supplier.address().to_string());
    let members = [key(APPLICATION).address(), key(GATEWAY).address()].into();
    verify_request_signature(&request, &members).expect("the gateway's ring signature");
    let header = meta.session_header.unwrap();
    let inner = PokthttpRequest::decode(request.payload.clone()).unwrap();
    supplier.seen.lock().unwrap().push(inner.clone());
    let manner = supplier.manner.lock().unwrap().clone();
    if let Manner::Receipt(other) = manner {
        let response = sign_response(&header, backend(&inner), &supplier.key);
        return with_receipt(&supplier.key, other, &headers, &request, &response);
    }
    if let Manner::Stream(how) = manner {
        return streamed(&supplier.key, &how, &headers, &header, &meta.signature);
    }
    let response = behave(&supplier.key, manner, &header, &inner).await;
    supplier.under_way.0.fetch_sub(1, Ordering::SeqCst);
    response
}

/// What a stream's caller gets: five events, of which the second has the Go miners' delimiter in it.
pub fn events() -> Vec<Bytes> {
    let event = |n| match n {
        1 => Bytes::from_static(b"data: ||POKT_STREAM||\n\n"),
        n => Bytes::from(format!("data: {n}\n\n")),
    };
    (0..5).map(event).collect()
}

fn streamed(
    own: &SigningKey,
    how: &Streamed,
    headers: &http::HeaderMap,
    header: &SessionHeader,
    signature: &[u8],
) -> Response {
    let framing = match headers.get(stream::HEADER) {
        Some(version) if *how != Streamed::AsGo => {
            assert_eq!(version, stream::VERSION);
            Framing::Chained
        }
        _ => Framing::Delimited,
    };
    let is_status = *how == Streamed::StatusInHead;
    let is_cut = matches!(how, Streamed::Cut | Streamed::MessagesCut | Streamed::MessageCut);
    let is_grpc = is_status
        || matches!(
            how,
            Streamed::Messages | Streamed::MessagesCut | Streamed::MessageCut
        );
    let field = |name: &str, value: &str| {
        let (key, values) = (name.to_owned(), vec![value.to_owned()]);
        (key.clone(), Header { key, values })
    };
    let content_type = if is_grpc {
        "application/grpc"
    } else {
        "text/event-stream"
    };
    let mut head = PokthttpResponse {
        status_code: 200,
        header: [field("Content-Type", content_type)].into(),
        body_bz: Bytes::new(),
    };
    let trailers = match is_grpc && !is_status {
        true => [field("Grpc-Status", "0"), field("Grpc-Message", "fine")].into(),
        false => std::collections::BTreeMap::new(),
    };
    if is_status {
        head.header.extend([
            field("Grpc-Status", "12"),
            field("Grpc-Message", "no such method"),
        ]);
    }
    let said = match how {
        Streamed::StatusInHead => Vec::new(),
        Streamed::MessageCut => [MESSAGES[0], &MESSAGES[1][..3]].map(Bytes::from_static).to_vec(),
        _ if is_grpc => MESSAGES.map(Bytes::from_static).to_vec(),
        _ => events(),
    };
    let writer =
        |key: SigningKey| StreamWriter::new(framing, header.clone(), signature, head.clone(), Arc::new(key));
    let (mut right, mut foreign) = (writer(own.clone()), writer(key(99)));
    let mut frames = Vec::new();
    for (index, event) in said.into_iter().enumerate() {
        let (ours, theirs) = (right.frames(event.clone()), foreign.frames(event));
        let is_foreign = match how {
            Streamed::ForeignKey => index == 0,
            Streamed::TurnsForeign => index == 2,
            _ => false,
        };
        match (how, index) {
            (Streamed::LeavesOut, 1) | (Streamed::EndsEarly | Streamed::Stalls, 2..) => {}
            (_, 2..) if is_cut => {}
            _ => frames.extend(if is_foreign { theirs } else { ours }),
        }
        if is_cut && index == 1 {
            let cut = std::mem::replace(&mut right, writer(own.clone()));
            frames.extend(
                cut.finish(End::Cut("backend_gone"), std::collections::BTreeMap::new())
                    .frame,
            );
        }
    }
    if !(is_cut || matches!(how, Streamed::EndsEarly | Streamed::Stalls)) {
        frames.extend(right.finish(End::Complete, trailers).frame);
    }
    let frames = futures::stream::iter(frames.into_iter().map(Ok::<_, std::convert::Infallible>));
    let body = match how {
        Streamed::Stalls => axum::body::Body::from_stream(frames.chain(futures::stream::pending())),
        _ => axum::body::Body::from_stream(frames),
    };
    let content_type = match framing {
        Framing::Delimited => ("content-type", "text/event-stream"),
        Framing::Chained => (stream::HEADER, stream::VERSION),
    };
    ([content_type], body).into_response()
}

/// As suppliers that know receipts answer: with one, if it is asked for.
fn with_receipt(
    own: &SigningKey,
    other: Option<&'static str>,
    headers: &http::HeaderMap,
    request: &RelayRequest,
    response: &RelayResponse,
) -> Response {
    let mut answer = bytes(response);
    if headers
        .get(receipt::REQUEST_HEADER)
        .is_some_and(|value| value == "true")
    {
        let receipt = receipt::sign(request, response, own).unwrap();
        let value = other.unwrap_or(&receipt).parse().unwrap();
        answer.headers_mut().insert(receipt::HEADER, value);
    }
    answer
}

async fn behave(
    own: &SigningKey,
    manner: Manner,
    header: &SessionHeader,
    inner: &PokthttpRequest,
) -> Response {
    let honest = |key: &SigningKey| sign_response(header, backend(inner), key);
    match manner {
        Manner::Honest => bytes(&honest(own)),
        Manner::Backend(status, body) => bytes(&sign_response(header, payload(status, None, body), own)),
        Manner::Slow(body) => {
            tokio::time::sleep(Duration::from_millis(20)).await;
            bytes(&sign_response(header, payload(200, None, body), own))
        }
        Manner::Response(response) => bytes(&sign_response(header, response.encode_to_vec().into(), own)),
        Manner::BackendWith(status, field, body) => {
            bytes(&sign_response(header, payload(status, Some(field), body), own))
        }
        Manner::ForeignKey => bytes(&honest(&key(99))),
        Manner::Garbage => {
            let mut response = honest(own);
            response.meta.as_mut().unwrap().supplier_operator_signature = vec![7; 64];
            bytes(&response)
        }
        Manner::TamperedPayload => {
            let mut response = honest(own);
            response.payload = payload(
                200,
                None,
                r#"{"jsonrpc":"2.0","id":1,"result":"0xlie"}"#.to_owned(),
            );
            bytes(&response)
        }
        Manner::OtherHeader => {
            let header = SessionHeader {
                session_id: "0".repeat(64),
                ..header.clone()
            };
            bytes(&sign_response(&header, backend(inner), own))
        }
        Manner::MinerError(codespace, code) => bytes(&miner_error(header, codespace, code)),
        Manner::HttpError(status, text) => (
            StatusCode::from_u16(status).unwrap(),
            format!(r#"{{"error":"{text}"}}"#),
        )
            .into_response(),
        Manner::Raw(raw) => raw.into_response(),
        Manner::Encoded(encoding, body) => {
            let (name, values) = ("Content-Encoding".to_owned(), vec![encoding.to_owned()]);
            let response = PokthttpResponse {
                status_code: 200,
                header: [(name.clone(), Header { key: name, values })].into(),
                body_bz: body,
            };
            bytes(&sign_response(header, response.encode_to_vec().into(), own))
        }
        Manner::OuterEncoded(encoding, encode) => {
            let body = encode(&honest(own).encode_to_vec());
            ([("content-encoding", encoding)], body).into_response()
        }
        Manner::Receipt(_) | Manner::Stream(_) => unreachable!("answered by `serve`"),
        Manner::Silent => std::future::pending().await,
        Manner::OnlySessionEnding(end) if header.session_end_block_height != end => {
            bytes(&miner_error(header, "relay_authenticator", 1))
        }
        Manner::OnlySessionEnding(_) => bytes(&honest(own)),
        Manner::SealsOthersThan(end, barrier) if header.session_end_block_height != end => {
            barrier.wait().await;
            bytes(&miner_error(header, "relay_authenticator", 1))
        }
        Manner::SealsOthersThan(..) => bytes(&honest(own)),
        Manner::Barrier(barrier) => {
            barrier.wait().await;
            bytes(&honest(own))
        }
    }
}

fn miner_error(header: &SessionHeader, codespace: &str, code: u32) -> RelayResponse {
    let error = RelayMinerError {
        codespace: codespace.to_owned(),
        code,
        description: "refused".to_owned(),
        message: "refused by the test".to_owned(),
    };
    let mut response = sign_response(header, "error text".into(), &key(99));
    response
        .meta
        .as_mut()
        .unwrap()
        .supplier_operator_signature
        .clear();
    response.payload_hash.clear();
    RelayResponse {
        relay_miner_error: Some(error),
        ..response
    }
}

fn bytes(response: &RelayResponse) -> Response {
    response.encode_to_vec().into_response()
}

fn payload(status: u32, field: Option<(&str, &str)>, body: String) -> Bytes {
    let header = field.map(|(name, value)| {
        let values = vec![value.to_owned()];
        let key = name.to_owned();
        (key.clone(), Header { key, values })
    });
    let response = PokthttpResponse {
        status_code: status,
        header: header.into_iter().collect(),
        body_bz: body.into_bytes().into(),
    };
    response.encode_to_vec().into()
}

/// A backend that answers with the method's name.
fn backend(inner: &PokthttpRequest) -> Bytes {
    #[derive(serde::Deserialize)]
    struct Request<'a> {
        #[serde(borrow)]
        id: Option<&'a RawValue>,
        method: String,
    }
    let text = std::str::from_utf8(&inner.body_bz).unwrap();
    if text.starts_with('[') {
        let requests: Vec<Request<'_>> = serde_json::from_str(text).unwrap();
        let answers = requests.iter().filter_map(|request| {
            let (id, method) = (request.id?.get(), &request.method);
            Some(format!(r#"{{"jsonrpc":"2.0","id":{id},"result":"{method}"}}"#))
        });
        return payload(200, None, format!("[{}]", answers.collect::<Vec<_>>().join(",")));
    }
    let request: Request<'_> = serde_json::from_str(text).unwrap();
    if !text.contains("\"id\"") {
        return payload(200, None, String::new());
    }
    let id = request.id.map_or("null", RawValue::get);
    payload(
        200,
        None,
        format!(r#"{{"jsonrpc":"2.0","id":{id},"result":"{}"}}"#, request.method),
    )
}

/// A proxy in front of `supplier` that closes a connection, without an answer, at the request after `served` ones; its URL and the number
/// of connections that came.
pub async fn closing_proxy(supplier: &Supplier, served: usize) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let connections = Arc::new(AtomicUsize::new(0));
    let (target, count) = (
        supplier.url.trim_start_matches("http://").to_owned(),
        connections.clone(),
    );
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            count.fetch_add(1, Ordering::SeqCst);
            let server = TcpStream::connect(&target).await.unwrap();
            tokio::spawn(proxied(client, server, served));
        }
    });
    (url, connections)
}

async fn proxied(mut client: TcpStream, mut server: TcpStream, served: usize) {
    let (mut answered, mut asking) = (0, false);
    let (mut from_client, mut from_server) = (vec![0; 65_536], vec![0; 65_536]);
    loop {
        tokio::select! {
            read = client.read(&mut from_client) => match read {
                Ok(length) if length > 0 && (asking || answered < served) => {
                    asking = true;
                    server.write_all(&from_client[..length]).await.unwrap();
                }
                _ => return,
            },
            read = server.read(&mut from_server) => match read {
                Ok(length) if length > 0 => {
                    answered += usize::from(std::mem::take(&mut asking));
                    client.write_all(&from_server[..length]).await.unwrap();
                }
                _ => return,
            },
        }
    }
}
