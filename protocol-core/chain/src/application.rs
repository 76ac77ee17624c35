//! Module application.

mod messages;
mod state;
mod transfer;

use portico_protocol::Height;
use portico_protocol::session::Timing;
use portico_protocol::wire::pocket::application::{Application, ApplicationUnbondingReason};

use crate::context::{Context, after_height};
use crate::error::Fault;
use crate::event::{TypedEvent, quote};
use crate::state::{StateRead as _, Store};
use crate::{gateway, json, shared, stake};

pub(crate) use messages::{check_delegate, check_stake, check_undelegate, check_unstake};
pub(crate) use messages::{msg_delegate, msg_stake, msg_undelegate, msg_unstake};
pub(crate) use state::{
    APPLICATIONS, MODULE, application, begin_unbonding, is_active, params, pay, save, serves, set_params,
};
use state::{UNDELEGATIONS, remove, unbonding_end};
pub(crate) use transfer::{check_transfer, msg_transfer};

/// Most undelegations that one block prunes; the rest waits for the next.
const MAX_PRUNED: usize = 10_000;

/// Leaves gateways that have unbonded, and prunes old undelegations; at session ends also pays unbonded applications back.
pub(crate) fn end_block(ctx: &mut Context<'_>) -> Result<(), Fault> {
    leave_inactive_gateways(ctx)?;
    let params = shared::params(&ctx.state)?;
    prune_undelegations(ctx, &params)?;
    let session_end = Timing::new(&params).end(ctx.height());
    if session_end != ctx.height() {
        return Ok(());
    }
    for application in ctx.scan::<Application>(Store::Application, APPLICATIONS)? {
        end_unbonding(ctx, &application, session_end)?;
    }
    transfer::end_block(ctx, session_end)
}

/// Forgets undelegations that no proof can need any more.
fn prune_undelegations(ctx: &mut Context<'_>, params: &shared::Params) -> Result<(), Fault> {
    let sessions_kept = params.num_blocks_per_session.saturating_mul(2);
    let keep_blocks = params
        .grace_period_end_offset_blocks
        .saturating_add(sessions_kept);
    let height = u64::try_from(ctx.height().0).unwrap_or(0);
    let oldest = height.saturating_sub(keep_blocks);
    let mut due = std::collections::BTreeSet::new();
    let end = [UNDELEGATIONS, &oldest.to_be_bytes()].concat();
    for (key, _) in ctx
        .state
        .range(Store::Application, UNDELEGATIONS, Some(&end), MAX_PRUNED)?
    {
        due.insert(after_height(UNDELEGATIONS, &key));
        ctx.delete(Store::Application, key);
    }
    for address in due {
        if let Some(mut application) = application(&ctx.state, &address)? {
            application.pending_undelegations.retain(|end, _| *end >= oldest);
            save(ctx, &application);
        }
    }
    Ok(())
}

/// Undelegates every application from gateways whose last session is over; a gateway keeps signing until the session that contains this
/// height ends.
fn leave_inactive_gateways(ctx: &mut Context<'_>) -> Result<(), Fault> {
    let inactive = gateway::inactive(&ctx.state, ctx.height())?;
    if inactive.is_empty() {
        return Ok(());
    }
    let session_end = shared::current_session_end(ctx)?;
    for mut application in ctx.scan::<Application>(Store::Application, APPLICATIONS)? {
        let delegated = |gateway: &&String| application.delegatee_gateway_addresses.contains(*gateway);
        let left: Vec<String> = inactive.iter().filter(delegated).cloned().collect();
        for address in &left {
            messages::undelegate(&mut application, address, session_end.0);
        }
        if !left.is_empty() {
            save(ctx, &application);
        }
    }
    Ok(())
}

fn end_unbonding(ctx: &mut Context<'_>, application: &Application, session_end: Height) -> Result<(), Fault> {
    if application.unstake_session_end_height == 0 {
        return Ok(());
    }
    let unstaked = Height(i64::try_from(application.unstake_session_end_height).unwrap_or(i64::MAX));
    let end = unbonding_end(application, &shared::params_at(&ctx.state, unstaked)?);
    if ctx.height().0 < end {
        return Ok(());
    }
    let address = stake::address(MODULE, 1102, &application.address)?;
    let staked = stake::amount(application.stake.as_ref());
    if let Some(reason) = stake::pay_back(ctx, MODULE, &address, staked)? {
        ctx.emit(
            TypedEvent::new("pocket.application.EventApplicationStakeStuckInModulePool")
                .text("application_address", &application.address)
                .json("stuck_coin", json::coin(application.stake.as_ref()))
                .text("reason", &reason)
                .long("session_end_height", session_end),
        );
    }
    remove(ctx, application);
    let below = staked < stake::amount(params(&ctx.state)?.min_stake.as_ref());
    let reason = if below {
        ApplicationUnbondingReason::BelowMinStake
    } else {
        ApplicationUnbondingReason::Elective
    };
    ctx.emit(
        TypedEvent::new("pocket.application.EventApplicationUnbondingEnd")
            .json("application", json::application(application))
            .json("reason", quote(reason.as_str_name()))
            .long("session_end_height", session_end)
            .long("unbonding_end_height", end),
    );
    Ok(())
}
