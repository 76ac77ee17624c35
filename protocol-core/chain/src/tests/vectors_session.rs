//! Sessions of the Go implementation, through genesis, blocks and queries.

use std::collections::BTreeMap;

use portico_protocol::session::Timing;
use portico_protocol::wire::pocket::application::Application;
use portico_protocol::wire::pocket::proof::{MsgCreateClaim, MsgSubmitProof};
use portico_protocol::wire::pocket::session::{QueryGetSessionRequest, QueryGetSessionResponse, Session};
use portico_protocol::wire::pocket::shared::{
    ApplicationServiceConfig, ServiceConfigUpdate, Supplier, SupplierServiceConfig,
};
use portico_protocol::{Height, ServiceId, Upokt};
use serde_json::{Map, Value};

use super::lab::{self, bytes, each, number, text, vectors};
use super::replay::{Replay, begin, genesis, key, service};
use crate::block::TxOutcome;
use crate::genesis::{Genesis, GenesisApplication, GenesisParams, GenesisSupplier, GenesisSupplierService};
use crate::{application, session, supplier};

#[test]
fn hydrates_sessions_as_the_go_implementation() {
    let all = vectors("session.json");
    for (section, cases) in &all {
        match section.as_str() {
            "hydration_conditions" => hydration_conditions(&all, cases),
            "supplier_selection" => supplier_selection(&all, cases),
            "session_id" => session_ids(&all, cases),
            "windows" | "earliest_commit_heights" => {
                let mut asked = 0;
                each("session.json", section, cases, |case| {
                    asked += windows(&all, case)
                });
                println!(
                    "session.json {section}: {asked} of them are heights with a session that can be claimed"
                );
            }
            "candidates" | "shared_params" | "meta" => {}
            unknown => panic!("section {unknown} is not known here"),
        }
    }
}

/// Asks for the session of a case.
fn ask(chain: &Replay, case: &Value) -> Result<Session, String> {
    let height = case["query_height"].as_i64().unwrap();
    let request = QueryGetSessionRequest {
        application_address: text(&case["application_address"]),
        service_id: text(&case["service_id"]),
        block_height: height,
    };
    if height == 0 {
        // A query of height 0 asks for the newest; messages ask for the height that they state.
        let (app, id) = (&request.application_address, &request.service_id);
        let found = session::hydrate(chain.state(), Height(chain.height), app, id, Height(0));
        return found.map_err(|fault| fault.to_string());
    }
    let answer: Result<QueryGetSessionResponse, _> = chain.ask("/pocket.session.Query/GetSession", &request);
    answer
        .map(|answer| answer.session.unwrap())
        .map_err(|error| error.to_string())
}

fn check(chain: &Replay, case: &Value) {
    let ours = ask(chain, case);
    if case["result"]["ok"] != true {
        let (ours, theirs) = (ours.unwrap_err(), case["result"]["error"].as_str().unwrap());
        // A malformed request is refused before anything is hydrated.
        let malformed = format!("{ours}: error during session hydration");
        assert!(ours == theirs || malformed == theirs, "{ours} for {case}");
        return;
    }
    let ours = ours.unwrap();
    let (header, theirs) = (ours.header.unwrap(), &case["session_header"]);
    assert_eq!(header.session_id, theirs["session_id"], "{case}");
    assert_eq!(header.session_id, ours.session_id);
    assert_eq!(header.application_address, theirs["application_address"]);
    assert_eq!(header.service_id, theirs["service_id"]);
    assert_eq!(
        header.session_start_block_height,
        theirs["session_start_block_height"]
    );
    assert_eq!(
        header.session_end_block_height,
        theirs["session_end_block_height"]
    );
    assert_eq!(ours.session_number, case["session_number"]);
    let theirs = case["suppliers"].as_array().unwrap().iter();
    let theirs: Vec<&str> = theirs.map(|one| one.as_str().unwrap()).collect();
    let ours: Vec<&str> = ours
        .suppliers
        .iter()
        .map(|one| one.operator_address.as_str())
        .collect();
    assert_eq!(ours, theirs, "{case}");
}

/// Actors whose heights no messages could have made: they are put into state after the last block.
fn hydration_conditions(all: &Map<String, Value>, cases: &Value) {
    let (setup, cases) = cases.as_array().unwrap().split_first().unwrap();
    let params = GenesisParams {
        num_suppliers_per_session: number(&setup["num_suppliers_per_session"]),
        ..GenesisParams::default()
    };
    let shared = &all["shared_params"][setup["shared_params"].as_str().unwrap()];
    let mut chain = begin(genesis(params), shared);
    chain.run_to(setup["current_height"].as_i64().unwrap());
    let list = |name: &str| setup[name].as_array().unwrap().clone();
    let mut suppliers: BTreeMap<String, Supplier> = BTreeMap::new();
    for one in list("service_config_updates") {
        let operator = text(&one["operator_address"]);
        let staked = suppliers.entry(operator.clone()).or_insert_with(|| Supplier {
            operator_address: operator.clone(),
            ..Supplier::default()
        });
        staked.service_config_history.push(ServiceConfigUpdate {
            operator_address: operator,
            service: Some(SupplierServiceConfig {
                service_id: text(&one["service_id"]),
                ..SupplierServiceConfig::default()
            }),
            activation_height: one["activation_height"].as_i64().unwrap(),
            deactivation_height: one["deactivation_height"].as_i64().unwrap(),
        });
    }
    chain.place(|ctx| {
        for app in list("applications") {
            let services = app["service_ids"].as_array().unwrap().iter();
            let config = |id: &Value| ApplicationServiceConfig { service_id: text(id) };
            let app = Application {
                address: text(&app["address"]),
                service_configs: services.map(config).collect(),
                unstake_session_end_height: number(&app["unstake_session_end_height"]),
                ..Application::default()
            };
            application::save(ctx, &app);
        }
        for staked in suppliers.values() {
            supplier::save(ctx, None, staked);
        }
        Ok(())
    });
    let section = "hydration_conditions";
    each("session.json", section, &Value::from(cases), |case| {
        check(&chain, case)
    });
}

/// Suppliers staked by the genesis; the first block of the session that is asked for is executed, and the newest.
fn supplier_selection(all: &Map<String, Value>, cases: &Value) {
    let mut operators = BTreeMap::from([(0, Vec::new())]);
    for candidates in all["candidates"].as_array().unwrap() {
        let addresses = candidates["operator_addresses"].as_array().into_iter().flatten();
        operators.insert(
            number(&candidates["num_candidates"]),
            addresses.map(text).collect(),
        );
    }
    let newest = cases
        .as_array()
        .unwrap()
        .iter()
        .map(|case| case["query_height"].as_i64().unwrap())
        .max();
    let newest = newest.unwrap_or(1);
    let mut chains: BTreeMap<String, Replay> = BTreeMap::new();
    each("session.json", "supplier_selection", cases, |case| {
        let (count, size) = (
            number(&case["num_candidates"]),
            number(&case["num_suppliers_per_session"]),
        );
        let params = &all["shared_params"][case["shared_params"].as_str().unwrap()];
        let start =
            Timing::new(&lab::shared_params(params)).start(Height(case["query_height"].as_i64().unwrap()));
        let app = text(&case["application_address"]);
        let name = format!(
            "{count} {size} {} {app} {}",
            case["shared_params"], case["service_id"]
        );
        let chain = chains.entry(name).or_insert_with(|| {
            let id = text(&case["service_id"]);
            begin(staged(&id, &app, size, &operators[&count]), params)
        });
        let mut chain = chain.clone();
        chain.block_at(start.0, &[]);
        chain.height = newest;
        check(&chain, case);
    });
}

/// One application, and suppliers of its service.
fn staged(id: &str, app: &str, size: u64, operators: &[String]) -> Genesis {
    let mut genesis = genesis(GenesisParams {
        num_suppliers_per_session: size,
        ..GenesisParams::default()
    });
    let owner = genesis.validators[0].account.to_string();
    genesis.services = vec![service(id, 1, &owner)];
    genesis.applications = vec![GenesisApplication {
        address: app.parse().unwrap(),
        stake: Upokt(1_000_000),
        service_id: ServiceId::new(id).unwrap(),
        delegatees: Vec::new(),
    }];
    genesis.suppliers = operators.iter().map(|operator| staked(id, operator)).collect();
    genesis
}

/// Ids of sessions whose first block has the hash that a case names.
fn session_ids(all: &Map<String, Value>, cases: &Value) {
    let supplier = key("supplier").address().to_string();
    let mut refused = 0;
    each("session.json", "session_id", cases, |case| {
        let (id, app) = (text(&case["service_id"]), text(&case["application_address"]));
        let valid = ServiceId::new(&id).is_ok();
        let stated = if valid { id.clone() } else { "eth".into() };
        let params = &all["shared_params"][case["shared_params"].as_str().unwrap()];
        let mut chain = begin(staged(&stated, &app, 1, std::slice::from_ref(&supplier)), params);
        let start = case["session_start_height"].as_i64().unwrap();
        let hash: Result<[u8; 32], _> = bytes(&case["block_hash"]).try_into();
        if let Ok(hash) = hash {
            chain.hashes.insert(start, hash);
            chain.block_at(start, &[]);
        }
        let height = case["block_height"].as_i64().unwrap();
        chain.height = height;
        let request = QueryGetSessionRequest {
            application_address: app,
            service_id: id,
            block_height: height,
        };
        let answer: Result<QueryGetSessionResponse, _> =
            chain.ask("/pocket.session.Query/GetSession", &request);
        if !valid || hash.is_err() {
            // Our chain has no session without a first block, nor of such a service.
            refused += 1;
            assert!(answer.is_err(), "{case}");
            return;
        }
        let header = answer.unwrap().session.unwrap().header.unwrap();
        assert_eq!(header.session_id, case["session_id"], "{case}");
        assert_eq!(header.session_start_block_height, start, "{case}");
    });
    println!("session.json session_id: {refused} have no session on our chain, and are refused");
}

/// The session of a height, and the windows that refusals of claims and proofs name. Returns 1 for a height that has such a session.
fn windows(all: &Map<String, Value>, case: &Value) -> u64 {
    let height = case["query_height"].as_i64().unwrap();
    if height <= 0 {
        return 0;
    }
    let supplier = case["supplier_operator_address"].as_str().map(str::to_owned);
    let supplier = supplier.unwrap_or_else(|| key("supplier").address().to_string());
    let app = key("application").address().to_string();
    let params = &all["shared_params"][case["shared_params"].as_str().unwrap()];
    let mut chain = begin(staged("eth", &app, 1, std::slice::from_ref(&supplier)), params);
    let start = Timing::new(&lab::shared_params(params)).start(Height(height)).0;
    chain.block_at(start, &[]);
    chain.height = height;
    let request = QueryGetSessionRequest {
        application_address: app,
        service_id: "eth".into(),
        block_height: height,
    };
    let answer: Result<QueryGetSessionResponse, _> = chain.ask("/pocket.session.Query/GetSession", &request);
    let session = answer.unwrap().session.unwrap();
    let header = session.header.unwrap();
    let is = |name: &str, ours: i64| {
        assert!(
            case.get(name).is_none_or(|theirs| *theirs == ours),
            "{name}: {ours} for {case}"
        )
    };
    is("start", header.session_start_block_height);
    is("end", header.session_end_block_height);
    is("number", session.session_number);
    is("next_start", header.session_end_block_height + 1);
    if header.session_start_block_height == header.session_end_block_height {
        return 0;
    }
    let claim = MsgCreateClaim {
        supplier_operator_address: supplier.clone(),
        session_header: Some(header.clone()),
        root_hash: [&[1; 32][..], &1_u64.to_be_bytes(), &1_u64.to_be_bytes()].concat(),
    };
    let proof = MsgSubmitProof {
        supplier_operator_address: supplier.clone(),
        session_header: Some(header),
        proof: vec![1],
    };
    chain.place(|ctx| crate::bank::genesis_balance(ctx, &supplier.parse().unwrap(), Upokt(1)));
    let named = |outcome: TxOutcome| -> i64 {
        let (_, rest) = outcome
            .log
            .rsplit_once(" height (")
            .unwrap_or_else(|| panic!("{}", outcome.log));
        rest.split_once(')').unwrap().0.parse().unwrap()
    };
    let far = i64::MAX / 4;
    for (name, ours) in [
        ("earliest_claim", named(chain.simulate(height, &supplier, &claim))),
        ("claim_open", named(chain.simulate(height, &supplier, &claim))),
        ("claim_close", named(chain.simulate(far, &supplier, &claim))),
        ("earliest_proof", named(chain.simulate(height, &supplier, &proof))),
        ("proof_open", named(chain.simulate(height, &supplier, &proof))),
        ("proof_close", named(chain.simulate(far, &supplier, &proof))),
    ] {
        is(name, ours);
    }
    1
}

fn staked(id: &str, operator: &str) -> GenesisSupplier {
    GenesisSupplier {
        owner: operator.parse().unwrap(),
        operator: operator.parse().unwrap(),
        stake: Upokt(1_000_000),
        services: vec![GenesisSupplierService {
            service_id: ServiceId::new(id).unwrap(),
            url: "http://127.0.0.1:8545".into(),
            endpoints: Vec::new(),
            rev_share: Vec::new(),
        }],
    }
}
