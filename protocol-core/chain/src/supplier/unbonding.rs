//! How a supplier leaves: by its own will, or because slashing left too little.

use portico_protocol::tx::module_address;
use portico_protocol::wire::pocket::shared::Supplier;
use portico_protocol::wire::pocket::supplier::SupplierUnbondingReason;
use portico_protocol::{Height, Upokt};

use super::state::{MODULE, params, remove, save, supplier};
use crate::context::Context;
use crate::error::Fault;
use crate::event::{TypedEvent, quote};
use crate::{bank, json, shared, stake};

/// Starts unbonding: configs end with the current session.
pub(super) fn begin_unbonding(
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
    let unbonding_end = unbonding_end(&supplier, &shared::params(&ctx.state)?);
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

/// Under `params`: the live ones when it is announced, those at the unstake height when it counts.
fn unbonding_end(supplier: &Supplier, params: &shared::Params) -> i64 {
    let sessions = params.supplier_unbonding_period_sessions;
    shared::unbonding_end(supplier.unstake_session_end_height, sessions, params)
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
    let left = Upokt(before.0.saturating_sub(burned.0));
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

/// Pays the stake of a supplier whose unbonding is over back to its owner, and forgets the supplier.
pub(super) fn end_unbonding(
    ctx: &mut Context<'_>,
    supplier: &Supplier,
    session_end: Height,
) -> Result<(), Fault> {
    if supplier.unstake_session_end_height == 0 {
        return Ok(());
    }
    let unstaked = Height(i64::try_from(supplier.unstake_session_end_height).unwrap_or(i64::MAX));
    let end = unbonding_end(supplier, &shared::params_at(&ctx.state, unstaked)?);
    if ctx.height().0 < end {
        return Ok(());
    }
    let owner = stake::address(MODULE, 1102, &supplier.owner_address)?;
    let staked = stake::amount(supplier.stake.as_ref());
    if let Some(reason) = stake::pay_back(ctx, MODULE, &owner, staked)? {
        ctx.emit(
            TypedEvent::new("pocket.supplier.EventSupplierStakeStuckInModulePool")
                .text("operator_address", &supplier.operator_address)
                .text("owner_address", &supplier.owner_address)
                .json("stuck_coin", json::coin(supplier.stake.as_ref()))
                .text("reason", &reason)
                .long("session_end_height", session_end),
        );
    }
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
