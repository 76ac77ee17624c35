//! WebSockets to suppliers, by the same plan as calls: whom to try, whom to blame.

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;
use portico_client::BlockHead;
use portico_protocol::ServiceId;
use portico_protocol::wire::pocket::service::RelayRequest;
use portico_relay::RpcType;
use portico_telemetry::{Origin, span};
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};
use tracing::{Instrument as _, debug};

use super::{Relayer, applications};
use crate::core::attempt::{Failed, Miss};
use crate::core::candidate::Candidate;
use crate::core::choice::Choice;
use crate::core::error::RelayError;
use crate::core::fault::Fault;
use crate::core::plan::Plan;
use crate::supplier::websocket::Link;

impl Relayer {
    /// Opens a WebSocket to a supplier of the service's current session, trying suppliers in order until one takes it.
    pub(crate) async fn link(
        &self,
        service: &ServiceId,
        choice: Option<Arc<Choice>>,
        origin: &Origin,
        deadline: Instant,
    ) -> Result<Link, RelayError> {
        let signers = self.signers.of(service);
        let applications = applications(signers, choice.as_deref());
        let mut rng = self.draw();
        let kind = RpcType::WebSocket;
        let mut plan = Plan::new(kind, choice, applications, self.max_attempts, deadline, &mut rng);
        while let Some(candidate) = self.next_candidate(&mut plan, signers, service, deadline).await {
            let begun = Instant::now();
            let until = deadline.min(begun + self.attempt_timeout);
            let told = match self.propagates {
                true => origin.headers(),
                false => HeaderMap::new(),
            };
            let opening = self.sockets.open(candidate.clone(), self.budgets(None), told);
            let opening = opening.instrument(span!("WebSocket to a supplier", otel.kind = "client"));
            let ms = || u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
            let fault = match timeout_at(until, opening).await {
                Ok(Ok(link)) => return Ok(link),
                Ok(Err(fault)) => fault,
                Err(_) => Fault::Timeout(ms()),
            };
            self.link_failed(&candidate, &fault);
            let miss = Miss {
                fault,
                ms: ms(),
                fallback: None,
            };
            plan.failed(&candidate, miss);
        }
        Err(plan.into_error())
    }

    /// The signed request whose payload is a client's message.
    pub(crate) fn sign_message(
        &self,
        candidate: &Candidate,
        service: &ServiceId,
        payload: Bytes,
    ) -> Result<RelayRequest, RelayError> {
        let signer = &self.signers.of(service)[candidate.application];
        self.sign(candidate, signer, payload, &mut self.draw())
    }

    /// A message of the supplier was verified.
    pub(crate) fn link_told(&self, candidate: &Candidate) {
        let supplier = candidate.supplier().operator;
        self.reputation().praise(&supplier, self.sessions.height());
    }

    /// The supplier took no WebSocket, or ended one.
    pub(crate) fn link_failed(&self, candidate: &Candidate, fault: &Fault) {
        let (session, supplier) = (&candidate.session, candidate.supplier().operator);
        debug!(%supplier, cause = fault.cause(), fault = fault.unquoted(), session = session.id(), "WebSocket lost");
        self.metrics.failed(fault);
        self.reputation()
            .blame(session, &supplier, self.sessions.height(), fault);
    }

    /// What is said when supplier after supplier ends the socket, or there is none but the last, who ended it with this fault.
    pub(crate) fn given_up(&self, candidate: &Candidate, fault: Fault) -> RelayError {
        let supplier = candidate.supplier().operator;
        RelayError::of_last(Failed {
            supplier,
            fault,
            ms: 0,
        })
    }

    /// Tells of each new block.
    pub(crate) fn head(&self) -> watch::Receiver<BlockHead> {
        self.head.clone()
    }
}
