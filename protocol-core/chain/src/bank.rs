//! Module bank: balances of upokt, transfers, supply.

use portico_protocol::tx::module_address;
use portico_protocol::wire::cosmos::bank::v1beta1::{MsgMultiSend, MsgSend, Output};
use portico_protocol::wire::cosmos::base::v1beta1::Coin;
use portico_protocol::{Address, Upokt};

use crate::context::Context;
use crate::error::{Fault, refuse, sdk};
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

/// Whose balance an entry is, and how much.
pub(crate) fn balance_of(key: &[u8], value: &[u8]) -> Result<(Address, Upokt), StateError> {
    let holder = key.strip_prefix(BALANCES).and_then(|rest| rest.try_into().ok());
    let holder = holder.ok_or_else(|| StateError::Corrupt {
        store: Store::Bank.name(),
        key: hex::encode(key),
        reason: "no address is 20 bytes long there".into(),
    })?;
    Ok((Address::new(holder), parse(key, value)?))
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
    spent(ctx, from, value);
    received(ctx, from, to, value);
    ctx.events.push(plain("message", [("sender", from.to_string())]));
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

/// Coins as the SDK writes them.
pub(crate) fn text_of(coins: &[Coin]) -> String {
    let texts: Vec<String> = coins
        .iter()
        .map(|coin| format!("{}{}", coin.amount, coin.denom))
        .collect();
    texts.join(",")
}

/// Whether denominations ascend and amounts are positive numbers.
pub(crate) fn is_sorted(coins: &[Coin]) -> bool {
    let positive = |coin: &Coin| coin.amount.parse().is_ok_and(|amount: u128| amount > 0);
    coins.iter().all(positive) && coins.is_sorted_by(|a, b| a.denom < b.denom)
}

/// The upokt of coins that are sorted. Nobody holds any other coin.
pub(crate) fn only_upokt(coins: &[Coin]) -> Result<Upokt, Fault> {
    match coins
        .iter()
        .find(|coin| coin.denom != portico_protocol::types::DENOM)
    {
        Some(Coin { denom, amount }) => Err(sdk::insufficient_funds(format!(
            "spendable balance 0{denom} is smaller than {amount}{denom}"
        ))),
        None => upokt_of(coins),
    }
}

/// What a message sends: some of one coin at least.
fn sent(coins: &[Coin]) -> Result<Upokt, Fault> {
    if coins.is_empty() || !is_sorted(coins) {
        return Err(sdk::invalid_coins(text_of(coins)));
    }
    only_upokt(coins)
}

fn party(side: &str, text: &str) -> Result<Address, Fault> {
    text.parse()
        .map_err(|error| sdk::invalid_address(format!("invalid {side} address: {error}")))
}

/// `MsgSend`.
pub(crate) fn msg_send(ctx: &mut Context<'_>, message: &MsgSend) -> Result<(), Fault> {
    let from = party("from", &message.from_address)?;
    let to = party("to", &message.to_address)?;
    let value = sent(&message.amount)?;
    receivable(&to)?;
    send(ctx, &from, &to, value)
}

/// Most recipients of a `MsgMultiSend`.
const MAX_OUTPUTS: usize = 10_000;

/// `MsgMultiSend`: from one to many.
pub(crate) fn msg_multi_send(ctx: &mut Context<'_>, message: &MsgMultiSend) -> Result<(), Fault> {
    let input = match message.inputs.as_slice() {
        [] => return Err(refuse("bank", 2, "no inputs to send transaction")),
        [input] => input,
        _ => return Err(refuse("bank", 9, "multiple senders not allowed")),
    };
    if message.outputs.is_empty() || message.outputs.len() > MAX_OUTPUTS {
        return Err(refuse("bank", 3, "no outputs to send transaction"));
    }
    let from = party("input", &input.address)?;
    let total = sent(&input.coins)?;
    let output = |output: &Output| Ok((party("output", &output.address)?, sent(&output.coins)?));
    let outputs = message
        .outputs
        .iter()
        .map(output)
        .collect::<Result<Vec<_>, Fault>>()?;
    let sum = outputs
        .iter()
        .try_fold(0_u128, |sum, (_, value)| sum.checked_add(value.0));
    if sum != Some(total.0) {
        return Err(refuse("bank", 4, "sum inputs != sum outputs"));
    }
    for (to, _) in &outputs {
        receivable(to)?;
    }
    ctx.events.push(plain("message", [("sender", from.to_string())]));
    subtract(ctx, &from, total)?;
    spent(ctx, &from, total);
    for (to, value) in outputs {
        add(ctx, &to, value)?;
        received(ctx, &from, &to, value);
    }
    Ok(())
}

fn spent(ctx: &mut Context<'_>, from: &Address, value: Upokt) {
    let attributes = [("spender", from.to_string()), ("amount", value.to_string())];
    ctx.events.push(plain("coin_spent", attributes));
}

fn received(ctx: &mut Context<'_>, from: &Address, to: &Address, value: Upokt) {
    let (from, to, value) = (from.to_string(), to.to_string(), value.to_string());
    ctx.events.push(plain(
        "coin_received",
        [("receiver", to.clone()), ("amount", value.clone())],
    ));
    ctx.events.push(plain(
        "transfer",
        [("recipient", to), ("sender", from), ("amount", value)],
    ));
}
