//! Whether a backend's answer is one to the call.

use std::collections::BTreeMap;

use bytes::{BufMut, Bytes, BytesMut};
use serde_json::Value;
use serde_json::value::RawValue;

use super::members::members;
use super::{Id, Verdict};
use crate::codec::response::{Response, TOO_MANY_REQUESTS};
use crate::core::fault::Fault;

/// Codes by which nodes say that they are asked too often: limit exceeded (EIP-1474), and the HTTP status as a code (Alchemy, Solana's public nodes).
const LIMIT_EXCEEDED: [i64; 2] = [-32005, 429];

/// Takes the backend's answer out of a verified payload, if it is one to the request with `id`.
///
/// The body is judged first: what is an answer is passed on whatever the status, and only an error that says itself that the node is asked too
/// often may be bettered by another supplier. What the chain says stays byte for byte, errors of the chain too; an id that says the same in
/// another form becomes the caller's. Each payload answers one request, so the id only confirms.
pub(super) fn judge(payload: Bytes, id: &Id, max_bytes: usize) -> Result<Verdict, Fault> {
    let response = Response::open(payload, max_bytes)?;
    let judged = match id {
        Some(id) => matched(&response.body, id),
        None if response.is_failing() => Err("nothing is asked of it"),
        None => Ok(Matched::default()),
    };
    match judged {
        Ok(matched) => Ok(Verdict {
            status: response.status,
            answer: matched.answer,
            headers: BTreeMap::new(),
            retry_after: response.retry_after(),
            failed: response.status == TOO_MANY_REQUESTS && matched.is_limit,
        }),
        Err(_) if response.is_failing() => Err(response.failure()),
        Err(why) => Err(response.bad(why)),
    }
}

/// An answer under the caller's id.
#[derive(Default)]
struct Matched {
    answer: Bytes,
    /// Whether it is an error that says that the node is asked too often.
    is_limit: bool,
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
    let is_limit = is_error && error.is_some_and(is_limit);
    Ok(Matched { answer, is_limit })
}

/// Whether a body is a JSON-RPC error.
pub(crate) fn is_error(body: &[u8]) -> bool {
    let found = std::str::from_utf8(body).map(|text| members(text, ["jsonrpc", "error"]));
    matches!(found, Ok(Ok([Some(_), Some(_)])))
}

/// Whether an error says that the node is asked too often.
pub(super) fn is_limit(error: &RawValue) -> bool {
    let code = members(error.get(), ["code"]).ok().and_then(|[code]| code);
    let code = code.and_then(|code| code.get().parse().ok());
    code.is_some_and(|code: i64| LIMIT_EXCEEDED.contains(&code))
}

/// `body` with `id` in the place of `given`, which is a part of it.
pub(super) fn replaced(body: &Bytes, given: &[u8], id: &[u8]) -> Bytes {
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
