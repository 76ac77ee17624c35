//! The network of the tests on a real node.
#![allow(unreachable_pub, reason = "a module of several tests")]

use portico_chain::genesis::{
    Genesis, GenesisAccount, GenesisApplication, GenesisGateway, GenesisParams, GenesisService,
    GenesisSupplier, GenesisSupplierService, GenesisValidator,
};
use portico_node::ValidatorKey;
use portico_protocol::{ServiceId, SigningKey, Upokt};

/// Of the validator's key.
pub const SEED: [u8; 32] = [7; 32];

/// Keys of the actors: application 1, gateway 2, supplier 3, owner of the service 4, validator 5.
pub fn key(n: u8) -> SigningKey {
    SigningKey::from_bytes(&[n; 32]).unwrap()
}

pub fn service() -> ServiceId {
    ServiceId::new("svc").unwrap()
}

/// One actor of each kind.
pub fn genesis() -> Genesis {
    let accounts = (1..=5).map(|n| GenesisAccount::new(&key(n).public_key(), Upokt(1_000_000_000)));
    Genesis {
        chain_id: "portico-test".into(),
        genesis_time_ms: 1_700_000_000_000,
        params: GenesisParams::default(),
        validators: vec![GenesisValidator {
            consensus_public_key: ValidatorKey::from_seed(&SEED).public_key_hex(),
            account: key(5).address(),
            tokens: Upokt(3_000_000),
        }],
        accounts: accounts.collect(),
        services: vec![GenesisService {
            id: service(),
            name: "Service".into(),
            compute_units_per_relay: 10,
            owner: key(4).address(),
        }],
        gateways: vec![GenesisGateway {
            address: key(2).address(),
            stake: Upokt(5_000_000_000),
        }],
        applications: vec![GenesisApplication {
            address: key(1).address(),
            stake: Upokt(100_000_000_000),
            service_id: service(),
            delegatees: vec![key(2).address()],
        }],
        suppliers: vec![GenesisSupplier {
            owner: key(3).address(),
            operator: key(3).address(),
            stake: Upokt(60_000_000_000),
            services: vec![GenesisSupplierService {
                service_id: service(),
                url: "http://127.0.0.1:1".into(),
                endpoints: Vec::new(),
                rev_share: Vec::new(),
            }],
        }],
    }
}
