//! One relay, from bytes to bytes. Start reading here.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use portico_net::budget::{Budgets, Room};
use portico_net::large::{LARGE, LargeWork};
use portico_protocol::receipt;
use portico_protocol::relay::{RelayError, sign_response};
use portico_protocol::wire::pocket::service::RelayResponse;
use portico_protocol::wire::pocket::session::SessionHeader;
use portico_protocol::{Address, Height, SigningKey};
use portico_relay::Exchange as _;
use portico_relay::stream::Framing;
use tokio::time::Instant;

use crate::backend::{Admitted, BackendError};
use crate::metrics::Metrics;
use crate::relay::admittance::Admittance;
use crate::relay::recorder::{Recorder, Signed};
use crate::relay::refusal::Refusal;
use crate::relay::replays::Replays;
use crate::relay::served::{self, Request, Serving};
use crate::relay::stream::Stream;
use crate::relay::verify::Verifier;
use crate::session::lookup::{SessionError, SessionInfo, SessionSupplier, Sessions};
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
}

/// What a client asks for beside the relay request itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Asked {
    /// Value of the `Rpc-Type` header.
    pub(crate) rpc_type: Option<String>,
    /// Whether it wants a receipt.
    pub(crate) receipt: bool,
    /// Whether it understands chained streams.
    pub(crate) chained: bool,
    /// Whether it declares its request as JSON.
    pub(crate) is_json: bool,
    /// Whether its transport has room for one message only.
    pub(crate) whole: bool,
}

impl Asked {
    /// How a stream is framed for this client; `None` where it has to be one message. PATH understands no stream, and is known by a payload that
    /// has no header but its type.
    fn framing(&self, admitted: &Admitted) -> Option<Framing> {
        match self.chained {
            _ if self.whole => None,
            true => Some(Framing::Chained),
            false if self.is_json && admitted.says_content_type_alone() => None,
            false => Some(Framing::Delimited),
        }
    }
}

/// What becomes of a relay that is served.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "the usual one is not boxed")]
pub(crate) enum Served {
    /// One message.
    Whole(Answer),
    /// Messages as the backend goes on.
    Stream(Box<Stream>),
}

/// What a served relay is answered with.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) response: RelayResponse,
    /// Ties the response to its request, when that was asked for.
    pub(crate) receipt: Option<String>,
}

impl Relays {
    /// Serves one relay request.
    pub(crate) async fn serve(&self, body: Bytes, asked: &Asked) -> Result<Served, Refusal> {
        let bytes = body.len();
        let rpc_type = asked.rpc_type.as_deref();
        let request = self
            .serving
            .now()
            .accept(served::decode(body)?, bytes, rpc_type)?;
        let response = match self.answer(&request, bytes, asked).await? {
            Ok(response) => response,
            Err(stream) => return Ok(Served::Stream(stream)),
        };
        let receipt = match asked.receipt {
            true => receipt::sign(&request.relay, &response, &request.key).ok(),
            false => None,
        };
        Ok(Served::Whole(Answer { response, receipt }))
    }

    /// Every check is made before the backend is asked; the answer leaves after its leaf is on disk. One that comes piece by piece is not
    /// awaited here.
    async fn answer(
        &self,
        request: &Request,
        bytes: usize,
        wanted: &Asked,
    ) -> Result<Result<RelayResponse, Box<Stream>>, Refusal> {
        let started = Instant::now();
        let (meta, header) = served::parts(&request.relay)?;
        let session = self.session(request).await?;
        let supplier = self.supplier(&session, &request.supplier)?;
        let _place = self.admittance.relay()?;
        let backends = &request.service.backends;
        let admitted = backends.admit(request.rpc_type, &request.relay.payload).await?;
        let framing = wanted.framing(&admitted);
        self.check_signature(request, &session).await?;
        // Verified first, reserved after: a forged request holds no budget.
        let first_sight = self.replays.first_sight(&meta.signature);
        let first_sight = first_sight.ok_or(Refusal::Replayed)?;
        let leaf = self.room(bytes)?;
        let reserved = self.recorder.reserve(supplier, leaf)?;
        let admission = self.recorder.admit(&session, request.supplier, reserved).await?;
        first_sight.keep();

        let asked = Instant::now();
        let (mut exchange, places) = backends.open(admitted, meta).await?;
        if let Some(framing) = framing.filter(|_| exchange.is_stream()) {
            let place = self.admittance.stream()?;
            self.metrics.backend(asked.elapsed());
            return Ok(Err(Box::new(Stream {
                framing,
                backend: exchange.into_stream().ok_or(BackendError::NoMessage)?,
                request: Arc::clone(&request.relay),
                header: header.clone(),
                service: Arc::clone(&request.service),
                key: Arc::clone(&request.key),
                grace_end: session.windows.grace_end,
                parked: admission.park(),
                places: (places, place),
            })));
        }
        let message = exchange.next().await.unwrap_or(Err(BackendError::NoMessage))?;
        self.metrics.backend(asked.elapsed());

        let response = self.sign(header, message.payload, &request.key).await?;
        let signed = Signed {
            request: &request.relay,
            response: &response,
            status: message.status,
            durability: request.service.durability,
        };
        self.recorder.record(admission, &signed).await?;
        drop(places);
        self.metrics.served(started.elapsed());
        Ok(Ok(response))
    }

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
