//! Blocks of a chain of the Go implementation, captured: the same hashes from the same fields.

use serde_json::Value;
use tendermint::Block;
use tendermint::block::Id;

use super::*;
use crate::validator::Validator;

const CAPTURED: [&str; 5] = ["1071", "1080", "1081", "1082", "1086"];

/// A captured answer to `block`.
pub(crate) fn captured_json(height: &str) -> Value {
    let own = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/go-poktroll-0.1.35");
    let folder = std::env::var("PORTICO_VECTORS").unwrap_or_else(|_| own.to_owned());
    let path = format!("{folder}/wire/block.height{height}.json");
    let text = std::fs::read_to_string(&path).expect(&path);
    serde_json::from_str(&text).expect("JSON")
}

fn captured(height: &str) -> (Block, Id) {
    let mut value = captured_json(height);
    value["block"]["header"]["version"]["app"] = "0".into(); // Go leaves a zero out
    let id = serde_json::from_value(value["block_id"].take()).expect("an id");
    let block = serde_json::from_value(value["block"].take()).expect("a block");
    (block, id)
}

#[test]
fn computes_the_ids_of_captured_blocks() {
    for height in CAPTURED {
        let (block, expected) = captured(height);
        let encoded = encode(&block);
        assert_eq!(id(&block, &encoded).expect("an id"), expected, "{height}");
        assert_eq!(decode(&encoded).expect("a block"), block, "{height}");
    }
}

#[test]
fn computes_the_hashes_in_captured_headers() {
    for height in CAPTURED {
        let (block, _) = captured(height);
        let header = &block.header;
        assert_eq!(
            Some(commit_hash(block.last_commit.as_ref())),
            header.last_commit_hash,
            "{height}"
        );
        assert_eq!(Some(data_hash(&block.data)), header.data_hash, "{height}");
        assert_eq!(consensus_hash(), header.consensus_hash, "{height}");
        assert_eq!(Some(no_evidence()), header.evidence_hash, "{height}");
    }
}

#[test]
fn times_survive_the_header() {
    for ms in [0, 1, 999, 1_795_424_400_123] {
        assert_eq!(time_ms(time(ms).expect("in range")), ms);
    }
    assert!(time(u64::MAX).is_err());
}

#[test]
fn a_commit_verifies_for_its_block_validator_and_chain_only() {
    let key = ValidatorKey::from_seed(&[1; 32]);
    let chain_id: chain::Id = "pocket".parse().expect("an id");
    let (block, block_id) = captured("1080");
    let height = block.header.height;
    let commit = sign(&key, &chain_id, height, block_id, block.header.time).expect("signed");
    let commit = decode_commit(&encode_commit(&commit)).expect("the same");
    let verify = |validator: &Validator, chain: &str, height: i64, id: &Id| {
        verify_commit(validator, &chain.parse().expect("an id"), &commit, height, id).is_ok()
    };
    let validator = test_validator(&key);
    assert!(verify(&validator, "pocket", 1080, &block_id));
    assert!(!verify(&validator, "pocket-beta", 1080, &block_id));
    assert!(!verify(&validator, "pocket", 1081, &block_id));
    assert!(!verify(&validator, "pocket", 1080, &captured("1081").1));
    let other = test_validator(&ValidatorKey::from_seed(&[2; 32]));
    assert!(!verify(&other, "pocket", 1080, &block_id));
}

fn test_validator(key: &ValidatorKey) -> Validator {
    let genesis = format!(
        r#"{{"chain_id": "pocket", "genesis_time_ms": 1, "validators": [{{
            "consensus_public_key": "{}",
            "account": "pokt1mrqt5f7qh8uxs27cjm9t7v9e74a9vvdnq5jva4", "tokens": 1000000}}]}}"#,
        key.public_key_hex()
    );
    Validator::of(&serde_json::from_str(&genesis).expect("a genesis")).expect("a validator")
}

#[test]
fn bytes_that_are_no_block_are_an_error() {
    for bytes in [b"".as_slice(), b"\x0a", b"\xff\xff\xff\xff", &[0x0a, 0x00]] {
        assert!(decode(bytes).is_err());
        assert!(decode_commit(bytes).is_err());
    }
}
