//! Module tokenomics: settlement of claims.
//!
//! ```text
//! claim ─► required and not proved? ─► expired, supplier slashed
//!    └───► budget of the application ─► burn its stake, mint and distribute ─► difficulty follows the volume
//! ```

mod distribution;
mod settle;

use portico_protocol::wire::pocket::tokenomics::Params;

use crate::context::{Context, read};
use crate::state::{StateError, StateRead, Store};

pub(crate) use settle::end_block;

pub(crate) const MODULE: &str = "tokenomics";
const PARAMS: &[u8] = b"params";
const VALIDATORS: &[u8] = b"validators";

pub(crate) fn params(state: &dyn StateRead) -> Result<Params, StateError> {
    Ok(read(state, Store::Tokenomics, PARAMS)?.unwrap_or_default())
}

pub(crate) fn set_params(ctx: &mut Context<'_>, params: &Params) {
    ctx.put(Store::Tokenomics, PARAMS.to_vec(), params);
}

/// Who shares the proposer's part, and with what weight: (account, bonded tokens).
pub(crate) fn validators(state: &dyn StateRead) -> Result<Vec<(String, u128)>, StateError> {
    let bytes = state.get(Store::Tokenomics, VALIDATORS)?.unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let parse = |line: &str| {
        let (account, tokens) = line.split_once(' ')?;
        Some((account.to_owned(), tokens.parse().ok()?))
    };
    Ok(text.lines().filter_map(parse).collect())
}

/// Sets the validators of the genesis.
pub(crate) fn set_validators(ctx: &mut Context<'_>, validators: &[(String, u128)]) {
    let text: String = validators
        .iter()
        .map(|(account, tokens)| format!("{account} {tokens}\n"))
        .collect();
    ctx.state
        .set(Store::Tokenomics, VALIDATORS.to_vec(), text.into_bytes());
}
