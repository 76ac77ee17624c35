//! Module tokenomics: settlement of claims.
//!
//! ```text
//! claims whose proof window is over
//!    ├─ required and not proved ─► expired, supplier slashed
//!    └─ settled ─► budget of the application ─► burn, mint, distribution (queued) ─► validators' part ─► executed, added up
//! settled leaves per service ─► difficulty
//! ```

mod announce;
mod assessed;
mod budget;
mod operations;
mod rewards;
mod settle;
mod slash;
mod validators;

use portico_protocol::settlement::SettlementError;
use portico_protocol::wire::pocket::tokenomics::Params;

use crate::context::{Context, read};
use crate::error::{Fault, refuse};
use crate::service;
use crate::state::{StateError, StateRead, Store};

pub(crate) use validators::{Validator, set_validators};

pub(crate) const MODULE: &str = "tokenomics";
const PARAMS: &[u8] = b"params";

/// Live params.
pub(crate) fn params(state: &dyn StateRead) -> Result<Params, StateError> {
    Ok(read(state, Store::Tokenomics, PARAMS)?.unwrap_or_default())
}

/// Sets the params.
pub(crate) fn set_params(ctx: &mut Context<'_>, params: &Params) {
    ctx.put(Store::Tokenomics, PARAMS.to_vec(), params);
}

/// Settles or expires every claim whose proof window closes with this block; difficulty follows what settled.
pub(crate) fn end_block(ctx: &mut Context<'_>) -> Result<(), Fault> {
    let settled = settle::settle(ctx)?;
    for (service, num_relays) in settled.relays {
        service::update_difficulty(ctx, &service, num_relays)?;
    }
    Ok(())
}

fn arithmetic(error: &SettlementError) -> Fault {
    refuse(MODULE, 1118, error.to_string())
}
