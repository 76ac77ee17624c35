//! Accepting connections and serving them until the end.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use portico_config::listener::ListenerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::activity::{Activity, Cut};
use crate::body::Budget;
use crate::gate::{Gate, Place};
use crate::head;
use crate::io::{Left, Watched};
use crate::limits::{HTTP2_WINDOW, Limits};
use crate::linger::{self, Pace};
use crate::metrics::{Counts, ListenerMetrics};
use crate::service::{ErrorBody, Service, Shared, json_error};
use crate::socket::Socket;
use crate::tls::ServerTls;

/// Pause after the system refused a connection (mostly: too many open files), while idle ones are closed.
const REFUSED_PAUSE: Duration = Duration::from_millis(50);
/// Time for requests in progress to finish when the listener stops, unless it is told otherwise.
const GRACE: Duration = Duration::from_secs(10);

/// A bound socket, and the bounds of what clients may do with it.
///
/// It belongs to the runtime that runs [`Listener::serve`]; listeners share nothing.
#[derive(Debug)]
pub struct Listener {
    socket: std::net::TcpListener,
    limits: Limits,
    counts: Counts,
    errors: ErrorBody,
    grace: Duration,
    raw_uris: bool,
    tls: Option<ServerTls>,
}

impl Listener {
    /// A listener on `socket` that metrics call `name`.
    #[must_use]
    pub fn new(
        name: &'static str,
        socket: std::net::TcpListener,
        config: &ListenerConfig,
        metrics: &ListenerMetrics,
    ) -> Self {
        Self {
            socket,
            limits: Limits::new(config),
            counts: metrics.counts(name),
            errors: json_error,
            grace: GRACE,
            raw_uris: false,
            tls: None,
        }
    }

    /// Answers errors of the HTTP layer with bodies of this shape; `{"error": "…"}` otherwise.
    #[must_use]
    pub fn errors(mut self, errors: ErrorBody) -> Self {
        self.errors = errors;
        self
    }

    /// Gives requests in progress this time to finish after the stop; 10 s otherwise.
    #[must_use]
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Takes quotes and angle brackets in URIs of HTTP/1.1 as they are typed, as Go's servers do, instead of refusing the request: they are
    /// escaped before anything else sees them.
    #[must_use]
    pub fn raw_uris(mut self) -> Self {
        self.raw_uris = true;
        self
    }

    /// Speaks TLS, if there is any. Its files are followed while the listener serves.
    #[must_use]
    pub fn tls(mut self, tls: Option<ServerTls>) -> Self {
        self.tls = tls;
        self
    }

    /// Serves until `stop`, then takes no new connections and no new requests, and returns when those in progress are answered or the
    /// grace is over. Errs when the socket cannot be used at all.
    pub async fn serve(self, router: Router, stop: CancellationToken) -> io::Result<()> {
        self.socket.set_nonblocking(true)?;
        let socket = TcpListener::from_std(self.socket)?;
        let gate = Gate::new(
            self.limits.max_connections,
            self.limits.max_connections_per_ip,
            self.counts.clone(),
        );
        let shared = Arc::new(Shared {
            router,
            budget: Budget::new(self.limits.max_bytes_in_flight),
            discards: Pace::new(),
            limits: self.limits,
            errors: self.errors,
            raw_uris: self.raw_uris,
            counts: self.counts,
        });
        let tls = self.tls;
        let mut connections = JoinSet::new();
        if let Some(tls) = tls.clone() {
            connections.spawn(tls.follow(stop.clone()));
        }
        let mut accepted = None;
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(_) = connections.join_next() => {}
                next = next(&socket, &gate, &mut accepted) => match next {
                    Ok((stream, peer)) => {
                        if let Some(connection) = Connection::new(stream, peer, &gate, &shared) {
                            connections.spawn(connection.serve(tls.clone(), stop.clone()));
                        }
                    }
                    Err(error) => {
                        let freed = gate.evict(None);
                        tracing::warn!(%error, freed, "the system refused a connection");
                        tokio::time::sleep(REFUSED_PAUSE).await;
                    }
                },
            }
        }
        drop(socket);
        let finished = async { while connections.join_next().await.is_some() {} };
        if tokio::time::timeout(self.grace, finished).await.is_err() {
            tracing::warn!(
                connections = connections.len(),
                "requests in progress are broken off"
            );
            connections.shutdown().await;
        }
        Ok(())
    }
}

/// The next connection for which there is room. Only one that has come makes others give way; it is kept in `accepted` meanwhile, also
/// when the wait is given up.
async fn next(
    socket: &TcpListener,
    gate: &Gate,
    accepted: &mut Option<(TcpStream, SocketAddr)>,
) -> io::Result<(TcpStream, SocketAddr)> {
    if accepted.is_none() {
        *accepted = Some(socket.accept().await?);
    }
    gate.room().await;
    match accepted.take() {
        Some(accepted) => Ok(accepted),
        None => socket.accept().await,
    }
}

/// An accepted connection with its place.
struct Connection {
    stream: TcpStream,
    peer: SocketAddr,
    activity: Arc<Activity>,
    place: Arc<Place>,
    shared: Arc<Shared>,
}

impl Connection {
    /// `None`, and the connection is closed, when its address has too many.
    fn new(stream: TcpStream, peer: SocketAddr, gate: &Arc<Gate>, shared: &Arc<Shared>) -> Option<Self> {
        let activity = Arc::new(Activity::new(Instant::now()));
        let Some(place) = gate.admit(peer.ip(), &activity) else {
            shared.counts.refused("per_ip");
            tracing::debug!(%peer, "closed: too many connections of this address");
            return None;
        };
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "small answers may be delayed");
        }
        Some(Self {
            stream,
            peer,
            activity,
            place: Arc::new(place),
            shared: Arc::clone(shared),
        })
    }

    async fn serve(self, tls: Option<ServerTls>, stop: CancellationToken) {
        let (shared, activity, peer) = (self.shared.clone(), self.activity.clone(), self.peer);
        let limits = &shared.limits;
        // A connection without a byte is no more than a socket here: hyper has buffers.
        let mut byte = [0];
        let first = tokio::select! {
            peeked = self.stream.peek(&mut byte) => match peeked {
                Ok(1..) => Ok(()),
                Ok(0) | Err(_) => Err(None),
            },
            cut = activity.over(limits) => Err(Some(cut)),
            () = stop.cancelled() => Err(None),
        };
        match first {
            Ok(()) => activity.begun(Instant::now()),
            Err(None) => return,
            Err(Some(cut)) => return tell(&shared, peer, cut),
        }
        let socket = match tls {
            None => Socket::Plain(self.stream),
            Some(tls) => {
                let handshake = tls.acceptor().accept(self.stream);
                let handshake = tokio::select! {
                    done = tokio::time::timeout(limits.first_byte, handshake) => done,
                    cut = activity.over(limits) => return tell(&shared, peer, cut),
                    () = stop.cancelled() => return,
                };
                match handshake {
                    Ok(Ok(stream)) => Socket::Tls(Box::new(stream.into())),
                    Ok(Err(error)) => return shared.counts.failed_handshake(peer, &error),
                    Err(_) => return tell(&shared, peer, Cut::FirstByte),
                }
            }
        };
        let mut socket = socket;
        let head = tokio::select! {
            head = head::first(&mut socket, &activity) => head,
            cut = activity.over(limits) => return tell(&shared, peer, cut),
            () = stop.cancelled() => return,
        };
        let Ok(mut head) = head else { return };
        if shared.raw_uris
            && let Some(escaped) = head::escaped(&head)
        {
            head = escaped;
        }
        let (left, place) = (Left::default(), Arc::clone(&self.place));
        let cut = {
            let io = Watched::new(
                socket,
                head,
                Arc::clone(&activity),
                (shared.errors, shared.raw_uris),
                Arc::clone(&left),
                self.place,
            );
            let service = Service {
                shared: Arc::clone(&shared),
                activity: Arc::clone(&activity),
                peer,
            };
            let builder = builder(limits);
            let connection = builder.serve_connection_with_upgrades(TokioIo::new(io), service);
            let mut connection = std::pin::pin!(connection);
            let over = activity.over(limits);
            let mut over = std::pin::pin!(over);
            let ended = tokio::select! {
                ended = connection.as_mut() => Ok(ended),
                cut = over.as_mut() => Err(cut),
                () = stop.cancelled() => {
                    connection.as_mut().graceful_shutdown();
                    tokio::select! {
                        ended = connection.as_mut() => Ok(ended),
                        cut = over.as_mut() => Err(cut),
                    }
                }
            };
            match ended {
                Ok(Ok(())) => None,
                Ok(Err(error)) => {
                    tracing::debug!(%peer, %error, "connection ended");
                    None
                }
                Err(cut) => Some(cut),
            }
        };
        if let Some(cut) = cut {
            return tell(&shared, peer, cut);
        }
        let socket = left
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
            .take();
        if let Some(socket) = socket.filter(|_| activity.has_unread()) {
            linger::discard(socket, limits, &shared.discards).await;
        }
        drop(place);
    }
}

fn tell(shared: &Shared, peer: SocketAddr, cut: Cut) {
    shared.counts.refused(cut.label());
    tracing::debug!(%peer, reason = cut.label(), "connection cut off");
}

/// hyper's own bounds. Its time-out for heads is off: [`Activity`] has one that also holds before the version is known.
fn builder(limits: &Limits) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(None)
        .max_buf_size(limits.max_head_bytes);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.max_streams)
        .max_header_list_size(u32::try_from(limits.max_head_bytes).unwrap_or(u32::MAX))
        .initial_connection_window_size(HTTP2_WINDOW)
        .initial_stream_window_size(HTTP2_WINDOW / 4)
        .keep_alive_interval(limits.ping)
        .keep_alive_timeout(limits.ping);
    builder
}
