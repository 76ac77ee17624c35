//! Blocks of a chain of the Go implementation, captured: the same hashes from the same fields.

use serde_json::Value;
use tendermint::Block;
use tendermint::block::Id;

use super::*;
use crate::validators::Validators;

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

/// Keys of validators, by number.
fn keys(numbers: impl IntoIterator<Item = u8>) -> Vec<ValidatorKey> {
    let key = |number| ValidatorKey::from_seed(&[number; 32]);
    numbers.into_iter().map(key).collect()
}

fn validators(keys: &[ValidatorKey]) -> Validators {
    let one = |(index, key): (usize, &ValidatorKey)| {
        let account = portico_protocol::Address::new([u8::try_from(index).expect("few"); 20]);
        serde_json::json!({
            "consensus_public_key": key.public_key_hex(), "account": account.to_string(), "tokens": 1,
        })
    };
    let all: Vec<_> = keys.iter().enumerate().map(one).collect();
    let genesis = serde_json::json!({"chain_id": "pocket", "genesis_time_ms": 1, "validators": all});
    Validators::of(&serde_json::from_value(genesis).expect("a genesis")).expect("usable")
}

/// The commit of four validators to a captured block, signed by `signers`.
fn signed(signers: &[ValidatorKey]) -> Result<(Block, Id, Commit), BlockError> {
    let (block, id) = captured("1080");
    let (chain_id, time) = ("pocket".parse().expect("an id"), block.header.time);
    let four = validators(&keys(1..=4));
    let commit = sign(signers, &four, &chain_id, block.header.height, id, time)?;
    let commit = decode_commit(&encode_commit(&commit)).expect("the same");
    Ok((block, id, commit))
}

#[test]
fn a_commit_verifies_for_its_block_validators_and_chain_only() {
    let (_, block_id, commit) = signed(&keys(1..=4)).expect("enough");
    let four = validators(&keys(1..=4));
    let verify = |validators: &Validators, chain: &str, height: i64, id: &Id| {
        verify_commit(validators, &chain.parse().expect("an id"), &commit, height, id).is_ok()
    };
    assert!(verify(&four, "pocket", 1080, &block_id));
    assert!(!verify(&four, "pocket-beta", 1080, &block_id));
    assert!(!verify(&four, "pocket", 1081, &block_id));
    assert!(!verify(&four, "pocket", 1080, &captured("1081").1));
    for others in [keys(1..=3), keys(1..=5), keys([1, 2, 3, 5])] {
        assert!(!verify(&validators(&others), "pocket", 1080, &block_id));
    }
}

#[test]
fn three_of_four_make_a_block_final_and_two_do_not() {
    let four = validators(&keys(1..=4));
    let chain_id = "pocket".parse().expect("an id");
    let verify =
        |commit: &Commit, id: &Id| verify_commit(&four, &chain_id, commit, 1080, id).map_err(|error| error.0);
    let (_, id, commit) = signed(&keys([4, 2, 1])).expect("enough");
    verify(&commit, &id).expect("three of four");
    for place in 0..4 {
        let mut fewer = commit.clone();
        if fewer.signatures[place].is_absent() {
            continue;
        }
        fewer.signatures[place] = CommitSig::BlockIdFlagAbsent;
        assert!(verify(&fewer, &id).expect_err("two").contains("too few"));
        let mut nil = commit.clone();
        nil.signatures[place] = CommitSig::BlockIdFlagNil {
            validator_address: account::Id::new([0; 20]),
            timestamp: block_time(&commit, place),
            signature: None,
        };
        assert!(verify(&nil, &id).is_err(), "a vote against it");
        let mut swapped = commit.clone();
        swapped.signatures.swap(place, (place + 1) % 4);
        assert!(verify(&swapped, &id).is_err(), "in another's place");
    }
    for signers in [keys([1, 2]), keys([1, 5, 6, 7]), keys([])] {
        let text = signed(&signers).expect_err("too few").0;
        assert!(
            text.contains("needs the signatures of 3 of its 4 validators"),
            "{text}"
        );
    }
}

/// Time of the signature at `place`.
fn block_time(commit: &Commit, place: usize) -> Time {
    match &commit.signatures[place] {
        CommitSig::BlockIdFlagCommit { timestamp, .. } => *timestamp,
        other => panic!("{other:?}"),
    }
}

#[test]
fn bytes_that_are_no_block_are_an_error() {
    for bytes in [b"".as_slice(), b"\x0a", b"\xff\xff\xff\xff", &[0x0a, 0x00]] {
        assert!(decode(bytes).is_err());
        assert!(decode_commit(bytes).is_err());
    }
}
