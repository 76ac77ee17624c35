//! Who is who in a test network, and the genesis that says so.

use std::net::SocketAddr;

use anyhow::Result;
use portico_chain::genesis::{
    Genesis, GenesisAccount, GenesisApplication, GenesisGateway, GenesisParams, GenesisService,
    GenesisSupplier, GenesisSupplierService, GenesisValidator,
};
use portico_node::ValidatorKey;
use portico_protocol::{ServiceId, SigningKey, Upokt};
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::network::{NetworkSpec, ProofPolicy};
use crate::process::free_addr;

/// The service that the application is staked for.
pub const SERVICE: &str = "anvil";
/// Another one, of suppliers outside its sessions.
pub const OTHER_SERVICE: &str = "elsewhere";
/// Weight of a relay of both.
const COMPUTE_UNITS_PER_RELAY: u64 = 100;
/// Price of a relay at the default params: 100 compute units of 42 upokt.
const RELAY_UPOKT: u128 = 4_200;
/// Free balance of an account that needs one.
const BALANCE: Upokt = Upokt(1_000_000);
/// Stakes far above what a scenario spends.
const STAKE: u128 = 100_000_000_000;
/// Seed of the validator's key.
pub const VALIDATOR_SEED: [u8; 32] = [7; 32];

/// The application's service.
///
/// # Panics
/// Never: the constant is a service id.
#[must_use]
pub fn service() -> ServiceId {
    ServiceId::new(SERVICE).expect("a service id")
}

/// A staked supplier: its key, and where its relays go.
#[derive(Clone, Debug)]
pub struct SupplierActor {
    /// Owner and operator.
    pub key: SigningKey,
    /// What its stake says.
    pub endpoint: SocketAddr,
}

/// Keys of all actors, from a fixed seed so that a failing run can be repeated.
#[derive(Debug)]
pub struct Actors {
    /// Pays for relays.
    pub application: SigningKey,
    /// Its stake at genesis.
    pub application_stake: u128,
    /// Signs them.
    pub gateway: SigningKey,
    /// Honest suppliers of the application's service.
    pub suppliers: Vec<SupplierActor>,
    /// Free balance of each at genesis.
    pub supplier_balance: u128,
    /// Suppliers of the other service.
    pub foreign: Vec<SupplierActor>,
    /// Suppliers that sign garbage.
    pub liars: Vec<SupplierActor>,
    /// Owns both services.
    pub service_owner: SigningKey,
    /// Its free balance at genesis.
    pub service_owner_balance: u128,
    /// Receives the DAO's share.
    pub dao: SigningKey,
    /// Receives the proposer's share.
    pub validator: SigningKey,
    /// A key that nobody staked, with the means to.
    pub spare: SigningKey,
}

impl Actors {
    /// Draws the keys for `spec`; honest and foreign suppliers share the servicer at `servicer`.
    pub fn draw(spec: &NetworkSpec, servicer: SocketAddr) -> Result<Self> {
        let mut rng = StdRng::seed_from_u64(3);
        let mut key = || SigningKey::generate(&mut rng);
        let (application, gateway) = (key(), key());
        let (service_owner, dao, validator, spare) = (key(), key(), key(), key());
        let mut at_servicer = |count| {
            (0..count)
                .map(|_| SupplierActor {
                    key: key(),
                    endpoint: servicer,
                })
                .collect::<Vec<_>>()
        };
        let (suppliers, foreign) = (at_servicer(spec.suppliers), at_servicer(spec.foreign_suppliers));
        let mut liars = at_servicer(spec.lying_suppliers);
        for liar in &mut liars {
            liar.endpoint = free_addr()?;
        }
        // The meter gives a supplier stake / suppliers per session / (pending sessions + 1); with the default params 1/30.
        let application_stake = spec
            .relays_per_session
            .map_or(STAKE, |relays| u128::from(relays) * RELAY_UPOKT * 30);
        Ok(Self {
            application,
            application_stake,
            gateway,
            suppliers,
            supplier_balance: BALANCE.0,
            foreign,
            liars,
            service_owner,
            service_owner_balance: BALANCE.0,
            dao,
            validator,
            spare,
        })
    }
}

/// The genesis of a network of these actors.
#[must_use]
pub fn build(spec: &NetworkSpec, actors: &Actors) -> Genesis {
    let mut params = GenesisParams::default();
    params.tokenomics.dao_reward_address = actors.dao.address().to_string();
    match spec.proofs {
        ProofPolicy::Default => {}
        ProofPolicy::Always => params.proof.proof_requirement_threshold = Upokt(0),
        ProofPolicy::Never => {
            params.proof.proof_request_probability = 0.0;
            params.proof.proof_requirement_threshold = Upokt(u128::from(u64::MAX));
        }
    }
    let account = |key: &SigningKey, balance| GenesisAccount::new(&key.public_key(), balance);
    let mut accounts = vec![
        account(&actors.application, BALANCE),
        account(&actors.gateway, BALANCE),
        account(&actors.service_owner, BALANCE),
        account(&actors.spare, Upokt(STAKE)),
    ];
    let all_suppliers = actors
        .suppliers
        .iter()
        .chain(&actors.foreign)
        .chain(&actors.liars);
    accounts.extend(all_suppliers.map(|supplier| account(&supplier.key, BALANCE)));
    let of = |service: &str, list: &[SupplierActor]| -> Vec<GenesisSupplier> {
        list.iter().map(|actor| staked(service, actor)).collect()
    };
    Genesis {
        chain_id: "pocket-e2e".into(),
        genesis_time_ms: 1_700_000_000_000,
        params,
        validators: vec![GenesisValidator {
            consensus_public_key: ValidatorKey::from_seed(&VALIDATOR_SEED).public_key_hex(),
            account: actors.validator.address(),
            tokens: Upokt(1_000_000),
        }],
        accounts,
        services: [SERVICE, OTHER_SERVICE]
            .map(|id| GenesisService {
                id: ServiceId::new(id).expect("a service id"),
                name: String::new(),
                compute_units_per_relay: COMPUTE_UNITS_PER_RELAY,
                owner: actors.service_owner.address(),
            })
            .to_vec(),
        gateways: vec![GenesisGateway {
            address: actors.gateway.address(),
            stake: Upokt(STAKE),
        }],
        applications: vec![GenesisApplication {
            address: actors.application.address(),
            stake: Upokt(actors.application_stake),
            service_id: service(),
            delegatees: vec![actors.gateway.address()],
        }],
        suppliers: [
            of(SERVICE, &actors.suppliers),
            of(SERVICE, &actors.liars),
            of(OTHER_SERVICE, &actors.foreign),
        ]
        .concat(),
    }
}

fn staked(service: &str, actor: &SupplierActor) -> GenesisSupplier {
    GenesisSupplier {
        owner: actor.key.address(),
        operator: actor.key.address(),
        stake: Upokt(STAKE),
        services: vec![GenesisSupplierService {
            service_id: ServiceId::new(service).expect("a service id"),
            url: format!("http://{}", actor.endpoint),
            rev_share: Vec::new(),
        }],
    }
}
