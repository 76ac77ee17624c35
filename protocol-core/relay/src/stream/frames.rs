//! Where one message ends and the next begins.

use bytes::{Buf as _, Bytes, BytesMut};
use portico_protocol::wire::pocket::service::RelayResponse;
use prost::Message as _;

use super::{Framing, MAX_MESSAGE};

/// What stands behind each message of the HA relay miner.
const DELIMITER: &[u8] = b"||POKT_STREAM||";
/// Bytes of a length.
const LENGTH: usize = 4;
/// Delimiters in the data of one message; who has more of them is no supplier, but wants each read up to all of them.
const MAX_IN_DATA: usize = 16;

/// Bytes that arrived, of which messages are taken.
#[derive(Debug)]
pub(super) struct Frames {
    framing: Framing,
    buffer: BytesMut,
    /// Up to here there is no delimiter that ends a message.
    scanned: usize,
    /// Delimiters up to there.
    in_data: usize,
}

/// The next message is larger than [`MAX_MESSAGE`], or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unframed {
    TooLarge,
    Undecodable,
}

/// Puts a message on the wire.
pub(super) fn framed(framing: Framing, response: &RelayResponse) -> Bytes {
    let length = response.encoded_len();
    let mut frame = Vec::with_capacity(length.saturating_add(DELIMITER.len()));
    if framing == Framing::Chained {
        frame.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
    }
    frame.extend_from_slice(&response.encode_to_vec());
    if framing == Framing::Delimited {
        frame.extend_from_slice(DELIMITER);
    }
    frame.into()
}

/// `data` in pieces of which none has the delimiter in it.
pub(super) fn without_delimiter(mut data: Bytes) -> Vec<Bytes> {
    let mut pieces = Vec::new();
    while let Some(at) = find(&data, 0) {
        pieces.push(data.split_to(at.saturating_add(DELIMITER.len() / 2)));
    }
    pieces.push(data);
    pieces
}

fn find(bytes: &[u8], from: usize) -> Option<usize> {
    let rest = bytes.get(from..)?;
    let mut windows = rest.windows(DELIMITER.len());
    windows
        .position(|window| window == DELIMITER)
        .map(|at| at.saturating_add(from))
}

impl Frames {
    pub(super) fn new(framing: Framing) -> Self {
        Self {
            framing,
            buffer: BytesMut::new(),
            scanned: 0,
            in_data: 0,
        }
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Bytes that no message was taken of yet.
    pub(super) fn len(&self) -> usize {
        self.buffer.len()
    }

    /// The next message that is whole.
    pub(super) fn next(&mut self) -> Result<Option<RelayResponse>, Unframed> {
        let next = match self.framing {
            Framing::Delimited => self.delimited()?,
            Framing::Chained => self.counted()?,
        };
        match next {
            None if self.buffer.len() > MAX_MESSAGE => Err(Unframed::TooLarge),
            next => Ok(next),
        }
    }

    /// What is left once all bytes are there: a delimited message may be the last without a delimiter.
    pub(super) fn rest(&mut self) -> Result<Option<RelayResponse>, Unframed> {
        if self.buffer.is_empty() {
            return Ok(None);
        }
        let rest = self.buffer.split().freeze();
        let last = (self.framing == Framing::Delimited).then(|| decoded(&rest[..]));
        last.flatten().map(Some).ok_or(Unframed::Undecodable)
    }

    /// A delimiter may be a part of the data: then what is before it is no whole message, and the next delimiter is looked at.
    fn delimited(&mut self) -> Result<Option<RelayResponse>, Unframed> {
        while let Some(at) = find(&self.buffer, self.scanned) {
            if let Some(message) = self.buffer.get(..at).and_then(decoded) {
                self.buffer.advance(at.saturating_add(DELIMITER.len()));
                (self.scanned, self.in_data) = (0, 0);
                return Ok(Some(message));
            }
            (self.scanned, self.in_data) = (at.saturating_add(1), self.in_data.saturating_add(1));
            if self.in_data > MAX_IN_DATA {
                return Err(Unframed::Undecodable);
            }
        }
        // Its last bytes may be the beginning of a delimiter.
        let seen = self
            .buffer
            .len()
            .saturating_sub(DELIMITER.len().saturating_sub(1));
        self.scanned = self.scanned.max(seen);
        Ok(None)
    }

    fn counted(&mut self) -> Result<Option<RelayResponse>, Unframed> {
        let Some(length) = self.buffer.first_chunk::<LENGTH>() else {
            return Ok(None);
        };
        let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
        if length > MAX_MESSAGE {
            return Err(Unframed::TooLarge);
        }
        if self.buffer.len().saturating_sub(LENGTH) < length {
            return Ok(None);
        }
        self.buffer.advance(LENGTH);
        let message = decoded(self.buffer.split_to(length).freeze());
        message.map(Some).ok_or(Unframed::Undecodable)
    }
}

/// A relay response; `None` of what is none, or an empty one.
fn decoded(bytes: impl bytes::Buf) -> Option<RelayResponse> {
    let response = RelayResponse::decode(bytes).ok()?;
    (response != RelayResponse::default()).then_some(response)
}
