//! The front door for dApps: JSON-RPC, REST, CometBFT over HTTP, and WebSockets.
//!
//! ```text
//!  front      callers come in: HTTP, error mapping only; WebSockets, kept across suppliers
//!    │ codec  what they speak: bytes → calls, payload → verdict; JSON-RPC, plain HTTP
//!    ▼
//!  relayer    the straight line: session ► core::plan ► sign ► supplier ► verify ► judge
//!    │ core   pure decisions: whom to try next, whom to blame, what a failure means
//!    ▼
//!  supplier   how a signed request reaches a supplier, and its messages back: HTTP, WebSocket
//! ```
//! - Nothing of a supplier's is shown before its signature, payload hash and session header were verified and the payload was found
//!   to be an answer to the call.
//! - A JSON-RPC answer from the chain is HTTP 200 with the supplier's bytes; an error of ours has the caller's id byte for byte. REST and
//!   CometBFT by URI are mirrored: the backend's status, body, and listed headers.
//! - `core` knows no transport and no codec, and does no I/O: state, event, instant and seed in, decision out.
//! - Where a new thing goes: a protocol that callers speak in `codec`, a transport to suppliers in `supplier`, a transport of callers in
//!   `front`, an error of ours in `front/error/table.rs`, a refusal of suppliers in `portico-relay`.
//! - No cache of answers, no authentication: not here yet.
//!
//! Start reading at `relayer.rs`.

mod codec;
mod core;
mod error;
mod front;
mod gateway;
mod metrics;
mod presign;
mod relay_once;
mod relayer;
mod signer;
mod supplier;

pub use core::receipt::{Receipt, ReceiptOutcome};
pub use error::GatewayError;
pub use gateway::Gateway;
pub use relay_once::{Check, FailedAttempt, OneCall, OneError, Relayed, relay_once};
