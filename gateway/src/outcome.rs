//! What goes into a relay and what comes out: words that the straight line, the plan and the error table share.

use std::sync::Arc;

use bytes::Bytes;
use portico_protocol::Address;
use portico_protocol::relay as protocol;
use portico_protocol::wire::pocket::shared::RpcType;
use portico_session_cache::{SessionError, SessionView, SupplierView};
use tokio::time::Instant;

use crate::fault::Fault;
use crate::http::jsonrpc::Id;
use crate::pick::Filtered;

/// A call to relay.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    /// The caller's id; `None` asks for no answer.
    pub(crate) id: Id,
    /// The JSON-RPC request, as the caller wrote it.
    pub(crate) body: Bytes,
    /// Path and query behind the supplier's URL: empty, or starting with `/` or `?`.
    pub(crate) path: String,
    /// When the caller must have an answer.
    pub(crate) deadline: Instant,
}

/// A verified answer.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    /// JSON of the chain; empty for a notification.
    pub(crate) answer: Bytes,
    /// HTTP status that the supplier's backend gave.
    pub(crate) backend_status: u32,
    /// Who answered, in which session.
    pub(crate) candidate: Candidate,
    /// Hash of the relay: the key of its leaf in the supplier's trie.
    pub(crate) relay_hash: [u8; 32],
    /// Whether the supplier's signature covers a hash of the payload, or (suppliers of old) the payload itself.
    pub(crate) payload_hashed: bool,
    /// Tries that failed before.
    pub(crate) failed: Vec<Failed>,
}

/// Why an application has no session for us.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Closed {
    #[error(transparent)]
    Session(#[from] SessionError),
    #[error("application {application} has not delegated to gateway {gateway}, whose key would sign for it")]
    NotDelegated { application: Address, gateway: Address },
}

/// Why a call has no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RelayError {
    #[error("as many relays as allowed are under way")]
    Overloaded,
    #[error("there is no session to relay in")]
    Session(#[source] Closed),
    #[error("the application's stake does not pay for another relay in this session")]
    StakeExhausted { attempts: Vec<Failed> },
    #[error("no supplier of the session can be used")]
    NoSupplier {
        filtered: Filtered,
        attempts: Vec<Failed>,
    },
    #[error("no supplier of the session serves JSON-RPC")]
    RpcTypeUnsupported,
    #[error("no supplier answered")]
    SuppliersFailed { attempts: Vec<Failed> },
    #[error("no supplier's answer could be verified")]
    SignatureInvalid { attempts: Vec<Failed> },
    #[error("no supplier's answer was a JSON-RPC answer to the call")]
    BadPayload { attempts: Vec<Failed> },
    #[error("the answer is larger than this gateway takes")]
    ResponseTooLarge { attempts: Vec<Failed> },
    #[error("no answer in time")]
    Deadline {
        phase: &'static str,
        attempts: Vec<Failed>,
    },
    #[error("the relay request cannot be signed")]
    Sign(#[source] protocol::RelayError),
}

/// A supplier of a session that may be tried.
#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    /// The session.
    pub(crate) session: Arc<SessionView>,
    /// Index of the supplier in the session.
    pub(crate) supplier: usize,
    /// Index of the application among the service's.
    pub(crate) application: usize,
}

impl Candidate {
    pub(crate) fn supplier(&self) -> &SupplierView {
        &self.session.suppliers[self.supplier]
    }

    /// Where the supplier takes JSON-RPC relays.
    pub(crate) fn url(&self) -> &str {
        self.supplier()
            .url(RpcType::JsonRpc)
            .expect("suppliers without one are never ranked")
    }
}

/// A try that failed.
#[derive(Clone, Debug)]
pub(crate) struct Failed {
    pub(crate) supplier: Address,
    pub(crate) fault: Fault,
    pub(crate) ms: u64,
}
