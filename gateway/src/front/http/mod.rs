//! The HTTP front door: JSON-RPC over POST, probes, and pages about errors.

mod calls;
mod probe;
mod response;
mod route;
mod state;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use http::Method;
use tower_http::cors::{AllowOrigin, Any, CorsLayer};

pub(crate) use self::state::Front;

/// How long browsers remember what they may send.
const PREFLIGHT_AGE: Duration = Duration::from_secs(3_600);

/// All routes.
pub(crate) fn router(front: Arc<Front>) -> Router {
    let cors = cors(&front.config.cors_allowed_origins);
    Router::new()
        .route("/health", get(probe::health))
        .route("/ready", get(probe::ready))
        .route("/metrics", get(probe::metrics))
        .route("/errors/{reason}", get(probe::explain))
        .fallback(calls::call)
        .with_state(front)
        .layer(cors)
}

fn cors(origins: &[String]) -> CorsLayer {
    let origins = match origins.iter().any(|origin| origin == "*") {
        true => AllowOrigin::any(),
        false => AllowOrigin::list(origins.iter().filter_map(|origin| origin.parse().ok())),
    };
    CorsLayer::new()
        .allow_origin(origins)
        .allow_methods([Method::POST, Method::GET])
        .allow_headers(Any)
        .expose_headers(response::EXPOSED)
        .max_age(PREFLIGHT_AGE)
}
