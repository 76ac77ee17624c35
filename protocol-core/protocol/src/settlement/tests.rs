use serde_json::Value;

use super::*;
use portico_vectors::{counted, read_json};

/// Sections that are arithmetic of this crate, tested here; the rest runs through the state machine in `portico-chain`.
const STATE_MACHINE: [&str; 7] = [
    "difficulty_sequences",
    "meta",
    "settlement",
    "settlement_actors",
    "token_logic",
    "token_logic_params",
    "validator_distribution",
];

fn amount(value: &Value) -> Upokt {
    Upokt(value.as_str().unwrap().parse().unwrap())
}

fn number(value: &Value) -> u64 {
    value
        .as_u64()
        .unwrap_or_else(|| value.as_str().unwrap().parse().unwrap())
}

#[test]
fn settles_as_the_go_implementation_in_every_arithmetic_vector() {
    let file: serde_json::Map<String, Value> = read_json("tokenomics.json");
    for (section, cases) in file {
        let check: fn(&Value) = match section.as_str() {
            "float_to_rational" => float_to_rational,
            "inflation_mint" => inflation_mint,
            "supplier_shareholders" => supplier_shareholders,
            "claim_amount" => claim_amount,
            "ema" => ema,
            "new_target_hash" => new_target_hash,
            known if STATE_MACHINE.contains(&known) => continue,
            unknown => panic!("section {unknown} is not known here"),
        };
        let cases = cases.as_array().unwrap();
        cases.iter().for_each(check);
        counted("tokenomics.json", &section, cases.len());
    }
}

fn float_to_rational(case: &Value) {
    let bits = u64::from_str_radix(case["bits"].as_str().unwrap(), 16).unwrap();
    let ours = Fraction::of(f64::from_bits(bits)).unwrap();
    let (n, d) = case["rational"].as_str().unwrap().split_once('/').unwrap();
    let (n, d): (u128, u128) = (n.parse().unwrap(), d.parse().unwrap());
    assert_eq!(ours.numerator * d, ours.denominator * n, "{case}");
}

fn inflation_mint(case: &Value) {
    let inflation = Fraction::of(case["inflation"].as_f64().unwrap()).unwrap();
    assert_eq!(
        inflation.ceil_of(amount(&case["settlement"])).unwrap(),
        amount(&case["mint"]),
        "{case}"
    );
}

fn supplier_shareholders(case: &Value) {
    let shares: Vec<ServiceRevenueShare> = case["shares"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|share| ServiceRevenueShare {
            address: share["address"].as_str().unwrap().into(),
            rev_share_percentage: share["percentage"].as_u64().unwrap(),
        })
        .collect();
    let ours = shareholders(amount(&case["amount"]), &shares);
    if case["result"]["ok"] != true {
        assert_eq!(ours.unwrap_err().to_string(), case["result"]["error"], "{case}");
        return;
    }
    let theirs = case["amounts"].as_object().unwrap();
    let theirs = theirs.iter().map(|(to, part)| (to.clone(), amount(part)));
    let theirs: Vec<_> = theirs.filter(|(_, part)| part.0 > 0).collect();
    assert_eq!(ours.unwrap(), theirs, "{case}");
}

fn claim_amount(case: &Value) {
    let mut root = vec![0; 32];
    root.extend(number(&case["sum"]).to_be_bytes());
    root.extend(number(&case["count"]).to_be_bytes());
    let target = hex::decode(case["target"].as_str().unwrap()).unwrap();
    let (multiplier, granularity) = (number(&case["cuttm"]), number(&case["granularity"]));
    let ours = crate::claim::claim_amount(&root, &target, multiplier, granularity);
    // Amounts beyond 2^128, with absurdly small targets, are an error of ours.
    let claimed = case["claimed_upokt"].as_str().and_then(|text| text.parse().ok());
    let (Some(claimed), true) = (claimed, case["result"]["ok"] == true) else {
        assert!(ours.is_err(), "{case}");
        return;
    };
    let ours = ours.unwrap();
    assert_eq!(ours.claimed, Upokt(claimed), "{case}");
    let estimated = (ours.estimated_compute_units, ours.estimated_relays);
    let theirs = (
        number(&case["estimated_compute_units"]),
        number(&case["estimated_relays"]),
    );
    assert_eq!(estimated, theirs, "{case}");
}

fn ema(case: &Value) {
    let ours = crate::difficulty::next_ema(number(&case["prev_ema"]), number(&case["num_relays"]));
    assert_eq!(ours, number(&case["new_ema"]), "{case}");
}

fn new_target_hash(case: &Value) {
    let previous = hex::decode(case["prev_target"].as_str().unwrap()).unwrap();
    let previous = previous.try_into().unwrap();
    let (goal, ema) = (
        number(&case["target_num_relays"]),
        number(&case["new_relays_ema"]),
    );
    let ours = crate::difficulty::scale_target(&previous, goal, ema).map(hex::encode);
    assert_eq!(ours.as_deref(), case["new_target"].as_str(), "{case}");
}

#[test]
fn refuses_what_is_no_fraction() {
    for value in [-0.1, f64::NAN, f64::INFINITY, 1e-19] {
        assert!(Fraction::of(value).is_err(), "{value}");
    }
    assert_eq!(Fraction::of_decimal(""), None);
    assert_eq!(Fraction::of_decimal("+1"), None);
}

#[test]
fn refuses_shares_beyond_the_whole() {
    let shares = Shares {
        supplier: 0.7,
        proposer: 0.4,
        source_owner: 0.0,
        application: 0.0,
    };
    assert_eq!(split(Upokt(100), &shares), Err(SettlementError::Shares));
}

proptest::proptest! {
    #[test]
    fn gives_every_upokt_to_somebody(
        total in 0_u128..=1 << 60,
        weights in proptest::collection::btree_map("[a-z]{3}", 1_u128..=1 << 60, 1..20),
    ) {
        let parts = by_weight(Upokt(total), &weights).unwrap();
        proptest::prop_assert_eq!(parts.values().map(|part| part.0).sum::<u128>(), total);
        let shares = Shares { supplier: 0.7, proposer: 0.05, source_owner: 0.15, application: 0.0 };
        let parts = split(Upokt(total), &shares).unwrap();
        let sum = parts.supplier.0 + parts.proposer.0 + parts.source_owner.0 + parts.application.0 + parts.dao.0;
        proptest::prop_assert_eq!(sum, total);
    }
}
