//! Error answers and batches, as JSON.

use bytes::{BufMut, Bytes, BytesMut};
use serde::Serialize;
use serde_json::value::RawValue;

use super::Id;

/// Where an error comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Source {
    /// This gateway, or the call as it arrived here.
    Gateway,
    /// The suppliers of the session.
    Supplier,
    /// The chain that pays.
    Chain,
}

/// `error.data` of every error answer.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Data {
    /// Name of the row in the table of errors.
    pub(crate) reason: &'static str,
    /// Where the error comes from.
    pub(crate) source: Source,
    /// Whether the same call may succeed later.
    pub(crate) retryable: bool,
    /// Suppliers that were tried, in order.
    pub(crate) attempts: Vec<Attempt>,
    /// Id of the call in logs and in the `X-Request-Id` header.
    pub(crate) request_id: String,
    /// Path on this gateway that explains the reason.
    pub(crate) docs: String,
    /// More, by reason.
    #[serde(flatten)]
    pub(crate) more: serde_json::Map<String, serde_json::Value>,
}

/// One try at one supplier, for the caller.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Attempt {
    pub(crate) supplier: String,
    pub(crate) cause: &'static str,
    /// The cause for people, with the beginning of what was said instead of an answer.
    pub(crate) detail: String,
    pub(crate) ms: u64,
}

/// An error answer to the request with `id`, as JSON.
pub(crate) fn error(id: &Id, code: i32, message: &str, data: &Data) -> Bytes {
    #[derive(Serialize)]
    struct Answer<'a> {
        jsonrpc: &'a str,
        id: &'a RawValue,
        error: Object<'a>,
    }
    #[derive(Serialize)]
    struct Object<'a> {
        code: i32,
        message: &'a str,
        data: &'a Data,
    }
    let id = id
        .as_deref()
        .and_then(|id| serde_json::from_slice(id).ok())
        .unwrap_or(RawValue::NULL);
    let answer = Answer {
        jsonrpc: "2.0",
        id,
        error: Object { code, message, data },
    };
    serde_json::to_vec(&answer)
        .expect("text, numbers and raw JSON always serialize")
        .into()
}

/// Answers beyond this size, in bytes, are parts of a batch's body by themselves; smaller ones are copied together.
const LARGE: usize = 16 << 10;

/// Joins answers to a batch, in parts: no large answer is copied.
pub(crate) fn batch(answers: Vec<Bytes>) -> Vec<Bytes> {
    let (mut parts, mut joined) = (Vec::new(), BytesMut::new());
    joined.put_u8(b'[');
    for (index, answer) in answers.into_iter().enumerate() {
        if index > 0 {
            joined.put_u8(b',');
        }
        if answer.len() < LARGE {
            joined.put_slice(&answer);
        } else {
            parts.push(joined.split().freeze());
            parts.push(answer);
        }
    }
    joined.put_u8(b']');
    parts.push(joined.freeze());
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joins_answers_without_copying_large_ones() {
        let joined = |answers: Vec<Bytes>| batch(answers).concat();
        assert_eq!(joined(vec![]), b"[]");
        assert_eq!(joined(vec!["1".into(), "2".into()]), b"[1,2]");
        let large = Bytes::from(vec![b'7'; LARGE]);
        let parts = batch(vec!["1".into(), large.clone(), large.clone(), "2".into()]);
        let expected = [b"[1,", &large[..], b",", &large[..], b",2]"].concat();
        assert_eq!(parts.concat(), expected);
        let shared = parts.iter().filter(|part| part.as_ptr() == large.as_ptr());
        assert_eq!(shared.count(), 2);
    }
}
