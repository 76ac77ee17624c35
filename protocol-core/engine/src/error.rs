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
