//! From a genesis to the first state.

use std::collections::{BTreeMap, BTreeSet};

use portico_protocol::tx::module_address;
use portico_protocol::wire::pocket;
use portico_protocol::wire::pocket::shared::Service;
use portico_protocol::{Height, PublicKey, Upokt};

use super::actors;
use super::file::{Genesis, GenesisError};
use super::params::GenesisParams;
use crate::context::{BlockContext, Context};
use crate::error::{Fault, refuse_genesis};
use crate::state::{Changes, StateRead, Store};
use crate::{
    application, auth, authority, bank, feature, gateway, governance, proof, service, session, shared, stake,
    supplier, tokenomics,
};

/// Builds the first state.
pub(crate) fn init(genesis: &Genesis) -> Result<Changes, GenesisError> {
    let empty: BTreeMap<(Store, Vec<u8>), Vec<u8>> = BTreeMap::new();
    let block = BlockContext {
        chain_id: genesis.chain_id.clone(),
        height: Height(0),
        time_ms: genesis.genesis_time_ms,
        hash: [0; 32],
        proposer_account: String::new(),
    };
    let mut ctx = Context::new(&empty as &dyn StateRead, &block);
    build(&mut ctx, genesis).map_err(|fault| GenesisError(fault.to_string()))?;
    Ok(ctx.state.into_changes())
}

fn build(ctx: &mut Context<'_>, genesis: &Genesis) -> Result<(), Fault> {
    if genesis.chain_id.is_empty() || genesis.chain_id.len() > 50 {
        return Err(refuse_genesis("chain_id has 1 to 50 characters"));
    }
    check_unique(genesis)?;
    params(ctx, &genesis.params)?;
    actors::validators(ctx, genesis)?;
    for account in &genesis.accounts {
        bank::genesis_balance(ctx, &account.address, account.balance)?;
        if let Some(hex) = &account.public_key {
            let key = hex::decode(hex)
                .ok()
                .and_then(|bytes| PublicKey::from_slice(&bytes).ok());
            let key = key
                .filter(|key| key.address() == account.address)
                .ok_or_else(|| {
                    refuse_genesis(format!(
                        "public_key of account {} is not this address's key",
                        account.address
                    ))
                })?;
            auth::set_public_key(ctx, &account.address, &key)?;
        }
    }
    for item in &genesis.services {
        let new = Service {
            id: item.id.to_string(),
            name: item.name.clone(),
            compute_units_per_relay: item.compute_units_per_relay,
            owner_address: item.owner.to_string(),
            metadata: None,
        };
        service::genesis_service(ctx, &new)?;
    }
    for item in &genesis.gateways {
        bank::genesis_balance(ctx, &module_address("gateway"), item.stake)?;
        let staker = format!("gateway {:?}", item.address.to_string());
        stake::at_least(
            "gateway",
            1102,
            &staker,
            item.stake,
            genesis.params.gateway_min_stake,
        )?;
        let address = item.address.to_string();
        let new = pocket::gateway::Gateway {
            address,
            stake: Some(item.stake.into()),
            ..Default::default()
        };
        gateway::save(ctx, &new);
        auth::ensure_account(ctx, &item.address)?;
    }
    for item in &genesis.applications {
        actors::application(ctx, item, &genesis.params)?;
    }
    for item in &genesis.suppliers {
        actors::supplier(ctx, item, &genesis.params)?;
    }
    features(ctx, genesis)
}

/// Sets the flags; one that a node must know and does not halts it when it begins.
fn features(ctx: &mut Context<'_>, genesis: &Genesis) -> Result<(), Fault> {
    let flags = &genesis.params.features;
    unique("features", flags.iter().map(|flag| &flag.name))?;
    for flag in flags {
        let flag = flag.to_wire();
        feature::validate(&flag)?;
        if flag.from_height < 0 {
            return Err(refuse_genesis(format!(
                "feature {} begins before height 0",
                flag.name
            )));
        }
        feature::save(ctx, &flag)?;
    }
    Ok(())
}

/// Writes the params of every module.
pub(crate) fn params(ctx: &mut Context<'_>, params: &GenesisParams) -> Result<(), Fault> {
    let shared = pocket::shared::Params::from(&params.shared);
    governance::check_shared(&shared)?;
    shared::set_params(ctx, &shared);
    let session = pocket::session::Params {
        num_suppliers_per_session: params.num_suppliers_per_session,
    };
    governance::check_session(&session)?;
    session::set_params(ctx, &session);
    let application = pocket::application::Params {
        max_delegated_gateways: params.max_delegated_gateways,
        min_stake: Some(params.application_min_stake.into()),
    };
    governance::check_application(&application)?;
    application::set_params(ctx, &application);
    let gateway = pocket::gateway::Params {
        min_stake: Some(params.gateway_min_stake.into()),
    };
    governance::check_gateway(&gateway)?;
    gateway::set_params(ctx, &gateway);
    let supplier = pocket::supplier::Params {
        min_stake: Some(params.supplier_min_stake.into()),
        staking_fee: Some(params.supplier_staking_fee.into()),
    };
    governance::check_supplier(&supplier)?;
    supplier::set_params(ctx, &supplier);
    let service = pocket::service::Params {
        add_service_fee: Some(params.add_service_fee.into()),
        target_num_relays: params.target_num_relays,
    };
    governance::check_service(&service)?;
    service::set_params(ctx, &service);
    let proof = pocket::proof::Params::from(&params.proof);
    governance::check_proof(&proof)?;
    proof::set_params(ctx, &proof);
    let tokenomics = pocket::tokenomics::Params::from(&params.tokenomics);
    governance::check_tokenomics(&tokenomics)?;
    tokenomics::set_params(ctx, &tokenomics);
    if let Some(authority) = &params.authority {
        authority::set_authority(ctx, authority);
    }
    Ok(())
}

/// Errs when two entries of a list have the same name.
fn unique<T: ToString>(list: &str, names: impl Iterator<Item = T>) -> Result<(), Fault> {
    let mut seen = BTreeSet::new();
    for name in names {
        let name = name.to_string();
        if !seen.insert(name.clone()) {
            return Err(refuse_genesis(format!("{list}: {name} is listed twice")));
        }
    }
    Ok(())
}

fn check_unique(genesis: &Genesis) -> Result<(), Fault> {
    let validators = &genesis.validators;
    unique(
        "validators",
        validators
            .iter()
            .map(|one| one.consensus_public_key.to_lowercase()),
    )?;
    unique("validators", validators.iter().map(|one| one.account))?;
    unique("accounts", genesis.accounts.iter().map(|one| one.address))?;
    unique("services", genesis.services.iter().map(|one| one.id.clone()))?;
    unique("gateways", genesis.gateways.iter().map(|one| one.address))?;
    unique("applications", genesis.applications.iter().map(|one| one.address))?;
    unique("suppliers", genesis.suppliers.iter().map(|one| one.operator))?;
    for app in &genesis.applications {
        unique(
            &format!("delegatees of application {}", app.address),
            app.delegatees.iter(),
        )?;
    }
    Ok(())
}

/// Everything an operator may have to pay with: used by tests and tools that add up a genesis.
impl Genesis {
    /// Sum of all balances, stakes and bonded tokens: the chain's supply at its beginning.
    #[must_use]
    pub fn supply(&self) -> Upokt {
        let sums = [
            self.accounts
                .iter()
                .map(|account| account.balance.0)
                .sum::<u128>(),
            self.gateways.iter().map(|gateway| gateway.stake.0).sum(),
            self.applications
                .iter()
                .map(|application| application.stake.0)
                .sum(),
            self.suppliers.iter().map(|supplier| supplier.stake.0).sum(),
            self.validators.iter().map(|validator| validator.tokens.0).sum(),
        ];
        Upokt(sums.into_iter().sum())
    }
}
