//! Stakes of applications and gateways; delegation.

use portico_protocol::Upokt;
use portico_protocol::tx::module_address;
use portico_protocol::wire::pocket::application::{
    Application, MsgDelegateToGateway, MsgStakeApplication, MsgTransferApplication, MsgUndelegateFromGateway,
    MsgUnstakeApplication,
};
use portico_protocol::wire::pocket::gateway::{MsgStakeGateway, MsgUnstakeGateway, MsgUpdateGatewayMetadata};
use portico_protocol::wire::pocket::shared::{ApplicationServiceConfig, Metadata};

use super::network::{Network, STAKE, address, genesis};

fn network() -> Network {
    let mut network = Network::new(&genesis());
    network.run_to(1);
    network
}

fn coin(amount: u128) -> Option<portico_protocol::wire::cosmos::base::v1beta1::Coin> {
    Some(Upokt(amount).into())
}

fn stake_app(name: &str, amount: u128, service: &str) -> MsgStakeApplication {
    MsgStakeApplication {
        address: address(name).to_string(),
        stake: coin(amount),
        services: vec![ApplicationServiceConfig {
            service_id: service.into(),
        }],
        per_session_spend_limit: None,
    }
}

fn app(network: &Network, name: &str) -> Option<Application> {
    crate::application::application(network.state(), &address(name).to_string()).unwrap()
}

#[test]
fn takes_the_difference_of_a_raised_application_stake() {
    let mut network = network();
    let before = network.balance(&address("application"));
    network.accept("application", &stake_app("application", STAKE.0 + 5, "eth"));
    assert_eq!(network.balance(&address("application")), before - 5);
    assert_eq!(network.balance(&module_address("application")), STAKE.0 + 5);
    network.refuse(
        "application",
        &stake_app("application", STAKE.0 + 5, "eth"),
        "application",
        1101,
    );
    network.refuse(
        "application",
        &stake_app("application", STAKE.0, "eth"),
        "application",
        1101,
    );
}

#[test]
fn refuses_application_stakes_that_are_too_small_or_for_no_single_service() {
    let mut network = network();
    network.refuse("other", &stake_app("other", 999_999, "eth"), "application", 1101);
    let mut two = stake_app("other", STAKE.0, "eth");
    two.services.push(ApplicationServiceConfig {
        service_id: "base".into(),
    });
    network.refuse("other", &two, "application", 1106);
    network.refuse(
        "other",
        &stake_app("other", STAKE.0, "no such id"),
        "application",
        1106,
    );
    let mut limited = stake_app("other", STAKE.0, "eth");
    limited.per_session_spend_limit = coin(999_999);
    network.refuse("other", &limited, "application", 1118);
    limited.per_session_spend_limit = coin(1_000_000);
    network.accept("other", &limited);
}

#[test]
fn changes_an_application_s_service_with_the_next_session() {
    let mut network = network();
    network.accept("application", &stake_app("application", STAKE.0 + 1, "base"));
    let changed = app(&network, "application").unwrap();
    for (height, serves_eth) in [(1, true), (10, true), (11, false), (20, false)] {
        let height = portico_protocol::Height(height);
        assert_eq!(crate::application::serves(&changed, "eth", height), serves_eth);
        assert_eq!(crate::application::serves(&changed, "base", height), !serves_eth);
    }
}

#[test]
fn pays_an_unstaked_application_back_after_the_unbonding_period() {
    let mut network = network();
    let message = MsgUnstakeApplication {
        address: address("application").to_string(),
    };
    network.accept("application", &message);
    network.refuse("application", &message, "application", 1112);
    assert_eq!(
        network.session(0).suppliers.len(),
        1,
        "served until the session ends"
    );
    let before = network.balance(&address("application"));
    network.run_to(19);
    assert!(app(&network, "application").is_some());
    network.run_to(20);
    assert!(app(&network, "application").is_none());
    assert_eq!(network.balance(&address("application")), before + STAKE.0);
}

#[test]
fn cancels_unbonding_by_staking_again() {
    let mut network = network();
    let message = MsgUnstakeApplication {
        address: address("application").to_string(),
    };
    network.accept("application", &message);
    let outcome = network.accept("application", &stake_app("application", STAKE.0 + 1, "eth"));
    let kinds: Vec<&str> = outcome.events.iter().map(|event| event.r#type.as_str()).collect();
    assert!(
        kinds.contains(&"pocket.application.EventApplicationUnbondingCanceled"),
        "{kinds:?}"
    );
    network.run_to(31);
    assert_eq!(network.stake_of_application("application"), STAKE.0 + 1);
}

#[test]
fn moves_an_application_to_another_address_after_its_last_session_has_settled() {
    let mut network = network();
    let message = |to: &str| MsgTransferApplication {
        source_address: address("application").to_string(),
        destination_address: address(to).to_string(),
    };
    network.refuse("application", &message("application"), "application", 1113);
    network.accept("application", &message("other"));
    network.run_to(10);
    assert_eq!(
        network.session(0).suppliers.len(),
        1,
        "served until the session ends"
    );
    // Meanwhile somebody stakes at the destination: the two are merged.
    network.accept("other", &stake_app("other", STAKE.0 + 7, "base"));
    network.run_to(19);
    assert!(app(&network, "application").is_some());
    network.run_to(20);
    assert!(app(&network, "application").is_none());
    let merged = app(&network, "other").unwrap();
    assert_eq!(network.stake_of_application("other"), 2 * STAKE.0 + 7);
    assert_eq!(
        merged.delegatee_gateway_addresses,
        [address("gateway").to_string()]
    );
    let serves = |height| {
        let height = portico_protocol::Height(height);
        ["base", "eth"].map(|id| crate::application::serves(&merged, id, height))
    };
    assert_eq!([serves(20), serves(21)], [[true, false], [true, true]]);
}

#[test]
fn keeps_an_undelegated_gateway_in_the_ring_until_the_session_ends() {
    let mut network = network();
    let message = MsgUndelegateFromGateway {
        app_address: address("application").to_string(),
        gateway_address: address("gateway").to_string(),
    };
    network.accept("application", &message);
    network.refuse("application", &message, "application", 1111);
    let app = app(&network, "application").unwrap();
    assert!(app.delegatee_gateway_addresses.is_empty());
    let ring = |end: i64| portico_protocol::relay::ring_gateways(&app, portico_protocol::Height(end));
    assert_eq!(ring(10), [address("gateway")]);
    assert!(ring(20).is_empty());
    network.run_to(30);
    assert_eq!(
        self::app(&network, "application")
            .unwrap()
            .pending_undelegations
            .len(),
        1
    );
    network.run_to(40);
    assert!(
        self::app(&network, "application")
            .unwrap()
            .pending_undelegations
            .is_empty()
    );
}

#[test]
fn delegates_again_and_forgets_the_undelegation() {
    let mut network = network();
    let undelegate = MsgUndelegateFromGateway {
        app_address: address("application").to_string(),
        gateway_address: address("gateway").to_string(),
    };
    network.accept("application", &undelegate);
    let delegate = MsgDelegateToGateway {
        app_address: address("application").to_string(),
        gateway_address: address("gateway").to_string(),
    };
    network.accept("application", &delegate);
    network.refuse("application", &delegate, "application", 1109);
    let app = app(&network, "application").unwrap();
    assert!(app.pending_undelegations.is_empty());
    assert_eq!(app.delegatee_gateway_addresses, [address("gateway").to_string()]);
    let unknown = MsgDelegateToGateway {
        gateway_address: address("other").to_string(),
        ..delegate
    };
    network.refuse("application", &unknown, "application", 1107);
}

#[test]
fn leaves_a_gateway_whose_last_session_is_over() {
    let mut network = network();
    let message = MsgUnstakeGateway {
        address: address("gateway").to_string(),
    };
    network.accept("gateway", &message);
    network.refuse("gateway", &message, "gateway", 1107);
    network.run_to(10);
    assert_eq!(
        app(&network, "application")
            .unwrap()
            .delegatee_gateway_addresses
            .len(),
        1
    );
    let before = network.balance(&address("gateway"));
    network.run_to(11);
    assert!(
        app(&network, "application")
            .unwrap()
            .delegatee_gateway_addresses
            .is_empty()
    );
    let delegate = MsgDelegateToGateway {
        app_address: address("application").to_string(),
        gateway_address: address("gateway").to_string(),
    };
    network.refuse("application", &delegate, "gateway", 1108);
    network.run_to(20);
    assert_eq!(network.balance(&address("gateway")), before + 1_000_000);
    network.refuse("application", &delegate, "application", 1107);
}

#[test]
fn keeps_a_gateway_s_card_over_a_raised_stake() {
    let mut network = network();
    let card = |card: &[u8]| MsgUpdateGatewayMetadata {
        address: address("gateway").to_string(),
        metadata: Some(Metadata { card: card.to_vec() }),
    };
    network.refuse("gateway", &card(b""), "shared", 1111);
    network.refuse("gateway", &card(&vec![0; (256 << 10) + 1]), "shared", 1111);
    network.accept("gateway", &card(b"who we are"));
    let stake = |amount: u128| MsgStakeGateway {
        address: address("gateway").to_string(),
        stake: coin(amount),
    };
    network.refuse("gateway", &stake(1_000_000), "gateway", 1102);
    network.accept("gateway", &stake(1_000_001));
    let gateway = crate::gateway::gateway(network.state(), &address("gateway").to_string());
    assert_eq!(gateway.unwrap().unwrap().metadata.unwrap().card, b"who we are");
    network.refuse(
        "other",
        &MsgStakeGateway {
            address: address("other").to_string(),
            stake: coin(99),
        },
        "gateway",
        1102,
    );
}
