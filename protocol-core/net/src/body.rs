//! Bodies of requests: the pause between two pieces is bounded, and so are the bytes held in all.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::{Instant, Sleep};

/// Why a body was not read to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    /// Too many bytes of bodies are held.
    #[error("too many bytes of requests are held")]
    Full,
    /// The client paused too long.
    #[error("the body did not arrive in time")]
    Stalled,
    /// The connection or the encoding broke.
    #[error(transparent)]
    Broken(#[from] hyper::Error),
}

/// What went wrong with a body, for the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyFault {
    Full,
    Stalled,
}

/// Bytes that all requests of a listener may hold together.
#[derive(Debug)]
pub(crate) struct Budget {
    held: AtomicU64,
    max: u64,
}

impl Budget {
    pub(crate) fn new(max: u64) -> Arc<Self> {
        Arc::new(Self {
            held: AtomicU64::new(0),
            max,
        })
    }

    fn take(&self, bytes: u64) -> bool {
        let fits = |held: u64| held.checked_add(bytes).filter(|sum| *sum <= self.max);
        self.held
            .try_update(Ordering::Relaxed, Ordering::Relaxed, fits)
            .is_ok()
    }

    fn give_back(&self, bytes: u64) {
        self.held.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// A request's body as the service sees it, which outlives its reader.
#[derive(Debug)]
pub(crate) struct Upload {
    budget: Arc<Budget>,
    held: AtomicU64,
    ended: AtomicBool,
    asked: AtomicBool,
    fault: AtomicU8,
    /// What the reader left behind.
    rest: Mutex<Option<Incoming>>,
}

impl Upload {
    pub(crate) fn new(budget: &Arc<Budget>, ended: bool) -> Arc<Self> {
        Arc::new(Self {
            budget: Arc::clone(budget),
            held: AtomicU64::new(0),
            ended: AtomicBool::new(ended),
            asked: AtomicBool::new(false),
            fault: AtomicU8::new(0),
            rest: Mutex::new(None),
        })
    }

    /// Whether all of it was read.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }

    /// Whether the reader asked for some of it, so that a client who waits for `100 Continue` was told to send.
    pub(crate) fn was_asked_for(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }

    /// What the reader could not know.
    pub(crate) fn fault(&self) -> Option<BodyFault> {
        match self.fault.load(Ordering::Relaxed) {
            1 => Some(BodyFault::Full),
            2 => Some(BodyFault::Stalled),
            _ => None,
        }
    }

    /// What the reader left behind, if it is done with it.
    pub(crate) fn take_rest(&self) -> Option<Incoming> {
        self.lock().take()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Incoming>> {
        self.rest.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn take(&self, bytes: usize) -> Result<(), BodyError> {
        let bytes = bytes as u64;
        if !self.budget.take(bytes) {
            self.fault.store(1, Ordering::Relaxed);
            return Err(BodyError::Full);
        }
        self.held.fetch_add(bytes, Ordering::Relaxed);
        Ok(())
    }

    /// The request is answered: its bytes count no more.
    pub(crate) fn release(&self) {
        self.budget.give_back(self.held.swap(0, Ordering::Relaxed));
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        self.release();
    }
}

/// A request's body as the role reads it.
#[derive(Debug)]
pub(crate) struct RequestBody {
    inner: Option<Incoming>,
    upload: Arc<Upload>,
    timeout: Duration,
    /// Since the reader waits.
    pause: Option<Pin<Box<Sleep>>>,
}

impl RequestBody {
    pub(crate) fn new(inner: Incoming, upload: Arc<Upload>, timeout: Duration) -> Self {
        Self {
            inner: Some(inner),
            upload,
            timeout,
            pause: None,
        }
    }

    fn wait(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let timeout = self.timeout;
        let pause = self
            .pause
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(Instant::now() + timeout)));
        if pause.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        self.upload.fault.store(2, Ordering::Relaxed);
        Poll::Ready(Some(Err(BodyError::Stalled)))
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        this.upload.asked.store(true, Ordering::Relaxed);
        let Some(inner) = &mut this.inner else {
            return Poll::Ready(None);
        };
        let frame = match Pin::new(inner).poll_frame(cx) {
            Poll::Pending => return this.wait(cx),
            Poll::Ready(None) => {
                this.upload.ended.store(true, Ordering::Relaxed);
                return Poll::Ready(None);
            }
            Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(error.into()))),
            Poll::Ready(Some(Ok(frame))) => frame,
        };
        this.pause = None;
        if let Some(data) = frame.data_ref()
            && let Err(error) = this.upload.take(data.len())
        {
            return Poll::Ready(Some(Err(error)));
        }
        if this.inner.as_ref().is_some_and(Body::is_end_stream) {
            this.upload.ended.store(true, Ordering::Relaxed);
        }
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner
            .as_ref()
            .map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        if !self.upload.has_ended() {
            *self.upload.lock() = self.inner.take();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_holds_what_it_was_given() {
        let budget = Budget::new(10);
        let (first, second) = (Upload::new(&budget, false), Upload::new(&budget, false));
        assert!(first.take(6).is_ok());
        assert!(second.take(5).is_err());
        assert_eq!(second.fault(), Some(BodyFault::Full));
        first.release();
        assert!(second.take(5).is_ok());
        drop((first, second));
        assert_eq!(budget.held.load(Ordering::Relaxed), 0);
    }
}
