//! Answers that come piece by piece, to callers: verified bytes as they come. What is cut off is cut off for the caller too: its connection breaks
//! rather than ends, and an `EventSource` opens another one by itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures::stream::unfold;
use http::header::ACCEPT;
use http::{HeaderMap, StatusCode};
use portico_protocol::ServiceId;
use portico_protocol::wire::sdk::types::Header;
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
pub(super) struct CutOff;

/// What a stream needs while it is open.
pub(super) struct Streaming {
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
    /// The stream of a reply in a place of its own; `None` without either.
    pub(super) fn streaming(self: &Arc<Self>, reply: &mut Reply) -> Option<Streaming> {
        let place = Arc::clone(&self.streams).try_acquire_owned().ok()?;
        let stream = reply.stream.take()?;
        self.relayer.metrics.stream_begins();
        Some(Streaming {
            front: Arc::clone(self),
            stream,
            outcome: "caller_gone",
            _place: place,
        })
    }

    /// The answer to a call whose backend answers piece by piece.
    pub(super) fn streamed(
        self: &Arc<Self>,
        (status, headers): (StatusCode, HeaderMap),
        mut reply: Reply,
        service: &ServiceId,
        context: Context<'_>,
    ) -> Response {
        let Some(streaming) = self.streaming(&mut reply) else {
            let error = CallError::from(RelayError::Overloaded);
            self.log(&error, service, context.request_id);
            return error_response(&error, &None, error.http_status(), context.request_id);
        };
        let body = Body::from_stream(unfold(Some(streaming), next));
        streamed_response(status, headers, reply, body)
    }
}

/// What the caller gets next, and what is left then.
async fn next(streaming: Option<Streaming>) -> Option<(Result<Bytes, CutOff>, Option<Streaming>)> {
    let mut streaming = streaming?;
    match streaming.next().await {
        Ok(Some(bytes)) => Some((Ok(bytes), Some(streaming))),
        Ok(None) => None,
        Err(_) => Some((Err(CutOff), None)),
    }
}

impl Streaming {
    /// The next verified bytes; `None` at the end, which is counted.
    ///
    /// # Errors
    /// With the reason, when the stream is cut off; its supplier is blamed for it then, if it is its fault.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, String> {
        let stop = self.front.stop.clone();
        let next = tokio::select! {
            next = self.stream.next() => next,
            () = stop.cancelled() => {
                self.outcome = "stopping";
                return Err("the gateway stops".to_owned());
            }
        };
        match next {
            Ok(Some(bytes)) => {
                self.front.relayer.metrics.stream_message();
                Ok(Some(bytes))
            }
            Ok(None) => {
                self.outcome = "complete";
                Ok(None)
            }
            Err(fault) => {
                self.outcome = fault.cause();
                self.front.relayer.stream_failed(&self.stream.candidate, &fault);
                Err(format!("the answer was cut off: {fault}"))
            }
        }
    }

    /// What the backend said behind its body, after the end.
    pub(super) fn trailers(&self) -> &BTreeMap<String, Header> {
        self.stream.trailers()
    }

    /// The stream is over for a reason of the front's.
    pub(super) const fn ended(&mut self, outcome: &'static str) {
        self.outcome = outcome;
    }
}
