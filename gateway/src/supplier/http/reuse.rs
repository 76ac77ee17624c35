//! Whether a request went over a connection that had served before: only then does its early end say nothing about the supplier.

use std::cell::Cell;
use std::error::Error;
use std::io;
use std::task::{Context, Poll};

use tower::{Layer, Service};

tokio::task_local! {
    /// Whether the request under way opened a connection.
    static CONNECTED: Cell<bool>;
}

/// Runs a request; with its outcome comes whether it found a connection in the pool. A request that opened one and was then given
/// another's counts as one that did not.
pub(super) async fn observed<T>(request: impl Future<Output = T>) -> (T, bool) {
    let observed = async {
        let outcome = request.await;
        (outcome, !CONNECTED.with(Cell::get))
    };
    CONNECTED.scope(Cell::new(false), observed).await
}

/// Whether the connection ended before any byte of an answer came.
pub(super) fn ended_early(error: &reqwest::Error) -> bool {
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
pub(super) struct ObserveConnects;

impl<S> Layer<S> for ObserveConnects {
    type Service = Observed<S>;

    fn layer(&self, inner: S) -> Observed<S> {
        Observed(inner)
    }
}

/// A connector that is observed.
#[derive(Clone, Debug)]
pub(super) struct Observed<S>(S);

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
