//! What the relay endpoint works with: bounds a request, hands it to [`Relays`].

use std::sync::Arc;
use std::time::Duration;

use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue};
use http_body_util::BodyExt;
use portico_net::budget::{holding, reserve};
use portico_protocol::receipt;
use portico_relay::stream;
use portico_telemetry::{Origin, root};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

use crate::metrics::Metrics;
use crate::relay::refusal::{HttpRefusal, Refusal};
use crate::relay::relays::Relays;
use crate::relay::serve::{Asked, Served};
use crate::relay::sockets::Sockets;

/// Time for reading a request's body.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// Seconds after which a refused client may try again.
const RETRY_AFTER_SECONDS: HeaderValue = HeaderValue::from_static("1");
/// Header that says which of a service's backends is meant.
const RPC_TYPE: &str = "rpc-type";

/// State of the relay endpoint.
#[derive(Clone)]
pub(crate) struct RelayEndpoint {
    pub(super) relays: Arc<Relays>,
    pub(super) metrics: Arc<Metrics>,
    /// Relays run as tasks of their own: a client that goes away does not tear down a relay between backend and leaf log.
    pub(super) tasks: TaskTracker,
    pub(super) sockets: Arc<Sockets>,
    /// Ends the sockets.
    pub(super) stop: CancellationToken,
}

impl RelayEndpoint {
    pub(crate) fn new(
        relays: Arc<Relays>,
        metrics: Arc<Metrics>,
        tasks: TaskTracker,
        sockets: Arc<Sockets>,
        stop: CancellationToken,
    ) -> Self {
        Self {
            relays,
            metrics,
            tasks,
            sockets,
            stop,
        }
    }

    /// Reads and serves the relay request in a body.
    pub(super) async fn answer(&self, request: Request, origin: &Arc<Origin>) -> Result<Served, Refusal> {
        let asked = asked(request.headers(), origin)?;
        let body = self.body(request).await?;
        self.serve(body, asked).await
    }

    /// The body of a request.
    pub(super) async fn body(&self, request: Request) -> Result<Bytes, Refusal> {
        let _place = self.relays.admittance.reading()?;
        let reading = tokio::time::timeout(BODY_TIMEOUT, self.read(request)).await;
        reading.map_err(|_| Refusal::Body)?
    }

    /// Serves the relay request in these bytes.
    pub(super) async fn serve(&self, body: Bytes, asked: Asked) -> Result<Served, Refusal> {
        let relays = Arc::clone(&self.relays);
        let origin = &asked.origin;
        let span = || {
            root!(
                "served relay",
                otel.kind = "server",
                request_id = origin.request_id()
            )
        };
        let span = origin.root(span);
        let work = async move { relays.serve(body, &asked).await };
        let work = work.instrument(span);
        self.tasks.spawn(work).await.map_err(|_| Refusal::Stopping)?
    }

    /// Reads the body; what it takes of the buffers grows with what arrived, so that a slow sender holds little. It is given back when nothing
    /// holds the body any more.
    async fn read(&self, request: Request) -> Result<Bytes, Refusal> {
        let max_bytes = self.relays.serving.now().max_request_bytes;
        let too_large = || Refusal::RequestTooLarge(max_bytes);
        let announced = content_length(&request);
        if announced.is_some_and(|bytes| bytes > max_bytes) {
            return Err(too_large());
        }
        let mut room = self.relays.buffers.room();
        let (mut stream, mut body) = (request.into_body(), Vec::new());
        while let Some(frame) = stream.frame().await {
            let Ok(data) = frame.map_err(|_| Refusal::Body)?.into_data() else {
                continue;
            };
            if body.len().saturating_add(data.len()) > max_bytes {
                return Err(too_large());
            }
            let fits = room.grow(data.len());
            fits.map_err(|_| Refusal::Overloaded("buffered bytes"))?;
            reserve(&mut body, data.len(), announced.unwrap_or(0));
            body.extend_from_slice(&data);
        }
        Ok(holding(body.into(), vec![room]))
    }
}

/// The response that refuses.
pub(super) fn refused(refusal: HttpRefusal) -> Response {
    let json = (refusal.status, [(CONTENT_TYPE, "application/json")], refusal.json);
    let mut response = json.into_response();
    if refusal.retry {
        response.headers_mut().insert(RETRY_AFTER, RETRY_AFTER_SECONDS);
    }
    response
}

/// What a request's headers ask for.
pub(super) fn asked(headers: &HeaderMap, origin: &Arc<Origin>) -> Result<Asked, Refusal> {
    let rpc_type = match headers.get(RPC_TYPE) {
        Some(value) => Some(
            value
                .to_str()
                .map_err(|_| Refusal::RpcType("is not text"))?
                .to_owned(),
        ),
        None => None,
    };
    let receipt = headers
        .get(receipt::REQUEST_HEADER)
        .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"true"));
    let chained = headers
        .get(stream::HEADER)
        .is_some_and(|version| version == stream::VERSION);
    let is_json = headers
        .get(CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(b"application/json"));
    Ok(Asked {
        rpc_type,
        receipt,
        chained,
        is_json,
        whole: false,
        origin: Arc::clone(origin),
    })
}

fn content_length(request: &Request) -> Option<usize> {
    request.headers().get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
