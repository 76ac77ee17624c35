//! The relay endpoint: bounds a request, hands it to [`Relays`], answers.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use http_body_util::BodyExt;
use portico_net::Parts;
use portico_net::budget::{holding, reserve};
use portico_net::websocket::is_upgrade;
use portico_protocol::receipt;
use portico_protocol::wire::sdk::types::PokthttpResponse;
use portico_relay::grpc::Wire;
use portico_relay::message::parts;
use portico_relay::stream::{self, Framing};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{grpc, websocket};
use crate::metrics::Metrics;
use crate::relay::refusal::{HttpRefusal, Refusal};
use crate::relay::serve::{Answer, Asked, Relays, Served};
use crate::relay::sockets::Sockets;
use crate::relay::stream::Stream;

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

    /// The relay endpoint: whatever `others` does not answer is a relay, whatever its path and method.
    pub(crate) fn router(self, others: Router) -> Router {
        Router::new().fallback(relay).with_state(self).merge(others)
    }

    async fn answer(&self, request: Request) -> Result<Served, Refusal> {
        let asked = asked(request.headers())?;
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
        let work = async move { relays.serve(body, &asked).await };
        self.tasks.spawn(work).await.map_err(|_| Refusal::Stopping)?
    }

    /// Serves a stream as a task of its own, with the backend's status and headers where the framing leaves them to HTTP.
    fn streamed(&self, stream: Box<Stream>) -> Response {
        let (sender, receiver) = mpsc::channel(1);
        let mut response = Response::new(Body::from_stream(ReceiverStream::new(receiver)));
        match stream.framing {
            Framing::Delimited => mirror(stream.backend.head(), &mut response),
            Framing::Chained => {
                let headers = response.headers_mut();
                headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
                let version = HeaderValue::from_static(stream::VERSION);
                headers.insert(HeaderName::from_static(stream::HEADER), version);
            }
        }
        self.tasks
            .spawn(stream.run(Arc::clone(&self.relays), sender, self.stop.clone()));
        response
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

async fn relay(State(endpoint): State<RelayEndpoint>, request: Request) -> Response {
    if is_upgrade(request.headers()) {
        return websocket::answer(&endpoint, request);
    }
    let content_type = request.headers().get(CONTENT_TYPE);
    if let Some(wire) = content_type.and_then(|value| Wire::of(value.as_bytes())) {
        return Box::pin(grpc::answer(&endpoint, wire, request)).await;
    }
    let metrics = Arc::clone(&endpoint.metrics);
    match endpoint.answer(request).await {
        Ok(Served::Whole(answer)) => served(answer),
        Ok(Served::Stream(stream)) => endpoint.streamed(stream),
        Err(refusal) => {
            metrics.relay(refusal.reason().row().name);
            tracing::debug!(refusal = &refusal as &dyn std::error::Error, "relay refused");
            refused(refusal.http())
        }
    }
}

/// Puts a backend's status and headers on a response, but for the length, which is that of its own body.
fn mirror(head: PokthttpResponse, response: &mut Response) {
    let status = u16::try_from(head.status_code).ok();
    let status = status.and_then(|status| StatusCode::from_u16(status).ok());
    *response.status_mut() = status.unwrap_or_default();
    for header in head.header.into_values() {
        let Ok(name) = HeaderName::try_from(header.key) else {
            continue;
        };
        for value in header.values.into_iter().filter(|_| name != CONTENT_LENGTH) {
            if let Ok(value) = HeaderValue::try_from(value) {
                response.headers_mut().append(name.clone(), value);
            }
        }
    }
}

fn served(answer: Answer) -> Response {
    let body = Body::new(Parts::new(parts(answer.response)));
    let mut response = ([(CONTENT_TYPE, "application/octet-stream")], body).into_response();
    let receipt = answer
        .receipt
        .as_deref()
        .map(|text| HeaderValue::try_from(text).ok());
    if let Some(receipt) = receipt.flatten() {
        response
            .headers_mut()
            .insert(HeaderName::from_static(receipt::HEADER), receipt);
    }
    response
}

pub(super) fn refused(refusal: HttpRefusal) -> Response {
    let json = (refusal.status, [(CONTENT_TYPE, "application/json")], refusal.json);
    let mut response = json.into_response();
    if refusal.retry {
        response.headers_mut().insert(RETRY_AFTER, RETRY_AFTER_SECONDS);
    }
    response
}

pub(super) fn asked(headers: &HeaderMap) -> Result<Asked, Refusal> {
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
    })
}

fn content_length(request: &Request) -> Option<usize> {
    request.headers().get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
