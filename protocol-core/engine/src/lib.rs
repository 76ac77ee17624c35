//! The Engine trait and solo, the one-validator engine.
//!
//! ```text
//!  Engine (when, in which order)                    StateMachine (what)
//!  Solo ── build(parent, slot, txs) ──► overlay of the block, by its id, on the parent's overlay or the tip
//!       ── certify(block)           ──► why the block is final: here one signature
//!       ── commit(id, certificate)  ──► one durable write; siblings dropped
//! ```
//! An engine decides order and time; a [`StateMachine`] executes. They share block ids, heights and bytes, nothing else, so that an
//! engine of many validators fits behind the same two traits. [`Overlays`] is what a state machine keeps its executed blocks in.
//!
//! Invariants: a block's time is later than its parent's; a commit is done once; at most [`MAX_OVERLAYS`] executed blocks wait,
//! and one that was evicted comes back when it is verified again.
//! Deliberately absent: networks and votes (another engine), mempool and transactions' meaning (the state machine's owner).
//! Start reading at [`StateMachine`], then [`Solo::step`].

mod clock;
mod error;
mod machine;
mod overlays;
mod solo;

pub use clock::{Clock, SystemClock};
pub use error::EngineError;
pub use machine::{Block, BlockId, Committed, MachineError, Slot, StateMachine, Tip, TxSource, Verdict};
pub use overlays::{MAX_OVERLAYS, Overlays};
pub use solo::{Certify, Engine, Pace, Pool, Solo};
