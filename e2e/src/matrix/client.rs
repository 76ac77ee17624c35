//! A client of the gateway by every transport, which says in the table's words what it sees.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use http::HeaderMap;
use http_body_util::BodyExt as _;
use portico_net::tls::ClientTls;
use portico_net::websocket::{self, Close, Incoming, Kind, Message, Receiver, Sender};
use portico_net::{dial_websocket, websocket_url};
use portico_relay::grpc::{self, Wire};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::Transport;
use super::messages::Messages;
use super::node::{self, COUNT, EVENTS_BEFORE, GARBAGE, GARBAGE_STREAM, PAGE, REPLY, framed};
use crate::process::PATIENCE;

/// Calls of a batch.
pub(super) const BATCH: usize = 3;
/// Longest wait for the close that follows an error.
const CLOSES_WITHIN: Duration = Duration::from_secs(10);
/// Longest text that nobody expected, in characters.
const MAX_TEXT: usize = 80;

/// A caller of one gateway.
#[derive(Debug)]
pub(super) struct Client {
    gateway: String,
    http: reqwest::Client,
    /// Speaks HTTP/2 from the first byte, as clients of gRPC do.
    http2: reqwest::Client,
}

impl Client {
    pub(super) fn new(gateway: String) -> Result<Self> {
        let builder = || ClientTls::public().http_client().timeout(PATIENCE);
        Ok(Self {
            gateway,
            http: builder().build()?,
            http2: builder().http2_prior_knowledge().build()?,
        })
    }

    /// Calls once; a batch has so many calls.
    pub(super) async fn call(&self, transport: Transport, service: &str, batch: usize) -> Result<String> {
        let url = format!("{}/v1/{service}", self.gateway);
        match transport {
            Transport::JsonRpc => said(self.http.post(url).json(&call(1))).await,
            Transport::Batch => {
                let calls: Vec<Value> = (0..batch).map(call).collect();
                said(self.http.post(url).json(&calls)).await
            }
            Transport::Rest => said(self.http.get(format!("{url}/things?limit=1"))).await,
            Transport::CometBft => said(self.http.get(format!("{url}/status"))).await,
            Transport::Sse => match self.events(service, "/events").await? {
                Ok(events) => events.rest().await,
                Err(refused) => Ok(refused),
            },
            Transport::Grpc => self.grpc(service).await,
            Transport::GrpcStream => self.messages(service, COUNT).await?.rest().await,
            Transport::GrpcWeb => self.grpc_web(&url).await,
            Transport::WebSocket => match Socket::open(&url).await? {
                Ok(mut socket) => {
                    let seen = socket.ask().await?;
                    Ok(format!("open, {seen}"))
                }
                Err(refused) => Ok(refused),
            },
        }
    }

    /// Opens a WebSocket.
    pub(super) async fn socket(&self, service: &str) -> Result<Result<Socket, String>> {
        Socket::open(&format!("{}/v1/{service}", self.gateway)).await
    }

    /// Opens an event stream; what was seen instead otherwise.
    pub(super) async fn events(&self, service: &str, path: &str) -> Result<Result<Events, String>> {
        let url = format!("{}/v1/{service}{path}", self.gateway);
        let response = self
            .http
            .get(url)
            .header("accept", "text/event-stream")
            .send()
            .await?;
        let content_type = response.headers().get("content-type");
        if content_type.is_some_and(|value| value == "text/event-stream") {
            return Ok(Ok(Events {
                response,
                got: Vec::new(),
            }));
        }
        let status = response.status().as_u16();
        Ok(Err(format!("{status} {}", named(&response.bytes().await?))))
    }

    /// Begins a call that is answered by messages.
    pub(super) async fn messages(&self, service: &str, method: &str) -> Result<Messages> {
        Ok(Messages::new(self.native(service, method).await?))
    }

    async fn native(&self, service: &str, method: &str) -> Result<http::Response<reqwest::Body>> {
        let request = self.http2.post(format!("{}{method}", self.gateway));
        let request = request
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .header("target-service-id", service)
            .body(framed(b"ping"));
        Ok(request.send().await?.into())
    }

    async fn grpc(&self, service: &str) -> Result<String> {
        let (head, body) = self.native(service, "/demo.Demo/Echo").await?.into_parts();
        let body = body.collect().await?;
        let trailers = body.trailers().cloned().unwrap_or_default();
        let fields = if trailers.is_empty() {
            head.headers
        } else {
            trailers
        };
        Ok(told(&fields, &body.to_bytes()))
    }

    async fn grpc_web(&self, url: &str) -> Result<String> {
        let request = self.http.post(format!("{url}/demo.Demo/Echo"));
        let request = request
            .header("content-type", Wire::Web.content_type())
            .header("x-grpc-web", "1")
            .body(framed(b"ping"));
        let body = request.send().await?.bytes().await?;
        // The last frame has the trailers.
        let mut rest = &body[..];
        loop {
            let Some((prefix, behind)) = rest.split_first_chunk::<{ grpc::PREFIX }>() else {
                bail!("no trailers: {}", named(&body));
            };
            let length = u32::from_be_bytes([prefix[1], prefix[2], prefix[3], prefix[4]]) as usize;
            if prefix[0] & 0x80 == 0 {
                rest = behind.get(length..).context("a frame is cut short")?;
                continue;
            }
            let mut fields = HeaderMap::new();
            for line in std::str::from_utf8(behind)?.lines() {
                let (name, value) = line.split_once(": ").context("a trailer has a colon")?;
                fields.insert(http::HeaderName::try_from(name)?, value.parse()?);
            }
            let message = &body[..body.len() - rest.len()];
            return Ok(told(&fields, message));
        }
    }
}

fn call(id: usize) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "method": "eth_blockNumber", "params": []})
}

/// gRPC's status, with its message.
fn told(fields: &HeaderMap, body: &[u8]) -> String {
    let field = |name| fields.get(name).and_then(|value| value.to_str().ok());
    let mut text = format!("status {}", field(grpc::STATUS).unwrap_or("missing"));
    match body {
        [] => {}
        body if *framed(REPLY) == *body => text.push_str(", answer"),
        _ => text.push_str(", another answer"),
    }
    text
}

async fn said(request: reqwest::RequestBuilder) -> Result<String> {
    let response = request.send().await?;
    let (status, body) = (response.status().as_u16(), response.bytes().await?);
    Ok(match serde_json::from_slice(&body) {
        Ok(Value::Array(entries)) => {
            let mut counted: BTreeMap<String, usize> = BTreeMap::new();
            for entry in entries {
                *counted.entry(named(entry.to_string().as_bytes())).or_default() += 1;
            }
            let counted = counted.iter().map(|(name, count)| format!("{count} × {name}"));
            format!("{status} [{}]", counted.collect::<Vec<_>>().join(", "))
        }
        _ => format!("{status} {}", named(&body)),
    })
}

/// A body in a word.
fn named(body: &[u8]) -> String {
    if body == PAGE.as_bytes() {
        return "answer".to_owned();
    }
    if body == GARBAGE.as_bytes() || body == GARBAGE_STREAM {
        return "the garbage".to_owned();
    }
    let json: Value = serde_json::from_slice(body).unwrap_or_default();
    let reason = json.pointer("/error/data/reason").and_then(Value::as_str);
    match (reason, json.get("result")) {
        (Some(reason), _) => reason.to_owned(),
        (None, Some(_)) => "answer".to_owned(),
        (None, None) => String::from_utf8_lossy(body).chars().take(MAX_TEXT).collect(),
    }
}

/// The same in sequence, equal ones counted.
pub(super) fn counted(seen: &[String]) -> String {
    let mut text = String::new();
    for run in seen.chunk_by(|a, b| a == b) {
        let separator = if text.is_empty() { "" } else { ", " };
        let _ = match run.len() {
            1 => write!(text, "{separator}{}", run[0]),
            count => write!(text, "{separator}{count} × {}", run[0]),
        };
    }
    text
}

/// A WebSocket of the client's.
#[derive(Debug)]
pub(super) struct Socket {
    receiver: Receiver,
    sender: Sender,
    keep: JoinHandle<()>,
    pub(super) is_closed: bool,
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.keep.abort();
    }
}

impl Socket {
    async fn open(url: &str) -> Result<Result<Self, String>> {
        Self::connect(url, HeaderMap::new()).await
    }

    /// Opens one with headers of its own; what was seen instead otherwise.
    pub(super) async fn connect(url: &str, headers: HeaderMap) -> Result<Result<Self, String>> {
        let url = websocket_url(url).parse()?;
        let socket = dial_websocket(&url, &ClientTls::public()).await?;
        match websocket::connect(socket, &url, headers, node::limits()).await {
            Ok((receiver, sender)) => {
                let keeper = sender.clone();
                let keep = tokio::spawn(async move {
                    let _ = keeper.keep().await;
                });
                Ok(Ok(Self {
                    receiver,
                    sender,
                    keep,
                    is_closed: false,
                }))
            }
            Err(websocket::ConnectError::Refused { status, text }) => {
                Ok(Err(format!("{status} {}", named(&text))))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Makes a call; what comes for it, and the close behind an error.
    pub(super) async fn ask(&mut self) -> Result<String> {
        self.send(Kind::Text, call(1).to_string().into()).await;
        let first = self.next(PATIENCE).await?;
        if self.is_closed || first == "answer" || first == "the garbage" {
            return Ok(first);
        }
        match timeout(CLOSES_WITHIN, self.next(PATIENCE)).await {
            Ok(then) => Ok(format!("{first}, {}", then?)),
            Err(_) => Ok(first),
        }
    }

    /// Sends a message, to whoever is still there.
    pub(super) async fn send(&self, kind: Kind, bytes: Bytes) {
        let _ = self.sender.send(Message { kind, bytes }).await;
    }

    /// What comes next, in the table's words.
    pub(super) async fn next(&mut self, patience: Duration) -> Result<String> {
        match self.message(patience).await? {
            Ok(bytes) => Ok(named(&bytes)),
            Err(end) => Ok(end),
        }
    }

    /// The next message, or how the socket ended.
    pub(super) async fn message(&mut self, patience: Duration) -> Result<Result<Bytes, String>> {
        let next = timeout(patience, self.receiver.next()).await;
        match next.context("the socket says nothing")? {
            Ok(Incoming::Message(message)) => Ok(Ok(message.bytes)),
            Ok(Incoming::Close(close)) => {
                self.is_closed = true;
                let code = close
                    .code
                    .map_or_else(|| "without code".to_owned(), |code| code.to_string());
                let reason = close.reason.split(':').next().unwrap_or_default();
                Ok(Err(format!("close {code} {reason}").trim().to_owned()))
            }
            Err(_) => {
                self.is_closed = true;
                Ok(Err("dropped".to_owned()))
            }
        }
    }

    /// Says goodbye.
    pub(super) async fn close(self) {
        self.sender.close(Close::new(1000, "")).await;
    }
}

/// An event stream that a client reads.
#[derive(Debug)]
pub(super) struct Events {
    response: reqwest::Response,
    got: Vec<u8>,
}

impl Events {
    /// Reads until a held stream waits.
    pub(super) async fn held(&mut self) -> Result<()> {
        while self.count() < EVENTS_BEFORE {
            let chunk = self.response.chunk().await?;
            self.got
                .extend(chunk.context("the stream ended before it was held")?);
        }
        Ok(())
    }

    /// Reads the rest.
    pub(super) async fn rest(mut self) -> Result<String> {
        let end = loop {
            match self.response.chunk().await {
                Ok(Some(chunk)) => self.got.extend(chunk),
                Ok(None) => break "the end",
                Err(_) => break "broken off",
            }
        };
        let status = self.response.status().as_u16();
        if self.got == GARBAGE_STREAM {
            return Ok(format!("{status} the garbage, {end}"));
        }
        let numbered = (0..self.count()).map(|number| format!("data: {number}\n\n"));
        let is_ours = numbered.collect::<String>().as_bytes() == self.got;
        let events = match is_ours {
            true => format!("{} events", self.count()),
            false => "large events".to_owned(), // how many pass below the bound is the pieces' affair
        };
        Ok(format!("{status} {events}, {end}"))
    }

    fn count(&self) -> usize {
        self.got.windows(2).filter(|pair| pair == b"\n\n").count()
    }
}
