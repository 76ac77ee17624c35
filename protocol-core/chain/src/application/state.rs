//! Applications in the state.

use portico_protocol::wire::pocket::application::{Application, ApplicationUnbondingReason, Params};
use portico_protocol::{Height, Upokt};

use crate::context::{Context, key, read};
use crate::error::Fault;
use crate::event::{TypedEvent, quote};
use crate::state::{StateError, StateRead, Store};
use crate::{json, shared, stake};

pub(crate) const MODULE: &str = "application";
const PARAMS: &[u8] = b"params";
/// Prefix of applications.
pub(crate) const APPLICATIONS: &[u8] = b"application/";
/// Index of undelegations: followed by the session's end, big-endian, and the application's address. Entries of undelegations that are no
/// more stay until they are due.
pub(super) const UNDELEGATIONS: &[u8] = b"undelegation/";

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

pub(super) fn remove(ctx: &mut Context<'_>, application: &Application) {
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
pub(super) fn unbonding_end(application: &Application, params: &shared::Params) -> i64 {
    let sessions = params.application_unbonding_period_sessions;
    shared::unbonding_end(application.unstake_session_end_height, sessions, params)
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
