//! Whether a backend's answer is one to the call.

use bytes::{BufMut, Bytes, BytesMut};
use portico_protocol::wire::sdk::types::PokthttpResponse;
use prost::Message;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::read::present;
use super::{Id, Verdict};
use crate::core::fault::Fault;

/// The members of an answer that the gateway reads.
#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    id: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    result: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    error: Option<&'a RawValue>,
}

/// Takes the backend's answer out of a verified payload, if it is one to the request with `id`.
///
/// What the chain says stays byte for byte, errors of the chain too. An id that says the same in other bytes becomes the caller's.
pub(super) fn judge(payload: Bytes, id: &Id) -> Result<Verdict, Fault> {
    let response =
        PokthttpResponse::decode(payload).map_err(|_| Fault::BadPayload("it is no HTTP response"))?;
    let status = response.status_code;
    let failed = status >= 500 || status == 429;
    let Some(id) = id else {
        return match failed {
            true => Err(Fault::Backend { status }),
            false => Ok(Verdict {
                status,
                answer: Bytes::new(),
                failed,
            }),
        };
    };
    matched(&response.body_bz, id)
        .map(|answer| Verdict {
            status,
            answer,
            failed,
        })
        .map_err(|why| match failed {
            true => Fault::Backend { status },
            false => Fault::BadPayload(why),
        })
}

/// The answer with the caller's id, if it is a JSON-RPC answer to the request with `id`; otherwise what is wrong with it.
fn matched(body: &Bytes, id: &Bytes) -> Result<Bytes, &'static str> {
    let text = body.trim_ascii();
    match text.first() {
        None => return Err("it is empty"),
        Some(b'{') => {}
        Some(b'<') => return Err("it is HTML or XML"),
        Some(_) => return Err("it is no JSON object"),
    }
    let answer: Answer<'_> = serde_json::from_slice(text).map_err(|_| "it is no JSON-RPC answer")?;
    let error = answer.error.filter(|error| error.get() != "null");
    if answer.result.is_none() && error.is_none() {
        return Err("it has neither result nor error");
    }
    let given = answer.id.ok_or("it has no id")?.get().as_bytes();
    if given == &id[..] {
        return Ok(body.clone());
    }
    if !same(given, id) {
        return Err("its id is not the call's");
    }
    let at = given.as_ptr().addr().saturating_sub(body.as_ptr().addr());
    let end = at.saturating_add(given.len());
    let (head, tail) = (&body[..at], &body[end..]);
    let mut spliced = BytesMut::with_capacity(head.len().saturating_add(id.len()).saturating_add(tail.len()));
    for part in [head, &id[..], tail] {
        spliced.put_slice(part);
    }
    Ok(spliced.freeze())
}

/// Whether two ids are the same JSON value in different bytes, such as `"\u0061"` and `"a"`.
fn same(a: &[u8], b: &[u8]) -> bool {
    let value = |bytes| serde_json::from_slice::<serde_json::Value>(bytes).ok();
    value(a).is_some() && value(a) == value(b)
}

#[cfg(test)]
mod tests;
