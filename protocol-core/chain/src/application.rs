//! Module application.

mod messages;
mod transfer;

use portico_protocol::session::Timing;
use portico_protocol::wire::pocket::application::{Application, ApplicationUnbondingReason, Params};
use portico_protocol::{Height, Upokt};

use crate::context::{Context, after_height, key, read};
use crate::error::Fault;
use crate::event::{TypedEvent, quote};
use crate::state::{StateError, StateRead, Store};
use crate::{gateway, json, shared, stake};

pub(crate) use messages::{check_delegate, check_stake, check_undelegate, check_unstake};
pub(crate) use messages::{msg_delegate, msg_stake, msg_undelegate, msg_unstake};
pub(crate) use transfer::{check_transfer, msg_transfer};

pub(crate) const MODULE: &str = "application";
const PARAMS: &[u8] = b"params";
/// Prefix of applications.
pub(crate) const APPLICATIONS: &[u8] = b"application/";
/// Index of undelegations: followed by the session's end, big-endian, and the application's address. Entries of undelegations that are no
/// more stay until they are due.
const UNDELEGATIONS: &[u8] = b"undelegation/";
/// Most undelegations that one block prunes; the rest waits for the next.
const MAX_PRUNED: usize = 10_000;

pub(crate) fn params(state: &dyn StateRead) -> Result<Params, StateError> {
    Ok(read(state, Store::Application, PARAMS)?.unwrap_or_default())
}

pub(crate) fn set_params(ctx: &mut Context<'_>, params: &Params) {
    ctx.put(Store::Application, PARAMS.to_vec(), params);
}

/// A staked application.
pub(crate) fn application(state: &dyn StateRead, address: &str) -> Result<Option<Application>, StateError> {
    read(state, Store::Application, &key("application", address))
}

/// Writes an application, and an index entry for each of its undelegations, by which they are pruned.
pub(crate) fn save(ctx: &mut Context<'_>, application: &Application) {
    for end in application.pending_undelegations.keys() {
        let key = [UNDELEGATIONS, &end.to_be_bytes(), application.address.as_bytes()].concat();
        ctx.state.set(Store::Application, key, vec![1]);
    }
    ctx.put(
        Store::Application,
        key("application", &application.address),
        application,
    );
}

fn remove(ctx: &mut Context<'_>, application: &Application) {
    ctx.delete(Store::Application, key("application", &application.address));
}

/// Whether an application is served in the session that ends at `session_end`.
pub(crate) fn is_active(application: &Application, session_end: Height) -> bool {
    let end = u64::try_from(session_end.0).unwrap_or(0);
    if application.unstake_session_end_height > 0 {
        return end <= application.unstake_session_end_height;
    }
    let pending = application.pending_transfer.as_ref();
    pending.is_none_or(|transfer| end <= transfer.session_end_height)
}

/// Whether the application's config at `height` holds the service.
pub(crate) fn serves(application: &Application, service: &str, height: Height) -> bool {
    if application.service_config_history.is_empty() {
        return application
            .service_configs
            .iter()
            .any(|config| config.service_id == service);
    }
    application.service_config_history.iter().any(|update| {
        update
            .service
            .as_ref()
            .is_some_and(|config| config.service_id == service)
            && update.activation_height <= height.0
            && (update.deactivation_height == 0 || update.deactivation_height > height.0)
    })
}

/// Starts unbonding at the end of the current session.
pub(crate) fn begin_unbonding(
    ctx: &mut Context<'_>,
    application: &mut Application,
    reason: ApplicationUnbondingReason,
) -> Result<(), Fault> {
    let session_end = shared::current_session_end(ctx)?;
    application.unstake_session_end_height = u64::try_from(session_end.0).unwrap_or(0);
    save(ctx, application);
    let unbonding_end = unbonding_end(application, &shared::params(&ctx.state)?);
    ctx.emit(
        TypedEvent::new("pocket.application.EventApplicationUnbondingBegin")
            .json("application", json::application(application))
            .json("reason", quote(reason.as_str_name()))
            .long("session_end_height", session_end)
            .long("unbonding_end_height", unbonding_end),
    );
    Ok(())
}

/// Under `params`: the live ones when it is announced, those at the unstake height when it counts.
fn unbonding_end(application: &Application, params: &shared::Params) -> i64 {
    let sessions = params.application_unbonding_period_sessions;
    shared::unbonding_end(application.unstake_session_end_height, sessions, params)
}

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

/// Takes a paid amount off an application's stake; errs when the stake is smaller.
pub(crate) fn pay(application: &mut Application, amount: Upokt) -> Result<(), Fault> {
    let before = stake::amount(application.stake.as_ref());
    let after = before.0.checked_sub(amount.0).ok_or_else(|| {
        crate::error::refuse(
            "tokenomics",
            1110,
            format!("application stake {before} is smaller than {amount}"),
        )
    })?;
    application.stake = Some(Upokt(after).into());
    Ok(())
}
