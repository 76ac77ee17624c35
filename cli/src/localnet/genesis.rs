//! The first state of a local network: everybody funded, staked and delegated, the network's default params but one: every claim
//! has to be proved, so that the whole line is seen.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use portico_chain::genesis::{
    Genesis, GenesisAccount, GenesisApplication, GenesisGateway, GenesisParams, GenesisService,
    GenesisSupplier, GenesisSupplierService, GenesisValidator,
};
use portico_protocol::{ServiceId, SigningKey, Upokt};

use super::actors::Actors;
use super::home::{CHAIN_SERVICE, Home};
use super::ports;

/// Chain id, as of the network's own local networks.
pub(super) const CHAIN_ID: &str = "pocket";

const POKT: u128 = 1_000_000;
/// Pays for some 200 million relays.
const APPLICATION_STAKE: Upokt = Upokt(100_000 * POKT);
const GATEWAY_STAKE: Upokt = Upokt(5_000 * POKT);
const SUPPLIER_STAKE: Upokt = Upokt(60_000 * POKT);
const VALIDATOR_STAKE: Upokt = Upokt(1_000 * POKT);
/// What everybody begins with besides stakes.
const BALANCE: Upokt = Upokt(1_000 * POKT);
const FAUCET_BALANCE: Upokt = Upokt(1_000_000 * POKT);
/// Weight of a relay; not 1, so that relays and compute units cannot be mixed up unnoticed.
const COMPUTE_UNITS_PER_RELAY: u64 = 10;

/// Reads the genesis of an existing network, or writes that of a new one.
pub(super) fn open(home: &Home, actors: &Actors) -> Result<Genesis> {
    let path = home.genesis();
    if home.fresh {
        let services: Vec<&ServiceId> = home.saved.backends.keys().collect();
        let endpoint = format!("http://{}", ports::local(home.saved.ports.servicer));
        let genesis = genesis(&services, &endpoint, actors)?;
        let text = serde_json::to_string_pretty(&genesis)?;
        std::fs::write(&path, text).with_context(|| format!("{} cannot be written", path.display()))?;
        return Ok(genesis);
    }
    let text =
        std::fs::read_to_string(&path).with_context(|| format!("{} cannot be read", path.display()))?;
    let genesis = serde_json::from_str(&text);
    genesis.with_context(|| {
        format!(
            "{} is damaged or of another version; start over with --reset",
            path.display()
        )
    })
}

/// A genesis, beginning now, with these services, all served at `endpoint`.
pub(crate) fn genesis(services: &[&ServiceId], endpoint: &str, actors: &Actors) -> Result<Genesis> {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .context("the clock is before 1970")?;
    Ok(Genesis {
        chain_id: CHAIN_ID.to_owned(),
        genesis_time_ms: u64::try_from(now.as_millis())?,
        params: params(actors),
        validators: vec![GenesisValidator {
            consensus_public_key: actors.consensus.public_key_hex(),
            account: actors.validator.address(),
            tokens: VALIDATOR_STAKE,
        }],
        accounts: actors
            .all()
            .into_iter()
            .map(|(name, key)| account(&name, key))
            .collect(),
        services: services.iter().map(|id| service(id, actors)).collect(),
        gateways: vec![GenesisGateway {
            address: actors.gateway.address(),
            stake: GATEWAY_STAKE,
        }],
        applications: actors
            .applications
            .iter()
            .map(|(id, key)| application(id, key, actors))
            .collect(),
        suppliers: vec![GenesisSupplier {
            owner: actors.supplier.address(),
            operator: actors.supplier.address(),
            stake: SUPPLIER_STAKE,
            services: services.iter().map(|id| supplier_service(id, endpoint)).collect(),
        }],
    })
}

fn params(actors: &Actors) -> GenesisParams {
    let mut params = GenesisParams::default();
    params.proof.proof_request_probability = 1.0;
    params.tokenomics.dao_reward_address = actors.dao.address().to_string();
    params
}

fn account(name: &str, key: &SigningKey) -> GenesisAccount {
    let balance = if name == "faucet" { FAUCET_BALANCE } else { BALANCE };
    GenesisAccount::new(&key.public_key(), balance)
}

fn service(id: &ServiceId, actors: &Actors) -> GenesisService {
    let name = if id.as_str() == CHAIN_SERVICE {
        "The local network itself"
    } else {
        ""
    };
    GenesisService {
        id: id.clone(),
        name: name.to_owned(),
        compute_units_per_relay: COMPUTE_UNITS_PER_RELAY,
        owner: actors.service_owner.address(),
    }
}

fn application(id: &ServiceId, key: &SigningKey, actors: &Actors) -> GenesisApplication {
    GenesisApplication {
        address: key.address(),
        stake: APPLICATION_STAKE,
        service_id: id.clone(),
        delegatees: vec![actors.gateway.address()],
    }
}

fn supplier_service(id: &ServiceId, endpoint: &str) -> GenesisSupplierService {
    GenesisSupplierService {
        service_id: id.clone(),
        url: endpoint.to_owned(),
        rev_share: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use portico_protocol::ServiceId;

    use super::{CHAIN_SERVICE, genesis};
    use crate::localnet::actors::Actors;

    #[test]
    fn the_chain_accepts_the_genesis_with_any_number_of_services() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("keys")).unwrap();
        let services: [ServiceId; 2] = [CHAIN_SERVICE, "eth"].map(|id| id.parse().unwrap());
        for services in [vec![&services[0]], services.iter().collect()] {
            let actors = Actors::open(folder.path(), services.iter().copied()).unwrap();
            let genesis = genesis(&services, "http://127.0.0.1:8081", &actors).unwrap();
            portico_chain::block::init(&genesis).unwrap();
        }
    }
}
