//! Module gateway.

use std::collections::BTreeSet;

use portico_protocol::wire::pocket::gateway::{
    Gateway, MsgStakeGateway, MsgUnstakeGateway, MsgUpdateGatewayMetadata, Params,
};
use portico_protocol::{Address, Height, Upokt};

use crate::context::{Context, key, read, required, scan};
use crate::error::{Fault, refuse};
use crate::event::TypedEvent;
use crate::state::{StateError, StateRead, Store};
use crate::{json, service, shared, stake};

const MODULE: &str = "gateway";
const PARAMS: &[u8] = b"params";
/// Prefix of gateways.
pub(crate) const GATEWAYS: &[u8] = b"gateway/";

pub(crate) fn params(state: &dyn StateRead) -> Result<Params, StateError> {
    Ok(read(state, Store::Gateway, PARAMS)?.unwrap_or_default())
}

pub(crate) fn set_params(ctx: &mut Context<'_>, params: &Params) {
    ctx.put(Store::Gateway, PARAMS.to_vec(), params);
}

/// A staked gateway.
pub(crate) fn gateway(state: &dyn StateRead, address: &str) -> Result<Option<Gateway>, StateError> {
    read(state, Store::Gateway, &key("gateway", address))
}

pub(crate) fn save(ctx: &mut Context<'_>, gateway: &Gateway) {
    ctx.put(Store::Gateway, key("gateway", &gateway.address), gateway);
}

/// Whether a gateway may be delegated to at this height.
pub(crate) fn is_active(gateway: &Gateway, height: i64) -> bool {
    gateway.unstake_session_end_height == 0
        || u64::try_from(height).is_ok_and(|height| height <= gateway.unstake_session_end_height)
}

/// Addresses of gateways whose last session is over.
pub(crate) fn inactive(state: &dyn StateRead, height: Height) -> Result<BTreeSet<String>, StateError> {
    let gateways: Vec<Gateway> = scan(state, Store::Gateway, GATEWAYS)?;
    let inactive = gateways
        .into_iter()
        .filter(|gateway| !is_active(gateway, height.0));
    Ok(inactive.map(|gateway| gateway.address).collect())
}

/// Stateless checks of `MsgStakeGateway`.
pub(crate) fn check_stake(message: &MsgStakeGateway) -> Result<(), Fault> {
    stake::address(MODULE, 1101, &message.address)?;
    stake::stated(MODULE, 1102, message.stake.as_ref()).map(|_| ())
}

/// `MsgStakeGateway`: stakes, or raises a stake and cancels unbonding.
pub(crate) fn msg_stake(ctx: &mut Context<'_>, message: &MsgStakeGateway) -> Result<(), Fault> {
    let address = stake::address(MODULE, 1101, &message.address)?;
    let staked = stake::stated(MODULE, 1102, message.stake.as_ref())?;
    stake::at_least(
        MODULE,
        1102,
        &format!("gateway {:?}", message.address),
        staked,
        stake::amount(params(&ctx.state)?.min_stake.as_ref()),
    )?;
    let old = gateway(&ctx.state, &message.address)?;
    let before = stake::amount(old.as_ref().and_then(|gateway| gateway.stake.as_ref()));
    let raise = raise(staked, before, old.is_some())?;
    stake::escrow(ctx, MODULE, &address, raise)?;
    let session_end = shared::current_session_end(ctx)?;
    let cancelled = old
        .as_ref()
        .is_some_and(|gateway| gateway.unstake_session_end_height > 0);
    let metadata = old.and_then(|gateway| gateway.metadata);
    let new = Gateway {
        address: message.address.clone(),
        stake: Some(staked.into()),
        unstake_session_end_height: 0,
        metadata,
    };
    save(ctx, &new);
    let canceled = cancelled.then_some("pocket.gateway.EventGatewayUnbondingCanceled");
    for kind in canceled.into_iter().chain(["pocket.gateway.EventGatewayStaked"]) {
        ctx.emit(
            TypedEvent::new(kind)
                .json("gateway", json::gateway(&new))
                .long("session_end_height", session_end),
        );
    }
    Ok(())
}

fn raise(staked: Upokt, before: Upokt, update: bool) -> Result<Upokt, Fault> {
    match staked.0.checked_sub(before.0) {
        Some(0) if update => Err(refuse(
            MODULE,
            1102,
            format!("stake amount {staked} must be higher than previous stake amount {before}"),
        )),
        Some(raise) => Ok(Upokt(raise)),
        None => Err(refuse(
            MODULE,
            1102,
            format!("stake amount {staked} must be higher than previous stake amount {before}"),
        )),
    }
}

/// Stateless checks of `MsgUnstakeGateway`.
pub(crate) fn check_unstake(message: &MsgUnstakeGateway) -> Result<(), Fault> {
    stake::address(MODULE, 1101, &message.address).map(|_| ())
}

/// `MsgUnstakeGateway`: leaves at the end of the current session.
pub(crate) fn msg_unstake(ctx: &mut Context<'_>, message: &MsgUnstakeGateway) -> Result<(), Fault> {
    let mut found = required(gateway(&ctx.state, &message.address)?, || {
        refuse(MODULE, 1104, format!("gateway with address {}", message.address))
    })?;
    if found.unstake_session_end_height > 0 {
        return Err(refuse(
            MODULE,
            1107,
            format!("gateway {} is already unstaking", message.address),
        ));
    }
    let session_end = shared::current_session_end(ctx)?;
    found.unstake_session_end_height = u64::try_from(session_end.0).unwrap_or(0);
    save(ctx, &found);
    let unbonding_end = unbonding_end(&found, &shared::params(&ctx.state)?);
    ctx.emit(
        TypedEvent::new("pocket.gateway.EventGatewayUnbondingBegin")
            .json("gateway", json::gateway(&found))
            .long("session_end_height", session_end)
            .long("unbonding_end_height", unbonding_end),
    );
    Ok(())
}

/// Under `params`: the live ones when it is announced, those at the unstake height when it counts.
fn unbonding_end(gateway: &Gateway, params: &shared::Params) -> i64 {
    let sessions = params.gateway_unbonding_period_sessions;
    shared::unbonding_end(gateway.unstake_session_end_height, sessions, params)
}

/// Stateless checks of `MsgUpdateGatewayMetadata`.
pub(crate) fn check_metadata(message: &MsgUpdateGatewayMetadata) -> Result<(), Fault> {
    stake::address(MODULE, 1101, &message.address)?;
    service::validate_metadata(message.metadata.as_ref())
}

/// `MsgUpdateGatewayMetadata`.
pub(crate) fn msg_update_metadata(
    ctx: &mut Context<'_>,
    message: &MsgUpdateGatewayMetadata,
) -> Result<(), Fault> {
    let mut found = required(gateway(&ctx.state, &message.address)?, || {
        refuse(MODULE, 1104, format!("gateway with address {}", message.address))
    })?;
    let Some(metadata) = message
        .metadata
        .clone()
        .filter(|new| found.metadata.as_ref() != Some(new))
    else {
        return Ok(());
    };
    let size = metadata.card.len();
    found.metadata = Some(metadata);
    save(ctx, &found);
    let session_end = shared::current_session_end(ctx)?;
    ctx.emit(
        TypedEvent::new("pocket.gateway.EventGatewayMetadataUpdated")
            .text("gateway_address", &message.address)
            .long("session_end_height", session_end)
            .long("card_size_bytes", size),
    );
    Ok(())
}

/// Pays unbonded gateways back, at session ends.
pub(crate) fn end_block(ctx: &mut Context<'_>) -> Result<(), Fault> {
    let session_end = shared::current_session_end(ctx)?;
    if session_end != ctx.height() {
        return Ok(());
    }
    for gateway in ctx.scan::<Gateway>(Store::Gateway, GATEWAYS)? {
        if gateway.unstake_session_end_height == 0 {
            continue;
        }
        let unstaked = Height(i64::try_from(gateway.unstake_session_end_height).unwrap_or(i64::MAX));
        let end = unbonding_end(&gateway, &shared::params_at(&ctx.state, unstaked)?);
        if ctx.height().0 < end {
            continue;
        }
        let address: Address = stake::address(MODULE, 1101, &gateway.address)?;
        stake::release(ctx, MODULE, &address, stake::amount(gateway.stake.as_ref()))?;
        ctx.delete(Store::Gateway, key("gateway", &gateway.address));
        ctx.emit(
            TypedEvent::new("pocket.gateway.EventGatewayUnbondingEnd")
                .json("gateway", json::gateway(&gateway))
                .long("session_end_height", session_end)
                .long("unbonding_end_height", end),
        );
    }
    Ok(())
}
