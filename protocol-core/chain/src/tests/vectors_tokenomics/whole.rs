//! Whole settlements: claims of several suppliers, validators with delegators, budgets, slashing.

use std::collections::{BTreeMap, BTreeSet};

use portico_protocol::tx::module_address;
use portico_protocol::wire::pocket::application::{
    MsgStakeApplication, MsgUpdateParam as UpdateApplication, QueryGetApplicationRequest,
    QueryGetApplicationResponse, msg_update_param as application_param,
};
use portico_protocol::wire::pocket::proof::{Claim, ClaimProofStatus};
use portico_protocol::wire::pocket::session::SessionHeader;
use portico_protocol::wire::pocket::shared::ApplicationServiceConfig;
use portico_protocol::wire::pocket::supplier::{
    MsgUpdateParam as UpdateSupplier, QueryGetSupplierRequest, QueryGetSupplierResponse,
    msg_update_param as supplier_param,
};
use portico_protocol::{Address, ServiceId, Upokt};
use serde_json::Value;

use super::{announced, expected, expected_payments, payments};
use crate::genesis::{
    GenesisApplication, GenesisParams, GenesisRevShare, GenesisSupplier, GenesisSupplierService,
};
use crate::tests::lab::{bytes, each, number, text, upokt};
use crate::tests::replay::{
    Keys, Replay, account, attribute, begin, genesis, key, keys, of_kind, proof_params, service,
    tokenomics_params,
};
use crate::tokenomics::{self, Validator};
use crate::{application, proof};

/// The least stake of applications and suppliers in the vectors.
const MIN_STAKE: Upokt = Upokt(1_000_000);

fn actor<'a>(actors: &'a Value, name: &str) -> &'a Value {
    actors
        .as_array()
        .unwrap()
        .iter()
        .find(|actor| actor["name"] == name)
        .unwrap()
}

pub(super) fn settlements(actors: &Value, cases: &Value) {
    let names = Names::of(cases);
    let keys = keys();
    each("tokenomics.json", "settlement", cases, |case| {
        settlement(actors, &names, &keys, case)
    });
}

/// Addresses of the validators and delegators, which the vectors describe in words: found by what they are paid over all cases.
struct Names {
    validators: Vec<String>,
    delegators: Vec<String>,
}

impl Names {
    fn of(cases: &Value) -> Self {
        let mut paid: [BTreeMap<String, u128>; 2] = Default::default();
        for case in cases.as_array().unwrap() {
            for operations in case["settled"].as_array().into_iter().flatten() {
                for (to, reason, amount) in expected_payments(operations) {
                    let kinds = ["VALIDATOR_REWARD", "DELEGATOR_REWARD"];
                    if let Some(kind) = kinds.iter().position(|kind| reason.contains(kind)) {
                        *paid[kind].entry(to).or_default() += amount.0;
                    }
                }
            }
        }
        // The more they hold, the more they get.
        let [validators, delegators] = paid.map(|paid| {
            let mut by_amount: Vec<(u128, String)> =
                paid.into_iter().map(|(to, amount)| (amount, to)).collect();
            by_amount.sort_by(|a, b| b.cmp(a));
            by_amount.into_iter().map(|(_, to)| to).collect()
        });
        Self {
            validators,
            delegators,
        }
    }

    /// Reads `validator-0 700 bonded, commission 0.05, delegations self 500 and delegator-0 200; validator-1 300 bonded, …`.
    fn validators(&self, words: &str) -> Vec<Validator> {
        type Delegations = Vec<(String, Upokt)>;
        let mut all: Vec<(Upokt, String, Delegations)> = Vec::new();
        for part in words.split(';') {
            let part: Vec<&str> = part.split([' ', ',']).filter(|word| !word.is_empty()).collect();
            let after = |index: usize| Upokt(part[index + 1].parse().unwrap());
            let mut one = (after(0), "0".to_owned(), Vec::new());
            for (index, word) in part.iter().enumerate().skip(1) {
                if *word == "commission" {
                    one.1 = part[index + 1].to_owned();
                } else if *word == "self" || word.starts_with("delegator-") {
                    one.2.push(((*word).to_owned(), after(index)));
                }
            }
            all.push(one);
        }
        all.sort_by_key(|one| std::cmp::Reverse(one.0));
        let named = all.into_iter().zip(&self.validators);
        let validators = named.map(|((tokens, commission, delegations), account)| Validator {
            account: account.parse().unwrap(),
            tokens,
            commission,
            delegations: delegations
                .into_iter()
                .map(|(who, tokens)| (self.delegator(&who, account), tokens))
                .collect(),
        });
        validators.collect()
    }

    fn delegator(&self, who: &str, validator: &str) -> String {
        let number = who
            .strip_prefix("delegator-")
            .map(|number| number.parse::<usize>().unwrap());
        number.map_or_else(|| validator.to_owned(), |number| self.delegators[number].clone())
    }
}

/// The chain before the claims: staked by genesis, minimum stakes and spend limit set by message.
fn staged(actors: &Value, names: &Names, keys: &Keys, case: &Value) -> Replay {
    let header = &case["session_header"];
    let id = text(&header["service_id"]);
    let params = GenesisParams {
        proof: proof_params(case),
        tokenomics: tokenomics_params(&case["tokenomics_params"]),
        application_min_stake: Upokt(1),
        supplier_min_stake: Upokt(1),
        ..GenesisParams::default()
    };
    let mut genesis = genesis(params);
    let source = text(&actor(actors, "source-owner")["address"]);
    genesis.services = vec![service(&id, number(&case["compute_units_per_relay"]), &source)];
    let stake = upokt(&case["application_stake"]);
    let limit = upokt(&case["per_session_spend_limit"]);
    // A limit comes with a raised stake; one below the least cannot be stated.
    let stated = limit >= MIN_STAKE;
    let raise = Upokt(u128::from(stated));
    let app: Address = text(&header["application_address"]).parse().unwrap();
    genesis.accounts.push(account(actor(actors, "app"), raise));
    genesis.applications = vec![GenesisApplication {
        address: app,
        stake: Upokt(stake.0 - raise.0),
        service_id: ServiceId::new(&id).unwrap(),
        delegatees: Vec::new(),
    }];
    let owner: Address = text(&actor(actors, "owner")["address"]).parse().unwrap();
    for operator in case["supplier_stakes_after"].as_object().unwrap().keys() {
        let operator: Address = operator.parse().unwrap();
        let share = |address, percentage| GenesisRevShare { address, percentage };
        genesis.suppliers.push(GenesisSupplier {
            owner,
            operator,
            stake: upokt(&case["supplier_stake"]),
            services: vec![GenesisSupplierService {
                service_id: ServiceId::new(&id).unwrap(),
                url: "http://127.0.0.1:8545".into(),
                endpoints: Vec::new(),
                rev_share: vec![share(owner, 70), share(operator, 30)],
            }],
        });
    }
    let mut chain = begin(genesis, &case["shared_params"]);
    if limit > Upokt(0) && !stated {
        chain.place(|ctx| {
            let staked = application::application(&ctx.state, &app.to_string())?;
            let mut staked = staked.expect("in the genesis");
            staked.per_session_spend_limit = Some(limit.into());
            application::save(ctx, &staked);
            Ok(())
        });
    }
    if stated {
        let message = MsgStakeApplication {
            address: app.to_string(),
            stake: Some(stake.into()),
            services: vec![ApplicationServiceConfig { service_id: id }],
            per_session_spend_limit: Some(limit.into()),
        };
        let (outcome, _) = chain.deliver(keys, &app.to_string(), &message);
        assert_eq!(outcome.code, 0, "{}", outcome.log);
    }
    let authority = key("authority").address().to_string();
    let least = UpdateApplication {
        authority: authority.clone(),
        name: "min_stake".into(),
        as_type: Some(application_param::AsType::AsCoin(MIN_STAKE.into())),
    };
    assert_eq!(chain.deliver(keys, &authority, &least).0.code, 0);
    let least = UpdateSupplier {
        authority: authority.clone(),
        name: "min_stake".into(),
        as_type: Some(supplier_param::AsType::AsCoin(MIN_STAKE.into())),
    };
    assert_eq!(chain.deliver(keys, &authority, &least).0.code, 0);
    let validators = names.validators(&text(&case["validators"]));
    chain.place(|ctx| tokenomics::set_validators(ctx, &validators));
    chain
}

fn claim(header: &Value, claim: &Value) -> Claim {
    let status = ClaimProofStatus::from_str_name(claim["proof_validation_status"].as_str().unwrap());
    Claim {
        supplier_operator_address: text(&claim["supplier"]),
        session_header: Some(SessionHeader {
            application_address: text(&header["application_address"]),
            service_id: text(&header["service_id"]),
            session_id: text(&header["session_id"]),
            session_start_block_height: header["session_start_block_height"].as_i64().unwrap(),
            session_end_block_height: header["session_end_block_height"].as_i64().unwrap(),
        }),
        root_hash: bytes(&claim["root"]),
        proof_validation_status: status.unwrap().into(),
    }
}

/// Claims are put into state: their roots are of no relays, so that no message proves them.
fn settlement(actors: &Value, names: &Names, keys: &Keys, case: &Value) {
    let mut chain = staged(actors, names, keys, case);
    let height = case["settlement_height"].as_i64().unwrap();
    chain.run_to(height - 2);
    let list = |name: &str| case[name].as_array().cloned().unwrap_or_default();
    chain.place(|ctx| {
        for one in list("claims") {
            proof::save_claim(ctx, &claim(&case["session_header"], &one));
        }
        Ok(())
    });
    let of_settlement = |event: &portico_protocol::wire::tendermint::abci::Event| {
        event.r#type.starts_with("pocket.tokenomics.")
    };
    assert!(
        !chain.run_to(height - 1).iter().any(of_settlement),
        "nothing settles early"
    );
    let pool = |chain: &Replay| chain.balance(&module_address("supplier"));
    let before = pool(&chain);
    let events = chain.run_to(height);

    let theirs = list("settled");
    assert_eq!(announced(&events), expected(theirs.iter()), "{}", case["name"]);
    let ours: Vec<_> = of_kind(&events, "pocket.tokenomics.EventClaimSettled")
        .map(payments)
        .collect();
    let of_claims = theirs.iter().filter(|one| one["supplier"] != "");
    assert_eq!(
        ours,
        of_claims.map(expected_payments).collect::<Vec<_>>(),
        "{}",
        case["name"]
    );
    let expired = of_kind(&events, "pocket.tokenomics.EventClaimExpired");
    let expired: Vec<String> = expired
        .map(|event| text(&attribute(event, "supplier_operator_address")))
        .collect();
    let theirs: Vec<String> = list("expired").iter().map(|one| text(&one["supplier"])).collect();
    assert_eq!(expired, theirs, "{}", case["name"]);
    let discarded = of_kind(&events, "pocket.tokenomics.EventClaimDiscarded").count();
    assert_eq!(discarded as u64, number(&case["discarded"]), "{}", case["name"]);
    let slashed: BTreeSet<String> = of_kind(&events, "pocket.tokenomics.EventSupplierSlashed")
        .map(|event| text(&attribute(event, "supplier_operator_address")))
        .collect();
    assert_eq!(slashed, expired.into_iter().collect(), "{}", case["name"]);
    check_after(&chain, before, case);
}

fn check_after(chain: &Replay, supplier_pool_before: u128, case: &Value) {
    let request = QueryGetApplicationRequest {
        address: text(&case["session_header"]["application_address"]),
    };
    let path = "/pocket.application.Query/Application";
    let answer: QueryGetApplicationResponse = chain.ask(path, &request).unwrap();
    let app = answer.application.unwrap();
    let stake = Upokt::try_from(&app.stake.unwrap()).unwrap();
    assert_eq!(stake, upokt(&case["application_stake_after"]), "{}", case["name"]);
    let unstakes = number(&case["application_unstake_session_end_height_after"]);
    assert_eq!(app.unstake_session_end_height, unstakes, "{}", case["name"]);
    for (operator, after) in case["supplier_stakes_after"].as_object().unwrap() {
        let request = QueryGetSupplierRequest {
            operator_address: operator.clone(),
            dehydrated: false,
        };
        let path = "/pocket.supplier.Query/Supplier";
        let answer: QueryGetSupplierResponse = chain.ask(path, &request).unwrap();
        let stake = Upokt::try_from(&answer.supplier.unwrap().stake.unwrap()).unwrap();
        assert_eq!(stake, upokt(after), "{}", case["name"]);
    }
    for (account, after) in case["balances_after"].as_object().unwrap() {
        let (address, base) = match account.strip_prefix("module ") {
            Some("supplier") => (module_address("supplier"), supplier_pool_before),
            Some(module) => (module_address(module), 0),
            None => (account.parse().unwrap(), 0),
        };
        let ours = i128::try_from(chain.balance(&address)).unwrap() - i128::try_from(base).unwrap();
        assert_eq!(
            ours.to_string(),
            after.as_str().unwrap(),
            "{account} of {}",
            case["name"]
        );
    }
}
