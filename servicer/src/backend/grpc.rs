//! Answers of gRPC nodes: the body as it is, the trailers among the headers; or a stream of messages, which is passed on as it comes.

use std::cmp::Ordering;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http::header::{CONTENT_TYPE, HeaderValue};
use http_body_util::BodyExt as _;
use portico_net::budget::{Room, holding};
use portico_protocol::wire::sdk::types::{PokthttpRequest, PokthttpResponse};
use portico_relay::grpc::{self, Wire};
use prost::Message as _;
use tokio::time::{Instant, timeout};

use super::headers::{Allowed, relayed_headers};
use super::node::Limits;
use super::{BackendError, Message};

/// Time for a node to go on behind the head of its answer, and to end it behind its only message: servers send them at once.
const PATIENCE: Duration = Duration::from_millis(20);

/// Whether an answer is gRPC's.
pub(super) fn is_grpc(response: &reqwest::Response) -> bool {
    let content_type = response.headers().get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    content_type.and_then(Wire::of) == Some(Wire::Native)
}

/// When a call must be answered: as its caller says, if that is sooner.
pub(super) fn deadline(relayed: &PokthttpRequest, otherwise: Instant) -> Instant {
    let mut headers = relayed.header.iter();
    let given = headers.find(|(name, _)| name.eq_ignore_ascii_case(grpc::TIMEOUT));
    let given = given.and_then(|(_, header)| grpc::timeout(header.values.first()?));
    given.map_or(otherwise, |time| otherwise.min(Instant::now() + time))
}

/// An answer that is being read.
#[derive(Debug)]
pub(super) struct Answer {
    head: http::response::Parts,
    body: reqwest::Body,
    /// What came of the body.
    bytes: BytesMut,
    room: Room,
    trailers: HeaderMap,
    has_ended: bool,
}

/// What is left of an answer that is passed on as it comes.
pub(super) struct Begun {
    pub(super) head: http::response::Parts,
    pub(super) body: reqwest::Body,
    /// What came of the body already.
    pub(super) bytes: Bytes,
}

impl Begun {
    /// An answer of which nothing but the head was read.
    pub(super) fn of(response: reqwest::Response) -> Self {
        let (head, body) = http::Response::<reqwest::Body>::from(response).into_parts();
        let bytes = Bytes::new();
        Self { head, body, bytes }
    }
}

impl Answer {
    pub(super) fn new(response: reqwest::Response, limits: &Limits) -> Self {
        let (head, body) = http::Response::<reqwest::Body>::from(response).into_parts();
        Self {
            head,
            body,
            bytes: BytesMut::new(),
            room: limits.buffers.room(),
            trailers: HeaderMap::new(),
            has_ended: false,
        }
    }

    /// HTTP status.
    pub(super) fn status(&self) -> u16 {
        self.head.status.as_u16()
    }

    /// Reads on; at the end, `has_ended` is set. May be dropped before it is ready.
    async fn read(&mut self, max: usize) -> Result<(), BackendError> {
        let Some(frame) = self.body.frame().await else {
            self.has_ended = true;
            return Ok(());
        };
        match frame.map_err(BackendError::unreachable)?.into_data() {
            Ok(data) => {
                if self.bytes.len().saturating_add(data.len()) > max {
                    return Err(BackendError::TooLarge(max));
                }
                self.room.grow(data.len()).map_err(|_| BackendError::NoRoom)?;
                self.bytes.extend_from_slice(&data);
            }
            Err(frame) => self.trailers.extend(frame.into_trailers().unwrap_or_default()),
        }
        Ok(())
    }

    /// Whether more than one message may come: another has begun, or the node was silent for a moment behind its head or its first message. A
    /// message that is arriving is waited for. Nothing but the node knows which methods answer by a stream, and a message that is signed alone
    /// costs both ends less.
    pub(super) async fn becomes_stream(&mut self, limits: &Limits) -> Result<bool, BackendError> {
        while !self.has_ended {
            let read = match grpc::length(&self.bytes).map(|first| first.cmp(&self.bytes.len())) {
                Some(Ordering::Less) => return Ok(true),
                Some(Ordering::Greater) => self.read(limits.max_response_bytes).await,
                None if !self.bytes.is_empty() => self.read(limits.max_response_bytes).await,
                Some(Ordering::Equal) | None => {
                    match timeout(PATIENCE, self.read(limits.max_response_bytes)).await {
                        Ok(read) => read,
                        Err(_) => return Ok(true),
                    }
                }
            };
            read?;
        }
        Ok(false)
    }

    /// The rest as it comes.
    pub(super) fn begun(self) -> Begun {
        Begun {
            head: self.head,
            body: self.body,
            bytes: holding(self.bytes.freeze(), vec![self.room]),
        }
    }

    /// The whole answer as one message, its trailers among the headers.
    pub(super) async fn whole(
        mut self,
        limits: &Limits,
        returned: &Allowed,
    ) -> Result<Message, BackendError> {
        while !self.has_ended {
            self.read(limits.max_response_bytes).await?;
        }
        let mut headers = relayed_headers(&self.head.headers, None, returned);
        headers.extend(relayed_headers(&self.trailers, None, returned));
        let status = self.head.status.as_u16();
        let response = PokthttpResponse {
            status_code: u32::from(status),
            header: headers,
            body_bz: self.bytes.freeze(),
        };
        let payload = Bytes::from(response.encode_to_vec());
        Ok(Message {
            status,
            payload: holding(payload, vec![self.room]),
        })
    }
}
