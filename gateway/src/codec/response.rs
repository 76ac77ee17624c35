//! The HTTP response in a verified payload, as the codecs read it.

use std::collections::BTreeMap;

use bytes::Bytes;
use portico_protocol::wire::sdk::types::{Header, PokthttpResponse};
use portico_relay::content_encoding::{self, DecodeError};
use prost::Message;

use crate::core::fault::{Fault, beginning};

/// Longest pause that a backend may ask for, in seconds; a longer one is told as this.
const MAX_RETRY_AFTER: u32 = 3_600;
/// HTTP status of a backend that is asked too often.
pub(super) const TOO_MANY_REQUESTS: u32 = 429;

/// A backend's answer, its content encoding undone.
pub(super) struct Response {
    pub(super) status: u32,
    pub(super) headers: BTreeMap<String, Header>,
    pub(super) body: Bytes,
}

impl Response {
    /// Reads a payload whose body, once its content encoding is undone, has at most `max_bytes`.
    pub(super) fn open(payload: Bytes, max_bytes: usize) -> Result<Self, Fault> {
        let response = PokthttpResponse::decode(payload.clone()).map_err(|_| Fault::BadPayload {
            why: "it is no HTTP response",
            status: 0,
            text: beginning(&payload),
        })?;
        let mut response = Self {
            status: response.status_code,
            headers: response.header,
            body: response.body_bz,
        };
        response.decode_body(max_bytes)?;
        Ok(response)
    }

    /// Undoes the content encoding of a backend that compresses unasked, or whose supplier asked it to.
    fn decode_body(&mut self, max_bytes: usize) -> Result<(), Fault> {
        let Some(encodings) = self.header("content-encoding") else {
            return Ok(());
        };
        let values = encodings.values.iter().map(String::as_str);
        // An answer to HEAD says how its body would be encoded, and has none.
        if self.body.is_empty() || !content_encoding::is_encoded(values.clone()) {
            return Ok(());
        }
        let decoded = content_encoding::decode(values, self.body.clone(), max_bytes);
        self.body = decoded.map_err(|error| match error {
            DecodeError::TooLarge => Fault::TooLarge(max_bytes),
            DecodeError::Unsupported => self.undecodable("its content encoding is unknown"),
            DecodeError::Malformed => self.undecodable("it is not encoded as it says"),
        })?;
        Ok(())
    }

    fn undecodable(&self, why: &'static str) -> Fault {
        Fault::BadPayload {
            why,
            status: self.status,
            text: String::new(), // compressed bytes tell nobody anything
        }
    }

    /// What is wrong with it, as a fault.
    pub(super) fn bad(&self, why: &'static str) -> Fault {
        Fault::BadPayload {
            why,
            status: self.status,
            text: beginning(&self.body),
        }
    }

    /// That its backend failed, as a fault.
    pub(super) fn failure(&self) -> Fault {
        Fault::Backend {
            status: self.status,
            retry_after: self.retry_after(),
            text: beginning(&self.body),
        }
    }

    fn header(&self, wanted: &str) -> Option<&Header> {
        let mut headers = self.headers.iter();
        headers
            .find(|(name, _)| name.eq_ignore_ascii_case(wanted))
            .map(|(_, header)| header)
    }

    /// Whether its status says that the backend could not, and another may.
    pub(super) const fn is_failing(&self) -> bool {
        self.status >= 500 || self.status == TOO_MANY_REQUESTS
    }

    /// `Retry-After` of a response that is no success, if it is in seconds.
    pub(super) fn retry_after(&self) -> Option<u32> {
        if self.status < 400 {
            return None;
        }
        let value = self.header("retry-after")?.values.first()?;
        let seconds: u32 = value.trim().parse().ok()?;
        Some(seconds.min(MAX_RETRY_AFTER))
    }
}
