//! From ended spans to a collector: a bounded queue, batches, OTLP over HTTP.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use opentelemetry::Context;
use opentelemetry_otlp::{Protocol, SpanExporter as Otlp, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Span, SpanData, SpanExporter as _, SpanProcessor};
use portico_config::traces::TracesConfig;
use portico_net::tls::ClientTls;
use prometheus::{IntCounterVec, Opts, Registry};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

/// Spans of one export at most.
const BATCH: usize = 512;
/// Longest time for which a span waits for others.
const GATHER: Duration = Duration::from_secs(1);
/// Time for one export.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(10);
/// Time for what is left when the process ends.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// Pause between two warnings about a collector that takes nothing.
const WARN_EVERY: Duration = Duration::from_secs(60);

/// Why spans cannot be exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// A header cannot be sent. Says nothing of its value, which may be a secret.
    #[error("traces.headers.{0} is no header")]
    Header(String),
    /// No client for HTTP.
    #[error("no HTTP client for traces")]
    Client(#[from] reqwest::Error),
    /// The URL is malformed.
    #[error("traces.otlp_url cannot be used")]
    Url(#[from] opentelemetry_otlp::ExporterBuildError),
    /// The metrics are taken.
    #[error("metrics of traces")]
    Metrics(#[from] prometheus::Error),
}

/// Where ended spans go, whatever thread they end on.
#[derive(Clone, Debug, Default)]
pub(crate) struct Queue(Arc<OnceLock<Open>>);

#[derive(Debug)]
struct Open {
    spans: mpsc::Sender<SpanData>,
    counts: Counts,
}

#[derive(Clone, Debug)]
struct Counts(IntCounterVec);

impl Counts {
    fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let help = "Ended spans of traced relays by what became of them: exported, dropped_queue_full, dropped_export_failed.";
        let counts = IntCounterVec::new(Opts::new("portico_trace_spans_total", help), &["outcome"])?;
        for outcome in ["exported", "dropped_queue_full", "dropped_export_failed"] {
            counts.with_label_values(&[outcome]);
        }
        registry.register(Box::new(counts.clone()))?;
        Ok(Self(counts))
    }

    fn add(&self, outcome: &str, spans: usize) {
        self.0.with_label_values(&[outcome]).inc_by(spans as u64);
    }
}

impl SpanProcessor for Queue {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        if let Some(open) = self.0.get()
            && open.spans.try_send(span).is_err()
        {
            open.counts.add("dropped_queue_full", 1);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

/// Takes spans from the queue to the collector while it runs.
#[derive(Debug)]
pub struct Exporter {
    spans: mpsc::Receiver<SpanData>,
    otlp: Otlp,
    counts: Counts,
    warned: Option<Instant>,
}

impl Exporter {
    /// An exporter of what ends from now on; `None` when the queue has one.
    pub(crate) fn new(
        config: &TracesConfig,
        url: &str,
        service: &str,
        metrics: &Registry,
        queue: &Queue,
    ) -> Result<Option<Self>, ExportError> {
        if queue.0.get().is_some() {
            return Ok(None);
        }
        let mut otlp = Otlp::builder()
            .with_http()
            .with_http_client(ClientTls::public().http_client().no_proxy().build()?)
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(url)
            .with_headers(headers(config)?)
            .with_timeout(EXPORT_TIMEOUT)
            .build()?;
        let name = config.service_name.clone();
        let resource = Resource::builder_empty()
            .with_service_name(name.unwrap_or_else(|| service.to_owned()))
            .with_attribute(opentelemetry::KeyValue::new(
                "service.version",
                env!("CARGO_PKG_VERSION"),
            ))
            .build();
        otlp.set_resource(&resource);
        let (sender, spans) = mpsc::channel(config.max_queued_spans);
        let counts = Counts::new(metrics)?;
        let open = Open {
            spans: sender,
            counts: counts.clone(),
        };
        let taken = queue.0.set(open).is_err();
        Ok((!taken).then_some(Self {
            spans,
            otlp,
            counts,
            warned: None,
        }))
    }

    /// Exports until `stop`, and then what has ended before it.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                () = gather(&mut self.spans, &mut batch) => {}
            }
            let spans = std::mem::take(&mut batch);
            tokio::select! {
                biased;
                () = self.export(spans) => {}
                () = async { stop.cancelled().await; tokio::time::sleep(LAST_WORDS).await } => return,
            }
        }
        let last = async {
            while let Ok(span) = self.spans.try_recv() {
                batch.push(span);
            }
            while !batch.is_empty() {
                let rest = batch.split_off(batch.len().min(BATCH));
                let spans = std::mem::replace(&mut batch, rest);
                self.export(spans).await;
            }
        };
        if timeout(LAST_WORDS, last).await.is_err() {
            tracing::warn!("the collector did not take the last spans in time");
        }
    }

    async fn export(&mut self, batch: Vec<SpanData>) {
        let spans = batch.len();
        match timeout(EXPORT_TIMEOUT, self.otlp.export(batch)).await {
            Ok(Ok(())) => self.counts.add("exported", spans),
            Ok(Err(error)) => self.failed(spans, &error.to_string()),
            Err(_) => self.failed(spans, "no answer in time"),
        }
    }

    fn failed(&mut self, spans: usize, reason: &str) {
        self.counts.add("dropped_export_failed", spans);
        let now = Instant::now();
        if self
            .warned
            .is_none_or(|last| now.duration_since(last) >= WARN_EVERY)
        {
            self.warned = Some(now);
            tracing::warn!(spans, reason, "the collector takes no spans; they are dropped");
        }
    }
}

/// Waits for a span, and then for a whole batch or until [`GATHER`] is over. What was taken stays in `batch` when this is dropped.
async fn gather(spans: &mut mpsc::Receiver<SpanData>, batch: &mut Vec<SpanData>) {
    if batch.is_empty() {
        match spans.recv().await {
            Some(span) => batch.push(span),
            None => return std::future::pending().await, // never: the queue lives as long as the process
        }
    }
    let until = Instant::now() + GATHER;
    while batch.len() < BATCH {
        match timeout_at(until, spans.recv()).await {
            Ok(Some(span)) => batch.push(span),
            _ => return,
        }
    }
}

/// The headers of each export.
fn headers(config: &TracesConfig) -> Result<HashMap<String, String>, ExportError> {
    let mut headers = HashMap::new();
    for (name, value) in &config.headers {
        let fits =
            HeaderName::try_from(name.as_str()).is_ok() && HeaderValue::try_from(value.reveal()).is_ok();
        if !fits {
            return Err(ExportError::Header(name.clone()));
        }
        headers.insert(name.clone(), value.reveal().to_owned());
    }
    Ok(headers)
}
