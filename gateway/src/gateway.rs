//! The running gateway: address taken, then served until told to stop.

use std::net::SocketAddr;
use std::sync::Arc;

use portico_client::Chain;
use portico_config::gateway::GatewayConfig;
use tokio_util::sync::CancellationToken;

use crate::GatewayError;

/// A gateway whose address is taken and which is not serving yet.
#[derive(Debug)]
pub struct Gateway {
    address: SocketAddr,
}

impl Gateway {
    /// Takes the listen address and prepares everything; errs when the port is taken or a key is malformed.
    ///
    /// Metrics go to `registry`, which must not hold another gateway's.
    pub async fn bind(
        _config: GatewayConfig,
        _chain: Arc<dyn Chain>,
        _registry: prometheus::Registry,
    ) -> Result<Self, GatewayError> {
        unimplemented!()
    }

    /// The address taken; its port is real even if the configuration said 0.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop`, then refuses new calls and lets those under way finish within `shutdown_grace_ms`.
    pub async fn run(self, _stop: CancellationToken) -> Result<(), GatewayError> {
        unimplemented!()
    }
}
