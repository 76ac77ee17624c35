//! What staked actors have in common: reading a stake, moving it in and out of the module's account.

use portico_protocol::tx::module_address;
use portico_protocol::wire::cosmos::base::v1beta1::Coin;
use portico_protocol::{Address, Upokt};

use crate::bank;
use crate::context::Context;
use crate::error::{Fault, refuse};

/// A stake as kept in state; absent or foreign coins count as zero.
pub(crate) fn amount(coin: Option<&Coin>) -> Upokt {
    coin.and_then(|coin| Upokt::try_from(coin).ok())
        .unwrap_or_default()
}

/// A stake as stated in a message: upokt, positive.
pub(crate) fn stated(module: &'static str, code: u32, coin: Option<&Coin>) -> Result<Upokt, Fault> {
    let coin = coin.ok_or_else(|| refuse(module, code, "stake is missing"))?;
    let stake = Upokt::try_from(coin).map_err(|error| refuse(module, code, error.to_string()))?;
    if stake == Upokt(0) {
        return Err(refuse(module, code, "stake must be positive"));
    }
    Ok(stake)
}

/// Refuses a stake below the module's minimum; `staker` is who stakes, for the text.
pub(crate) fn at_least(
    module: &'static str,
    code: u32,
    staker: &str,
    stake: Upokt,
    min: Upokt,
) -> Result<(), Fault> {
    if stake < min {
        return Err(refuse(
            module,
            code,
            format!("{staker} must stake at least {min}"),
        ));
    }
    Ok(())
}

/// Moves the difference of an increased stake into the module.
pub(crate) fn escrow(ctx: &mut Context<'_>, module: &str, from: &Address, by: Upokt) -> Result<(), Fault> {
    bank::send(ctx, from, &module_address(module), by)
}

/// Pays stake back out of the module.
pub(crate) fn release(ctx: &mut Context<'_>, module: &str, to: &Address, by: Upokt) -> Result<(), Fault> {
    bank::send(ctx, &module_address(module), to, by)
}

/// Pays stake back out of the module; says why not when the recipient may not hold tokens: the stake then stays in the module's account.
pub(crate) fn pay_back(
    ctx: &mut Context<'_>,
    module: &str,
    to: &Address,
    by: Upokt,
) -> Result<Option<String>, Fault> {
    match bank::receivable(to) {
        Ok(()) => release(ctx, module, to, by).map(|()| None),
        Err(Fault::Module(error)) if by > Upokt(0) => Ok(Some(error.text)),
        Err(_) => Ok(None),
    }
}

/// Parses an address of a message; it must be spelled as state spells it, in lower case.
pub(crate) fn address(module: &'static str, code: u32, text: &str) -> Result<Address, Fault> {
    let address: Address = text
        .parse()
        .map_err(|error: portico_protocol::types::TypeError| refuse(module, code, error.to_string()))?;
    if address.to_string() != text {
        return Err(refuse(
            module,
            code,
            format!("address {text:?} is not in lower case"),
        ));
    }
    Ok(address)
}
