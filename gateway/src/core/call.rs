//! A call on its way through the gateway.

use portico_net::budget::Budgets;
use std::sync::Arc;

use portico_relay as relay;
use portico_telemetry::Origin;
use tokio::time::Instant;

use crate::core::choice::Choice;

/// A call to relay; `E` is what its codec must know of it to judge an answer.
#[derive(Clone, Debug)]
pub(crate) struct Call<E> {
    /// What the backend is asked.
    pub(crate) request: relay::Call,
    /// What an answer must fit.
    pub(crate) expected: E,
    /// What its answer may hold.
    pub(crate) budgets: Budgets,
    /// Whether the supplier is asked for a receipt.
    pub(crate) wants_receipt: bool,
    /// Whether its caller takes an answer piece by piece.
    pub(crate) takes_stream: bool,
    /// Whom its caller wants; nobody in particular if there is none.
    pub(crate) choice: Option<Arc<Choice>>,
    /// Its id, and its place in a trace.
    pub(crate) origin: Arc<Origin>,
    /// When the caller must have an answer.
    pub(crate) deadline: Instant,
}
