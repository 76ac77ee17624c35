//! A genesis made of what the network's own program begins with and exports.

use portico_protocol::Upokt;
use serde_json::{Value, json};

use super::captured_chain::{file, folder};
use crate::block::init;
use crate::genesis::export::{Exported, read};
use crate::genesis::{Genesis, GenesisValidator};

/// The genesis and the exports of the captured chain.
fn files() -> Vec<String> {
    let entries = std::fs::read_dir(folder()).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
    let mut files: Vec<String> = names.filter(|name| name.starts_with("export.height")).collect();
    assert!(!files.is_empty());
    files.push("genesis.json".to_owned());
    files
}

/// One of the exports.
fn export() -> Value {
    exported(&files()[0])
}

fn exported(name: &str) -> Value {
    serde_json::from_str(&file(name)).unwrap()
}

fn imported(export: &Value) -> Exported {
    read(export, "pocket-2", 1_700_000_000_000).unwrap()
}

fn with_validator(mut genesis: Genesis) -> Genesis {
    genesis.validators.push(GenesisValidator {
        consensus_public_key: "11".repeat(32),
        account: portico_protocol::Address::new([1; 20]),
        tokens: Upokt(7),
    });
    genesis
}

fn sum_of_balances(export: &Value) -> u128 {
    let balances = export["app_state"]["bank"]["balances"].as_array().unwrap();
    let amounts = balances.iter().flat_map(|item| item["coins"].as_array().unwrap());
    amounts
        .map(|coin| coin["amount"].as_str().unwrap().parse::<u128>().unwrap())
        .sum()
}

#[test]
fn every_exported_state_makes_a_genesis_with_the_same_tokens() {
    for name in files() {
        let export = exported(&name);
        let Exported {
            genesis,
            migration,
            notes,
        } = imported(&export);
        assert_eq!(genesis.supply().0, sum_of_balances(&export), "{name}");
        assert_eq!(migration, export["app_state"]["migration"], "{name}");
        let state = &export["app_state"];
        let rows = |module: &str, list: &str| state[module][list].as_array().map_or(0, Vec::len);
        let gone = |kind: &str| {
            notes
                .iter()
                .filter(|note| note.starts_with(&format!("{kind} pokt1")))
                .count()
        };
        let suppliers = rows("supplier", "supplierList");
        assert_eq!(
            genesis.suppliers.len() + gone("supplier"),
            suppliers,
            "{name}: {notes:?}"
        );
        let applications = rows("application", "application_list") + rows("application", "applicationList");
        let returned = notes
            .iter()
            .filter(|note| note.starts_with("application pokt1") && note.contains("returned"));
        assert_eq!(
            genesis.applications.len() + returned.count(),
            applications,
            "{name}: {notes:?}"
        );
        assert_eq!(
            genesis.services.len(),
            rows("service", "service_list") + rows("service", "serviceList")
        );
        let params = &state["shared"]["params"];
        let blocks = params["num_blocks_per_session"].as_str().unwrap();
        assert_eq!(
            genesis.params.shared.num_blocks_per_session.to_string(),
            blocks,
            "{name}"
        );
        init(&with_validator(genesis)).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

#[test]
fn suppliers_keep_every_endpoint() {
    let mut seen = 0;
    for name in files() {
        let export = exported(&name);
        let theirs = export["app_state"]["supplier"]["supplierList"]
            .as_array()
            .unwrap();
        for ours in imported(&export).genesis.suppliers {
            let operator = ours.operator.to_string();
            let of = theirs
                .iter()
                .find(|one| one["operator_address"] == operator.as_str())
                .unwrap();
            for (ours, theirs) in ours.services.iter().zip(of["services"].as_array().unwrap()) {
                let kinds: Vec<_> = ours.endpoints.iter().map(|one| one.rpc_type.as_str()).collect();
                let theirs = theirs["endpoints"].as_array().unwrap().iter();
                assert_eq!(
                    kinds,
                    theirs
                        .map(|one| one["rpc_type"].as_str().unwrap())
                        .collect::<Vec<_>>()
                );
                seen += kinds.len();
            }
        }
    }
    assert!(seen > 0);
}

#[test]
fn what_is_malformed_is_told_by_its_place() {
    let refused = |change: &dyn Fn(&mut Value)| {
        let mut export = export();
        change(&mut export["app_state"]);
        read(&export, "pocket-2", 1).unwrap_err().0
    };
    let no_list = read(&json!({"accounts": []}), "x-1", 1).unwrap_err().0;
    assert!(no_list.contains("no app_state"), "{no_list}");
    let text = refused(&|state| state["supplier"]["supplierList"][0]["owner_address"] = "pokt1".into());
    assert!(text.contains("owner_address: \"pokt1\""), "{text}");
    let text =
        refused(&|state| state["application"]["application_list"][0]["stake"]["amount"] = "1e9".into());
    assert!(text.contains("\"1e9\" is not a whole number"), "{text}");
    let text = refused(&|state| {
        state["application"]["application_list"][0]["stake"]["amount"] = "9".repeat(30).into()
    });
    assert!(text.contains("holds less than what is staked"), "{text}");
    let text = refused(&|state| state["gateway"]["gateway_list"][0]["stake"]["denom"] = "atom".into());
    assert!(text.contains("only upokt"), "{text}");
    let text = refused(&|state| state["tokenomics"]["params"]["mint_ratio"] = "many".into());
    assert!(text.contains("params of tokenomics"), "{text}");
}
