//! A node: data, engine, servers.

use std::net::SocketAddr;
use std::sync::Arc;

use portico_chain::genesis::Genesis;
use portico_client::Chain;
use portico_config::node::NodeConfig;
use tokio_util::sync::CancellationToken;

use crate::NodeError;

/// A node with one validator. [`Node::open`] opens everything, [`Node::run`] makes blocks and serves.
pub struct Node {
    rpc: SocketAddr,
    grpc: SocketAddr,
}

impl Node {
    /// Opens the chain's data, or begins it from `genesis`, and binds both addresses. Blocks; does not need a runtime.
    ///
    /// When there is data, its own genesis wins; a `genesis` of another chain id is an error.
    pub fn open(
        _config: NodeConfig,
        _genesis: Genesis,
        _registry: &prometheus::Registry,
    ) -> Result<Self, NodeError> {
        unimplemented!()
    }

    /// The chain, in process.
    #[must_use]
    pub fn chain(&self) -> Arc<dyn Chain> {
        unimplemented!()
    }

    /// Where the CometBFT-style RPC listens.
    #[must_use]
    pub const fn rpc_addr(&self) -> SocketAddr {
        self.rpc
    }

    /// Where gRPC listens.
    #[must_use]
    pub const fn grpc_addr(&self) -> SocketAddr {
        self.grpc
    }

    /// Makes blocks and serves until `stop`, or until something fails.
    pub async fn run(self, _stop: CancellationToken) -> Result<(), NodeError> {
        unimplemented!()
    }
}
