//! All that the RPC reads of strangers before it asks the chain, as one pure function: for fuzzers and properties.

use serde_json::Value;

use super::request::{Params, Request};
use crate::search::{Events, Query};

/// Reads `input` as a body, as the query part of a URI and as a query over events, with each param as each type. Never panics.
pub fn read_rpc(input: &[u8]) {
    let calls = match serde_json::from_slice(input) {
        Ok(Value::Array(calls)) => calls,
        Ok(call) => vec![call],
        Err(_) => Vec::new(),
    };
    for call in calls {
        if let Ok(request) = Request::read(call) {
            read_params(&request.params);
        }
    }
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    if let Ok(params) = Params::of_query(text) {
        read_params(&params);
    }
    if let Ok(query) = Query::parse(text) {
        let values = vec!["Tx".to_owned(), "5.50upokt".to_owned(), text.to_owned()];
        let events: Events = [
            ("tm.event".to_owned(), values.clone()),
            ("tx.height".to_owned(), values),
        ]
        .into();
        query.matches(&events);
        query.heights("tx.height", i64::MAX);
        query.tx_hash();
    }
}

/// Errors are answers; only panics are not.
fn read_params(params: &Params) {
    for name in ["height", "hash", "tx", "data", "query", "page", "prove", "path"] {
        drop(params.number(name));
        drop(params.string(name));
        drop(params.flag(name));
        drop(params.hex(name));
        drop(params.hash(name));
        drop(params.base64(name));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::read_rpc;

    fn pieces(pieces: &'static [&'static str]) -> impl Strategy<Value = String> {
        prop::collection::vec(prop::sample::select(pieces), 0..24).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(input in prop::collection::vec(any::<u8>(), 0..256)) {
            read_rpc(&input);
        }

        #[test]
        fn pieces_of_calls_are_read_or_refused(input in pieces(&[
            "{", "}", "[", "]", ",", ":", "\"jsonrpc\"", "\"2.0\"", "\"id\"", "1", "null", "\"method\"", "\"block\"",
            "\"params\"", "\"height\"", "\"-9223372036854775809\"", "1e999", "\"0x\"", "\"tx\"", "\"hash\"", "true",
        ])) {
            read_rpc(input.as_bytes());
            let call = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tx","params":{input}}}"#);
            read_rpc(call.as_bytes());
        }

        #[test]
        fn pieces_of_uris_are_read_or_refused(input in pieces(&[
            "height", "hash", "tx", "query", "=", "&", "%", "%4", "%41", "%ff", "+", "0x", "0xab", "\"", "é", "1", "-",
        ])) {
            read_rpc(input.as_bytes());
        }
    }
}
