//! One relay, from bytes to bytes. Start reading here.

use std::sync::Arc;

use bytes::Bytes;
use portico_client::Chain;
use portico_protocol::relay::{RelayError, sign_response};
use portico_protocol::wire::pocket::service::RelayResponse;
use portico_relay::Exchange as _;
use tokio::time::Instant;

use crate::backend::{BackendError, Call};
use crate::buffers::Buffers;
use crate::metrics::Metrics;
use crate::relay::recorder::{Recorder, Signed};
use crate::relay::refusal::Refusal;
use crate::relay::served::{self, Request, Served};
use crate::relay::verify::Verifier;
use crate::session::lookup::{SessionInfo, Sessions};

/// What the hot path works with.
pub(crate) struct Relays {
    pub(crate) served: Served,
    pub(crate) verifier: Verifier,
    pub(crate) sessions: Arc<Sessions<dyn Chain>>,
    pub(crate) recorder: Recorder,
    pub(crate) buffers: Buffers,
    pub(crate) metrics: Arc<Metrics>,
}

impl Relays {
    /// Serves one relay request. `rpc_type` is the value of its `Rpc-Type` header.
    pub(crate) async fn serve(&self, body: Bytes, rpc_type: Option<&str>) -> Result<RelayResponse, Refusal> {
        let bytes = body.len();
        let request = self.served.accept(served::decode(body)?, bytes, rpc_type)?;
        self.answer(&request).await
    }

    /// Every check is made before the backend is asked; the answer leaves after its leaf is on disk.
    async fn answer(&self, request: &Request) -> Result<RelayResponse, Refusal> {
        let started = Instant::now();
        let (meta, header) = served::parts(&request.relay)?;
        let session = self
            .sessions
            .find(header, request.application, &request.service_id)
            .await?;
        let reserved = self.recorder.reserve(session.supplier(&request.supplier)?)?;
        self.check_signature(request, &session).await?;
        let admission = self.recorder.admit(&session, request.supplier, reserved).await?;

        let asked = Instant::now();
        let call = Call {
            rpc_type: request.rpc_type,
            meta,
            payload: &request.relay.payload,
        };
        let mut exchange = request.service.backends.open(call).await?;
        let message = exchange.next().await.unwrap_or(Err(BackendError::NoMessage))?;
        self.metrics.backend(asked.elapsed());

        let response = sign_response(header, message.payload, &request.key);
        let signed = Signed {
            request: &request.relay,
            response: &response,
            status: message.status,
            durability: request.service.durability,
        };
        self.recorder.record(admission, &signed).await?;
        self.metrics.served(started.elapsed());
        Ok(response)
    }

    /// The ring signature, with a second look at who may sign when a stranger did.
    async fn check_signature(&self, request: &Request, session: &SessionInfo) -> Result<(), Refusal> {
        let outcome = self.verifier.check(&request.relay, session.ring()).await;
        if !matches!(outcome, Err(Refusal::Signature(RelayError::ForeignRingKey(_)))) {
            return outcome;
        }
        match self.sessions.renewed_ring(session).await {
            Some(ring) => self.verifier.check(&request.relay, ring).await,
            None => outcome,
        }
    }
}
