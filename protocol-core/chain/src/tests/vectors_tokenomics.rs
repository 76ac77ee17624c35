//! Amounts, distributions and whole settlements of the Go implementation, through blocks: what a block says that it did, and what queries
//! say afterwards.

mod arithmetic;
mod whole;

use std::collections::BTreeMap;

use portico_protocol::Upokt;
use portico_protocol::wire::pocket::tokenomics::SettlementOpReason;
use portico_protocol::wire::tendermint::abci::Event;
use serde_json::Value;

use super::lab::{each, number, text, upokt, vectors};
use super::replay::{attribute, of_kind};
use crate::tokenomics::Validator;

#[test]
fn settles_as_the_go_implementation() {
    let all = vectors("tokenomics.json");
    let file = "tokenomics.json";
    for (section, cases) in &all {
        match section.as_str() {
            "settlement" => whole::settlements(&all["settlement_actors"], cases),
            "token_logic" => each(file, section, cases, |case| {
                arithmetic::token_logic(&all["token_logic_params"], case);
            }),
            "validator_distribution" => arithmetic::validator_distribution(cases),
            "difficulty_sequences" => each(file, section, cases, arithmetic::difficulty_sequence),
            "claim_amount" => each(file, section, cases, arithmetic::claim_amount),
            "ema" => each(file, section, cases, arithmetic::ema),
            "new_target_hash" => arithmetic::new_target_hash(cases),
            "float_to_rational" => each(file, section, cases, arithmetic::float_to_rational),
            "inflation_mint" => each(file, section, cases, arithmetic::inflation_mint),
            "supplier_shareholders" => each(file, section, cases, arithmetic::supplier_shareholders),
            "settlement_actors" | "token_logic_params" | "meta" => {}
            unknown => panic!("section {unknown} is not known here"),
        }
    }
}

/// What a block's settlement did, added up: by kind, module, recipient and reason the amount and the number of claims.
type Batches = BTreeMap<(String, String, String, String), (u128, u64)>;

/// As the events say.
fn announced(events: &[Event]) -> Batches {
    let batches = of_kind(events, "pocket.tokenomics.EventSettlementBatch").map(|event| {
        let of = |key: &str| text(&attribute(event, key));
        let key = (
            of("op_type"),
            of("sender_module"),
            of("recipient"),
            of("op_reason"),
        );
        let total = upokt(&attribute(event, "total_amount")).0;
        (key, (total, number(&attribute(event, "num_claims"))))
    });
    batches.collect()
}

/// As the operations of vectors add up.
fn expected<'a>(all: impl Iterator<Item = &'a Value>) -> Batches {
    let mut batches = Batches::new();
    for operations in all {
        let kinds = [
            ("mint", "mints"),
            ("burn", "burns"),
            ("mod_to_mod", "module_to_module"),
            ("mod_to_acct", "module_to_account"),
        ];
        for (kind, list) in kinds {
            for one in operations[list].as_array().into_iter().flatten() {
                let sender = one.get("module").or_else(|| one.get("from")).unwrap();
                let reason = text(&one["reason"]);
                assert!(SettlementOpReason::from_str_name(&reason).is_some(), "{reason}");
                let recipient = one.get("to").map(text).unwrap_or_default();
                let batch = batches
                    .entry((kind.into(), text(sender), recipient, reason))
                    .or_default();
                batch.0 += upokt(&one["amount"]).0;
                batch.1 += 1;
            }
        }
    }
    batches.retain(|_, (total, _)| *total > 0);
    batches
}

/// Who was paid what by one claim, in order.
fn payments(settled: &Event) -> Vec<(String, String, Upokt)> {
    let list = attribute(settled, "reward_distribution_detailed");
    let payments = list.as_array().unwrap().iter().map(|one| {
        (
            text(&one["recipient_address"]),
            text(&one["op_reason"]),
            upokt(&one["amount"]),
        )
    });
    payments.collect()
}

fn expected_payments(operations: &Value) -> Vec<(String, String, Upokt)> {
    let list = operations["module_to_account"].as_array().into_iter().flatten();
    list.map(|one| (text(&one["to"]), text(&one["reason"]), upokt(&one["amount"])))
        .collect()
}

fn validator(value: &Value) -> Validator {
    let delegations = value["delegations"].as_array().into_iter().flatten();
    let delegations = delegations.map(|one| (text(&one["delegator"]), Upokt(number(&one["shares"]).into())));
    Validator {
        account: text(&value["account"]).parse().unwrap(),
        tokens: upokt(&value["tokens"]),
        commission: text(&value["commission"]),
        delegations: delegations.collect(),
    }
}
