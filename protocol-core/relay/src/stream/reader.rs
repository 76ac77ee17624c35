//! The gateway's half: every message is verified before its bytes are passed on.

use std::collections::BTreeMap;

use bytes::Bytes;
use portico_protocol::PublicKey;
use portico_protocol::wire::pocket::service::RelayResponse;
use portico_protocol::wire::pocket::session::SessionHeader;
use portico_protocol::wire::sdk::types::{Header, PokthttpResponse};
use prost::Message as _;

use super::chain::Chain;
use super::frames::{Frames, Unframed};
use super::{Framing, MAX_MESSAGE};
use crate::message::{MessageFault, verified};

/// Reads the messages of one stream.
#[derive(Debug)]
pub struct StreamReader {
    frames: Frames,
    header: SessionHeader,
    supplier: PublicKey,
    /// `None` of a delimited stream.
    chain: Option<Chain>,
    /// Whether the first message was read.
    has_begun: bool,
    /// Whether the last message was read.
    has_ended: bool,
    /// Its trailers, until they are told.
    trailers: BTreeMap<String, Header>,
    /// Whether no further bytes come.
    closed: bool,
}

/// What a verified message says.
#[derive(Clone, Debug, PartialEq)]
pub enum Part {
    /// The first one: status, headers where the framing has a place for them, and the first bytes.
    Head {
        /// The message.
        response: Box<RelayResponse>,
        /// What it carries.
        http: PokthttpResponse,
    },
    /// More bytes.
    Data(Bytes),
    /// There is no more, as the supplier signs, or as the connection's orderly end says where the framing has no word for it.
    End {
        /// What the backend said behind its body, where the framing has a place for it.
        trailers: BTreeMap<String, Header>,
    },
}

/// Why a stream ends without having ended.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum StreamFault {
    /// A message does not verify.
    #[error(transparent)]
    Message(#[from] MessageFault),
    /// A message is larger than may be.
    #[error("a message of the stream is larger than {MAX_MESSAGE} bytes")]
    TooLarge,
    /// A message that verifies does not belong here.
    #[error("a message of the stream is out of place: {0}")]
    OutOfPlace(&'static str),
    /// The bytes end, the stream does not.
    #[error("the stream is cut off")]
    Truncated,
    /// The supplier says that it had to stop.
    #[error("the supplier ended the stream: {0}")]
    Cut(String),
}

impl StreamReader {
    /// A stream in `framing` from `supplier`, in answer to a request of the session of `header` with this ring signature.
    #[must_use]
    pub fn new(
        framing: Framing,
        header: SessionHeader,
        request_signature: &[u8],
        supplier: PublicKey,
    ) -> Self {
        Self {
            frames: Frames::new(framing),
            header,
            supplier,
            chain: (framing == Framing::Chained).then(|| Chain::new(request_signature)),
            has_begun: false,
            has_ended: false,
            trailers: BTreeMap::new(),
            closed: false,
        }
    }

    /// Bytes arrived.
    pub fn push(&mut self, bytes: &[u8]) {
        self.frames.push(bytes);
    }

    /// No further bytes come; the connection ended in order.
    pub fn close(&mut self) {
        self.closed = true;
    }

    /// Bytes that wait for the rest of their message.
    #[must_use]
    pub fn buffered(&self) -> usize {
        self.frames.len()
    }

    /// The next verified part; `None` when more bytes are needed. Not called again after [`Part::End`] or a fault.
    ///
    /// # Errors
    /// See [`StreamFault`].
    pub fn part(&mut self) -> Result<Option<Part>, StreamFault> {
        loop {
            if self.has_ended {
                let trailers = std::mem::take(&mut self.trailers);
                return Ok(Some(Part::End { trailers })); // whatever may stand behind it
            }
            let next = match self.frames.next()? {
                None if self.closed => self.frames.rest()?,
                next => next,
            };
            match next {
                Some(message) => {
                    if let Some(part) = self.read(message)? {
                        return Ok(Some(part));
                    }
                }
                None if !self.closed => return Ok(None),
                // A delimited stream has no word for its end.
                None if self.chain.is_none() && self.has_begun => {
                    let trailers = BTreeMap::new();
                    return Ok(Some(Part::End { trailers }));
                }
                None => return Err(StreamFault::Truncated),
            }
        }
    }

    /// What a message says; `None` of one that says nothing to the caller.
    fn read(&mut self, message: RelayResponse) -> Result<Option<Part>, StreamFault> {
        let message = verified(message, &self.header, &self.supplier)?;
        let is_first = !std::mem::replace(&mut self.has_begun, true);
        let (http, end) = match &mut self.chain {
            None => (http(&message)?, None),
            Some(chain) => {
                let chunk = chain.follow(&message.payload).map_err(StreamFault::OutOfPlace)?;
                let mut http = chunk.head.unwrap_or_default();
                http.body_bz = chunk.data;
                (http, chunk.end)
            }
        };
        if let Some(end) = end {
            if !end.complete {
                return Err(StreamFault::Cut(end.reason));
            }
            self.has_ended = true;
            self.trailers = end.trailers;
        }
        let response = Box::new(message);
        Ok(match is_first {
            true => Some(Part::Head { response, http }),
            false if http.body_bz.is_empty() => None,
            false => Some(Part::Data(http.body_bz)),
        })
    }
}

fn http(message: &RelayResponse) -> Result<PokthttpResponse, StreamFault> {
    let http = PokthttpResponse::decode(message.payload.clone());
    http.map_err(|_| StreamFault::OutOfPlace("its payload is no HTTP response"))
}

impl From<Unframed> for StreamFault {
    fn from(unframed: Unframed) -> Self {
        match unframed {
            Unframed::TooLarge => Self::TooLarge,
            Unframed::Undecodable => MessageFault::Undecodable.into(),
        }
    }
}
