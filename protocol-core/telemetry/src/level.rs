//! What is logged, changed while the process runs.
//!
//! | request | answer |
//! |---|---|
//! | `GET /log-level` | `{"filter": "info"}` |
//! | `PUT /log-level` with `{"filter": "info,portico_servicer=debug"}` | the same, from now on; `{"filter": null}` is that of the start |

use std::sync::{Mutex, OnceLock, PoisonError};

use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::header::ORIGIN;
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use tracing_subscriber::{EnvFilter, Registry, reload};

/// Longest filter that is taken, in bytes.
const MAX_FILTER: usize = 1_024;

/// The filter of this process; none until it logs.
static FILTER: OnceLock<Current> = OnceLock::new();

#[derive(Debug)]
struct Current {
    handle: reload::Handle<EnvFilter, Registry>,
    /// Of the start, and now.
    directives: Mutex<(String, String)>,
}

/// Why a filter is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// It cannot be read.
    #[error("the filter cannot be read: {0}; write e.g. info,portico_servicer=debug")]
    Malformed(String),
    /// It is too long.
    #[error("a filter has at most {MAX_FILTER} bytes")]
    TooLong,
    /// The process does not log by this crate.
    #[error("this process has no filter")]
    None,
}

pub(crate) fn keep(handle: reload::Handle<EnvFilter, Registry>, directives: String) {
    let directives = Mutex::new((directives.clone(), directives));
    let _ = FILTER.set(Current { handle, directives });
}

/// The filter of logs, e.g. `info,portico_servicer=debug`; `None` in a process that was not started with [`start`](crate::start).
#[must_use]
pub fn filter() -> Option<String> {
    let current = FILTER.get()?;
    let directives = current.directives.lock().unwrap_or_else(PoisonError::into_inner);
    Some(directives.1.clone())
}

/// From now on logs are filtered by these directives, or by those of the start; returns them.
///
/// # Errors
/// When they cannot be read; then nothing changes.
pub fn set_filter(wanted: Option<&str>) -> Result<String, FilterError> {
    let current = FILTER.get().ok_or(FilterError::None)?;
    let mut directives = current.directives.lock().unwrap_or_else(PoisonError::into_inner);
    let wanted = wanted.map_or_else(|| directives.0.clone(), str::to_owned);
    let filter = read(&wanted)?;
    current.handle.reload(filter).map_err(|_| FilterError::None)?;
    tracing::info!(filter = wanted, "logs are filtered anew");
    directives.1.clone_from(&wanted);
    Ok(wanted)
}

fn read(directives: &str) -> Result<EnvFilter, FilterError> {
    if directives.len() > MAX_FILTER {
        return Err(FilterError::TooLong);
    }
    if directives.trim().is_empty() {
        return Err(FilterError::Malformed("it is empty".to_owned()));
    }
    EnvFilter::try_new(directives).map_err(|error| FilterError::Malformed(error.to_string()))
}

/// `GET` and `PUT /log-level`, for where only operators may ask. Pages of browsers are refused: one may reach what only this machine reaches.
pub fn router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new().route("/log-level", get(told).put(changed))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    filter: Option<String>,
}

async fn told() -> Response {
    Json(serde_json::json!({ "filter": filter() })).into_response()
}

async fn changed(headers: HeaderMap, Json(wanted): Json<Wanted>) -> Response {
    let refused = |status, text: &str| (status, Json(serde_json::json!({ "error": text }))).into_response();
    if headers.contains_key(ORIGIN) {
        return refused(StatusCode::FORBIDDEN, "not from a page in a browser");
    }
    match set_filter(wanted.filter.as_deref()) {
        Ok(filter) => Json(serde_json::json!({ "filter": filter })).into_response(),
        Err(error) => refused(StatusCode::BAD_REQUEST, &error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_people_write() {
        for good in ["info", "warn,portico_servicer=debug", "off"] {
            assert!(read(good).is_ok(), "{good}");
        }
        let long = "info,".repeat(MAX_FILTER);
        for bad in ["", " ", "portico=loud", &long] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
