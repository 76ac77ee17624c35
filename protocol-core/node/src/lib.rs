//! Mempool, block execution over the store, gRPC and CometBFT-style RPC.

mod api;
mod block;
mod error;
mod grpc;
mod hash;
mod key;
mod local;
mod machine;
mod mempool;
mod metrics;
mod node;
mod rpc;
mod state;
mod validator;

pub use error::NodeError;
pub use key::{KeyFileError, ValidatorKey};
pub use node::Node;
