//! `GET /health` (`/healthz`), `/ready`, `/ready/SERVICE`, `/metrics`, `/ledger`, `/relays/HASH`, `/leaves` and `/backup`, `POST /reload`, `/log-level`.
//!
//! | path | on `listen` | on `admin_listen` |
//! |---|---|---|
//! | `/health`, `/ready`, `/ready/SERVICE` | always: load balancers ask where the relays go | yes |
//! | `/metrics` | unless `admin_listen` is configured | yes |
//! | `/ledger`, `/relays/HASH`, `/leaves`, `/backup`, `POST /reload`, `/log-level` | as `/metrics`, and only while `listen` is a loopback address: leaves hold what clients asked | yes |

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use portico_protocol::Address;
use prometheus::{Encoder, TextEncoder};
use serde::{Deserialize, Serialize};
use tokio::sync::{Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;

use crate::backend::Backends;
use crate::handle::ServicerHandle;
use crate::reload::ReloadAction;
use crate::session::ledger::LedgerTotals;

/// Backups that are handed over at a time: each keeps old pages of the log's file from being used again.
const MAX_BACKUPS: usize = 1;
/// Chunks of a backup, of some 64 KiB, that wait to be sent.
const WAITING_CHUNKS: usize = 4;

/// Body of `/reload`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Reload {
    action: ReloadAction,
}

/// State of these endpoints.
#[derive(Clone)]
pub(crate) struct Admin {
    handle: ServicerHandle,
    registry: prometheus::Registry,
    backups: Arc<Semaphore>,
}

impl Admin {
    pub(crate) fn new(handle: ServicerHandle, registry: prometheus::Registry) -> Self {
        Self {
            handle,
            registry,
            backups: Arc::new(Semaphore::new(MAX_BACKUPS)),
        }
    }

    pub(crate) const fn handle(&self) -> &ServicerHandle {
        &self.handle
    }
}

/// `/health` and `/ready`.
pub(crate) fn probes(admin: &Admin) -> Router {
    Router::new()
        .route("/health", get(health))
        .route("/healthz", get(health))
        .route("/ready", get(ready))
        .route("/ready/{service}", get(service_ready))
        .with_state(Arc::new(admin.clone()))
}

/// `/metrics`.
pub(crate) fn metrics_only(admin: &Admin) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .with_state(Arc::new(admin.clone()))
}

/// `/ledger`, `/relays/HASH`, `/leaves`, `/backup`, `/reload` and `/log-level`.
pub(crate) fn ledger_and_leaves(admin: &Admin) -> Router {
    let routes = Router::new()
        .route("/ledger", get(ledger))
        .route("/relays/{hash}", get(relay))
        .route("/leaves", get(leaves))
        .route("/backup", get(backup))
        .route("/reload", post(reload))
        .merge(portico_telemetry::router());
    routes.with_state(Arc::new(admin.clone()))
}

/// Everything.
pub(crate) fn all(admin: &Admin) -> Router {
    probes(admin)
        .merge(metrics_only(admin))
        .merge(ledger_and_leaves(admin))
}

async fn health(State(admin): State<Arc<Admin>>) -> Response {
    let height = admin.handle.height();
    Json(serde_json::json!({ "status": "healthy", "block_height": height })).into_response()
}

async fn ready(State(admin): State<Arc<Admin>>) -> Response {
    let readiness = admin.handle.readiness();
    let status = if readiness.ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, Json(readiness)).into_response()
}

/// As the HA relay miner answers, without URLs of nodes: those are the operator's.
async fn service_ready(State(admin): State<Arc<Admin>>, Path(service): Path<String>) -> Response {
    let id = service.parse().ok();
    let found = id.as_ref().and_then(|id| admin.handle.service(id));
    let backends = found.as_ref().map(|service| &service.backends);
    let (status, error) = match backends.map(Backends::outage) {
        None => (StatusCode::NOT_FOUND, Some("unknown service".to_owned())),
        Some(None) => (StatusCode::OK, None),
        Some(outage) => (StatusCode::SERVICE_UNAVAILABLE, outage),
    };
    let body = serde_json::json!({
        "service_id": service,
        "ready": status == StatusCode::OK,
        "block_height": admin.handle.height(),
        "backends": backends.map(Backends::standing),
        "error": error,
    });
    (status, Json(body)).into_response()
}

async fn metrics(State(admin): State<Arc<Admin>>) -> Response {
    let mut text = Vec::new();
    match TextEncoder::new().encode(&admin.registry.gather(), &mut text) {
        Ok(()) => ([(CONTENT_TYPE, prometheus::TEXT_FORMAT)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

async fn ledger(State(admin): State<Arc<Admin>>) -> Response {
    let rows = admin.handle.ledger();
    let totals = LedgerTotals::of(&rows);
    Json(serde_json::json!({ "totals": totals, "sessions": rows })).into_response()
}

/// Reads the configuration anew. The body is `{"action": "plan"}`, `apply` or `undo`, and has to be of type JSON: no page in a browser can send
/// that to another origin unasked.
async fn reload(State(admin): State<Arc<Admin>>, Json(asked): Json<Reload>) -> Response {
    let handle = admin.handle.clone();
    let done = tokio::task::spawn_blocking(move || handle.reload(asked.action)).await;
    let (status, message) = match done {
        Ok(Ok(plan)) => return Json(plan).into_response(),
        Ok(Err(error)) => (StatusCode::CONFLICT, chain_of(&error)),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    };
    (status, Json(serde_json::json!({ "error": message }))).into_response()
}

/// An error with its causes.
fn chain_of(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// What is known of one relay, by its hash.
async fn relay(State(admin): State<Arc<Admin>>, Path(hash): Path<String>) -> Response {
    let mut bytes = [0; 32];
    if hex::decode_to_slice(&hash, &mut bytes).is_err() {
        return (
            StatusCode::BAD_REQUEST,
            "a relay's hash has 64 hexadecimal characters",
        )
            .into_response();
    }
    let handle = admin.handle.clone();
    match tokio::task::spawn_blocking(move || handle.relay(&bytes)).await {
        Ok(Ok(Some(found))) => Json(found).into_response(),
        Ok(Ok(None)) => (StatusCode::NOT_FOUND, "no such relay is known").into_response(),
        Ok(Err(error)) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

#[derive(Deserialize)]
struct LeavesQuery {
    session: String,
    supplier: Address,
}

/// A leaf as `/leaves` shows it.
#[derive(Serialize)]
struct ShownLeaf {
    seq: u64,
    key: String,
    relay: String,
    weight: u64,
}

async fn leaves(State(admin): State<Arc<Admin>>, Query(query): Query<LeavesQuery>) -> Response {
    let handle = admin.handle.clone();
    let read = tokio::task::spawn_blocking(move || handle.leaves(&query.session, &query.supplier)).await;
    let show = |leaf: crate::leaf_log::Leaf| ShownLeaf {
        seq: leaf.seq,
        key: hex::encode(leaf.key),
        relay: hex::encode(leaf.relay),
        weight: leaf.weight,
    };
    match read {
        Ok(Ok(leaves)) => Json(leaves.into_iter().map(show).collect::<Vec<_>>()).into_response(),
        Ok(Err(error)) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

/// The whole log, as it is now. One that ends without its end failed on the way, and says so to who reads it.
async fn backup(State(admin): State<Arc<Admin>>) -> Response {
    let Ok(place) = Arc::clone(&admin.backups).try_acquire_owned() else {
        return (StatusCode::TOO_MANY_REQUESTS, "another backup is under way").into_response();
    };
    let (chunks, waiting) = mpsc::channel(WAITING_CHUNKS);
    let handle = admin.handle.clone();
    tokio::task::spawn_blocking(move || {
        let sent = handle.backup(|chunk| chunks.blocking_send(Ok::<_, std::io::Error>(chunk)).is_ok());
        if let Err(error) = sent {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "a backup was not handed over"
            );
            let _ = chunks.blocking_send(Err(std::io::Error::other("the log cannot be read")));
        }
        drop(place);
    });
    let body = Body::from_stream(ReceiverStream::new(waiting));
    ([(CONTENT_TYPE, "application/octet-stream")], body).into_response()
}
