//! The handshake of WebSockets: bounds, then [`Bridge`].

use std::sync::Arc;
use std::time::Duration;

use axum::extract::Request;
use axum::response::{IntoResponse as _, Response};
use http::HeaderMap;
use http::header::{CONTENT_TYPE, SEC_WEBSOCKET_VERSION};
use portico_net::websocket::{self, HandshakeError, Limits, Upgrade};
use portico_protocol::ServiceId;
use portico_telemetry::Origin;
use tokio::time::timeout;

use super::endpoint::{RelayEndpoint, refused};
use crate::relay::bridge::{Bridge, WRITE_TIMEOUT};
use crate::relay::refusal::Refusal;
use crate::relay::served::ServedService;

/// Names the service, as in the handshakes of all gateways. What else they say there (application, session, supplier, a signature) is said
/// again, and signed, by each request.
const SERVICE: &str = "target-service-id";
/// Time for the answer to the handshake to be taken.
const OPENS_WITHIN: Duration = Duration::from_secs(10);

/// Answers a handshake, and serves the socket as a task of the endpoint's.
pub(super) fn answer(endpoint: &RelayEndpoint, mut request: Request) -> Response {
    let granted = named(endpoint, request.headers()).and_then(|(service_id, service)| {
        let place = endpoint.sockets.place();
        let place = place.ok_or(Refusal::Overloaded("WebSockets"))?;
        Ok(Bridge {
            relays: Arc::clone(&endpoint.relays),
            service_id,
            service,
            place,
            stop: endpoint.stop.clone(),
        })
    });
    let bridge = match granted {
        Ok(bridge) => bridge,
        Err(refusal) => {
            endpoint.metrics.relay(refusal.reason().row().name);
            let origin = Origin::of(request.headers());
            let request_id = origin.request_id();
            tracing::debug!(
                request_id,
                refusal = &refusal as &dyn std::error::Error,
                "WebSocket refused"
            );
            return refused(refusal.http());
        }
    };
    match websocket::accept(&mut request) {
        Ok((response, upgrade)) => {
            endpoint.tasks.spawn(serve(bridge, upgrade));
            response
        }
        Err(error) => no_handshake(error),
    }
}

/// The service that a handshake names, if its WebSockets are served.
fn named(endpoint: &RelayEndpoint, headers: &HeaderMap) -> Result<(ServiceId, Arc<ServedService>), Refusal> {
    if endpoint.stop.is_cancelled() {
        return Err(Refusal::Stopping);
    }
    let name = headers.get(SERVICE).and_then(|name| name.to_str().ok());
    let id = name.and_then(|name| ServiceId::new(name.trim()).ok());
    let id = id.ok_or(Refusal::Malformed("missing service ID"))?;
    let served = endpoint.relays.serving.now();
    match served.services.get(&id) {
        None => Err(Refusal::UnknownService(id)),
        Some(service) if !service.backends.has_websockets() => {
            Err(Refusal::RpcType("2, WebSocket, is not served for this service"))
        }
        Some(service) => Ok((id, Arc::clone(service))),
    }
}

async fn serve(bridge: Bridge, upgrade: Upgrade) {
    let limits = Limits {
        max_message_bytes: bridge.service.max_request_bytes,
        write_timeout: WRITE_TIMEOUT,
        budgets: Some(bridge.relays.buffers.clone()),
    };
    if let Ok(Ok(open)) = timeout(OPENS_WITHIN, upgrade.open(limits)).await {
        bridge.serve(open).await;
    }
}

fn no_handshake(error: HandshakeError) -> Response {
    let body = serde_json::json!({ "error": error.to_string() }).to_string();
    let headers = [(CONTENT_TYPE, "application/json"), (SEC_WEBSOCKET_VERSION, "13")];
    (error.status(), headers, body).into_response()
}
