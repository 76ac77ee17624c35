//! Traces of relays: where they go, and of how many relays.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::load::Faults;
use crate::secret::Secret;

/// Most spans that may wait to be exported.
const MAX_QUEUED_SPANS: usize = 1_000_000;
/// Longest name of a service, in bytes.
const MAX_NAME: usize = 128;

/// Traces of relays, and what of their context is sent on. By default there are none.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TracesConfig {
    /// URL at which an OpenTelemetry collector takes OTLP over HTTP, e.g. `http://127.0.0.1:4318/v1/traces`. Default: none; then no spans are made.
    pub otlp_url: Option<String>,
    /// Headers of each export, e.g. `Authorization`. Default: none.
    pub headers: BTreeMap<String, Secret>,
    /// Part of the relays that are traced, 0 to 1. Default 0.01.
    pub sample_ratio: f64,
    /// Whether a relay whose caller sends `traceparent` is traced if, and only if, its caller traces it. Where callers are strangers they decide
    /// then what is exported; false lets `sample_ratio` alone decide. Default true.
    pub parent_based: bool,
    /// Whether the request's id (`X-Request-Id`) and its place in a trace (`traceparent`, `tracestate`) are sent on: by a gateway to suppliers,
    /// who are strangers; by a servicer to its backends, in the place of what the relay's caller sent them. Default false.
    pub propagate: bool,
    /// Spans that wait to be exported at most; more are dropped, and counted. Default 8192.
    pub max_queued_spans: usize,
    /// Name of this process among others (`service.name`). Default `portico-gateway`, `portico-servicer`.
    pub service_name: Option<String>,
}

impl Default for TracesConfig {
    fn default() -> Self {
        Self {
            otlp_url: None,
            headers: BTreeMap::new(),
            sample_ratio: 0.01,
            parent_based: true,
            propagate: false,
            max_queued_spans: 8_192,
            service_name: None,
        }
    }
}

impl TracesConfig {
    /// Reports what cannot be used, below the key `traces`.
    pub(crate) fn validate(&self, faults: &mut Faults) {
        faults.within("traces", |faults| self.validate_within(faults));
    }

    fn validate_within(&self, faults: &mut Faults) {
        let is_http = |url: &String| url.starts_with("http://") || url.starts_with("https://");
        faults.expect(
            self.otlp_url.as_ref().is_none_or(is_http),
            "otlp_url",
            "must be a URL such as http://127.0.0.1:4318/v1/traces",
        );
        faults.expect(
            (0.0..=1.0).contains(&self.sample_ratio),
            "sample_ratio",
            "must be 0 to 1",
        );
        faults.expect(
            (1..=MAX_QUEUED_SPANS).contains(&self.max_queued_spans),
            "max_queued_spans",
            format!("must be 1 to {MAX_QUEUED_SPANS}"),
        );
        let is_name = |name: &String| (1..=MAX_NAME).contains(&name.len());
        faults.expect(
            self.service_name.as_ref().is_none_or(is_name),
            "service_name",
            format!("must have 1 to {MAX_NAME} bytes"),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::TracesConfig;
    use crate::load::Faults;

    fn faults(config: &TracesConfig) -> Vec<String> {
        let mut faults = Faults::default();
        config.validate(&mut faults);
        faults.found().iter().map(|fault| fault.key.clone()).collect()
    }

    #[test]
    fn the_defaults_are_valid() {
        assert!(faults(&TracesConfig::default()).is_empty());
    }

    #[test]
    fn names_every_key_that_cannot_be_used() {
        let config = TracesConfig {
            otlp_url: Some("127.0.0.1:4318".to_owned()),
            sample_ratio: f64::NAN,
            max_queued_spans: 0,
            service_name: Some(String::new()),
            ..TracesConfig::default()
        };
        let keys = ["otlp_url", "sample_ratio", "max_queued_spans", "service_name"];
        assert_eq!(faults(&config), keys.map(|key| format!("traces.{key}")));
    }
}
