//! What the cache counts.

use prometheus::{IntCounter, IntGauge, Opts, Registry};

/// Counters of one cache; all carry the label `role`, so that two caches of one process can share a registry.
#[derive(Debug)]
pub(crate) struct Metrics {
    /// Questions to the chain for a session: 1 per (application, service) and rollover.
    pub(crate) lookups: IntCounter,
    /// Of these, the ones without an answer.
    pub(crate) failures: IntCounter,
    /// Callers served with a session that was there.
    pub(crate) hits: IntCounter,
    /// Callers served with the previous session while the next was being read.
    pub(crate) grace_hits: IntCounter,
    /// (Application, service) pairs known.
    pub(crate) entries: IntGauge,
}

impl Metrics {
    /// Counters that nobody reads.
    pub(crate) fn unregistered() -> Self {
        Self::new("none", &Registry::new()).expect("the only metrics of a registry of their own")
    }

    pub(crate) fn set_entries(&self, pairs: usize) {
        self.entries.set(i64::try_from(pairs).unwrap_or(i64::MAX));
    }

    pub(crate) fn new(role: &str, registry: &Registry) -> Result<Self, prometheus::Error> {
        let counter = |name: &str, help: &str| {
            let counter = IntCounter::with_opts(Opts::new(name, help).const_label("role", role))?;
            registry.register(Box::new(counter.clone()))?;
            Ok::<_, prometheus::Error>(counter)
        };
        let entries = IntGauge::with_opts(
            Opts::new("session_entries", "Pairs of application and service known.").const_label("role", role),
        )?;
        registry.register(Box::new(entries.clone()))?;
        Ok(Self {
            lookups: counter("session_lookups_total", "Questions to the chain for a session.")?,
            failures: counter(
                "session_lookup_failures_total",
                "Questions to the chain without a session.",
            )?,
            hits: counter("session_hits_total", "Callers served with a known session.")?,
            grace_hits: counter(
                "session_grace_hits_total",
                "Callers served with the previous session while the next was being read.",
            )?,
            entries,
        })
    }
}
