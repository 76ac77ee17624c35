//! The chain of messages of one stream: each names its place, and the hash of the message before.

use std::collections::BTreeMap;

use bytes::Bytes;
use portico_protocol::wire::sdk::types::{Header, PokthttpResponse};
use prost::Message;
use sha2::{Digest, Sha256};

/// What the first message's hash is made with, before the request's signature.
const SEED: &[u8] = b"portico-stream-1";

/// Payload of a message of a chained stream.
#[derive(Clone, PartialEq, Message)]
pub struct StreamChunk {
    /// SHA-256 of the payload before: 32 bytes. Of the first, SHA-256 of `portico-stream-1` and the ring signature of the request, so that
    /// messages belong to this request alone.
    #[prost(bytes = "bytes", tag = "1")]
    pub previous: Bytes,
    /// Place in the stream, from 0.
    #[prost(uint64, tag = "2")]
    pub index: u64,
    /// Status and headers of the answer, without a body; of the first message only.
    #[prost(message, optional, tag = "3")]
    pub head: Option<PokthttpResponse>,
    /// The backend's bytes, as they came.
    #[prost(bytes = "bytes", tag = "4")]
    pub data: Bytes,
    /// Of the last message only.
    #[prost(message, optional, tag = "5")]
    pub end: Option<StreamEnd>,
}

/// How a stream ended.
#[derive(Clone, PartialEq, Message)]
pub struct StreamEnd {
    /// Whether the backend said all that it wanted to.
    #[prost(bool, tag = "1")]
    pub complete: bool,
    /// Why not, in a word; empty of a complete one.
    #[prost(string, tag = "2")]
    pub reason: String,
    /// Bytes of data in all messages together.
    #[prost(uint64, tag = "3")]
    pub bytes: u64,
    /// Trailers of the backend's, as headers are; those of gRPC have the call's status.
    #[prost(btree_map = "string, message", tag = "4")]
    pub trailers: BTreeMap<String, Header>,
}

/// Where a stream is.
#[derive(Clone, Debug)]
pub(super) struct Chain {
    previous: [u8; 32],
    index: u64,
    bytes: u64,
}

impl Chain {
    /// Before the first message of the answer to the request with this ring signature.
    pub(super) fn new(request_signature: &[u8]) -> Self {
        let seed = Sha256::new_with_prefix(SEED).chain_update(request_signature);
        Self {
            previous: seed.finalize().into(),
            index: 0,
            bytes: 0,
        }
    }

    /// Bytes of data so far.
    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The payload of the next message, which counts as sent from here on.
    pub(super) fn link(
        &mut self,
        head: Option<PokthttpResponse>,
        data: Bytes,
        end: Option<StreamEnd>,
    ) -> Bytes {
        let length = data.len();
        let chunk = StreamChunk {
            previous: Bytes::copy_from_slice(&self.previous),
            index: self.index,
            head,
            data,
            end,
        };
        let payload = Bytes::from(chunk.encode_to_vec());
        self.step(&payload, length);
        payload
    }

    /// Reads the payload of what must be the next message; errs with what is wrong with it.
    pub(super) fn follow(&mut self, payload: &Bytes) -> Result<StreamChunk, &'static str> {
        let chunk = StreamChunk::decode(payload.clone()).map_err(|_| "it is no message of a stream")?;
        if chunk.index != self.index {
            return Err("it is out of order");
        }
        if *chunk.previous != self.previous {
            return Err("it does not follow the one before");
        }
        if chunk.head.is_some() != (self.index == 0) {
            return Err("the head belongs to the first message");
        }
        self.step(payload, chunk.data.len());
        if chunk.end.as_ref().is_some_and(|end| end.bytes != self.bytes) {
            return Err("the end tells of other bytes");
        }
        Ok(chunk)
    }

    fn step(&mut self, payload: &[u8], length: usize) {
        self.previous = Sha256::digest(payload).into();
        self.index = self.index.saturating_add(1);
        self.bytes = self.bytes.saturating_add(length as u64);
    }
}
