//! Answers that come piece by piece, to callers: verified bytes as they come. What is cut off is cut off for the caller too: its connection breaks
//! rather than ends, and an `EventSource` opens another one by itself.

use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures::stream::unfold;
use http::header::ACCEPT;
use http::{HeaderMap, StatusCode};
use portico_protocol::ServiceId;
use tokio::sync::OwnedSemaphorePermit;

use super::asked::Context;
use super::response::{error_response, streamed_response};
use super::state::Front;
use crate::core::attempt::Reply;
use crate::core::error::RelayError;
use crate::front::error::CallError;
use crate::supplier::stream::SupplierStream;

/// Why a caller's connection breaks.
#[derive(Debug, thiserror::Error)]
#[error("the stream is cut off")]
struct CutOff;

/// What a stream needs while it is open.
struct Streaming {
    front: Arc<Front>,
    stream: Box<SupplierStream>,
    /// Told when this is dropped.
    outcome: &'static str,
    _place: OwnedSemaphorePermit,
}

impl Drop for Streaming {
    fn drop(&mut self) {
        self.front.relayer.metrics.stream_ended(self.outcome);
    }
}

/// Whether a caller names a media type of streams among what it accepts.
pub(super) fn takes_events(headers: &HeaderMap) -> bool {
    let values = headers.get_all(ACCEPT).iter();
    let mut items = values.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    items.any(portico_relay::stream::is_stream)
}

impl Front {
    /// The answer to a call whose backend answers piece by piece.
    pub(super) fn streamed(
        self: &Arc<Self>,
        (status, headers): (StatusCode, HeaderMap),
        mut reply: Reply,
        service: &ServiceId,
        context: Context<'_>,
    ) -> Response {
        let place = Arc::clone(&self.streams).try_acquire_owned().ok();
        let Some((stream, place)) = reply.stream.take().zip(place) else {
            let error = CallError::from(RelayError::Overloaded);
            self.log(&error, service, context.request_id);
            return error_response(&error, &None, error.http_status(), context.request_id);
        };
        self.relayer.metrics.stream_begins();
        let streaming = Streaming {
            front: Arc::clone(self),
            stream,
            outcome: "caller_gone",
            _place: place,
        };
        let body = Body::from_stream(unfold(Some(streaming), next));
        streamed_response(status, headers, reply, body)
    }
}

/// What the caller gets next, and what is left then.
async fn next(streaming: Option<Streaming>) -> Option<(Result<Bytes, CutOff>, Option<Streaming>)> {
    let mut streaming = streaming?;
    let stop = streaming.front.stop.clone();
    let next = tokio::select! {
        next = streaming.stream.next() => next,
        () = stop.cancelled() => {
            streaming.outcome = "stopping";
            return Some((Err(CutOff), None));
        }
    };
    match next {
        Ok(Some(bytes)) => {
            streaming.front.relayer.metrics.stream_message();
            Some((Ok(bytes), Some(streaming)))
        }
        Ok(None) => {
            streaming.outcome = "complete";
            None
        }
        Err(fault) => {
            streaming.outcome = fault.cause();
            let candidate = &streaming.stream.candidate;
            streaming.front.relayer.stream_failed(candidate, &fault);
            Some((Err(CutOff), None))
        }
    }
}
