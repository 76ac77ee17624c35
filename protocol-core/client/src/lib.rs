//! The [`Chain`] trait: all that a gateway, a servicer or a tool asks of a chain, and its remote implementation.
//!
//! ```text
//! gateway ─┐                       ┌─ the embedded node (in process)
//! servicer ├─► dyn Chain ──────────┤
//! cli     ─┘                       └─ a full node over gRPC and CometBFT RPC
//! ```
//! Nothing above this trait knows which one it talks to.

mod chain;
mod error;

pub use chain::{Account, BlockHead, BlockResults, BroadcastResult, Chain, ChainStatus, Event, TxResult};
pub use error::ChainError;

mod remote;

pub use remote::{RemoteChain, RemoteConfig};
