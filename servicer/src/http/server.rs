//! The relay endpoint: bounds a request, hands it to [`Relays`], answers.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::HeaderValue;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use portico_protocol::wire::pocket::service::RelayResponse;
use prost::Message;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::task::TaskTracker;

use super::error::{Refusal, Refused};
use crate::metrics::Metrics;
use crate::relay::Relays;

/// Time for reading a request's body: slow senders must not hold places among the relays in progress.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// Seconds after which a refused client may try again.
const RETRY_AFTER_SECONDS: HeaderValue = HeaderValue::from_static("1");
/// Header that says which of a service's backends is meant.
const RPC_TYPE: &str = "rpc-type";

/// State of the relay endpoint.
#[derive(Clone)]
pub(crate) struct Front {
    relays: Arc<Relays>,
    metrics: Arc<Metrics>,
    places: Arc<Semaphore>,
    max_body_bytes: usize,
    /// Relays run as tasks of their own: a client that goes away does not tear down a relay between backend and leaf log.
    tasks: TaskTracker,
}

impl Front {
    pub(crate) fn new(
        relays: Arc<Relays>,
        metrics: Arc<Metrics>,
        limits: &portico_config::servicer::LimitsConfig,
        tasks: TaskTracker,
    ) -> Self {
        let max_body_bytes = relays
            .verifier
            .services
            .values()
            .map(|service| service.max_request_bytes)
            .max();
        Self {
            relays,
            metrics,
            places: Arc::new(Semaphore::new(limits.max_in_flight)),
            max_body_bytes: max_body_bytes.unwrap_or(0),
            tasks,
        }
    }

    /// The relay endpoint: whatever `others` does not answer is a relay, whatever its path and method.
    pub(crate) fn router(self, others: Router) -> Router {
        Router::new().fallback(relay).with_state(self).merge(others)
    }

    /// A place for a relay in progress; `None` when all are taken.
    fn place(&self) -> Result<OwnedSemaphorePermit, Refusal> {
        Arc::clone(&self.places)
            .try_acquire_owned()
            .map_err(|_| Refusal::Overloaded("relays in progress"))
    }

    async fn answer(self, request: Request) -> Result<RelayResponse, Refused> {
        let place = self.place()?;
        let declared = content_length(&request);
        if declared.is_some_and(|bytes| bytes > self.max_body_bytes) {
            return Err(Refusal::RequestTooLarge(self.max_body_bytes).into());
        }
        let room = self.relays.buffers.room(declared.unwrap_or(self.max_body_bytes));
        let room = room.ok_or(Refusal::Overloaded("buffered bytes"))?;
        let rpc_type = match request.headers().get(RPC_TYPE) {
            Some(value) => Some(value.to_str().map_err(|_| Refusal::RpcType)?.to_owned()),
            None => None,
        };
        let body = self.read(request.into_body()).await?;
        let relays = Arc::clone(&self.relays);
        let work = async move {
            let _held = (place, room);
            relays.serve(body, rpc_type.as_deref()).await
        };
        self.tasks.spawn(work).await.map_err(|_| Refusal::Stopping)?
    }

    async fn read(&self, body: Body) -> Result<Bytes, Refusal> {
        let reading = axum::body::to_bytes(body, self.max_body_bytes);
        match tokio::time::timeout(BODY_TIMEOUT, reading).await {
            Ok(Ok(bytes)) => Ok(bytes),
            Ok(Err(error)) if is_length_limit(&error) => Err(Refusal::RequestTooLarge(self.max_body_bytes)),
            _ => Err(Refusal::Body),
        }
    }
}

async fn relay(State(front): State<Front>, request: Request) -> Response {
    let metrics = Arc::clone(&front.metrics);
    match front.answer(request).await {
        Ok(response) => (
            [(CONTENT_TYPE, "application/octet-stream")],
            response.encode_to_vec(),
        )
            .into_response(),
        Err(refused) => {
            metrics.relay(refused.refusal.outcome());
            tracing::debug!(refusal = %refused.refusal, "relay refused");
            let (status, response) = refused.answer();
            let mut response = (
                status,
                [(CONTENT_TYPE, "application/octet-stream")],
                response.encode_to_vec(),
            )
                .into_response();
            if status.is_server_error() {
                response.headers_mut().insert(RETRY_AFTER, RETRY_AFTER_SECONDS);
            }
            response
        }
    }
}

fn content_length(request: &Request) -> Option<usize> {
    request.headers().get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn is_length_limit(error: &axum::Error) -> bool {
    std::error::Error::source(error).is_some_and(|source| source.is::<http_body_util::LengthLimitError>())
}
