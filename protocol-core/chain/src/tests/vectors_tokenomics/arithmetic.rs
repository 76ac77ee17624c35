//! Sections about one amount: each case is a claim that is made to be worth it.

use std::collections::BTreeMap;

use portico_protocol::wire::pocket::application::{QueryGetApplicationRequest, QueryGetApplicationResponse};
use portico_protocol::wire::pocket::service::{
    QueryGetRelayMiningDifficultyAtHeightRequest, QueryGetRelayMiningDifficultyAtHeightResponse,
    QueryGetRelayMiningDifficultyRequest, QueryGetRelayMiningDifficultyResponse, RelayMiningDifficulty,
};
use portico_protocol::wire::pocket::shared::ServiceRevenueShare;
use portico_protocol::{Height, Upokt};
use serde_json::Value;

use super::{announced, expected, expected_payments, payments, validator};
use crate::genesis::{DistributionShares, GenesisParams, TokenomicsParams};
use crate::service;
use crate::tests::lab::{bytes, each, number, text, upokt};
use crate::tests::replay::{Keys, Replay, attribute, key, of_kind, tokenomics_params};
use crate::tests::settling::{STAKE, Scene, claim, place_claim, session};

const SETTLED: &str = "pocket.tokenomics.EventClaimSettled";
const DISCARDED: &str = "pocket.tokenomics.EventClaimDiscarded";

fn only(field: impl FnOnce(&mut DistributionShares)) -> DistributionShares {
    let mut shares = DistributionShares {
        dao: 0.0,
        proposer: 0.0,
        supplier: 0.0,
        source_owner: 0.0,
        application: 0.0,
    };
    field(&mut shares);
    shares
}

fn scene(tokenomics: TokenomicsParams) -> Scene {
    Scene::new(GenesisParams {
        tokenomics,
        ..GenesisParams::default()
    })
}

fn application_stake(chain: &Replay) -> u128 {
    let request = QueryGetApplicationRequest {
        address: key("application").address().to_string(),
    };
    let path = "/pocket.application.Query/Application";
    let answer: QueryGetApplicationResponse = chain.ask(path, &request).unwrap();
    Upokt::try_from(&answer.application.unwrap().stake.unwrap())
        .unwrap()
        .0
}

/// The vectors' application is staked with this much.
const THEIR_STAKE: i128 = 10_000_000;

pub(super) fn token_logic(all_params: &Value, case: &Value) {
    let params = tokenomics_params(&all_params[usize::try_from(number(&case["params"])).unwrap()]);
    let mut scene = scene(params);
    // The vectors name their actors by the addresses that are paid; the application is ours.
    let all: Vec<(String, String, Upokt)> = expected_payments(&case["operations"]);
    let paid = |reason: &str| -> Vec<String> {
        let of_reason = all.iter().filter(|(_, found, _)| found.contains(reason));
        let mut addresses: Vec<String> = Vec::new();
        for (to, ..) in of_reason {
            if !addresses.contains(to) {
                addresses.push(to.clone());
            }
        }
        addresses
    };
    let ours = |name: &str| key(name).address().to_string();
    // Two shareholders, the first the one who gets the rounding: with one only, all.
    let percentages: Vec<u64> = case["shares"].as_array().unwrap().iter().map(number).collect();
    let holders: Vec<String> = (0..percentages.len())
        .map(|n| ours(&format!("holder {n}")))
        .collect();
    let shares: Vec<(String, u64)> = holders.iter().cloned().zip(percentages.iter().copied()).collect();
    scene.set_shares(&shares);
    let (chain, events) = scene.settle(number(&case["settlement"]));
    if case["result"]["ok"] != true {
        let discarded = of_kind(&events, DISCARDED).next().unwrap();
        let error = text(&attribute(discarded, "error"));
        assert!(
            error.contains(case["result"]["error"].as_str().unwrap()),
            "{error} for {case}"
        );
        assert_eq!(
            application_stake(&chain),
            STAKE.0,
            "a discarded claim takes nothing"
        );
        return;
    }
    let theirs: i128 = upokt(&case["application_stake_after"]).0.try_into().unwrap();
    let taken = STAKE.0 - application_stake(&chain);
    assert_eq!(i128::try_from(taken).unwrap(), THEIR_STAKE - theirs, "{case}");
    // Amounts by reason, and by recipient: ours stand where theirs do.
    let settled = of_kind(&events, SETTLED).next().unwrap();
    let amounts = |list: &[(String, String, Upokt)]| -> BTreeMap<String, Vec<u128>> {
        let mut by_reason: BTreeMap<String, Vec<u128>> = BTreeMap::new();
        for (_, reason, amount) in list {
            by_reason.entry(reason.clone()).or_default().push(amount.0);
        }
        by_reason.values_mut().for_each(|amounts| amounts.sort_unstable());
        by_reason
    };
    let payments = payments(settled);
    assert_eq!(amounts(&payments), amounts(&all), "{case}");
    assert_eq!(paid("SHAREHOLDER").len(), {
        let ours: std::collections::BTreeSet<_> = payments
            .iter()
            .filter(|(_, reason, _)| reason.contains("SHAREHOLDER"))
            .map(|one| &one.0)
            .collect();
        ours.len()
    });
    // The first shareholder gets what rounding leaves.
    let total: u128 = payments
        .iter()
        .filter(|(_, reason, _)| reason.contains("BURN_EQUALS_MINT_SUPPLIER"))
        .map(|one| one.2.0)
        .sum();
    for (holder, percentage) in shares.iter().skip(1) {
        let of_holder = payments
            .iter()
            .filter(|(to, reason, _)| to == holder && reason.contains("BURN_EQUALS_MINT_SUPPLIER"));
        assert_eq!(
            of_holder.map(|one| one.2.0).sum::<u128>(),
            total * u128::from(*percentage) / 100,
            "{case}"
        );
    }
    let modules = |batches: super::Batches| -> BTreeMap<(String, String, String), u128> {
        let others = batches
            .into_iter()
            .filter(|((kind, ..), _)| kind != "mod_to_acct");
        others
            .map(|((kind, sender, _, reason), (total, _))| ((kind, sender, reason), total))
            .collect()
    };
    assert_eq!(
        modules(announced(&events)),
        modules(expected(std::iter::once(&case["operations"]))),
        "{case}"
    );
    let shared = case["validator_reward_accumulated"].as_object().unwrap();
    for reason in [
        "TLM_RELAY_BURN_EQUALS_MINT_VALIDATOR_REWARD_DISTRIBUTION",
        "TLM_GLOBAL_MINT_VALIDATOR_REWARD_DISTRIBUTION",
    ] {
        let ours = of_kind(&events, "pocket.tokenomics.EventValidatorRewardDistribution")
            .find(|event| attribute(event, "op_reason") == reason);
        let ours = ours.map_or(0, |event| upokt(&attribute(event, "pool_share_upokt")).0);
        assert_eq!(
            ours,
            shared.get(reason).map_or(0, |value| upokt(value).0),
            "{case}"
        );
    }
}

/// The proposer gets everything, which the validators share.
pub(super) fn validator_distribution(cases: &Value) {
    let mut validators = Vec::new();
    each("tokenomics.json", "validator_distribution", cases, |case| {
        if let Some(new) = case.get("validators") {
            validators = new.as_array().unwrap().iter().map(validator).collect();
        }
        let reward = number(&case["reward"]);
        let theirs = expected(std::iter::once(&case["operations"]));
        if reward == 0 {
            assert!(theirs.is_empty(), "nothing can be claimed, and nothing is shared");
            return;
        }
        let mut scene = scene(TokenomicsParams {
            global_inflation_per_claim: 0.0,
            mint_equals_burn_claim_distribution: only(|shares| shares.proposer = 1.0),
            ..TokenomicsParams::default()
        });
        scene.validators = Some(validators.clone());
        let (_, events) = scene.settle(reward);
        let mut ours = announced(&events);
        ours.retain(|(kind, ..), _| kind == "mod_to_acct");
        assert_eq!(ours, theirs, "{case}");
    });
}

fn difficulty(chain: &Replay, height: Option<i64>) -> RelayMiningDifficulty {
    let service_id = "eth".to_owned();
    match height {
        None => {
            let path = "/pocket.service.Query/RelayMiningDifficulty";
            let request = QueryGetRelayMiningDifficultyRequest { service_id };
            let answer: QueryGetRelayMiningDifficultyResponse = chain.ask(path, &request).unwrap();
            answer.relay_mining_difficulty.unwrap()
        }
        Some(block_height) => {
            let path = "/pocket.service.Query/RelayMiningDifficultyAtHeight";
            let request = QueryGetRelayMiningDifficultyAtHeightRequest {
                service_id,
                block_height,
            };
            let answer: QueryGetRelayMiningDifficultyAtHeightResponse = chain.ask(path, &request).unwrap();
            answer.relay_mining_difficulty.unwrap()
        }
    }
}

/// Claims that cost nothing, settled in the blocks that a case names; a settlement of no relays cannot be, and is put there.
pub(super) fn difficulty_sequence(case: &Value) {
    let blocks = number(&case["num_blocks_per_session"]);
    let steps = case["steps"].as_array().unwrap();
    let first = steps[0]["height"].as_i64().unwrap();
    let offset = u64::try_from(first - 1).unwrap() % blocks;
    assert!(offset > 0, "a settlement is later than its session");
    let mut params = GenesisParams {
        target_num_relays: number(&case["target_num_relays"]),
        ..GenesisParams::default()
    };
    params.shared.num_blocks_per_session = blocks;
    params.shared.grace_period_end_offset_blocks = 0;
    params.shared.claim_window_open_offset_blocks = 0;
    params.shared.claim_window_close_offset_blocks = offset;
    params.shared.proof_window_open_offset_blocks = 0;
    params.shared.proof_window_close_offset_blocks = 0;
    let mut scene = Scene::new(params);
    scene.genesis.params.shared.compute_unit_cost_granularity = u64::MAX;
    let mut chain = scene.begin();
    for step in steps {
        let (height, relays) = (step["height"].as_i64().unwrap(), number(&step["num_relays"]));
        let end = height - 1 - i64::try_from(offset).unwrap();
        let regular =
            relays > 0 && end > 0 && u64::try_from(end).unwrap() % blocks == 0 && chain.height <= end;
        if regular {
            chain.run_to(end);
            let message = portico_protocol::wire::pocket::proof::MsgCreateClaim {
                supplier_operator_address: key("supplier").address().to_string(),
                session_header: Some(session(&chain, end)),
                root_hash: [&[7; 32][..], &relays.to_be_bytes(), &relays.to_be_bytes()].concat(),
            };
            let supplier = key("supplier");
            let keys = Keys::from([(supplier.address().to_string(), supplier)]);
            let (outcome, _) = chain.deliver(&keys, &message.supplier_operator_address, &message);
            assert_eq!(outcome.code, 0, "{}", outcome.log);
            chain.run_to(height);
        } else {
            chain.run_to(height);
            if step["result"]["ok"] == true {
                chain.place(|ctx| service::update_difficulty(ctx, "eth", relays));
            }
        }
        if step["result"]["ok"] == true {
            let ours = difficulty(&chain, None);
            assert_eq!(ours.num_relays_ema, number(&step["num_relays_ema"]), "{step}");
            assert_eq!(ours.block_height, step["effective_height"], "{step}");
            assert_eq!(ours.target_hash, bytes(&step["target_hash"]), "{step}");
        }
        let ours = difficulty(&chain, Some(height));
        let theirs = &step["difficulty_in_force_at_height"];
        assert_eq!(ours.num_relays_ema, number(&theirs["num_relays_ema"]), "{step}");
        assert_eq!(ours.block_height, theirs["block_height"], "{step}");
        assert_eq!(ours.target_hash, bytes(&theirs["target_hash"]), "{step}");
    }
}

/// A claim that must be proved and is not: it expires, and says what it was worth.
pub(super) fn claim_amount(case: &Value) {
    let mut scene = scene(TokenomicsParams::default());
    scene.genesis.params.proof.proof_requirement_threshold = Upokt(0);
    scene.genesis.params.shared.compute_units_to_tokens_multiplier = number(&case["cuttm"]);
    scene.genesis.params.shared.compute_unit_cost_granularity = number(&case["granularity"]);
    let mut chain = scene.begin();
    chain.place(|ctx| {
        let difficulty = RelayMiningDifficulty {
            service_id: "eth".into(),
            block_height: 1,
            num_relays_ema: 1,
            target_hash: bytes(&case["target"]),
        };
        service::record_difficulty(ctx, Height(1), difficulty);
        Ok(())
    });
    place_claim(&mut chain, number(&case["sum"]), number(&case["count"]));
    let events = chain.run_to(20);
    let expired = of_kind(&events, "pocket.tokenomics.EventClaimExpired").next();
    let theirs = case["claimed_upokt"].as_str().unwrap_or_default();
    if theirs.trim_end_matches("upokt").parse::<u128>().is_err() {
        // No result, or one beyond 2^128: refused.
        assert!(
            expired.is_none() && of_kind(&events, DISCARDED).next().is_some(),
            "{case}"
        );
        return;
    }
    let expired = expired.unwrap_or_else(|| panic!("{events:?} for {case}"));
    assert_eq!(
        upokt(&attribute(expired, "claimed_upokt")),
        upokt(&case["claimed_upokt"]),
        "{case}"
    );
    for (ours, theirs) in [
        ("num_estimated_compute_units", "estimated_compute_units"),
        ("num_estimated_relays", "estimated_relays"),
        ("num_claimed_compute_units", "sum"),
        ("num_relays", "count"),
    ] {
        assert_eq!(number(&attribute(expired, ours)), number(&case[theirs]), "{case}");
    }
}

/// Difficulty after a settlement of so many leaves, which cost nothing.
fn after(target_num_relays: u64, previous: Option<u64>, relays: u64) -> (Replay, i64) {
    let mut scene = Scene::new(GenesisParams {
        target_num_relays,
        ..GenesisParams::default()
    });
    scene.genesis.params.shared.compute_unit_cost_granularity = u64::MAX;
    let mut chain = scene.begin();
    if let Some(ema) = previous {
        chain.place(|ctx| {
            let difficulty = RelayMiningDifficulty {
                service_id: "eth".into(),
                block_height: 1,
                num_relays_ema: ema,
                target_hash: vec![0xff; 32],
            };
            service::set_difficulty(ctx, &difficulty);
            Ok(())
        });
    }
    if relays > 0 {
        claim(&mut chain, relays, relays);
        chain.run_to(20);
    } else {
        chain.run_to(20);
        chain.place(|ctx| service::update_difficulty(ctx, "eth", 0));
    }
    (chain, 20)
}

pub(super) fn ema(case: &Value) {
    let (chain, _) = after(
        100_000,
        Some(number(&case["prev_ema"])),
        number(&case["num_relays"]),
    );
    assert_eq!(
        difficulty(&chain, None).num_relays_ema,
        number(&case["new_ema"]),
        "{case}"
    );
}

/// A service's first settlement records the target of just its leaves at its own height.
pub(super) fn new_target_hash(cases: &Value) {
    let mut elsewhere = 0;
    each("tokenomics.json", "new_target_hash", cases, |case| {
        let relays = number(&case["new_relays_ema"]);
        if case["prev_target"].as_str().unwrap().chars().any(|c| c != 'f') || relays == 0 {
            // The chain always scales from the base target, and settles no claim without leaves.
            elsewhere += 1;
            return;
        }
        let (chain, height) = after(number(&case["target_num_relays"]), None, relays);
        let ours = difficulty(&chain, Some(height));
        assert_eq!(ours.target_hash, bytes(&case["new_target"]), "{case}");
    });
    println!(
        "tokenomics.json new_target_hash: {elsewhere} cannot come up in blocks, and are left to arithmetic"
    );
}

/// What is minted on top of a settlement.
fn minted(settlement: u64, inflation: f64) -> u128 {
    let scene = scene(TokenomicsParams {
        global_inflation_per_claim: inflation,
        ..TokenomicsParams::default()
    });
    let (_, events) = scene.settle(settlement);
    let batches = announced(&events);
    let inflation = batches
        .iter()
        .find(|((kind, _, _, reason), _)| kind == "mint" && reason == "TLM_GLOBAL_MINT_INFLATION");
    inflation.map_or(0, |(_, (total, _))| *total)
}

pub(super) fn inflation_mint(case: &Value) {
    let settlement = number(&case["settlement"]);
    let theirs = upokt(&case["mint"]).0;
    if settlement == 0 {
        assert_eq!(theirs, 0);
        return;
    }
    assert_eq!(
        minted(settlement, case["inflation"].as_f64().unwrap()),
        theirs,
        "{case}"
    );
}

/// A fraction of its denominator is its numerator; of one less, it is rounded up.
pub(super) fn float_to_rational(case: &Value) {
    let value = f64::from_bits(u64::from_str_radix(case["bits"].as_str().unwrap(), 16).unwrap());
    let (numerator, denominator) = case["rational"].as_str().unwrap().split_once('/').unwrap();
    let (numerator, denominator): (u128, u64) = (numerator.parse().unwrap(), denominator.parse().unwrap());
    assert_eq!(minted(denominator, value), numerator, "{case}");
    if denominator > 1 {
        let less = (u128::from(denominator - 1) * numerator).div_ceil(denominator.into());
        assert_eq!(minted(denominator - 1, value), less, "{case}");
    }
}

/// The supplier gets everything, which its shareholders share.
pub(super) fn supplier_shareholders(case: &Value) {
    let amount = number(&case["amount"]);
    if amount == 0 {
        return; // nothing can be claimed
    }
    let mut scene = scene(TokenomicsParams {
        global_inflation_per_claim: 0.0,
        mint_equals_burn_claim_distribution: only(|shares| shares.supplier = 1.0),
        ..TokenomicsParams::default()
    });
    let shares = case["shares"].as_array().into_iter().flatten();
    let shares = shares.map(|share| ServiceRevenueShare {
        address: text(&share["address"]),
        rev_share_percentage: number(&share["percentage"]),
    });
    scene.odd_shares = Some(shares.collect());
    let (_, events) = scene.settle(amount);
    let settled = of_kind(&events, SETTLED)
        .next()
        .unwrap_or_else(|| panic!("{events:?} for {case}"));
    let ours: BTreeMap<String, u128> = payments(settled)
        .into_iter()
        .map(|(to, _, amount)| (to, amount.0))
        .collect();
    if case["result"]["ok"] != true {
        let fallback = "pocket.tokenomics.EventSupplierRevShareFallbackDistribution";
        let fallback = of_kind(&events, fallback).next().unwrap();
        assert_eq!(attribute(fallback, "reason"), case["result"]["error"], "{case}");
        assert_eq!(
            ours,
            BTreeMap::from([(key("owner").address().to_string(), amount.into())])
        );
        return;
    }
    let theirs = case["amounts"].as_object().unwrap().iter();
    let theirs: BTreeMap<String, u128> = theirs
        .map(|(to, amount)| (to.clone(), upokt(amount).0))
        .filter(|(_, amount)| *amount > 0)
        .collect();
    assert_eq!(ours, theirs, "{case}");
}
