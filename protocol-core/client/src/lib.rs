//! What a gateway, a servicer or a tool asks of a chain, in traits by use, and its remote implementation.
//!
//! ```text
//! gateway ─┐                       ┌─ the embedded node (in process)
//! servicer ├─► dyn Chain ──────────┤
//! cli     ─┘                       └─ full nodes over gRPC and CometBFT RPC
//! ```
//! | trait | asked for |
//! |---|---|
//! | [`Blocks`] | the head, blocks and their results |
//! | [`ModuleParams`] | params of the modules |
//! | [`Sessions`] | sessions, compute units, difficulty |
//! | [`Actors`] | applications, gateways, suppliers, services |
//! | [`Claims`] | claims and proofs |
//! | [`Accounts`] | keys, sequences, balances |
//! | [`Transactions`] | simulation, broadcast, outcome |
//!
//! A user takes the ones that it needs (`&dyn Blocks`, `impl Sessions + Accounts`); [`Chain`] is all of them, for who wires parts together.
//! A [`Transport`] passes queries on; every transport is a [`Chain`]. Nothing above these traits knows which one it talks to.

mod blocks;
mod chain;
mod codec;
mod error;
mod remote;
mod transport;

pub use blocks::BlockStream;
pub use chain::{
    Account, Accounts, Actors, BlockEvents, BlockHead, BlockResults, Blocks, BroadcastResult, Chain,
    ChainStatus, Claims, Event, KeepEvent, ModuleParams, RelayChain, Sessions, Transactions, TxResult,
};
pub use codec::RawCodec;
pub use error::ChainError;
pub use remote::{RemoteChain, RemoteConfig};
pub use transport::Transport;
