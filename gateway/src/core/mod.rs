//! Decisions of a relay, pure: state, events, instants and seeds go in, decisions come out. No transport, no codec, no I/O.

pub(crate) mod attempt;
pub(crate) mod call;
pub(crate) mod candidate;
pub(crate) mod choice;
pub(crate) mod error;
pub(crate) mod fault;
pub(crate) mod pick;
pub(crate) mod plan;
pub(crate) mod receipt;
pub(crate) mod reputation;
