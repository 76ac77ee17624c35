//! From a supplier's bytes to an answer that may be shown: decode, verify, judge.

use bytes::{BufMut, Bytes, BytesMut};
use portico_protocol::PublicKey;
use portico_protocol::relay::{RelayError, verify_response};
use portico_protocol::wire::pocket::service::RelayResponse;
use portico_protocol::wire::pocket::session::SessionHeader;
use portico_protocol::wire::sdk::types::PokthttpResponse;
use prost::Message;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::fault::Fault;
use crate::http::jsonrpc::{Id, present};
use crate::send::Sent;

/// Answers beyond this size, in bytes, are checked off the async workers: hashing and parsing take about a millisecond from there on.
const LARGE: usize = 512 << 10;

/// A response that may be shown, and what it says.
#[derive(Debug)]
pub(crate) struct Checked {
    pub(crate) response: RelayResponse,
    pub(crate) judged: Judged,
}

/// Everything that is checked of an answer; small ones here, large ones on the pool for blocking work.
pub(crate) async fn check(
    sent: Sent,
    header: &SessionHeader,
    supplier: PublicKey,
    id: &Id,
) -> Result<Checked, Fault> {
    if sent.body.len() < LARGE {
        return check_here(sent, header, &supplier, id);
    }
    let (header, id) = (header.clone(), id.clone());
    let checked = tokio::task::spawn_blocking(move || check_here(sent, &header, &supplier, &id)).await;
    checked.unwrap_or(Err(Fault::Undecodable)) // the runtime is going down
}

fn check_here(sent: Sent, header: &SessionHeader, supplier: &PublicKey, id: &Id) -> Result<Checked, Fault> {
    let response = open(sent, header, supplier)?;
    let judged = judge(response.payload.clone(), id)?;
    Ok(Checked { response, judged })
}

/// Reads and verifies a relay response: shape, session header, payload hash, supplier signature.
fn open(sent: Sent, header: &SessionHeader, supplier: &PublicKey) -> Result<RelayResponse, Fault> {
    let Sent { status, body } = sent;
    let decoded = RelayResponse::decode(body.clone()).ok();
    let Some(response) = decoded.filter(|response| *response != RelayResponse::default()) else {
        return Err(match status.is_success() {
            true => Fault::Undecodable,
            false => Fault::http(status.as_u16(), &error_text(&body)),
        });
    };
    verify_response(&response, header, supplier).map_err(|error| match error {
        RelayError::Miner(miner) => Fault::miner(&miner.codespace, miner.code, &miner.message),
        other => Fault::Unverified(other),
    })?;
    Ok(response)
}

/// The text of `{"error": "…"}`, or the body's beginning.
fn error_text(body: &Bytes) -> String {
    #[derive(Deserialize)]
    struct Error {
        error: String,
    }
    let text = || String::from_utf8_lossy(body.get(..512).unwrap_or(body)).into_owned();
    serde_json::from_slice::<Error>(body).map_or_else(|_| text(), |body| body.error)
}

/// A backend's answer to a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Judged {
    /// HTTP status that the backend gave.
    pub(crate) status: u32,
    /// JSON for the caller; empty for a notification.
    pub(crate) answer: Bytes,
    /// Whether the status says that the backend failed, although it answered: another supplier may do better.
    pub(crate) failed: bool,
}

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
fn judge(payload: Bytes, id: &Id) -> Result<Judged, Fault> {
    let response =
        PokthttpResponse::decode(payload).map_err(|_| Fault::BadPayload("it is no HTTP response"))?;
    let status = response.status_code;
    let failed = status >= 500 || status == 429;
    let Some(id) = id else {
        return match failed {
            true => Err(Fault::Backend { status, reply: None }),
            false => Ok(Judged {
                status,
                answer: Bytes::new(),
                failed,
            }),
        };
    };
    answer(&response.body_bz, id)
        .map(|answer| Judged {
            status,
            answer,
            failed,
        })
        .map_err(|why| match failed {
            true => Fault::Backend { status, reply: None },
            false => Fault::BadPayload(why),
        })
}

fn answer(body: &Bytes, id: &Bytes) -> Result<Bytes, &'static str> {
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
