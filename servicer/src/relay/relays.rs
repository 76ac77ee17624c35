//! What the hot path works with, and the steps that every kind of relay takes.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use portico_net::budget::{Budgets, Room};
use portico_net::large::{LARGE, LargeWork};
use portico_protocol::relay::{RelayError, sign_response};
use portico_protocol::wire::pocket::service::RelayResponse;
use portico_protocol::wire::pocket::session::SessionHeader;
use portico_protocol::{Address, Height, SigningKey};

use crate::metrics::Metrics;
use crate::relay::admittance::Admittance;
use crate::relay::recorder::Recorder;
use crate::relay::refusal::Refusal;
use crate::relay::replays::Replays;
use crate::relay::served::{self, Request, Serving};
use crate::relay::verify::Verifier;
use crate::session::error::SessionError;
use crate::session::lookup::{SessionInfo, SessionSupplier, Sessions};
use crate::standing::Standings;

/// How long a request may wait for the block that begins its session.
const EARLY: Duration = Duration::from_secs(2);

/// What the hot path works with.
pub(crate) struct Relays {
    pub(crate) serving: Arc<Serving>,
    pub(crate) standings: Arc<Standings>,
    pub(crate) admittance: Admittance,
    pub(crate) verifier: Verifier,
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) replays: Arc<Replays>,
    pub(crate) recorder: Recorder,
    pub(crate) buffers: Budgets,
    pub(crate) large: LargeWork,
    pub(crate) metrics: Arc<Metrics>,
    /// Whether backends are told of a relay's id and place in a trace.
    pub(crate) propagates: bool,
}

impl Relays {
    /// The signed response. A large payload is hashed off the async workers.
    pub(crate) async fn sign(
        &self,
        header: &SessionHeader,
        payload: Bytes,
        key: &Arc<SigningKey>,
    ) -> Result<RelayResponse, Refusal> {
        if payload.len() < LARGE {
            return Ok(sign_response(header, payload, key));
        }
        let (header, key) = (header.clone(), Arc::clone(key));
        let signing = self.large.run(move || sign_response(&header, payload, &key));
        // Boxed: it is rare, and would be a part of every future above it.
        Box::pin(signing).await.map_err(|_| Refusal::Stopping)
    }

    /// Room for the leaf of a request of so many bytes, which it repeats.
    pub(crate) fn room(&self, bytes: usize) -> Result<Room, Refusal> {
        let mut room = self.buffers.room();
        let fits = room.grow(bytes);
        fits.map_err(|_| Refusal::Overloaded("buffered bytes"))?;
        Ok(room)
    }

    /// The supplier in its session, unless it takes no relays of the session any more.
    pub(crate) fn supplier<'s>(
        &self,
        session: &'s SessionInfo,
        supplier: &Address,
    ) -> Result<&'s SessionSupplier, Refusal> {
        let found = session.supplier(supplier)?;
        match self
            .standings
            .stop(supplier, session.end, session.windows.proof_close)
        {
            Some(alarm) => Err(Refusal::SupplierStopped(alarm)),
            None => Ok(found),
        }
    }

    /// The request's session. One that has to be asked for waits in places of its own.
    pub(crate) async fn session(&self, request: &Request) -> Result<Arc<SessionInfo>, Refusal> {
        let (_, header) = served::parts(&request.relay)?;
        let mut found = std::pin::pin!(
            self.sessions
                .find(header, request.application, &request.service_id)
        );
        let known = tokio::select! {
            biased;
            known = &mut found => Some(known),
            () = std::future::ready(()) => None,
        };
        let outcome = match known {
            Some(known) => known,
            None => {
                let _place = self.admittance.lookup(&request.application)?;
                let found = found.await;
                if found.is_ok() {
                    self.admittance.remember(request.application);
                }
                found
            }
        };
        match outcome {
            Err(early @ SessionError::NotActive { .. }) => Ok(self.once_begun(request, early).await?),
            outcome => Ok(outcome?),
        }
    }

    /// The session of a request that comes one block early: its gateway heard of the block before we did, as the nodes of a chain do within
    /// moments of each other. It is served once the block is here, as the reference relay miner serves it.
    async fn once_begun(
        &self,
        request: &Request,
        early: SessionError,
    ) -> Result<Arc<SessionInfo>, SessionError> {
        let SessionError::NotActive { start, height, .. } = early else {
            return Err(early);
        };
        let begins_next = start == height.saturating_add(1) && self.sessions.may_begin(Height(start));
        let Some(_place) = begins_next.then(|| self.admittance.early()).flatten() else {
            return Err(early);
        };
        let begun = self.sessions.reach(Height(start));
        if tokio::time::timeout(EARLY, begun).await.is_err() {
            return Err(early);
        }
        let Ok((_, header)) = served::parts(&request.relay) else {
            return Err(early);
        };
        self.sessions
            .find(header, request.application, &request.service_id)
            .await
    }

    /// The ring signature, with a second look at who may sign when a stranger did.
    pub(crate) async fn check_signature(
        &self,
        request: &Request,
        session: &SessionInfo,
    ) -> Result<(), Refusal> {
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
