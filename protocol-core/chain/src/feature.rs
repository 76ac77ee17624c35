//! Feature flags: rules that hold from a height on, kept in state.

use portico_protocol::Height;

use crate::context::Context;
use crate::state::{StateError, StateRead, Store};

/// A proof binds the proved leaf to the challenged path: the path is that of the on-chain session, every skipped sibling is an empty
/// subtree, and the leaf lies where its relay's hash says, with the weight of one relay.
pub(crate) const STRICT_CLOSEST_PROOF: &str = "strict_closest_proof";

/// A claim's sum is compared with count · compute units per relay without wrapping at 2^64.
pub(crate) const EXACT_CLAIM_UNITS: &str = "exact_claim_units";

/// Whether the feature holds at `height`.
pub(crate) fn is_enabled(state: &dyn StateRead, name: &str, height: Height) -> Result<bool, StateError> {
    let bytes = state.get(Store::Feature, name.as_bytes())?;
    let from = bytes
        .and_then(|bytes| bytes.try_into().ok())
        .map(i64::from_be_bytes);
    Ok(from.is_some_and(|from| from <= height.0))
}

/// Enables the feature from `height` on.
pub(crate) fn enable(ctx: &mut Context<'_>, name: &str, height: Height) {
    ctx.state.set(
        Store::Feature,
        name.as_bytes().to_vec(),
        height.0.to_be_bytes().to_vec(),
    );
}
