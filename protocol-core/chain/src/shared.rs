//! Module shared: session geometry and prices, with their history.

use portico_protocol::session::Timing;
use portico_protocol::types::MAX_SERVICE_ID_LEN;
pub(crate) use portico_protocol::wire::pocket::shared::Params;
use portico_protocol::wire::pocket::shared::ParamsUpdate;
use portico_protocol::{Height, ServiceId};

use crate::context::{Context, history_key, newest, read, scan};
use crate::error::Fault;
use crate::state::{StateError, StateRead, Store};

const PARAMS: &[u8] = b"params";
const HISTORY: &[u8] = b"params_history/";

/// Params in force now.
pub(crate) fn params(state: &dyn StateRead) -> Result<Params, StateError> {
    Ok(read(state, Store::Shared, PARAMS)?.unwrap_or_default())
}

/// Params in force at `height`: the newest history entry that is effective by then, else the live ones.
pub(crate) fn params_at(state: &dyn StateRead, height: Height) -> Result<Params, StateError> {
    let update: Option<ParamsUpdate> = newest(state, Store::Shared, HISTORY, height)?;
    match update.and_then(|update| update.params) {
        Some(params) => Ok(params),
        None => params(state),
    }
}

/// Sets the live params.
pub(crate) fn set_params(ctx: &mut Context<'_>, params: &Params) {
    ctx.put(Store::Shared, PARAMS.to_vec(), params);
}

/// Changes params from the next session on: the history records them, and the end of the block before promotes them. A change that leaves
/// the sessions' timing alone also takes effect at once, except for what is read from the history.
pub(crate) fn change_params(ctx: &mut Context<'_>, new: &Params) -> Result<(), Fault> {
    let height = ctx.height();
    let live = params(&ctx.state)?;
    if newest::<ParamsUpdate>(&ctx.state, Store::Shared, HISTORY, Height(i64::MAX))?.is_none() {
        let first = Params {
            session_grid_anchor_height: 1,
            session_number_at_anchor: 1,
            ..live
        };
        record(ctx, Height(1), first);
    }
    let effective = params_at(&ctx.state, height)?;
    let timing = Timing::new(&effective);
    let next_start = Height(timing.end(height).0.saturating_add(1));
    let mut new = *new;
    if new.num_blocks_per_session == effective.num_blocks_per_session {
        new.session_grid_anchor_height = effective.session_grid_anchor_height;
        new.session_number_at_anchor = effective.session_number_at_anchor;
    } else {
        // A new grid of sessions begins with the next one.
        new.session_grid_anchor_height = u64::try_from(next_start.0).unwrap_or(1);
        let next_number = timing.number(height).saturating_add(1);
        new.session_number_at_anchor = u64::try_from(next_number).unwrap_or(1);
    }
    record(ctx, next_start, new);
    if same_timing(&live, &new) {
        let now = Params {
            session_grid_anchor_height: live.session_grid_anchor_height,
            session_number_at_anchor: live.session_number_at_anchor,
            ..new
        };
        set_params(ctx, &now);
    }
    Ok(())
}

fn record(ctx: &mut Context<'_>, effective: Height, params: Params) {
    let update = ParamsUpdate {
        effective_height: effective.0,
        params: Some(params),
    };
    ctx.put(Store::Shared, history_key(HISTORY, effective), &update);
}

fn same_timing(a: &Params, b: &Params) -> bool {
    let timing = |params: &Params| {
        [
            params.num_blocks_per_session,
            params.grace_period_end_offset_blocks,
            params.claim_window_open_offset_blocks,
            params.claim_window_close_offset_blocks,
            params.proof_window_open_offset_blocks,
            params.proof_window_close_offset_blocks,
        ]
    };
    timing(a) == timing(b)
}

/// Most blocks from a session's first to the one that settles it, under any params that ever were in force or will be next.
pub(crate) fn longest_life(state: &dyn StateRead) -> Result<i64, StateError> {
    let mut all = vec![params(state)?];
    let updates: Vec<ParamsUpdate> = scan(state, Store::Shared, HISTORY)?;
    all.extend(updates.into_iter().filter_map(|update| update.params));
    let life = |params: &Params| {
        let blocks = i64::try_from(params.num_blocks_per_session).unwrap_or(i64::MAX);
        blocks.saturating_add(Timing::new(params).end_to_proof_close_blocks())
    };
    Ok(all.iter().map(life).max().unwrap_or(i64::MAX))
}

/// Promotes the history entry that becomes effective at this height.
pub(crate) fn end_block(ctx: &mut Context<'_>) -> Result<(), Fault> {
    let key = history_key(HISTORY, ctx.height());
    let update: Option<ParamsUpdate> = ctx.get(Store::Shared, &key)?;
    if let Some(params) = update.and_then(|update| update.params) {
        set_params(ctx, &params);
    }
    Ok(())
}

/// What is wrong with a service id (`x/shared/types/service.go`).
pub(crate) fn service_id_fault(id: &str) -> Option<String> {
    if id.is_empty() {
        return Some("empty service ID".into());
    }
    if id.len() > MAX_SERVICE_ID_LEN {
        return Some(format!(
            "service ID '{id}' exceeds maximum length: {MAX_SERVICE_ID_LEN}"
        ));
    }
    ServiceId::new(id)
        .is_err()
        .then(|| format!("service ID '{id}' contains invalid characters"))
}

/// End of the session that contains the current height.
pub(crate) fn current_session_end(ctx: &Context<'_>) -> Result<Height, StateError> {
    Ok(Timing::new(&params(&ctx.state)?).end(ctx.height()))
}

/// Start of the next session.
pub(crate) fn next_session_start(ctx: &Context<'_>) -> Result<Height, StateError> {
    Ok(Height(current_session_end(ctx)?.0.saturating_add(1)))
}

/// Height at which a stake that left at `unstake_session_end` is paid back.
pub(crate) fn unbonding_end(unstake_session_end: u64, sessions: u64, params: &Params) -> i64 {
    let blocks = sessions.saturating_mul(params.num_blocks_per_session);
    i64::try_from(unstake_session_end.saturating_add(blocks)).unwrap_or(i64::MAX)
}
