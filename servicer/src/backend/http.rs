//! Asking a node over HTTP.
//!
//! The relay's payload is a serialized HTTP request; the node's answer goes back as a serialized HTTP response, whatever its status.
//! Redirects are not followed: they are the client's to judge, and a node must not steer the servicer to other hosts.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};
use portico_net::budget::{holding, reserve};
use portico_protocol::wire::sdk::types::PokthttpResponse;
use portico_relay::stream::{self, Framing};
use prost::Message as _;
use prost::encoding::{WireType, encode_key, encode_varint};
use tokio::time::Instant;

use super::encoding::{decoded, does_something};
use super::grpc;
use super::headers::{Allowed, relayed_headers};
use super::node::{HttpCall, Limits, Passing};
use super::pool::{Asked, Pool, Tried};
use super::stream::BackendStream;
use super::{BackendError, Message};

/// Buffer kept back for an answer whose length is announced, at most.
const MAX_RESERVED: usize = 64 << 10;
/// Number of `POKTHTTPResponse.body_bz`, the last of its fields.
const BODY: u32 = 3;
/// Most bytes that number and length of the body take: one, and those of a 64-bit number.
const MAX_BODY_KEY: usize = 11;

/// An answer of which the head has arrived.
#[derive(Debug)]
pub(crate) struct HttpExchange {
    attempts: Attempts,
    /// `None` once it was read.
    response: Option<(Asked, Answer)>,
}

/// How far an answer was read.
#[derive(Debug)]
enum Answer {
    /// The head has come.
    Head(reqwest::Response),
    /// More of it has, to see whether it is a stream of gRPC's.
    Grpc(Box<grpc::Answer>),
    /// It is a stream of gRPC's.
    GrpcStream(Box<grpc::Answer>),
    /// It broke meanwhile.
    Failed(BackendError),
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

impl Attempts {
    /// Sends the call, to a second node when that is safe, and waits for the head of an answer.
    pub(super) async fn open(mut self) -> Result<HttpExchange, BackendError> {
        let (asked, response) = self.head().await?;
        Ok(HttpExchange {
            attempts: self,
            response: Some((asked, Answer::Head(response))),
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

    /// Reads the beginning of a gRPC answer. A call of many messages is answered by a stream, whatever the node says: so its caller knows that
    /// the supplier takes such calls.
    async fn begin(&self, mut answer: Box<grpc::Answer>) -> Answer {
        if self.call.messages() != Some(1) {
            return Answer::GrpcStream(answer);
        }
        let becomes = answer.becomes_stream(&self.limits);
        match tokio::time::timeout_at(self.deadline, becomes).await {
            Ok(Ok(true)) => Answer::GrpcStream(answer),
            Ok(Ok(false)) => Answer::Grpc(answer),
            Ok(Err(error)) => Answer::Failed(error),
            Err(_) => Answer::Failed(BackendError::Timeout(self.limits.timeout_ms)),
        }
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
    /// Whether the answer is a stream that `framing` has a place for: one of gRPC's has trailers, which the delimited framing has not.
    pub(super) async fn becomes_stream(&mut self, framing: Framing) -> bool {
        match self.response.take() {
            Some((asked, Answer::Head(response)))
                if framing == Framing::Chained && grpc::is_grpc(&response) =>
            {
                let answer = Box::new(grpc::Answer::new(response, &self.attempts.limits));
                self.response = Some((asked, self.attempts.begin(answer).await));
            }
            response => self.response = response,
        }
        match &self.response {
            Some((_, Answer::Head(response))) => is_stream(response),
            Some((_, Answer::GrpcStream(_))) => true,
            _ => false,
        }
    }

    /// The answer as a stream, if it is one.
    pub(super) fn into_stream(self) -> Option<BackendStream> {
        let (asked, answer) = self.response?;
        let begun = match answer {
            Answer::Head(response) if is_stream(&response) => grpc::Begun::of(response),
            Answer::GrpcStream(answer) => answer.begun(),
            _ => return None,
        };
        Some(BackendStream::new(asked, begun, &self.attempts.passing.returned))
    }

    /// The whole answer as one message; `None` after it.
    pub(super) async fn next(&mut self) -> Option<Result<Message, BackendError>> {
        let (mut asked, mut response) = self.response.take()?;
        loop {
            let attempts = &mut self.attempts;
            let another = attempts.is_read && attempts.pool.has_another(attempts.tried);
            let status = response.status();
            let reading = response.read(&attempts.limits, &attempts.passing.returned);
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
                Ok((next, head)) => (asked, response) = (next, Answer::Head(head)),
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

impl Answer {
    /// HTTP status; 0 when the answer broke.
    fn status(&self) -> u16 {
        match self {
            Self::Head(response) => response.status().as_u16(),
            Self::Grpc(answer) | Self::GrpcStream(answer) => answer.status(),
            Self::Failed(_) => 0,
        }
    }

    /// Reads what is left of it.
    async fn read(self, limits: &Limits, returned: &Allowed) -> Result<Message, BackendError> {
        match self {
            Self::Head(response) => read(response, limits, returned).await,
            Self::Grpc(answer) | Self::GrpcStream(answer) => {
                let whole = answer.whole(limits, returned);
                Box::pin(whole).await
            }
            Self::Failed(error) => Err(error),
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
        let answer = grpc::Answer::new(response, limits);
        return Box::pin(answer.whole(limits, returned)).await;
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
    while let Some(chunk) = response.chunk().await.map_err(BackendError::unreachable)? {
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
