//! Transactions that the network simulated, simulated here on the chain at the same height: the same code and text, the same events. Gas is
//! counted otherwise here; `transactions.rs` compares that.

use std::collections::BTreeMap;

use portico_protocol::Height;
use portico_protocol::wire::cosmos::tx::v1beta1::SimulateResponse;
use prost::Message as _;
use serde_json::Value;

use super::super::captured_chain::{Replayed, file, lines, our_line};
use super::super::lab::{bytes, number, text};
use crate::block::{TxOutcome, simulate};

/// A text without where in the program it arose and without the gas until then.
fn reason(message: &str) -> &str {
    let message = message
        .split_once(" with gas used: ")
        .map_or(message, |(text, _)| text);
    message.split_once(" [cosmos/").map_or(message, |(text, _)| text)
}

fn theirs(simulation: &Value) -> String {
    if number(&simulation["code"]) != 0 {
        return text(&simulation["message"]);
    }
    let response = SimulateResponse::decode(bytes(&simulation["response_hex"]).as_slice()).unwrap();
    let events = response.result.unwrap().events;
    events.iter().map(our_line).collect::<Vec<_>>().join("\n    ")
}

fn ours(outcome: &TxOutcome) -> String {
    match outcome.code {
        0 => outcome
            .events
            .iter()
            .map(our_line)
            .collect::<Vec<_>>()
            .join("\n    "),
        _ => outcome.log.clone(),
    }
}

fn done(outcome: &TxOutcome) -> String {
    match outcome.code {
        0 => "done".to_owned(),
        _ => outcome.log.clone(),
    }
}

#[test]
fn simulations_of_the_captured_chain_come_out_alike() {
    let json: Value = serde_json::from_str(&file("../tx/simulate.json")).unwrap();
    let mut cases = BTreeMap::<u64, Vec<&Value>>::new();
    for case in json["cases"].as_array().unwrap() {
        match case["height"].is_null() {
            // Of other programs, of which only what they delivered is known.
            true => assert!(case["simulations"].is_null(), "{}", case["name"]),
            false => cases.entry(number(&case["height"])).or_default().push(case),
        }
    }
    let genesis: Value = serde_json::from_str(&file("genesis.json")).unwrap();
    let mut replayed = Replayed::of(&genesis);
    let (mut same, mut different) = (0, Vec::new());
    for (block, results) in lines("blocks.jsonl").iter().zip(&lines("block_results.jsonl")) {
        replayed.block(block, results);
        let height = number(&results["height"]);
        for case in cases.remove(&height).into_iter().flatten() {
            for simulation in case["simulations"].as_array().unwrap() {
                let tx = bytes(&simulation["tx_bytes"]);
                let next = replayed.context(block, Height(i64::try_from(height).unwrap() + 1));
                let outcome = simulate(replayed.memory(), &next, &tx).unwrap();
                let what = format!("{}: {}", text(&case["name"]), text(&simulation["variant"]));
                let their_code = number(&simulation["code"]);
                let (theirs, ours) = match (their_code, simulation["response_hex"].as_str()) {
                    // Of some only that they succeed is recorded.
                    (0, None) => ("done".to_owned(), done(&outcome)),
                    _ => (theirs(simulation), ours(&outcome)),
                };
                let theirs = reason(&theirs);
                if theirs == ours {
                    same += 1;
                } else {
                    different.push(format!("{what}\n  theirs {theirs}\n  ours   {ours}"));
                }
            }
        }
    }
    assert!(cases.is_empty(), "simulations at heights that were not captured");
    println!("chain/tx/simulate.json: {same} simulations came out alike");
    assert!(
        different.is_empty(),
        "{} differ:\n{}",
        different.len(),
        different.join("\n")
    );
    assert!(same > 0);
}
