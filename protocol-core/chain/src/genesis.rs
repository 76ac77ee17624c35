//! The first state: params, accounts, balances, actors.

use serde::{Deserialize, Serialize};

/// Content of a genesis file.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Genesis {
    /// Chain id.
    pub chain_id: String,
}

/// Why a genesis is refused.
#[derive(Debug, Clone, thiserror::Error)]
#[error("genesis refused: {0}")]
pub struct GenesisError(pub String);
