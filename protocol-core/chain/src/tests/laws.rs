//! What holds whatever people send: no token appears or vanishes unsaid, stakes are backed, and blocks do not depend on how state is kept.

use std::sync::Arc;

use bytes::Bytes;
use portico_protocol::Upokt;
use portico_protocol::tx::{TxOptions, module_address};
use portico_protocol::wire::cosmos::bank::v1beta1::MsgSend;
use portico_protocol::wire::pocket::application::{
    Application, MsgDelegateToGateway, MsgStakeApplication, MsgUndelegateFromGateway, MsgUnstakeApplication,
};
use portico_protocol::wire::pocket::gateway::{Gateway, MsgStakeGateway, MsgUnstakeGateway};
use portico_protocol::wire::pocket::proof::MsgCreateClaim;
use portico_protocol::wire::pocket::service::MsgAddService;
use portico_protocol::wire::pocket::shared::{
    ApplicationServiceConfig, RpcType, Service, ServiceRevenueShare, Supplier, SupplierEndpoint,
    SupplierServiceConfig,
};
use portico_protocol::wire::pocket::supplier::{MsgStakeSupplier, MsgUnstakeSupplier};
use proptest::prelude::*;

use super::lab::{Memory, apply};
use super::network::{Network, UNITS, address, genesis};
use crate::block::execute;
use crate::context::scan;
use crate::state::{Entry, Overlay, StateRead, Store};
use crate::{application, bank, gateway, stake, supplier};

const NAMES: [&str; 5] = ["application", "gateway", "supplier", "owner", "other"];

/// Something that somebody does.
#[derive(Clone, Debug)]
struct Deed {
    kind: u8,
    who: usize,
    whom: usize,
    amount: u128,
}

fn deed() -> impl Strategy<Value = Deed> {
    let amount = prop_oneof![
        0_u128..10,
        900_000_u128..2_000_000_000,
        Just(u128::from(u64::MAX))
    ];
    (0_u8..12, 0..NAMES.len(), 0..NAMES.len(), amount).prop_map(|(kind, who, whom, amount)| Deed {
        kind,
        who,
        whom,
        amount,
    })
}

fn services(owner: &str) -> Vec<SupplierServiceConfig> {
    vec![SupplierServiceConfig {
        service_id: "eth".into(),
        endpoints: vec![SupplierEndpoint {
            url: "http://node".into(),
            rpc_type: RpcType::JsonRpc.into(),
            configs: Vec::new(),
        }],
        rev_share: vec![ServiceRevenueShare {
            address: address(owner).to_string(),
            rev_share_percentage: 100,
        }],
    }]
}

/// The transaction of a deed; many are refused, which is part of the law.
fn transaction(network: &Network, deed: &Deed) -> Bytes {
    let (who, whom) = (NAMES[deed.who], NAMES[deed.whom]);
    let (from, to) = (address(who).to_string(), address(whom).to_string());
    let coin = Some(Upokt(deed.amount).into());
    let fee = TxOptions {
        fee: Upokt(deed.amount % 3),
        ..TxOptions::default()
    };
    match deed.kind {
        0 => {
            let amount = coin.into_iter().collect();
            let message = MsgSend {
                from_address: from,
                to_address: to,
                amount,
            };
            network.tx(who, &message, &fee)
        }
        1 => {
            let services = vec![ApplicationServiceConfig {
                service_id: if deed.whom > 2 { "eth" } else { "base" }.into(),
            }];
            let message = MsgStakeApplication {
                address: from,
                stake: coin,
                services,
                per_session_spend_limit: None,
            };
            network.tx(who, &message, &fee)
        }
        2 => network.tx(who, &MsgUnstakeApplication { address: from }, &fee),
        3 => {
            let message = MsgStakeGateway {
                address: from,
                stake: coin,
            };
            network.tx(who, &message, &fee)
        }
        4 => network.tx(who, &MsgUnstakeGateway { address: from }, &fee),
        5 => {
            let message = MsgStakeSupplier {
                signer: from.clone(),
                owner_address: to,
                operator_address: from,
                stake: coin,
                services: services(whom),
            };
            network.tx(who, &message, &fee)
        }
        6 => {
            let message = MsgUnstakeSupplier {
                signer: from,
                operator_address: to,
            };
            network.tx(who, &message, &fee)
        }
        7 => {
            let message = MsgDelegateToGateway {
                app_address: from,
                gateway_address: to,
            };
            network.tx(who, &message, &fee)
        }
        8 => {
            let message = MsgUndelegateFromGateway {
                app_address: from,
                gateway_address: to,
            };
            network.tx(who, &message, &fee)
        }
        9 => {
            let service = Service {
                id: format!("service-{}", deed.whom),
                compute_units_per_relay: u64::try_from(deed.amount % 1_000).unwrap(),
                owner_address: from.clone(),
                ..Service::default()
            };
            let message = MsgAddService {
                owner_address: from,
                service: Some(service),
            };
            network.tx(who, &message, &fee)
        }
        _ => {
            let relays = u64::try_from(deed.amount % 1_000_000).unwrap() + 1;
            let mut root_hash = vec![u8::try_from(deed.whom).unwrap(); 32];
            root_hash.extend((relays * UNITS).to_be_bytes());
            root_hash.extend(relays.to_be_bytes());
            let (who, from) = ("supplier", address("supplier").to_string());
            let message = MsgCreateClaim {
                supplier_operator_address: from,
                session_header: past_session(network),
                root_hash,
            };
            network.tx(who, &message, &fee)
        }
    }
}

/// Header of the session whose claim window may be open, as far as it can be known.
fn past_session(network: &Network) -> Option<portico_protocol::wire::pocket::session::SessionHeader> {
    let height = portico_protocol::Height(network.height - 9);
    let app = address("application").to_string();
    let current = portico_protocol::Height(network.height);
    let session = crate::session::hydrate(network.state(), current, &app, "eth", height).ok();
    session.and_then(|session| session.header)
}

/// A module's account holds what its actors have staked.
fn stakes_are_backed(state: &dyn StateRead) -> Result<(), TestCaseError> {
    let apps: Vec<Application> = scan(state, Store::Application, application::APPLICATIONS).unwrap();
    let gateways: Vec<Gateway> = scan(state, Store::Gateway, gateway::GATEWAYS).unwrap();
    let suppliers: Vec<Supplier> = scan(state, Store::Supplier, supplier::SUPPLIERS).unwrap();
    let sum = |stakes: &mut dyn Iterator<Item = Upokt>| stakes.map(|stake| stake.0).sum::<u128>();
    let staked = [
        (
            "application",
            sum(&mut apps.iter().map(|one| stake::amount(one.stake.as_ref()))),
        ),
        (
            "gateway",
            sum(&mut gateways.iter().map(|one| stake::amount(one.stake.as_ref()))),
        ),
        (
            "supplier",
            sum(&mut suppliers.iter().map(|one| stake::amount(one.stake.as_ref()))),
        ),
    ];
    for (module, staked) in staked {
        let pool = bank::balance(state, &module_address(module)).unwrap().0;
        prop_assert!(pool >= staked, "{module} holds {pool} for stakes of {staked}");
    }
    Ok(())
}

/// Tokens that a block's events say were made, less those destroyed.
fn announced(events: &[portico_protocol::wire::tendermint::abci::Event]) -> i128 {
    let amount = |event: &portico_protocol::wire::tendermint::abci::Event| -> i128 {
        let amount = event.attributes.iter().find(|one| one.key == "amount").unwrap();
        amount.value.trim_end_matches("upokt").parse().unwrap()
    };
    events
        .iter()
        .map(|event| match event.r#type.as_str() {
            "coinbase" => amount(event),
            "burn" => -amount(event),
            _ => 0,
        })
        .sum()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn conserves_tokens_whatever_people_send(
        blocks in proptest::collection::vec(proptest::collection::vec(deed(), 0..4), 30..60),
    ) {
        let mut genesis = genesis();
        genesis.params.proof.proof_request_probability = 0.3;
        genesis.params.proof.proof_requirement_threshold = Upokt(u128::MAX);
        let mut network = Network::new(&genesis);
        for deeds in &blocks {
            // One transaction per account and block, so that sequences fit.
            let mut by_sender = std::collections::BTreeMap::new();
            for deed in deeds {
                by_sender.insert(deed.who, transaction(&network, deed));
            }
            let txs: Vec<Bytes> = by_sender.into_values().collect();
            let before = i128::try_from(network.supply()).unwrap();
            let outcome = network.block(&txs);
            let mut events = outcome.events;
            events.extend(outcome.txs.into_iter().flat_map(|tx| tx.events));
            let after = i128::try_from(network.supply()).unwrap();
            prop_assert_eq!(after - before, announced(&events));
            prop_assert_eq!(bank::sum_of_balances(network.state()).unwrap().0, network.supply());
            stakes_are_backed(network.state())?;
        }
    }

    #[test]
    fn executes_the_same_over_stacked_overlays_as_over_flat_state(
        deeds in proptest::collection::vec(deed(), 1..12),
    ) {
        let mut network = Network::new(&genesis());
        network.run_to(3);
        let base = network.clone();
        let mut stacked: Arc<dyn StateRead> = Arc::new(base.memory);
        for deed in &deeds {
            let tx = transaction(&network, deed);
            let context = network.next();
            let over_stack = execute(&stacked, &context, std::slice::from_ref(&tx)).unwrap();
            let over_flat = network.block(std::slice::from_ref(&tx));
            prop_assert_eq!(&over_stack.changes, &over_flat.changes);
            prop_assert_eq!(&over_stack.txs, &over_flat.txs);
            prop_assert_eq!(&over_stack.events, &over_flat.events);
            stacked = Arc::new(Overlay::with_changes(stacked, over_stack.changes));
        }
    }

    #[test]
    fn reads_an_overlay_as_what_it_will_become(
        below in proptest::collection::btree_map(0_u8..40, 0_u8..9, 0..20),
        above in proptest::collection::btree_map(0_u8..40, proptest::option::of(0_u8..9), 0..20),
        from in 0_u8..40, to in proptest::option::of(0_u8..41), limit in 0_usize..12,
    ) {
        let mut memory = Memory::new();
        for (key, value) in below {
            memory.insert((Store::Bank, vec![key]), vec![value]);
        }
        let changes: crate::state::Changes = above
            .into_iter()
            .map(|(key, value)| ((Store::Bank, vec![key]), value.map(|value| vec![value])))
            .collect();
        let mut flat = memory.clone();
        apply(&mut flat, changes.clone());
        let overlay = Overlay::with_changes(&memory, changes);
        let to = to.map(|to| vec![to]);
        let read = |state: &dyn StateRead| -> Vec<Entry> {
            state.range(Store::Bank, &[from], to.as_deref(), limit).unwrap()
        };
        prop_assert_eq!(read(&overlay), read(&flat));
    }
}
