use std::collections::BTreeMap;

use portico_config::Secret;
use portico_config::servicer::ServiceConfig;
use portico_protocol::SigningKey;
use portico_protocol::wire::pocket::shared::{SupplierEndpoint, SupplierServiceConfig};

use super::*;
use crate::finding::Level;

fn operator() -> Address {
    SigningKey::from_bytes(&[7; 32]).unwrap().address()
}

fn config() -> ServicerConfig {
    ServicerConfig {
        suppliers: vec![Secret::new("07".repeat(32))],
        services: [("eth".parse().unwrap(), ServiceConfig::new("http://node"))].into(),
        ..ServicerConfig::default()
    }
}

fn staked(service: &str, kind: StakedType) -> Supplier {
    Supplier {
        operator_address: operator().to_string(),
        owner_address: operator().to_string(),
        stake: Some(Upokt(1_000).into()),
        services: vec![SupplierServiceConfig {
            service_id: service.to_owned(),
            endpoints: vec![SupplierEndpoint {
                url: "https://relay".to_owned(),
                rpc_type: kind.into(),
                configs: Vec::new(),
            }],
            rev_share: Vec::new(),
        }],
        ..Supplier::default()
    }
}

/// A chain on which everything is as it should be.
fn known() -> Known {
    Known {
        chain_id: "portico-localnet".to_owned(),
        catching_up: false,
        block_ms: 1_000_000,
        now_ms: 1_002_000,
        min_stake: Upokt(500),
        proof_fee: Upokt(10),
        proof_missing_penalty: Upokt(100),
        suppliers: [(operator(), Some(staked("eth", StakedType::JsonRpc)))].into(),
        balances: [(operator(), Some(Upokt(50)))].into(),
        missing_services: BTreeSet::new(),
        silent: BTreeMap::new(),
    }
}

fn found(config: &ServicerConfig, known: &Known) -> Vec<(Level, String)> {
    let found = of_chain(config, known);
    for finding in &found {
        assert_eq!(
            finding.mend.is_empty(),
            finding.level == Level::Good,
            "what to do: {finding:?}"
        );
    }
    found
        .into_iter()
        .filter(|one| one.level != Level::Good)
        .map(|one| (one.level, one.what))
        .collect()
}

#[test]
fn a_servicer_that_fits_its_chain_has_no_finding() {
    assert_eq!(found(&config(), &known()), []);
    assert!(
        of_machine(&Machine {
            free_bytes: Some(50 << 30)
        })
        .iter()
        .all(|one| one.level == Level::Good)
    );
}

#[test]
fn each_thing_that_is_wrong_is_found() {
    type Change = fn(&mut ServicerConfig, &mut Known);
    fn supplier(known: &mut Known) -> &mut Supplier {
        known.suppliers.get_mut(&operator()).unwrap().as_mut().unwrap()
    }
    let cases: [(Change, Level, &str); 17] = [
        (|_, known| known.catching_up = true, Level::Fault, "catching up"),
        (
            |_, known| known.now_ms = 1_000_000 - 31_000,
            Level::Fault,
            "clock is 31 s behind",
        ),
        (|_, known| known.now_ms += 600_000, Level::Warning, "602 s old"),
        (
            |_, known| known.suppliers = [(operator(), None)].into(),
            Level::Fault,
            "is not staked",
        ),
        (
            |_, known| supplier(known).unstake_session_end_height = 9,
            Level::Fault,
            "is unbonding",
        ),
        (
            |_, known| known.min_stake = Upokt(2_000),
            Level::Fault,
            "below the least",
        ),
        (
            |_, known| known.proof_missing_penalty = Upokt(501),
            Level::Warning,
            "one missed proof",
        ),
        (
            |_, known| supplier(known).services.clear(),
            Level::Warning,
            "no active service",
        ),
        (
            |_, known| supplier(known).services[0].service_id = "sol".to_owned(),
            Level::Fault,
            "not configured",
        ),
        (
            |_, known| supplier(known).services[0].endpoints[0].rpc_type = StakedType::Websocket.into(),
            Level::Fault,
            "WebSocket",
        ),
        (
            |_, known| supplier(known).services[0].endpoints[0].rpc_type = StakedType::Grpc.into(),
            Level::Fault,
            "gRPC",
        ),
        (
            |_, known| known.silent = [("https://relay".to_owned(), "no connection".to_owned())].into(),
            Level::Warning,
            "no connection",
        ),
        (
            |_, known| known.balances = [(operator(), None)].into(),
            Level::Fault,
            "no account",
        ),
        (
            |_, known| known.balances = [(operator(), Some(Upokt(0)))].into(),
            Level::Fault,
            "holds nothing",
        ),
        (
            |_, known| known.proof_fee = Upokt(51),
            Level::Warning,
            "less than a proof",
        ),
        (
            |_, known| known.missing_services = ["eth".parse().unwrap()].into(),
            Level::Fault,
            "does not exist on chain",
        ),
        (
            |_, known| known.chain_id = "pocket".to_owned(),
            Level::Warning,
            "offer no fee",
        ),
    ];
    for (change, level, what) in cases {
        let (mut config, mut known) = (config(), known());
        change(&mut config, &mut known);
        let found = found(&config, &known);
        assert!(
            found.iter().any(|(at, told)| *at == level && told.contains(what)),
            "{what} in {found:?}"
        );
    }
}

#[test]
fn a_service_without_stake_earns_nothing() {
    let mut config = config();
    config
        .services
        .insert("sol".parse().unwrap(), ServiceConfig::new("http://node"));
    assert_eq!(found(&config, &known()).len(), 1);
}

#[test]
fn little_space_is_told() {
    let level = |bytes| {
        of_machine(&Machine {
            free_bytes: Some(bytes),
        })[1]
            .level
    };
    assert_eq!(
        [level(1 << 20), level(1 << 30), level(6 << 30)],
        [Level::Fault, Level::Warning, Level::Good]
    );
}
