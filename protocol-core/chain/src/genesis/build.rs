//! From a genesis to the first state.

use super::{Genesis, GenesisError};
use crate::state::Changes;

/// Builds the first state.
pub(crate) fn init(_genesis: &Genesis) -> Result<Changes, GenesisError> {
    Err(GenesisError("not built yet".into()))
}
