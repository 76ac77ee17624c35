//! Metrics of backends. Every label is a name of the configuration or of a fixed list.

use prometheus::{IntCounterVec, IntGaugeVec, Opts, Registry};

/// The series, by service, backend (`default` or an RPC type) and node.
#[derive(Clone, Debug)]
pub(crate) struct BackendMetrics {
    requests: IntCounterVec,
    usable: IntGaugeVec,
    head: IntGaugeVec,
    left: IntCounterVec,
    in_flight: IntGaugeVec,
    full: IntCounterVec,
}

/// Who a series is about.
#[derive(Clone, Debug)]
pub(super) struct Labels {
    pub(super) service: String,
    pub(super) backend: String,
    pub(super) node: String,
}

impl Labels {
    fn values(&self) -> [&str; 3] {
        [&self.service, &self.backend, &self.node]
    }
}

impl BackendMetrics {
    /// Registers the series; errs when `registry` holds a servicer already.
    pub(crate) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counters = |name: &str, help: &str, labels: &[&str]| {
            IntCounterVec::new(Opts::new(name, help), labels)
                .and_then(|series| registry.register(Box::new(series.clone())).map(|()| series))
        };
        let gauges = |name: &str, help: &str, labels: &[&str]| {
            IntGaugeVec::new(Opts::new(name, help), labels)
                .and_then(|series| registry.register(Box::new(series.clone())).map(|()| series))
        };
        const NODE: [&str; 3] = ["service", "backend", "node"];
        Ok(Self {
            requests: counters(
                "servicer_backend_requests_total",
                "Requests to nodes by outcome.",
                &["service", "backend", "node", "outcome"],
            )?,
            usable: gauges(
                "servicer_backend_usable",
                "1 while relays may go to the node, else 0.",
                &NODE,
            )?,
            head: gauges("servicer_backend_head", "Newest block that the node told.", &NODE)?,
            left: counters(
                "servicer_backend_left_total",
                "Times that a node was not asked any more, by reason.",
                &["service", "backend", "node", "reason"],
            )?,
            in_flight: gauges(
                "servicer_service_in_flight",
                "Relays of a service in progress, by class of methods.",
                &["service", "class"],
            )?,
            full: counters(
                "servicer_service_full_total",
                "Relays refused because a service, or a class of its methods, had as many in progress as allowed.",
                &["service", "class"],
            )?,
        })
    }

    /// A request to a node ended with `outcome`.
    pub(super) fn asked(&self, node: &Labels, outcome: &str) {
        let [service, backend, name] = node.values();
        self.requests
            .with_label_values(&[service, backend, name, outcome])
            .inc();
    }

    /// Whether relays may go to a node.
    pub(super) fn usable(&self, node: &Labels, usable: bool) {
        self.usable.with_label_values(&node.values()).set(usable.into());
    }

    /// A node told its newest block.
    pub(super) fn head(&self, node: &Labels, head: u64) {
        let head = i64::try_from(head).unwrap_or(i64::MAX);
        self.head.with_label_values(&node.values()).set(head);
    }

    /// A node is not asked any more.
    pub(super) fn left(&self, node: &Labels, reason: &str) {
        let [service, backend, name] = node.values();
        self.left
            .with_label_values(&[service, backend, name, reason])
            .inc();
    }

    /// Relays of a class in progress.
    pub(super) fn in_flight(&self, service: &str, class: &str) -> prometheus::IntGauge {
        self.in_flight.with_label_values(&[service, class])
    }

    /// A relay was refused for a full service or class.
    pub(super) fn full(&self, service: &str, class: &str) {
        self.full.with_label_values(&[service, class]).inc();
    }
}
