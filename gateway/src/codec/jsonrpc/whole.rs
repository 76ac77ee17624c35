//! A batch that is one relay: the node gets it as its caller wrote it, and answers it at once.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::judge::{is_limit, replaced};
use super::members::members;
use super::read::{Item, NotARequest, entries, method};
use super::{batch, repeated};
use crate::codec::response::{Response, TOO_MANY_REQUESTS};
use crate::codec::{Codec, Verdict};
use crate::core::call::Call;
use crate::core::fault::Fault;

/// What batches of one service are expected to have answers of like size by.
const METHOD: &[u8] = b"[batch]";

/// The codec of batches that are sent whole.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WholeBatch;

/// Ids that want an answer, as they stand in the batch.
pub(crate) type Ids = Arc<[Bytes]>;

/// The ids of a batch that may be one relay; `None` if its entries must be relayed by themselves: where one is no request, where some are for
/// another kind of node than others, or where one sends a transaction, since only by itself can a second try tell that the first was
/// carried out.
pub(crate) fn whole(items: &[Result<Item, NotARequest>]) -> Option<Ids> {
    let mut ids = Vec::new();
    let mut kind = None;
    for item in items {
        let item = item.as_ref().ok()?;
        if *kind.get_or_insert(item.is_comet_bft) != item.is_comet_bft || repeated::sends(method(&item.body))
        {
            return None;
        }
        ids.extend(item.id.clone());
    }
    Some(ids.into())
}

impl Codec for WholeBatch {
    type Expected = Ids;

    fn judge(self, call: &Call<Ids>, payload: Bytes, max_bytes: usize) -> Result<Verdict, Fault> {
        judge(payload, &call.expected, max_bytes)
    }

    fn method(self, _call: &Call<Ids>) -> &[u8] {
        METHOD
    }
}

/// Takes the backend's answer out of a verified payload, if it answers every id once; as of a single call, what is an answer is passed on
/// whatever the status.
fn judge(payload: Bytes, ids: &[Bytes], max_bytes: usize) -> Result<Verdict, Fault> {
    let response = Response::open(payload, max_bytes)?;
    match matched(&response.body, ids) {
        Err(_) if response.is_failing() => Err(response.failure()),
        Err(why) => Err(response.bad(why)),
        Ok(_) if ids.is_empty() && response.is_failing() => Err(response.failure()),
        Ok(matched) => Ok(Verdict {
            status: response.status,
            answer: matched.answer,
            headers: BTreeMap::new(),
            retry_after: response.retry_after(),
            failed: response.status == TOO_MANY_REQUESTS && matched.is_limit,
        }),
    }
}

/// Answers under the caller's ids.
#[derive(Debug, Default, PartialEq, Eq)]
struct Matched {
    answer: Bytes,
    /// Whether all are errors that say that the node is asked too often.
    is_limit: bool,
}

/// The answers with the caller's ids, as the node wrote them and in its order; otherwise what is wrong with them.
fn matched(body: &Bytes, ids: &[Bytes]) -> Result<Matched, &'static str> {
    const NONE: &str = "it is no answer to a JSON-RPC batch";
    if ids.is_empty() {
        return Ok(Matched::default()); // all were notifications
    }
    let text = std::str::from_utf8(body.trim_ascii()).map_err(|_| NONE)?;
    if text.starts_with('{') {
        return refused(text, ids).ok_or("it is no JSON array");
    }
    let found =
        entries(text, ids.len()).ok_or("it is no JSON array of as many answers as there were calls")?;
    let mut open: HashMap<String, Vec<&Bytes>> = HashMap::new();
    for id in ids {
        open.entry(key(id)).or_default().push(id);
    }
    let (mut answers, mut is_changed, mut is_limit) = (Vec::with_capacity(found.len()), false, true);
    for entry in &found {
        let [given, result, error] = members(entry.get(), ["id", "result", "error"]).map_err(|_| NONE)?;
        let error = error.filter(|error| error.get() != "null");
        if result.is_none() && error.is_none() {
            return Err("an answer has neither result nor error");
        }
        is_limit &= error.is_some_and(super::judge::is_limit);
        let given = given.ok_or("an answer has no id")?.get().as_bytes();
        let same = open.get_mut(&key(given)).filter(|same| !same.is_empty());
        let same = same.ok_or("an answer's id is no call's")?;
        let exact = same.iter().position(|id| id[..] == *given);
        let id = same.swap_remove(exact.unwrap_or(0));
        let answer = body.slice_ref(entry.get().as_bytes());
        answers.push(match exact {
            Some(_) => answer,
            None => {
                is_changed = true;
                replaced(&answer, given, id)
            }
        });
    }
    if answers.len() < ids.len() {
        return Err("a call of the batch has no answer");
    }
    let answer = match is_changed {
        true => batch(answers).concat().into(),
        false => body.clone(),
    };
    Ok(Matched { answer, is_limit })
}

/// The node's one error for the batch, under each id: libraries look for an answer to each call.
fn refused(text: &str, ids: &[Bytes]) -> Option<Matched> {
    #[derive(Serialize)]
    struct Answer<'a> {
        jsonrpc: &'static str,
        id: &'a RawValue,
        error: &'a RawValue,
    }
    let [error] = members(text, ["error"]).ok()?;
    let error = error.filter(|error| error.get() != "null")?;
    let answers = ids.iter().map(|id| {
        let id = serde_json::from_slice(id).ok()?;
        let answer = Answer {
            jsonrpc: "2.0",
            id,
            error,
        };
        serde_json::to_vec(&answer).ok().map(Bytes::from)
    });
    Some(Matched {
        answer: batch(answers.collect::<Option<_>>()?).concat().into(),
        is_limit: is_limit(error),
    })
}

/// Ids that say the same have the same key: `"\u0061"` and `"a"`, `7` and `"7"`.
fn key(id: &[u8]) -> String {
    match serde_json::from_slice(id) {
        Ok(Value::String(text)) => text,
        Ok(Value::Null) => "\0null".to_owned(),
        _ => String::from_utf8_lossy(id).into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use portico_protocol::wire::sdk::types::PokthttpResponse;
    use prost::Message as _;

    use super::super::{Body, read};
    use super::*;

    fn ids_of(text: &str) -> Option<Vec<String>> {
        let Body::Batch(items) = read(&Bytes::copy_from_slice(text.as_bytes()), 10) else {
            panic!("{text} is no batch")
        };
        let ids = whole(&items)?;
        Some(
            ids.iter()
                .map(|id| String::from_utf8_lossy(id).into_owned())
                .collect(),
        )
    }

    fn judged(status: u32, body: &str, ids: &[&'static str]) -> Result<Verdict, Fault> {
        let response = PokthttpResponse {
            status_code: status,
            body_bz: Bytes::copy_from_slice(body.as_bytes()),
            ..PokthttpResponse::default()
        };
        let ids: Vec<Bytes> = ids.iter().map(|id| Bytes::from(*id)).collect();
        judge(response.encode_to_vec().into(), &ids, 1 << 10)
    }

    #[test]
    fn a_batch_is_whole_unless_an_entry_must_go_by_itself() {
        let ids = |ids: &[&str]| Some(ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>());
        let calls = r#"[{"id":1,"method":"eth_call"},{"method":"x"},{"id":"a","method":"y"}]"#;
        assert_eq!(ids_of(calls), ids(&["1", "\"a\""]));
        assert_eq!(ids_of(r#"[{"method":"x"}]"#), ids(&[]));
        for by_itself in [
            r#"[{"id":1,"method":"eth_call"},7]"#,
            r#"[{"id":1,"method":"eth_call"},{"id":2,"method":"eth_sendRawTransaction","params":["0x"]}]"#,
            r#"[{"id":1,"method":"eth_call"},{"id":2,"method":"\u0065th_sendRawTransaction"}]"#,
            r#"[{"id":1,"method":"eth_call"},{"id":2,"method":"abci_query"}]"#,
        ] {
            assert_eq!(ids_of(by_itself), None, "{by_itself}");
        }
    }

    #[test]
    fn answers_are_passed_on_byte_for_byte_in_the_nodes_order() {
        for body in [
            r#"[{"id":1,"result":7},{"id":"a","error":{"code":3,"message":"reverted"}}]"#,
            " [ {\"id\":\"a\",\"result\":null}, {\"result\":7,\"id\":1} ]\n",
        ] {
            assert_eq!(
                judged(200, body, &["1", "\"a\""]).unwrap().answer,
                body.as_bytes()
            );
            assert!(!judged(429, body, &["1", "\"a\""]).unwrap().failed, "{body}");
        }
        let none = judged(200, "", &[]).unwrap();
        assert!(none.answer.is_empty());
    }

    #[test]
    fn ids_that_say_the_same_become_the_callers() {
        let body = r#"[{"id":"7","result":1},{"id":7,"result":2},{"id":"a","result":3}]"#;
        let answer = judged(200, body, &["7", "7", "\"\\u0061\""]).unwrap().answer;
        let expected = r#"[{"id":7,"result":1},{"id":7,"result":2},{"id":"\u0061","result":3}]"#;
        assert_eq!(answer, expected);
        let both = judged(200, body, &["7", "\"7\"", "\"a\""]).unwrap().answer;
        assert_eq!(both, body);
    }

    #[test]
    fn one_error_for_the_batch_is_an_error_for_each_call() {
        let body = r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"batch too large"}}"#;
        let verdict = judged(200, body, &["1", "2"]).unwrap();
        let error = r#""error":{"code":-32600,"message":"batch too large"}}"#;
        let expected = format!(r#"[{{"jsonrpc":"2.0","id":1,{error},{{"jsonrpc":"2.0","id":2,{error}]"#);
        assert_eq!(verdict.answer, expected);
        let limit = r#"{"id":null,"error":{"code":-32005,"message":"slow down"}}"#;
        assert!(judged(429, limit, &["1"]).unwrap().failed);
        let each = r#"[{"id":1,"error":{"code":-32005,"message":"slow down"}}]"#;
        assert!(judged(429, each, &["1"]).unwrap().failed);
    }

    #[test]
    fn what_does_not_answer_every_call_once_is_no_answer() {
        for body in [
            "",
            "[]",
            "<html>",
            "7",
            r#"{"id":1,"result":7}"#,
            r#"[{"id":1,"result":7}]"#,
            r#"[{"id":1,"result":7},{"id":1,"result":7}]"#,
            r#"[{"id":1,"result":7},{"id":2,"result":7},{"id":3,"result":7}]"#,
            r#"[{"id":1,"result":7},{"id":2}]"#,
            r#"[{"id":1,"result":7},{"result":7}]"#,
            r#"[{"id":1,"result":7},2]"#,
        ] {
            assert_eq!(
                judged(200, body, &["1", "2"]).unwrap_err().cause(),
                "bad_payload",
                "{body}"
            );
            assert_eq!(
                judged(503, body, &["1", "2"]).unwrap_err().cause(),
                "backend",
                "{body}"
            );
        }
        assert!(judged(503, "", &[]).is_err());
    }
}
