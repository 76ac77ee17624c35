//! Connections that are kept for the next request, and what becomes of a request whose connection the server ended just then.
//!
//! Servers close connections on which nothing happens, and a request may be on its way meanwhile. Only over a connection that had served before does
//! an early end say nothing about the server.

use std::cell::Cell;
use std::error::Error;
use std::io;
use std::task::{Context, Poll};
use std::time::Duration;

use reqwest::{Client, ClientBuilder, Response};
use tower::{Layer, Service};

/// Idle connections are closed after this time: less than the 5 seconds of common servers (Node.js, Apache), so that ours is the first to
/// close.
const IDLE: Duration = Duration::from_secs(4);

tokio::task_local! {
    /// Whether the request under way opened a connection.
    static CONNECTED: Cell<bool>;
}

/// Connections to any number of servers, each used again while it lasts.
#[derive(Clone, Debug)]
pub struct Connections {
    kept: Client,
    /// Opens a connection for each request: a kept one may have been closed by the server a moment ago, and the next one too.
    fresh: Client,
}

impl Connections {
    /// Keeps at most `max_idle_per_host` connections that nothing goes over. `client` says all else of them; it is called twice.
    ///
    /// # Errors
    /// When the client cannot be built, such as for want of its TLS.
    pub fn new(client: impl Fn() -> ClientBuilder, max_idle_per_host: usize) -> Result<Self, reqwest::Error> {
        let kept = client()
            .pool_max_idle_per_host(max_idle_per_host)
            .pool_idle_timeout(IDLE)
            .connector_layer(ObserveConnects);
        Ok(Self {
            kept: kept.build()?,
            fresh: client().pool_max_idle_per_host(0).build()?,
        })
    }

    /// Runs a request that `send` makes; once more, over a new connection, when a used one ended before any byte of an answer and the request
    /// `may_repeat`: the server may have acted on it.
    ///
    /// # Errors
    /// As the last of the two.
    pub async fn send<F>(
        &self,
        send: impl Fn(&Client) -> F,
        may_repeat: impl FnOnce() -> bool,
    ) -> Result<Response, reqwest::Error>
    where
        F: Future<Output = Result<Response, reqwest::Error>>,
    {
        match observed(send(&self.kept)).await {
            // Boxed, as all that is rare: what an await may hold is part of every future above it, and is moved with them.
            (Err(error), true) if ended_early(&error) && may_repeat() => Box::pin(send(&self.fresh)).await,
            (outcome, _) => outcome,
        }
    }
}

/// Runs a request; with its outcome comes whether it found a connection in the pool. A request that opened one and was then given
/// another's counts as one that did not.
async fn observed<T>(request: impl Future<Output = T>) -> (T, bool) {
    let observed = async {
        let outcome = request.await;
        (outcome, !CONNECTED.with(Cell::get))
    };
    CONNECTED.scope(Cell::new(false), observed).await
}

/// Whether the connection ended before any byte of an answer came.
fn ended_early(error: &reqwest::Error) -> bool {
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(cause) = cause.downcast_ref::<hyper::Error>() {
            if cause.is_incomplete_message() || cause.is_canceled() || cause.is_closed() {
                return true;
            }
        } else if let Some(cause) = cause.downcast_ref::<io::Error>() {
            use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset};
            return matches!(cause.kind(), BrokenPipe | ConnectionAborted | ConnectionReset);
        }
        source = cause.source();
    }
    false
}

/// Takes note of every connection that is opened, for [`observed`].
#[derive(Clone, Copy, Debug)]
struct ObserveConnects;

impl<S> Layer<S> for ObserveConnects {
    type Service = Observed<S>;

    fn layer(&self, inner: S) -> Observed<S> {
        Observed(inner)
    }
}

/// A connector that is observed.
#[derive(Clone, Debug)]
struct Observed<S>(S);

impl<S: Service<R>, R> Service<R> for Observed<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, target: R) -> S::Future {
        // Outside of a request, a connection is finished for the pool alone.
        let _ = CONNECTED.try_with(|connected| connected.set(true));
        self.0.call(target)
    }
}
