//! For tests: a chain in memory that runs the real state machine, when the test says so.
//!
//! ```text
//!  test ── stake, send, advance, fail ──► MemoryChain ── execute, query, check ──► portico_chain
//!  code under test ── portico_client's traits ──► transport ──►┘
//! ```
//! What it answers, and what it refuses, is what the chain says: queries run on the state after the newest block, by the same transport as
//! those of the node in process. On top of that are only [`Fault`]s, delays and counters, by question, blocks that nobody is told of yet,
//! endpoints that a genesis cannot have, and [`MemoryChain::amend`]. It has no disk, no signatures of blocks and no clock: a block's hash follows from its height and from what was rolled back before.
//!
//! Start reading at [`MemoryChain`].
#![allow(clippy::unwrap_used, clippy::missing_panics_doc, reason = "for tests")]

mod answer;
mod chain;
mod faults;
mod founding;
#[cfg(test)]
mod tests;

pub use chain::{Included, MemoryChain, Values};
pub use faults::{Fault, question};
