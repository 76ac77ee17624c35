//! Bodies that callers compressed.

use bytes::Bytes;
use http::header::CONTENT_ENCODING;
use http::{HeaderMap, HeaderValue};
use portico_net::budget::{Budgets, holding};
use portico_relay::content_encoding::{self, DecodeError};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

use crate::core::error::RelayError;
use crate::front::error::CallError;

/// Bodies that are decoded at a time; others wait for their turn, as long as their call has.
const DECODING_AT_ONCE: usize = 4;
/// Decoded bytes that are held at a time, until their calls are answered: a few kilobytes may stand for megabytes. Beyond it callers are told
/// to come back.
const MAX_DECODED_IN_FLIGHT: usize = 64 << 20;

/// Undoes content encodings, within bounds for all callers together.
#[derive(Debug)]
pub(crate) struct Decoder {
    turns: Semaphore,
    budgets: Budgets,
}

impl Default for Decoder {
    fn default() -> Self {
        Self {
            turns: Semaphore::new(DECODING_AT_ONCE),
            budgets: Budgets::of_all(MAX_DECODED_IN_FLIGHT),
        }
    }
}

impl Decoder {
    /// The body that these headers describe, without its content encoding.
    pub(crate) async fn decoded(
        &self,
        headers: &HeaderMap,
        body: Bytes,
        max: usize,
        deadline: Instant,
    ) -> Result<Bytes, CallError> {
        let turn = timeout_at(deadline, self.turns.acquire()).await;
        let _turn = turn.map_err(|_| CallError::BodyLate)?;
        let encodings: Vec<HeaderValue> = headers.get_all(CONTENT_ENCODING).iter().cloned().collect();
        let decode = move || {
            let values = encodings.iter().map(|value| value.to_str().unwrap_or("?")); // no name of an encoding
            content_encoding::decode(values, body, max)
        };
        let decoded = tokio::task::spawn_blocking(decode).await;
        match decoded.unwrap_or(Err(DecodeError::Malformed)) {
            Ok(body) => {
                let mut room = self.budgets.room();
                let fits = room.grow(body.len());
                fits.map_err(|_| CallError::Relay(RelayError::Overloaded))?;
                Ok(holding(body, vec![room]))
            }
            Err(DecodeError::TooLarge) => Err(CallError::BodyTooLarge { max }),
            Err(DecodeError::Unsupported) => Err(CallError::UnsupportedEncoding),
            Err(DecodeError::Malformed) => Err(CallError::NotAsEncoded),
        }
    }
}
