//! Queries of a network's state, as its own program answered them: ours answers the same from the chain that was captured with them, replayed
//! to the height that was asked for. Code, text and bytes are compared. What differs is listed in [`DIFFERENCES`] with the reason; anything
//! else fails, and so does a difference that is gone.

mod differences;
mod simulations;

use std::collections::BTreeMap;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use ed25519_consensus::VerificationKey;
use portico_protocol::{Height, PublicKey};
use serde_json::Value;

use self::differences::{DIFFERENCES, is_within};
use super::captured_chain::{Replayed, file, folder, is_other, lines};
use super::lab::{bytes, number, text};
use crate::query::query_with;
use crate::validators::Signatory;

/// Files whose queries are about a node and not the state: `protocol-core/node/tests/captured.rs` asks them.
const ABOUT_NODES: [&str; 6] = [
    "abci-query-paths",
    "broadcast-tx",
    "consensus",
    "node-tendermint",
    "server-errors",
    "tx-service",
];

/// Fields of a case, all of which are read here or say the same in another form.
const FIELDS: [&str; 8] = [
    "name",
    "path",
    "height_asked",
    "request_json",
    "request_hex",
    "grpc",
    "response_json",
    "abci_query",
];

/// A query, and what the network answered.
struct Case {
    file: String,
    what: String,
    path: String,
    height: i64,
    request: Vec<u8>,
    answer: String,
}

impl Case {
    fn of(file: &str, case: &Value) -> Self {
        for field in case.as_object().unwrap().keys() {
            assert!(
                FIELDS.contains(&field.as_str()),
                "{file}: field {field} is not read"
            );
        }
        let (name, path) = (text(&case["name"]), text(&case["path"]));
        let what = format!("{name} {path}");
        let grpc = &case["grpc"];
        // Those that name no height were answered at the head.
        let height = [&case["height_asked"], &grpc["header_height"]]
            .into_iter()
            .find(|height| !height.is_null())
            .map(number)
            .unwrap();
        let answer = match number(&grpc["code"]) {
            0 => format!("0 {}", text(&grpc["response_hex"])),
            code => format!("{code} {}", text(&grpc["message"])),
        };
        let by_abci = &case["abci_query"];
        if number(&grpc["code"]) == 0 {
            let same = [text(&grpc["response_hex"]), "same as grpc.response_hex".into()];
            assert!(
                same.contains(&text(&by_abci["value_hex"])),
                "{file}: {what}: two answers"
            );
        }
        Self {
            file: file.to_owned(),
            what,
            path,
            height: height.try_into().unwrap(),
            request: bytes(&case["request_hex"]),
            answer,
        }
    }
}

/// The queries of every file that is about the state, by height.
fn cases() -> BTreeMap<i64, Vec<Case>> {
    let mut cases = BTreeMap::<i64, Vec<Case>>::new();
    for name in names() {
        let json: Value = serde_json::from_str(&file(&format!("../grpc/{name}.json"))).unwrap();
        for (section, list) in json.as_object().unwrap() {
            match section.as_str() {
                "cases" => {
                    for case in list.as_array().unwrap() {
                        let case = Case::of(&name, case);
                        cases.entry(case.height).or_default().push(case);
                    }
                }
                "pinned_height" | "note" => {}
                _ => panic!("{name}: section {section} is not read"),
            }
        }
    }
    cases
}

fn names() -> Vec<String> {
    let entries = std::fs::read_dir(format!("{}/../grpc", folder())).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names
        .map(|name| name.strip_suffix(".json").expect("a JSON file").to_owned())
        .filter(|name| !ABOUT_NODES.contains(&name.as_str()))
        .collect();
    names.sort();
    names
}

/// Who commits to blocks on the network: the validator of its genesis transaction.
fn committers(genesis: &Value) -> Vec<Signatory> {
    let txs = genesis["app_state"]["genutil"]["gen_txs"].as_array().unwrap();
    let one = |tx: &Value| {
        let message = &tx["body"]["messages"][0];
        let key = |value: &Value| BASE64_STANDARD.decode(text(&value["key"])).unwrap();
        let account = key(&tx["auth_info"]["signer_infos"][0]["public_key"]);
        Signatory {
            key: VerificationKey::try_from(key(&message["pubkey"]).as_slice()).unwrap(),
            account: PublicKey::from_slice(&account).unwrap().address(),
        }
    };
    txs.iter().map(one).collect()
}

#[test]
fn queries_of_the_captured_chain_are_answered_alike() {
    let genesis: Value = serde_json::from_str(&file("genesis.json")).unwrap();
    let committers = committers(&genesis);
    let mut replayed = Replayed::of(&genesis);
    let cases = cases();
    let (mut same, mut used, mut unknown) = (0, vec![0; DIFFERENCES.len()], Vec::new());
    let (blocks, results) = (lines("blocks.jsonl"), lines("block_results.jsonl"));
    let last = *cases.keys().next_back().unwrap();
    for (height, (block, results)) in (1_i64..=last).zip(blocks.iter().zip(&results)) {
        replayed.block(block, results);
        for case in cases.get(&height).into_iter().flatten() {
            let answer = query_with(
                replayed.memory(),
                Height(height),
                &committers,
                &case.path,
                &case.request,
            );
            let ours = match &answer {
                Ok(answer) => format!("0 {}", hex::encode(answer)),
                Err(error) => format!("{} {error}", error.grpc_code()),
            };
            if ours == case.answer {
                same += 1;
                continue;
            }
            let listed = DIFFERENCES.iter().position(|(file, part, differs, _)| {
                *file == case.file && case.what.contains(part) && is_within(*differs, &case.answer, &ours)
            });
            match listed {
                Some(index) => used[index] += 1,
                None => unknown.push(format!(
                    "{}: {}\n  theirs {}\n  ours   {ours}",
                    case.file, case.what, case.answer
                )),
            }
        }
    }
    assert!(
        usize::try_from(last).unwrap() <= blocks.len(),
        "a query of a height that was not captured"
    );
    for ((file, part, _, why), count) in DIFFERENCES.iter().zip(&used) {
        println!("differs {count} times: {file}: {part}: {why}");
        assert!(
            *count > 0 || is_other(),
            "{file}: nothing differs any more in {part:?}: {why}"
        );
    }
    let listed: usize = used.iter().sum();
    println!("chain/grpc: {same} answers are the same, {listed} differ as listed");
    assert!(
        unknown.is_empty(),
        "{} differ:\n{}",
        unknown.len(),
        unknown.join("\n")
    );
}
