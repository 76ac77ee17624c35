//! The relay endpoint: takes requests of every kind, and answers those over plain HTTP.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, StatusCode};
use portico_net::Parts;
use portico_net::websocket::is_upgrade;
use portico_protocol::receipt;
use portico_protocol::wire::sdk::types::PokthttpResponse;
use portico_relay::grpc::Wire;
use portico_relay::message::parts;
use portico_relay::stream::{self, Framing};
use portico_telemetry::Origin;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::endpoint::{RelayEndpoint, refused};
use super::{grpc, websocket};
use crate::relay::serve::{Answer, Served};
use crate::relay::stream::Stream;

impl RelayEndpoint {
    /// The relay endpoint: whatever `others` does not answer is a relay, whatever its path and method.
    pub(crate) fn router(self, others: Router) -> Router {
        Router::new().fallback(relay).with_state(self).merge(others)
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
    let origin = Arc::new(Origin::of(request.headers()));
    match endpoint.answer(request, &origin).await {
        Ok(Served::Whole(answer)) => served(answer),
        Ok(Served::Stream(stream)) => endpoint.streamed(stream),
        Err(refusal) => {
            metrics.relay(refusal.reason().row().name);
            let request_id = origin.request_id();
            tracing::debug!(
                request_id,
                refusal = &refusal as &dyn std::error::Error,
                "relay refused"
            );
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
