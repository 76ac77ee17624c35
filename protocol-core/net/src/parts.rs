//! Bodies in parts.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use hyper::body::{Body, Frame, SizeHint};

/// A body of known length in parts, none of which is copied.
#[derive(Debug)]
pub struct Parts {
    parts: VecDeque<Bytes>,
    /// Bytes of all of them.
    left: u64,
    /// Behind the last part.
    trailers: Option<HeaderMap>,
}

impl Parts {
    /// A body of these parts, in this order.
    #[must_use]
    pub fn new(parts: Vec<Bytes>) -> Self {
        let length: usize = parts.iter().map(Bytes::len).sum();
        Self {
            parts: parts.into(),
            left: length as u64,
            trailers: None,
        }
    }

    /// The same with trailers.
    #[must_use]
    pub fn trailers(self, trailers: HeaderMap) -> Self {
        Self {
            trailers: Some(trailers),
            ..self
        }
    }
}

impl Body for Parts {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let part = self.parts.pop_front();
        let length = part.as_ref().map_or(0, Bytes::len) as u64;
        self.left = self.left.saturating_sub(length);
        let frame = part.map(Frame::data);
        let frame = frame.or_else(|| self.trailers.take().map(Frame::trailers));
        Poll::Ready(frame.map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        self.parts.is_empty() && self.trailers.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
