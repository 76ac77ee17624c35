//! The servicer's half: a backend's bytes become signed messages, and one leaf.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use portico_protocol::SigningKey;
use portico_protocol::relay::{sign_payload_hash, sign_response};
use portico_protocol::wire::pocket::service::RelayResponse;
use portico_protocol::wire::pocket::session::SessionHeader;
use portico_protocol::wire::sdk::types::{Header, PokthttpResponse};
use prost::Message as _;
use sha2::{Digest, Sha256};

use super::chain::{Chain, StreamEnd};
use super::frames::{framed, without_delimiter};
use super::{Framing, MAX_DATA};

/// Signs the messages of one stream.
pub struct StreamWriter {
    header: SessionHeader,
    key: Arc<SigningKey>,
    /// Status and headers.
    head: PokthttpResponse,
    order: Order,
}

impl std::fmt::Debug for StreamWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StreamWriter").finish_non_exhaustive()
    }
}

enum Order {
    Delimited {
        /// Of all data.
        body: Sha256,
        has_begun: bool,
    },
    Chained {
        chain: Chain,
        has_begun: bool,
    },
}

/// How a stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The backend said all that it wanted to.
    Complete,
    /// It was cut off, for this reason.
    Cut(&'static str),
}

/// What is left to do with a stream that has ended.
#[derive(Debug)]
pub struct Finished {
    /// The response that the leaf is made of: what it hashes commits to everything that was sent.
    pub leaf: RelayResponse,
    /// The last frame, which may leave once the leaf is on disk.
    pub frame: Option<Bytes>,
}

impl StreamWriter {
    /// A stream in `framing`, in answer to a request of the session of `header` with this ring signature; `head` has status and headers of
    /// the backend's answer, and no body.
    #[must_use]
    pub fn new(
        framing: Framing,
        header: SessionHeader,
        request_signature: &[u8],
        head: PokthttpResponse,
        key: Arc<SigningKey>,
    ) -> Self {
        let order = match framing {
            Framing::Delimited => Order::Delimited {
                body: Sha256::new(),
                has_begun: false,
            },
            Framing::Chained => Order::Chained {
                chain: Chain::new(request_signature),
                has_begun: false,
            },
        };
        Self {
            header,
            key,
            head,
            order,
        }
    }

    /// The frames for what the backend said, in their order. The first call is for the head: of chained frames, `data` may be empty then.
    pub fn frames(&mut self, mut data: Bytes) -> Vec<Bytes> {
        let mut frames = Vec::with_capacity(1);
        loop {
            let piece = data.split_to(data.len().min(MAX_DATA));
            match &mut self.order {
                Order::Delimited { body, has_begun } => {
                    *has_begun = true;
                    body.update(&piece);
                    for body_bz in without_delimiter(piece) {
                        let response = PokthttpResponse {
                            status_code: self.head.status_code,
                            body_bz,
                            ..PokthttpResponse::default()
                        };
                        let signed = sign_response(&self.header, response.encode_to_vec().into(), &self.key);
                        frames.push(framed(Framing::Delimited, &signed));
                    }
                }
                Order::Chained { chain, has_begun } => {
                    let head = (!std::mem::replace(has_begun, true)).then(|| std::mem::take(&mut self.head));
                    let signed = sign_response(&self.header, chain.link(head, piece, None), &self.key);
                    frames.push(framed(Framing::Chained, &signed));
                }
            }
            if data.is_empty() {
                return frames;
            }
        }
    }

    /// Ends the stream, with the trailers that the backend ended it with, for which the delimited framing has no place. A delimited one that said
    /// nothing says so by a message without data; what is left of it needs no frame, but the end of the connection, which is not a clean one if it
    /// was cut.
    #[must_use]
    pub fn finish(mut self, end: End, trailers: BTreeMap<String, Header>) -> Finished {
        let nothing = matches!(&self.order, Order::Delimited { has_begun: false, .. });
        let frame = (nothing && end == End::Complete).then(|| self.frames(Bytes::new()).pop());
        match self.order {
            Order::Delimited { body, .. } => Finished {
                leaf: sign_payload_hash(&self.header, body.finalize().into(), &self.key),
                frame: frame.flatten(),
            },
            Order::Chained { mut chain, has_begun } => {
                let head = (!has_begun).then_some(self.head);
                let end = StreamEnd {
                    complete: end == End::Complete,
                    reason: match end {
                        End::Complete => String::new(),
                        End::Cut(reason) => reason.to_owned(),
                    },
                    bytes: chain.bytes(),
                    trailers,
                };
                let leaf = sign_response(&self.header, chain.link(head, Bytes::new(), Some(end)), &self.key);
                Finished {
                    frame: Some(framed(Framing::Chained, &leaf)),
                    leaf,
                }
            }
        }
    }
}
