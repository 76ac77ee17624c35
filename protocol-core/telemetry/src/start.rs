//! The subscriber of a process: logs, and traces once they are configured.

use std::sync::OnceLock;

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use portico_config::traces::TracesConfig;
use prometheus::Registry as Metrics;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt, reload};

use crate::export::{ExportError, Exporter, Queue};
use crate::filter::OfRelays;
use crate::{level, sampling};

/// How logs are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For people; in colour on a terminal.
    Text {
        /// Whether in colour.
        ansi: bool,
    },
    /// One JSON object per line.
    Json,
}

/// Where ended spans go; none until they are exported.
static QUEUE: OnceLock<Queue> = OnceLock::new();

/// Starts logging to standard error, filtered by `RUST_LOG` if it can be read, else by `directives`. Once per process: later calls change nothing.
pub fn start(directives: &str, format: Format) {
    let given = std::env::var(EnvFilter::DEFAULT_ENV).ok();
    let given = given.and_then(|text| Some((EnvFilter::try_new(&text).ok()?, text)));
    let (filter, directives) = given.unwrap_or_else(|| (EnvFilter::new(directives), directives.to_owned()));
    let (filter, handle) = reload::Layer::new(filter);
    let logs = fmt::layer().with_writer(std::io::stderr);
    let logs = match format {
        Format::Text { ansi } => logs.with_ansi(ansi).with_filter(filter).boxed(),
        Format::Json => logs.json().flatten_event(true).with_filter(filter).boxed(),
    };
    let queue = QUEUE.get_or_init(Queue::default);
    let provider = SdkTracerProvider::builder()
        .with_sampler(Sampler::AlwaysOn) // of relays that are traced: which are, is decided before
        .with_span_processor(queue.clone())
        .build();
    let traces = tracing_opentelemetry::layer()
        .with_tracer(provider.tracer("portico"))
        .with_location(false)
        .with_threads(false)
        .with_target(false)
        .with_level(false)
        .with_filter(OfRelays);
    let installed = Registry::default().with(logs).with(traces).try_init();
    if installed.is_ok() {
        level::keep(handle, directives);
    }
}

/// Exports spans of relays from now on, as configured, under the name of `service` unless the configuration has another; counts them in
/// `metrics`. `None` when traces are not configured, or exported already. The exporter is to be run.
///
/// # Errors
/// When the exporter cannot be set up: its URL or a header is malformed.
pub fn export(
    config: &TracesConfig,
    service: &str,
    metrics: &Metrics,
) -> Result<Option<Exporter>, ExportError> {
    let Some(url) = &config.otlp_url else {
        return Ok(None);
    };
    let queue = QUEUE.get_or_init(Queue::default);
    let exporter = Exporter::new(config, url, service, metrics, queue)?;
    if exporter.is_some() {
        sampling::begin(config);
        tracing::callsite::rebuild_interest_cache();
    }
    Ok(exporter)
}
