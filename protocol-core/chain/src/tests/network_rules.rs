//! What the network's code decides where its prose does not say.

use portico_protocol::tx::{TxOptions, module_address};
use portico_protocol::wire::cosmos::bank::v1beta1::MsgSend;
use portico_protocol::wire::cosmos::base::v1beta1::Coin;
use portico_protocol::wire::pocket::application::{
    Application, MsgDelegateToGateway, MsgStakeApplication, MsgTransferApplication, MsgUndelegateFromGateway,
    MsgUnstakeApplication,
};
use portico_protocol::wire::pocket::gateway::{MsgStakeGateway, MsgUnstakeGateway};
use portico_protocol::wire::pocket::proof::{MsgUpdateParam as UpdateProof, msg_update_param as proof};
use portico_protocol::wire::pocket::service::{
    MsgAddService, MsgTransferService, QueryComputeUnitsPerRelayHistoryRequest,
    QueryComputeUnitsPerRelayHistoryResponse, QueryGetRelayMiningDifficultyRequest,
    QueryGetRelayMiningDifficultyResponse,
};
use portico_protocol::wire::pocket::session::{QueryGetSessionRequest, QueryGetSessionResponse};
use portico_protocol::wire::pocket::shared::{
    ApplicationServiceConfig, MsgUpdateParam as UpdateShared, Service, ServiceConfigUpdate, Supplier,
    SupplierServiceConfig, msg_update_param as shared,
};
use portico_protocol::wire::pocket::supplier::{MsgStakeSupplier, MsgUnstakeSupplier};
use portico_protocol::wire::pocket::tokenomics::{
    MintAllocationPercentages, MsgUpdateParam as UpdateTokenomics, msg_update_param as tokenomics,
};
use portico_protocol::{Address, Upokt};

use super::network::{Network, STAKE, UNITS, address, genesis};

fn network() -> Network {
    let mut genesis = genesis();
    genesis.params.authority = Some(address("other"));
    let mut network = Network::new(&genesis);
    network.run_to(1);
    network
}

fn coin(amount: u128) -> Option<Coin> {
    Some(Upokt(amount).into())
}

fn stake_app(name: &str, amount: u128) -> MsgStakeApplication {
    MsgStakeApplication {
        address: address(name).to_string(),
        stake: coin(amount),
        services: vec![ApplicationServiceConfig {
            service_id: "eth".into(),
        }],
        per_session_spend_limit: None,
    }
}

fn app(network: &Network, name: &str) -> Option<Application> {
    crate::application::application(network.state(), &address(name).to_string()).unwrap()
}

fn supplier(network: &Network) -> Supplier {
    let found = crate::supplier::supplier(network.state(), &address("supplier").to_string());
    found.unwrap().unwrap()
}

fn transfer(from: &str, to: &Address) -> MsgTransferApplication {
    MsgTransferApplication {
        source_address: address(from).to_string(),
        destination_address: to.to_string(),
    }
}

#[test]
fn takes_no_fee_for_a_message_that_can_never_succeed_and_keeps_it_out_of_the_mempool() {
    let mut network = network();
    let options = TxOptions {
        fee: Upokt(9),
        ..TxOptions::default()
    };
    let tx = network.tx("application", &stake_app("application", 0), &options);
    let before = network.balance(&address("application"));
    for outcome in [network.check(&tx), network.block(&[tx]).txs.remove(0)] {
        assert_eq!((outcome.codespace.as_str(), outcome.code), ("application", 1101));
    }
    assert_eq!(network.balance(&address("application")), before);
    assert_eq!(network.account(&address("application")).sequence, 0);
}

#[test]
fn counts_an_unordered_transaction_by_its_sender_and_timeout() {
    let mut network = network();
    let send = |amount: u128| MsgSend {
        from_address: address("other").to_string(),
        to_address: address("stranger").to_string(),
        amount: coin(amount).into_iter().collect(),
    };
    let at = |nanos: i32| TxOptions {
        unordered: true,
        timeout_timestamp: Some(prost_types::Timestamp {
            seconds: 1_700_000_060,
            nanos,
        }),
        ..TxOptions::default()
    };
    let txs = [
        network.tx("other", &send(1), &at(500)),
        network.tx("other", &send(2), &at(500)),
        network.tx("other", &send(4), &at(501)),
    ];
    let codes: Vec<u32> = network.block(&txs).txs.iter().map(|tx| tx.code).collect();
    assert_eq!(codes, [0, 18, 0]);
    assert_eq!(network.balance(&address("stranger")), 5);
    // Another sender may use the same timeout.
    let send = MsgSend {
        from_address: address("owner").to_string(),
        ..send(8)
    };
    let tx = network.tx("owner", &send, &at(500));
    assert_eq!(network.block(&[tx]).txs[0].code, 0);
}

#[test]
fn merges_two_transfers_that_complete_in_one_block_without_losing_a_stake() {
    // Both orders of addresses, so that the merged one is listed before and after the one that moves into it.
    for (first, second) in [("application", "other"), ("other", "application")] {
        let mut network = network();
        if first == "other" {
            network.accept("other", &stake_app("other", STAKE.0));
            network.accept(
                "application",
                &MsgUnstakeApplication {
                    address: address("application").to_string(),
                },
            );
            network.run_to(20);
        }
        network.accept(first, &transfer(first, &address(second)));
        let staked = STAKE.0 + 7;
        network.accept(second, &stake_app(second, staked));
        network.accept(second, &transfer(second, &address("owner")));
        let session_end = (network.height + 9) / 10 * 10;
        network.run_to(session_end + 20);
        assert_eq!(app(&network, first), None);
        assert_eq!(network.balance(&module_address("application")), STAKE.0 + staked);
        let arrived: u128 = ["owner", first, second]
            .iter()
            .filter_map(|name| app(&network, name))
            .map(|app| crate::stake::amount(app.stake.as_ref()).0)
            .sum();
        assert_eq!(arrived, STAKE.0 + staked);
    }
}

#[test]
fn keeps_a_stake_in_the_pool_whose_owner_may_not_receive_it() {
    let mut network = network();
    let blocked = module_address("fee_collector");
    let send = MsgSend {
        from_address: address("other").to_string(),
        to_address: blocked.to_string(),
        amount: coin(1).into_iter().collect(),
    };
    network.refuse("other", &send, "sdk", 4);
    network.accept("application", &transfer("application", &blocked));
    network.run_to(20);
    let mut moved = crate::application::application(network.state(), &blocked.to_string())
        .unwrap()
        .unwrap();
    // Nobody signs for it; settlement alone can make it leave.
    moved.unstake_session_end_height = 20;
    let context = network.next();
    let mut ctx = crate::context::Context::new(network.state(), &context);
    crate::application::save(&mut ctx, &moved);
    let changes = ctx.state.into_changes();
    super::lab::apply(&mut network.memory, changes);
    let events = network.run_to(30);
    let stuck = "pocket.application.EventApplicationStakeStuckInModulePool";
    let stuck = events.iter().find(|event| event.r#type == stuck).unwrap();
    let value = |key: &str| &stuck.attributes.iter().find(|one| one.key == key).unwrap().value;
    assert_eq!(
        value("stuck_coin"),
        &format!("{{\"denom\":\"upokt\",\"amount\":\"{}\"}}", STAKE.0)
    );
    assert_eq!(value("application_address"), &format!("\"{blocked}\""));
    assert_eq!(network.balance(&module_address("application")), STAKE.0);
    assert_eq!(network.balance(&blocked), 0);
}

#[test]
fn prunes_undelegations_and_ended_configs_in_any_block() {
    let mut network = network();
    let message = MsgUndelegateFromGateway {
        app_address: address("application").to_string(),
        gateway_address: address("gateway").to_string(),
    };
    network.accept("application", &message);
    let again = MsgStakeSupplier {
        signer: address("supplier").to_string(),
        owner_address: address("owner").to_string(),
        operator_address: address("supplier").to_string(),
        stake: None,
        services: supplier(&network).service_config_history[0]
            .service
            .clone()
            .into_iter()
            .collect(),
    };
    network.accept("supplier", &again);
    // Grace of 1 and two sessions after the end of session 1; the proof window of session 1 closes with block 20.
    let seen = |network: &Network| {
        let undelegations = app(network, "application").unwrap().pending_undelegations.len();
        (undelegations, supplier(network).service_config_history.len())
    };
    for (height, left) in [(20, (1, 2)), (21, (1, 1)), (31, (1, 1)), (32, (0, 1))] {
        network.run_to(height);
        assert_eq!(seen(&network), left, "{height}");
    }
}

#[test]
fn serves_an_unbonding_application_until_its_last_session_whatever_it_had_planned() {
    let app = Application {
        unstake_session_end_height: 30,
        pending_transfer: Some(
            portico_protocol::wire::pocket::application::PendingApplicationTransfer {
                destination_address: address("other").to_string(),
                session_end_height: 10,
            },
        ),
        ..Application::default()
    };
    let active = |end| crate::application::is_active(&app, portico_protocol::Height(end));
    assert_eq!([active(20), active(30), active(40)], [true, true, false]);
}

#[test]
fn announces_the_end_of_unbonding_by_live_params_and_pays_by_those_of_the_last_session() {
    let mut network = network();
    let change = UpdateShared {
        authority: address("other").to_string(),
        name: "application_unbonding_period_sessions".into(),
        as_type: Some(shared::AsType::AsUint64(3)),
    };
    network.accept("other", &change);
    let unstake = MsgUnstakeApplication {
        address: address("application").to_string(),
    };
    let outcome = network.accept("application", &unstake);
    let begin = "pocket.application.EventApplicationUnbondingBegin";
    let begin = outcome.events.iter().find(|event| event.r#type == begin).unwrap();
    let end = begin
        .attributes
        .iter()
        .find(|one| one.key == "unbonding_end_height")
        .unwrap();
    assert_eq!(end.value, "\"40\"");
    network.run_to(20);
    assert_eq!(app(&network, "application"), None);
}

#[test]
fn gives_each_fault_of_a_message_the_network_s_code() {
    let mut network = network();
    let limit = |denom: &str, amount: &str| MsgStakeApplication {
        per_session_spend_limit: Some(Coin {
            denom: denom.into(),
            amount: amount.into(),
        }),
        ..stake_app("application", 1)
    };
    network.refuse("application", &limit("upokt", "999999"), "application", 1118);
    network.refuse("application", &limit("mact", "5000000"), "application", 1118);
    network.refuse("application", &limit("mact", "0"), "application", 1101);
    let delegate = MsgDelegateToGateway {
        app_address: address("application").to_string(),
        gateway_address: "gateway".into(),
    };
    network.refuse("application", &delegate, "application", 1108);
    let give = |id: &str, to: &str| MsgTransferService {
        owner_address: address("source").to_string(),
        service_id: id.into(),
        new_owner_address: address(to).to_string(),
    };
    network.refuse("source", &give("", "other"), "service", 1103);
    network.refuse("source", &give("eth", "source"), "service", 1113);
    network.refuse("source", &give("nothing", "other"), "service", 1117);
    let mut foreign = give("eth", "other");
    foreign.owner_address = address("owner").to_string();
    network.refuse("owner", &foreign, "service", 1118);
    let proof = |name: &str, as_type| UpdateProof {
        authority: address("other").to_string(),
        name: name.into(),
        as_type: Some(as_type),
    };
    network.refuse(
        "other",
        &proof("nothing", proof::AsType::AsFloat(0.5)),
        "proof",
        1119,
    );
    let typed = proof("proof_missing_penalty", proof::AsType::AsFloat(0.5));
    network.refuse("other", &typed, "proof", 1120);
}

#[test]
fn changes_tokenomics_params_by_name() {
    let mut network = network();
    let update = |name: &str, as_type| UpdateTokenomics {
        authority: address("other").to_string(),
        name: name.into(),
        as_type: Some(as_type),
    };
    let shares = MintAllocationPercentages {
        dao: 1.0,
        ..MintAllocationPercentages::default()
    };
    use tokenomics::AsType;
    network.accept("other", &update("mint_ratio", AsType::AsFloat(0.5)));
    network.accept(
        "other",
        &update(
            "mint_allocation_percentages",
            AsType::AsMintAllocationPercentages(shares),
        ),
    );
    network.accept(
        "other",
        &update("overservicing_bonus_multiplier", AsType::AsUint64(7)),
    );
    let params = crate::tokenomics::params(network.state()).unwrap();
    assert_eq!(params.mint_ratio, 0.5);
    assert_eq!(params.mint_allocation_percentages, Some(shares));
    assert_eq!(params.overservicing_bonus_multiplier, 7);
    for (message, code) in [
        (update("mint_ratio", AsType::AsFloat(1.5)), 1112),
        (update("mint_ratio", AsType::AsUint64(1)), 1112),
        (update("nothing", AsType::AsUint64(1)), 1111),
        (
            UpdateTokenomics {
                as_type: None,
                ..update("mint_ratio", AsType::AsUint64(1))
            },
            1108,
        ),
    ] {
        network.refuse("other", &message, "tokenomics", code);
    }
}

#[test]
fn begins_a_service_s_history_with_its_first_change() {
    let mut network = network();
    let history = |network: &Network| -> Vec<(i64, u64)> {
        let request = QueryComputeUnitsPerRelayHistoryRequest {
            service_id: "eth".into(),
            pagination: None,
        };
        let path = "/pocket.service.Query/ComputeUnitsPerRelayHistory";
        let answer: QueryComputeUnitsPerRelayHistoryResponse = network.query(path, &request);
        let updates = answer.compute_units_per_relay_history.into_iter();
        updates
            .map(|one| (one.effective_height, one.compute_units_per_relay))
            .collect()
    };
    assert_eq!(history(&network), []);
    let change = MsgAddService {
        owner_address: address("source").to_string(),
        service: Some(Service {
            id: "eth".into(),
            compute_units_per_relay: 3,
            owner_address: address("source").to_string(),
            ..Service::default()
        }),
    };
    network.accept("source", &change);
    assert_eq!(history(&network), [(1, UNITS), (11, 3)]);
    let request = QueryGetRelayMiningDifficultyRequest {
        service_id: "eth".into(),
    };
    let path = "/pocket.service.Query/RelayMiningDifficulty";
    let answer: QueryGetRelayMiningDifficultyResponse = network.query(path, &request);
    let difficulty = answer.relay_mining_difficulty.unwrap();
    assert_eq!(
        difficulty.block_height, network.height,
        "of the height that was asked"
    );
}

#[test]
fn lets_anybody_pay_for_a_supplier_that_serves_nothing_yet() {
    let mut network = network();
    let message = MsgStakeSupplier {
        signer: address("other").to_string(),
        owner_address: address("source").to_string(),
        operator_address: address("gateway").to_string(),
        stake: coin(STAKE.0),
        services: Vec::new(),
    };
    let before = network.balance(&address("other"));
    network.accept("other", &message);
    assert_eq!(network.balance(&address("other")), before - STAKE.0 - 1);
    assert_eq!(network.stake_of_supplier("gateway"), Some(STAKE.0));
    // From then on it is its owner's and operator's.
    network.refuse("other", &message, "shared", 1105);
}

/// Unstaking ends all of a supplier's configs with the session, also those that had ended: until then a service has two of them, and a
/// session may draw the supplier with each.
#[test]
fn draws_a_supplier_once_for_each_of_its_configs() {
    let mut network = network();
    let mut config = supplier(&network).service_config_history[0]
        .service
        .clone()
        .unwrap();
    config.endpoints[0].url = "http://second".into();
    let change = MsgStakeSupplier {
        signer: address("supplier").to_string(),
        owner_address: address("owner").to_string(),
        operator_address: address("supplier").to_string(),
        stake: None,
        services: vec![config],
    };
    network.accept("supplier", &change);
    network.run_to(12);
    let unstake = MsgUnstakeSupplier {
        signer: address("supplier").to_string(),
        operator_address: address("supplier").to_string(),
    };
    network.accept("supplier", &unstake);
    let request = QueryGetSessionRequest {
        application_address: address("application").to_string(),
        service_id: "eth".into(),
        block_height: 0,
    };
    let answer: QueryGetSessionResponse = network.query("/pocket.session.Query/GetSession", &request);
    let urls: Vec<String> = answer
        .session
        .unwrap()
        .suppliers
        .iter()
        .map(|one| url(&one.services))
        .collect();
    assert_eq!(urls, ["http://127.0.0.1:8545", "http://second"]);
    let ends: Vec<i64> = supplier(&network)
        .service_config_history
        .iter()
        .map(end)
        .collect();
    assert_eq!(ends, [21, 21]);
}

fn url(services: &[SupplierServiceConfig]) -> String {
    services[0].endpoints[0].url.clone()
}

fn end(update: &ServiceConfigUpdate) -> i64 {
    update.deactivation_height
}

#[test]
fn leaves_gateways_of_one_block_in_the_order_of_their_addresses() {
    let mut network = network();
    let mut names = ["gateway", "owner"];
    names.sort_by_key(|name| address(name).to_string());
    let stake = MsgStakeGateway {
        address: address("owner").to_string(),
        stake: coin(1_000_000),
    };
    network.accept("owner", &stake);
    // Delegated in the other order.
    let undelegate = MsgUndelegateFromGateway {
        app_address: address("application").to_string(),
        gateway_address: address("gateway").to_string(),
    };
    network.accept("application", &undelegate);
    for name in names.iter().rev() {
        let delegate = MsgDelegateToGateway {
            app_address: address("application").to_string(),
            gateway_address: address(name).to_string(),
        };
        network.accept("application", &delegate);
    }
    for name in names {
        let unstake = MsgUnstakeGateway {
            address: address(name).to_string(),
        };
        network.accept(name, &unstake);
    }
    network.run_to(11);
    let left = app(&network, "application").unwrap().pending_undelegations;
    assert_eq!(
        left[&20].gateway_addresses,
        names.map(|name| address(name).to_string())
    );
}
