//! What operators and machines ask: alive, ready, metrics, what an error means.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use portico_protocol::ServiceId;
use prometheus::{Encoder, TextEncoder};
use serde::Deserialize;
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

/// How much of readiness is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Detail {
    /// Whether, and no more.
    None,
    /// Of each service whether.
    Services,
    /// Of each service with its session, for operators.
    Sessions,
}

/// What may follow `/ready`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Wanted {
    detailed: bool,
}

/// 200 once every service has a session to relay in; 503 before, and while stopping.
pub(crate) async fn ready(State(front): State<Arc<Front>>, Query(wanted): Query<Wanted>) -> Response {
    let detail = match wanted.detailed {
        true => Detail::Services,
        false => Detail::None,
    };
    told(&front, None, detail).await
}

/// The same of one service.
pub(crate) async fn ready_of(State(front): State<Arc<Front>>, Path(service): Path<String>) -> Response {
    told(&front, Some(&service), Detail::Services).await
}

/// The same with the state of each service, for operators.
pub(crate) async fn ready_in_detail(State(front): State<Arc<Front>>) -> Response {
    told(&front, None, Detail::Sessions).await
}

/// The same of one service, for operators.
pub(crate) async fn ready_of_in_detail(
    State(front): State<Arc<Front>>,
    Path(service): Path<String>,
) -> Response {
    told(&front, Some(&service), Detail::Sessions).await
}

async fn told(front: &Front, only: Option<&str>, detail: Detail) -> Response {
    let only = match only {
        None => None,
        Some(name) => match front.services.named(name) {
            Some(service) => Some(&service.id),
            None => {
                let message = "no such service";
                let body = json!({ "ready": false, "services": {}, "message": message });
                return json(StatusCode::NOT_FOUND, &body);
            }
        },
    };
    let (ready, mut services) = readiness(front, only).await;
    let unreached = front.relayer.sessions.unreached();
    let is_unreached = unreached.is_some() && !ready;
    let message = match unreached {
        _ if ready => "ready".to_owned(),
        _ if front.is_draining() => "the gateway is stopping".to_owned(),
        Some(reason) => format!("the chain is unreachable: {reason}"),
        None => "a service has no session to relay in".to_owned(),
    };
    if detail == Detail::Services {
        for state in services.values_mut() {
            *state = json!({ "ready": state["ready"] });
        }
    }
    let height = front.relayer.sessions.height().0;
    let body = match detail {
        Detail::None if is_unreached => json!({ "ready": ready, "message": message }),
        Detail::None => json!({ "ready": ready }),
        Detail::Services => json!({ "ready": ready, "services": services, "message": message }),
        Detail::Sessions => json!({
            "ready": ready,
            "draining": front.is_draining(),
            "height": height,
            "services": services,
            "message": message,
        }),
    };
    json(ready_status(ready), &body)
}

const fn ready_status(ready: bool) -> StatusCode {
    if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    }
}

/// Readiness as older portals ask for it.
pub(crate) async fn healthz(State(front): State<Arc<Front>>) -> Response {
    let (ready, services) = readiness(&front, None).await;
    let states = services
        .iter()
        .map(|(id, state)| (id.clone(), state["ready"].clone()));
    let body = json!({
        "deprecated": "ask /health and /ready",
        "status": if ready { "ready" } else { "not_ready" },
        "imageTag": env!("CARGO_PKG_VERSION"),
        "readyStates": states.collect::<Map<_, _>>(),
        "configuredServiceIDs": front.services.ids(),
    });
    json(ready_status(ready), &body)
}

/// The settings by which calls are relayed, without secrets.
pub(crate) async fn config(State(front): State<Arc<Front>>) -> Response {
    let config = &front.config;
    let services = config.served().into_iter().map(|id| {
        let signers = front.relayer.signers.of(&id).iter();
        let applications: Vec<String> = signers.map(|signer| signer.application.to_string()).collect();
        let special = config.services.get(&id).cloned().unwrap_or_default();
        let kinds: Vec<&str> = special.rpc_types.iter().map(|kind| kind.name()).collect();
        let state = json!({
            "applications": applications,
            "aliases": special.aliases,
            "hosts": special.hosts,
            "rpc_types": kinds,
            "forward_headers": special.forward_headers,
            "return_headers": special.return_headers,
        });
        (id.to_string(), state)
    });
    let body = json!({
        "services": services.collect::<Map<_, _>>(),
        "max_attempts": config.max_attempts,
        "relay_timeout_ms": config.relay_timeout_ms,
        "attempt_timeout_ms": config.attempt_timeout_ms,
        "connect_timeout_ms": config.connect_timeout_ms,
        "max_body_bytes": config.max_body_bytes,
        "max_response_bytes": config.max_response_bytes,
        "max_answer_bytes_in_flight": config.max_answer_bytes_in_flight,
        "max_answer_bytes_per_request": config.max_answer_bytes_per_request,
        "max_answer_bytes_per_client": config.max_answer_bytes_per_client(),
        "max_batch": config.max_batch,
        "max_batch_concurrency": config.max_batch_concurrency,
        "max_concurrent_relays": config.max_concurrent_relays,
        "max_websockets": config.max_websockets,
        "refuse_private_suppliers": config.refuses_private_suppliers(),
        "request_receipts": config.request_receipts,
        "cors_allowed_origins": config.cors_allowed_origins,
        "tls": config.tls.is_some(),
    });
    json(StatusCode::OK, &body)
}

/// Suppliers that are not tried now, and until when.
pub(crate) async fn disqualified(State(front): State<Arc<Front>>) -> Response {
    let left_alone = front.relayer.left_alone().into_iter().map(|left| {
        let reason = match left.session {
            Some(_) => "stake_exhausted",
            None => "signature_invalid",
        };
        json!({
            "supplier": left.supplier.to_string(),
            "reason": reason,
            "session_id": left.session,
            "until_height": left.until.0,
        })
    });
    let height = front.relayer.sessions.height().0;
    let body = json!({ "height": height, "disqualified_endpoints": left_alone.collect::<Vec<_>>() });
    json(StatusCode::OK, &body)
}

async fn readiness(front: &Front, only: Option<&ServiceId>) -> (bool, Map<String, Value>) {
    let mut services = Map::new();
    let mut ready = !front.is_draining();
    for service in front.relayer.signers.services() {
        if only.is_some_and(|only| only != service) {
            continue;
        }
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
