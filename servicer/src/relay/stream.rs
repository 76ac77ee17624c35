//! A relay whose answer comes piece by piece: each piece signed as it comes, one leaf when it ends.
//!
//! ```text
//!  backend ── bytes ──► signed message ──► channel of one ──► client
//!     └─ ends, breaks, says nothing, says too much; the client is gone; the session is over
//!                                      └──► leaf that commits to every message ──► on disk ──► last frame
//! ```
//! - All checks were made as for any relay, and the places of backend and budget are held to the end.
//! - Nothing is queued: the backend is read from as the client takes.
//! - Whatever was sent is paid for once, whoever ended it; a stream of which nothing was sent is none.
//! - The end is told after the leaf is on disk. A process that is killed meanwhile loses the leaf of a stream that its client knows to be cut off.
//! - It ends with its session's grace period: nothing is served that could not be claimed.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use portico_net::budget::holding;
use portico_protocol::wire::pocket::service::RelayRequest;
use portico_protocol::wire::pocket::session::SessionHeader;
use portico_protocol::{Height, SigningKey};
use portico_relay::refusal::Reason;
use portico_relay::stream::{End, Framing, StreamWriter};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::backend::{BackendStream, Places};
use crate::relay::admittance::Place;
use crate::relay::recorder::{Parked, Signed};
use crate::relay::refusal::Refusal;
use crate::relay::relays::Relays;
use crate::relay::served::ServedService;

/// A stream whose head has come from the backend.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) framing: Framing,
    pub(crate) backend: BackendStream,
    pub(crate) request: Arc<RelayRequest>,
    pub(crate) header: SessionHeader,
    pub(crate) service: Arc<ServedService>,
    pub(crate) key: Arc<SigningKey>,
    /// Last height at which relays of the session are served.
    pub(crate) grace_end: Height,
    pub(crate) parked: Parked,
    pub(crate) places: (Places, Place),
}

/// Takes frames to the client; an error among them breaks the connection off.
pub(crate) type Frames = mpsc::Sender<Result<Bytes, CutOff>>;

/// The stream ends before its end, which the framing has no word for.
#[derive(Debug, thiserror::Error)]
#[error("the stream is cut off")]
pub(crate) struct CutOff;

/// Why a stream is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    Complete,
    ClientGone,
    Stopping,
    SessionOver,
    BackendGone,
    Idle,
    TooLarge,
    NoRoom,
}

impl Ended {
    /// In metrics, and in the last message.
    const fn name(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::ClientGone => "client_gone",
            Self::Stopping => "stopping",
            Self::SessionOver => "session_over",
            Self::BackendGone => "backend_gone",
            Self::Idle => "idle",
            Self::TooLarge => "too_large",
            Self::NoRoom => "no_room",
        }
    }

    /// The refusal that it would have been without a stream; `None` of what the client, or nobody, is the cause of.
    const fn refusal(self) -> Option<Reason> {
        match self {
            Self::Complete | Self::ClientGone => None,
            Self::Stopping => Some(Reason::Stopping),
            Self::SessionOver => Some(Reason::Sealed),
            Self::BackendGone => Some(Reason::BackendNoAnswer),
            Self::Idle => Some(Reason::BackendTimeout),
            Self::TooLarge => Some(Reason::ResponseTooLarge),
            Self::NoRoom => Some(Reason::ResponseNoRoom),
        }
    }
}

/// From the backend to the client.
struct Pump<'a> {
    relays: &'a Relays,
    frames: &'a Frames,
    backend: &'a mut BackendStream,
    writer: &'a mut StreamWriter,
    idle: Duration,
    max_bytes: u64,
    /// Bytes of the backend's that were signed.
    sent: u64,
}

impl Stream {
    /// Serves the client until either side, the session, a bound or the servicer ends it; then records it.
    pub(crate) async fn run(self, relays: Arc<Relays>, frames: Frames, stop: CancellationToken) {
        let Self {
            framing,
            mut backend,
            request,
            header,
            service,
            key,
            grace_end,
            parked,
            places,
        } = self;
        let signature = request.meta.as_ref().map(|meta| meta.signature.as_slice());
        let head = backend.head();
        let status = backend.status();
        let mut writer = StreamWriter::new(framing, header, signature.unwrap_or_default(), head, key);
        let over = relays.sessions.reach(Height(grace_end.0.saturating_add(1)));
        let _open = relays.metrics.stream();
        let mut pump = Pump {
            relays: &relays,
            frames: &frames,
            backend: &mut backend,
            writer: &mut writer,
            idle: service.streams.idle,
            max_bytes: service.streams.max_bytes,
            sent: 0,
        };
        let ended = tokio::select! {
            biased;
            () = frames.closed() => Ended::ClientGone,
            () = stop.cancelled() => Ended::Stopping,
            () = over => Ended::SessionOver,
            ended = pump.run(framing) => ended,
        };
        let is_paid = pump.sent > 0 || ended == Ended::Complete;
        let trailers = backend.trailers();
        drop(backend); // a node is not kept for a client that is gone
        relays.metrics.stream_ended(ended.name());
        tracing::debug!(reason = ended.name(), "a stream ends");
        let end = match ended {
            Ended::Complete => End::Complete,
            cut => End::Cut(cut.name()),
        };
        let finished = writer.finish(end, trailers);
        let signed = Signed {
            request: &request,
            response: &finished.leaf,
            status,
            durability: service.durability,
        };
        let recorded = match is_paid {
            true => record(&relays, parked, &signed).await,
            false => {
                if let Some(reason) = ended.refusal() {
                    parked.unanswered(reason);
                }
                drop(parked);
                Ok(())
            }
        };
        drop(places);
        let cut = match &recorded {
            Ok(()) => ended != Ended::Complete && framing == Framing::Delimited,
            Err(_) => true,
        };
        match recorded {
            Ok(()) => {
                if is_paid {
                    relays.metrics.stream_served();
                }
                if let Some(frame) = finished.frame {
                    let _ = frames.send(Ok(frame)).await; // or the client is gone
                }
            }
            Err(refusal) => relays.metrics.relay(refusal.reason().row().name),
        }
        if cut {
            let _ = frames.send(Err(CutOff)).await;
        }
    }
}

async fn record(relays: &Relays, parked: Parked, signed: &Signed<'_>) -> Result<(), Refusal> {
    let admission = relays.recorder.unpark(parked).await?;
    relays.recorder.record(admission, signed).await
}

impl Pump<'_> {
    async fn run(&mut self, framing: Framing) -> Ended {
        let mut early = None;
        if framing == Framing::Chained {
            // The head is told at once, with what came with it.
            early = tokio::select! {
                biased;
                next = self.backend.next() => Some(next),
                () = std::future::ready(()) => None,
            };
            if early.is_none()
                && let Err(ended) = self.send(Bytes::new()).await
            {
                return ended;
            }
        }
        loop {
            let next = match early.take() {
                Some(next) => Ok(next),
                None => timeout(self.idle, self.backend.next()).await,
            };
            let data = match next {
                Ok(Ok(Some(data))) => data,
                Ok(Ok(None)) => return Ended::Complete,
                Ok(Err(_)) => return Ended::BackendGone,
                Err(_) => return Ended::Idle,
            };
            let left = self.max_bytes.saturating_sub(self.sent);
            let fits = usize::try_from(left).unwrap_or(usize::MAX).min(data.len());
            let is_too_large = fits < data.len();
            if fits > 0
                && let Err(ended) = self.send(data.slice(..fits)).await
            {
                return ended;
            }
            if is_too_large {
                return Ended::TooLarge;
            }
        }
    }

    /// Signs and sends what the backend said. Nothing is signed before there is a place for it, so that whoever drops this between two of them has
    /// signed nothing that was not sent.
    async fn send(&mut self, data: Bytes) -> Result<(), Ended> {
        let permit = self.frames.reserve().await.map_err(|_| Ended::ClientGone)?;
        let mut permit = Some(permit);
        self.sent = self.sent.saturating_add(data.len() as u64);
        for frame in self.writer.frames(data) {
            let mut room = self.relays.buffers.room();
            room.grow(frame.len()).map_err(|_| Ended::NoRoom)?;
            let frame = holding(frame, vec![room]);
            match permit.take() {
                Some(permit) => permit.send(Ok(frame)),
                // Pieces around a delimiter in the data, of the framing that has one.
                None => self.frames.send(Ok(frame)).await.map_err(|_| Ended::ClientGone)?,
            }
            self.relays.metrics.stream_message();
        }
        Ok(())
    }
}
