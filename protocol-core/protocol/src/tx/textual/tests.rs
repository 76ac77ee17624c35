//! Against a transaction that the network took, and the vectors that the SDK and CosmJS share (`testdata/cosmos-textual-0.14`).

use serde_json::Value as Json;

use super::*;
use crate::tx::{decode_tx, pack};
use crate::wire::cosmos::crypto::secp256k1::PubKey;

fn file(folder: &str, name: &str) -> Json {
    let path = format!("{folder}/{name}");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    serde_json::from_str(&text).unwrap()
}

fn text(value: &Json) -> &str {
    value.as_str().unwrap()
}

fn bytes(value: &Json) -> Vec<u8> {
    hex::decode(text(value)).unwrap()
}

/// Transactions that a node of the network took.
fn captured() -> Vec<Json> {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/go-poktroll-0.1.35");
    let folder = std::env::var("PORTICO_VECTORS").unwrap_or_else(|_| default.into());
    let transactions = file(&folder, "chain/tx/transactions.json")["transactions"].take();
    serde_json::from_value(transactions).unwrap()
}

#[test]
fn signs_what_the_network_signed() {
    let mut count = 0;
    for case in captured() {
        for doc in case["sign_docs"].as_array().into_iter().flatten() {
            if doc["mode"] != "SIGN_MODE_TEXTUAL" {
                continue;
            }
            let tx = decode_tx(&bytes(&case["tx_bytes"])).unwrap();
            let key = tx.auth_info.signer_infos[0].public_key.clone().unwrap();
            let signer = TextualSigner {
                chain_id: text(&doc["chain_id"]),
                account_number: doc["account_number"].as_u64().unwrap(),
                sequence: doc["sequence"].as_u64().unwrap(),
                address: text(&doc["address"]),
                public_key: &key,
            };
            let ours = textual_sign_bytes(&tx, &signer).unwrap();
            assert_eq!(
                hex::encode(ours),
                text(&doc["sign_bytes_hex"]),
                "{}",
                case["name"]
            );
            count += 1;
        }
    }
    println!("chain/tx/transactions.json: {count} textual");
    assert!(count > 0);
}

fn shared(name: &str) -> Vec<Json> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/cosmos-textual-0.14");
    serde_json::from_value(file(folder, name)).unwrap()
}

#[test]
fn every_captured_transaction_has_a_text() {
    let mut count = 0;
    for case in captured() {
        let Some(doc) = case["sign_docs"].get(0) else {
            continue;
        };
        let tx = decode_tx(&bytes(&case["tx_bytes"])).unwrap();
        let Some(key) = tx.auth_info.signer_infos[0].public_key.clone() else {
            continue;
        };
        let signer = TextualSigner {
            chain_id: text(&doc["chain_id"]),
            account_number: 1,
            sequence: 1,
            address: text(&doc["address"]),
            public_key: &key,
        };
        match textual_sign_bytes(&tx, &signer) {
            Ok(_) => count += 1,
            // Floating numbers have no text, with the SDK neither.
            Err(error) => assert!(
                error.to_string().contains(".as_float "),
                "{}: {error}",
                case["name"]
            ),
        }
    }
    assert!(count > 0);
}

#[test]
fn values_are_written_as_the_sdk_and_cosmjs_agree() {
    use base64::prelude::{BASE64_STANDARD, Engine as _};
    for case in shared("bytes.json") {
        let value = BASE64_STANDARD.decode(text(&case[0])).unwrap();
        assert_eq!(bytes_text(&value), text(&case[1]), "{case}");
    }
    for case in shared("integers.json") {
        assert_eq!(int_text(text(&case[0])), text(&case[1]), "{case}");
    }
    let number = |value: &Json| value.as_i64().unwrap_or_default();
    for case in shared("duration.json")
        .iter()
        .filter(|case| case["proto"].is_object())
    {
        let duration = prost_types::Duration {
            seconds: number(&case["proto"]["seconds"]),
            nanos: i32::try_from(number(&case["proto"]["nanos"])).unwrap(),
        };
        assert_eq!(
            duration_text(&duration).as_deref(),
            case["text"].as_str(),
            "{case}"
        );
    }
    for case in shared("timestamp.json")
        .iter()
        .filter(|case| case["proto"].is_object())
    {
        let time = Timestamp {
            seconds: number(&case["proto"]["seconds"]),
            nanos: i32::try_from(number(&case["proto"]["nanos"])).unwrap(),
        };
        assert_eq!(time_text(&time).ok().as_deref(), case["text"].as_str(), "{case}");
    }
}

#[test]
fn screens_are_encoded_as_the_sdk_and_cosmjs_agree() {
    for case in shared("encode.json") {
        let screen = |value: &Json| Screen {
            title: value["title"].as_str().unwrap_or_default().to_owned(),
            content: value["content"].as_str().unwrap_or_default().to_owned(),
            indent: value["indent"].as_u64().unwrap_or_default(),
            expert: value["expert"].as_bool().unwrap_or_default(),
        };
        let screens: Vec<Screen> = case["screens"].as_array().unwrap().iter().map(screen).collect();
        assert_eq!(
            hex::encode(cbor::encode(&screens)),
            text(&case["encoding"]),
            "{case}"
        );
    }
}

#[test]
fn so_deep_a_message_is_refused() {
    let mut inner = pack(&PubKey::default());
    for _ in 0..40 {
        inner = pack(&crate::wire::cosmos::authz::v1beta1::MsgExec {
            grantee: "a".into(),
            msgs: vec![inner],
        });
    }
    assert!(packed(&inner, 0).is_err());
}
