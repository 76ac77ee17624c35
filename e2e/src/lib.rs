//! Networks as tests: real processes of the real binary on free ports, driven by feature files.
//!
//! ```text
//! DApp ─► portico gateway ─► portico servicer ─► Backend / EvmNode
//!                └───────────┬────────┘
//!                      portico node            + LyingSupplier: staked, but signs garbage
//! ```
//! [`Network`] starts what a user starts; nothing sleeps, everything awaits an event ([`process::eventually`]).

pub mod abuse;
pub mod backend;
pub mod dapp;
pub mod evm;
pub mod kills;
pub mod matrix;
pub mod network;
pub mod nginx;
pub mod node_server;
pub mod process;
pub mod supplier;

pub use backend::Backend;
pub use dapp::{Answer, DApp};
pub use evm::EvmNode;
pub use network::{Network, NetworkSpec};
pub use nginx::Nginx;
pub use node_server::NodeServer;
pub use portico_localnet::ProofPolicy;
pub use portico_localnet::forgery::Forgery;
