//! A whole chain of the Go implementation: the hashes of its blocks and results, computed here.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde_json::Value;
use tendermint::Block;
use tendermint::block::Id;

use super::*;

fn file(name: &str) -> String {
    let own = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/go-poktroll-0.1.35");
    let folder = std::env::var("PORTICO_VECTORS").unwrap_or_else(|_| own.to_owned());
    let path = format!("{folder}/chain/chain/{name}");
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn lines(name: &str) -> Vec<Value> {
    let file = file(name);
    let line = |line| serde_json::from_str(line).expect("JSON");
    file.lines().map(line).collect()
}

/// What a results hash is made of.
fn result(value: &Value) -> raw::ExecTxResult {
    let gas = |name: &str| value[name].as_str().unwrap_or("0").parse().expect("a number");
    let data = value["data"].as_str().unwrap_or_default();
    raw::ExecTxResult {
        code: value["code"].as_u64().unwrap_or(0).try_into().expect("a code"),
        data: BASE64_STANDARD.decode(data).expect("base64").into(),
        gas_wanted: gas("gas_wanted"),
        gas_used: gas("gas_used"),
        ..raw::ExecTxResult::default()
    }
}

#[test]
fn computes_the_hashes_of_a_captured_chain() {
    let (blocks, results) = (lines("blocks.jsonl"), lines("block_results.jsonl"));
    let table = file("app_hashes.tsv");
    let mut count = 0;
    for (row, (mut value, results)) in table.lines().skip(1).zip(blocks.into_iter().zip(results)) {
        value["block"]["header"]["version"]["app"] = "0".into(); // Go leaves a zero out
        let expected: Id = serde_json::from_value(value["block_id"].take()).expect("an id");
        let block: Block = serde_json::from_value(value["block"].take()).expect("a block");
        let cells: Vec<&str> = row.split('\t').collect();
        let [height, _, block_hash, of_results] = cells[..] else {
            panic!("{row}")
        };
        assert_eq!(block.header.height.to_string(), height);
        let encoded = encode(&block);
        let computed = id(&block, &encoded).expect("an id");
        assert_eq!(computed, expected, "{height}");
        assert_eq!(computed.hash.to_string(), block_hash, "{height}");
        let results: Vec<_> = results["txs_results"]
            .as_array()
            .map_or(&[][..], Vec::as_slice)
            .iter()
            .map(result)
            .collect();
        assert_eq!(results_hash(&results).to_string(), of_results, "{height}");
        count += 1;
    }
    println!("chain/app_hashes.tsv: {count} blocks");
    assert!(count > 0);
}
