//! One value per service commits to all of its suppliers' configs: an index that lacks one, or has one more, is another.

use portico_protocol::Height;
use portico_protocol::wire::pocket::shared::{
    RpcType, ServiceRevenueShare, SupplierEndpoint, SupplierServiceConfig,
};
use portico_protocol::wire::pocket::supplier::{MsgStakeSupplier, MsgUnstakeSupplier};

use super::network::{Network, STAKE, address, genesis};
use crate::feature::SUPPLIER_INDEX_ROOTS;
use crate::genesis::{Genesis, GenesisFlag, GenesisFlagKind, GenesisFlagScope};
use crate::state::Store;
use crate::supplier::candidates;
use crate::supplier::index::{commitment, entries, read_entry, root_key};

fn flagged(from_height: i64) -> Genesis {
    let mut genesis = genesis();
    genesis.params.features.push(GenesisFlag {
        name: SUPPLIER_INDEX_ROOTS.into(),
        value: String::new(),
        from_height,
        scope: GenesisFlagScope::Chain,
        kind: GenesisFlagKind::Required,
    });
    genesis
}

fn stake(operator: &str, service: &str) -> MsgStakeSupplier {
    let address = address(operator).to_string();
    MsgStakeSupplier {
        signer: address.clone(),
        owner_address: address.clone(),
        operator_address: address.clone(),
        stake: Some(STAKE.into()),
        services: vec![SupplierServiceConfig {
            service_id: service.into(),
            endpoints: vec![SupplierEndpoint {
                url: "http://127.0.0.1:1".into(),
                rpc_type: RpcType::JsonRpc.into(),
                configs: Vec::new(),
            }],
            rev_share: vec![ServiceRevenueShare {
                address,
                rev_share_percentage: 100,
            }],
        }],
    }
}

fn value(network: &Network, service: &str) -> Option<Vec<u8>> {
    network
        .state()
        .get(Store::Supplier, &root_key(service))
        .expect("readable")
}

/// Fails unless the value is that of the index as it is; returns how many entries there are.
fn agrees(network: &Network, service: &str) -> usize {
    let index = entries(network.state(), service).expect("readable");
    let expected = (!index.is_empty()).then(|| commitment(&index));
    assert_eq!(
        value(network, service),
        expected,
        "{service} at {}",
        network.height
    );
    index.len()
}

#[test]
fn the_value_follows_the_index_through_stakes_changes_and_ends() {
    let mut network = Network::new(&flagged(0));
    network.run_to(1);
    for name in ["other", "source", "application"] {
        network.accept(name, &stake(name, "eth"));
        agrees(&network, "eth");
    }
    network.accept("other", &stake("other", "base"));
    let mut most = 0;
    let unstake = MsgUnstakeSupplier {
        signer: address("source").to_string(),
        operator_address: address("source").to_string(),
    };
    network.run_to(25);
    network.accept("source", &unstake);
    while network.height < 120 {
        network.block(&[]);
        most = most.max(agrees(&network, "eth"));
        assert_eq!(agrees(&network, "base"), 1);
    }
    assert!(most >= 3 && agrees(&network, "eth") < most, "some have ended");
    assert_eq!(value(&network, "unknown"), None);
}

#[test]
fn a_session_s_candidates_follow_from_what_the_value_commits_to() {
    let mut network = Network::new(&flagged(0));
    network.run_to(1);
    for name in ["other", "source"] {
        network.accept(name, &stake(name, "eth"));
    }
    network.run_to(12);
    let index = entries(network.state(), "eth").expect("readable");
    assert_eq!(index.len(), 3);
    let proved = value(&network, "eth").expect("there");
    assert_eq!(commitment(&index), proved);
    let shown: Vec<_> = index
        .iter()
        .map(|entry| read_entry(entry).expect("a config"))
        .collect();
    assert_eq!(
        shown,
        candidates(network.state(), "eth", Height(12)).expect("readable")
    );
    for place in 0..index.len() {
        let mut fewer = index.clone();
        let taken = fewer.remove(place);
        assert_ne!(commitment(&fewer), proved, "one is left out");
        fewer.push(taken);
        assert!(place == 2 || commitment(&fewer) != proved, "in another order");
        let mut other = index.clone();
        other[place].push(0);
        assert_ne!(commitment(&other), proved, "another config");
    }
    let twice = [index.clone(), vec![index[2].clone()]].concat();
    assert_ne!(commitment(&twice), proved);
}

#[test]
fn the_flag_s_first_block_writes_the_values_of_all_services() {
    let mut network = Network::new(&flagged(5));
    network.run_to(4);
    assert_eq!(value(&network, "eth"), None);
    network.run_to(5);
    assert_eq!(agrees(&network, "eth"), 1);
    let mut never = Network::new(&genesis());
    never.run_to(30);
    assert_eq!(value(&never, "eth"), None);
}
