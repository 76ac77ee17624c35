//! The [`Chain`] trait: all that a gateway, a servicer or a tool asks of a chain, and its remote implementation.
//!
//! ```text
//! gateway ─┐                       ┌─ the embedded node (in process)
//! servicer ├─► dyn Chain ──────────┤
//! cli     ─┘                       └─ full nodes over gRPC and CometBFT RPC
//! ```
//! A [`Transport`] passes queries on; every transport is a [`Chain`].
//! Nothing above this trait knows which one it talks to.

mod blocks;
mod chain;
mod codec;
mod error;
mod remote;
mod transport;

pub use blocks::Blocks;
pub use chain::{Account, BlockHead, BlockResults, BroadcastResult, Chain, ChainStatus, Event, TxResult};
pub use codec::RawCodec;
pub use error::ChainError;
pub use remote::{RemoteChain, RemoteConfig};
pub use transport::Transport;
