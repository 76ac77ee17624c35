//! Module supplier: stakes, service configs with their activation, the index that sessions draw candidates from.

mod messages;

use portico_protocol::session::Timing;
use portico_protocol::tx::module_address;
use portico_protocol::wire::pocket::shared::{
    ServiceConfigUpdate, ServiceRevenueShare, Supplier, SupplierServiceConfig,
};
use portico_protocol::wire::pocket::supplier::{Params, SupplierUnbondingReason};
use portico_protocol::{Height, Upokt};

use crate::context::{Context, be, key, read, scan};
use crate::error::Fault;
use crate::event::{TypedEvent, quote};
use crate::state::{StateError, StateRead, Store};
use crate::{bank, json, shared, stake};

pub(crate) use messages::{msg_stake, msg_unstake, validate_services};

pub(crate) const MODULE: &str = "supplier";
const PARAMS: &[u8] = b"params";
/// Prefix of suppliers.
pub(crate) const SUPPLIERS: &[u8] = b"supplier/";

pub(crate) fn params(state: &dyn StateRead) -> Result<Params, StateError> {
    Ok(read(state, Store::Supplier, PARAMS)?.unwrap_or_default())
}

pub(crate) fn set_params(ctx: &mut Context<'_>, params: &Params) {
    ctx.put(Store::Supplier, PARAMS.to_vec(), params);
}

/// A staked supplier by operator address.
pub(crate) fn supplier(state: &dyn StateRead, operator: &str) -> Result<Option<Supplier>, StateError> {
    read(state, Store::Supplier, &key("supplier", operator))
}

/// Key of a config update in the index: ordered by service, activation, operator, as candidates are.
fn index_key(update: &ServiceConfigUpdate) -> Option<Vec<u8>> {
    let service = update.service.as_ref()?;
    let prefix = key("service_config", &service.service_id);
    Some(
        [
            prefix,
            be(update.activation_height).to_vec(),
            format!("{}/", update.operator_address).into_bytes(),
        ]
        .concat(),
    )
}

/// Writes a supplier and its entries of the index; `old` is what was there.
pub(crate) fn save(ctx: &mut Context<'_>, old: Option<&Supplier>, new: &Supplier) {
    for update in old.iter().flat_map(|old| &old.service_config_history) {
        if let Some(key) = index_key(update) {
            ctx.delete(Store::Supplier, key);
        }
    }
    for update in &new.service_config_history {
        if let Some(key) = index_key(update) {
            ctx.put(Store::Supplier, key, update);
        }
    }
    ctx.put(Store::Supplier, key("supplier", &new.operator_address), new);
}

fn remove(ctx: &mut Context<'_>, supplier: &Supplier) {
    for update in &supplier.service_config_history {
        if let Some(key) = index_key(update) {
            ctx.delete(Store::Supplier, key);
        }
    }
    ctx.delete(Store::Supplier, key("supplier", &supplier.operator_address));
}

/// Config updates of a service that are active at `height`, in index order: the candidates of a session.
pub(crate) fn candidates(
    state: &dyn StateRead,
    service: &str,
    height: Height,
) -> Result<Vec<ServiceConfigUpdate>, StateError> {
    let updates: Vec<ServiceConfigUpdate> = scan(state, Store::Supplier, &key("service_config", service))?;
    Ok(updates
        .into_iter()
        .filter(|update| is_active(update, height))
        .collect())
}

fn is_active(update: &ServiceConfigUpdate, height: Height) -> bool {
    update.activation_height <= height.0
        && (update.deactivation_height == 0 || update.deactivation_height > height.0)
}

/// Service configs that a supplier serves at `height`.
pub(crate) fn active_services(supplier: &Supplier, height: Height) -> Vec<SupplierServiceConfig> {
    let history = supplier.service_config_history.iter();
    let active = history.filter(|update| is_active(update, height));
    active.filter_map(|update| update.service.clone()).collect()
}

/// Revenue shares by which a reward for `service` is paid at `height`: those of the active config, or else of the newest one, which stays
/// in the history until the proofs of its last session are over.
pub(crate) fn rev_shares(supplier: &Supplier, service: &str, height: Height) -> Vec<ServiceRevenueShare> {
    let of_service = |update: &&ServiceConfigUpdate| {
        update
            .service
            .as_ref()
            .is_some_and(|config| config.service_id == service)
    };
    let configs = || supplier.service_config_history.iter().filter(of_service);
    let config = configs()
        .find(|update| is_active(update, height))
        .or_else(|| configs().max_by_key(|update| update.activation_height));
    config
        .and_then(|update| update.service.as_ref())
        .map(|config| config.rev_share.clone())
        .unwrap_or_default()
}

/// Replaces the services from `activation` on: earlier configs end there; one of the same service that would begin there never was.
pub(crate) fn replace_services(
    supplier: &mut Supplier,
    services: &[SupplierServiceConfig],
    activation: Height,
) {
    let replaced = |update: &ServiceConfigUpdate| {
        let id = update.service.as_ref().map(|config| &config.service_id);
        update.activation_height == activation.0 && services.iter().any(|new| Some(&new.service_id) == id)
    };
    supplier.service_config_history.retain(|update| !replaced(update));
    for update in &mut supplier.service_config_history {
        if update.deactivation_height == 0 {
            update.deactivation_height = activation.0;
        }
    }
    let operator = &supplier.operator_address;
    let new = services.iter().map(|service| ServiceConfigUpdate {
        operator_address: operator.clone(),
        service: Some(service.clone()),
        activation_height: activation.0,
        deactivation_height: 0,
    });
    supplier.service_config_history.extend(new);
    // The network keeps a supplier's history by service and activation.
    let key = |update: &ServiceConfigUpdate| {
        let id = update.service.as_ref().map(|config| config.service_id.clone());
        (id.unwrap_or_default() + "/", update.activation_height)
    };
    supplier.service_config_history.sort_by_cached_key(key);
}

/// Starts unbonding: configs end with the current session.
pub(crate) fn begin_unbonding(
    ctx: &mut Context<'_>,
    mut supplier: Supplier,
    reason: SupplierUnbondingReason,
) -> Result<Supplier, Fault> {
    let old = supplier.clone();
    let session_end = shared::current_session_end(ctx)?;
    let next = shared::next_session_start(ctx)?;
    supplier.unstake_session_end_height = u64::try_from(session_end.0).unwrap_or(0);
    // Every entry, also closed ones: so the network does it.
    for update in &mut supplier.service_config_history {
        update.deactivation_height = next.0;
    }
    save(ctx, Some(&old), &supplier);
    let unbonding_end = unbonding_end(ctx, &supplier)?;
    ctx.emit(
        TypedEvent::new("pocket.supplier.EventSupplierUnbondingBegin")
            .json("supplier", json::supplier(&bare(&supplier)))
            .json("reason", quote(reason.as_str_name()))
            .long("session_end_height", session_end)
            .long("unbonding_end_height", unbonding_end),
    );
    Ok(supplier)
}

/// A supplier without configs, as events show it.
fn bare(supplier: &Supplier) -> Supplier {
    Supplier {
        services: Vec::new(),
        service_config_history: Vec::new(),
        ..supplier.clone()
    }
}

fn unbonding_end(ctx: &Context<'_>, supplier: &Supplier) -> Result<i64, StateError> {
    let end = Height(i64::try_from(supplier.unstake_session_end_height).unwrap_or(i64::MAX));
    let params = shared::params_at(&ctx.state, end)?;
    let sessions = params.supplier_unbonding_period_sessions;
    Ok(shared::unbonding_end(
        supplier.unstake_session_end_height,
        sessions,
        &params,
    ))
}

/// Burns up to `penalty` of a supplier's stake; unstakes it when too little is left. Returns what was burned and what is left.
pub(crate) fn slash(
    ctx: &mut Context<'_>,
    operator: &str,
    penalty: Upokt,
) -> Result<Option<(Upokt, Upokt)>, Fault> {
    let Some(old) = supplier(&ctx.state, operator)? else {
        return Ok(None);
    };
    let before = stake::amount(old.stake.as_ref());
    let burned = before.min(penalty);
    let left = Upokt(before.0 - burned.0);
    bank::send(
        ctx,
        &module_address(MODULE),
        &module_address("tokenomics"),
        burned,
    )?;
    bank::burn(ctx, "tokenomics", burned)?;
    let mut new = old.clone();
    new.stake = Some(left.into());
    save(ctx, Some(&old), &new);
    let min = stake::amount(params(&ctx.state)?.min_stake.as_ref());
    if left < min && new.unstake_session_end_height == 0 {
        begin_unbonding(ctx, new, SupplierUnbondingReason::BelowMinStake)?;
    }
    Ok(Some((burned, left)))
}

/// At session ends: pays unbonded suppliers back, prunes configs whose last proofs are over.
pub(crate) fn end_block(ctx: &mut Context<'_>) -> Result<(), Fault> {
    let session_end = shared::current_session_end(ctx)?;
    if session_end != ctx.height() {
        return Ok(());
    }
    for old in ctx.scan::<Supplier>(Store::Supplier, SUPPLIERS)? {
        if old.unstake_session_end_height > 0 && ctx.height().0 >= unbonding_end(ctx, &old)? {
            end_unbonding(ctx, &old, session_end)?;
            continue;
        }
        let mut new = old.clone();
        new.service_config_history.clear();
        for update in &old.service_config_history {
            if !is_over(ctx, update)? {
                new.service_config_history.push(update.clone());
            }
        }
        if new != old {
            save(ctx, Some(&old), &new);
        }
    }
    Ok(())
}

/// Whether the proof window of a config's last session has closed.
fn is_over(ctx: &Context<'_>, update: &ServiceConfigUpdate) -> Result<bool, StateError> {
    if update.deactivation_height == 0 || update.deactivation_height > ctx.height().0 {
        return Ok(false);
    }
    let last = Height(update.deactivation_height.saturating_sub(1));
    let params = shared::params_at(&ctx.state, last)?;
    Ok(ctx.height() > Timing::new(&params).proof_close(last))
}

fn end_unbonding(ctx: &mut Context<'_>, supplier: &Supplier, session_end: Height) -> Result<(), Fault> {
    let owner = stake::address(MODULE, 1102, &supplier.owner_address)?;
    let staked = stake::amount(supplier.stake.as_ref());
    let end = unbonding_end(ctx, supplier)?;
    stake::release(ctx, MODULE, &owner, staked)?;
    remove(ctx, supplier);
    let below = staked < stake::amount(params(&ctx.state)?.min_stake.as_ref());
    let reason = if below {
        SupplierUnbondingReason::BelowMinStake
    } else {
        SupplierUnbondingReason::Voluntary
    };
    ctx.emit(
        TypedEvent::new("pocket.supplier.EventSupplierUnbondingEnd")
            .json("supplier", json::supplier(&bare(supplier)))
            .json("reason", quote(reason.as_str_name()))
            .long("session_end_height", session_end)
            .long("unbonding_end_height", end),
    );
    Ok(())
}

/// At session starts: says which configs begin.
pub(crate) fn begin_block(ctx: &mut Context<'_>) -> Result<(), Fault> {
    let params = shared::params(&ctx.state)?;
    let height = ctx.height();
    if Timing::new(&params).start(height) != height {
        return Ok(());
    }
    for supplier in ctx.scan::<Supplier>(Store::Supplier, SUPPLIERS)? {
        for update in supplier
            .service_config_history
            .iter()
            .filter(|update| update.activation_height == height.0)
        {
            let service = update
                .service
                .as_ref()
                .map(|service| service.service_id.clone())
                .unwrap_or_default();
            ctx.emit(
                TypedEvent::new("pocket.supplier.EventSupplierServiceConfigActivated")
                    .long("activation_height", height)
                    .text("operator_address", &supplier.operator_address)
                    .text("service_id", &service),
            );
        }
    }
    Ok(())
}
