//! Relays by gRPC and gRPC-Web, as pocket-ap sends them: `pocket.service.RelayService/SendRelay`, whose message is the relay request and whose answer
//! the relay response. The same checks, and the same refusals, as over HTTP; their status is a column of the table of refusals.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Version};
use portico_net::Parts;
use portico_relay::grpc::{self, Wire};
use portico_relay::message::parts;
use portico_telemetry::Origin;

use super::endpoint::{RelayEndpoint, asked};
use crate::relay::refusal::Refusal;
use crate::relay::serve::{Answer, Served};

/// `Rpc-Type` of who does not say: gRPC.
const GRPC: &str = "1";

/// Answers a call.
pub(super) async fn answer(endpoint: &RelayEndpoint, wire: Wire, request: Request) -> Response {
    if wire == Wire::Native && request.version() != Version::HTTP_2 {
        return (StatusCode::HTTP_VERSION_NOT_SUPPORTED, "gRPC requires HTTP/2\n").into_response();
    }
    if request.uri().path() != grpc::SEND_RELAY || wire == Wire::WebText {
        return failed(
            wire,
            grpc::UNIMPLEMENTED,
            "only pocket.service.RelayService/SendRelay is served",
        );
    }
    let origin = Arc::new(Origin::of(request.headers()));
    match served(endpoint, request, &origin).await {
        Ok(answer) => whole(wire, answer),
        Err(refusal) => {
            endpoint.metrics.relay(refusal.reason().row().name);
            let request_id = origin.request_id();
            tracing::debug!(
                request_id,
                refusal = &refusal as &dyn std::error::Error,
                "relay refused"
            );
            let (status, text) = refusal.grpc();
            failed(wire, status, &text)
        }
    }
}

async fn served(endpoint: &RelayEndpoint, request: Request, origin: &Arc<Origin>) -> Result<Answer, Refusal> {
    let mut asked = asked(request.headers(), origin)?;
    asked.rpc_type.get_or_insert_with(|| GRPC.to_owned());
    asked.whole = true;
    let body = endpoint.body(request).await?;
    let message = grpc::only(&body).ok_or_else(|| Refusal::Decode("not one message of gRPC".to_owned()))?;
    match endpoint.serve(message, asked).await? {
        Served::Whole(answer) => Ok(answer),
        Served::Stream(_) => Err(Refusal::RpcType("is for one message")), // asked for as a whole
    }
}

fn whole(wire: Wire, answer: Answer) -> Response {
    let mut parts = parts(answer.response);
    let length = parts.iter().map(Bytes::len).sum();
    parts.insert(0, Bytes::copy_from_slice(&grpc::prefix(length)));
    let body = match wire {
        Wire::Native => Parts::new(parts).trailers(status(grpc::OK, "")),
        Wire::Web | Wire::WebText => {
            parts.push(grpc::web_trailers([(grpc::STATUS, "0")].into_iter()));
            Parts::new(parts)
        }
    };
    ([(CONTENT_TYPE, wire.content_type())], Body::new(body)).into_response()
}

fn failed(wire: Wire, code: u8, text: &str) -> Response {
    let content_type = [(CONTENT_TYPE, wire.content_type())];
    let headers = status(code, text);
    match wire {
        Wire::Native => (content_type, headers).into_response(),
        Wire::Web | Wire::WebText => {
            let fields = headers
                .iter()
                .map(|(name, value)| (name.as_str(), value.to_str().unwrap_or_default()));
            (content_type, grpc::web_trailers(fields)).into_response()
        }
    }
}

fn status(code: u8, text: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(
        HeaderName::from_static(grpc::STATUS),
        HeaderValue::from(u16::from(code)),
    );
    if let Ok(text) = HeaderValue::try_from(grpc::message(text))
        && !text.is_empty()
    {
        headers.insert(HeaderName::from_static(grpc::MESSAGE), text);
    }
    headers
}
