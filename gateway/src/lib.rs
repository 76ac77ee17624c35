//! The HTTP/JSON-RPC front door for dApps.
//!
//! ```text
//!            http::server      http::route     relay ── the straight line ──────────────────────────┐
//!  dApp ──►  bound, parse  ──► service, path ──► session ► pick ► sign ► send ► verify ► judge ──► answer
//!                │                                 (plan: what to do next; reputation: whom to prefer)
//!                └── http::error: every error, one table
//! ```
//! - Nothing of a supplier's is shown before its signature, payload hash and session header were verified and the payload was found
//!   to be an answer to the call.
//! - An answer from the chain is HTTP 200 with the supplier's bytes; an error of ours has the caller's id byte for byte.
//! - Decisions (`plan`, `pick`, `reputation`) are pure: state, event and seed in, decision out.
//! - No cache of answers, no authentication, no WebSocket: not here yet.
//!
//! Start reading at `relay.rs`.

mod ahead;
mod error;
mod fault;
mod gateway;
mod http;
mod metrics;
mod once;
mod outcome;
mod pick;
mod plan;
mod relay;
mod reputation;
mod send;
mod signer;
mod verify;

pub use error::GatewayError;
pub use gateway::Gateway;
pub use once::{Check, FailedAttempt, OneCall, OneError, Relayed, relay_once};
