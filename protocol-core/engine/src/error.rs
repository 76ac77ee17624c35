//! Why an engine stops.

use crate::machine::MachineError;

/// Why an engine stopped.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The state machine cannot go on.
    #[error("block {height} cannot be made")]
    Machine {
        /// Height of the block.
        height: i64,
        /// Why.
        #[source]
        source: MachineError,
    },
    /// Executing a block panicked.
    #[error("making block {height} panicked")]
    Panicked {
        /// Height of the block.
        height: i64,
    },
}

impl EngineError {
    /// Whether the same commit may succeed later, since only the disk refused it.
    #[must_use]
    pub const fn is_unwritable(&self) -> bool {
        let Self::Machine { source, .. } = self else {
            return false;
        };
        matches!(source, MachineError::Unwritable(_))
    }
}
