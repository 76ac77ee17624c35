//! Mempool, block execution over the store, gRPC and CometBFT-style RPC: a chain whose validators' keys are all here, or two thirds of them.
//!
//! ```text
//!                    ┌────────────── Node ──────────────────────────────────────────────┐
//!  in process ──────►│ LocalChain ─┐                                                    │
//!  JSON-RPC :26657 ─►│ rpc ────────┼─► Api ─► View: newest committed version ◄─┐        │
//!  gRPC :9090 ──────►│ grpc ───────┘    └──► Mempool ──► Solo ──► Machine ──► commit ──►│ chain.redb
//!                    └──────────────────────────────────(modules of portico-chain)──────┘
//! ```
//! [`Node::open`] opens the data and binds both addresses; [`Node::run`] makes blocks and serves until it is told to stop. All three
//! doors end in the same router, so that a query has one answer. Blocks, headers and commits are CometBFT's, bit for bit: a block id
//! is the hash of its header, `app_hash` in header h + 1 is the root of the state after h, and `last_commit` holds signatures of
//! the canonical precommit by more than two thirds of the validators of h.
//!
//! Invariants:
//! - What a reader sees was committed: the head is told after the block is durable, the mempool checked again, the metrics counted.
//! - Executed blocks that are not durable stack above the tip by block id, at most [`portico_engine::MAX_OVERLAYS`].
//! - Nothing from the network panics, and everything is bounded: bodies, batches, connections, calls at a time, the mempool by
//!   transactions, bytes and sender.
//! - The node never goes on from a state that is not on disk. While the disk refuses a block (it is full), that block waits, is tried
//!   again with a growing pause of at most five seconds, and queries go on; any other failure of the store stops the node.
//!
//! Deliberately absent: peers and votes, an index of events (a search reads results).
//! Start reading at [`Node`], then `machine.rs`; `block.rs` has the formats.

mod admin;
mod api;
mod block;
mod error;
mod grpc;
mod hash;
mod key;
mod local;
mod machine;
mod mempool;
mod metrics;
mod node;
mod results;
mod rpc;
mod search;
mod signatures;
mod state;
mod upkeep;
mod validators;

pub use error::NodeError;
pub use key::{KeyFileError, ValidatorKey};
pub use node::{Node, check_genesis};
pub use rpc::read_rpc;
pub use upkeep::door::ask_for_snapshot;
pub use upkeep::{RolledBack, StoredBlock, Upkeep, restore_snapshot, verify_snapshot};
