//! The HTTP front door: JSON-RPC, REST, CometBFT, probes, and pages about errors.

pub(super) mod asked;
mod calls;
mod compress;
mod decode;
mod grpc;
mod jsonrpc;
mod plain;
mod probe;
mod response;
mod route;
mod services;
pub(super) mod state;
mod stream;
mod wishes;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use http::Method;
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};

pub(crate) use self::response::http_layer_error;
pub(crate) use self::state::Front;

/// How long browsers remember what they may send.
const PREFLIGHT_AGE: Duration = Duration::from_secs(3_600);

/// What everybody may ask: calls, whether the gateway lives and is ready, what an error means. Operators' pages too, if only this machine
/// can reach it.
pub(crate) fn router(front: Arc<Front>) -> Router {
    let cors = cors(&front.config.cors_allowed_origins);
    let public = Router::new()
        .route("/health", get(probe::health))
        .route("/healthz", get(probe::healthz))
        .route("/errors/{reason}", get(probe::explain));
    let public = match front.config.front_door_is_admin() {
        true => operators(public),
        false => public
            .route("/ready", get(probe::ready))
            .route("/ready/{service}", get(probe::ready_of)),
    };
    public.fallback(calls::call).with_state(front).layer(cors)
}

/// What operators may ask.
pub(crate) fn admin_router(front: Arc<Front>) -> Router {
    let health = Router::new()
        .route("/health", get(probe::health))
        .route("/healthz", get(probe::healthz));
    operators(health).with_state(front)
}

/// What only operators may ask.
fn operators(router: Router<Arc<Front>>) -> Router<Arc<Front>> {
    router
        .route("/ready", get(probe::ready_in_detail))
        .route("/ready/{service}", get(probe::ready_of_in_detail))
        .route("/metrics", get(probe::metrics))
        .route("/config", get(probe::config))
        .route("/disqualified_endpoints", get(probe::disqualified))
        .merge(portico_telemetry::router())
}

fn cors(origins: &[String]) -> CorsLayer {
    let origins = match origins.iter().any(|origin| origin == "*") {
        true => AllowOrigin::any(),
        false => AllowOrigin::list(origins.iter().filter_map(|origin| origin.parse().ok())),
    };
    CorsLayer::new()
        .allow_origin(origins)
        .allow_methods([
            Method::POST,
            Method::GET,
            Method::HEAD,
            Method::PUT,
            Method::PATCH,
            Method::DELETE,
        ])
        .allow_headers(AllowHeaders::mirror_request()) // by name: browsers take no `*` for Authorization
        .expose_headers(response::EXPOSED)
        .max_age(PREFLIGHT_AGE)
}
