//! The state machine: modules, messages, params, events, begin and end block over an abstract key-value state. Pure.
//!
//! ```text
//! genesis ─► init ─► state ◄── query (by gRPC path)
//!                      │
//!   transactions ─► execute ─► changes, events          check, simulate: the same, nothing kept
//!                      └─ end of block: session hash · proofs · settlement · unbonding · params
//! ```
//! Invariants: the only clock is the header's; state is read and written through [`state`]; whatever is hashed iterates in order;
//! arithmetic on value is checked; balances add up to the supply after every block. There is no tokio, disk or network in here.
//!
//! Start reading at [`block::execute`]; each module is named after the network's.

mod application;
mod auth;
mod bank;
pub mod block;
mod context;
mod error;
mod event;
mod feature;
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
mod supplier;
#[cfg(test)]
mod tests;
mod tokenomics;
mod tx;
