//! Module feature: rules that hold from a height on. Our own: the network has none.
//!
//! ```text
//! flag ─► entries by height: enabled or not, value, scope, kind     read by height: the newest entry that has begun
//!          planned by the authority, withdrawn before they begin     a program that lacks a required one halts there
//! ```

mod messages;
mod state;

use portico_protocol::wire::portico::feature::FlagKind;

use crate::context::Context;
use crate::error::Fault;
use crate::event::TypedEvent;
use crate::state::StateError;

pub(crate) use messages::{check_cancel, check_set, msg_cancel, msg_set, validate};
#[cfg(test)]
pub(crate) use state::KNOWN;
pub(crate) use state::{
    EXACT_CLAIM_UNITS, FORGET_BLOCK_HASHES, NAMES, OWN_CHAIN, STRICT_CLOSEST_PROOF, SUPPLIER_INDEX_ROOTS,
    VALIDATOR_SETS, entries, flag_at, is_enabled, is_known, save,
};
use state::{json, names};

/// Begins a block: errs when a required flag holds that this version does not know; says which flags change. Returns the optional ones
/// that change and are not known.
pub(crate) fn begin_block(ctx: &mut Context<'_>) -> Result<Vec<String>, Fault> {
    let height = ctx.height();
    let mut ignored = Vec::new();
    for name in names(&ctx.state)? {
        let Some(flag) = flag_at(&ctx.state, &name, height)? else {
            continue;
        };
        let unknown = flag.enabled && !is_known(&name);
        if unknown && flag.kind == i32::from(FlagKind::Required) {
            return Err(StateError::UnknownFlag { name, height }.into());
        }
        if flag.from_height != height.0 {
            continue;
        }
        ctx.emit(TypedEvent::new("portico.feature.EventFlagChanged").json("flag", json(&flag)));
        if unknown {
            ignored.push(name);
        }
    }
    Ok(ignored)
}
