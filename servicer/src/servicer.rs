//! The parts put together.

use std::net::SocketAddr;
use std::sync::Arc;

use portico_client::Chain;
use portico_config::servicer::ServicerConfig;
use portico_protocol::Address;
use tokio_util::sync::CancellationToken;

use crate::ServicerError;
use crate::leaf_log::{Leaf, LeafLogError};
use crate::ledger::LedgerRow;

/// A servicer whose data is open and whose port is bound; [`Servicer::run`] serves until stopped.
#[derive(Debug)]
pub struct Servicer {
    handle: ServicerHandle,
}

impl Servicer {
    /// Opens the leaf log, rebuilds the open sessions from it, binds the endpoints. Blocks while it reads the log.
    ///
    /// # Errors
    /// See [`ServicerError`]; a taken port is [`ServicerError::Bind`].
    pub fn open(
        _config: ServicerConfig,
        _chain: Arc<dyn Chain>,
        _registry: prometheus::Registry,
    ) -> Result<Self, ServicerError> {
        unimplemented!()
    }

    /// Address of the relay endpoint, with the port that was chosen when the configuration says 0.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        unimplemented!()
    }

    /// A handle to look into the servicer while it runs.
    #[must_use]
    pub fn handle(&self) -> ServicerHandle {
        self.handle.clone()
    }

    /// One row per session and supplier, oldest first. See [`ServicerHandle::ledger`] while it runs.
    #[must_use]
    pub fn ledger(&self) -> Vec<LedgerRow> {
        self.handle.ledger()
    }

    /// Serves relays and follows blocks until `stop`, then drains: refuses new relays, waits for those in progress within the
    /// configured grace, commits what is queued.
    ///
    /// # Errors
    /// When an endpoint or the leaf log fails for good.
    pub async fn run(self, _stop: CancellationToken) -> Result<(), ServicerError> {
        unimplemented!()
    }
}

/// Looks into a running servicer.
#[derive(Clone, Debug)]
pub struct ServicerHandle {}

impl ServicerHandle {
    /// One row per session and supplier, oldest first.
    #[must_use]
    pub fn ledger(&self) -> Vec<LedgerRow> {
        unimplemented!()
    }

    /// Leaves of a session on disk, in the order in which they were committed; empty for an unknown session.
    ///
    /// # Errors
    /// When the leaf log cannot be read.
    pub fn leaves(&self, _session_id: &str, _supplier: &Address) -> Result<Vec<Leaf>, LeafLogError> {
        unimplemented!()
    }
}
