//! One relay for a tool: the gateway's own path without its front door.

use std::sync::Arc;

use bytes::Bytes;
use portico_client::Chain;
use portico_config::gateway::GatewayConfig;
use portico_protocol::{Address, ServiceId};
use portico_session_cache::SessionView;

use crate::GatewayError;

/// A JSON-RPC call to relay once.
#[derive(Clone, Debug)]
pub struct OneCall {
    /// The service that is called.
    pub service: ServiceId,
    /// Path and query behind the supplier's URL: empty, or starting with `/`.
    pub path: String,
    /// The JSON-RPC request, sent as it is.
    pub body: Bytes,
}

/// One thing that was verified about an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What was verified, e.g. `supplier signature`.
    pub name: &'static str,
    /// Against what, for people.
    pub detail: String,
}

/// One try at one supplier that did not succeed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedAttempt {
    /// The supplier.
    pub supplier: Address,
    /// Short name of the cause, as in metrics, e.g. `signature`.
    pub cause: &'static str,
    /// The cause for people.
    pub message: String,
    /// Time it took, in milliseconds.
    pub ms: u64,
}

/// A verified answer and how it came about.
#[derive(Clone, Debug)]
pub struct Relayed {
    /// The supplier's JSON bytes; empty for a notification.
    pub answer: Bytes,
    /// HTTP status that the supplier's backend gave.
    pub backend_status: u32,
    /// The supplier that answered.
    pub supplier: Address,
    /// Its endpoint.
    pub endpoint: String,
    /// The session in which it was relayed.
    pub session: Arc<SessionView>,
    /// Hash of the relay: the key of its leaf in the supplier's trie.
    pub relay_hash: [u8; 32],
    /// Tries at other suppliers before.
    pub failed_attempts: Vec<FailedAttempt>,
    /// All that was verified, in order.
    pub checks: Vec<Check>,
    /// Time from call to verified answer, in milliseconds.
    pub ms: u64,
}

/// Why one relay did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum OneError {
    /// The configuration does not allow it.
    #[error(transparent)]
    Setup(#[from] GatewayError),
    /// The relay failed: the reason as the front door would name it, the text, and the tries.
    #[error("{reason}: {message}")]
    Relay {
        /// `data.reason` of the front door's error answer, e.g. `suppliers_failed`.
        reason: &'static str,
        /// The same error's message.
        message: String,
        /// Tries at suppliers.
        failed_attempts: Vec<FailedAttempt>,
    },
}

/// Relays `call` once with the keys and limits of `config`; its listen address is not used.
pub async fn relay_once(
    _config: &GatewayConfig,
    _chain: Arc<dyn Chain>,
    _call: OneCall,
) -> Result<Relayed, OneError> {
    unimplemented!()
}
