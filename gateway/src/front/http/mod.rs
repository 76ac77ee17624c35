//! The HTTP front door: JSON-RPC over POST, probes, and pages about errors.

mod body;
mod calls;
mod compress;
mod decode;
mod probe;
mod response;
mod route;
mod state;

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
        .route("/errors/{reason}", get(probe::explain));
    let public = match front.config.front_door_is_admin() {
        true => public
            .route("/ready", get(probe::ready_in_detail))
            .route("/metrics", get(probe::metrics)),
        false => public.route("/ready", get(probe::ready)),
    };
    public.fallback(calls::call).with_state(front).layer(cors)
}

/// What operators may ask.
pub(crate) fn admin_router(front: Arc<Front>) -> Router {
    Router::new()
        .route("/health", get(probe::health))
        .route("/ready", get(probe::ready_in_detail))
        .route("/metrics", get(probe::metrics))
        .with_state(front)
}

fn cors(origins: &[String]) -> CorsLayer {
    let origins = match origins.iter().any(|origin| origin == "*") {
        true => AllowOrigin::any(),
        false => AllowOrigin::list(origins.iter().filter_map(|origin| origin.parse().ok())),
    };
    CorsLayer::new()
        .allow_origin(origins)
        .allow_methods([Method::POST, Method::GET])
        .allow_headers(AllowHeaders::mirror_request()) // by name: browsers take no `*` for Authorization
        .expose_headers(response::EXPOSED)
        .max_age(PREFLIGHT_AGE)
}
