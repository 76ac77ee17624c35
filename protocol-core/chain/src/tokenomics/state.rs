//! Params of settlement in the state, and how its arithmetic fails.

use portico_protocol::settlement::SettlementError;
use portico_protocol::wire::pocket::tokenomics::Params;

use crate::context::{Context, read};
use crate::error::{Fault, refuse};
use crate::state::{StateError, StateRead, Store};

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

pub(super) fn arithmetic(error: &SettlementError) -> Fault {
    refuse(MODULE, 1118, error.to_string())
}
