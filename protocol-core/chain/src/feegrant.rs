//! Module feegrant: who pays the fees of somebody else, and up to what. Kept among the accounts.

use portico_protocol::tx::{pack, unpack};
use portico_protocol::wire::cosmos::base::v1beta1::Coin;
use portico_protocol::wire::cosmos::feegrant::v1beta1::{
    AllowedMsgAllowance, BasicAllowance, Grant, MsgGrantAllowance, MsgRevokeAllowance, PeriodicAllowance,
};
use portico_protocol::{Address, Upokt};
use prost::Name as _;
use prost_types::{Any, Timestamp};

use crate::context::{Context, required};
use crate::error::{Fault, refuse, sdk};
use crate::event::plain;
use crate::state::Store;
use crate::{auth, bank};

const MODULE: &str = "feegrant";
/// Prefix of grants: followed by the grantee's 20 bytes and the granter's.
pub(crate) const GRANTS: &[u8] = b"feegrant/";
/// Most messages that an allowance may name.
const MAX_ALLOWED: usize = 100;

pub(crate) fn key(granter: &Address, grantee: &Address) -> Vec<u8> {
    [GRANTS, grantee.as_bytes(), granter.as_bytes()].concat()
}

fn announce(ctx: &mut Context<'_>, kind: &str, granter: &Address, grantee: &Address) {
    let attributes = [("granter", granter.to_string()), ("grantee", grantee.to_string())];
    ctx.events.push(plain(kind, attributes));
}

fn parties(granter: &str, grantee: &str) -> Result<(Address, Address), Fault> {
    let address = |text: &str| {
        text.parse::<Address>()
            .map_err(|error| sdk::invalid_address(error.to_string()))
    };
    Ok((address(granter)?, address(grantee)?))
}

/// `MsgGrantAllowance`
pub(crate) fn msg_grant(ctx: &mut Context<'_>, message: &MsgGrantAllowance) -> Result<(), Fault> {
    let (granter, grantee) = parties(&message.granter, &message.grantee)?;
    if granter == grantee {
        return Err(sdk::invalid_address("cannot self-grant fee authorization"));
    }
    let found: Option<Grant> = ctx.get(Store::Auth, &key(&granter, &grantee))?;
    if found.is_some() {
        return Err(sdk::invalid_request("fee allowance already exists"));
    }
    let allowance = required(message.allowance.clone(), || {
        sdk::invalid_request("allowance is missing")
    })?;
    validate(ctx, &allowance, true)?;
    auth::ensure_account(ctx, &grantee)?;
    save(ctx, &granter, &grantee, allowance);
    announce(ctx, "set_feegrant", &granter, &grantee);
    Ok(())
}

/// `MsgRevokeAllowance`
pub(crate) fn msg_revoke(ctx: &mut Context<'_>, message: &MsgRevokeAllowance) -> Result<(), Fault> {
    let (granter, grantee) = parties(&message.granter, &message.grantee)?;
    let found: Option<Grant> = ctx.get(Store::Auth, &key(&granter, &grantee))?;
    required(found, || sdk::not_found("fee-grant not found"))?;
    revoke(ctx, &granter, &grantee);
    Ok(())
}

fn save(ctx: &mut Context<'_>, granter: &Address, grantee: &Address, allowance: Any) {
    let grant = Grant {
        granter: granter.to_string(),
        grantee: grantee.to_string(),
        allowance: Some(allowance),
    };
    ctx.put(Store::Auth, key(granter, grantee), &grant);
}

fn revoke(ctx: &mut Context<'_>, granter: &Address, grantee: &Address) {
    ctx.delete(Store::Auth, key(granter, grantee));
    announce(ctx, "revoke_feegrant", granter, grantee);
}

/// Takes `fee` from what `granter` allows `payer`; errs when that does not cover it, or not these messages.
pub(crate) fn spend(
    ctx: &mut Context<'_>,
    granter: &Address,
    payer: &Address,
    fee: Upokt,
    messages: &[String],
) -> Result<(), Fault> {
    let refused = |fault: Fault| {
        prefixed(
            &format!("{granter} does not allow to pay fees for {payer}"),
            fault,
        )
    };
    let grant: Option<Grant> = ctx.get(Store::Auth, &key(granter, payer))?;
    let allowance = grant.and_then(|grant| grant.allowance);
    let allowance = required(allowance, || refused(sdk::not_found("fee-grant not found")))?;
    let left = accept(ctx, &allowance, fee, messages).map_err(refused)?;
    if left.is_none() {
        revoke(ctx, granter, payer);
    }
    announce(ctx, "use_feegrant", granter, payer);
    if let Some(left) = left {
        save(ctx, granter, payer, left);
        announce(ctx, "update_feegrant", granter, payer);
    }
    Ok(())
}

fn prefixed(text: &str, fault: Fault) -> Fault {
    match fault {
        Fault::Module(mut error) => {
            error.text = format!("{text}: {}", error.text);
            Fault::Module(error)
        }
        fault => fault,
    }
}

fn exceeded(limit: &str) -> Fault {
    refuse(MODULE, 2, format!("{limit}: fee limit exceeded"))
}

fn read<M: prost::Message + prost::Name + Default>(any: &Any) -> Result<M, Fault> {
    unpack(any).map_err(|error| sdk::tx_decode(error.to_string()))
}

/// Checks an allowance when it is granted.
fn validate(ctx: &Context<'_>, allowance: &Any, outermost: bool) -> Result<(), Fault> {
    let url = allowance.type_url.as_str();
    if url == BasicAllowance::type_url() {
        return validate_basic(ctx, &read(allowance)?);
    }
    if url == PeriodicAllowance::type_url() {
        let periodic: PeriodicAllowance = read(allowance)?;
        validate_basic(ctx, &periodic.basic.clone().unwrap_or_default())?;
        let [limit, can_spend] =
            [&periodic.period_spend_limit, &periodic.period_can_spend].map(|coins| bank::upokt_of(coins));
        if limit? == Upokt(0) || can_spend? == Upokt(0) || nanos(periodic.period.unwrap_or_default()) <= 0 {
            return Err(sdk::invalid_coins("a period needs a length and a limit"));
        }
        return Ok(());
    }
    if url == AllowedMsgAllowance::type_url() && outermost {
        let allowed: AllowedMsgAllowance = read(allowance)?;
        if allowed.allowed_messages.is_empty() || allowed.allowed_messages.len() > MAX_ALLOWED {
            return Err(refuse(
                MODULE,
                6,
                "allowed messages are missing, or too many: allowed messages are empty",
            ));
        }
        let inner = required(allowed.allowance, || refuse(MODULE, 5, "no allowance"))?;
        return validate(ctx, &inner, false);
    }
    Err(sdk::tx_decode(format!("unable to resolve type URL {url}")))
}

fn validate_basic(ctx: &Context<'_>, basic: &BasicAllowance) -> Result<(), Fault> {
    if !basic.spend_limit.is_empty() && bank::upokt_of(&basic.spend_limit)? == Upokt(0) {
        return Err(sdk::invalid_coins("spend limit must be positive"));
    }
    if is_past(ctx, basic.expiration.as_ref()) {
        return Err(sdk::invalid_request("expiration is before current block time"));
    }
    Ok(())
}

fn nanos(duration: prost_types::Duration) -> i128 {
    i128::from(duration.seconds)
        .saturating_mul(1_000_000_000)
        .saturating_add(i128::from(duration.nanos))
}

fn time_ns(time: &Timestamp) -> i128 {
    nanos(prost_types::Duration {
        seconds: time.seconds,
        nanos: time.nanos,
    })
}

fn now_ns(ctx: &Context<'_>) -> i128 {
    i128::from(ctx.block.time_ms).saturating_mul(i128::from(auth::NS_PER_MS))
}

fn is_past(ctx: &Context<'_>, time: Option<&Timestamp>) -> bool {
    time.is_some_and(|time| time_ns(time) < now_ns(ctx))
}

/// What is left of an allowance after `fee`; `None` when nothing is.
fn accept(ctx: &Context<'_>, allowance: &Any, fee: Upokt, messages: &[String]) -> Result<Option<Any>, Fault> {
    let url = allowance.type_url.as_str();
    if url == BasicAllowance::type_url() {
        let left = spend_basic(ctx, read(allowance)?, fee, "basic allowance")?;
        return Ok(left.map(|left| pack(&left)));
    }
    if url == PeriodicAllowance::type_url() {
        let left = spend_periodic(ctx, read(allowance)?, fee)?;
        return Ok(left.map(|left| pack(&left)));
    }
    let mut allowed: AllowedMsgAllowance = read(allowance)?;
    if messages
        .iter()
        .any(|message| !allowed.allowed_messages.contains(message))
    {
        let text = "message does not exist in allowed messages: message not allowed";
        return Err(refuse(MODULE, 7, text));
    }
    let inner = required(allowed.allowance.take(), || refuse(MODULE, 5, "no allowance"))?;
    // What is inside was checked when it was granted: it is not another one of this kind.
    let left = accept(ctx, &inner, fee, messages)?;
    allowed.allowance = left;
    Ok(allowed.allowance.is_some().then(|| pack(&allowed)))
}

fn minus(coins: &[Coin], fee: Upokt, limit: &str) -> Result<Upokt, Fault> {
    let left = bank::upokt_of(coins)?.0.checked_sub(fee.0);
    left.map(Upokt).ok_or_else(|| exceeded(limit))
}

fn coins(amount: Upokt) -> Vec<Coin> {
    match amount {
        Upokt(0) => Vec::new(),
        amount => vec![amount.into()],
    }
}

fn spend_basic(
    ctx: &Context<'_>,
    mut basic: BasicAllowance,
    fee: Upokt,
    limit: &str,
) -> Result<Option<BasicAllowance>, Fault> {
    if is_past(ctx, basic.expiration.as_ref()) {
        return Err(refuse(MODULE, 3, format!("{limit}: fee allowance expired")));
    }
    if basic.spend_limit.is_empty() {
        return Ok(Some(basic));
    }
    let left = minus(&basic.spend_limit, fee, limit)?;
    basic.spend_limit = coins(left);
    Ok((left != Upokt(0)).then_some(basic))
}

fn spend_periodic(
    ctx: &Context<'_>,
    mut periodic: PeriodicAllowance,
    fee: Upokt,
) -> Result<Option<PeriodicAllowance>, Fault> {
    let basic = periodic.basic.clone().unwrap_or_default();
    renew(ctx, &mut periodic, &basic)?;
    let can_spend = minus(&periodic.period_can_spend, fee, "period limit")?;
    periodic.period_can_spend = coins(can_spend);
    periodic.basic = spend_basic(ctx, basic, fee, "absolute limit")?;
    Ok(periodic.basic.is_some().then_some(periodic))
}

/// Begins a new period once the one before is over.
fn renew(ctx: &Context<'_>, periodic: &mut PeriodicAllowance, basic: &BasicAllowance) -> Result<(), Fault> {
    let (now, reset) = (now_ns(ctx), periodic.period_reset.as_ref().map_or(0, time_ns));
    if now < reset {
        return Ok(());
    }
    let limit = bank::upokt_of(&periodic.period_spend_limit)?;
    let within = match basic.spend_limit.is_empty() {
        true => limit,
        false => limit.min(bank::upokt_of(&basic.spend_limit)?),
    };
    periodic.period_can_spend = coins(within);
    let length = nanos(periodic.period.unwrap_or_default());
    let mut next = reset.saturating_add(length);
    if now > next {
        next = now.saturating_add(length);
    }
    periodic.period_reset = timestamp(next);
    Ok(())
}

fn timestamp(nanos: i128) -> Option<Timestamp> {
    Some(Timestamp {
        seconds: i64::try_from(nanos.div_euclid(1_000_000_000)).ok()?,
        nanos: i32::try_from(nanos.rem_euclid(1_000_000_000)).ok()?,
    })
}
