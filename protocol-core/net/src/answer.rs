//! Answers on their way out: a request is in progress until its answer is handed over, and an HTTP/2 answer that its client does not take
//! is noticed.
//!
//! Of an HTTP/1 answer, the socket shows whether the client takes it. The streams of an HTTP/2 connection have windows of their own, so
//! there each answer is followed by itself.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::{Instant, Sleep};

use crate::activity::Activity;
use crate::limits::Limits;

/// Counts a request as in progress while it lives.
#[derive(Debug)]
pub(crate) struct InProgress {
    activity: Arc<Activity>,
    answered: bool,
}

impl InProgress {
    pub(crate) fn new(activity: &Arc<Activity>, http2: bool) -> Self {
        activity.request_begins(http2);
        Self {
            activity: Arc::clone(activity),
            answered: false,
        }
    }

    pub(crate) fn answered(&mut self) {
        self.answered = true;
    }
}

impl Drop for InProgress {
    fn drop(&mut self) {
        self.activity.request_ends(self.answered, Instant::now());
    }
}

/// An HTTP/2 answer that may wait for its client.
#[derive(Debug)]
struct Outgoing {
    activity: Arc<Activity>,
    number: u64,
}

impl Outgoing {
    fn new(activity: &Arc<Activity>) -> Arc<Self> {
        Arc::new(Self {
            number: activity.answer_begins(Instant::now()),
            activity: Arc::clone(activity),
        })
    }

    fn taken(&self, bytes: usize) {
        self.activity.answer_moves(self.number, bytes, Instant::now());
    }

    fn waits_for_us(&self) {
        self.activity.answer_rests(self.number);
    }
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        self.waits_for_us();
    }
}

/// The body of an answer.
#[derive(Debug)]
pub(crate) struct Answer {
    body: axum::body::Body,
    outgoing: Option<Arc<Outgoing>>,
    _in_progress: InProgress,
    unread: Option<Unread>,
}

/// The unread body of an HTTP/2 request. Dropped, it resets the stream, and curl then shows an error instead of the answer; so the answer
/// ends when this was discarded, or its bounds are reached.
#[derive(Debug)]
pub(crate) struct Unread {
    body: Incoming,
    left: u64,
    deadline: Pin<Box<Sleep>>,
}

impl Unread {
    pub(crate) fn new(body: Incoming, limits: &Limits) -> Self {
        Self {
            body,
            left: limits.max_discarded_bytes,
            deadline: Box::pin(tokio::time::sleep(limits.discard)),
        }
    }

    fn poll_discard(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) {
            let Some(Ok(frame)) = frame else {
                return Poll::Ready(());
            };
            let bytes = frame.data_ref().map_or(0, Bytes::len) as u64;
            let Some(left) = self.left.checked_sub(bytes) else {
                return Poll::Ready(());
            };
            self.left = left;
        }
        self.deadline.as_mut().poll(cx)
    }
}

impl Answer {
    pub(crate) fn new(
        body: axum::body::Body,
        in_progress: InProgress,
        http2: bool,
        unread: Option<Unread>,
    ) -> Self {
        let follows = http2 && !body.is_end_stream();
        Self {
            body,
            outgoing: follows.then(|| Outgoing::new(&in_progress.activity)),
            _in_progress: in_progress,
            unread,
        }
    }
}

impl Body for Answer {
    type Data = Piece;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Piece>, axum::Error>>> {
        let this = &mut *self;
        let mut polled = Pin::new(&mut this.body).poll_frame(cx);
        if matches!(polled, Poll::Ready(None))
            && let Some(unread) = &mut this.unread
        {
            match unread.poll_discard(cx) {
                Poll::Pending => polled = Poll::Pending,
                Poll::Ready(()) => this.unread = None,
            }
        }
        match (&polled, &this.outgoing) {
            (_, None) => {}
            (Poll::Pending, Some(outgoing)) => outgoing.waits_for_us(),
            (Poll::Ready(_), Some(outgoing)) => outgoing.taken(0),
        }
        let piece = |bytes| Piece {
            bytes,
            outgoing: this.outgoing.clone(),
        };
        polled.map(|frame| frame.map(|frame| frame.map(|frame| frame.map_data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.unread.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Bytes of an answer; tells when the transport takes them.
#[derive(Debug)]
pub(crate) struct Piece {
    bytes: Bytes,
    outgoing: Option<Arc<Outgoing>>,
}

impl Buf for Piece {
    fn remaining(&self) -> usize {
        self.bytes.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.bytes.chunk()
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
        if let Some(outgoing) = &self.outgoing {
            outgoing.taken(count);
        }
    }

    fn copy_to_bytes(&mut self, length: usize) -> Bytes {
        if let Some(outgoing) = &self.outgoing {
            outgoing.taken(length);
        }
        self.bytes.copy_to_bytes(length)
    }
}
