//! Asking a node over HTTP.
//!
//! The relay's payload is a serialized HTTP request; the node's answer goes back as a serialized HTTP response, whatever its status.
//! Redirects are not followed: they are the client's to judge, and a node must not steer the servicer to other hosts.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, TE};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use portico_config::Secret;
use portico_config::servicer::{BackendConfig, BasicAuth, NodeConfig, RpcType};
use portico_config::tls::ClientTls as TlsFiles;
use portico_net::budget::{Budgets, holding, reserve};
use portico_net::tls::ClientTls;
use portico_protocol::wire::pocket::service::RelayRequestMetadata;
use portico_protocol::wire::sdk::types::{PokthttpRequest, PokthttpResponse};
use portico_relay::stream;
use prost::Message as _;
use prost::encoding::{WireType, encode_key, encode_varint};
use reqwest::Url;
use tokio::time::Instant;

use super::encoding::{decoded, does_something};
use super::grpc;
use super::headers::{Allowed, forwarded, pocket_headers, relayed_headers};
use super::pool::{Asked, Pool, Tried};
use super::stream::BackendStream;
use super::target::target;
use super::{BackendError, Message};

/// Idle connections kept per backend host.
const MAX_IDLE_PER_HOST: usize = 256;
/// Seconds after which an idle connection is closed.
const IDLE_SECONDS: u64 = 90;
/// Time for connecting to a node; until then nothing of a request was sent.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Buffer kept back for an answer whose length is announced, at most.
const MAX_RESERVED: usize = 64 << 10;
/// Number of `POKTHTTPResponse.body_bz`, the last of its fields.
const BODY: u32 = 3;
/// Most bytes that number and length of the body take: one, and those of a 64-bit number.
const MAX_BODY_KEY: usize = 11;

/// A node that is asked over HTTP.
#[derive(Debug)]
pub(super) struct HttpNode {
    client: reqwest::Client,
    url: Url,
    headers: HeaderMap,
    authorization: Option<HeaderValue>,
}

/// A relayed request, as every node of its backend gets it.
#[derive(Clone, Debug)]
pub(super) struct HttpCall {
    method: Method,
    url: String,
    headers: HeaderMap,
    body: Bytes,
}

/// Bounds of one exchange.
#[derive(Clone, Debug)]
pub(super) struct Limits {
    pub(super) timeout_ms: u64,
    pub(super) max_response_bytes: usize,
    pub(super) buffers: Budgets,
}

/// What is passed on between relays and the nodes of a backend.
#[derive(Clone, Debug)]
pub(super) struct Passing {
    pub(super) forwarded: Allowed,
    pub(super) returned: Allowed,
    pub(super) pocket: bool,
}

/// An answer of which the head has arrived.
#[derive(Debug)]
pub(crate) struct HttpExchange {
    attempts: Attempts,
    /// `None` once it was read.
    response: Option<(Asked, reqwest::Response)>,
}

/// A call on its way from node to node.
#[derive(Debug)]
pub(super) struct Attempts {
    pub(super) pool: Arc<Pool>,
    pub(super) call: HttpCall,
    /// The call changes nothing: it may be asked again although a node may have seen it.
    pub(super) is_read: bool,
    pub(super) passing: Passing,
    pub(super) limits: Limits,
    pub(super) deadline: Instant,
    pub(super) tried: Tried,
}

/// The connections that all backends share whose TLS is the default; the others have one of their own.
pub(crate) fn client() -> Result<reqwest::Client, reqwest::Error> {
    client_with(&ClientTls::public())
}

fn client_with(tls: &ClientTls) -> Result<reqwest::Client, reqwest::Error> {
    builder(tls).build()
}

fn builder(tls: &ClientTls) -> reqwest::ClientBuilder {
    tls.http_client()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .tcp_nodelay(true)
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_max_idle_per_host(MAX_IDLE_PER_HOST)
        .pool_idle_timeout(Duration::from_secs(IDLE_SECONDS))
}

/// The connections of a backend: `shared` unless its TLS differs.
pub(super) fn pool(
    config: &BackendConfig,
    key: &str,
    shared: reqwest::Client,
) -> Result<reqwest::Client, (String, String)> {
    if config.tls == TlsFiles::default() {
        return Ok(shared);
    }
    client_with(&tls(config, key)?).map_err(|error| at_tls(key, &error))
}

/// The connections of a backend that speaks gRPC: HTTP/2 from the first byte on.
pub(super) fn grpc_pool(config: &BackendConfig, key: &str) -> Result<reqwest::Client, (String, String)> {
    let builder = builder(&tls(config, key)?).http2_prior_knowledge();
    builder.build().map_err(|error| at_tls(key, &error))
}

/// The TLS of a backend.
pub(super) fn tls(config: &BackendConfig, key: &str) -> Result<ClientTls, (String, String)> {
    ClientTls::open(&config.tls).map_err(|error| at_tls(key, &error))
}

fn at_tls(key: &str, error: &dyn std::error::Error) -> (String, String) {
    (format!("{key}.tls"), portico_protocol::causes(error))
}

impl HttpNode {
    /// Reads URL and headers of a node at `node_key` below the backend's `key`; errs with (key below the service, message).
    pub(super) fn new(
        config: &BackendConfig,
        key: &str,
        (node_key, node): &(String, NodeConfig),
        client: reqwest::Client,
    ) -> Result<Self, (String, String)> {
        let at = format!("{key}{node_key}");
        let url = Url::parse(&node.url).map_err(|e| (format!("{at}.url"), e.to_string()))?;
        let mut headers = configured_headers(&config.headers, key)?;
        headers.extend(configured_headers(&node.headers, &at)?);
        let authorization = match &node.basic_auth {
            Some(own) => configured_authorization(Some(own), &at)?,
            None => configured_authorization(config.basic_auth.as_ref(), key)?,
        };
        Ok(Self {
            client,
            url,
            headers,
            authorization,
        })
    }

    /// Sends a call and waits for the head of the answer.
    async fn send(&self, call: &HttpCall) -> Result<reqwest::Response, BackendError> {
        let payload = |what: &str| BackendError::Payload(what.to_owned());
        let url = target(&self.url, &call.url).ok_or_else(|| payload("its URL is malformed"))?;
        let request = self.client.request(call.method.clone(), url);
        let request = request.headers(call.headers.clone()).body(call.body.clone());
        let request = request.build().map_err(|_| payload("it cannot be sent"))?;
        self.execute(request).await.map_err(BackendError::Unreachable)
    }

    /// Asks on the servicer's own behalf; the bytes of a good answer, at most `max`.
    pub(super) async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<serde_json::Value>,
        max: usize,
    ) -> Option<Bytes> {
        let request = self.client.request(method, target(&self.url, path)?);
        let request = match body {
            Some(json) => request.json(&json),
            None => request,
        };
        let mut response = self.execute(request.build().ok()?).await.ok()?;
        if !response.status().is_success() {
            return None;
        }
        let mut body = BytesMut::new();
        while let Some(chunk) = response.chunk().await.ok()? {
            if body.len().saturating_add(chunk.len()) > max {
                return None;
            }
            body.extend_from_slice(&chunk);
        }
        Some(body.freeze())
    }

    /// Sends a request with what is configured for the node.
    async fn execute(&self, mut request: reqwest::Request) -> Result<reqwest::Response, reqwest::Error> {
        let headers = request.headers_mut();
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        self.put_configured(headers);
        self.client.execute(request).await
    }

    /// Puts the headers that are configured for the node among those of a request.
    pub(super) fn put_configured(&self, headers: &mut HeaderMap) {
        if let Some(authorization) = &self.authorization {
            headers.insert(AUTHORIZATION, authorization.clone());
        }
        headers.extend(self.headers.clone());
    }

    /// Where the node is, as configured.
    pub(super) fn url(&self) -> &str {
        self.url.as_str()
    }
}

impl HttpCall {
    /// The call that `relayed` asks for.
    pub(super) fn new(
        relayed: PokthttpRequest,
        rpc_type: RpcType,
        passing: &Passing,
        meta: &RelayRequestMetadata,
    ) -> Result<Self, BackendError> {
        let payload = |what: &str| BackendError::Payload(what.to_owned());
        // As the Go miners: a request without a method is a GET.
        let method = match relayed.method.as_bytes() {
            b"" => Method::GET,
            method => Method::from_bytes(method).map_err(|_| payload("its method is malformed"))?,
        };
        if method == Method::CONNECT {
            return Err(payload("CONNECT is not a request to a backend"));
        }
        let mut headers = forwarded(relayed.header, &passing.forwarded, passing.pocket);
        if passing.pocket {
            pocket_headers(meta, &mut headers);
        }
        if rpc_type == RpcType::Grpc {
            // Of one connection, and so not passed on; without it there are no trailers.
            headers.insert(TE, HeaderValue::from_static("trailers"));
        }
        Ok(Self {
            method,
            url: relayed.url,
            headers,
            body: relayed.body_bz,
        })
    }
}

impl Attempts {
    /// Sends the call, to a second node when that is safe, and waits for the head of an answer.
    pub(super) async fn open(mut self) -> Result<HttpExchange, BackendError> {
        let response = Some(self.head().await?);
        Ok(HttpExchange {
            attempts: self,
            response,
        })
    }

    async fn head(&mut self) -> Result<(Asked, reqwest::Response), BackendError> {
        let mut last = BackendError::NoNode;
        while let Some(asked) = self.pool.ask(&mut self.tried) {
            let another = self.pool.has_another(self.tried);
            let node = Arc::clone(asked.node());
            let sending = tokio::time::timeout_at(self.patience(another), node.send(&self.call));
            last = match sending.await {
                Ok(Ok(response)) => {
                    let status = response.status().as_u16();
                    if !(self.is_read && another && is_elsewhere_better(status)) {
                        return Ok((asked, response));
                    }
                    match status {
                        429 => asked.left("too_many_requests"),
                        _ => asked.failed("unavailable"),
                    }
                    BackendError::NoMessage
                }
                Ok(Err(BackendError::Unreachable(error))) => {
                    asked.failed("unreachable");
                    let unsent = error.is_connect();
                    let error = BackendError::Unreachable(error);
                    if !(unsent || self.is_read) {
                        return Err(error);
                    }
                    error
                }
                Ok(Err(error)) => return Err(error),
                Err(_) => {
                    asked.failed("timeout");
                    let error = BackendError::Timeout(self.limits.timeout_ms);
                    if !self.is_read || Instant::now() >= self.deadline {
                        return Err(error);
                    }
                    error
                }
            };
        }
        Err(last)
    }

    /// How long the node that is asked now may take: half of what is left, as long as another can be asked in the rest.
    fn patience(&self, another: bool) -> Instant {
        let now = Instant::now();
        match self.is_read && another {
            true => now + self.deadline.saturating_duration_since(now) / 2,
            false => self.deadline,
        }
    }
}

/// Statuses with which a proxy, or a limit, answers in a node's place.
const fn is_elsewhere_better(status: u16) -> bool {
    matches!(status, 429 | 502..=504)
}

/// Whether an answer is passed on as it comes: a success of a stream's media type, that nothing has to be undone of.
fn is_stream(response: &reqwest::Response) -> bool {
    let headers = response.headers();
    let content_type = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    content_type.is_some_and(stream::is_stream)
        && response.status().is_success()
        && !headers.contains_key(CONTENT_ENCODING)
}

impl HttpExchange {
    /// Whether the answer is a stream.
    pub(super) fn is_stream(&self) -> bool {
        self.response
            .as_ref()
            .is_some_and(|(_, response)| is_stream(response))
    }

    /// The answer as a stream.
    pub(super) fn into_stream(self) -> Option<BackendStream> {
        let (asked, response) = self.response.filter(|(_, response)| is_stream(response))?;
        Some(BackendStream::new(
            asked,
            response,
            &self.attempts.passing.returned,
        ))
    }

    /// The whole answer as one message; `None` after it.
    pub(super) async fn next(&mut self) -> Option<Result<Message, BackendError>> {
        let (mut asked, mut response) = self.response.take()?;
        loop {
            let attempts = &mut self.attempts;
            let another = attempts.is_read && attempts.pool.has_another(attempts.tried);
            let status = response.status().as_u16();
            let reading = read(response, &attempts.limits, &attempts.passing.returned);
            let reading = tokio::time::timeout_at(attempts.patience(another), reading);
            let late = |_| Err(BackendError::Timeout(attempts.limits.timeout_ms));
            let outcome = reading.await.unwrap_or_else(late);
            let failed = match &outcome {
                Err(BackendError::Unreachable(_)) => Some("broken_off"),
                Err(BackendError::Timeout(_)) => Some("timeout"),
                Ok(_) if matches!(status, 502..=504) => Some("unavailable"),
                _ => None,
            };
            match failed {
                Some(outcome) => asked.failed(outcome),
                None => asked.answered(),
            }
            let again = another && outcome.is_err() && failed.is_some() && Instant::now() < attempts.deadline;
            if !again {
                return Some(outcome);
            }
            match attempts.head().await {
                Ok(next) => (asked, response) = next,
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

/// Reads an answer into its payload: the body is where it is to be from the first byte on, and copied nowhere.
async fn read(
    mut response: reqwest::Response,
    limits: &Limits,
    returned: &Allowed,
) -> Result<Message, BackendError> {
    if grpc::is_grpc(&response) {
        return Box::pin(grpc::read(response, limits, returned)).await;
    }
    let max = limits.max_response_bytes;
    let announced = response
        .content_length()
        .map(|length| usize::try_from(length).unwrap_or(usize::MAX));
    if announced.is_some_and(|length| length > max) {
        return Err(BackendError::TooLarge(max));
    }
    let encoding = match response.headers().get(CONTENT_ENCODING) {
        Some(encoding) => Some(encoding.to_str().map_err(|_| BackendError::Encoding)?.to_owned()),
        None => None,
    };
    let encoding = encoding.filter(|encoding| does_something(encoding));
    let status = response.status().as_u16();
    let head = |headers: &HeaderMap, decoded_length| PokthttpResponse {
        status_code: u32::from(status),
        header: relayed_headers(headers, decoded_length, returned),
        body_bz: Bytes::new(),
    };
    let mut payload = Payload::new(
        head(response.headers(), encoding.as_ref().map(|_| max)),
        announced,
    );
    let announced = announced.map_or(0, |length| length.saturating_add(payload.space));
    let mut room = limits.buffers.room();
    while let Some(chunk) = response.chunk().await.map_err(BackendError::Unreachable)? {
        if payload.body_length().saturating_add(chunk.len()) > max {
            return Err(BackendError::TooLarge(max));
        }
        room.grow(chunk.len()).map_err(|_| BackendError::NoRoom)?;
        reserve(&mut payload.bytes, chunk.len(), announced);
        payload.bytes.extend_from_slice(&chunk);
    }
    if let Some(encoding) = encoding {
        let mut length = None;
        if payload.body_length() > 0 {
            // In room of its own until the encoded bytes are gone, with theirs.
            let body = Bytes::from(std::mem::take(&mut payload.bytes)).slice(payload.space..);
            let decoding = decoded(&encoding, body, payload.space, max, limits.buffers.room());
            (payload.bytes, room) = decoding.await?;
            length = Some(payload.body_length());
        }
        payload.head = head(response.headers(), length);
    }
    Ok(Message {
        status,
        payload: holding(payload.finish(), vec![room]),
    })
}

/// A serialized `POKTHTTPResponse` in the making: space for everything before the body, whose length is not known yet, and the body.
struct Payload {
    /// The answer without its body.
    head: PokthttpResponse,
    bytes: Vec<u8>,
    space: usize,
}

impl Payload {
    fn new(head: PokthttpResponse, announced: Option<usize>) -> Self {
        let space = head.encoded_len().saturating_add(MAX_BODY_KEY);
        let mut bytes = Vec::with_capacity(space.saturating_add(announced.unwrap_or(0).min(MAX_RESERVED)));
        bytes.resize(space, 0);
        Self { head, bytes, space }
    }

    fn body_length(&self) -> usize {
        self.bytes.len().saturating_sub(self.space)
    }

    /// Writes the head right before the body.
    fn finish(mut self) -> Bytes {
        let mut head = self.head.encode_to_vec();
        if self.body_length() > 0 {
            encode_key(BODY, WireType::LengthDelimited, &mut head);
            encode_varint(self.body_length() as u64, &mut head);
        }
        let Some(start) = self.space.checked_sub(head.len()) else {
            // An encoded answer of which nothing had to be decoded has another head than the one that space was left for.
            head.extend_from_slice(self.bytes.get(self.space..).unwrap_or_default());
            return head.into();
        };
        if let Some(space) = self.bytes.get_mut(start..self.space) {
            space.copy_from_slice(&head);
        }
        Bytes::from(self.bytes).slice(start..)
    }
}

fn configured_headers(headers: &BTreeMap<String, Secret>, key: &str) -> Result<HeaderMap, (String, String)> {
    let mut configured = HeaderMap::new();
    for (name, value) in headers {
        let at = || format!("{key}.headers.{name}");
        let name =
            HeaderName::try_from(name.as_str()).map_err(|_| (at(), "is not a header name".to_owned()))?;
        let value = secret_value(value.reveal()).ok_or_else(|| (at(), "is not a header value".to_owned()))?;
        configured.insert(name, value);
    }
    Ok(configured)
}

fn configured_authorization(
    basic: Option<&BasicAuth>,
    key: &str,
) -> Result<Option<HeaderValue>, (String, String)> {
    let Some(basic) = basic else {
        return Ok(None);
    };
    let text = basic_auth(&basic.username, basic.password.reveal());
    let malformed = || (format!("{key}.basic_auth"), "is malformed".to_owned());
    secret_value(&text).ok_or_else(malformed).map(Some)
}

fn secret_value(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::try_from(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

fn basic_auth(username: &str, password: &str) -> String {
    use base64::Engine;
    let credentials = base64::engine::general_purpose::STANDARD.encode(format!("{username}:{password}"));
    format!("Basic {credentials}")
}
