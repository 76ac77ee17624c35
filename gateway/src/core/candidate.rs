//! A supplier that one relay may try.

use std::sync::Arc;

use portico_relay::RpcType;
use portico_session_cache::{SessionView, SupplierView};

/// A supplier of a session that may be tried.
#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    /// The session.
    pub(crate) session: Arc<SessionView>,
    /// Index of the supplier in the session.
    pub(crate) supplier: usize,
    /// Index of the application among the service's.
    pub(crate) application: usize,
    /// Kind of call that it is to take.
    pub(crate) rpc_type: RpcType,
}

impl Candidate {
    pub(crate) fn supplier(&self) -> &SupplierView {
        &self.session.suppliers[self.supplier]
    }

    /// Where the supplier takes relays of this kind.
    pub(crate) fn url(&self) -> &str {
        self.supplier()
            .url(self.rpc_type.wire())
            .expect("suppliers without one are never ranked")
    }
}
