//! The genesis of a test's chain.

use portico_chain::genesis::{
    Genesis, GenesisAccount, GenesisApplication, GenesisGateway, GenesisParams, GenesisService,
    GenesisSupplier, GenesisSupplierService, GenesisValidator,
};
use portico_protocol::{Address, PublicKey, ServiceId, Upokt};

/// Chain id of the tests' chain.
const CHAIN_ID: &str = "pocket";
/// Compute units of a relay of every service.
const COMPUTE_UNITS: u64 = 100;
const APPLICATION_STAKE: Upokt = Upokt(100_000_000);
const GATEWAY_STAKE: Upokt = Upokt(5_000_000_000);
const SUPPLIER_STAKE: Upokt = Upokt(60_000_000_000);
const BALANCE: Upokt = Upokt(1_000_000_000);
/// What endpoints of suppliers are in the state: those that answers show are kept beside it.
const ENDPOINT: &str = "http://supplier";

/// Whom nobody in a test is: validator and owner of services.
fn somebody() -> Address {
    Address::new([0xee; 20])
}

/// A genesis under the network's default params, with a validator and nobody else.
pub(crate) fn empty() -> Genesis {
    Genesis {
        chain_id: CHAIN_ID.to_owned(),
        genesis_time_ms: 1_700_000_000_000,
        params: GenesisParams::default(),
        validators: vec![GenesisValidator {
            consensus_public_key: "ee".repeat(32),
            account: somebody(),
            tokens: Upokt(3_000_000),
        }],
        accounts: Vec::new(),
        services: Vec::new(),
        gateways: Vec::new(),
        applications: Vec::new(),
        suppliers: Vec::new(),
    }
}

/// Makes an account of `key`, once.
pub(crate) fn account(genesis: &mut Genesis, key: &PublicKey) {
    let address = key.address();
    if genesis.accounts.iter().all(|account| account.address != address) {
        genesis.accounts.push(GenesisAccount::new(key, BALANCE));
    }
}

fn service(genesis: &mut Genesis, id: &ServiceId) {
    if genesis.services.iter().all(|service| service.id != *id) {
        genesis.services.push(GenesisService {
            id: id.clone(),
            name: String::new(),
            compute_units_per_relay: COMPUTE_UNITS,
            owner: somebody(),
        });
    }
}

/// Stakes a gateway, once.
pub(crate) fn gateway(genesis: &mut Genesis, address: Address) {
    if genesis.gateways.iter().all(|known| known.address != address) {
        genesis.gateways.push(GenesisGateway {
            address,
            stake: GATEWAY_STAKE,
        });
    }
}

/// Stakes an application, and the gateways that it delegates to.
pub(crate) fn application(genesis: &mut Genesis, address: Address, id: &ServiceId, gateways: &[Address]) {
    service(genesis, id);
    for address in gateways {
        gateway(genesis, *address);
    }
    genesis.applications.retain(|known| known.address != address);
    genesis.applications.push(GenesisApplication {
        address,
        stake: APPLICATION_STAKE,
        service_id: id.clone(),
        delegatees: gateways.to_vec(),
    });
}

/// Stakes a supplier, or gives it another service.
pub(crate) fn supplier(genesis: &mut Genesis, operator: Address, id: &ServiceId) {
    service(genesis, id);
    let config = GenesisSupplierService {
        service_id: id.clone(),
        url: ENDPOINT.to_owned(),
        endpoints: Vec::new(),
        rev_share: Vec::new(),
    };
    let known = genesis
        .suppliers
        .iter_mut()
        .find(|known| known.operator == operator);
    match known {
        Some(known) if known.services.iter().any(|served| served.service_id == *id) => {}
        Some(known) => known.services.push(config),
        None => genesis.suppliers.push(GenesisSupplier {
            owner: operator,
            operator,
            stake: SUPPLIER_STAKE,
            services: vec![config],
        }),
    }
}
