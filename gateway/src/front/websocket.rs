//! WebSockets of callers: a socket here outlives the suppliers' sockets and sessions under it.
//!
//! ```text
//!  caller ═══ Client ═══ current link ── supplier of the newest session
//!                  ╚════ old link ────── supplier of the session before, while it still has something to say
//! ```
//! - A socket is granted once a supplier has taken one: otherwise its handshake is refused by a row of the table of errors.
//! - When a session is over, a link of the new one is opened beside it; what [`Conversation`] says has to be asked there is asked, and the old one
//!   serves on until it has answered everything. When a link is lost, another is opened, and what was not answered is asked again.
//! - Every message of a supplier's is verified before its caller sees it. One that does not verify ends the link, and its supplier is left alone.
//! - Nothing is queued: while there is no link, or the caller or the supplier is slow, nobody is read.
//! - What is no JSON-RPC cannot go on elsewhere: then the socket ends with its link.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use futures::future::BoxFuture;
use http::HeaderValue;
use http::header::SEC_WEBSOCKET_VERSION;
use portico_net::websocket::{
    self, Close, Incoming, Kind, Limits, Message, Receiver, Sender, Upgrade, WebSocketError,
};
use portico_protocol::ServiceId;
use portico_relay::RpcType;
use portico_telemetry::{Origin, root};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;
use tracing::{Instrument as _, debug};

use super::error::CallError;
use super::http::asked::Asked;
use super::http::state::Front;
use crate::codec::jsonrpc::conversation::{Conversation, Heard, LinkId, Told};
use crate::core::candidate::Candidate;
use crate::core::choice::Choice;
use crate::core::error::RelayError;
use crate::core::fault::Fault;
use crate::supplier::websocket::{Link, Said};

/// Time for a caller to take 64 KiB, or what is left of a message.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// Time for the answer to the handshake to be taken.
const OPENS_WITHIN: Duration = Duration::from_secs(10);
/// Links in a row that may end before they have told anything; then the socket ends too.
const MAX_FRUITLESS: u32 = 3;
/// Times in a row that no supplier takes a socket in the place of a lost one, before the caller's ends.
const MAX_OPENINGS: u32 = 3;
/// Pause before another try, as often as was tried before.
const OPENS_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// Answers a handshake, and serves the socket as a task of the front's.
pub(super) async fn open(front: &Arc<Front>, request: Request, origin: &Arc<Origin>) -> Response {
    let (head, body) = request.into_parts();
    let asked = front.asked(&head);
    let mut request = Request::from_parts(head, body);
    match granted(front, asked, &mut request, origin).await {
        Ok((response, (upgrade, client))) => {
            front.tasks.spawn(client.serve(upgrade));
            response
        }
        Err(error) => {
            let mut response = front.refuse_plain(&error, origin.request_id().unwrap_or_default());
            if matches!(error, CallError::Http(status, _) if status == http::StatusCode::UPGRADE_REQUIRED) {
                let version = HeaderValue::from_static("13");
                response.headers_mut().insert(SEC_WEBSOCKET_VERSION, version);
            }
            response
        }
    }
}

async fn granted(
    front: &Arc<Front>,
    asked: Result<Asked, CallError>,
    request: &mut Request,
    origin: &Arc<Origin>,
) -> Result<(Response, (Upgrade, Waiting)), CallError> {
    let Asked { service, choice, .. } = asked?;
    let offered = service.offered.as_deref();
    if offered.is_some_and(|offered| !offered.contains(&RpcType::WebSocket)) {
        return Err(CallError::RpcType(RpcType::WebSocket.to_string()));
    }
    let accepted = websocket::accept(request);
    let (response, upgrade) = accepted.map_err(|error| CallError::Http(error.status(), error.to_string()))?;
    let place = Arc::clone(&front.sockets).try_acquire_owned();
    let place = place.map_err(|_| RelayError::Overloaded)?;
    let linking = front
        .relayer
        .link(&service.id, choice.clone(), origin, front.deadline());
    let span = origin.root(
        || root!("WebSocket", otel.kind = "server", request_id = origin.request_id(), service = %service.id),
    );
    let link = linking.instrument(span).await;
    let link = link.inspect_err(|_| front.relayer.metrics.websocket_closed("no_supplier"))?;
    let waiting = Waiting {
        front: Arc::clone(front),
        service: service.id.clone(),
        choice,
        origin: Arc::clone(origin),
        link,
        place,
    };
    Ok((response, (upgrade, waiting)))
}

/// A socket that is granted and not open yet.
struct Waiting {
    front: Arc<Front>,
    service: ServiceId,
    choice: Option<Arc<Choice>>,
    origin: Arc<Origin>,
    link: Link,
    place: OwnedSemaphorePermit,
}

impl Waiting {
    async fn serve(self, upgrade: Upgrade) {
        let Self {
            front,
            service,
            choice,
            origin,
            link,
            place: _place,
        } = self;
        let limits = Limits {
            max_message_bytes: front.config.max_body_bytes,
            write_timeout: WRITE_TIMEOUT,
            budgets: Some(front.relayer.budgets(None)),
        };
        let Ok(Ok((receiver, sender))) = timeout(OPENS_WITHIN, upgrade.open(limits)).await else {
            return;
        };
        front.relayer.metrics.websockets.inc();
        let client = Client {
            receiver,
            sender,
            current: Some((1, link)),
            old: None,
            opening: None,
            lost: None,
            lost_by: None,
            links: 1,
            fruitless: 0,
            refused: 0,
            has_told: false,
            waiting: None,
            conversation: Conversation::default(),
            front: Arc::clone(&front),
            service,
            choice,
            request_id: origin.request_id().unwrap_or_default().to_owned(),
            origin,
        };
        client.serve().await;
        front.relayer.metrics.websockets.dec();
    }
}

/// A caller's socket.
struct Client {
    receiver: Receiver,
    sender: Sender,
    /// `None` while another is opened in the place of a lost one.
    current: Option<(LinkId, Link)>,
    old: Option<(LinkId, Link)>,
    opening: Option<BoxFuture<'static, Result<Link, RelayError>>>,
    /// The link that was lost without another.
    lost: Option<LinkId>,
    /// Whose link was lost last, and why; forgotten when another is opened.
    lost_by: Option<(Candidate, Fault)>,
    /// Links so far.
    links: LinkId,
    /// Links in a row that told nothing.
    fruitless: u32,
    /// Times in a row that no supplier took a link.
    refused: u32,
    /// Whether the current link has told anything.
    has_told: bool,
    /// What the caller said while there was no link.
    waiting: Option<Message>,
    conversation: Conversation,
    front: Arc<Front>,
    service: ServiceId,
    choice: Option<Arc<Choice>>,
    request_id: String,
    origin: Arc<Origin>,
}

/// Why a socket is over.
#[derive(Debug)]
enum End {
    CallerCloses(Close),
    Caller(WebSocketError),
    Stopping,
    /// There is no supplier to go on with.
    Failed(CallError),
    /// The link is gone, and what passed is no JSON-RPC.
    Opaque,
}

impl Client {
    async fn serve(mut self) {
        let end = match self.run().await {
            Ok(never) => match never {},
            Err(end) => end,
        };
        let metrics = &self.front.relayer.metrics;
        metrics.websocket_closed(end.name());
        debug!(service = %self.service, request_id = self.request_id, reason = end.name(), "a WebSocket ends");
        if let End::Failed(error) = &end {
            self.front.log(error, &self.service, &self.request_id);
            if let Some(message) = self.waiting.take() {
                // No link was there to ask; it is answered as what was asked.
                let _ = self
                    .conversation
                    .heard(message.bytes, self.links, self.front.config.max_batch);
            }
            for id in self.conversation.unanswered() {
                let body = error.body(&Some(id.clone()), &self.request_id);
                if self.sender.send(text(body)).await.is_err() {
                    break;
                }
            }
        }
        let close = end.for_supplier();
        for (_, link) in self.current.into_iter().chain(self.old) {
            link.close(close.clone()).await;
        }
        if let Some(close) = end.for_caller() {
            self.sender.close(close).await;
            self.receiver.finish().await;
        }
    }

    async fn run(&mut self) -> Result<std::convert::Infallible, End> {
        let (keeper, stop) = (self.sender.clone(), self.front.stop.clone());
        let mut keep = std::pin::pin!(keeper.keep());
        let mut head = self.front.relayer.head();
        loop {
            tokio::select! {
                incoming = self.receiver.next(), if self.listens() => self.heard(incoming).await?,
                said = next(&mut self.current), if self.current.is_some() => match said {
                    (link, Ok(said)) => self.told(said, link).await?,
                    (link, Err(fault)) => self.lost(link, fault).await?,
                },
                said = next(&mut self.old), if self.old.is_some() => match said {
                    (link, Ok(said)) => self.told(said, link).await?,
                    (link, Err(_)) => self.let_go(link).await?,
                },
                opened = opened(&mut self.opening), if self.opening.is_some() => self.opened(opened).await?,
                changed = head.changed() => match changed {
                    Ok(()) => self.follow_session(),
                    Err(_) => return Err(End::Stopping),
                },
                Err(error) = &mut keep => return Err(End::Caller(error)),
                () = stop.cancelled() => return Err(End::Stopping),
            }
            let done = self.old.as_ref().map(|(link, _)| *link);
            if let Some(link) = done.filter(|link| self.conversation.is_done_with(*link)) {
                self.let_go(link).await?;
            }
        }
    }

    /// Whether the caller is read from: what it says can be passed on, or is what another link is opened for.
    const fn listens(&self) -> bool {
        self.current.is_some() || (self.opening.is_none() && self.waiting.is_none())
    }

    /// Something of the caller's.
    async fn heard(&mut self, incoming: Result<Incoming, WebSocketError>) -> Result<(), End> {
        let message = match incoming {
            Ok(Incoming::Message(message)) => message,
            Ok(Incoming::Close(close)) => return Err(End::CallerCloses(close)),
            Err(error) => return Err(End::Caller(error)),
        };
        match self.current {
            Some(_) => self.take(message).await,
            None => {
                self.waiting = Some(message);
                self.open();
                Ok(())
            }
        }
    }

    /// Passes a message of the caller's on.
    async fn take(&mut self, message: Message) -> Result<(), End> {
        let link = self.links;
        self.front
            .relayer
            .metrics
            .websocket_message(&self.service, "caller");
        let kind = message.kind;
        match self
            .conversation
            .heard(message.bytes, link, self.front.config.max_batch)
        {
            Heard::Forward(body) => self.ask(kind, body).await,
            Heard::Answer(body) => self.tell(Kind::Text, body).await,
            Heard::TooMany(id) => {
                let error = CallError::from(RelayError::Overloaded);
                self.tell(Kind::Text, error.body(&Some(id), &self.request_id))
                    .await
            }
        }
    }

    /// A verified message of a supplier's.
    async fn told(&mut self, said: Said, link: LinkId) -> Result<(), End> {
        let relayer = &self.front.relayer;
        relayer.metrics.websocket_message(&self.service, "supplier");
        let current = self.current.as_ref().filter(|(current, _)| *current == link);
        if let Some((_, current)) = current.filter(|_| !self.has_told) {
            relayer.link_told(&current.candidate);
            (self.has_told, self.fruitless) = (true, 0);
        }
        let told = self.conversation.told(&said.payload, link);
        self.pass_on(told, said.kind).await
    }

    async fn pass_on(&mut self, told: Told, kind: Kind) -> Result<(), End> {
        for message in told.to_client {
            self.tell(kind, message).await?;
        }
        for body in told.to_supplier {
            self.ask(Kind::Text, body).await?;
        }
        for body in told.to_old {
            self.ask_old(body).await?;
        }
        self.tell_failed(told.given_up).await
    }

    /// Tells that the requests with these ids are given up, for the reason for which the last link was lost.
    async fn tell_failed(&mut self, ids: Vec<Bytes>) -> Result<(), End> {
        if ids.is_empty() {
            return Ok(());
        }
        let error = CallError::from(match self.lost_by.clone() {
            Some((candidate, fault)) => self.front.relayer.given_up(&candidate, fault),
            None => RelayError::SuppliersFailed { attempts: Vec::new() },
        });
        self.front.log(&error, &self.service, &self.request_id);
        for id in ids {
            let body = error.body(&Some(id), &self.request_id);
            self.tell(Kind::Text, body).await?;
        }
        Ok(())
    }

    async fn tell(&mut self, kind: Kind, bytes: Bytes) -> Result<(), End> {
        let sent = self.sender.send(Message { kind, bytes }).await;
        sent.map_err(End::Caller)
    }

    /// Asks the current supplier. Without one nothing is lost: what is not answered is asked when there is one.
    async fn ask(&mut self, kind: Kind, body: Bytes) -> Result<(), End> {
        let Some((link, current)) = &mut self.current else {
            return Ok(());
        };
        let request = self
            .front
            .relayer
            .sign_message(&current.candidate, &self.service, body)
            .map_err(|error| End::Failed(error.into()))?;
        let link = *link;
        match current.send(kind, &request).await {
            Ok(()) => Ok(()),
            Err(fault) => Box::pin(self.lost(link, fault)).await,
        }
    }

    /// Asks the supplier before.
    async fn ask_old(&mut self, body: Bytes) -> Result<(), End> {
        let Some((link, old)) = &mut self.old else {
            return Ok(());
        };
        let request = self
            .front
            .relayer
            .sign_message(&old.candidate, &self.service, body)
            .map_err(|error| End::Failed(error.into()))?;
        let link = *link;
        match old.send(Kind::Text, &request).await {
            Ok(()) => Ok(()),
            Err(_) => Box::pin(self.let_go(link)).await,
        }
    }

    /// The current link is gone.
    async fn lost(&mut self, link: LinkId, fault: Fault) -> Result<(), End> {
        let Some((_, lost)) = self.current.take_if(|(current, _)| *current == link) else {
            return Ok(());
        };
        self.front.relayer.link_failed(&lost.candidate, &fault);
        self.lost_by = Some((lost.candidate.clone(), fault.clone()));
        if !self.conversation.can_go_on() {
            return Err(End::Opaque);
        }
        if fault.settles() {
            // Asked again, it would end the next link too.
            let ids = self.conversation.give_up(link);
            self.tell_failed(ids).await?;
        }
        if self.conversation.is_idle() {
            return Ok(()); // another is opened when the caller has something to say
        }
        let relayer = &self.front.relayer;
        self.fruitless = self.fruitless.saturating_add(1);
        if self.fruitless > MAX_FRUITLESS {
            return Err(End::Failed(relayer.given_up(&lost.candidate, fault).into()));
        }
        relayer.metrics.websocket_rebound(fault.cause());
        self.lost = Some(link);
        let told = self.conversation.lost(link, None);
        self.open();
        Box::pin(self.pass_on(told, Kind::Text)).await
    }

    /// The old link has done its part, or is gone.
    async fn let_go(&mut self, link: LinkId) -> Result<(), End> {
        if let Some((_, old)) = self.old.take() {
            old.close(Close::new(1000, "")).await;
        }
        let current = self.current.as_ref().map(|(current, _)| *current);
        let told = self.conversation.lost(link, current);
        match current {
            Some(_) => Box::pin(self.pass_on(told, Kind::Text)).await,
            None => {
                // What it did not answer is asked together with what the lost one did not.
                self.lost = self.lost.or(Some(link));
                Box::pin(self.pass_on(told, Kind::Text)).await
            }
        }
    }

    /// Opens a link beside the current one, once that one's session is over.
    fn follow_session(&mut self) {
        let height = self.front.relayer.sessions.height();
        let is_over = |(_, link): &(LinkId, Link)| link.candidate.session.end < height;
        if self.conversation.can_go_on() && self.current.as_ref().is_some_and(is_over) {
            self.open();
        }
    }

    fn open(&mut self) {
        if self.opening.is_some() {
            return;
        }
        let (front, service, choice) = (Arc::clone(&self.front), self.service.clone(), self.choice.clone());
        // Who finds nobody, or is sent away at once, waits: the session may be over before the next one is known here.
        let again = self.refused.max(self.fruitless.saturating_sub(1));
        let pause = OPENS_AGAIN_AFTER.saturating_mul(again);
        let origin = Arc::clone(&self.origin);
        self.opening = Some(Box::pin(async move {
            tokio::time::sleep(pause).await;
            let deadline = front.deadline();
            front.relayer.link(&service, choice, &origin, deadline).await
        }));
    }

    /// Another link is there, or is not.
    async fn opened(&mut self, opened: Result<Link, RelayError>) -> Result<(), End> {
        self.opening = None;
        let link = match opened {
            Ok(link) => link,
            Err(_) if self.current.is_some() => return Ok(()), // the next block tries again
            Err(error) if may_pass(&error) && self.refused.saturating_add(1) < MAX_OPENINGS => {
                self.refused = self.refused.saturating_add(1);
                self.open();
                return Ok(());
            }
            // Where nobody was left to be tried, what the last one did says why.
            Err(error @ RelayError::NoSupplier { .. }) if error.attempts().is_empty() => {
                let error = self.lost_by.take().map_or(error, |(candidate, fault)| {
                    self.front.relayer.given_up(&candidate, fault)
                });
                return Err(End::Failed(error.into()));
            }
            Err(error) => return Err(End::Failed(error.into())),
        };
        self.refused = 0;
        if let Some((_, current)) = &self.current {
            if current.candidate.session.id() == link.candidate.session.id() {
                link.close(Close::new(1000, "")).await; // the new session is not there yet
                return Ok(());
            }
            self.front.relayer.metrics.websocket_rebound("session");
        }
        self.links = self.links.saturating_add(1);
        self.lost_by.take_if(|_| self.lost.is_none());
        let number = self.links;
        self.has_told = false;
        let before = self.current.replace((number, link));
        // One that is older still has had its time.
        if let Some((older, _)) = before.as_ref().and(self.old.as_ref()) {
            let older = *older;
            self.let_go(older).await?;
        }
        self.old = before.or(self.old.take());
        for body in self.conversation.opened(number) {
            self.ask(Kind::Text, body).await?;
        }
        if let Some(lost) = self.lost.take() {
            let told = self.conversation.lost(lost, Some(number));
            self.pass_on(told, Kind::Text).await?;
        }
        match self.waiting.take() {
            Some(message) => self.take(message).await,
            None => Ok(()),
        }
    }
}

/// Whether a supplier may be found a moment later.
const fn may_pass(error: &RelayError) -> bool {
    match error {
        RelayError::SuppliersFailed { .. } | RelayError::Session(_) | RelayError::Deadline { .. } => true,
        RelayError::NoSupplier { filtered, .. } => filtered.distrusted == 0 && filtered.unwanted == 0,
        _ => false,
    }
}

/// The next message of a link.
async fn next(link: &mut Option<(LinkId, Link)>) -> (LinkId, Result<Said, Fault>) {
    match link {
        Some((number, link)) => (*number, link.next().await),
        None => std::future::pending().await,
    }
}

async fn opened(
    opening: &mut Option<BoxFuture<'static, Result<Link, RelayError>>>,
) -> Result<Link, RelayError> {
    match opening {
        Some(opening) => opening.await,
        None => std::future::pending().await,
    }
}

fn text(bytes: Bytes) -> Message {
    Message {
        kind: Kind::Text,
        bytes,
    }
}

impl End {
    /// Label in metrics.
    const fn name(&self) -> &'static str {
        match self {
            Self::CallerCloses(_) => "caller_closed",
            Self::Caller(WebSocketError::Slow) => "caller_slow",
            Self::Caller(_) => "caller_gone",
            Self::Stopping => "stopping",
            Self::Failed(error) => error.row().reason,
            Self::Opaque => "supplier_gone",
        }
    }

    /// What the caller is told; `None` when nobody is there to be told.
    fn for_caller(&self) -> Option<Close> {
        match self {
            Self::CallerCloses(close) => Some(Close {
                reason: String::new(),
                ..close.clone().sendable()
            }),
            Self::Caller(error) => error.close(),
            Self::Stopping => Some(Close::new(1001, "the gateway is stopping")),
            Self::Failed(error) => Some(Close::new(1013, error.row().reason)),
            Self::Opaque => Some(Close::new(
                1012,
                "the supplier's connection is over: connect again",
            )),
        }
    }

    /// What the suppliers are told.
    fn for_supplier(&self) -> Close {
        match self {
            Self::CallerCloses(close) => close.clone().sendable(),
            Self::Caller(_) => Close::new(1001, "client gone"),
            Self::Stopping => Close::new(1001, "the gateway is stopping"),
            Self::Failed(_) | Self::Opaque => Close::new(1000, ""),
        }
    }
}
