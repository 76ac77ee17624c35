//! Metrics of the servicer, all named `servicer_*`.

use std::time::Duration;

use portico_protocol::{ServiceId, Upokt};
use prometheus::{
    Counter, CounterVec, GaugeVec, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry, exponential_buckets,
};

use crate::fees::Cost;
use crate::leaf_log::Usage;
use crate::standing::judge::Alarm;

/// The series.
#[derive(Debug)]
pub(crate) struct Metrics {
    relays: IntCounterVec,
    websockets: IntGauge,
    websockets_closed: IntCounterVec,
    served: IntCounterVec,
    streams: IntGauge,
    stream_messages: IntCounter,
    streams_ended: IntCounterVec,
    unpaid: IntCounterVec,
    lost: CounterVec,
    fees: CounterVec,
    leaves: IntCounter,
    relay_seconds: Histogram,
    backend_seconds: Histogram,
    commit_seconds: Histogram,
    commit_leaves: Histogram,
    lookups: IntCounter,
    sessions: IntGaugeVec,
    claimed: Counter,
    settled: Counter,
    transactions: IntCounterVec,
    height: IntGauge,
    deadlines: IntCounterVec,
    foreign_claims: IntCounter,
    withheld: IntCounterVec,
    damaged: IntCounter,
    supplier_alarms: IntGaugeVec,
    supplier_stake: GaugeVec,
    supplier_balance: GaugeVec,
    disk: DiskMetrics,
}

/// The disk under the leaf log.
#[derive(Debug)]
struct DiskMetrics {
    refuses: IntGauge,
    free_bytes: IntGauge,
    reserve_bytes: IntGauge,
    file_bytes: IntGauge,
    leaf_bytes: IntGauge,
}

impl DiskMetrics {
    fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let gauge = |name: &str, help: &str| {
            IntGauge::new(name, help)
                .and_then(|series| registry.register(Box::new(series.clone())).map(|()| series))
        };
        Ok(Self {
            refuses: gauge(
                "servicer_disk_refuses",
                "1 while relays are refused because the disk is full or fails.",
            )?,
            free_bytes: gauge(
                "servicer_disk_free_bytes",
                "Free bytes on the disk of the leaf log; -1 when the system does not tell.",
            )?,
            reserve_bytes: gauge(
                "servicer_disk_reserve_bytes",
                "Room on the disk that is kept for claims and proofs; 0 after it was given up to them.",
            )?,
            file_bytes: gauge("servicer_log_file_bytes", "Size of the leaf log's file.")?,
            leaf_bytes: gauge(
                "servicer_log_leaf_bytes",
                "Leaves in the leaf log; the rest of the file is used again before it grows.",
            )?,
        })
    }

    fn set(&self, usage: &Usage, refuses: bool) {
        let number = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
        self.refuses.set(refuses.into());
        self.free_bytes.set(usage.free_bytes.map_or(-1, number));
        self.reserve_bytes.set(number(usage.reserve_bytes));
        self.file_bytes.set(number(usage.file_bytes));
        self.leaf_bytes.set(number(usage.leaf_bytes));
    }
}

/// Counts in a gauge while it lives.
#[derive(Debug)]
pub(crate) struct Open(IntGauge);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Metrics {
    /// Registers the series; errs when `registry` holds a servicer already.
    pub(crate) fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counters = |name: &str, help: &str, labels: &[&str]| {
            IntCounterVec::new(Opts::new(name, help), labels)
                .and_then(|series| registry.register(Box::new(series.clone())).map(|()| series))
        };
        let histogram = |name: &str, help: &str, start: f64, factor: f64, count: usize| {
            let options = HistogramOpts::new(name, help).buckets(exponential_buckets(start, factor, count)?);
            let series = Histogram::with_opts(options)?;
            registry.register(Box::new(series.clone())).map(|()| series)
        };
        let counter = |name: &str, help: &str| {
            IntCounter::new(name, help)
                .and_then(|series| registry.register(Box::new(series.clone())).map(|()| series))
        };
        let amount = |name: &str, help: &str| {
            Counter::new(name, help)
                .and_then(|series| registry.register(Box::new(series.clone())).map(|()| series))
        };
        let amount_by = |name: &str, help: &str, labels: &[&str]| {
            CounterVec::new(Opts::new(name, help), labels)
                .and_then(|series| registry.register(Box::new(series.clone())).map(|()| series))
        };
        let sessions = IntGaugeVec::new(Opts::new("servicer_sessions", "Sessions by stage."), &["stage"])?;
        registry.register(Box::new(sessions.clone()))?;
        let supplier_alarms = IntGaugeVec::new(
            Opts::new(
                "servicer_supplier_alarms",
                "Suppliers with something that costs money or will, by what it is.",
            ),
            &["alarm"],
        )?;
        registry.register(Box::new(supplier_alarms.clone()))?;
        for alarm in Alarm::NAMES {
            supplier_alarms.with_label_values(&[alarm]).set(0);
        }
        let amounts = |name: &str, help: &str| {
            GaugeVec::new(Opts::new(name, help), &["supplier"])
                .and_then(|series| registry.register(Box::new(series.clone())).map(|()| series))
        };
        let height = IntGauge::new(
            "servicer_block_height",
            "Newest block for which claims and proofs were planned.",
        )?;
        registry.register(Box::new(height.clone()))?;
        // An increase is seen only of a series that was there before it.
        let deadlines = counters(
            "servicer_deadlines_near_total",
            "Claims and proofs that the chain did not have two blocks before their window closed.",
            &["kind"],
        )?;
        let withheld = counters(
            "servicer_claims_withheld_total",
            "Claims that were due and not sent: the supplier's account cannot pay for them and their proofs, or they cost more than they are worth.",
            &["reason"],
        )?;
        for reason in ["unfunded", "unprofitable"] {
            withheld.with_label_values(&[reason]);
        }
        let transactions = counters(
            "servicer_transactions_total",
            "Claim and proof transactions by outcome.",
            &["kind", "outcome"],
        )?;
        for kind in ["claim", "proof"] {
            deadlines.with_label_values(&[kind]);
            for outcome in ["accepted", "refused"] {
                transactions.with_label_values(&[kind, outcome]);
            }
        }
        let websockets = IntGauge::new("servicer_websockets", "WebSockets that are served.")?;
        registry.register(Box::new(websockets.clone()))?;
        let streams = IntGauge::new("servicer_streams", "Event streams that are served.")?;
        registry.register(Box::new(streams.clone()))?;
        Ok(Self {
            streams,
            stream_messages: counter(
                "servicer_stream_messages_total",
                "Signed messages of event streams.",
            )?,
            streams_ended: counters(
                "servicer_streams_ended_total",
                "Event streams that ended, by reason: complete, or what cut them off.",
                &["reason"],
            )?,
            websockets,
            websockets_closed: counters(
                "servicer_websockets_closed_total",
                "WebSockets that ended, by reason: who closed, who is gone, or the name of a refusal.",
                &["reason"],
            )?,
            served: counters(
                "servicer_served_total",
                "Relays served, by transport: unary (one answer over HTTP or gRPC), stream, or websocket (a message).",
                &["transport"],
            )?,
            relays: counters(
                "servicer_relays_total",
                "Relay requests by outcome.",
                &["outcome"],
            )?,
            unpaid: counters(
                "servicer_served_unpaid_total",
                "Relays answered for nothing, by reason and service.",
                &["reason", "service"],
            )?,
            lost: amount_by(
                "servicer_lost_upokt_total",
                "Worth of sessions that ended unpaid, by reason and service.",
                &["reason", "service"],
            )?,
            fees: amount_by(
                "servicer_fees_upokt_total",
                "What the chain took of suppliers' accounts: for transactions, and for proofs.",
                &["kind"],
            )?,
            leaves: counter("servicer_leaves_total", "Relays recorded on disk.")?,
            relay_seconds: histogram(
                "servicer_relay_seconds",
                "Time of a served relay.",
                0.0005,
                2.0,
                16,
            )?,
            backend_seconds: histogram(
                "servicer_backend_seconds",
                "Time of a backend's answer.",
                0.0005,
                2.0,
                16,
            )?,
            commit_seconds: histogram(
                "servicer_commit_seconds",
                "Time of a commit of leaves.",
                0.0002,
                2.0,
                14,
            )?,
            commit_leaves: histogram("servicer_commit_leaves", "Leaves in a commit.", 1.0, 2.0, 9)?,
            lookups: counter("servicer_session_lookups_total", "Sessions asked of the chain.")?,
            sessions,
            claimed: amount(
                "servicer_claimed_upokt_total",
                "Worth of claims accepted by the chain.",
            )?,
            settled: amount("servicer_settled_upokt_total", "Settled for claims.")?,
            transactions,
            height,
            foreign_claims: counter(
                "servicer_foreign_claims_total",
                "Sessions that another process with the same key claimed: no proof is sent, nothing is reported as paid.",
            )?,
            deadlines,
            withheld,
            supplier_alarms,
            supplier_stake: amounts(
                "servicer_supplier_stake_upokt",
                "Stake of each supplier; 0 for one that is not staked.",
            )?,
            supplier_balance: amounts(
                "servicer_supplier_balance_upokt",
                "What the account of each supplier's operator holds.",
            )?,
            damaged: counter(
                "servicer_damaged_leaves_total",
                "Leaves that were not on disk as they were written when their session was sealed: they are not claimed.",
            )?,
            disk: DiskMetrics::new(registry)?,
        })
    }

    /// The disk was looked at.
    pub(crate) fn disk(&self, usage: &Usage, refuses: bool) {
        self.disk.set(usage, refuses);
    }

    /// A relay ended with `outcome`: `served`, or the name of its refusal.
    pub(crate) fn relay(&self, outcome: &str) {
        self.relays.with_label_values(&[outcome]).inc();
    }

    /// So many WebSockets are served.
    pub(crate) fn websockets(&self, count: usize) {
        self.websockets.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// A WebSocket ended.
    pub(crate) fn websocket_closed(&self, reason: &str) {
        self.websockets_closed.with_label_values(&[reason]).inc();
    }

    /// An event stream is served as long as what this returns lives.
    pub(crate) fn stream(&self) -> Open {
        self.streams.inc();
        Open(self.streams.clone())
    }

    /// A message of an event stream was signed.
    pub(crate) fn stream_message(&self) {
        self.stream_messages.inc();
    }

    /// An event stream ended.
    pub(crate) fn stream_ended(&self, reason: &str) {
        self.streams_ended.with_label_values(&[reason]).inc();
    }

    /// A relay was served with one answer.
    pub(crate) fn served(&self, took: Duration) {
        self.served_by("unary");
        self.relay_seconds.observe(took.as_secs_f64());
    }

    /// A message of a WebSocket was served, which is a relay.
    pub(crate) fn message_served(&self) {
        self.served_by("websocket");
    }

    /// A stream was served, which is one relay.
    pub(crate) fn stream_served(&self) {
        self.served_by("stream");
    }

    fn served_by(&self, transport: &str) {
        self.relay("served");
        self.served.with_label_values(&[transport]).inc();
    }

    /// A relay of `service` was answered for nothing.
    pub(crate) fn unpaid(&self, reason: &str, service: &ServiceId) {
        self.unpaid.with_label_values(&[reason, service.as_str()]).inc();
    }

    /// A session of `service` ended unpaid that was worth so much.
    pub(crate) fn lost(&self, reason: &str, service: &ServiceId, worth: Upokt) {
        let lost = self.lost.with_label_values(&[reason, service.as_str()]);
        lost.inc_by(amount(worth));
    }

    /// The chain took this of a supplier's account.
    pub(crate) fn fees(&self, cost: &Cost) {
        for (kind, taken) in [("transaction", cost.tx), ("proof", cost.proof)] {
            self.fees.with_label_values(&[kind]).inc_by(amount(taken));
        }
    }

    /// A backend answered.
    pub(crate) fn backend(&self, took: Duration) {
        self.backend_seconds.observe(took.as_secs_f64());
    }

    /// `leaves` were committed in one transaction.
    #[expect(clippy::cast_precision_loss, reason = "at most a few hundred")]
    pub(crate) fn committed(&self, leaves: usize, took: Duration) {
        self.leaves.inc_by(u64::try_from(leaves).unwrap_or(0));
        self.commit_leaves.observe(leaves as f64);
        self.commit_seconds.observe(took.as_secs_f64());
    }

    /// The chain was asked for a session.
    pub(crate) fn lookup(&self) {
        self.lookups.inc();
    }

    /// A transaction of `kind` (`claim`, `proof`) had `outcome`.
    pub(crate) fn transaction(&self, kind: &str, outcome: &str) {
        self.transactions.with_label_values(&[kind, outcome]).inc();
    }

    /// The chain holds another claim than ours for a session of ours.
    pub(crate) fn foreign_claim(&self) {
        self.foreign_claims.inc();
    }

    /// So many suppliers have the alarm `name`.
    pub(crate) fn supplier_alarms(&self, name: &str, suppliers: usize) {
        let suppliers = i64::try_from(suppliers).unwrap_or(i64::MAX);
        self.supplier_alarms.with_label_values(&[name]).set(suppliers);
    }

    /// What the chain says of a supplier.
    pub(crate) fn supplier(&self, supplier: &str, stake: Upokt, balance: Upokt) {
        self.supplier_stake
            .with_label_values(&[supplier])
            .set(amount(stake));
        self.supplier_balance
            .with_label_values(&[supplier])
            .set(amount(balance));
    }

    /// This many leaves of a session are not claimed, because the disk changed them.
    pub(crate) fn damaged(&self, leaves: u64) {
        self.damaged.inc_by(leaves);
    }

    /// A claim is due and not sent, for `reason` (`unfunded`, `unprofitable`).
    pub(crate) fn withheld(&self, reason: &str) {
        self.withheld.with_label_values(&[reason]).inc();
    }

    /// The window of a `kind` (`claim`, `proof`) closes soon, and the chain does not have it.
    pub(crate) fn deadline_near(&self, kind: &str) {
        self.deadlines.with_label_values(&[kind]).inc();
    }

    /// The chain holds a claim of `worth`.
    pub(crate) fn claimed(&self, worth: Upokt) {
        self.claimed.inc_by(amount(worth));
    }

    /// A claim was settled.
    pub(crate) fn settled(&self, settled: Upokt) {
        self.settled.inc_by(amount(settled));
    }

    /// A block was seen, and what it asks for was planned.
    pub(crate) fn planned(&self, height: i64) {
        self.height.set(height);
    }

    /// Sets the gauge of the sessions' `stages`, when a block's work is done.
    pub(crate) fn stages(&self, stages: impl Iterator<Item = &'static str>) {
        self.sessions.reset();
        for stage in stages {
            self.sessions.with_label_values(&[stage]).inc();
        }
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "metrics are floats; the ledger has exact amounts"
)]
fn amount(upokt: Upokt) -> f64 {
    upokt.0 as f64
}
