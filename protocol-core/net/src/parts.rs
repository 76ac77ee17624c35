//! Bodies in parts.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

/// A body of known length in parts, none of which is copied.
#[derive(Debug)]
pub struct Parts {
    parts: VecDeque<Bytes>,
    /// Bytes of all of them.
    left: u64,
}

impl Parts {
    /// A body of these parts, in this order.
    #[must_use]
    pub fn new(parts: Vec<Bytes>) -> Self {
        let length: usize = parts.iter().map(Bytes::len).sum();
        Self {
            parts: parts.into(),
            left: length as u64,
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
        Poll::Ready(part.map(|part| Ok(Frame::data(part))))
    }

    fn is_end_stream(&self) -> bool {
        self.parts.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
