//! What a node counts.

use prometheus::{Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, Opts, Registry};

/// Counters of a node.
#[derive(Clone)]
pub(crate) struct Metrics {
    pub(crate) height: IntGauge,
    pub(crate) writable: IntGauge,
    pub(crate) block_interval: Histogram,
    pub(crate) txs: IntCounterVec,
    pub(crate) mempool_txs: IntGauge,
    pub(crate) mempool_bytes: IntGauge,
    pub(crate) broadcasts: IntCounterVec,
    requests: IntCounterVec,
    /// Subscriptions of all clients.
    pub(crate) subscriptions: IntGauge,
    pub(crate) dropped_subscribers: IntCounter,
}

impl Metrics {
    /// Registers them; errs when another node's are in the registry.
    pub(crate) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let interval = HistogramOpts::new(
            "portico_chain_block_interval_seconds",
            "Time between the headers of a block and its parent.",
        );
        let counter =
            |name: &str, help: &str, label: &str| IntCounterVec::new(Opts::new(name, help), &[label]);
        let metrics = Self {
            height: IntGauge::new("portico_chain_height", "Height of the newest block.")?,
            writable: IntGauge::new(
                "portico_chain_writable",
                "1 while the disk takes blocks, 0 while it refuses one.",
            )?,
            block_interval: Histogram::with_opts(
                interval.buckets(vec![0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 15.0, 60.0]),
            )?,
            txs: counter(
                "portico_chain_txs_total",
                "Transactions in blocks, by outcome.",
                "outcome",
            )?,
            mempool_txs: IntGauge::new("portico_chain_mempool_txs", "Transactions that wait for a block.")?,
            mempool_bytes: IntGauge::new("portico_chain_mempool_bytes", "Bytes that wait for a block.")?,
            broadcasts: counter(
                "portico_chain_broadcasts_total",
                "Transactions handed to the mempool, by outcome.",
                "outcome",
            )?,
            requests: IntCounterVec::new(
                Opts::new(
                    "portico_chain_requests_total",
                    "Calls, by server (rpc, websocket, grpc) and method.",
                ),
                &["server", "method"],
            )?,
            subscriptions: IntGauge::new(
                "portico_chain_subscriptions",
                "Subscriptions of all WebSocket clients.",
            )?,
            dropped_subscribers: IntCounter::new(
                "portico_chain_dropped_subscribers_total",
                "Clients that lost their subscriptions because they were too slow.",
            )?,
        };
        metrics.writable.set(1);
        metrics.register(registry)?;
        Ok(metrics)
    }

    /// Counts a call. `method` is one of a fixed set.
    pub(crate) fn count(&self, server: &str, method: &str) {
        self.requests.with_label_values(&[server, method]).inc();
    }

    fn register(&self, registry: &Registry) -> Result<(), prometheus::Error> {
        registry.register(Box::new(self.height.clone()))?;
        registry.register(Box::new(self.writable.clone()))?;
        registry.register(Box::new(self.block_interval.clone()))?;
        registry.register(Box::new(self.txs.clone()))?;
        registry.register(Box::new(self.mempool_txs.clone()))?;
        registry.register(Box::new(self.mempool_bytes.clone()))?;
        registry.register(Box::new(self.broadcasts.clone()))?;
        registry.register(Box::new(self.requests.clone()))?;
        registry.register(Box::new(self.subscriptions.clone()))?;
        registry.register(Box::new(self.dropped_subscribers.clone()))
    }
}
