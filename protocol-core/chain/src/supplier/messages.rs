//! Messages of module supplier.

use std::collections::BTreeSet;

use portico_protocol::tx::module_address;
use portico_protocol::wire::pocket::shared::{RpcType, Supplier, SupplierServiceConfig};
use portico_protocol::wire::pocket::supplier::{
    MsgStakeSupplier, MsgUnstakeSupplier, SupplierUnbondingReason,
};
use portico_protocol::{Address, Height, Upokt};

use super::state::{MODULE, active_services, params, replace_services, save, supplier};
use super::unbonding::begin_unbonding;
use crate::context::{Context, required};
use crate::error::{Fault, refuse};
use crate::event::TypedEvent;
use crate::{auth, bank, json, service, shared, stake};

/// Checks service configs by themselves: no service twice, URLs and types usable, shares add up.
pub(crate) fn check_services(services: &[SupplierServiceConfig]) -> Result<(), Fault> {
    let fault = |text: String| refuse(MODULE, 1104, text);
    let mut seen = BTreeSet::new();
    for config in services {
        if let Some(text) = shared::service_id_fault(&config.service_id) {
            return Err(fault(text));
        }
        if !seen.insert(&config.service_id) {
            return Err(fault(format!("duplicate service ID: {}", config.service_id)));
        }
        if config.endpoints.is_empty() {
            return Err(fault(format!("service {:?} has no endpoint", config.service_id)));
        }
        for endpoint in &config.endpoints {
            if !is_endpoint_url(&endpoint.url) {
                return Err(fault(format!("invalid endpoint URL {:?}", endpoint.url)));
            }
            if matches!(
                RpcType::try_from(endpoint.rpc_type),
                Ok(RpcType::UnknownRpc) | Err(_)
            ) {
                return Err(fault(format!(
                    "endpoint {:?} has an unknown RPC type",
                    endpoint.url
                )));
            }
        }
        check_shares(config)?;
    }
    Ok(())
}

/// Errs unless every service exists.
pub(crate) fn known_services(ctx: &Context<'_>, services: &[SupplierServiceConfig]) -> Result<(), Fault> {
    for config in services {
        let found = service::service(&ctx.state, &config.service_id)?;
        required(found, || {
            refuse(
                MODULE,
                1106,
                format!("service {:?} does not exist", config.service_id),
            )
        })?;
    }
    Ok(())
}

/// A scheme that relays travel by, and a host, as Go's `net/url` takes them.
fn is_endpoint_url(url: &str) -> bool {
    let Some((scheme, rest)) = url.split_once("://") else {
        return false;
    };
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let port = host.rsplit_once(':').filter(|_| !host.ends_with(']'));
    let is_in_host =
        |c: char| !c.is_ascii() || c.is_ascii_alphanumeric() || "-._~!$&'()*+,;=:[]<>\"".contains(c);
    matches!(
        scheme.to_ascii_lowercase().as_str(),
        "http" | "https" | "ws" | "wss"
    ) && !host.is_empty()
        && host.chars().all(is_in_host)
        && port.is_none_or(|(_, port)| port.bytes().all(|c| c.is_ascii_digit()))
        && !url.chars().any(|c| c.is_ascii_control())
        && escapes_are_whole(path)
}

/// Whether every `%` begins an escape of two hexadecimal digits; what follows a `?` is not looked at.
fn escapes_are_whole(path: &str) -> bool {
    let (path, fragment) = path.split_once('#').unwrap_or((path, ""));
    let path = path.split('?').next().unwrap_or_default();
    [path, fragment].iter().all(|part| {
        part.split('%').skip(1).all(|after| {
            let digits = after.as_bytes().get(..2);
            digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
        })
    })
}

fn check_shares(config: &SupplierServiceConfig) -> Result<(), Fault> {
    // The network reports what is wrong with shares as a fault of the config.
    let fault = |text: &str| {
        let text = format!(
            "service {:?}: {text}: invalid revenue share configuration",
            config.service_id
        );
        refuse(MODULE, 1104, text)
    };
    let mut seen = BTreeSet::new();
    let mut sum = 0_u64;
    for share in &config.rev_share {
        share
            .address
            .parse::<Address>()
            .map_err(|_| fault("a revenue share has an invalid address"))?;
        if !seen.insert(&share.address) {
            return Err(fault("a revenue share address is listed twice"));
        }
        if !(1..=100).contains(&share.rev_share_percentage) {
            return Err(fault("a revenue share is not between 1 and 100 percent"));
        }
        sum = sum.saturating_add(share.rev_share_percentage);
    }
    if config.rev_share.is_empty() || sum != 100 {
        return Err(fault("revenue shares do not add up to 100 percent"));
    }
    Ok(())
}

/// Stateless checks of `MsgStakeSupplier`.
pub(crate) fn check_stake(message: &MsgStakeSupplier) -> Result<(), Fault> {
    stake::address(MODULE, 1102, &message.owner_address)?;
    stake::address(MODULE, 1102, &message.operator_address)?;
    stake::address(MODULE, 1102, &message.signer)?;
    if message.stake.is_some() {
        stake::stated(MODULE, 1101, message.stake.as_ref())?;
    }
    if !message.services.is_empty() && message.signer != message.operator_address {
        let text = "only the operator account is authorized to update the service configurations";
        return Err(refuse(MODULE, 1104, text));
    }
    check_services(&message.services)
}

/// `MsgStakeSupplier`: stakes or changes a stake; only the operator may set services, only the owner may change the owner.
pub(crate) fn msg_stake(ctx: &mut Context<'_>, message: &MsgStakeSupplier) -> Result<(), Fault> {
    let signer = stake::address(MODULE, 1102, &message.signer)?;
    let owner = stake::address(MODULE, 1102, &message.owner_address)?;
    if auth::is_module(&owner) {
        return Err(refuse(
            MODULE,
            1102,
            format!("owner {owner} is a module's account"),
        ));
    }
    known_services(ctx, &message.services)?;
    let old = supplier(&ctx.state, &message.operator_address)?;
    if let Some(old) = &old {
        authorize(message, old)?;
    }
    let before = stake::amount(old.as_ref().and_then(|supplier| supplier.stake.as_ref()));
    let staked = match (&message.stake, &old) {
        (None, Some(_)) => before,
        (stake, _) => stake::stated(MODULE, 1101, stake.as_ref())?,
    };
    stake::at_least(
        MODULE,
        1101,
        &format!("supplier with owner {:?}", message.owner_address),
        staked,
        stake::amount(params(&ctx.state)?.min_stake.as_ref()),
    )?;
    charge(ctx, &signer, &owner, before, staked)?;
    store(ctx, message, old, staked)
}

/// Who may change a staked supplier. Anybody may stake a new one that serves nothing yet: they pay for it.
fn authorize(message: &MsgStakeSupplier, old: &Supplier) -> Result<(), Fault> {
    let fault = |text: &str| refuse("shared", 1105, text.to_owned());
    let owner = &old.owner_address;
    if message.signer != *owner && message.signer != old.operator_address {
        return Err(fault("the signer is neither owner nor operator of the supplier"));
    }
    if message.owner_address != *owner && message.signer != *owner {
        return Err(fault("only the owner may change the owner"));
    }
    if old.unstake_session_end_height > 0 && message.signer != *owner {
        return Err(fault("only the owner may cancel unbonding"));
    }
    Ok(())
}

/// The difference of the stakes, from the signer in or to the owner out; and the fee, which stays with the module.
fn charge(
    ctx: &mut Context<'_>,
    signer: &Address,
    owner: &Address,
    before: Upokt,
    after: Upokt,
) -> Result<(), Fault> {
    match after.0.checked_sub(before.0) {
        Some(raise) => stake::escrow(ctx, MODULE, signer, Upokt(raise))?,
        None => stake::release(ctx, MODULE, owner, Upokt(before.0.saturating_sub(after.0)))?,
    }
    let fee = stake::amount(params(&ctx.state)?.staking_fee.as_ref());
    bank::send(ctx, signer, &module_address(MODULE), fee)
}

fn store(
    ctx: &mut Context<'_>,
    message: &MsgStakeSupplier,
    old: Option<Supplier>,
    staked: Upokt,
) -> Result<(), Fault> {
    let session_end = shared::current_session_end(ctx)?;
    let next = shared::next_session_start(ctx)?;
    let cancelled = old.as_ref().is_some_and(|old| old.unstake_session_end_height > 0);
    let mut new = old.clone().unwrap_or_default();
    new.operator_address.clone_from(&message.operator_address);
    new.owner_address.clone_from(&message.owner_address);
    new.stake = Some(staked.into());
    new.unstake_session_end_height = 0;
    if !message.services.is_empty() {
        replace_services(&mut new, &message.services, next);
    }
    save(ctx, old.as_ref(), &new);
    if cancelled {
        let height = ctx.height();
        ctx.emit(
            TypedEvent::new("pocket.supplier.EventSupplierUnbondingCanceled")
                .json("supplier", json::supplier(&hydrated(&new, height)))
                .long("session_end_height", session_end)
                .long("height", height),
        );
    }
    ctx.emit(
        TypedEvent::new("pocket.supplier.EventSupplierStaked")
            .long("session_end_height", session_end)
            .text("operator_address", &new.operator_address),
    );
    Ok(())
}

/// A supplier with the services that are active at `height`.
fn hydrated(supplier: &Supplier, height: Height) -> Supplier {
    Supplier {
        services: active_services(supplier, height),
        ..supplier.clone()
    }
}

/// Stateless checks of `MsgUnstakeSupplier`.
pub(crate) fn check_unstake(message: &MsgUnstakeSupplier) -> Result<(), Fault> {
    stake::address(MODULE, 1102, &message.signer)?;
    stake::address(MODULE, 1102, &message.operator_address).map(|_| ())
}

/// `MsgUnstakeSupplier`.
pub(crate) fn msg_unstake(ctx: &mut Context<'_>, message: &MsgUnstakeSupplier) -> Result<(), Fault> {
    let found = required(supplier(&ctx.state, &message.operator_address)?, || {
        refuse(
            MODULE,
            1103,
            format!("supplier with operator address {:?}", message.operator_address),
        )
    })?;
    if message.signer != found.owner_address && message.signer != found.operator_address {
        return Err(refuse(
            "shared",
            1105,
            format!(
                "signer {:?} is not allowed to unstake supplier {}",
                message.signer, found.operator_address
            ),
        ));
    }
    if found.unstake_session_end_height > 0 {
        return Err(refuse(
            MODULE,
            1105,
            format!("supplier with operator address {:?}", found.operator_address),
        ));
    }
    begin_unbonding(ctx, found, SupplierUnbondingReason::Voluntary)?;
    Ok(())
}
