//! Transfers: an application's stake, services and delegations move to another address once its last session has settled.

use std::collections::BTreeMap;

use portico_protocol::session::Timing;
use portico_protocol::wire::pocket::application::{
    Application, MsgTransferApplication, PendingApplicationTransfer, UndelegatingGatewayList,
};
use portico_protocol::wire::pocket::shared::{ApplicationServiceConfig, Params};
use portico_protocol::{Height, Upokt};

use super::messages::set_services;
use super::state::{APPLICATIONS, MODULE, application, remove, save};
use crate::context::{Context, required};
use crate::error::{Fault, refuse};
use crate::event::TypedEvent;
use crate::state::Store;
use crate::{json, shared, stake};

/// Stateless checks of `MsgTransferApplication`.
pub(crate) fn check_transfer(message: &MsgTransferApplication) -> Result<(), Fault> {
    let (from, to) = (&message.source_address, &message.destination_address);
    stake::address(MODULE, 1102, from)?;
    stake::address(MODULE, 1102, to)?;
    if from == to {
        let text = format!("source and destination application addresses are the same: {from}");
        return Err(refuse(MODULE, 1113, text));
    }
    Ok(())
}

/// `MsgTransferApplication`: served until this session ends, then waits for its claims to settle.
pub(crate) fn msg_transfer(ctx: &mut Context<'_>, message: &MsgTransferApplication) -> Result<(), Fault> {
    let (from, to) = (&message.source_address, &message.destination_address);
    if application(&ctx.state, to)?.is_some() {
        return Err(refuse(
            MODULE,
            1113,
            format!("destination application ({to}) exists"),
        ));
    }
    let mut app = required(application(&ctx.state, from)?, || {
        refuse(MODULE, 1104, format!("source application ({from}) not found"))
    })?;
    if app.unstake_session_end_height > 0 {
        let text = format!("cannot transfer stake of unbonding source application {from:?}");
        return Err(refuse(MODULE, 1112, text));
    }
    let session_end = shared::current_session_end(ctx)?;
    app.pending_transfer = Some(PendingApplicationTransfer {
        destination_address: to.clone(),
        session_end_height: u64::try_from(session_end.0).unwrap_or(0),
    });
    save(ctx, &app);
    let params = shared::params(&ctx.state)?;
    let end = settled_at(&params, session_end);
    ctx.emit(
        TypedEvent::new("pocket.application.EventTransferBegin")
            .text("source_address", from)
            .text("destination_address", to)
            .json("source_application", json::application(&app))
            .long("session_end_height", session_end)
            .long("transfer_end_height", end),
    );
    Ok(())
}

/// Height at which the claims of the session that ends at `session_end` are settled.
fn settled_at(params: &Params, session_end: Height) -> Height {
    let timing = Timing::new(params);
    let after = timing.end_to_proof_close_blocks().saturating_add(1);
    Height(timing.end(session_end).0.saturating_add(after))
}

/// At session ends: completes the transfers whose last session has settled.
pub(super) fn end_block(ctx: &mut Context<'_>, session_end: Height) -> Result<(), Fault> {
    let params = shared::params(&ctx.state)?;
    for listed in ctx.scan::<Application>(Store::Application, APPLICATIONS)? {
        if listed.pending_transfer.is_none() {
            continue;
        }
        // An earlier transfer of this block may have merged into it.
        let Some(app) = application(&ctx.state, &listed.address)? else {
            continue;
        };
        let Some(pending) = app.pending_transfer.clone() else {
            continue;
        };
        let last = Height(i64::try_from(pending.session_end_height).unwrap_or(i64::MAX));
        let end = settled_at(&params, last);
        if ctx.height() < end {
            continue;
        }
        if app.unstake_session_end_height > 0 {
            give_up(ctx, app, &pending.destination_address, session_end);
            continue;
        }
        let moved = complete(ctx, &app, &pending.destination_address)?;
        ctx.emit(
            TypedEvent::new("pocket.application.EventTransferEnd")
                .text("source_address", &app.address)
                .text("destination_address", &pending.destination_address)
                .json("destination_application", json::application(&moved))
                .long("session_end_height", session_end)
                .long("transfer_end_height", end),
        );
    }
    Ok(())
}

/// An application that began to unbond meanwhile, for want of stake, stays where it is.
fn give_up(ctx: &mut Context<'_>, mut app: Application, to: &str, session_end: Height) {
    app.pending_transfer = None;
    save(ctx, &app);
    let text = format!(
        "cannot transfer stake of unbonding source application ({}): application is in unbonding period",
        app.address
    );
    ctx.emit(
        TypedEvent::new("pocket.application.EventTransferError")
            .text("source_address", &app.address)
            .text("destination_address", to)
            .json("source_application", json::application(&app))
            .long("session_end_height", session_end)
            .text("error", &text),
    );
}

fn complete(ctx: &mut Context<'_>, from: &Application, to: &str) -> Result<Application, Fault> {
    let existing = application(&ctx.state, to)?;
    let merging = existing.is_some();
    let mut moved = existing.unwrap_or_else(|| renamed(from, to));
    if merging {
        let services = merge(&mut moved, from)?;
        set_services(ctx, &mut moved, &services)?;
    }
    remove(ctx, from);
    save(ctx, &moved);
    Ok(moved)
}

fn renamed(from: &Application, to: &str) -> Application {
    let mut moved = from.clone();
    moved.address = to.to_owned();
    moved.pending_transfer = None;
    for update in &mut moved.service_config_history {
        update.application_address = to.to_owned();
    }
    moved
}

/// Adds `from` to an application that exists at the destination; returns the services of both.
fn merge(into: &mut Application, from: &Application) -> Result<Vec<ApplicationServiceConfig>, Fault> {
    let (a, b) = (
        stake::amount(into.stake.as_ref()),
        stake::amount(from.stake.as_ref()),
    );
    let sum =
        a.0.checked_add(b.0)
            .ok_or_else(|| refuse(MODULE, 1101, "stakes add up beyond 2^128"))?;
    into.stake = Some(Upokt(sum).into());
    for gateway in &from.delegatee_gateway_addresses {
        if !into.delegatee_gateway_addresses.contains(gateway) {
            into.delegatee_gateway_addresses.push(gateway.clone());
        }
    }
    into.pending_undelegations = merged_undelegations(into, from);
    let limit = |app: &Application| {
        let coin = app.per_session_spend_limit.as_ref();
        coin.map(|coin| stake::amount(Some(coin)))
    };
    let limits = [limit(into), limit(from)];
    into.per_session_spend_limit = limits.into_iter().flatten().min().map(Into::into);
    let mut services = into.service_configs.clone();
    for config in &from.service_configs {
        if !services.contains(config) {
            services.push(config.clone());
        }
    }
    Ok(services)
}

/// Every gateway once: at the destination's height when both have left it.
fn merged_undelegations(into: &Application, from: &Application) -> BTreeMap<u64, UndelegatingGatewayList> {
    let mut heights = BTreeMap::new();
    for app in [from, into] {
        for (height, list) in &app.pending_undelegations {
            for gateway in &list.gateway_addresses {
                heights.insert(gateway.clone(), *height);
            }
        }
    }
    let mut merged: BTreeMap<u64, UndelegatingGatewayList> = BTreeMap::new();
    for (gateway, height) in heights {
        merged.entry(height).or_default().gateway_addresses.push(gateway);
    }
    merged
}
