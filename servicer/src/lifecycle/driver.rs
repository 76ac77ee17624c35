//! Performs the lifecycle: follows blocks in order, looks at the chain, seals, sends, stores each transition before the next.
//!
//! One task owns all transitions. At each new block it reads the settlement events of every height since the last one (none is skipped),
//! asks [`next::next`] for each session, stores what changed in one transaction, and only then broadcasts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use portico_client::{BlockHead, Chain, ChainError};
use portico_protocol::{Address, BlockHash, Height, SigningKey};
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

use crate::leaf_log::{LeafLog, LeafLogError};
use crate::lifecycle::next;
use crate::lifecycle::settlement::{Outcome, Settlement};
use crate::lifecycle::submit::{Outgoing, Sent, Submitter};
use crate::metrics::Metrics;
use crate::readiness::Progress;
use crate::relay::writer::Writer;
use crate::session::lookup::Sessions;
use crate::session::record::{Sending, SessionRecord};
use crate::session::stage::Stage;
use crate::session::tree::{SessionTree, SessionTrees};

/// Leaves deleted in one transaction, so that relays wait for it no longer than for one of their own commits.
const DELETE_BATCH: usize = 256;
/// Such transactions per block: a large session is deleted over several blocks.
const MAX_DELETES_PER_BLOCK: usize = 64;
/// Finished sessions of which the record is kept.
const MAX_FINISHED: usize = 10_000;
/// Time after which a block whose work failed is tried again when no other block comes.
const RETRY: Duration = Duration::from_secs(1);

/// Blocks of which the hash is remembered, to see how far a chain went back that has grown beyond since.
const MAX_RECENT: usize = 128;
/// Time for all work of a block.
const BLOCK_TIMEOUT: Duration = Duration::from_secs(60);

/// Why a block's work is to be tried again.
#[derive(Debug, thiserror::Error)]
pub(super) enum DriverError {
    #[error("the chain does not answer")]
    Chain(#[from] ChainError),
    #[error("the leaf log fails")]
    Log(#[from] LeafLogError),
    #[error("the block's work took too long")]
    Timeout,
    #[error("a task was cancelled")]
    Task(#[from] tokio::task::JoinError),
}

/// The task that owns the lifecycle.
pub(crate) struct Driver {
    pub(crate) chain: Arc<dyn Chain>,
    pub(crate) trees: Arc<SessionTrees>,
    pub(crate) log: Arc<dyn LeafLog>,
    pub(crate) writer: Arc<Writer>,
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) submitter: Submitter,
    pub(crate) keys: BTreeMap<Address, Arc<SigningKey>>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) progress: Arc<Progress>,
    pub(crate) keep_leaves_blocks: u32,
    /// Last height whose settlement events were taken into account.
    pub(crate) cursor: Height,
    /// Hashes of the newest blocks that were taken into account.
    pub(crate) recent: BTreeMap<Height, BlockHash>,
}

/// What one session wants to send.
pub(super) struct Wanted {
    pub(super) tree: Arc<SessionTree>,
    pub(super) record: SessionRecord,
    pub(super) message: prost_types::Any,
}

/// What a pass over the sessions found.
#[derive(Default)]
pub(super) struct Plan {
    pub(super) changed: Vec<(Arc<SessionTree>, SessionRecord)>,
    pub(super) claims: Vec<Wanted>,
    pub(super) proofs: Vec<Wanted>,
    pub(super) forget: Vec<Arc<SessionTree>>,
}

impl Driver {
    /// Follows blocks until `stop`.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let mut head = self.chain.head();
        // The stored cursor may be the newest block: its work is looked at once more after a start.
        let mut done = BlockHead::default();
        loop {
            let newest = head.borrow_and_update().clone();
            if newest != done {
                match self.within_time(&newest).await {
                    Ok(()) => done = newest.clone(),
                    Err(error) => {
                        let error = &error as &dyn std::error::Error;
                        tracing::warn!(error, height = newest.height.0, "the block's work is tried again");
                    }
                }
            }
            let all_done = newest == done;
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                changed = head.changed() => if changed.is_err() { return stop.cancelled().await },
                () = tokio::time::sleep(RETRY), if !all_done => {}
            }
        }
    }

    /// A node that does not answer must not stop the driver for good; what was sent but not stored is found on chain later.
    async fn within_time(&mut self, newest: &BlockHead) -> Result<(), DriverError> {
        let work = tokio::time::timeout(BLOCK_TIMEOUT, self.on_block(newest));
        work.await.unwrap_or(Err(DriverError::Timeout))
    }

    /// All work of the newest block, after that of the heights since the last one.
    async fn on_block(&mut self, newest: &BlockHead) -> Result<(), DriverError> {
        let common = self.common(newest).await;
        let still_there = common.unwrap_or(newest.height);
        if still_there < self.cursor {
            self.rewind(still_there).await?;
        }
        self.sessions.expire(newest.height);
        self.settle(newest.height).await?;
        let plan = self.plan(newest).await?;
        self.store(&plan.changed, None).await?;
        self.send("claim", newest, plan.claims, Stage::ClaimSent, |record| {
            &mut record.claim
        })
        .await?;
        self.send("proof", newest, plan.proofs, Stage::ProofSent, |record| {
            &mut record.proof
        })
        .await?;
        let counted = self
            .trees
            .all()
            .into_iter()
            .filter_map(|tree| tree.unsaved_counts().map(|record| (tree, record)));
        self.store(&counted.collect::<Vec<_>>(), Some(newest.height))
            .await?;
        self.cursor = newest.height;
        if common.is_some() {
            self.recent.insert(newest.height, newest.hash);
        }
        if self.recent.len() > MAX_RECENT {
            self.recent.pop_first();
        }
        self.forget(plan.forget).await?;
        self.progress.block(newest.height);
        self.metrics.block(
            newest.height.0,
            self.trees.all().iter().map(|tree| tree.stage().name()),
        );
        Ok(())
    }

    /// The highest block that was taken into account and is still the chain's: the cursor, unless the chain went back. That is seen by the
    /// hash when it has grown to the cursor or beyond since, as it may while its node does not answer. `None` when the chain does not answer:
    /// the next block asks again.
    async fn common(&self, newest: &BlockHead) -> Option<Height> {
        let mut common = self.cursor.min(newest.height);
        let mut replaced = false;
        for (&height, hash) in self.recent.range(..=newest.height).rev() {
            let now = if height == newest.height {
                newest.hash
            } else {
                match self.chain.block(height).await {
                    Ok(block) => block.hash,
                    Err(error) if error.is_retryable() => return None,
                    Err(_) => *hash, // forgotten by the node: nothing to compare with
                }
            };
            if now == *hash {
                return Some(if replaced { height } else { common });
            }
            replaced = true;
            common = Height(0); // unless an older one is still there
        }
        Some(common)
    }

    /// The chain went back, by a rollback of its operator's: what was seen in the blocks above is looked for again.
    async fn rewind(&mut self, head: Height) -> Result<(), DriverError> {
        let rewound =
            |tree: Arc<SessionTree>| next::rewound(&tree.record(), head).map(|record| (tree, record));
        let changed: Vec<_> = self.trees.all().into_iter().filter_map(rewound).collect();
        let (from, to, sessions) = (self.cursor.0, head.0, changed.len());
        tracing::warn!(
            from,
            to,
            sessions,
            "the chain went back: its claims and proofs are looked at again"
        );
        // A finished session that was read from disk has no leaves in memory.
        let (log, trees): (_, Vec<_>) = (
            Arc::clone(&self.log),
            changed.iter().map(|(tree, _)| tree.clone()).collect(),
        );
        spawn_blocking(move || {
            trees
                .iter()
                .try_for_each(|tree| tree.load_leaves(|visit| log.scan(tree.index, visit)))
        })
        .await??;
        self.store(&changed, Some(head)).await?;
        self.cursor = head;
        self.recent.retain(|height, _| *height <= head);
        Ok(())
    }

    /// Takes the settlement events of each height since the cursor into account, in order.
    async fn settle(&self, newest: Height) -> Result<(), DriverError> {
        let open: Vec<_> = self
            .trees
            .all()
            .into_iter()
            .filter(|tree| !tree.stage().is_final())
            .collect();
        let heights: BTreeSet<Height> = open
            .iter()
            .map(|tree| tree.record().windows.proof_close)
            .collect();
        for height in heights
            .into_iter()
            .filter(|height| self.cursor < *height && *height <= newest)
        {
            let results = match self.chain.block_results(height).await {
                Ok(results) => results,
                Err(error) if error.is_retryable() => return Err(error.into()),
                Err(error) => {
                    tracing::warn!(%error, height = height.0, "settlement events are gone");
                    continue;
                }
            };
            let settlement = Settlement::new(&results.block_events);
            let mut changed = Vec::new();
            for tree in &open {
                let mut record = tree.record();
                if let Some(outcome) = settlement.outcome(&record) {
                    record.slashed = settlement.slashed(&record);
                    self.finish(&mut record, outcome, height);
                    changed.push((Arc::clone(tree), record));
                }
            }
            self.store(&changed, None).await?;
        }
        Ok(())
    }

    fn finish(&self, record: &mut SessionRecord, outcome: Outcome, height: Height) {
        let session = &record.session_id;
        match outcome {
            Outcome::Settled(settled) => {
                tracing::info!(session, supplier = %record.supplier, settled = %settled.settled, "claim settled");
                self.metrics.settled(settled.settled);
                record.settled = Some(settled);
                // A proof in the last block of its window is settled in that same block.
                record.proved |= record.proof_required == Some(true);
                record.finish(Stage::Settled, height);
            }
            Outcome::Expired(reason) => {
                tracing::error!(session, supplier = %record.supplier, ?reason, "claim expired");
                record.expire(reason, height);
            }
        }
    }

    async fn plan(&self, newest: &BlockHead) -> Result<Plan, DriverError> {
        let mut plan = Plan::default();
        for tree in self.trees.all().into_iter().filter(|tree| !tree.is_forgotten()) {
            let before = tree.record();
            let mut record = before.clone();
            // One session that cannot be advanced must not hold up the others: it is tried again at the next block.
            if let Err(error) = self.advance(&tree, &mut record, newest, &mut plan).await {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(
                    error,
                    session = record.session_id,
                    "the session is tried again at the next block"
                );
            }
            if record != before {
                plan.changed.push((tree, record));
            }
        }
        Ok(plan)
    }

    /// Broadcasts what the sessions want, per supplier, and stores the outcome.
    async fn send(
        &self,
        kind: &'static str,
        newest: &BlockHead,
        wanted: Vec<Wanted>,
        sent_stage: Stage,
        sending: impl Fn(&mut SessionRecord) -> &mut Sending,
    ) -> Result<(), DriverError> {
        let mut by_supplier: BTreeMap<Address, Vec<Wanted>> = BTreeMap::new();
        for one in wanted {
            by_supplier.entry(one.record.supplier).or_default().push(one);
        }
        for (supplier, mut wanted) in by_supplier {
            let Some(key) = self.keys.get(&supplier) else {
                tracing::error!(%supplier, kind, "the key of this supplier is not configured: nothing is sent");
                continue;
            };
            let outgoing = |one: &mut Wanted| Outgoing {
                session: one.tree.index,
                message: one.message.clone(),
                alone: sending(&mut one.record).alone,
            };
            let messages = wanted.iter_mut().map(outgoing).collect();
            let sent = self.submitter.send(kind, key, newest, messages).await;
            let mut outcomes: BTreeMap<u64, Sent> = sent.into_iter().map(|one| (one.session, one)).collect();
            let mut changed = Vec::with_capacity(wanted.len());
            for Wanted {
                tree,
                mut record,
                message: _,
            } in wanted
            {
                match outcomes.remove(&tree.index).map(|sent| sent.outcome) {
                    Some(Ok(hash)) => {
                        sending(&mut record).accepted(hash, newest.height);
                        record.stage = sent_stage;
                    }
                    Some(Err(error)) => sending(&mut record).refused(error, false),
                    None => continue,
                }
                changed.push((tree, record));
            }
            self.store(&changed, None).await?;
        }
        Ok(())
    }

    /// One durable transaction; memory follows the disk.
    async fn store(
        &self,
        changed: &[(Arc<SessionTree>, SessionRecord)],
        cursor: Option<Height>,
    ) -> Result<(), DriverError> {
        if changed.is_empty() && cursor.is_none() {
            return Ok(());
        }
        let records: Vec<_> = changed
            .iter()
            .map(|(tree, record)| (tree.index, record.clone()))
            .collect();
        let log = Arc::clone(&self.log);
        spawn_blocking(move || log.put(&records, cursor)).await??;
        for (tree, record) in changed {
            tree.set_record(record.clone());
        }
        Ok(())
    }

    /// Deletes the leaves of finished sessions, and the oldest of their records when there are too many.
    async fn forget(&self, trees: Vec<Arc<SessionTree>>) -> Result<(), DriverError> {
        let mut left = MAX_DELETES_PER_BLOCK;
        for tree in trees {
            let mut record = tree.record();
            let (log, index) = (Arc::clone(&self.log), tree.index);
            let deleting = spawn_blocking(move || {
                while left > 0 {
                    left -= 1;
                    if log.delete_leaves(index, DELETE_BATCH)? < DELETE_BATCH {
                        return Ok::<_, LeafLogError>((left, true));
                    }
                }
                Ok((0, false))
            });
            let (rest, all) = deleting.await??;
            left = rest;
            if !all {
                break;
            }
            record.deleted_leaves = Some(record.seal.map_or(0, |seal| seal.leaves));
            tree.drop_leaves();
            self.store(&[(tree, record)], None).await?;
        }
        let finished: Vec<u64> = self
            .trees
            .all()
            .iter()
            .filter(|tree| tree.is_forgotten())
            .map(|tree| tree.index)
            .collect();
        if finished.len() > MAX_FINISHED {
            let oldest = finished[..finished.len() - MAX_FINISHED].to_vec();
            self.trees.remove(&oldest);
            let log = Arc::clone(&self.log);
            spawn_blocking(move || log.delete_sessions(&oldest)).await??;
        }
        Ok(())
    }
}
