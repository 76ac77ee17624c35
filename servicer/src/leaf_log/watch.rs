//! Looks after the disk: says how full it is, refuses relays before it is full, and finds out when it takes leaves again.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{LOW_BYTES, LeafLog};
use crate::metrics::Metrics;

/// Time between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Longest time between two probes of a disk that refuses writes: opening the log for one may read all of it.
const MAX_PROBE_EVERY: Duration = Duration::from_secs(30);

/// The task that looks after the disk.
pub(crate) struct DiskWatch {
    log: Arc<dyn LeafLog>,
    metrics: Arc<Metrics>,
}

impl DiskWatch {
    pub(crate) fn new(log: Arc<dyn LeafLog>, metrics: Arc<Metrics>) -> Self {
        Self { log, metrics }
    }

    /// Looks until `stop`.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let (mut wait, mut next_probe) = (LOOK_EVERY, Instant::now());
        loop {
            let probes = Instant::now() >= next_probe;
            let (log, metrics) = (Arc::clone(&self.log), Arc::clone(&self.metrics));
            let looked = spawn_blocking(move || look(log.as_ref(), &metrics, probes)).await;
            match looked {
                Ok(Looked::Refused) => {
                    next_probe = Instant::now() + wait;
                    wait = (wait * 2).min(MAX_PROBE_EVERY);
                }
                Ok(Looked::Waits) => {}
                Ok(Looked::Good) => (wait, next_probe) = (LOOK_EVERY, Instant::now()),
                Err(error) => tracing::error!(%error, "the disk was not looked at"),
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }
}

/// What a look found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Looked {
    /// Leaves can be written.
    Good,
    /// They cannot, as a probe found out.
    Refused,
    /// They could not, and it is too early for a probe.
    Waits,
}

fn look(log: &dyn LeafLog, metrics: &Metrics, probes: bool) -> Looked {
    let (state, usage) = (log.state(), log.usage());
    if let Some(free_bytes) = usage.free_bytes
        && free_bytes < LOW_BYTES
    {
        state.low(free_bytes);
    }
    let mut looked = Looked::Good;
    if state.refuses() {
        looked = Looked::Waits;
        if probes {
            match log.probe() {
                Ok(()) => {
                    state.recovered();
                    looked = Looked::Good;
                }
                Err(error) => {
                    looked = Looked::Refused;
                    let error = &error as &dyn std::error::Error;
                    tracing::debug!(error, "the disk takes no leaves yet");
                }
            }
        }
    }
    metrics.disk(&usage, state.refuses());
    looked
}
