//! Module authz: who may run which messages in the name of somebody else. Kept among the accounts.

use portico_protocol::tx::{pack, unpack};
use portico_protocol::wire::cosmos::authz::v1beta1::{GenericAuthorization, Grant, MsgGrant, MsgRevoke};
use portico_protocol::wire::cosmos::bank::v1beta1::{MsgSend, SendAuthorization};
use portico_protocol::{Address, Upokt};
use prost::Name as _;
use prost_types::Any;

use crate::context::{Context, required};
use crate::error::{Fault, refuse, sdk};
use crate::event::TypedEvent;
use crate::state::Store;
use crate::{auth, bank};

const MODULE: &str = "authz";
/// Prefix of grants: followed by the granter's 20 bytes, the grantee's, and the messages' type URL.
pub(crate) const GRANTS: &[u8] = b"authz/";
/// Most messages that are run at once.
pub(crate) const MAX_MESSAGES: usize = 100;

pub(crate) fn key(granter: &Address, grantee: &Address, url: &str) -> Vec<u8> {
    [GRANTS, granter.as_bytes(), grantee.as_bytes(), url.as_bytes()].concat()
}

/// Prefix of what `granter` granted.
pub(crate) fn of_granter(granter: &Address) -> Vec<u8> {
    [GRANTS, granter.as_bytes()].concat()
}

/// Granter and grantee of a grant's key.
pub(crate) fn parties_of(key: &[u8]) -> Option<(Address, Address)> {
    let (granter, rest) = key.strip_prefix(GRANTS)?.split_first_chunk()?;
    let (grantee, _) = rest.split_first_chunk()?;
    Some((Address::new(*granter), Address::new(*grantee)))
}

fn parties(granter: &str, grantee: &str) -> Result<(Address, Address), Fault> {
    let address = |text: &str| {
        text.parse::<Address>()
            .map_err(|error| sdk::invalid_address(error.to_string()))
    };
    let (granter, grantee) = (address(granter)?, address(grantee)?);
    match granter == grantee {
        true => Err(refuse(MODULE, 7, "grantee and granter should be different")),
        false => Ok((granter, grantee)),
    }
}

fn announce(ctx: &mut Context<'_>, kind: &'static str, granter: &Address, grantee: &Address, url: &str) {
    let event = TypedEvent::new(kind)
        .text("granter", &granter.to_string())
        .text("grantee", &grantee.to_string());
    ctx.emit(event.text("msg_type_url", url));
}

/// `MsgGrant`; `is_known` says whether a module handles messages of a type.
pub(crate) fn msg_grant(
    ctx: &mut Context<'_>,
    message: &MsgGrant,
    is_known: fn(&str) -> bool,
) -> Result<(), Fault> {
    let (granter, grantee) = parties(&message.granter, &message.grantee)?;
    let grant = message.grant.clone().unwrap_or_default();
    if is_past(ctx, &grant) {
        return Err(refuse(
            MODULE,
            3,
            "expiration must be after the current block time",
        ));
    }
    let authorization = required(grant.authorization.as_ref(), || {
        sdk::invalid_request("authorization is missing")
    })?;
    let url = covered(authorization, is_known)?;
    auth::ensure_account(ctx, &grantee)?;
    ctx.put(Store::Auth, key(&granter, &grantee, &url), &grant);
    announce(ctx, "cosmos.authz.v1beta1.EventGrant", &granter, &grantee, &url);
    Ok(())
}

/// Type URL of the messages that an authorization covers; errs for kinds that are not known here.
fn covered(authorization: &Any, is_known: fn(&str) -> bool) -> Result<String, Fault> {
    let decode = |error: portico_protocol::tx::TxError| sdk::tx_decode(error.to_string());
    if authorization.type_url == SendAuthorization::type_url() {
        let send: SendAuthorization = unpack(authorization).map_err(decode)?;
        if bank::upokt_of(&send.spend_limit)? == Upokt(0) {
            return Err(sdk::invalid_coins("spend limit must be positive"));
        }
        return Ok(MsgSend::type_url());
    }
    if authorization.type_url == GenericAuthorization::type_url() {
        let generic: GenericAuthorization = unpack(authorization).map_err(decode)?;
        if !is_known(&generic.msg) {
            return Err(sdk::invalid_type(format!("{:?} doesn't exist.", generic.msg)));
        }
        return Ok(generic.msg);
    }
    let url = &authorization.type_url;
    Err(sdk::tx_decode(format!("unable to resolve type URL {url}")))
}

/// `MsgRevoke`
pub(crate) fn msg_revoke(ctx: &mut Context<'_>, message: &MsgRevoke) -> Result<(), Fault> {
    let (granter, grantee) = parties(&message.granter, &message.grantee)?;
    let url = message.msg_type_url.as_str();
    let found: Option<Grant> = ctx.get(Store::Auth, &key(&granter, &grantee, url))?;
    required(found, || {
        let text =
            format!("failed to delete grant with key {granter}/{grantee}/{url}: authorization not found");
        refuse(MODULE, 2, text)
    })?;
    revoke(ctx, &granter, &grantee, url);
    Ok(())
}

fn revoke(ctx: &mut Context<'_>, granter: &Address, grantee: &Address, url: &str) {
    ctx.delete(Store::Auth, key(granter, grantee, url));
    announce(ctx, "cosmos.authz.v1beta1.EventRevoke", granter, grantee, url);
}

fn is_past(ctx: &Context<'_>, grant: &Grant) -> bool {
    let now = u128::from(ctx.block.time_ms).saturating_mul(1_000_000);
    grant.expiration.as_ref().is_some_and(|time| {
        let seconds = u128::try_from(time.seconds).unwrap_or(0);
        let nanos = u128::try_from(time.nanos).unwrap_or(0);
        seconds.saturating_mul(1_000_000_000).saturating_add(nanos) < now
    })
}

/// Takes what a message needs from what its signer allowed.
pub(crate) fn spend(
    ctx: &mut Context<'_>,
    granter: &Address,
    grantee: &Address,
    message: &Any,
) -> Result<(), Fault> {
    let url = message.type_url.as_str();
    let at = key(granter, grantee, url);
    let grant: Option<Grant> = ctx.get(Store::Auth, &at)?;
    let mut grant = required(grant, || {
        let text = format!(
            "failed to get grant with given granter: {granter}, grantee: {grantee} & msgType: {url} : authorization not found"
        );
        refuse(MODULE, 2, text)
    })?;
    if is_past(ctx, &grant) {
        return Err(refuse(MODULE, 6, "authorization expired"));
    }
    let authorization = grant.authorization.clone().unwrap_or_default();
    if authorization.type_url != SendAuthorization::type_url() {
        return Ok(());
    }
    let decode = |error: portico_protocol::tx::TxError| sdk::tx_decode(error.to_string());
    let mut limit: SendAuthorization = unpack(&authorization).map_err(decode)?;
    let send: MsgSend = unpack(message).map_err(decode)?;
    let left = bank::upokt_of(&limit.spend_limit)?
        .0
        .checked_sub(bank::upokt_of(&send.amount)?.0)
        .ok_or_else(|| sdk::insufficient_funds("requested amount is more than spend limit"))?;
    if !limit.allow_list.is_empty() && !limit.allow_list.contains(&send.to_address) {
        return Err(sdk::unauthorized(format!(
            "cannot send to {} address",
            send.to_address
        )));
    }
    if left == 0 {
        revoke(ctx, granter, grantee, url);
        return Ok(());
    }
    limit.spend_limit = vec![Upokt(left).into()];
    grant.authorization = Some(pack(&limit));
    ctx.put(Store::Auth, at, &grant);
    Ok(())
}
