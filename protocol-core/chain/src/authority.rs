//! The account that governs: it changes params and flags.
//!
//! It is named in the genesis; without one it is the account of module `gov`, for which nobody signs.

use portico_protocol::Address;
use portico_protocol::tx::module_address;

use crate::context::Context;
use crate::error::{Fault, refuse};
use crate::state::{StateError, StateRead, Store};

const AUTHORITY: &[u8] = b"authority";

/// The account that governs.
pub(crate) fn authority(state: &dyn StateRead) -> Result<String, StateError> {
    let bytes = state.get(Store::Shared, AUTHORITY)?;
    let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    Ok(text.unwrap_or_else(|| module_address("gov").to_string()))
}

/// Names the account that governs.
pub(crate) fn set_authority(ctx: &mut Context<'_>, authority: &Address) {
    ctx.state.set(
        Store::Shared,
        AUTHORITY.to_vec(),
        authority.to_string().into_bytes(),
    );
}

/// Refuses a message of `module` that claims another authority.
pub(crate) fn authorize(ctx: &Context<'_>, module: &'static str, sender: &str) -> Result<(), Fault> {
    let authority = authority(&ctx.state)?;
    if sender == authority {
        return Ok(());
    }
    let text = format!("invalid authority; expected {authority}, got {sender}");
    Err(refuse(module, 1100, text))
}
