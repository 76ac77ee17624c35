//! Whether a backend's answer is one to the call.

use bytes::{BufMut, Bytes, BytesMut};
use portico_protocol::wire::sdk::types::{Header, PokthttpResponse};
use portico_relay::content_encoding::{self, DecodeError};
use prost::Message;
use serde_json::Value;

use super::members::members;
use super::{Id, Verdict};
use crate::core::fault::{Fault, beginning};

/// Longest pause that a backend may ask for, in seconds; a longer one is told as this.
const MAX_RETRY_AFTER: u32 = 3_600;
/// HTTP status of a backend that is asked too often.
const TOO_MANY_REQUESTS: u32 = 429;

/// Takes the backend's answer out of a verified payload, if it is one to the request with `id`.
///
/// The body is judged first: what is an answer is passed on whatever the status. What the chain says stays byte for byte, errors of the
/// chain too; an id that says the same in another form becomes the caller's. Each payload answers one request, so the id only confirms.
pub(super) fn judge(payload: Bytes, id: &Id, max_bytes: usize) -> Result<Verdict, Fault> {
    let mut response = PokthttpResponse::decode(payload.clone()).map_err(|_| Fault::BadPayload {
        why: "it is no HTTP response",
        status: 0,
        text: beginning(&payload),
    })?;
    decode_body(&mut response, max_bytes)?;
    let status = response.status_code;
    let judged = match id {
        Some(id) => matched(&response.body_bz, id),
        None if failing(status) => Err("nothing is asked of it"),
        None => Ok(Matched::default()),
    };
    match judged {
        Ok(matched) => Ok(Verdict {
            status,
            answer: matched.answer,
            retry_after: retry_after(&response),
            failed: status == TOO_MANY_REQUESTS && matched.is_error,
        }),
        Err(_) if failing(status) => Err(Fault::Backend {
            status,
            retry_after: retry_after(&response),
            text: beginning(&response.body_bz),
        }),
        Err(why) => Err(Fault::BadPayload {
            why,
            status,
            text: beginning(&response.body_bz),
        }),
    }
}

/// Undoes the content encoding of a backend that compresses unasked, or whose supplier asked it to.
fn decode_body(response: &mut PokthttpResponse, max_bytes: usize) -> Result<(), Fault> {
    let Some(encodings) = header(response, "content-encoding") else {
        return Ok(());
    };
    let values = encodings.values.iter().map(String::as_str);
    let decoded = content_encoding::decode(values, response.body_bz.clone(), max_bytes);
    response.body_bz = decoded.map_err(|error| match error {
        DecodeError::TooLarge => Fault::TooLarge(max_bytes),
        DecodeError::Unsupported => undecodable("its content encoding is unknown", response),
        DecodeError::Malformed => undecodable("it is not encoded as it says", response),
    })?;
    Ok(())
}

fn undecodable(why: &'static str, response: &PokthttpResponse) -> Fault {
    Fault::BadPayload {
        why,
        status: response.status_code,
        text: String::new(), // compressed bytes tell nobody anything
    }
}

fn header<'r>(response: &'r PokthttpResponse, wanted: &str) -> Option<&'r Header> {
    let mut headers = response.header.iter();
    headers
        .find(|(name, _)| name.eq_ignore_ascii_case(wanted))
        .map(|(_, header)| header)
}

const fn failing(status: u32) -> bool {
    status >= 500 || status == TOO_MANY_REQUESTS
}

/// `Retry-After` of a response that is no success, if it is in seconds.
fn retry_after(response: &PokthttpResponse) -> Option<u32> {
    if response.status_code < 400 {
        return None;
    }
    let seconds: u32 = header(response, "retry-after")?
        .values
        .first()?
        .trim()
        .parse()
        .ok()?;
    Some(seconds.min(MAX_RETRY_AFTER))
}

/// An answer under the caller's id.
#[derive(Default)]
struct Matched {
    answer: Bytes,
    is_error: bool,
}

/// The answer with the caller's id, if it is a JSON-RPC answer to the request with `id`; otherwise what is wrong with it.
fn matched(body: &Bytes, id: &Bytes) -> Result<Matched, &'static str> {
    let text = body.trim_ascii();
    match text.first() {
        None => return Err("it is empty"),
        Some(b'{') => {}
        Some(b'<') => return Err("it is HTML or XML"),
        Some(_) => return Err("it is no JSON object"),
    }
    let object = std::str::from_utf8(text).map_err(|_| "it is no JSON-RPC answer")?;
    let [given, result, error] =
        members(object, ["id", "result", "error"]).map_err(|_| "it is no JSON-RPC answer")?;
    let is_error = error.is_some_and(|error| error.get() != "null");
    if result.is_none() && !is_error {
        return Err("it has neither result nor error");
    }
    let answer = match given.map(|given| given.get().as_bytes()) {
        Some(given) if given == &id[..] => body.clone(),
        // A node that cannot read a request refuses it without knowing its id.
        Some(given) if same(given, id) || (is_error && given == b"null") => replaced(body, given, id),
        Some(_) => return Err("its id is not the call's"),
        None if is_error => inserted(body, text, id),
        None => return Err("it has no id"),
    };
    Ok(Matched { answer, is_error })
}

/// `body` with `id` in the place of `given`, which is a part of it.
fn replaced(body: &Bytes, given: &[u8], id: &[u8]) -> Bytes {
    let at = given.as_ptr().addr().saturating_sub(body.as_ptr().addr());
    let end = at.saturating_add(given.len());
    joined(&[&body[..at], id, &body[end..]])
}

/// `body` with `id` as the first member of its object, whose text is `object`.
fn inserted(body: &Bytes, object: &[u8], id: &[u8]) -> Bytes {
    let brace = object.as_ptr().addr().saturating_sub(body.as_ptr().addr());
    let at = brace.saturating_add(1);
    joined(&[&body[..at], b"\"id\":", id, b",", &body[at..]])
}

fn joined(parts: &[&[u8]]) -> Bytes {
    let mut joined = BytesMut::with_capacity(parts.iter().map(|part| part.len()).sum());
    for part in parts {
        joined.put_slice(part);
    }
    joined.freeze()
}

/// Whether two ids say the same in different bytes, such as `"\u0061"` and `"a"`, or `7` and `"7"`.
fn same(a: &[u8], b: &[u8]) -> bool {
    let value = |bytes| serde_json::from_slice::<Value>(bytes).ok();
    match (value(a), value(b)) {
        (Some(Value::String(text)), Some(Value::Number(_))) => text.as_bytes() == b,
        (Some(Value::Number(_)), Some(Value::String(text))) => text.as_bytes() == a,
        (a, b) => a.is_some() && a == b,
    }
}

#[cfg(test)]
mod tests;
