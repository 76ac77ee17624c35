//! Module shared: session geometry and prices, with their history.

use portico_protocol::session::Timing;
use portico_protocol::types::MAX_SERVICE_ID_LEN;
use portico_protocol::wire::pocket::shared::{Params, ParamsUpdate};
use portico_protocol::{Height, ServiceId};

use crate::context::{Context, history_key, newest, read};
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
