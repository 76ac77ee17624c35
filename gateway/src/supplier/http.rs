//! Relay requests by HTTP POST to a supplier's endpoint: one request, one message.

use portico_net::Connections;
use portico_net::budget::{Budgets, Room, reserve};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, HeaderName, HeaderValue};
use portico_config::gateway::GatewayConfig;
use portico_net::tls::ClientTls;
use portico_protocol::receipt;
use portico_relay::Exchange;
use portico_relay::content_encoding::{self, DecodeError};
use portico_relay::stream;
use reqwest::Url;
use reqwest::redirect::Policy;
use tokio::sync::Semaphore;

use super::failed::fault;
use super::guard::{PRIVATE, PublicOnly, may_be_public};
use super::stream::Opened;
use super::{Message, SupplierTransport, Wanted};
use crate::GatewayError;
use crate::core::candidate::Candidate;
use crate::core::fault::Fault;

/// Kind of call, as a number (`pocket.shared.RPCType`).
const RPC_TYPE: HeaderName = HeaderName::from_static("rpc-type");
/// Asks for a receipt.
const SIGN_RECEIPT: HeaderName = HeaderName::from_static(receipt::REQUEST_HEADER);
/// Asks for streams in the framing of ours.
const STREAM: HeaderName = HeaderName::from_static(stream::HEADER);
const STREAM_VERSION: HeaderValue = HeaderValue::from_static(stream::VERSION);
const TRUE: HeaderValue = HeaderValue::from_static("true");
/// Answers come as they are: undoing gzip costs both ends more than it saves on a fast network.
const IDENTITY: HeaderValue = HeaderValue::from_static("identity");
/// What the network's gateways declare for relay bytes.
const JSON: HeaderValue = HeaderValue::from_static("application/json");
/// Encoded answers that are decoded at a time, each of which may take as much memory as the largest answer.
const DECODING_AT_ONCE: usize = 4;
/// Buffer kept back for an answer whose length is announced, at most.
const MAX_RESERVED: usize = 1 << 20;

/// One pool of connections to all suppliers.
#[derive(Clone, Debug)]
pub(crate) struct HttpTransport {
    connections: Connections,
    max_response_bytes: usize,
    decoding: Arc<Semaphore>,
    /// Whether suppliers on private addresses are refused.
    public_only: bool,
}

impl HttpTransport {
    pub(crate) fn new(config: &GatewayConfig) -> Result<Self, GatewayError> {
        let tls = ClientTls::open(&config.supplier_tls);
        let tls = tls.map_err(|source| GatewayError::Tls("supplier_tls", source))?;
        Ok(Self {
            connections: Connections::new(|| client(config, &tls), config.max_idle_per_supplier)?,
            max_response_bytes: config.max_response_bytes,
            decoding: Arc::new(Semaphore::new(DECODING_AT_ONCE)),
            public_only: config.refuses_private_suppliers(),
        })
    }

    /// Turns of those who undo a large encoded answer.
    pub(crate) fn decoding(&self) -> &Semaphore {
        &self.decoding
    }

    /// Where the candidate takes relays, if we may go there.
    fn url(&self, candidate: &Candidate) -> Result<Url, Fault> {
        let url = Url::parse(candidate.url()).map_err(|error| Fault::Connect(error.to_string()))?;
        match self.public_only && !may_be_public(&url) {
            true => Err(Fault::Connect(PRIVATE.to_owned())),
            false => Ok(url),
        }
    }

    /// Posts `request`; once more if the supplier ended the connection, idle until then, instead of answering.
    async fn post(
        &self,
        candidate: &Candidate,
        request: Bytes,
        wanted: Wanted,
        told: HeaderMap,
    ) -> Result<reqwest::Response, Fault> {
        let kind = HeaderValue::from_static(candidate.rpc_type.digits());
        let url = self.url(candidate)?;
        let post = |client: &reqwest::Client| {
            let mut post = client.post(url.clone()).header(CONTENT_TYPE, JSON);
            post = post
                .header(RPC_TYPE, kind.clone())
                .header(ACCEPT_ENCODING, IDENTITY);
            if wanted.receipt {
                post = post.header(SIGN_RECEIPT, TRUE);
            }
            if wanted.stream {
                post = post.header(STREAM, STREAM_VERSION);
            }
            if !told.is_empty() {
                post = post.headers(told.clone());
            }
            post.body(request.clone()).send()
        };
        // Whatever it asks of the node: a servicer that has served it refuses it the second time.
        let outcome = self.connections.send(post, || true).await;
        outcome.map_err(|error| fault(&error))
    }
}

fn client(config: &GatewayConfig, tls: &ClientTls) -> reqwest::ClientBuilder {
    let builder = tls.http_client();
    let builder = match config.refuses_private_suppliers() {
        true => builder.dns_resolver(PublicOnly),
        false => builder,
    };
    builder
        .no_proxy() // a relay goes to the supplier that the chain names, whatever the environment says
        .redirect(Policy::none()) // and nowhere else
        .connect_timeout(Duration::from_millis(config.connect_timeout_ms))
        .tcp_nodelay(true)
}

impl SupplierTransport for HttpTransport {
    type Exchange = HttpExchange;

    async fn open(
        &self,
        candidate: &Candidate,
        request: Vec<u8>,
        budgets: &Budgets,
        wanted: Wanted,
        told: HeaderMap,
    ) -> Result<HttpExchange, Fault> {
        let response = self.post(candidate, request.into(), wanted, told).await?;
        let announced = response.content_length().unwrap_or(0);
        if announced > self.max_response_bytes as u64 {
            return Err(Fault::TooLarge(self.max_response_bytes));
        }
        Ok(HttpExchange {
            response: Some((response, budgets.room())),
            wanted,
            max_bytes: self.max_response_bytes,
            decoding: Arc::clone(&self.decoding),
        })
    }
}

/// The answer to one POST, whose body is the only message, or a stream of them.
#[derive(Debug)]
pub(crate) struct HttpExchange {
    /// Taken when its body is read.
    response: Option<(reqwest::Response, Room)>,
    wanted: Wanted,
    max_bytes: usize,
    decoding: Arc<Semaphore>,
}

impl Exchange for HttpExchange {
    type Message = Message;
    type Fault = Fault;

    async fn next(&mut self) -> Option<Result<Message, Fault>> {
        let (response, room) = self.response.take()?;
        let framing = self.wanted.stream.then(|| Opened::framing(&response)).flatten();
        if let Some(framing) = framing {
            return Some(Ok(Message {
                bytes: Bytes::new(),
                http_error: None,
                room: Some(room),
                receipt: None,
                stream: Some(Box::new(Opened { framing, response })),
            }));
        }
        Some(
            read(
                response,
                room,
                self.wanted.receipt,
                self.max_bytes,
                &self.decoding,
            )
            .await,
        )
    }
}

/// Reads the whole body, up to `max_bytes`.
async fn read(
    mut response: reqwest::Response,
    mut room: Room,
    wants_receipt: bool,
    max_bytes: usize,
    decoding: &Semaphore,
) -> Result<Message, Fault> {
    let status = response.status();
    let receipt = wants_receipt
        .then(|| response.headers().get(receipt::HEADER).cloned())
        .flatten();
    let encodings = response.headers().get_all(CONTENT_ENCODING);
    let encodings: Vec<HeaderValue> = encodings.iter().cloned().collect();
    let announced = usize::try_from(response.content_length().unwrap_or(0)).unwrap_or(usize::MAX);
    let mut body = Vec::with_capacity(announced.min(MAX_RESERVED));
    while let Some(chunk) = response.chunk().await.map_err(|error| fault(&error))? {
        if body.len().saturating_add(chunk.len()) > max_bytes {
            return Err(Fault::TooLarge(max_bytes));
        }
        room.grow(chunk.len())?;
        reserve(&mut body, chunk.len(), announced);
        body.extend_from_slice(&chunk);
    }
    let body = match encodings.is_empty() {
        true => body.into(),
        false => {
            let decoded = async {
                let _turn = decoding.acquire().await;
                decoded(encodings, body.into(), &mut room, max_bytes).await
            };
            Box::pin(decoded).await?
        }
    };
    Ok(Message {
        bytes: body,
        http_error: (!status.is_success()).then_some(status.as_u16()),
        room: Some(room),
        receipt,
        stream: None,
    })
}

/// A body that something on the way compressed, although it was not to: the supplier's program, or a proxy before it.
async fn decoded(
    encodings: Vec<HeaderValue>,
    body: Bytes,
    room: &mut Room,
    max_bytes: usize,
) -> Result<Bytes, Fault> {
    let decode = move || {
        let values = encodings.iter().filter_map(|value| value.to_str().ok());
        content_encoding::decode(values, body, max_bytes)
    };
    let decoded = tokio::task::spawn_blocking(decode).await;
    match decoded.unwrap_or(Err(DecodeError::Malformed)) {
        Ok(body) => {
            room.grow(body.len())?;
            Ok(body)
        }
        Err(DecodeError::TooLarge) => Err(Fault::TooLarge(max_bytes)),
        Err(DecodeError::Malformed | DecodeError::Unsupported) => Err(Fault::Undecodable),
    }
}
