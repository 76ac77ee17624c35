//! The Engine trait and solo, the one-validator engine.

mod error;
mod machine;

pub use error::EngineError;
pub use machine::{Block, BlockId, Committed, MachineError, Slot, StateMachine, Tip, TxSource, Verdict};

/// Most blocks that may wait for a commit.
pub const MAX_OVERLAYS: usize = 64;
