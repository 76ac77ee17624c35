//! Mempool, block execution over the store, gRPC and CometBFT-style RPC.

mod error;
mod key;
mod node;

pub use error::NodeError;
pub use key::{KeyFileError, ValidatorKey};
pub use node::Node;
