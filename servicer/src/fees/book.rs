//! Keeps the transactions of sessions: in memory beside the session, on disk before they leave.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use portico_protocol::Height;
use tokio::task::spawn_blocking;

use super::{Fate, SentTx};
use crate::leaf_log::LeafLog;
use crate::metrics::Metrics;
use crate::session::tree::SessionTrees;

/// A transaction that is about to be sent.
#[derive(Clone, Debug)]
pub(crate) struct NewTx {
    /// Upper-case hexadecimal.
    pub(crate) hash: String,
    /// Newest block.
    pub(crate) sent_at: Height,
    /// Block time after which no block takes it.
    pub(crate) expires_at_ms: u64,
}

/// The transactions of all sessions.
pub(crate) struct FeeBook {
    trees: Arc<SessionTrees>,
    log: Arc<dyn LeafLog>,
    metrics: Arc<Metrics>,
    /// Sessions whose transactions are newer in memory than on disk.
    unstored: Mutex<BTreeSet<u64>>,
    /// One write at a time, with all that came while the one before went on.
    writing: Arc<tokio::sync::Mutex<()>>,
}

impl FeeBook {
    pub(crate) fn new(trees: Arc<SessionTrees>, log: Arc<dyn LeafLog>, metrics: Arc<Metrics>) -> Self {
        Self {
            trees,
            log,
            metrics,
            unstored: Mutex::default(),
            writing: Arc::default(),
        }
    }

    /// A transaction with a message for each of `sessions`, in that order, is about to be sent; it is on disk when this returns, unless that
    /// refuses: a claim is worth more than its entry here, which is written when the disk takes it.
    pub(crate) async fn sending(&self, sessions: &[u64], tx: &NewTx) {
        let messages = u32::try_from(sessions.len()).unwrap_or(u32::MAX);
        for (position, index) in (0..).zip(sessions) {
            let Some(tree) = self.trees.get(*index) else {
                continue;
            };
            tree.fees().push(SentTx {
                hash: tx.hash.clone(),
                messages,
                position,
                sent_at: tx.sent_at,
                expires_at_ms: tx.expires_at_ms,
                fate: Fate::Pending,
            });
            self.unstored().insert(*index);
        }
        self.store().await;
    }

    /// Notes what became of a transaction of these sessions.
    pub(super) fn decide(&self, hash: &str, sessions: &[u64], fate: impl Fn(&SentTx) -> Fate) {
        for index in sessions {
            if let Some(tree) = self.trees.get(*index)
                && tree.fees().decide(hash, &fate, |cost| self.metrics.fees(cost))
            {
                self.unstored().insert(*index);
            }
        }
    }

    /// The chain went back to `height`.
    pub(crate) fn rewound(&self, height: Height) {
        for tree in self.trees.all() {
            if tree.fees().rewound(height) {
                self.unstored().insert(tree.index);
            }
        }
    }

    /// Writes what is not on disk.
    pub(super) async fn store(&self) {
        let one = Arc::clone(&self.writing).lock_owned().await;
        let changed = std::mem::take(&mut *self.unstored());
        let fees: Vec<_> = changed
            .iter()
            .filter_map(|index| Some((*index, self.trees.get(*index)?.fees().clone())))
            .collect();
        if fees.is_empty() {
            return;
        }
        let log = Arc::clone(&self.log);
        let writing = move || {
            let _one = one; // until the log is let go, whoever waits for it
            let written = log.put_fees(&fees);
            drop(log);
            written
        };
        let written = spawn_blocking(writing).await;
        if let Ok(Err(error)) = &written {
            let error = error as &dyn std::error::Error;
            tracing::warn!(error, "what transactions cost is not stored yet");
        }
        if !matches!(written, Ok(Ok(()))) {
            self.unstored().extend(changed);
        }
    }

    /// Waits for what is being written: the log is in use until then.
    pub(super) async fn written(&self) {
        drop(self.writing.lock().await);
    }

    fn unstored(&self) -> MutexGuard<'_, BTreeSet<u64>> {
        self.unstored.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
