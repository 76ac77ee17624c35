//! Shapes of answers against captured ones, and reading of calls.

use serde_json::{Value, json};
use tendermint::Block;

use super::request::{Params, Request};
use super::shape;

#[test]
fn writes_blocks_as_captured() {
    for height in ["1071", "1080", "1081", "1082", "1086"] {
        let captured = crate::block::tests::captured_json(height);
        let mut read = captured.clone();
        read["block"]["header"]["version"]["app"] = "0".into();
        let block: Block = serde_json::from_value(read["block"].take()).expect("a block");
        let id = serde_json::from_value(read["block_id"].take()).expect("an id");
        assert_eq!(
            shape::inner_block(&block).expect("written"),
            captured["block"],
            "{height}"
        );
        assert_eq!(
            shape::block_id(&id).expect("written"),
            captured["block_id"],
            "{height}"
        );
    }
}

#[test]
fn the_first_block_has_empty_parents_as_go_writes_them() {
    assert_eq!(
        shape::commit(None).expect("written"),
        json!({"height": "0", "round": 0, "block_id": {"hash": "", "parts": {"total": 0, "hash": ""}}, "signatures": []})
    );
}

fn read(call: Value) -> Result<Request, Value> {
    Request::read(call).map_err(|(id, error)| json!({"id": id, "code": error.json()["code"]}))
}

#[test]
fn malformed_calls_are_refused_with_their_id() {
    let refused = |call, id: Value, code: i32| {
        let error = read(call).err().expect("refused");
        assert_eq!(error, json!({"id": id, "code": code}));
    };
    refused(json!(1), Value::Null, -32_600);
    refused(json!({"jsonrpc": "2.0", "id": 7}), json!(7), -32_600);
    refused(json!({"id": "a", "method": "status"}), json!("a"), -32_600);
    refused(
        json!({"jsonrpc": "2.0", "id": {}, "method": "status"}),
        Value::Null,
        -32_600,
    );
    refused(
        json!({"jsonrpc": "2.0", "id": 1, "method": "status", "params": 3}),
        json!(1),
        -32_602,
    );
    refused(
        json!({"jsonrpc": "2.0", "id": 1, "method": "block", "params": [1, 2]}),
        json!(1),
        -32_602,
    );
}

#[test]
fn params_are_read_by_name_and_by_place() {
    let by_name =
        read(json!({"jsonrpc": "2.0", "id": 1, "method": "tx", "params": {"hash": "AAAA", "prove": true}}))
            .expect("read");
    assert_eq!(by_name.params.base64("hash").expect("base64"), [0, 0, 0]);
    assert!(by_name.params.flag("prove").expect("a flag"));
    let by_place =
        read(json!({"jsonrpc": "2.0", "id": 1, "method": "block", "params": ["12"]})).expect("read");
    assert_eq!(by_place.params.number("height").expect("a number"), Some(12));
}

#[test]
fn uris_hold_quoted_texts_hexadecimal_and_numbers() {
    let params =
        Params::of_query("path=%22/a/b%22&data=0x0102&height=5&tx=%22a+b%22&prove=true").expect("read");
    assert_eq!(params.string("path").expect("a text"), "/a/b");
    assert_eq!(params.hex("data").expect("bytes"), [1, 2]);
    assert_eq!(params.number("height").expect("a number"), Some(5));
    assert_eq!(params.base64("tx").expect("bytes"), b"a b");
    assert!(params.flag("prove").expect("a flag"));
    assert_eq!(params.number("absent").expect("absent"), None);
    for query in ["a=%", "a=%zz", "a=%ff"] {
        assert!(Params::of_query(query).is_err(), "{query}");
    }
}

#[test]
fn hashes_are_read_as_base64_and_hexadecimal() {
    let digits = "ab".repeat(32);
    for text in [
        digits.clone(),
        format!("0x{digits}"),
        "q6urq6urq6urq6urq6urq6urq6urq6urq6urq6urq6s=".into(),
    ] {
        let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tx", "params": {"hash": text}});
        let hash = read(call).expect("read").params.hash("hash").expect("a hash");
        assert_eq!(hash, [0xab; 32]);
    }
}
