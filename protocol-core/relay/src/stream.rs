//! Answers that come piece by piece: server-sent events, lines of JSON. One request, many signed messages, one leaf.
//!
//! ```text
//!  backend ── bytes ──► StreamWriter ── frames ──► StreamReader ── verified bytes ──► caller
//!                            └── the response that the leaf is made of, which commits to all of them
//! ```
//! Two framings, by what the client of the servicer understands:
//!
//! - [`Framing::Delimited`] is the HA relay miner's: signed responses with `||POKT_STREAM||` behind each. A message stands alone: nothing in it
//!   says that it is the next, or the last. The delimiter may be in the data, since the writer cuts the data within it.
//! - [`Framing::Chained`] is ours, asked for by the header [`HEADER`]: each message names the hash of the one before, so that none can be left out,
//!   repeated or put elsewhere, and the last one says that it is the last. `docs/streams.md` specifies it, with vectors.
//!
//! Pure: the shells read and write the bytes, and bound the time.

mod chain;
mod frames;
mod reader;
mod writer;

#[cfg(test)]
mod tests;

pub use self::chain::{StreamChunk, StreamEnd};
pub use self::reader::{Part, StreamFault, StreamReader};
pub use self::writer::{End, StreamWriter};

/// Header by which a client asks for [`Framing::Chained`], and by which the answer says that it is so framed; its value is [`VERSION`].
pub const HEADER: &str = "portico-stream";
/// The framing's version.
pub const VERSION: &str = "1";
/// Most bytes of a backend's in one message; the HA relay miner's.
pub const MAX_DATA: usize = 100 << 10;
/// Largest message that is read, in bytes: the HA relay miner's largest is a batch of 100 KB and a line of 256 KB.
pub const MAX_MESSAGE: usize = 1 << 20;

/// How signed messages stand one behind the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// With a delimiter behind each.
    Delimited,
    /// With its length before each, and each with the hash of the one before.
    Chained,
}

/// Whether an answer with this `Content-Type` is a stream: its media type is `text/event-stream` or `application/x-ndjson`.
#[must_use]
pub fn is_stream(content_type: &[u8]) -> bool {
    let media_type = content_type
        .split(|byte| *byte == b';')
        .next()
        .unwrap_or_default();
    let media_type = media_type.trim_ascii();
    media_type.eq_ignore_ascii_case(b"text/event-stream")
        || media_type.eq_ignore_ascii_case(b"application/x-ndjson")
}
