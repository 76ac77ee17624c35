//! What a request that failed on its way means.

use portico_net::tls::explain;

use crate::core::fault::{Fault, shortened};

/// The fault of a supplier that gave no answer over HTTP.
pub(super) fn fault(error: &reqwest::Error) -> Fault {
    let mut text = String::new();
    let mut source: Option<&dyn std::error::Error> = std::error::Error::source(error);
    while let Some(cause) = source {
        text = cause.to_string(); // the innermost says it best
        source = cause.source();
    }
    let text = if text.is_empty() { error.to_string() } else { text };
    let text = explain(error).unwrap_or(text);
    match error.is_connect() || error.is_builder() {
        true => Fault::Connect(shortened(&text)),
        false => Fault::Lost(shortened(&text)),
    }
}
