//! Validators and staked actors of a genesis.

use std::collections::BTreeMap;

use portico_protocol::tx::module_address;
use portico_protocol::wire::pocket;
use portico_protocol::wire::pocket::shared::{
    ApplicationServiceConfig, RpcType, ServiceRevenueShare, Supplier, SupplierEndpoint, SupplierServiceConfig,
};
use portico_protocol::{Height, Upokt};

use super::file::{Genesis, GenesisApplication, GenesisSupplier, GenesisSupplierService};
use super::params::GenesisParams;
use crate::context::Context;
use crate::error::{Fault, refuse_genesis};
use crate::validators::MAX_VALIDATORS;
use crate::{application, auth, bank, gateway, service, stake, supplier, tokenomics};

/// Bonds the validators.
pub(super) fn validators(ctx: &mut Context<'_>, genesis: &Genesis) -> Result<(), Fault> {
    let count = genesis.validators.len();
    if !(1..=MAX_VALIDATORS).contains(&count) {
        let text = format!("{count} validators, but there must be 1 to {MAX_VALIDATORS}");
        return Err(refuse_genesis(text));
    }
    let mut weights = Vec::new();
    for validator in &genesis.validators {
        let key = hex::decode(&validator.consensus_public_key).unwrap_or_default();
        if key.len() != 32 {
            return Err(refuse_genesis(
                "consensus_public_key has 64 hexadecimal characters",
            ));
        }
        if validator.tokens == Upokt(0) {
            return Err(refuse_genesis(format!(
                "validator {} has no tokens bonded",
                validator.account
            )));
        }
        bank::genesis_balance(ctx, &module_address("bonded_tokens_pool"), validator.tokens)?;
        auth::ensure_account(ctx, &validator.account)?;
        let account = validator.account;
        weights.push(tokenomics::Validator {
            account,
            tokens: validator.tokens,
            commission: "0.000000000000000000".into(),
            delegations: BTreeMap::from([(account.to_string(), validator.tokens)]),
        });
    }
    tokenomics::set_validators(ctx, &weights)
}

fn known_service(ctx: &Context<'_>, id: &str) -> Result<(), Fault> {
    match service::service(&ctx.state, id)? {
        Some(_) => Ok(()),
        None => Err(refuse_genesis(format!(
            "service {id:?} is used but not listed under services"
        ))),
    }
}

/// Stakes an application.
pub(super) fn application(
    ctx: &mut Context<'_>,
    item: &GenesisApplication,
    params: &GenesisParams,
) -> Result<(), Fault> {
    known_service(ctx, item.service_id.as_str())?;
    let staker = format!("application {:?}", item.address.to_string());
    stake::at_least(
        "application",
        1101,
        &staker,
        item.stake,
        params.application_min_stake,
    )?;
    bank::genesis_balance(ctx, &module_address("application"), item.stake)?;
    auth::ensure_account(ctx, &item.address)?;
    if item.delegatees.len() as u64 > params.max_delegated_gateways {
        return Err(refuse_genesis(format!(
            "application {} delegates to more than max_delegated_gateways",
            item.address
        )));
    }
    let mut delegatees = Vec::new();
    for delegatee in &item.delegatees {
        let address = delegatee.to_string();
        if gateway::gateway(&ctx.state, &address)?.is_none() {
            return Err(refuse_genesis(format!(
                "application {} delegates to {address}, no gateway",
                item.address
            )));
        }
        delegatees.push(address);
    }
    let new = pocket::application::Application {
        address: item.address.to_string(),
        stake: Some(item.stake.into()),
        service_configs: vec![ApplicationServiceConfig {
            service_id: item.service_id.to_string(),
        }],
        delegatee_gateway_addresses: delegatees,
        ..Default::default()
    };
    application::save(ctx, &new);
    Ok(())
}

/// Stakes a supplier, active from the first block.
pub(super) fn supplier(
    ctx: &mut Context<'_>,
    item: &GenesisSupplier,
    params: &GenesisParams,
) -> Result<(), Fault> {
    let staker = format!("supplier with owner {:?}", item.owner.to_string());
    stake::at_least("supplier", 1101, &staker, item.stake, params.supplier_min_stake)?;
    bank::genesis_balance(ctx, &module_address("supplier"), item.stake)?;
    auth::ensure_account(ctx, &item.operator)?;
    auth::ensure_account(ctx, &item.owner)?;
    let services: Vec<SupplierServiceConfig> = item
        .services
        .iter()
        .map(|config| service_config(item, config))
        .collect();
    if services.is_empty() {
        return Err(refuse_genesis(format!(
            "supplier {} serves nothing",
            item.operator
        )));
    }
    supplier::check_services(&services)?;
    supplier::known_services(ctx, &services)?;
    let mut new = Supplier {
        owner_address: item.owner.to_string(),
        operator_address: item.operator.to_string(),
        stake: Some(item.stake.into()),
        ..Supplier::default()
    };
    supplier::replace_services(&mut new, &services, Height(1));
    supplier::save(ctx, None, &new);
    Ok(())
}

fn service_config(item: &GenesisSupplier, config: &GenesisSupplierService) -> SupplierServiceConfig {
    let mut rev_share: Vec<ServiceRevenueShare> = config
        .rev_share
        .iter()
        .map(|share| ServiceRevenueShare {
            address: share.address.to_string(),
            rev_share_percentage: share.percentage,
        })
        .collect();
    if rev_share.is_empty() {
        rev_share.push(ServiceRevenueShare {
            address: item.owner.to_string(),
            rev_share_percentage: 100,
        });
    }
    SupplierServiceConfig {
        service_id: config.service_id.to_string(),
        endpoints: Some(&config.url)
            .filter(|url| !url.is_empty())
            .map(|url| endpoint(url, RpcType::JsonRpc))
            .into_iter()
            .chain(config.endpoints.iter().map(|more| {
                // One that is none is refused with the stake, as everywhere.
                let kind = RpcType::from_str_name(&more.rpc_type).unwrap_or(RpcType::UnknownRpc);
                endpoint(&more.url, kind)
            }))
            .collect(),
        rev_share,
    }
}

fn endpoint(url: &str, rpc_type: RpcType) -> SupplierEndpoint {
    SupplierEndpoint {
        url: url.to_owned(),
        rpc_type: rpc_type.into(),
        configs: Vec::new(),
    }
}
