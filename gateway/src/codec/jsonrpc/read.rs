//! Calls out of a body: ids and requests are slices of what the caller sent, never re-encoded.

use bytes::Bytes;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::Id;
use super::members::members;
use crate::codec::comet_bft;

/// Most entries of a batch that is too long that get an entry each in the refusal; a longer one gets a single refusal.
pub(crate) const MAX_REFUSED_ENTRIES: usize = 1_000;

/// One JSON-RPC request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Item {
    /// Id as it stands in the body.
    pub(crate) id: Id,
    /// The request as it stands in the body.
    pub(crate) body: Bytes,
    /// Whether its method is one of CometBFT's RPC.
    pub(crate) is_comet_bft: bool,
}

/// Why something is not a JSON-RPC request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NotARequest {
    /// The id, if one can be read.
    pub(crate) id: Id,
    /// What is wrong.
    pub(crate) reason: &'static str,
}

/// A body, read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Body {
    /// Not JSON.
    NotJson,
    /// One request, or something that is none.
    Single(Result<Item, NotARequest>),
    /// A batch within the limit.
    Batch(Vec<Result<Item, NotARequest>>),
    /// A batch beyond the limit: the ids of its requests, unless there are more than [`MAX_REFUSED_ENTRIES`] entries.
    TooLong(Option<Vec<Bytes>>),
}

/// Reads a body; a batch has at most `max_batch` entries.
pub(crate) fn read(body: &Bytes, max_batch: usize) -> Body {
    let Ok(json) = serde_json::from_slice::<&RawValue>(body) else {
        return Body::NotJson;
    };
    if !json.get().starts_with('[') {
        return Body::Single(item(body, json.get()));
    }
    match entries(json.get(), max_batch.max(MAX_REFUSED_ENTRIES)) {
        None => Body::TooLong(None),
        Some(entries) if entries.is_empty() => Body::Single(Err(NotARequest {
            id: None,
            reason: "the batch is empty",
        })),
        Some(entries) => {
            let items = entries.iter().map(|entry| item(body, entry.get()));
            if entries.len() <= max_batch {
                return Body::Batch(items.collect());
            }
            let ids = items.filter_map(|item| item.map_or_else(|not| not.id, |item| item.id));
            Body::TooLong(Some(ids.collect()))
        }
    }
}

/// The method of a request, as it is written there; empty if there is none.
pub(super) fn method(request: &[u8]) -> &[u8] {
    let text = std::str::from_utf8(request).unwrap_or_default();
    let method = members(text, ["method"]).map_or(None, |[method]| method);
    method.map_or(&[], |method| method.get().as_bytes())
}

/// Whether `body` is JSON-RPC by its look, where it may be something else: an object, or an array of objects, that says its version, or has
/// a method and an id.
pub(crate) fn looks_like(body: &[u8]) -> bool {
    let Ok(json) = serde_json::from_slice::<&RawValue>(body) else {
        return false;
    };
    let text = json.get();
    let first = match text.starts_with('[') {
        true => {
            entries(text, MAX_REFUSED_ENTRIES).and_then(|entries| entries.first().map(|first| first.get()))
        }
        false => Some(text),
    };
    let found = first.and_then(|first| members(first, ["jsonrpc", "method", "id"]).ok());
    matches!(found, Some([Some(_), _, _] | [_, Some(_), Some(_)]))
}

/// The entries of an array, `None` when there are more than `most`: what is beyond is counted, not kept.
pub(super) fn entries(json: &str, most: usize) -> Option<Vec<&RawValue>> {
    struct Bounded(usize);
    impl<'de> DeserializeSeed<'de> for Bounded {
        type Value = Option<Vec<&'de RawValue>>;
        fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
            deserializer.deserialize_seq(self)
        }
    }
    impl<'de> Visitor<'de> for Bounded {
        type Value = Option<Vec<&'de RawValue>>;
        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a batch")
        }
        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
            let mut kept = Vec::new();
            while let Some(entry) = seq.next_element::<&RawValue>()? {
                if kept.len() == self.0 {
                    while seq.next_element::<IgnoredAny>()?.is_some() {}
                    return Ok(None);
                }
                kept.push(entry);
            }
            Ok(Some(kept))
        }
    }
    Bounded(most)
        .deserialize(&mut serde_json::Deserializer::from_str(json))
        .ok()
        .flatten()
}

/// One request out of `body`; `text` is a part of it.
fn item(body: &Bytes, text: &str) -> Result<Item, NotARequest> {
    let no = |id, reason| NotARequest { id, reason };
    if !text.starts_with('{') {
        return Err(no(None, "a JSON-RPC request is an object"));
    }
    let [id, method] =
        members(text, ["id", "method"]).map_err(|_| no(None, "`id` or `method` is given twice"))?;
    let id = id.map(|id| body.slice_ref(id.get().as_bytes()));
    if id
        .as_ref()
        .is_some_and(|id| matches!(id.first(), Some(b'{' | b'[' | b't' | b'f')))
    {
        return Err(no(None, "`id` must be a string, a number or null"));
    }
    match method {
        Some(method) if method.get().starts_with('"') => Ok(Item {
            id,
            body: body.slice_ref(text.as_bytes()),
            is_comet_bft: comet_bft::is_method(method.get().trim_matches('"')),
        }),
        Some(_) => Err(no(id, "`method` must be a string")),
        None => Err(no(id, "`method` is missing")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Body {
        super::read(&Bytes::copy_from_slice(text.as_bytes()), 3)
    }

    fn single(text: &str) -> Result<Item, NotARequest> {
        match read(text) {
            Body::Single(item) => item,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn tells_json_rpc_from_other_json() {
        for (body, looks) in [
            (r#"{"jsonrpc":"2.0"}"#, true),
            (r#" {"id":1,"method":"status"}"#, true),
            (r#"[{"method":"m","id":null},2]"#, true),
            (r#"{"method":"m"}"#, false),
            (r#"{"id":7,"name":"x"}"#, false),
            ("[]", false),
            ("[[1]]", false),
            ("tx=1", false),
            ("", false),
        ] {
            assert_eq!(looks_like(body.as_bytes()), looks, "{body}");
        }
    }

    #[test]
    fn keeps_ids_byte_for_byte() {
        for id in [
            "1",
            "-0",
            "1.0",
            "1e400",
            "18446744073709551616",
            "\"\"",
            "\"\\u0061\"",
            "null",
            "\"ü\"",
        ] {
            let text = format!("{{ \"method\":\"m\", \"id\" : {id} , \"params\":[] }}");
            let item = single(&text).unwrap();
            assert_eq!(item.id.as_deref(), Some(id.as_bytes()));
            assert_eq!(item.body, text.as_bytes());
        }
    }

    #[test]
    fn tells_a_notification_from_a_null_id() {
        assert_eq!(single(r#"{"method":"m"}"#).unwrap().id, None);
        assert_eq!(
            single(r#"{"method":"m","id":null}"#).unwrap().id,
            Some("null".into())
        );
    }

    #[test]
    fn names_what_is_not_a_request() {
        assert_eq!(read("{"), Body::NotJson);
        assert_eq!(read(""), Body::NotJson);
        assert_eq!(read("{} {}"), Body::NotJson);
        for (text, id) in [
            ("1", None),
            ("\"x\"", None),
            ("[]", None),
            (r#"{"id":1}"#, Some("1")),
            (r#"{"id":1,"method":2}"#, Some("1")),
            (r#"{"id":1,"method":null}"#, Some("1")),
            (r#"{"id":[1],"method":"m"}"#, None),
            (r#"{"id":true,"method":"m"}"#, None),
            (r#"{"id":1,"id":2,"method":"m"}"#, None),
            (r#"{"id":1,"method":"m","\u006dethod":"n"}"#, None),
        ] {
            let error = single(text).unwrap_err();
            assert_eq!(error.id.as_deref(), id.map(str::as_bytes), "{text}");
        }
    }

    #[test]
    fn relays_a_request_whatever_its_other_members_are_called() {
        for key in [r"\ud800", r"\ud800\udc00", r"a\u0000", ""] {
            let text = format!(r#"{{"{key}":1,"id":7,"method":"m","{key}":2}}"#);
            assert_eq!(single(&text).unwrap().id.as_deref(), Some(&b"7"[..]), "{text}");
        }
    }

    #[test]
    fn splits_a_batch_without_touching_its_entries() {
        let Body::Batch(items) = read(r#" [ {"id":1,"method":"a"} , 7, {"method":"b"}] "#) else {
            panic!()
        };
        assert_eq!(items[0].as_ref().unwrap().body, r#"{"id":1,"method":"a"}"#);
        assert!(items[1].is_err());
        assert_eq!(items[2].as_ref().unwrap().id, None);
    }

    #[test]
    fn bounds_a_batch_and_what_its_refusal_costs() {
        let entries = |count: usize| {
            let entries: Vec<_> = (0..count)
                .map(|id| format!(r#"{{"id":{id},"method":"m"}}"#))
                .collect();
            format!("[{}]", entries.join(","))
        };
        let ids = ["0", "1", "2", "3"].map(Bytes::from).to_vec();
        assert_eq!(read(&entries(4)), Body::TooLong(Some(ids)));
        assert!(matches!(
            read(&entries(MAX_REFUSED_ENTRIES)),
            Body::TooLong(Some(_))
        ));
        assert_eq!(read(&entries(MAX_REFUSED_ENTRIES + 1)), Body::TooLong(None));
        assert!(matches!(read(&entries(3)), Body::Batch(items) if items.len() == 3));
    }

    #[test]
    fn survives_deep_nesting() {
        let deep = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
        assert!(matches!(read(&deep), Body::Batch(items) if items[0].is_err()));
        let request = format!(r#"{{"id":1,"method":"m","params":{deep}}}"#);
        assert!(single(&request).is_ok());
    }
}
