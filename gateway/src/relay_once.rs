//! One relay for a tool: the gateway's own path without its front door.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use portico_client::RelayChain;
use portico_config::gateway::GatewayConfig;
use portico_protocol::{Address, ServiceId};
use portico_relay as relay;
use portico_session_cache::SessionView;
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::time::Instant;

use crate::GatewayError;
use crate::codec::jsonrpc::{self, Body, JsonRpc};
use crate::core::attempt::{Failed, Reply};
use crate::core::call::Call;
use crate::core::receipt::ReceiptOutcome;
use crate::front::error::CallError;
use crate::relayer::Relayer;

/// A JSON-RPC call to relay once.
#[derive(Clone, Debug)]
pub struct OneCall {
    /// The service that is called.
    pub service: ServiceId,
    /// Path and query behind the supplier's URL: empty, or starting with `/`.
    pub path: String,
    /// The JSON-RPC request, sent as it is.
    pub body: Bytes,
    /// Whether the supplier is asked for a receipt.
    pub wants_receipt: bool,
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
    /// The supplier's receipt, if one was asked for.
    pub receipt: ReceiptOutcome,
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
///
/// This is the gateway's own path: the same session, choice of suppliers, retries and verification.
pub async fn relay_once(
    config: &GatewayConfig,
    chain: Arc<dyn RelayChain>,
    call: OneCall,
) -> Result<Relayed, OneError> {
    let chance = StdRng::from_seed(rand::random());
    let relayer = Relayer::new(config, chain, &prometheus::Registry::new(), chance, false)?;
    let begun = Instant::now();
    let deadline = begun + Duration::from_millis(config.relay_timeout_ms);
    let OneCall {
        service,
        path,
        body,
        wants_receipt,
    } = call;
    let expected = match jsonrpc::read(&body, 1) {
        Body::Single(Ok(item)) => item.id,
        Body::Single(Err(not)) => return Err(failure(&CallError::Invalid(not.reason))),
        Body::NotJson => return Err(failure(&CallError::NotJson)),
        Body::Batch(_) | Body::TooLong(_) => {
            return Err(failure(&CallError::BatchTooLarge { max: 1 }));
        }
    };
    let call = Call {
        request: relay::Call::json_rpc(path, body),
        expected,
        budgets: relayer.budgets(None),
        wants_receipt,
        takes_stream: false,
        choice: None,
        origin: Arc::default(),
        deadline,
    };
    let reply = relayer
        .relay(JsonRpc, &service, &call)
        .await
        .map_err(|error| failure(&error.into()))?;
    let ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    Ok(relayed(reply, ms))
}

fn failure(error: &CallError) -> OneError {
    let failed_attempts = attempts(error.attempts());
    OneError::Relay {
        reason: error.row().reason,
        message: error.message(),
        failed_attempts,
    }
}

fn attempts(failed: &[Failed]) -> Vec<FailedAttempt> {
    let attempt = |failed: &Failed| FailedAttempt {
        supplier: failed.supplier,
        cause: failed.fault.cause(),
        message: failed.fault.to_string(),
        ms: failed.ms,
    };
    failed.iter().map(attempt).collect()
}

fn relayed(reply: Reply, ms: u64) -> Relayed {
    let checks = checks(&reply);
    let supplier = reply.candidate.supplier();
    Relayed {
        supplier: supplier.operator,
        endpoint: reply.candidate.url().to_owned(),
        session: Arc::clone(&reply.candidate.session),
        backend_status: reply.backend_status,
        relay_hash: reply.relay_hash,
        failed_attempts: attempts(&reply.failed),
        answer: reply.answer,
        receipt: reply.receipt,
        checks,
        ms,
    }
}

/// What was verified on the way of this reply.
fn checks(reply: &Reply) -> Vec<Check> {
    let (session, supplier) = (&reply.candidate.session, reply.candidate.supplier());
    let payload = match reply.payload_hashed {
        true => "SHA-256 of the answer equals the hash that is signed",
        false => "the signature covers the answer itself",
    };
    let key = hex::encode(supplier.public_key.as_bytes());
    let mut checks = vec![
        Check {
            name: "session header",
            detail: format!("the answer's is the request's: session {}", session.id()),
        },
        Check {
            name: "payload",
            detail: payload.to_owned(),
        },
        Check {
            name: "supplier signature",
            detail: format!(
                "by {} with the public key {key} of its account on chain",
                supplier.operator
            ),
        },
        Check {
            name: "answer",
            detail: "a JSON-RPC answer with the call's id".to_owned(),
        },
    ];
    checks.extend(reply.receipt.verified().map(|_| Check {
        name: "receipt",
        detail: "the supplier's key signs that this answer is the one to this request".to_owned(),
    }));
    checks
}
