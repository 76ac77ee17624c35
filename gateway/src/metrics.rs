//! What the gateway counts.

use std::time::Duration;

use portico_protocol::ServiceId;
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry,
};

use crate::core::fault::Fault;
use crate::core::receipt::ReceiptOutcome;

/// Latency bounds in seconds: from a local backend's half a millisecond to a deadline.
const BOUNDS: [f64; 14] = [
    0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0,
];

/// Label of calls whose service is not served: one value, whatever callers send.
const NO_SERVICE: &str = "";

/// The gateway's metrics; the sessions' are the cache's.
#[derive(Debug)]
pub(crate) struct Metrics {
    relays: IntCounterVec,
    duration: HistogramVec,
    failures: IntCounterVec,
    receipts: IntCounterVec,
    pub(crate) in_flight: IntGauge,
    pub(crate) websockets: IntGauge,
    websocket_messages: IntCounterVec,
    websocket_rebinds: IntCounterVec,
    websockets_closed: IntCounterVec,
    streams: IntGauge,
    stream_messages: IntCounter,
    streams_ended: IntCounterVec,
}

impl Metrics {
    pub(crate) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let relays = IntCounterVec::new(
            Opts::new(
                "gateway_relays_total",
                "Calls by service and outcome: ok, or the reason of the error.",
            ),
            &["service", "outcome"],
        )?;
        let duration = HistogramVec::new(
            HistogramOpts::new(
                "gateway_relay_duration_seconds",
                "Time from call to verified answer.",
            )
            .buckets(BOUNDS.to_vec()),
            &["service"],
        )?;
        let failures = IntCounterVec::new(
            Opts::new(
                "gateway_supplier_failures_total",
                "Attempts at suppliers that failed, by cause.",
            ),
            &["cause"],
        )?;
        let receipts = IntCounterVec::new(
            Opts::new(
                "gateway_receipts_total",
                "Receipts that suppliers were asked for, by outcome: verified, missing or invalid.",
            ),
            &["outcome"],
        )?;
        let in_flight = IntGauge::new("gateway_relays_in_flight", "Calls under way.")?;
        let websockets = IntGauge::new("gateway_websockets", "WebSockets of callers that are open.")?;
        let websocket_messages = IntCounterVec::new(
            Opts::new(
                "gateway_websocket_messages_total",
                "Messages over WebSockets by service and by who sent them: caller, supplier.",
            ),
            &["service", "from"],
        )?;
        let websocket_rebinds = IntCounterVec::new(
            Opts::new(
                "gateway_websocket_rebinds_total",
                "Suppliers' sockets replaced under a caller's, by why: session, or the cause of a failure.",
            ),
            &["cause"],
        )?;
        let websockets_closed = IntCounterVec::new(
            Opts::new(
                "gateway_websockets_closed_total",
                "WebSockets of callers that ended, by reason.",
            ),
            &["reason"],
        )?;
        let streams = IntGauge::new("gateway_streams", "Event streams to callers that are open.")?;
        let stream_messages = IntCounter::new(
            "gateway_stream_messages_total",
            "Verified messages of event streams that were passed on.",
        )?;
        let streams_ended = IntCounterVec::new(
            Opts::new(
                "gateway_streams_ended_total",
                "Event streams that ended, by reason: complete, caller_gone, stopping, or the cause of a failure.",
            ),
            &["reason"],
        )?;
        registry.register(Box::new(streams.clone()))?;
        registry.register(Box::new(stream_messages.clone()))?;
        registry.register(Box::new(streams_ended.clone()))?;
        registry.register(Box::new(websockets.clone()))?;
        registry.register(Box::new(websocket_messages.clone()))?;
        registry.register(Box::new(websocket_rebinds.clone()))?;
        registry.register(Box::new(websockets_closed.clone()))?;
        registry.register(Box::new(relays.clone()))?;
        registry.register(Box::new(duration.clone()))?;
        registry.register(Box::new(failures.clone()))?;
        registry.register(Box::new(receipts.clone()))?;
        registry.register(Box::new(in_flight.clone()))?;
        Ok(Self {
            relays,
            duration,
            failures,
            receipts,
            in_flight,
            websockets,
            websocket_messages,
            websocket_rebinds,
            websockets_closed,
            streams,
            stream_messages,
            streams_ended,
        })
    }

    /// Counts a call that got an answer, or an error of this reason.
    pub(crate) fn call(&self, service: Option<&ServiceId>, outcome: &str) {
        let service = service.map_or(NO_SERVICE, ServiceId::as_str);
        self.relays.with_label_values(&[service, outcome]).inc();
    }

    /// Time of a call that got a verified answer.
    pub(crate) fn answered(&self, service: &ServiceId, took: Duration) {
        let histogram: Histogram = self.duration.with_label_values(&[service.as_str()]);
        histogram.observe(took.as_secs_f64());
    }

    /// Counts a receipt that was asked for.
    pub(crate) fn receipt(&self, outcome: &ReceiptOutcome) {
        if let Some(name) = outcome.name() {
            self.receipts.with_label_values(&[name]).inc();
        }
    }

    /// Counts a message over a WebSocket.
    pub(crate) fn websocket_message(&self, service: &ServiceId, from: &str) {
        let labels = [service.as_str(), from];
        self.websocket_messages.with_label_values(&labels).inc();
    }

    /// Counts a supplier's socket that is replaced.
    pub(crate) fn websocket_rebound(&self, cause: &str) {
        self.websocket_rebinds.with_label_values(&[cause]).inc();
    }

    /// Counts a caller's socket that ended.
    pub(crate) fn websocket_closed(&self, reason: &str) {
        self.websockets_closed.with_label_values(&[reason]).inc();
    }

    /// An event stream begins.
    pub(crate) fn stream_begins(&self) {
        self.streams.inc();
    }

    /// A message of an event stream was passed on.
    pub(crate) fn stream_message(&self) {
        self.stream_messages.inc();
    }

    /// An event stream ended.
    pub(crate) fn stream_ended(&self, reason: &str) {
        self.streams.dec();
        self.streams_ended.with_label_values(&[reason]).inc();
    }

    pub(crate) fn failed(&self, fault: &Fault) {
        self.failures.with_label_values(&[fault.cause()]).inc();
    }
}
