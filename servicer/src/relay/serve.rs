//! One relay, from bytes to bytes. Start reading here.

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;
use portico_protocol::receipt;
use portico_protocol::wire::pocket::service::RelayResponse;
use portico_relay::Exchange as _;
use portico_relay::stream::Framing;
use portico_telemetry::{Origin, span};
use tokio::time::Instant;
use tracing::field::Empty;
use tracing::{Instrument as _, debug};

use crate::backend::{Admitted, BackendError};
use crate::relay::recorder::Signed;
use crate::relay::refusal::Refusal;
use crate::relay::relays::Relays;
use crate::relay::served::{self, Request};
use crate::relay::stream::Stream;

/// What a client asks for beside the relay request itself.
#[derive(Clone, Debug, Default)]
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
    /// Its id, and its place in a trace.
    pub(crate) origin: Arc<Origin>,
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
        let session = self.session(request).instrument(span!("session")).await?;
        let supplier = self.supplier(&session, &request.supplier)?;
        let _place = self.admittance.relay()?;
        let backends = &request.service.backends;
        let admitted = backends.admit(request.rpc_type, &request.relay.payload).await?;
        let framing = wanted.framing(&admitted);
        let checking = self.check_signature(request, &session);
        checking.instrument(span!("check signature")).await?;
        // Verified first, reserved after: a forged request holds no budget.
        let first_sight = self.replays.first_sight(&meta.signature);
        let first_sight = first_sight.ok_or(Refusal::Replayed)?;
        let leaf = self.room(bytes)?;
        let metering = span!("meter");
        let reserved = metering.in_scope(|| self.recorder.reserve(supplier, leaf))?;
        let admitting = self.recorder.admit(&session, request.supplier, reserved);
        let admission = admitting.instrument(metering).await?;
        first_sight.keep();

        let asked = Instant::now();
        let asking = span!(
            "backend",
            otel.kind = "client",
            status = Empty,
            otel.status_code = Empty
        );
        let told = match self.propagates {
            true => asking.in_scope(|| wanted.origin.headers()),
            false => HeaderMap::new(),
        };
        let opening = backends.open(admitted, meta, told);
        let opened = opening.instrument(asking.clone()).await;
        if opened.is_err() {
            asking.record("otel.status_code", "ERROR");
        }
        let (mut exchange, places) = opened.map_err(|error| admission.unanswered(error))?;
        if let Some(framing) = framing
            && exchange.becomes_stream(framing).await
        {
            let place = self.admittance.stream();
            let place = place.map_err(|refusal| admission.unanswered(refusal))?;
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
        let answered = exchange.next().instrument(asking.clone()).await;
        let message = answered.unwrap_or(Err(BackendError::NoMessage));
        match &message {
            Ok(message) => asking.record("status", message.status),
            Err(_) => asking.record("otel.status_code", "ERROR"),
        };
        drop(asking);
        let message = message.map_err(|error| admission.unanswered(error))?;
        self.metrics.backend(asked.elapsed());

        let signing = self.sign(header, message.payload, &request.key);
        let response = signing.instrument(span!("sign")).await;
        let response = response.map_err(|refusal| admission.unanswered(refusal))?;
        let signed = Signed {
            request: &request.relay,
            response: &response,
            status: message.status,
            durability: request.service.durability,
        };
        let recording = self.recorder.record(admission, &signed);
        recording.instrument(span!("record")).await?;
        drop(places);
        let took = started.elapsed();
        self.metrics.served(took);
        debug!(
            request_id = wanted.origin.request_id(),
            service = %request.service_id,
            session = header.session_id,
            supplier = %request.supplier,
            ms = took.as_millis(),
            "relay served"
        );
        Ok(Ok(response))
    }
}
