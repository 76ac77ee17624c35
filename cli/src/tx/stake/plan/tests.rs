use std::path::Path;

use portico_config::load::parse;
use portico_protocol::wire::pocket::shared::ServiceConfigUpdate;
use prost::Message as _;

use super::super::view;
use super::*;

fn owner() -> Address {
    Address::new([1; 20])
}

fn operator() -> Address {
    Address::new([2; 20])
}

fn keys(addresses: &[Address]) -> BTreeSet<Address> {
    addresses.iter().copied().collect()
}

/// A file that stakes the operator with `stake` for two services.
fn wanted(stake: u64) -> Wanted {
    with_services(
        stake,
        "services:\n- service_id: eth\n  endpoints:\n  - {publicly_exposed_url: \"https://r\", rpc_type: json_rpc}\n  - {publicly_exposed_url: \"wss://r\", rpc_type: \
         websocket}\n- service_id: pocket\n  endpoints:\n  - {publicly_exposed_url: \"https://r\", rpc_type: rest}\n",
    )
}

fn with_services(stake: u64, services: &str) -> Wanted {
    let text = format!(
        "owner_address: {}\noperator_address: {}\nstake_amount: {stake}upokt\n{services}",
        owner(),
        operator()
    );
    Wanted {
        file: "s.yaml".into(),
        stake: parse(Path::new("s.yaml"), &text, &|_| None).unwrap(),
    }
}

fn known() -> OnChain {
    OnChain {
        min_stake: Upokt(100),
        staking_fee: Upokt(1),
        suppliers: BTreeMap::new(),
        services: ["eth", "pocket"].iter().map(|id| id.parse().unwrap()).collect(),
    }
}

/// The chain after the plan of `wanted` was sent.
fn staked(wanted: &Wanted) -> OnChain {
    let plan = Plan::new(
        Verb::Stake,
        std::slice::from_ref(wanted),
        &known(),
        &keys(&[operator()]),
    );
    let message = MsgStakeSupplier::decode(plan.steps[0].message.value.as_slice()).unwrap();
    let history = message.services.into_iter().map(|service| ServiceConfigUpdate {
        operator_address: operator().to_string(),
        service: Some(service),
        activation_height: 11,
        deactivation_height: 0,
    });
    let supplier = Supplier {
        owner_address: message.owner_address,
        operator_address: message.operator_address,
        stake: message.stake,
        service_config_history: history.collect(),
        ..Supplier::default()
    };
    OnChain {
        suppliers: [(operator(), supplier)].into(),
        ..known()
    }
}

fn plan(wanted: &Wanted, known: &OnChain, held: &[Address]) -> Plan {
    Plan::new(Verb::Stake, std::slice::from_ref(wanted), known, &keys(held))
}

#[test]
fn a_new_supplier_is_signed_by_its_operator_and_costs_stake_and_fee() {
    let mut plan = plan(&wanted(500), &known(), &[owner(), operator()]);
    assert_eq!((plan.changes[0].kind, plan.steps.len()), ("new", 1));
    assert_eq!(
        (plan.steps[0].signer, plan.steps[0].pays),
        (operator(), Upokt(501))
    );
    plan.holds(operator(), Upokt(501), Upokt(0));
    assert!(plan.faults().is_empty(), "{:?}", plan.faults());
    insta::assert_snapshot!(view::text(&plan));
}

#[test]
fn what_is_on_chain_already_is_left_alone() {
    let plan = plan(&wanted(500), &staked(&wanted(500)), &[operator()]);
    assert_eq!((plan.changes[0].kind, plan.steps.len()), ("same", 0));
    assert!(plan.faults().is_empty());
}

#[test]
fn differences_are_told_service_by_service() {
    let text = format!(
        "default_rev_share_percent: {{{}: 70, {}: 30}}\nservices:\n- service_id: eth\n  endpoints:\n  - {{publicly_exposed_url: \"https://new\", \
         rpc_type: grpc}}\n",
        owner(),
        operator()
    );
    let plan = plan(&with_services(700, &text), &staked(&wanted(500)), &[operator()]);
    assert_eq!(plan.steps[0].pays, Upokt(201));
    insta::assert_snapshot!(view::text(&plan));
    let message = MsgStakeSupplier::decode(plan.steps[0].message.value.as_slice()).unwrap();
    assert_eq!(message.services.len(), 1);
    assert_eq!(message.services[0].endpoints[0].rpc_type, 1);
    assert_eq!(message.services[0].rev_share.len(), 2);
}

#[test]
fn an_owner_changes_the_stake_with_a_file_without_services() {
    let lower = plan(&with_services(200, ""), &staked(&wanted(500)), &[owner()]);
    assert!(lower.faults().is_empty(), "{:?}", lower.faults());
    assert_eq!((lower.steps[0].signer, lower.steps[0].pays), (owner(), Upokt(1)));
    assert_eq!(lower.changes[0].returned, Upokt(300));
    let message = MsgStakeSupplier::decode(lower.steps[0].message.value.as_slice()).unwrap();
    assert!(message.services.is_empty());
    let refused = plan(&wanted(200), &known(), &[owner()]);
    assert!(refused.steps.is_empty());
    assert!(
        refused.faults()[0].contains("the key of"),
        "{:?}",
        refused.faults()
    );
}

#[test]
fn what_is_in_the_way_is_told_before_anything_is_sent() {
    let mut none = known();
    none.services.clear();
    let faults = plan(&wanted(50), &none, &[operator()]).faults().join("\n");
    for told in [
        "service eth does not exist",
        "service pocket does not exist",
        "from 100upokt on",
    ] {
        assert!(faults.contains(told), "{told} in {faults}");
    }
    let mut poor = plan(&wanted(500), &known(), &[operator()]);
    poor.holds(operator(), Upokt(400), Upokt(9));
    assert!(
        poor.faults()[0].contains("send it 110upokt more"),
        "{:?}",
        poor.faults()
    );
    let mut unbonding = staked(&wanted(500));
    unbonding
        .suppliers
        .get_mut(&operator())
        .unwrap()
        .unstake_session_end_height = 20;
    let only_operator = plan(&wanted(600), &unbonding, &[operator()]);
    assert!(
        only_operator.faults()[0].contains("the key of"),
        "{:?}",
        only_operator.faults()
    );
    let both = plan(
        &with_services(
            600,
            "services: [{service_id: eth, endpoints: [{publicly_exposed_url: \"http://x\", rpc_type: rest}]}]\n",
        ),
        &unbonding,
        &[operator(), owner()],
    );
    assert!(both.faults()[0].contains("make two files"), "{:?}", both.faults());
}

#[test]
fn an_unstaked_supplier_is_not_unstaked_again() {
    let unstake = |known: &OnChain| Plan::new(Verb::Unstake, &[wanted(500)], known, &keys(&[owner()]));
    let mut known = staked(&wanted(500));
    let plan = unstake(&known);
    assert_eq!(
        (plan.steps.len(), plan.steps[0].signer),
        (1, owner()),
        "the owner may"
    );
    known
        .suppliers
        .get_mut(&operator())
        .unwrap()
        .unstake_session_end_height = 20;
    assert!(unstake(&known).steps.is_empty());
    known.suppliers.clear();
    assert!(unstake(&known).steps.is_empty() && unstake(&known).faults().is_empty());
}
