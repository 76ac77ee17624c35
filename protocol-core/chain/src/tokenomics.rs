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
mod state;
mod validators;

use crate::context::Context;
use crate::error::Fault;
use crate::service;

pub(crate) use state::{params, set_params};
pub(crate) use validators::{Validator, set_validators, validators};

/// Settles or expires every claim whose proof window closes with this block; difficulty follows what settled.
pub(crate) fn end_block(ctx: &mut Context<'_>) -> Result<(), Fault> {
    let settled = settle::settle(ctx)?;
    for (service, num_relays) in settled.relays {
        service::update_difficulty(ctx, &service, num_relays)?;
    }
    Ok(())
}
