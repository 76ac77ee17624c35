//! The files of a captured chain: each is read by a test, and they agree with each other.

use portico_protocol::tx::multisig_address;
use portico_protocol::wire::cosmos::crypto::multisig::LegacyAminoPubKey;
use portico_protocol::wire::cosmos::crypto::secp256k1::PubKey;
use portico_protocol::{PublicKey, SigningKey, tx::unpack};
use prost::Message as _;
use prost_types::Any;
use serde_json::Value;

use super::captured_chain::{file, folder, lines};
use super::lab::{bytes, number, text};

/// Beginnings of paths, and who reads the files. A file of another name fails: nothing of the capture is passed over.
const READERS: [(&str, &str); 12] = [
    ("README.md", "people"),
    ("chain/app_hashes.tsv", "here; node/src/block/captured.rs"),
    (
        "chain/block_results.jsonl",
        "captured_chain.rs; node/src/block/captured.rs",
    ),
    (
        "chain/blocks.jsonl",
        "captured_chain.rs; node/src/block/captured.rs",
    ),
    ("chain/export.height", "captured_chain.rs, exports.rs"),
    ("chain/genesis.json", "captured_chain.rs, exports.rs"),
    (
        "grpc/",
        "captured_queries.rs: those of the state; node/tests/captured.rs: those about a node",
    ),
    ("keys.json", "here"),
    ("rpc/", "node/tests/captured.rs"),
    ("run.json", "here"),
    (
        "tx/simulate.json",
        "captured_queries/simulations.rs, transactions.rs",
    ),
    ("tx/transactions.json", "protocol/src/tx/amino.rs"),
];

fn json(name: &str) -> Value {
    serde_json::from_str(&file(&format!("../{name}"))).unwrap()
}

#[test]
fn every_file_of_the_capture_is_read() {
    let root = format!("{}/..", folder());
    let mut folders = vec![String::new()];
    let mut count = 0;
    while let Some(inside) = folders.pop() {
        for entry in std::fs::read_dir(format!("{root}/{inside}")).unwrap() {
            let entry = entry.unwrap();
            let name = format!("{inside}{}", entry.file_name().to_string_lossy());
            if entry.file_type().unwrap().is_dir() {
                folders.push(format!("{name}/"));
                continue;
            }
            let reader = READERS.iter().find(|(beginning, _)| name.starts_with(beginning));
            assert!(reader.is_some(), "chain/{name} is read by no test");
            count += 1;
        }
    }
    println!("chain: {count} files");
}

#[test]
fn the_hashes_of_a_captured_chain_are_those_of_its_headers() {
    let blocks = lines("blocks.jsonl");
    let table = file("app_hashes.tsv");
    let mut rows = table.lines();
    let columns: Vec<&str> = rows.next().unwrap().split('\t').collect();
    assert_eq!(
        columns,
        [
            "height",
            "app_hash_after_the_block",
            "block_hash",
            "last_results_hash_after_the_block"
        ]
    );
    let mut count = 0;
    for row in rows {
        let cells: Vec<&str> = row.split('\t').collect();
        let [height, app_hash, block_hash, results_hash] = cells[..] else {
            panic!("{row}")
        };
        let height: usize = height.parse().unwrap();
        let header = |at: usize| blocks.get(at - 1).map(|block| &block["block"]["header"]);
        assert_eq!(number(&header(height).unwrap()["height"]), height as u64);
        assert_eq!(blocks[height - 1]["block_id"]["hash"], block_hash, "{height}");
        if let Some(next) = header(height + 1) {
            assert_eq!(next["app_hash"], app_hash, "{height}");
            assert_eq!(next["last_results_hash"], results_hash, "{height}");
        }
        count += 1;
    }
    // What follows the last block is in no header.
    assert!(count + 1 >= blocks.len(), "{count} rows");
}

#[test]
fn the_keys_of_a_captured_chain_have_its_addresses() {
    let keys = json("keys.json");
    let keys = keys.as_object().unwrap();
    for (name, key) in keys {
        let known = bytes(&key["public_key_hex"]);
        let address = match &key["private_key_hex"] {
            Value::Null => {
                let any = Any::decode(known.as_slice()).unwrap();
                let several: LegacyAminoPubKey = unpack(&any).unwrap();
                let one = |any| PublicKey::from_slice(&unpack::<PubKey>(any).unwrap().key).unwrap();
                let members: Vec<PublicKey> = several.public_keys.iter().map(one).collect();
                multisig_address(several.threshold as usize, &members)
            }
            private => {
                let private = SigningKey::from_bytes(&bytes(private).try_into().unwrap()).unwrap();
                assert_eq!(private.public_key().as_bytes().as_slice(), known, "{name}");
                private.public_key().address()
            }
        };
        assert_eq!(address.to_string(), text(&key["address"]), "{name}");
    }
    println!("chain/keys.json: {} cases", keys.len());
}

#[test]
fn a_captured_chain_is_as_long_as_it_says() {
    let run = json("run.json");
    for field in run.as_object().unwrap().keys() {
        let known = [
            "blocks_per_session",
            "blocks_stored_to",
            "claim_session_end",
            "delta",
            "export_height",
        ];
        assert!(known.contains(&field.as_str()), "run.json: {field} is not read");
    }
    assert_eq!(
        number(&run["blocks_stored_to"]),
        lines("blocks.jsonl").len() as u64
    );
    let height = number(&run["export_height"]);
    assert!(std::path::Path::new(&format!("{}/export.height{height}.json", folder())).exists());
    let genesis: Value = serde_json::from_str(&file("genesis.json")).unwrap();
    let blocks = number(&genesis["app_state"]["shared"]["params"]["num_blocks_per_session"]);
    assert_eq!(number(&run["blocks_per_session"]), blocks);
    assert_eq!(
        number(&run["claim_session_end"]) % blocks,
        0,
        "sessions began at height 1"
    );
}
