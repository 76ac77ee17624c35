//! The HTTP/JSON-RPC front door for dApps.

mod error;
mod gateway;
mod once;

pub use error::GatewayError;
pub use gateway::Gateway;
pub use once::{Check, FailedAttempt, OneCall, OneError, Relayed, relay_once};
