//! The front door: HTTP in, JSON-RPC in and out, errors as one table.

pub(crate) mod accept;
pub(crate) mod answer;
pub(crate) mod error;
pub(crate) mod jsonrpc;
pub(crate) mod probe;
pub(crate) mod route;
pub(crate) mod server;
