//! The state machine: modules, messages, params, events, begin and end block over an abstract key-value state. Pure.

pub mod block;
pub mod genesis;
pub mod query;
pub mod state;
