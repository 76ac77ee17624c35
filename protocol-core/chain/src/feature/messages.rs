//! Messages of module feature.

use portico_protocol::Height;
use portico_protocol::wire::portico::feature::{Flag, FlagKind, FlagScope, MsgCancelFlag, MsgSetFlag};

use super::state::{MAX_ENTRIES, MODULE, NAMES, entries, flag_at, json, remove, save};
use crate::authority::authorize;
use crate::context::{Context, prefix_end, required};
use crate::error::{Fault, refuse};
use crate::event::TypedEvent;
use crate::stake;
use crate::state::{StateError, StateRead, Store};

/// Longest name.
const MAX_NAME_LEN: usize = 64;
/// Longest value, in bytes.
const MAX_VALUE_LEN: usize = 1_024;
/// Most flags.
const MAX_FLAGS: usize = 256;

/// Checks everything of a flag but its height.
pub(crate) fn validate(flag: &Flag) -> Result<(), Fault> {
    let allowed = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'_';
    if flag.name.is_empty() || flag.name.len() > MAX_NAME_LEN || !flag.name.bytes().all(allowed) {
        let text = format!(
            "{:?}: a name has 1 to {MAX_NAME_LEN} of a-z, 0-9 and _",
            flag.name
        );
        return Err(refuse(MODULE, 1101, text));
    }
    if flag.value.len() > MAX_VALUE_LEN {
        return Err(refuse(
            MODULE,
            1102,
            format!("it has at most {MAX_VALUE_LEN} bytes"),
        ));
    }
    if matches!(
        FlagScope::try_from(flag.scope),
        Ok(FlagScope::Unspecified) | Err(_)
    ) {
        return Err(refuse(MODULE, 1103, "it is CHAIN or RELAY"));
    }
    if matches!(FlagKind::try_from(flag.kind), Ok(FlagKind::Unspecified) | Err(_)) {
        return Err(refuse(MODULE, 1104, "it is OPTIONAL or REQUIRED"));
    }
    Ok(())
}

/// Refuses what would change a block that was executed, or this one.
fn in_future(ctx: &Context<'_>, from_height: i64) -> Result<(), Fault> {
    if from_height <= ctx.height().0 {
        let text = format!("height {from_height} is not after the current {}", ctx.height());
        return Err(refuse(MODULE, 1105, text));
    }
    Ok(())
}

fn count(ctx: &Context<'_>, prefix: &[u8], most: usize) -> Result<usize, StateError> {
    let end = prefix_end(prefix);
    let found = ctx.state.range(Store::Feature, prefix, end.as_deref(), most)?;
    Ok(found.len())
}

/// Stateless checks of `MsgSetFlag`.
pub(crate) fn check_set(message: &MsgSetFlag) -> Result<(), Fault> {
    stake::address(MODULE, 1100, &message.authority)?;
    validate(&message.flag.clone().unwrap_or_default())
}

/// Stateless checks of `MsgCancelFlag`.
pub(crate) fn check_cancel(message: &MsgCancelFlag) -> Result<(), Fault> {
    stake::address(MODULE, 1100, &message.authority).map(|_| ())
}

/// `portico.feature.MsgSetFlag`
pub(crate) fn msg_set(ctx: &mut Context<'_>, message: &MsgSetFlag) -> Result<(), Fault> {
    authorize(ctx, MODULE, &message.authority)?;
    let flag = message.flag.clone().unwrap_or_default();
    in_future(ctx, flag.from_height)?;
    let num_entries = count(ctx, &entries(&flag.name), MAX_ENTRIES)?;
    if num_entries == MAX_ENTRIES || num_entries == 0 && count(ctx, NAMES, MAX_FLAGS)? == MAX_FLAGS {
        let text = format!("{MAX_FLAGS} flags of {MAX_ENTRIES} entries are the most");
        return Err(refuse(MODULE, 1107, text));
    }
    save(ctx, &flag)?;
    ctx.emit(TypedEvent::new("portico.feature.EventFlagSet").json("flag", json(&flag)));
    Ok(())
}

/// `portico.feature.MsgCancelFlag`
pub(crate) fn msg_cancel(ctx: &mut Context<'_>, message: &MsgCancelFlag) -> Result<(), Fault> {
    authorize(ctx, MODULE, &message.authority)?;
    in_future(ctx, message.from_height)?;
    let at = Height(message.from_height);
    let planned = flag_at(&ctx.state, &message.name, at)?.filter(|flag| flag.from_height == at.0);
    required(planned, || {
        let text = format!("flag {:?} does not change at height {at}", message.name);
        refuse(MODULE, 1106, text)
    })?;
    remove(ctx, &message.name, message.from_height)?;
    ctx.emit(
        TypedEvent::new("portico.feature.EventFlagCanceled")
            .text("name", &message.name)
            .long("from_height", message.from_height),
    );
    Ok(())
}
