//! A chain at the other end of a network: gRPC and CometBFT RPC.

use crate::ChainError;

/// Where the chain is, and how patient to be.
#[derive(Clone, Debug)]
pub struct RemoteConfig {
    /// CometBFT RPC, e.g. `http://127.0.0.1:26657`.
    pub rpc_url: String,
    /// gRPC, e.g. `http://127.0.0.1:9090`.
    pub grpc_url: String,
    /// Time between two looks at the newest block, in milliseconds.
    pub poll_interval_ms: u64,
    /// Time for one call, in milliseconds.
    pub timeout_ms: u64,
}

/// A full node as a [`crate::Chain`].
pub struct RemoteChain {}

impl RemoteChain {
    /// Connects with the defaults, and checks that the node answers.
    pub async fn connect(_rpc_url: &str, _grpc_url: &str) -> Result<Self, ChainError> {
        unimplemented!()
    }
}
