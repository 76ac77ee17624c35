//! The state machine: modules, messages, params, events, begin and end block over an abstract key-value state. Pure.
//!
//! ```text
//! genesis ─► init ─► state ◄── query (by gRPC path)
//!                      │
//!   transactions ─► execute ─► changes, events          check, simulate: the same, nothing kept
//!                      └─ end of block: session hash · proofs · settlement · unbonding · params
//! ```
//! | module | owns |
//! |---|---|
//! | `tx`, `auth`, `bank` | who signed, in which order, for what fee; balances and supply |
//! | `authz`, `feegrant` | who may act for somebody else, and whose fees somebody pays |
//! | `application`, `gateway`, `supplier`, `service` | stakes, delegation, what is served, at which difficulty |
//! | `session`, `shared` | who serves whom in which blocks, at which prices |
//! | `proof`, `tokenomics` | claims, proofs, settlement |
//! | `authority`, `governance`, `feature` | who governs; params; rules that hold from a height on, which nodes must know |
//! | `validators` | who commits to blocks, from a height on |
//!
//! Invariants: the only clock is the header's; state is read and written through [`state`]; whatever is hashed iterates in order;
//! arithmetic on value is checked; balances add up to the supply after every block, and a module's account holds what its actors staked;
//! what people send is an outcome, never a panic; an error of [`block::execute`] means that state cannot be read, or that this version lacks
//! a rule that the chain requires. There is no tokio, disk or network in here. Names, numbers and order of checks are the network's, its data
//! are the tests, and `decisions/0003` says where we differ; where our own chain is stricter, a flag says so (`decisions/0001`). Staking of
//! validators is not here yet: they are the genesis', or those that the authority names.
//!
//! Tests: `src/tests/captured_chain` replays a chain of the network's own program from its genesis and lists what differs;
//! `src/tests/vectors_*` run the network's data through blocks; `tests/oracle` holds everything to a plain model over random blocks.
//! Start reading at [`block::execute`]; each module is named after the network's, and its messages are in `<module>/messages.rs`.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

/// Version of the network's software whose rules these are. Clients decide by it what they may send.
pub const RULES_VERSION: &str = "0.1.35";

mod application;
mod auth;
mod authority;
mod authz;
mod bank;
pub mod block;
mod context;
mod error;
mod event;
mod feature;
mod feegrant;
mod gateway;
pub mod genesis;
mod governance;
mod json;
mod proof;
pub mod query;
mod service;
mod session;
mod shared;
mod stake;
pub mod state;
pub mod supplier;
#[cfg(test)]
mod tests;
mod tokenomics;
mod tx;
pub mod validators;
