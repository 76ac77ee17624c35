//! A WebSocket between a client and a backend: each message is checked, signed, recorded and paid as a relay.
//!
//! ```text
//!  client ── RelayRequest ──► session, signature, replay ─► recorded with the newest answer ─► message ──► backend
//!         ◄── RelayResponse ── recorded with the newest request ◄─ signed ◄─ budget ◄──────────────────────┘
//! ```
//! - A relay is a request with an answer, so what counts is what the reference relay miner counts: each message of the backend, with the newest
//!   request before it; and each request but the first, with the newest answer before it. A subscription is paid for by each message that it
//!   brings. A leaf is on disk before what it pays for moves on.
//! - The backend is dialled for the first valid request: strangers reach no backend.
//! - A socket belongs to the session and the supplier of its first request. It ends when that session takes no more relays, which is before its
//!   claim: nothing is served that could not be claimed.
//! - Nothing is queued: who is read from waits for who is written to. A slow peer is cut off by its write time-out.
//! - Whatever ends it is a [`Refusal`], and its close code a column of the table of refusals, or the close of the other side.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use portico_net::websocket::{Close, Incoming, Limits, Message, Receiver, Sender, WebSocketError};
use portico_protocol::wire::pocket::service::{RelayRequest, RelayResponse};
use portico_protocol::wire::pocket::session::SessionHeader;
use portico_protocol::{Address, Height, ServiceId, SigningKey};
use portico_relay::message::parts;
use portico_relay::refusal::Reason;
use tokio_util::sync::CancellationToken;

use crate::backend::BackendError;
use crate::relay::recorder::{Recorder, Reserved, Signed};
use crate::relay::refusal::Refusal;
use crate::relay::relays::Relays;
use crate::relay::served::{self, Request, ServedService};
use crate::relay::sockets::Place;
use crate::session::error::SessionError;
use crate::session::lookup::SessionInfo;
use crate::session::meter::Reservation;

/// Time for a peer to take 64 KiB, or what is left of a message; the reference relay miner's for a whole one.
pub(crate) const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest wait for a first request. A gateway opens a socket when its client does, who may have nothing to say for a while.
const FIRST_REQUEST: Duration = Duration::from_secs(300);

/// A client's socket, and what it needs.
pub(crate) struct Bridge {
    pub(crate) relays: Arc<Relays>,
    pub(crate) service_id: ServiceId,
    pub(crate) service: Arc<ServedService>,
    pub(crate) place: Place,
    pub(crate) stop: CancellationToken,
}

/// What a socket belongs to.
struct Bound {
    session: Arc<SessionInfo>,
    header: SessionHeader,
    supplier: Address,
    key: Arc<SigningKey>,
    newest: Mutex<Newest>,
}

/// What the next relay is made of.
struct Newest {
    request: Arc<RelayRequest>,
    /// Size of that request, which its leaf repeats.
    bytes: usize,
    /// The newest answer, without its payload, which no leaf holds.
    answer: Option<RelayResponse>,
    /// The place in the budget for the answer to the newest request; `Some(None)` beyond it, where the operator serves anyway.
    budget: Option<Option<Reservation>>,
}

/// Why a socket is over.
#[derive(Debug)]
enum End {
    /// By the servicer.
    Refused(Refusal),
    /// The session takes no more relays.
    SessionOver,
    /// The client said goodbye.
    ClientCloses(Close),
    /// The client is gone, or breaks the protocol.
    Client(WebSocketError),
    /// The backend said goodbye.
    BackendCloses(Close),
    /// The backend is gone, or breaks the protocol.
    Backend(WebSocketError),
}

impl Bridge {
    /// Serves the client until either side, or the servicer, ends it.
    pub(crate) async fn serve(self, (mut from_client, to_client): (Receiver, Sender)) {
        let mut backend = None;
        let end = tokio::select! {
            end = self.run(&mut from_client, &to_client, &mut backend) => end,
            Err(error) = to_client.keep() => End::Client(error),
            () = self.stop.cancelled() => End::Refused(Refusal::Stopping),
            () = self.place.given_away() => End::Refused(Refusal::Overloaded("WebSockets")),
        };
        self.tell(&end);
        let told = async {
            if let Some(close) = end.for_client() {
                to_client.close(close).await;
                from_client.finish().await;
            }
        };
        let told_backend = async {
            if let Some((sender, close)) = backend.zip(end.for_backend()) {
                sender.close(close).await;
            }
        };
        tokio::join!(told, told_backend);
    }

    async fn run(&self, from_client: &mut Receiver, to_client: &Sender, backend: &mut Option<Sender>) -> End {
        let first = match tokio::time::timeout(FIRST_REQUEST, self.next(from_client)).await {
            Ok(Ok(first)) => first,
            Ok(Err(end)) => return end,
            Err(_) => return End::ClientCloses(Close::new(1001, "no request came")),
        };
        match self.bind(&first).await {
            Ok(bound) => self.exchange(bound, first, from_client, to_client, backend).await,
            Err(refusal) => End::Refused(refusal),
        }
    }

    /// The next message of the client.
    async fn next(&self, from_client: &mut Receiver) -> Result<Message, End> {
        match from_client.next().await {
            Ok(Incoming::Message(message)) => Ok(message),
            Ok(Incoming::Close(close)) => Err(End::ClientCloses(close)),
            Err(error) => Err(End::Client(error)),
        }
    }

    /// What the first request makes the socket belong to.
    async fn bind(&self, first: &Message) -> Result<Bound, Refusal> {
        let (request, session) = self.verified(first, None).await?;
        let supplier = self.relays.supplier(&session, &request.supplier)?;
        let budget = Some(self.relays.recorder.budget(supplier)?);
        self.place.is_paid_for();
        let (_, header) = served::parts(&request.relay)?;
        Ok(Bound {
            header: header.clone(),
            supplier: request.supplier,
            key: Arc::clone(&request.key),
            newest: Mutex::new(Newest {
                request: Arc::clone(&request.relay),
                bytes: first.bytes.len(),
                answer: None,
                budget,
            }),
            session,
        })
    }

    async fn exchange(
        &self,
        bound: Bound,
        first: Message,
        from_client: &mut Receiver,
        to_client: &Sender,
        backend: &mut Option<Sender>,
    ) -> End {
        let limits = Limits {
            max_message_bytes: self.service.max_response_bytes,
            write_timeout: WRITE_TIMEOUT,
            budgets: Some(self.relays.buffers.clone()),
        };
        let request = Arc::clone(&bound.newest().request);
        let connecting = match served::parts(&request) {
            Ok((meta, _)) => self.service.backends.connect(meta, &limits).await,
            Err(refusal) => return End::Refused(refusal),
        };
        let (mut from_backend, to_backend) = match connecting {
            Ok(open) => open,
            Err(error) => return End::Refused(error.into()),
        };
        *backend = Some(to_backend.clone());
        let forwarded = Message {
            kind: first.kind,
            bytes: request.payload.clone(),
        };
        drop((first, request));
        if let Err(error) = to_backend.send(forwarded).await {
            return End::Backend(error);
        }
        let grace_end = bound.session.windows.grace_end;
        let ended = self.relays.sessions.reach(Height(grace_end.0.saturating_add(1)));
        tokio::select! {
            end = self.upwards(&bound, from_client, &to_backend) => end,
            end = self.downwards(&bound, &mut from_backend, to_client) => end,
            Err(error) = to_backend.keep() => End::Backend(error),
            () = ended => End::SessionOver,
        }
    }

    /// Takes requests to the backend until something ends.
    async fn upwards(&self, bound: &Bound, from_client: &mut Receiver, to_backend: &Sender) -> End {
        loop {
            let message = match self.next(from_client).await {
                Ok(message) => message,
                Err(end) => return end,
            };
            let kind = message.kind;
            let bytes = match self.request(bound, message).await {
                Ok(request) => request.payload.clone(),
                Err(refusal) => return End::Refused(refusal),
            };
            if let Err(error) = to_backend.send(Message { kind, bytes }).await {
                return End::Backend(error);
            }
        }
    }

    /// Takes messages of the backend to the client until something ends.
    async fn downwards(&self, bound: &Bound, from_backend: &mut Receiver, to_client: &Sender) -> End {
        loop {
            let message = match from_backend.next().await {
                Ok(Incoming::Message(message)) => message,
                Ok(Incoming::Close(close)) => return End::BackendCloses(close),
                Err(error) => return End::Backend(error),
            };
            let kind = message.kind;
            let response = match self.answer(bound, message).await {
                Ok(response) => response,
                Err(refusal) => return End::Refused(refusal),
            };
            if let Err(error) = to_client.send_parts(kind, parts(response)).await {
                return End::Client(error);
            }
        }
    }

    /// A request that passed every check, with its session.
    async fn verified(
        &self,
        message: &Message,
        bound: Option<&Bound>,
    ) -> Result<(Request, Arc<SessionInfo>), Refusal> {
        let relays = &self.relays;
        let relay = served::decode(message.bytes.clone())?;
        let request = relays.serving.now().accept_message(relay, message.bytes.len())?;
        let (meta, header) = served::parts(&request.relay)?;
        if request.service_id != self.service_id {
            return Err(Refusal::Session(SessionError::Header("service_id")));
        }
        if let Some(bound) = bound {
            if let Some(field) = portico_protocol::relay::header_difference(header, &bound.header) {
                return Err(Refusal::Session(SessionError::Header(field)));
            }
            if request.supplier != bound.supplier {
                return Err(Refusal::Session(SessionError::Supplier(request.supplier)));
            }
        }
        let session = relays.session(&request).await?;
        relays.supplier(&session, &request.supplier)?;
        let _place = relays.admittance.relay()?;
        relays.check_signature(&request, &session).await?;
        let first_sight = relays.replays.first_sight(&meta.signature);
        first_sight.ok_or(Refusal::Replayed)?.keep();
        Ok((request, session))
    }

    /// A request after the first: it is a relay with the newest answer, if there is one.
    async fn request(&self, bound: &Bound, message: Message) -> Result<Arc<RelayRequest>, Refusal> {
        let bytes = message.bytes.len();
        let (request, session) = self.verified(&message, Some(bound)).await?;
        let supplier = self.relays.supplier(&session, &request.supplier)?;
        let recorder = &self.relays.recorder;
        let answer = bound.newest().answer.clone();
        if let Some(answer) = answer {
            let budget = recorder.budget(supplier)?;
            let reserved = recorder.place(budget, self.relays.room(bytes)?).await?;
            self.record(bound, reserved, &request.relay, &answer).await?;
        }
        let budget = match bound.newest().budget.take() {
            Some(budget) => budget, // of an answer that has not come
            None => recorder.budget(supplier)?,
        };
        let mut newest = bound.newest();
        newest.request = Arc::clone(&request.relay);
        newest.bytes = bytes;
        newest.budget = Some(budget);
        drop(newest);
        Ok(request.relay)
    }

    /// A message of the backend, signed and recorded.
    async fn answer(&self, bound: &Bound, message: Message) -> Result<RelayResponse, Refusal> {
        let (request, bytes, budget) = {
            let mut newest = bound.newest();
            (Arc::clone(&newest.request), newest.bytes, newest.budget.take())
        };
        let recorder: &Recorder = &self.relays.recorder;
        let budget = match budget {
            Some(budget) => budget,
            None => recorder.budget(self.relays.supplier(&bound.session, &bound.supplier)?)?,
        };
        let reserved = recorder.place(budget, self.relays.room(bytes)?).await?;
        let signing = self.relays.sign(&bound.header, message.bytes, &bound.key);
        let response = signing.await?;
        self.record(bound, reserved, &request, &response).await?;
        bound.newest().answer = Some(RelayResponse {
            payload: bytes::Bytes::new(),
            ..response.clone()
        });
        Ok(response)
    }

    async fn record(
        &self,
        bound: &Bound,
        reserved: Reserved,
        request: &RelayRequest,
        response: &RelayResponse,
    ) -> Result<(), Refusal> {
        let recorder = &self.relays.recorder;
        let admission = recorder.admit(&bound.session, bound.supplier, reserved).await?;
        let signed = Signed {
            request,
            response,
            status: 200,
            durability: self.service.durability,
        };
        recorder.record(admission, &signed).await?;
        self.relays.metrics.message_served();
        Ok(())
    }

    fn tell(&self, end: &End) {
        let reason = end.name();
        if let End::Refused(refusal) = end {
            self.relays.metrics.relay(refusal.reason().row().name);
        }
        self.relays.metrics.websocket_closed(reason);
        tracing::debug!(service = %self.service_id, reason, ?end, "a WebSocket ends");
    }
}

impl Bound {
    fn newest(&self) -> MutexGuard<'_, Newest> {
        self.newest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl End {
    /// Label in metrics.
    const fn name(&self) -> &'static str {
        match self {
            Self::Refused(refusal) => refusal.reason().row().name,
            Self::SessionOver => "session_over",
            Self::ClientCloses(_) => "client_closed",
            Self::Client(WebSocketError::Slow) => "client_slow",
            Self::Client(_) => "client_gone",
            Self::BackendCloses(_) => "backend_closed",
            Self::Backend(_) => "backend_gone",
        }
    }

    /// What the client is told; `None` when nobody is there to be told.
    fn for_client(&self) -> Option<Close> {
        match self {
            Self::Refused(refusal) => Some(refusal.close()),
            Self::SessionOver => Some(Refusal::Sealed.close()),
            // A close is answered with its code, without a reason.
            Self::ClientCloses(close) => Some(echoed(close)),
            Self::Client(error) => error.close(),
            Self::BackendCloses(close) => Some(close.clone().sendable()),
            Self::Backend(WebSocketError::TooLarge(max)) => {
                Some(Refusal::Backend(BackendError::TooLarge(*max)).close())
            }
            Self::Backend(WebSocketError::NoRoom) => Some(Refusal::Backend(BackendError::NoRoom).close()),
            // Both Go miners say 1006 here, which must not be sent.
            Self::Backend(_) => Some(Close::new(1011, "the backend's connection is lost")),
        }
    }

    /// What the backend is told.
    fn for_backend(&self) -> Option<Close> {
        let refused = |reason: Reason| {
            let (code, reason) = reason.row().backend_close();
            Some(Close::new(code, reason))
        };
        match self {
            Self::Refused(refusal) => refused(refusal.reason()),
            Self::SessionOver => refused(Reason::Sealed),
            Self::ClientCloses(close) => Some(close.clone().sendable()),
            Self::Client(_) => Some(Close::new(1001, "client gone")),
            Self::BackendCloses(close) => Some(echoed(close)),
            Self::Backend(error) => error.close(),
        }
    }
}

fn echoed(close: &Close) -> Close {
    Close {
        reason: String::new(),
        ..close.clone().sendable()
    }
}
