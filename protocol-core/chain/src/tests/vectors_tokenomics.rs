use std::collections::BTreeMap;

use portico_protocol::tx::module_address;
use portico_protocol::wire::pocket::application::Application;
use portico_protocol::wire::pocket::proof::{Claim, ClaimProofStatus, Params as ProofParams};
use portico_protocol::wire::pocket::session::SessionHeader;
use portico_protocol::wire::pocket::shared::{
    ApplicationServiceConfig, Service, ServiceConfigUpdate, ServiceRevenueShare, Supplier,
    SupplierServiceConfig,
};
use portico_protocol::wire::pocket::tokenomics::{
    MintAllocationPercentages, MintEqualsBurnClaimDistribution, Params, SettlementOpReason,
};
use portico_protocol::{Address, Height, Upokt};
use serde_json::Value;

use super::lab::{Lab, bytes, each, number, shared_params, text, upokt, vectors};
use crate::tokenomics::{self, MintBurn, Operations, Rewards, Transfer, Validator};
use crate::{application, bank, proof, service, shared, stake, supplier};

/// Sections that are arithmetic of `portico-protocol`.
const ARITHMETIC: [&str; 7] = [
    "claim_amount",
    "ema",
    "float_to_rational",
    "inflation_mint",
    "meta",
    "new_target_hash",
    "supplier_shareholders",
];

#[test]
fn settles_as_the_go_implementation() {
    let all = vectors("tokenomics.json");
    let actors = &all["settlement_actors"];
    for (section, cases) in &all {
        let file = "tokenomics.json";
        match section.as_str() {
            "settlement" => each(file, section, cases, |case| settlement(actors, case)),
            "token_logic" => each(file, section, cases, |case| {
                token_logic(actors, &all["token_logic_params"], case)
            }),
            "validator_distribution" => validator_distribution(cases),
            "difficulty_sequences" => each(file, section, cases, difficulty_sequence),
            "settlement_actors" | "token_logic_params" => {}
            known if ARITHMETIC.contains(&known) => {}
            unknown => panic!("section {unknown} is not known here"),
        }
    }
}

fn address_of(actors: &Value, name: &str) -> String {
    let actor = actors
        .as_array()
        .unwrap()
        .iter()
        .find(|actor| actor["name"] == name);
    text(&actor.unwrap()["address"])
}

fn reason(value: &Value) -> SettlementOpReason {
    SettlementOpReason::from_str_name(value["reason"].as_str().unwrap()).unwrap()
}

fn module(value: &Value) -> &'static str {
    match value.as_str().unwrap() {
        "application" => "application",
        "supplier" => "supplier",
        "tokenomics" => "tokenomics",
        unknown => panic!("module {unknown}"),
    }
}

fn operations(value: &Value) -> Operations {
    let mint_burn = |one: &Value| MintBurn {
        reason: reason(one),
        module: module(&one["module"]),
        amount: upokt(&one["amount"]),
    };
    let transfer = |one: &Value| Transfer {
        reason: reason(one),
        from: module(&one["from"]),
        to: text(&one["to"]),
        amount: upokt(&one["amount"]),
    };
    let list = |name: &str| value[name].as_array().cloned().unwrap_or_default();
    Operations {
        supplier: text(&value["supplier"]),
        mints: list("mints").iter().map(mint_burn).collect(),
        burns: list("burns").iter().map(mint_burn).collect(),
        between_modules: list("module_to_module").iter().map(transfer).collect(),
        to_accounts: list("module_to_account").iter().map(transfer).collect(),
    }
}

fn params(value: &Value) -> Params {
    let double = |value: &Value| value.as_f64().unwrap();
    let (a, b) = (
        &value["mint_allocation_percentages"],
        &value["mint_equals_burn_claim_distribution"],
    );
    Params {
        mint_allocation_percentages: Some(MintAllocationPercentages {
            dao: double(&a["dao"]),
            proposer: double(&a["proposer"]),
            supplier: double(&a["supplier"]),
            source_owner: double(&a["source_owner"]),
            application: double(&a["application"]),
        }),
        dao_reward_address: text(&value["dao_reward_address"]),
        global_inflation_per_claim: double(&value["global_inflation_per_claim"]),
        mint_equals_burn_claim_distribution: Some(MintEqualsBurnClaimDistribution {
            dao: double(&b["dao"]),
            proposer: double(&b["proposer"]),
            supplier: double(&b["supplier"]),
            source_owner: double(&b["source_owner"]),
            application: double(&b["application"]),
        }),
        mint_ratio: double(&value["mint_ratio"]),
        overservicing_bonus_multiplier: number(&value["overservicing_bonus_multiplier"]),
    }
}

fn share(address: &str, rev_share_percentage: u64) -> ServiceRevenueShare {
    ServiceRevenueShare {
        address: address.into(),
        rev_share_percentage,
    }
}

/// The validators of the settlement cases, which describe them in words.
fn settlement_validators(text: &Value) -> Vec<Validator> {
    assert_eq!(
        text,
        "validator-0 700 bonded, commission 0.05, delegations self 500 and delegator-0 200; \
         validator-1 300 bonded, commission 0, self 300"
    );
    let (first, second, delegator) = (
        "pokt125t2fjrcr0wgfmyyhwtrlnznq87l7hlnn63kg9",
        "pokt1v04gxmryjwe3h5rp9xyc2tzrnkgx7uhyemx69z",
        "pokt14wp4k6y3x4sznaufn6glqzgp27k67jr56vkc34",
    );
    let validator = |account: &str, tokens, commission: &str, delegations: &[(&str, u128)]| Validator {
        account: account.parse().unwrap(),
        tokens: Upokt(tokens),
        commission: commission.into(),
        delegations: delegations
            .iter()
            .map(|(to, tokens)| ((*to).into(), Upokt(*tokens)))
            .collect(),
    };
    vec![
        validator(first, 700, "0.05", &[(first, 500), (delegator, 200)]),
        validator(second, 300, "0", &[(second, 300)]),
    ]
}

/// State before a settlement case.
fn settlement_lab(actors: &Value, case: &Value) -> Lab {
    let mut lab = Lab::new().with_block_hashes(1..=29);
    let header = &case["session_header"];
    let id = text(&header["service_id"]);
    let owner = address_of(actors, "owner");
    lab.at(0, |ctx| {
        shared::set_params(ctx, &shared_params(&case["shared_params"]));
        tokenomics::set_params(ctx, &params(&case["tokenomics_params"]));
        let new = ProofParams {
            proof_request_probability: case["proof_request_probability"].as_f64().unwrap(),
            proof_requirement_threshold: Some(upokt(&case["proof_requirement_threshold"]).into()),
            proof_missing_penalty: Some(upokt(&case["proof_missing_penalty"]).into()),
            proof_submission_fee: Some(Upokt(0).into()),
        };
        proof::set_params(ctx, &new);
        tokenomics::set_validators(ctx, &settlement_validators(&case["validators"]))?;
        let service = Service {
            id: id.clone(),
            compute_units_per_relay: number(&case["compute_units_per_relay"]),
            owner_address: address_of(actors, "source-owner"),
            ..Service::default()
        };
        service::genesis_service(ctx, &service)?;
        let stake = upokt(&case["application_stake"]);
        let limit = upokt(&case["per_session_spend_limit"]);
        let app = Application {
            address: text(&header["application_address"]),
            stake: Some(stake.into()),
            service_configs: vec![ApplicationServiceConfig {
                service_id: id.clone(),
            }],
            per_session_spend_limit: (limit > Upokt(0)).then(|| limit.into()),
            ..Application::default()
        };
        application::save(ctx, &app);
        bank::genesis_balance(ctx, &module_address("application"), stake)?;
        for operator in case["supplier_stakes_after"].as_object().unwrap().keys() {
            let stake = upokt(&case["supplier_stake"]);
            bank::genesis_balance(ctx, &module_address("supplier"), stake)?;
            let config = SupplierServiceConfig {
                service_id: id.clone(),
                rev_share: vec![share(&owner, 70), share(operator, 30)],
                ..SupplierServiceConfig::default()
            };
            let new = Supplier {
                owner_address: owner.clone(),
                operator_address: operator.clone(),
                stake: Some(stake.into()),
                service_config_history: vec![ServiceConfigUpdate {
                    operator_address: operator.clone(),
                    service: Some(config),
                    activation_height: 1,
                    deactivation_height: 0,
                }],
                ..Supplier::default()
            };
            supplier::save(ctx, None, &new);
        }
        for claim in case["claims"].as_array().unwrap() {
            proof::save_claim(ctx, &self::claim(header, claim));
        }
        Ok(())
    })
    .unwrap();
    lab
}

fn claim(header: &Value, claim: &Value) -> Claim {
    let header = SessionHeader {
        application_address: text(&header["application_address"]),
        service_id: text(&header["service_id"]),
        session_id: text(&header["session_id"]),
        session_start_block_height: header["session_start_block_height"].as_i64().unwrap(),
        session_end_block_height: header["session_end_block_height"].as_i64().unwrap(),
    };
    let status = ClaimProofStatus::from_str_name(claim["proof_validation_status"].as_str().unwrap());
    Claim {
        supplier_operator_address: text(&claim["supplier"]),
        session_header: Some(header),
        root_hash: bytes(&claim["root"]),
        proof_validation_status: status.unwrap().into(),
    }
}

fn settlement(actors: &Value, case: &Value) {
    let mut lab = settlement_lab(actors, case);
    let height = case["settlement_height"].as_i64().unwrap();
    let early = lab.at(height - 1, tokenomics::settle).unwrap();
    assert!(early.operations.is_empty() && early.expired.is_empty());
    let supplier_pool = bank::balance(lab.state(), &module_address("supplier")).unwrap();
    let done = lab.at(height, tokenomics::settle).unwrap();

    let list = |name: &str| case[name].as_array().cloned().unwrap_or_default();
    let theirs: Vec<Operations> = list("settled").iter().map(operations).collect();
    assert_eq!(done.operations, theirs, "{}", case["name"]);
    let expired: Vec<&str> = done
        .expired
        .iter()
        .map(|claim| claim.supplier_operator_address.as_str())
        .collect();
    let theirs = list("expired");
    let theirs: Vec<&str> = theirs
        .iter()
        .map(|one| one["supplier"].as_str().unwrap())
        .collect();
    assert_eq!(expired, theirs, "{}", case["name"]);
    assert_eq!(done.discarded.len() as u64, number(&case["discarded"]));

    let app = text(&case["session_header"]["application_address"]);
    let app = application::application(lab.state(), &app).unwrap().unwrap();
    assert_eq!(
        stake::amount(app.stake.as_ref()),
        upokt(&case["application_stake_after"])
    );
    assert_eq!(
        app.unstake_session_end_height,
        number(&case["application_unstake_session_end_height_after"])
    );
    for (operator, after) in case["supplier_stakes_after"].as_object().unwrap() {
        let supplier = supplier::supplier(lab.state(), operator).unwrap().unwrap();
        assert_eq!(stake::amount(supplier.stake.as_ref()), upokt(after));
    }
    for (account, after) in case["balances_after"].as_object().unwrap() {
        let (address, base) = match account.strip_prefix("module ") {
            Some("supplier") => (module_address("supplier"), supplier_pool.0),
            Some(module) => (module_address(module), 0),
            None => (account.parse::<Address>().unwrap(), 0),
        };
        let balance = bank::balance(lab.state(), &address).unwrap().0;
        let relative = i128::try_from(balance).unwrap() - i128::try_from(base).unwrap();
        assert_eq!(
            relative.to_string(),
            after.as_str().unwrap(),
            "{account} of {}",
            case["name"]
        );
    }
    assert_eq!(
        bank::supply(lab.state()).unwrap(),
        bank::sum_of_balances(lab.state()).unwrap()
    );
}

fn token_logic(actors: &Value, all_params: &Value, case: &Value) {
    let params = params(&all_params[usize::try_from(number(&case["params"])).unwrap()]);
    let holders = [
        "pokt1wkhs2t0xqynln82lraaagft938jmax48cvvawg",
        "pokt1aa6nvmj9ks0y0cp9590sptxdn5qq0xqha9lfyf",
    ];
    let shares = case["shares"].as_array().unwrap().iter().zip(holders);
    let rev_shares: Vec<ServiceRevenueShare> = shares
        .map(|(percent, holder)| share(holder, number(percent)))
        .collect();
    let owner = address_of(actors, "owner");
    let supplier = Supplier {
        owner_address: owner,
        ..Supplier::default()
    };
    let rewards = Rewards {
        params: &params,
        supplier: &supplier,
        rev_shares: &rev_shares,
        service_id: "eth",
        source_owner: &address_of(actors, "source-owner"),
        session_id: "",
        session_end: 20,
    };
    let mut app = Application {
        address: address_of(actors, "app"),
        stake: Some(Upokt(10_000_000).into()),
        ..Application::default()
    };
    let mut pool = tokenomics::ValidatorPool::default();
    let settlement = upokt(&case["settlement"]);
    let queued = Lab::new().at(30, |ctx| rewards.queue(ctx, &mut app, settlement, &mut pool));
    assert_eq!(
        stake::amount(app.stake.as_ref()),
        upokt(&case["application_stake_after"]),
        "{case}"
    );
    if case["result"]["ok"] != true {
        let theirs = case["result"]["error"].as_str().unwrap();
        assert!(queued.unwrap_err().to_string().contains(theirs), "{case}");
        return;
    }
    assert_eq!(queued.unwrap(), operations(&case["operations"]), "{case}");
    let accumulated = case["validator_reward_accumulated"].as_object().unwrap();
    let part = |name: &str| accumulated.get(name).map_or(Upokt(0), upokt);
    assert_eq!(
        pool.relays,
        part("TLM_RELAY_BURN_EQUALS_MINT_VALIDATOR_REWARD_DISTRIBUTION")
    );
    assert_eq!(
        pool.inflation,
        part("TLM_GLOBAL_MINT_VALIDATOR_REWARD_DISTRIBUTION")
    );
}

fn validator_distribution(cases: &Value) {
    let mut lab = Lab::new();
    each("tokenomics.json", "validator_distribution", cases, |case| {
        if let Some(validators) = case.get("validators") {
            let validators: Vec<Validator> = validators.as_array().unwrap().iter().map(validator).collect();
            lab.at(0, |ctx| tokenomics::set_validators(ctx, &validators))
                .unwrap();
        }
        let reason = SettlementOpReason::TlmRelayBurnEqualsMintValidatorRewardDistribution;
        let mut queued = Operations::default();
        let total = upokt(&case["reward"]);
        lab.at(30, |ctx| {
            tokenomics::distribute(ctx, total, reason, 20, &mut queued)
        })
        .unwrap();
        assert_eq!(queued, operations(&case["operations"]), "{case}");
    });
}

fn validator(value: &Value) -> Validator {
    let delegations: BTreeMap<String, Upokt> = value["delegations"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|one| (text(&one["delegator"]), Upokt(number(&one["shares"]).into())))
        .collect();
    Validator {
        account: text(&value["account"]).parse().unwrap(),
        tokens: upokt(&value["tokens"]),
        commission: text(&value["commission"]),
        delegations,
    }
}

fn difficulty_sequence(case: &Value) {
    let mut lab = Lab::new();
    lab.at(0, |ctx| {
        let mut params = service::params(&ctx.state)?;
        params.target_num_relays = number(&case["target_num_relays"]);
        service::set_params(ctx, &params);
        let mut params = shared::params(&ctx.state)?;
        params.num_blocks_per_session = number(&case["num_blocks_per_session"]);
        shared::set_params(ctx, &params);
        Ok(())
    })
    .unwrap();
    for step in case["steps"].as_array().unwrap() {
        let height = step["height"].as_i64().unwrap();
        let mut after = lab.clone();
        after
            .at(height, |ctx| {
                service::update_difficulty(ctx, "eth", number(&step["num_relays"]))
            })
            .unwrap();
        if step["result"]["ok"] == true {
            lab = after;
            let ours = service::difficulty(lab.state(), "eth", Height(height)).unwrap();
            assert_eq!(ours.num_relays_ema, number(&step["num_relays_ema"]), "{step}");
            assert_eq!(ours.block_height, step["effective_height"], "{step}");
            assert_eq!(ours.target_hash, bytes(&step["target_hash"]), "{step}");
        }
        let ours = service::difficulty_at(lab.state(), "eth", Height(height)).unwrap();
        let theirs = &step["difficulty_in_force_at_height"];
        assert_eq!(ours.num_relays_ema, number(&theirs["num_relays_ema"]), "{step}");
        assert_eq!(ours.block_height, theirs["block_height"], "{step}");
        assert_eq!(ours.target_hash, bytes(&theirs["target_hash"]), "{step}");
    }
}
