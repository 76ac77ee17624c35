//! From a supplier's bytes to an answer that may be shown: decode, verify, judge. Pure.

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

/// Reads and verifies a relay response: shape, session header, payload hash, supplier signature.
pub(crate) fn open(sent: Sent, header: &SessionHeader, supplier: &PublicKey) -> Result<RelayResponse, Fault> {
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
pub(crate) fn judge(payload: Bytes, id: &Id) -> Result<Judged, Fault> {
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
mod tests {
    use super::*;

    fn judge(status: u32, body: &str, id: &str) -> Result<Judged, Fault> {
        let body_bz = Bytes::copy_from_slice(body.as_bytes());
        let response = PokthttpResponse {
            status_code: status,
            body_bz,
            ..Default::default()
        };
        super::judge(
            response.encode_to_vec().into(),
            &Some(Bytes::copy_from_slice(id.as_bytes())),
        )
    }

    #[test]
    fn passes_what_the_chain_says_byte_for_byte() {
        for body in [
            r#"{"jsonrpc":"2.0","id":7,"result":"0x1"}"#,
            r#"{"id":7, "result":null, "jsonrpc":"2.0"}"#,
            r#"{"jsonrpc":"2.0","id":7,"error":{"code":3,"message":"execution reverted","data":"0x08c3"}}"#,
            " {\"id\":7,\"result\":[1,\n2]}\n",
        ] {
            assert_eq!(judge(200, body, "7").unwrap().answer, body.as_bytes());
            assert!(
                judge(400, body, "7").is_ok(),
                "an error of the chain may come with a 4xx"
            );
        }
    }

    #[test]
    fn refuses_what_is_no_answer_to_the_call() {
        for body in [
            "",
            "  ",
            "<html>502</html>",
            "[]",
            "7",
            "oops",
            "{",
            "{}",
            r#"{"id":7}"#,
            r#"{"id":7,"error":null}"#,
            r#"{"result":1}"#,
            r#"{"id":8,"result":1}"#,
            r#"{"id":"7","result":1}"#,
            r#"{"id":null,"error":{"code":-32700,"message":"parse error"}}"#,
            "{\"id\":7,\"result\":\"\u{1}\"}",
        ] {
            assert_eq!(
                judge(200, body, "7").unwrap_err().cause(),
                "bad_payload",
                "{body}"
            );
        }
    }

    #[test]
    fn gives_the_caller_back_its_own_id() {
        let answer = judge(200, r#"{"id" : "a" ,"result":1}"#, r#""\u0061""#)
            .unwrap()
            .answer;
        assert_eq!(answer, r#"{"id" : "\u0061" ,"result":1}"#);
    }

    #[test]
    fn blames_the_backend_for_a_server_error_and_keeps_what_it_said() {
        let body = r#"{"id":7,"error":{"code":-32603,"message":"internal"}}"#;
        let judged = judge(500, body, "7").unwrap();
        assert_eq!((judged.failed, &judged.answer[..]), (true, body.as_bytes()));
        assert_eq!(judge(503, "<html>", "7").unwrap_err().cause(), "backend");
        assert_eq!(judge(429, "slow down", "7").unwrap_err().cause(), "backend");
    }

    #[test]
    fn asks_nothing_of_the_answer_to_a_notification() {
        let response = PokthttpResponse {
            status_code: 200,
            ..Default::default()
        };
        let judged = super::judge(response.encode_to_vec().into(), &None).unwrap();
        assert!(judged.answer.is_empty());
    }
}
