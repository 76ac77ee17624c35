//! Messages of a caller: all of them belong to one relay, which begins when the caller has ended its side.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use portico_relay::grpc::{self, PREFIX};
use tokio::time::{Instant, Sleep, sleep_until};

/// Silence behind a whole message after which its caller is taken for one that waits for an answer before it goes on.
const PAUSE: Duration = Duration::from_secs(5);

/// A body of messages that breaks off when its caller waits for answers between them.
pub(super) struct Messages {
    body: Body,
    place: Place,
    /// Runs while nothing comes behind a whole message.
    pause: Option<Pin<Box<Sleep>>>,
    waits: Waits,
}

/// Whether a caller waits for answers before it has ended its side.
#[derive(Clone, Debug, Default)]
pub(super) struct Waits(Arc<AtomicBool>);

impl Waits {
    pub(super) fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// The caller takes turns with the node.
#[derive(Debug, thiserror::Error)]
#[error("the caller waits for an answer between its messages")]
pub(super) struct TakesTurns;

impl Messages {
    /// The messages in `body`; what comes of it is told by the other half.
    pub(super) fn new(body: Body) -> (Self, Waits) {
        let waits = Waits::default();
        let messages = Self {
            body,
            place: Place::default(),
            pause: None,
            waits: waits.clone(),
        };
        (messages, waits)
    }

    /// The body itself, whose messages nobody looks at.
    pub(super) fn into_body(self) -> Body {
        self.body
    }
}

impl http_body::Body for Messages {
    type Data = Bytes;
    type Error = axum::BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if let Poll::Ready(frame) = pin!(&mut self.body).poll_frame(cx) {
            self.pause = None;
            if let Some(Ok(frame)) = &frame
                && let Some(data) = frame.data_ref()
            {
                self.place.pass(data);
            }
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        if !self.place.is_behind_message() {
            return Poll::Pending;
        }
        let pause = self
            .pause
            .get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + PAUSE)));
        ready!(pause.as_mut().poll(cx));
        self.waits.0.store(true, Ordering::Relaxed);
        Poll::Ready(Some(Err(TakesTurns.into())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Where in a sequence of messages a body is.
#[derive(Debug, Default)]
pub(super) struct Place {
    /// What has come of what stands before a message.
    prefix: Vec<u8>,
    /// Bytes of the message that are still to come, once its length is known.
    left: Option<usize>,
    messages: usize,
}

impl Place {
    /// More of the body has come.
    pub(super) fn pass(&mut self, mut data: &[u8]) {
        loop {
            let left = match self.left {
                Some(left) => left,
                None => {
                    let lacks = PREFIX.saturating_sub(self.prefix.len()).min(data.len());
                    let (more, rest) = data.split_at(lacks);
                    self.prefix.extend_from_slice(more);
                    data = rest;
                    let Some(length) = grpc::length(&self.prefix) else {
                        return;
                    };
                    self.prefix.clear();
                    length.saturating_sub(PREFIX)
                }
            };
            let come = left.min(data.len());
            data = &data[come..];
            if come < left {
                self.left = Some(left.saturating_sub(come));
                return;
            }
            self.left = None;
            self.messages = self.messages.saturating_add(1);
            if data.is_empty() {
                return;
            }
        }
    }

    /// Whether a message has begun and not ended.
    pub(super) const fn is_in_message(&self) -> bool {
        self.left.is_some() || !self.prefix.is_empty()
    }

    const fn is_behind_message(&self) -> bool {
        self.messages > 0 && !self.is_in_message()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_behind_a_message_is_known_however_its_bytes_come() {
        let bytes = b"\0\0\0\0\x02ab\0\0\0\0\0\0\0\0\0\x01c";
        for size in 1..=bytes.len() {
            let mut place = Place::default();
            assert!(!place.is_behind_message());
            let mut passed = 0;
            for chunk in bytes.chunks(size) {
                place.pass(chunk);
                passed += chunk.len();
                let whole = [7, 12, bytes.len()].contains(&passed);
                assert_eq!(place.is_behind_message(), whole, "{size} {passed}");
            }
            assert_eq!(place.messages, 3);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_for_an_answer_is_noticed_and_who_is_in_a_message_is_not() {
        let body = |bytes: &'static [u8]| {
            let first = futures::stream::iter([Ok::<_, std::convert::Infallible>(Bytes::from_static(bytes))]);
            Body::from_stream(futures::StreamExt::chain(first, futures::stream::pending()))
        };
        let (messages, waits) = Messages::new(body(b"\0\0\0\0\x01a"));
        axum::body::to_bytes(Body::new(messages), 100).await.unwrap_err();
        assert!(waits.get());
        let (messages, waits) = Messages::new(body(b"\0\0\0\0\x02a"));
        let read = axum::body::to_bytes(Body::new(messages), 100);
        tokio::time::timeout(PAUSE * 3, read).await.unwrap_err();
        assert!(!waits.get());
    }
}
