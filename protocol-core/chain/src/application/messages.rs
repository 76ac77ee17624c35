//! Messages of module application.

use portico_protocol::Upokt;
use portico_protocol::wire::pocket::application::{
    Application, ApplicationServiceConfigUpdate, ApplicationUnbondingReason, MsgDelegateToGateway,
    MsgStakeApplication, MsgUndelegateFromGateway, MsgUnstakeApplication,
};
use portico_protocol::wire::pocket::shared::ApplicationServiceConfig;

use super::state::{MODULE, application, begin_unbonding, params, save};
use crate::context::{Context, required};
use crate::error::{Fault, refuse};
use crate::event::TypedEvent;
use crate::{gateway, json, shared, stake};

/// Least spend limit that is not "none".
const MIN_SPEND_LIMIT: Upokt = Upokt(1_000_000);

/// Stateless checks of `MsgStakeApplication`.
pub(crate) fn check_stake(message: &MsgStakeApplication) -> Result<(), Fault> {
    stake::address(MODULE, 1102, &message.address)?;
    stake::stated(MODULE, 1101, message.stake.as_ref())?;
    let [config] = message.services.as_slice() else {
        let text = format!(
            "an application is staked for exactly one service, not {}",
            message.services.len()
        );
        return Err(refuse(MODULE, 1106, text));
    };
    if let Some(text) = shared::service_id_fault(&config.service_id) {
        return Err(refuse(MODULE, 1106, text));
    }
    spend_limit(message).map(|_| ())
}

/// `MsgStakeApplication`: stakes, or raises a stake, changes the service, cancels unbonding.
pub(crate) fn msg_stake(ctx: &mut Context<'_>, message: &MsgStakeApplication) -> Result<(), Fault> {
    let address = stake::address(MODULE, 1102, &message.address)?;
    let staked = stake::stated(MODULE, 1101, message.stake.as_ref())?;
    stake::at_least(
        MODULE,
        1101,
        &format!("application {:?}", message.address),
        staked,
        stake::amount(params(&ctx.state)?.min_stake.as_ref()),
    )?;
    let old = application(&ctx.state, &message.address)?;
    let before = stake::amount(old.as_ref().and_then(|app| app.stake.as_ref()));
    if staked <= before {
        return Err(refuse(
            MODULE,
            1101,
            format!("stake amount {staked} must be higher than previous stake amount {before}"),
        ));
    }
    stake::escrow(ctx, MODULE, &address, Upokt(staked.0.saturating_sub(before.0)))?;
    let cancelled = old.as_ref().is_some_and(|app| app.unstake_session_end_height > 0);
    let mut app = old.unwrap_or_else(|| Application {
        address: message.address.clone(),
        ..Application::default()
    });
    app.stake = Some(staked.into());
    app.unstake_session_end_height = 0;
    set_services(ctx, &mut app, &message.services)?;
    if let Some(limit) = spend_limit(message)? {
        app.per_session_spend_limit = Some(limit.into()).filter(|_| limit > Upokt(0));
    }
    save(ctx, &app);
    let session_end = shared::current_session_end(ctx)?;
    let canceled = cancelled.then_some("pocket.application.EventApplicationUnbondingCanceled");
    for kind in canceled
        .into_iter()
        .chain(["pocket.application.EventApplicationStaked"])
    {
        ctx.emit(
            TypedEvent::new(kind)
                .json("application", json::application(&app))
                .long("session_end_height", session_end),
        );
    }
    Ok(())
}

/// Changed services take effect at the next session; the first change records the old ones from height 1.
pub(super) fn set_services(
    ctx: &Context<'_>,
    app: &mut Application,
    services: &[ApplicationServiceConfig],
) -> Result<(), Fault> {
    let old = std::mem::replace(&mut app.service_configs, services.to_vec());
    let changed = old.len() != services.len() || services.iter().any(|config| !old.contains(config));
    if old.is_empty() || !changed {
        return Ok(());
    }
    let next = shared::next_session_start(ctx)?;
    let address = app.address.clone();
    let update = |service: &ApplicationServiceConfig, activation_height| ApplicationServiceConfigUpdate {
        application_address: address.clone(),
        service: Some(service.clone()),
        activation_height,
        deactivation_height: 0,
    };
    let history = &mut app.service_config_history;
    if history.is_empty() {
        history.extend(old.iter().map(|service| update(service, 1)));
    }
    history.retain(|entry| entry.activation_height != next.0);
    for entry in history.iter_mut().filter(|entry| entry.deactivation_height == 0) {
        entry.deactivation_height = next.0;
    }
    history.extend(services.iter().map(|service| update(service, next.0)));
    Ok(())
}

/// The limit that a message states: nothing keeps what was, zero (of any denomination) clears it.
fn spend_limit(message: &MsgStakeApplication) -> Result<Option<Upokt>, Fault> {
    let Some(coin) = &message.per_session_spend_limit else {
        return Ok(None);
    };
    if coin.amount == "0" {
        return Ok(Some(Upokt(0)));
    }
    let limit = Upokt::try_from(coin).map_err(|error| refuse(MODULE, 1118, error.to_string()))?;
    if limit < MIN_SPEND_LIMIT {
        return Err(refuse(
            MODULE,
            1118,
            format!("a spend limit is 0 or at least {MIN_SPEND_LIMIT}"),
        ));
    }
    Ok(Some(limit))
}

/// The application that delegates.
fn delegator(ctx: &Context<'_>, address: &str) -> Result<Application, Fault> {
    required(application(&ctx.state, address)?, || {
        refuse(MODULE, 1104, format!("application with address: {address}"))
    })
}

fn found(ctx: &Context<'_>, address: &str) -> Result<Application, Fault> {
    required(application(&ctx.state, address)?, || {
        refuse(MODULE, 1104, format!("application with address {address:?}"))
    })
}

/// Stateless checks of `MsgUnstakeApplication`.
pub(crate) fn check_unstake(message: &MsgUnstakeApplication) -> Result<(), Fault> {
    stake::address(MODULE, 1102, &message.address).map(|_| ())
}

/// `MsgUnstakeApplication`.
pub(crate) fn msg_unstake(ctx: &mut Context<'_>, message: &MsgUnstakeApplication) -> Result<(), Fault> {
    let mut app = found(ctx, &message.address)?;
    if app.unstake_session_end_height > 0 {
        return Err(refuse(
            MODULE,
            1112,
            format!("application with address {:?}", message.address),
        ));
    }
    if app.pending_transfer.is_some() {
        return Err(refuse(
            MODULE,
            1114,
            format!("application with address {:?}", message.address),
        ));
    }
    begin_unbonding(ctx, &mut app, ApplicationUnbondingReason::Elective)
}

/// Stateless checks of `MsgDelegateToGateway`.
pub(crate) fn check_delegate(message: &MsgDelegateToGateway) -> Result<(), Fault> {
    stake::address(MODULE, 1102, &message.app_address)?;
    stake::address(MODULE, 1108, &message.gateway_address).map(|_| ())
}

/// Stateless checks of `MsgUndelegateFromGateway`.
pub(crate) fn check_undelegate(message: &MsgUndelegateFromGateway) -> Result<(), Fault> {
    stake::address(MODULE, 1102, &message.app_address)?;
    stake::address(MODULE, 1108, &message.gateway_address).map(|_| ())
}

/// `MsgDelegateToGateway`: at once.
pub(crate) fn msg_delegate(ctx: &mut Context<'_>, message: &MsgDelegateToGateway) -> Result<(), Fault> {
    let mut app = delegator(ctx, &message.app_address)?;
    let address = &message.gateway_address;
    let gateway = required(gateway::gateway(&ctx.state, address)?, || {
        refuse(MODULE, 1107, format!("gateway with address: {address:?}"))
    })?;
    let max = params(&ctx.state)?.max_delegated_gateways;
    if app.delegatee_gateway_addresses.len() as u64 >= max {
        return Err(refuse(
            MODULE,
            1110,
            format!("application is delegated to {max} gateways, the most allowed"),
        ));
    }
    if !gateway::is_active(&gateway, ctx.height().0) {
        return Err(refuse("gateway", 1108, format!("gateway {address} is unbonding")));
    }
    if app.delegatee_gateway_addresses.contains(address) {
        return Err(refuse(
            MODULE,
            1109,
            format!(
                "application with address {:?} already delegated to gateway with address: {address:?}",
                app.address
            ),
        ));
    }
    app.delegatee_gateway_addresses.push(address.clone());
    for list in app.pending_undelegations.values_mut() {
        list.gateway_addresses.retain(|gone| gone != address);
    }
    app.pending_undelegations
        .retain(|_, list| !list.gateway_addresses.is_empty());
    redelegated(ctx, &app)
}

/// `MsgUndelegateFromGateway`: from the list at once; the gateway keeps signing until the session ends.
pub(crate) fn msg_undelegate(ctx: &mut Context<'_>, message: &MsgUndelegateFromGateway) -> Result<(), Fault> {
    let mut app = delegator(ctx, &message.app_address)?;
    if !app.delegatee_gateway_addresses.contains(&message.gateway_address) {
        return Err(refuse(
            MODULE,
            1111,
            format!(
                "application with address {:?} not delegated to gateway with address: {:?}",
                app.address, message.gateway_address
            ),
        ));
    }
    let session_end = shared::current_session_end(ctx)?;
    undelegate(&mut app, &message.gateway_address, session_end.0);
    redelegated(ctx, &app)
}

/// Moves a gateway from the delegatees to the undelegations pending until `session_end`.
pub(super) fn undelegate(app: &mut Application, gateway: &str, session_end: i64) {
    app.delegatee_gateway_addresses
        .retain(|address| address != gateway);
    let end = u64::try_from(session_end).unwrap_or(0);
    let pending = app.pending_undelegations.entry(end).or_default();
    if !pending.gateway_addresses.iter().any(|address| address == gateway) {
        pending.gateway_addresses.push(gateway.to_owned());
    }
}

fn redelegated(ctx: &mut Context<'_>, app: &Application) -> Result<(), Fault> {
    save(ctx, app);
    let session_end = shared::current_session_end(ctx)?;
    ctx.emit(
        TypedEvent::new("pocket.application.EventRedelegation")
            .json("application", json::application(app))
            .long("session_end_height", session_end),
    );
    Ok(())
}
