//! The first state of a network: everybody funded, staked and delegated, under the network's default params but for the proofs.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use portico_chain::genesis::{
    Genesis, GenesisAccount, GenesisApplication, GenesisEndpoint, GenesisGateway, GenesisParams,
    GenesisService, GenesisSupplier, GenesisSupplierService, GenesisValidator,
};
use portico_protocol::{ServiceId, SigningKey, Upokt};

use crate::actors::Actors;
use crate::spec::{CHAIN_SERVICE, POKT, ProofPolicy, Spec, SupplierSpec};

/// Chain id, as of the network's own local networks.
const CHAIN_ID: &str = "pocket";
const GATEWAY_STAKE: Upokt = Upokt(5_000 * POKT);
const SUPPLIER_STAKE: Upokt = Upokt(60_000 * POKT);
const VALIDATOR_STAKE: Upokt = Upokt(1_000 * POKT);
/// What everybody begins with besides stakes.
const BALANCE: Upokt = Upokt(1_000 * POKT);
const FAUCET_BALANCE: Upokt = Upokt(1_000_000 * POKT);

/// A genesis that begins now; `servicer` is the URL at which the network's own suppliers are served.
pub(crate) fn genesis(spec: &Spec, actors: &Actors, servicer: &str) -> Result<Genesis> {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .context("the clock is before 1970")?;
    let suppliers = spec.suppliers.iter().zip(&actors.suppliers);
    Ok(Genesis {
        chain_id: CHAIN_ID.to_owned(),
        genesis_time_ms: u64::try_from(now.as_millis())?,
        params: params(spec, actors),
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
        services: spec.services.keys().map(|id| service(id, spec, actors)).collect(),
        gateways: vec![GenesisGateway {
            address: actors.gateway.address(),
            stake: GATEWAY_STAKE,
        }],
        applications: actors
            .applications
            .iter()
            .map(|(id, key)| application(id, key, spec, actors))
            .collect(),
        suppliers: suppliers
            .map(|(staked, key)| supplier(spec, staked, key, servicer))
            .collect(),
    })
}

fn params(spec: &Spec, actors: &Actors) -> GenesisParams {
    let mut params = GenesisParams::default();
    params.tokenomics.dao_reward_address = actors.dao.address().to_string();
    match spec.proofs {
        ProofPolicy::Default => {}
        ProofPolicy::Always => params.proof.proof_request_probability = 1.0,
        ProofPolicy::Never => {
            params.proof.proof_request_probability = 0.0;
            params.proof.proof_requirement_threshold = Upokt(u128::from(u64::MAX));
        }
    }
    params
}

fn account(name: &str, key: &SigningKey) -> GenesisAccount {
    let balance = if name == "faucet" { FAUCET_BALANCE } else { BALANCE };
    GenesisAccount::new(&key.public_key(), balance)
}

fn service(id: &ServiceId, spec: &Spec, actors: &Actors) -> GenesisService {
    let name = if id.as_str() == CHAIN_SERVICE {
        "The local network itself"
    } else {
        ""
    };
    GenesisService {
        id: id.clone(),
        name: name.to_owned(),
        compute_units_per_relay: spec.compute_units_per_relay,
        owner: actors.service_owner.address(),
    }
}

fn application(id: &ServiceId, key: &SigningKey, spec: &Spec, actors: &Actors) -> GenesisApplication {
    let own = spec.application_stakes.get(id).copied();
    GenesisApplication {
        address: key.address(),
        stake: own.unwrap_or(spec.application_stake),
        service_id: id.clone(),
        delegatees: vec![actors.gateway.address()],
    }
}

fn supplier(network: &Spec, spec: &SupplierSpec, key: &SigningKey, servicer: &str) -> GenesisSupplier {
    let elsewhere = spec.elsewhere.map(|address| format!("http://{address}"));
    let url = elsewhere.unwrap_or_else(|| servicer.to_owned());
    let service = |id: &ServiceId| GenesisSupplierService {
        service_id: id.clone(),
        url: url.clone(),
        // At the same URL, whose scheme gateways exchange, as suppliers of the live network are staked.
        endpoints: [
            (network.has_websockets(id), "WEBSOCKET"),
            (network.has_grpc(id), "GRPC"),
            (network.has_rest(id), "REST"),
        ]
        .into_iter()
        .filter(|(has, _)| *has)
        .map(|(_, rpc_type)| GenesisEndpoint {
            url: url.clone(),
            rpc_type: rpc_type.to_owned(),
        })
        .collect(),
        rev_share: Vec::new(),
    };
    GenesisSupplier {
        owner: key.address(),
        operator: key.address(),
        stake: SUPPLIER_STAKE,
        services: spec.services.iter().map(service).collect(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::genesis;
    use crate::actors::Actors;
    use crate::spec::{Spec, SupplierSpec, chain_service};

    #[test]
    fn the_chain_accepts_any_number_of_services_and_suppliers() {
        for (services, suppliers) in [(1, 1), (2, 1), (1, 50)] {
            let folder = tempfile::tempdir().unwrap();
            let id = |index: usize| match index {
                0 => chain_service(),
                _ => format!("eth{index}").parse().unwrap(),
            };
            let services: BTreeMap<_, _> = (0..services).map(|index| (id(index), None)).collect();
            let mut spec = Spec::new(services);
            let ids = spec.applications.clone();
            spec.suppliers = vec![SupplierSpec::here(ids); suppliers];
            let actors = Actors::open(folder.path(), &spec, &mut rand::rng()).unwrap();
            let genesis = genesis(&spec, &actors, "http://127.0.0.1:8081").unwrap();
            portico_chain::block::init(&genesis).unwrap();
        }
    }
}
