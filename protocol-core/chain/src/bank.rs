//! Module bank: balances of upokt, transfers, supply.

use portico_protocol::tx::module_address;
use portico_protocol::wire::cosmos::bank::v1beta1::MsgSend;
use portico_protocol::wire::cosmos::base::v1beta1::Coin;
use portico_protocol::{Address, Upokt};

use crate::context::Context;
use crate::error::{Fault, sdk};
use crate::event::plain;
use crate::state::{StateError, StateRead, Store};

const SUPPLY: &[u8] = b"supply/upokt/";
/// Prefix of balances: followed by the 20 bytes of the address.
pub(crate) const BALANCES: &[u8] = b"balance/";

fn balance_key(address: &Address) -> Vec<u8> {
    [BALANCES, address.as_bytes()].concat()
}

fn amount(state: &dyn StateRead, key: &[u8]) -> Result<Upokt, StateError> {
    let Some(bytes) = state.get(Store::Bank, key)? else {
        return Ok(Upokt(0));
    };
    parse(key, &bytes)
}

fn parse(key: &[u8], bytes: &[u8]) -> Result<Upokt, StateError> {
    let text = std::str::from_utf8(bytes).ok().and_then(|text| text.parse().ok());
    text.map(Upokt).ok_or_else(|| StateError::Corrupt {
        store: Store::Bank.name(),
        key: hex::encode(key),
        reason: "not a decimal amount".into(),
    })
}

/// Free balance of an address.
pub(crate) fn balance(state: &dyn StateRead, address: &Address) -> Result<Upokt, StateError> {
    amount(state, &balance_key(address))
}

/// All upokt there are.
pub(crate) fn supply(state: &dyn StateRead) -> Result<Upokt, StateError> {
    amount(state, SUPPLY)
}

/// Sum of all balances: equals [`supply`] after every block.
pub(crate) fn sum_of_balances(state: &dyn StateRead) -> Result<Upokt, StateError> {
    let end = crate::context::prefix_end(BALANCES);
    let mut sum = 0_u128;
    for (key, value) in state.range(Store::Bank, BALANCES, end.as_deref(), usize::MAX)? {
        sum = sum.saturating_add(parse(&key, &value)?.0);
    }
    Ok(Upokt(sum))
}

fn set(ctx: &mut Context<'_>, key: Vec<u8>, value: u128) {
    if value == 0 {
        ctx.state.delete(Store::Bank, key);
    } else {
        ctx.state.set(Store::Bank, key, value.to_string().into_bytes());
    }
}

fn overflow() -> Fault {
    sdk::invalid_coins("amount beyond 2^128")
}

fn add(ctx: &mut Context<'_>, address: &Address, gain: Upokt) -> Result<(), Fault> {
    let after = balance(&ctx.state, address)?
        .0
        .checked_add(gain.0)
        .ok_or_else(overflow)?;
    set(ctx, balance_key(address), after);
    crate::auth::ensure_account(ctx, address)
}

fn subtract(ctx: &mut Context<'_>, address: &Address, loss: Upokt) -> Result<(), Fault> {
    let before = balance(&ctx.state, address)?;
    let after = before.0.checked_sub(loss.0).ok_or_else(|| {
        sdk::insufficient_funds(format!("spendable balance {before} is smaller than {loss}"))
    })?;
    set(ctx, balance_key(address), after);
    Ok(())
}

/// Moves tokens; emits what wallets look for.
pub(crate) fn send(ctx: &mut Context<'_>, from: &Address, to: &Address, value: Upokt) -> Result<(), Fault> {
    if value == Upokt(0) {
        return Ok(());
    }
    subtract(ctx, from, value)?;
    add(ctx, to, value)?;
    let (from, to, value) = (from.to_string(), to.to_string(), value.to_string());
    ctx.events.push(plain(
        "coin_spent",
        [("spender", from.clone()), ("amount", value.clone())],
    ));
    ctx.events.push(plain(
        "coin_received",
        [("receiver", to.clone()), ("amount", value.clone())],
    ));
    ctx.events.push(plain(
        "transfer",
        [("recipient", to), ("sender", from.clone()), ("amount", value)],
    ));
    ctx.events.push(plain("message", [("sender", from)]));
    Ok(())
}

/// Creates tokens in a module account.
pub(crate) fn mint(ctx: &mut Context<'_>, module: &str, value: Upokt) -> Result<(), Fault> {
    let supply = supply(&ctx.state)?.0.checked_add(value.0).ok_or_else(overflow)?;
    set(ctx, SUPPLY.to_vec(), supply);
    let minter = module_address(module);
    add(ctx, &minter, value)?;
    let (minter, value) = (minter.to_string(), value.to_string());
    ctx.events.push(plain(
        "coin_received",
        [("receiver", minter.clone()), ("amount", value.clone())],
    ));
    ctx.events
        .push(plain("coinbase", [("minter", minter), ("amount", value)]));
    Ok(())
}

/// Destroys tokens of a module account.
pub(crate) fn burn(ctx: &mut Context<'_>, module: &str, value: Upokt) -> Result<(), Fault> {
    let burner = module_address(module);
    subtract(ctx, &burner, value)?;
    let supply = supply(&ctx.state)?.0.checked_sub(value.0).ok_or_else(overflow)?;
    set(ctx, SUPPLY.to_vec(), supply);
    let (burner, value) = (burner.to_string(), value.to_string());
    ctx.events.push(plain(
        "coin_spent",
        [("spender", burner.clone()), ("amount", value.clone())],
    ));
    ctx.events
        .push(plain("burn", [("burner", burner), ("amount", value)]));
    Ok(())
}

/// Creates tokens of the genesis.
pub(crate) fn genesis_balance(ctx: &mut Context<'_>, address: &Address, value: Upokt) -> Result<(), Fault> {
    let supply = supply(&ctx.state)?.0.checked_add(value.0).ok_or_else(overflow)?;
    set(ctx, SUPPLY.to_vec(), supply);
    add(ctx, address, value)
}

/// The upokt of a list of coins, which names a denomination once; others than upokt do not exist here.
pub(crate) fn upokt_of(coins: &[Coin]) -> Result<Upokt, Fault> {
    match coins {
        [] => Ok(Upokt(0)),
        [coin] => Upokt::try_from(coin).map_err(|error| sdk::invalid_coins(error.to_string())),
        _ => Err(sdk::invalid_coins("more than one coin")),
    }
}

/// Modules whose accounts receive nothing from users.
const BLOCKED: [&str; 5] = [
    "bonded_tokens_pool",
    "distribution",
    "fee_collector",
    "mint",
    "not_bonded_tokens_pool",
];

/// Refuses recipients that are modules which only the chain itself pays.
pub(crate) fn receivable(to: &Address) -> Result<(), Fault> {
    if BLOCKED.iter().any(|name| module_address(name) == *to) {
        return Err(sdk::unauthorized(format!("{to} is not allowed to receive funds")));
    }
    Ok(())
}

/// Stateless checks of `MsgSend`.
pub(crate) fn check_send(message: &MsgSend) -> Result<(), Fault> {
    message
        .from_address
        .parse::<Address>()
        .map_err(|_| sdk::invalid_address("invalid sender address"))?;
    message
        .to_address
        .parse::<Address>()
        .map_err(|_| sdk::invalid_address("invalid recipient address"))?;
    if upokt_of(&message.amount)? == Upokt(0) {
        return Err(sdk::invalid_coins("amount must be positive"));
    }
    Ok(())
}

/// `MsgSend`.
pub(crate) fn msg_send(ctx: &mut Context<'_>, message: &MsgSend) -> Result<(), Fault> {
    let from: Address = message
        .from_address
        .parse()
        .map_err(|_| sdk::invalid_address("invalid sender address"))?;
    let to: Address = message
        .to_address
        .parse()
        .map_err(|_| sdk::invalid_address("invalid recipient address"))?;
    let value = upokt_of(&message.amount)?;
    receivable(&to)?;
    send(ctx, &from, &to, value)
}
