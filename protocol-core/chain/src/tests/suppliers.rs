//! Stakes of suppliers, and services.

use portico_protocol::Upokt;
use portico_protocol::tx::module_address;
use portico_protocol::wire::pocket::service::{
    MsgAddService, QueryComputeUnitsPerRelayAtHeightRequest, QueryComputeUnitsPerRelayAtHeightResponse,
};
use portico_protocol::wire::pocket::shared::{
    RpcType, Service, ServiceRevenueShare, Supplier, SupplierEndpoint, SupplierServiceConfig,
};
use portico_protocol::wire::pocket::supplier::{
    MsgStakeSupplier, MsgUnstakeSupplier, QueryGetSupplierRequest, QueryGetSupplierResponse,
};

use super::network::{Network, STAKE, UNITS, address, genesis};

fn network() -> Network {
    let mut network = Network::new(&genesis());
    network.run_to(1);
    network
}

fn config(service: &str, shareholder: &str) -> SupplierServiceConfig {
    SupplierServiceConfig {
        service_id: service.into(),
        endpoints: vec![SupplierEndpoint {
            url: "https://node.example:8545/path".into(),
            rpc_type: RpcType::JsonRpc.into(),
            configs: Vec::new(),
        }],
        rev_share: vec![ServiceRevenueShare {
            address: address(shareholder).to_string(),
            rev_share_percentage: 100,
        }],
    }
}

fn stake_supplier(
    signer: &str,
    owner: &str,
    operator: &str,
    amount: u128,
    services: &[&str],
) -> MsgStakeSupplier {
    MsgStakeSupplier {
        signer: address(signer).to_string(),
        owner_address: address(owner).to_string(),
        operator_address: address(operator).to_string(),
        stake: coin(amount),
        services: services.iter().map(|id| config(id, owner)).collect(),
    }
}

fn supplier(network: &Network, name: &str, dehydrated: bool) -> Supplier {
    let request = QueryGetSupplierRequest {
        operator_address: address(name).to_string(),
        dehydrated,
    };
    let answer: QueryGetSupplierResponse = network.query("/pocket.supplier.Query/Supplier", &request);
    answer.supplier.unwrap()
}

fn coin(amount: u128) -> Option<portico_protocol::wire::cosmos::base::v1beta1::Coin> {
    Some(Upokt(amount).into())
}

#[test]
fn lets_only_the_operator_set_services_and_only_the_owner_change_the_owner() {
    let mut network = network();
    let message =
        |signer, owner, services: &[&str]| stake_supplier(signer, owner, "supplier", STAKE.0, services);
    network.refuse("owner", &message("owner", "owner", &["eth"]), "supplier", 1104);
    network.refuse("other", &message("other", "owner", &[]), "shared", 1105);
    network.refuse("supplier", &message("supplier", "other", &[]), "shared", 1105);
    network.accept("supplier", &message("supplier", "owner", &["base"]));
    network.accept("owner", &message("owner", "other", &[]));
    assert_eq!(
        supplier(&network, "supplier", false).owner_address,
        address("other").to_string()
    );
    let module = MsgStakeSupplier {
        owner_address: module_address("gov").to_string(),
        ..message("other", "other", &[])
    };
    network.refuse("other", &module, "supplier", 1102);
}

#[test]
fn changes_a_supplier_s_services_with_the_next_session() {
    let mut network = network();
    network.accept(
        "supplier",
        &stake_supplier("supplier", "owner", "supplier", STAKE.0, &["base"]),
    );
    let ids = |supplier: &Supplier| -> Vec<String> {
        let services = supplier.services.iter();
        services.map(|config| config.service_id.clone()).collect()
    };
    assert_eq!(ids(&supplier(&network, "supplier", false)), ["eth"]);
    let events = network.run_to(11);
    assert_eq!(ids(&supplier(&network, "supplier", false)), ["base"]);
    let activated: Vec<_> = events
        .iter()
        .filter(|event| event.r#type == "pocket.supplier.EventSupplierServiceConfigActivated")
        .flat_map(|event| &event.attributes)
        .map(|one| (one.key.as_str(), one.value.as_str()))
        .collect();
    let operator = format!("\"{}\"", address("supplier"));
    assert_eq!(
        activated,
        [
            ("activation_height", "\"11\""),
            ("operator_address", operator.as_str()),
            ("service_id", "\"base\""),
            ("mode", "BeginBlock"),
        ]
    );
    let shown = supplier(&network, "supplier", true);
    assert!(shown.service_config_history.is_empty() && shown.services[0].rev_share.is_empty());
    network.run_to(20);
    assert_eq!(
        supplier(&network, "supplier", false).service_config_history.len(),
        2
    );
    network.run_to(30);
    assert_eq!(
        supplier(&network, "supplier", false).service_config_history.len(),
        1,
        "the old config goes once its last proofs are over"
    );
}

#[test]
fn replaces_a_service_config_that_has_not_begun() {
    let mut network = network();
    let mut message = stake_supplier("supplier", "owner", "supplier", STAKE.0, &["base"]);
    network.accept("supplier", &message);
    message.services[0].endpoints[0].url = "https://other.example".into();
    network.accept("supplier", &message);
    network.run_to(11);
    let shown = supplier(&network, "supplier", false);
    assert_eq!(shown.services.len(), 1);
    assert_eq!(shown.services[0].endpoints[0].url, "https://other.example");
}

#[test]
fn charges_the_staking_fee_and_pays_a_lowered_stake_to_the_owner() {
    let mut network = network();
    let (signer, owner) = (
        network.balance(&address("supplier")),
        network.balance(&address("owner")),
    );
    let pool = network.balance(&module_address("supplier"));
    network.accept(
        "supplier",
        &stake_supplier("supplier", "owner", "supplier", STAKE.0 - 10, &[]),
    );
    assert_eq!(network.balance(&address("supplier")), signer - 1);
    assert_eq!(network.balance(&address("owner")), owner + 10);
    assert_eq!(network.balance(&module_address("supplier")), pool - 10 + 1);
    network.refuse(
        "supplier",
        &stake_supplier("supplier", "owner", "supplier", 999_999, &[]),
        "supplier",
        1101,
    );
    let keep = MsgStakeSupplier {
        stake: None,
        ..stake_supplier("supplier", "owner", "supplier", 0, &[])
    };
    network.accept("supplier", &keep);
    assert_eq!(network.stake_of_supplier("supplier"), Some(STAKE.0 - 10));
}

#[test]
fn refuses_service_configs_that_cannot_be_used() {
    let mut network = network();
    let mut refuse = |change: &dyn Fn(&mut SupplierServiceConfig), codespace: &'static str, code: u32| {
        let mut message = stake_supplier("supplier", "owner", "supplier", STAKE.0, &["eth"]);
        change(&mut message.services[0]);
        network.refuse("supplier", &message, codespace, code);
    };
    refuse(&|config| config.service_id = "nowhere".into(), "supplier", 1106);
    refuse(&|config| config.endpoints.clear(), "supplier", 1104);
    for url in [
        "",
        "node",
        "ftp://node",
        "http://",
        "http:///path",
        "http://user@",
        "http://a b",
        "http://a:b",
        "http://a/%zz",
        "http://a\n",
    ] {
        refuse(&|config| config.endpoints[0].url = url.into(), "supplier", 1104);
    }
    refuse(&|config| config.endpoints[0].rpc_type = 0, "supplier", 1104);
    refuse(&|config| config.endpoints[0].rpc_type = 77, "supplier", 1104);
    refuse(&|config| config.rev_share.clear(), "supplier", 1104);
    refuse(
        &|config| config.rev_share[0].rev_share_percentage = 99,
        "supplier",
        1104,
    );
    refuse(
        &|config| config.rev_share[0].address = "pokt1".into(),
        "supplier",
        1104,
    );
    refuse(
        &|config| {
            config.rev_share[0].rev_share_percentage = 50;
            let again = config.rev_share[0].clone();
            config.rev_share.push(again);
        },
        "supplier",
        1104,
    );
}

#[test]
fn unstakes_a_supplier_at_the_session_s_end_and_lets_only_the_owner_cancel() {
    let mut network = network();
    let message = MsgUnstakeSupplier {
        signer: address("supplier").to_string(),
        operator_address: address("supplier").to_string(),
    };
    network.accept("supplier", &message);
    network.refuse("supplier", &message, "supplier", 1105);
    network.refuse(
        "supplier",
        &stake_supplier("supplier", "owner", "supplier", STAKE.0, &["eth"]),
        "shared",
        1105,
    );
    assert_eq!(network.session(0).suppliers.len(), 1);
    let before = network.balance(&address("owner"));
    network.run_to(20);
    assert_eq!(network.stake_of_supplier("supplier"), None);
    assert_eq!(network.balance(&address("owner")), before + STAKE.0);
}

#[test]
fn adds_a_service_for_a_fee_and_changes_its_compute_units_with_the_next_session() {
    let mut network = network();
    let message = |owner: &str, units: u64| MsgAddService {
        owner_address: address(owner).to_string(),
        service: Some(Service {
            id: "solana".into(),
            name: "Solana Mainnet".into(),
            compute_units_per_relay: units,
            owner_address: address(owner).to_string(),
            metadata: None,
        }),
    };
    let before = network.balance(&address("other"));
    network.accept("other", &message("other", UNITS));
    assert_eq!(network.balance(&address("other")), before - 1);
    let poor = portico_protocol::wire::cosmos::bank::v1beta1::MsgSend {
        from_address: address("other").to_string(),
        to_address: address("poor").to_string(),
        amount: vec![Upokt(1).into()],
    };
    network.accept("other", &poor);
    let mut unaffordable = message("poor", 3);
    unaffordable.service.as_mut().unwrap().id = "more".into();
    network.refuse("poor", &unaffordable, "service", 1108);
    network.refuse("source", &message("source", 3), "service", 1113);
    network.refuse("other", &message("other", 0), "shared", 1107);
    network.accept("other", &message("other", 3));
    let units = |height: i64| -> u64 {
        let request = QueryComputeUnitsPerRelayAtHeightRequest {
            service_id: "solana".into(),
            block_height: height,
        };
        let answer: QueryComputeUnitsPerRelayAtHeightResponse =
            network.query("/pocket.service.Query/ComputeUnitsPerRelayAtHeight", &request);
        answer.compute_units_per_relay
    };
    assert_eq!([units(1), units(10), units(11), units(99)], [UNITS, UNITS, 3, 3]);
}
