//! A claim's life as a network of the Go implementation recorded it: our chain, given the same state and the same transactions, answers
//! the same queries and emits the same events.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use bytes::Bytes;
use portico_protocol::tx::{module_address, unpack};
use portico_protocol::wire::cosmos::auth::v1beta1::{BaseAccount, QueryAccountResponse};
use portico_protocol::wire::pocket::{application, proof, service, session, shared, supplier, tokenomics};
use portico_protocol::wire::tendermint::abci::Event;
use portico_protocol::{Address, Height, Upokt};
use prost::Message;
use serde_json::Value;

use super::lab::Lab;
use crate::block::{BlockContext, BlockOutcome, execute};
use crate::context::Context;
use crate::query::query;
use crate::state::StateRead;

/// Queries whose answers were recorded at the session's beginning.
const QUERIES: [(&str, &str); 12] = [
    ("auth.Account.app1", "/cosmos.auth.v1beta1.Query/Account"),
    ("auth.Account.gateway1", "/cosmos.auth.v1beta1.Query/Account"),
    ("auth.Account.supplier1", "/cosmos.auth.v1beta1.Query/Account"),
    ("application.Application", "/pocket.application.Query/Application"),
    ("proof.Params", "/pocket.proof.Query/Params"),
    (
        "service.RelayMiningDifficulty",
        "/pocket.service.Query/RelayMiningDifficulty",
    ),
    ("service.Service", "/pocket.service.Query/Service"),
    ("session.GetSession", "/pocket.session.Query/GetSession"),
    ("session.Params", "/pocket.session.Query/Params"),
    ("shared.Params", "/pocket.shared.Query/Params"),
    ("supplier.Supplier", "/pocket.supplier.Query/Supplier"),
    ("tokenomics.Params", "/pocket.tokenomics.Query/Params"),
];

fn folder() -> String {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/go-poktroll-0.1.35");
    let folder = std::env::var("PORTICO_VECTORS").unwrap_or_else(|_| default.into());
    format!("{folder}/wire")
}

fn file(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/{name}", folder())).unwrap()
}

fn answer<M: Message + Default>(name: &str) -> M {
    M::decode(file(&format!("query.{name}.response.bin")).as_slice()).unwrap()
}

fn json(name: &str) -> Value {
    serde_json::from_slice(&file(name)).unwrap()
}

fn hash_of(height: i64) -> Vec<u8> {
    let block = json(&format!("block.height{height}.json"));
    hex::decode(block["block_id"]["hash"].as_str().unwrap()).unwrap()
}

/// Hash of the block before the recorded one at `height`.
fn hash_before(height: i64) -> Vec<u8> {
    let block = json(&format!("block.height{height}.json"));
    hex::decode(
        block["block"]["header"]["last_block_id"]["hash"]
            .as_str()
            .unwrap(),
    )
    .unwrap()
}

/// The network's state as far as the recorded answers show it.
fn state(app: &application::Application) -> Lab {
    let mut lab = Lab::new();
    lab.at(0, |ctx| {
        set_params(ctx)?;
        for name in ["app1", "gateway1", "supplier1"] {
            let account: QueryAccountResponse = answer(&format!("auth.Account.{name}"));
            let account: BaseAccount = unpack(&account.account.unwrap()).unwrap();
            let address: Address = account.address.parse().unwrap();
            crate::bank::genesis_balance(ctx, &address, Upokt(10_000_000))?;
            crate::auth::save(ctx, &address, &account);
        }
        crate::application::save(ctx, app);
        crate::bank::genesis_balance(ctx, &module_address("application"), Upokt(9_999_999_995_380))?;
        let known: service::QueryGetServiceResponse = answer("service.Service");
        crate::service::genesis_service(ctx, &known.service.unwrap())?;
        let known: service::QueryGetRelayMiningDifficultyResponse = answer("service.RelayMiningDifficulty");
        let difficulty = known.relay_mining_difficulty.unwrap();
        crate::service::record_difficulty(ctx, Height(difficulty.block_height), difficulty.clone());
        crate::service::set_difficulty(ctx, &difficulty);
        let known: supplier::QueryGetSupplierResponse = answer("supplier.Supplier");
        let mut known = known.supplier.unwrap();
        known.services.clear();
        crate::supplier::save(ctx, None, &known);
        crate::session::set_block_hash(ctx, Height(1071), &hash_of(1071));
        Ok(())
    })
    .unwrap();
    lab
}

fn set_params(ctx: &mut Context<'_>) -> Result<(), crate::error::Fault> {
    let params: shared::QueryParamsResponse = answer("shared.Params");
    crate::shared::set_params(ctx, &params.params.unwrap());
    let params: session::QueryParamsResponse = answer("session.Params");
    crate::session::set_params(ctx, &params.params.unwrap());
    let params: proof::QueryParamsResponse = answer("proof.Params");
    crate::proof::set_params(ctx, &params.params.unwrap());
    let params: tokenomics::QueryParamsResponse = answer("tokenomics.Params");
    crate::tokenomics::set_params(ctx, &params.params.unwrap());
    Ok(())
}

/// Executes the block at `height` some seconds after the recorded one's time.
fn block(lab: &mut Lab, height: i64, txs: &[Bytes]) -> BlockOutcome {
    // The block before the proof window is the proof's seed.
    let hash = if height == 1085 {
        hash_before(1086)
    } else {
        vec![7; 32]
    };
    let context = BlockContext {
        chain_id: "pocket".into(),
        height: Height(height),
        time_ms: 1_795_361_590_000,
        hash: hash.try_into().unwrap(),
        proposer_account: String::new(),
    };
    let outcome = execute(&lab.memory as &dyn StateRead, &context, txs).unwrap();
    super::lab::apply(&mut lab.memory, outcome.changes.clone());
    outcome
}

/// An event as one line, so that a difference shows where it is.
fn line(kind: &str, attributes: impl Iterator<Item = (String, String)>) -> String {
    let mut line = kind.to_owned();
    for (key, value) in attributes {
        write!(line, "\n   {key} = {value}").unwrap();
    }
    line
}

fn ours(event: &Event) -> String {
    assert!(event.attributes.iter().all(|one| one.index));
    line(
        &event.r#type,
        event
            .attributes
            .iter()
            .map(|one| (one.key.clone(), one.value.clone())),
    )
}

fn theirs(event: &Value) -> String {
    let attributes = event["attributes"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    line(
        event["type"].as_str().unwrap(),
        attributes.map(|one| (text(&one["key"]), text(&one["value"]))),
    )
}

fn same_result(outcome: &crate::block::TxOutcome, result: &Value) {
    assert_eq!((outcome.code, outcome.log.as_str()), (0, ""));
    assert_eq!(outcome.gas_wanted.to_string(), result["gas_wanted"]);
    use base64::prelude::{BASE64_STANDARD, Engine as _};
    assert_eq!(BASE64_STANDARD.encode(&outcome.data), result["data"]);
    let ours: Vec<String> = outcome.events.iter().map(ours).collect();
    let theirs: Vec<String> = result["events"].as_array().unwrap().iter().map(theirs).collect();
    assert_eq!(ours, theirs);
}

fn contains(outcome: &BlockOutcome, name: &str) {
    let wanted = theirs(&json(name));
    let kind = wanted.lines().next().unwrap();
    let same_kind: Vec<String> = outcome
        .events
        .iter()
        .filter(|event| event.r#type == kind)
        .map(ours)
        .collect();
    assert_eq!(same_kind, [wanted]);
}

#[test]
fn answers_the_queries_of_a_recorded_network_byte_for_byte() {
    let recorded: application::QueryGetApplicationResponse = answer("application.Application");
    let of_session: session::QueryGetSessionResponse = answer("session.GetSession");
    let of_session = of_session.session.unwrap().application.unwrap();
    for (name, path) in QUERIES {
        // The session was asked for later than the application, which had paid in between.
        let app = if name == "session.GetSession" {
            &of_session
        } else {
            recorded.application.as_ref().unwrap()
        };
        let lab = state(app);
        let request = file(&format!("query.{name}.request.bin"));
        let answer = query(lab.state(), Height(1073), path, &request).unwrap();
        let recorded = file(&format!("query.{name}.response.bin"));
        assert_eq!(hex::encode(answer), hex::encode(recorded), "{name}");
    }
    let names = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name());
    let recorded = names.filter(|name| name.to_string_lossy().ends_with(".response.bin"));
    let recorded = recorded.filter(|name| name.to_string_lossy().starts_with("query."));
    assert_eq!(recorded.count(), QUERIES.len(), "a recorded query is not asked");
    println!("wire/query.*: {} cases", QUERIES.len());
}

#[test]
fn settles_a_recorded_claim_with_the_recorded_events() {
    let of_session: session::QueryGetSessionResponse = answer("session.GetSession");
    let mut lab = state(&of_session.session.unwrap().application.unwrap());
    for height in 1074..=1090 {
        let mut txs = BTreeMap::new();
        txs.insert(1083, "tx.claim.ha-supplier1.session1071.height1083");
        txs.insert(1087, "tx.proof.ha-supplier1.session1071.height1087");
        let tx = txs
            .get(&height)
            .map(|name| Bytes::from(file(&format!("{name}.bin"))));
        let outcome = block(&mut lab, height, tx.as_slice());
        if let Some(name) = txs.get(&height) {
            same_result(&outcome.txs[0], &json(&format!("{name}.result.json")));
        }
        match height {
            1087 => contains(&outcome, "event.EventProofValidityChecked.height1087.json"),
            1090 => contains(&outcome, "event.EventClaimSettled.height1090.json"),
            _ => {}
        }
    }
}
