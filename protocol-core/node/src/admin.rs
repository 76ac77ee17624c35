//! What operators ask a node: `/metrics`, and `/health` at an address of their own.
//!
//! | path | on `rpc_listen` | on `admin_listen` |
//! |---|---|---|
//! | `/metrics` | without `admin_listen`, and only on a loopback address | yes |
//! | `/health` | CometBFT's call of that name | yes |

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use portico_net::Listener;
use prometheus::{Registry, TextEncoder};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::NodeError;

/// Serves until `stop`; without a listener it only waits.
pub(crate) async fn serve(
    listener: Option<Listener>,
    registry: Registry,
    stop: CancellationToken,
) -> Result<(), NodeError> {
    let Some(listener) = listener else {
        stop.cancelled().await;
        return Ok(());
    };
    let router = metrics_only(registry).route("/health", get(health));
    let failed = |source| NodeError::Serve {
        server: "admin",
        source,
    };
    listener.serve(router, stop).await.map_err(failed)
}

/// `/metrics`, in Prometheus' text format.
pub(crate) fn metrics_only(registry: Registry) -> Router {
    Router::new().route("/metrics", get(metrics)).with_state(registry)
}

async fn health() -> Json<serde_json::Value> {
    Json(json!({ "status": "healthy" }))
}

async fn metrics(State(registry): State<Registry>) -> Response {
    match TextEncoder::new().encode_to_string(&registry.gather()) {
        Ok(text) => ([(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}
