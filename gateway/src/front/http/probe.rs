//! What operators and machines ask: alive, ready, metrics, what an error means.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use portico_protocol::ServiceId;
use prometheus::{Encoder, TextEncoder};
use serde_json::{Map, Value, json};

use super::state::Front;
use crate::front::error::ROWS;

const JSON: &str = "application/json";

fn json(status: StatusCode, body: &Value) -> Response {
    (status, [(CONTENT_TYPE, JSON)], body.to_string()).into_response()
}

/// 200 while the process serves.
pub(crate) async fn health(State(front): State<Arc<Front>>) -> Response {
    let height = front.relayer.sessions.height().0;
    json(
        StatusCode::OK,
        &json!({ "status": "ok", "version": env!("CARGO_PKG_VERSION"), "height": height }),
    )
}

/// 200 once every service has a session to relay in; 503 before, and while stopping.
pub(crate) async fn ready(State(front): State<Arc<Front>>) -> Response {
    let (ready, _) = readiness(&front).await;
    json(ready_status(ready), &json!({ "ready": ready }))
}

/// The same with the state of each service.
pub(crate) async fn ready_in_detail(State(front): State<Arc<Front>>) -> Response {
    let (ready, services) = readiness(&front).await;
    let height = front.relayer.sessions.height().0;
    let body =
        json!({ "ready": ready, "draining": front.is_draining(), "height": height, "services": services });
    json(ready_status(ready), &body)
}

const fn ready_status(ready: bool) -> StatusCode {
    if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    }
}

async fn readiness(front: &Front) -> (bool, Map<String, Value>) {
    let mut services = Map::new();
    let mut ready = !front.is_draining();
    for service in front.relayer.signers.services() {
        let state = service_state(front, service).await;
        ready &= state["ready"] == true;
        services.insert(service.to_string(), state);
    }
    (ready, services)
}

async fn service_state(front: &Front, service: &ServiceId) -> Value {
    let mut error = String::new();
    for signer in front.relayer.signers.of(service) {
        match front.relayer.session(signer, service, front.deadline()).await {
            Some(Ok(session)) if !session.suppliers.is_empty() => {
                return json!({
                    "ready": true,
                    "application": session.application.to_string(),
                    "session_id": session.id(),
                    "session_end": session.end.0,
                    "suppliers": session.suppliers.len(),
                });
            }
            Some(Ok(_)) => "the session has no supplier".clone_into(&mut error),
            Some(Err(closed)) => error = closed.to_string(),
            None => "the chain does not answer in time".clone_into(&mut error),
        }
    }
    json!({ "ready": false, "error": error })
}

/// All metrics of the process, in Prometheus' text format.
pub(crate) async fn metrics(State(front): State<Arc<Front>>) -> Response {
    let encoder = TextEncoder::new();
    let mut text = Vec::new();
    match encoder.encode(&front.registry.gather(), &mut text) {
        Ok(()) => ([(CONTENT_TYPE, encoder.format_type().to_owned())], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

/// What an error's reason means.
pub(crate) async fn explain(Path(reason): Path<String>) -> Response {
    match ROWS.iter().find(|row| row.reason == reason) {
        Some(row) => format!(
            "{} (HTTP {}, JSON-RPC {})\n\n{}\n",
            row.reason,
            row.status.as_u16(),
            row.code,
            row.help
        )
        .into_response(),
        None => (StatusCode::NOT_FOUND, "no such reason\n").into_response(),
    }
}
