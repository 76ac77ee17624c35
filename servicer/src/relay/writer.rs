//! Group commit: one thread writes all leaves that wait, in one transaction, then lets their answers go.
//!
//! While a commit is in progress the next leaves gather in the queue; the commit itself is the linger, so a lone relay waits for nothing
//! but the disk. A failed commit fails every waiter: their clients get an error, never a signed answer without a leaf.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use portico_net::budget::Room;
use portico_protocol::relay::MinedRelay;
use portico_relay::refusal::Reason;
use portico_smst::Path;
use tokio::sync::{mpsc, oneshot};

use crate::leaf_log::{LeafLog, NewLeaf};
use crate::metrics::Metrics;
use crate::session::meter::Reservation;
use crate::session::tree::{InFlight, SessionTree, leaf_hash};

/// Most leaves in one transaction.
const MAX_BATCH: usize = 256;
/// Bytes of relays in one transaction after which no more are taken.
const MAX_BATCH_BYTES: usize = 1 << 20;

/// A leaf on its way to the disk.
#[derive(Debug)]
pub(crate) struct Append {
    pub(crate) tree: Arc<SessionTree>,
    pub(crate) relay: MinedRelay,
    /// For the relay's bytes.
    pub(crate) room: Room,
    pub(crate) reservation: Reservation,
    /// Keeps the session open until the leaf is written.
    pub(crate) place: InFlight,
    pub(crate) done: oneshot::Sender<Result<Appended, AppendError>>,
}

/// How an append ended well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Appended {
    /// It is a new leaf.
    Leaf,
    /// The same relay is a leaf already: it counts once.
    Duplicate,
}

/// Why a relay is not a leaf.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AppendError {
    /// The session was sealed while the relay was in progress.
    #[error("the session was sealed while the relay was in progress")]
    Sealed,
    /// The leaf log failed.
    #[error("the relay could not be recorded")]
    Failed,
}

impl AppendError {
    /// The refusal that its client gets.
    const fn reason(self) -> Reason {
        match self {
            Self::Sealed => Reason::Sealed,
            Self::Failed => Reason::RecordingFailed,
        }
    }
}

/// A place in the writer's queue, taken before the backend is asked.
#[derive(Debug)]
pub(crate) struct Slot(mpsc::OwnedPermit<Append>);

impl Slot {
    /// Hands a leaf to the writer; never waits.
    pub(crate) fn append(
        self,
        tree: Arc<SessionTree>,
        relay: MinedRelay,
        room: Room,
        reservation: Reservation,
        place: InFlight,
    ) -> oneshot::Receiver<Result<Appended, AppendError>> {
        let (done, outcome) = oneshot::channel();
        self.0.send(Append {
            tree,
            relay,
            room,
            reservation,
            place,
            done,
        });
        outcome
    }
}

/// The queue's end for relays, and what the rest of the servicer may ask of the writer.
#[derive(Debug)]
pub(crate) struct Writer {
    queue: mpsc::Sender<Append>,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    /// Held while a batch is decided, written and indexed.
    batch: Mutex<()>,
}

impl Writer {
    /// Starts the thread; it ends when the writer and all slots are gone, after everything queued is written.
    pub(crate) fn start(
        log: Arc<dyn LeafLog>,
        places: usize,
        metrics: Arc<Metrics>,
    ) -> std::io::Result<(Self, JoinHandle<()>)> {
        let (queue, incoming) = mpsc::channel(places);
        let shared = Arc::new(Shared::default());
        let work = Work {
            log,
            shared: Arc::clone(&shared),
            metrics,
        };
        let thread = std::thread::Builder::new()
            .name("leaf-writer".into())
            .spawn(move || work.run(incoming))?;
        Ok((Self { queue, shared }, thread))
    }

    /// A place in the queue; `None` when it is full: the relay must be refused before its backend is asked.
    pub(crate) fn slot(&self) -> Option<Slot> {
        self.queue.clone().try_reserve_owned().ok().map(Slot)
    }

    /// The next free place in the queue; `None` when the writer is gone.
    pub(crate) async fn next_slot(&self) -> Option<Slot> {
        self.queue.clone().reserve_owned().await.ok().map(Slot)
    }

    /// Lets no further leaf into `tree`. When this returns, its set is exactly what is on disk. Blocks for at most one commit.
    pub(crate) fn close(&self, tree: &SessionTree) {
        let _between_batches = self.shared.batch.lock().unwrap_or_else(PoisonError::into_inner);
        tree.leaves().closed = true;
    }

    /// Share of the queue that is taken, 0 to 1.
    #[expect(clippy::cast_precision_loss, reason = "a ratio for people")]
    pub(crate) fn fill(&self) -> f64 {
        1.0 - self.queue.capacity() as f64 / self.queue.max_capacity() as f64
    }
}

struct Work {
    log: Arc<dyn LeafLog>,
    shared: Arc<Shared>,
    metrics: Arc<Metrics>,
}

/// A leaf that will be written.
struct Taken {
    append: Append,
    path: Path,
    hash: [u8; 32],
    seq: u64,
}

impl Work {
    fn run(&self, mut incoming: mpsc::Receiver<Append>) {
        while let Some(first) = incoming.blocking_recv() {
            let mut bytes = first.relay.bytes.len();
            let mut batch = vec![first];
            while batch.len() < MAX_BATCH && bytes < MAX_BATCH_BYTES {
                let Ok(next) = incoming.try_recv() else { break };
                bytes = bytes.saturating_add(next.relay.bytes.len());
                batch.push(next);
            }
            self.write(batch);
        }
    }

    fn write(&self, batch: Vec<Append>) {
        let _batch = self.shared.batch.lock().unwrap_or_else(PoisonError::into_inner);
        let (taken, answered) = sort(batch);
        let leaves: Vec<NewLeaf<'_>> = taken.iter().map(Taken::new_leaf).collect();
        let started = tokio::time::Instant::now();
        let outcome = if leaves.is_empty() {
            Ok(())
        } else {
            self.log.append(&leaves)
        };
        if let Err(error) = &outcome {
            self.log.state().failed(error);
            tracing::error!(
                error = error as &dyn std::error::Error,
                leaves = leaves.len(),
                "leaves were not written"
            );
        } else if !leaves.is_empty() {
            self.metrics.committed(leaves.len(), started.elapsed());
        }
        let failed = outcome.is_err();
        for leaf in taken {
            leaf.finish(failed);
        }
        for (append, outcome) in answered {
            // A duplicate of a leaf that failed with this very batch is not on disk either.
            let outcome = if failed { Err(AppendError::Failed) } else { outcome };
            if let Err(error) = outcome {
                append.tree.counts.unrecorded(error.reason());
            }
            let _ = append.done.send(outcome);
        }
    }
}

type Answered = Vec<(Append, Result<Appended, AppendError>)>;

/// Decides for each relay whether it becomes a leaf, and gives those their positions.
fn sort(batch: Vec<Append>) -> (Vec<Taken>, Answered) {
    let (mut taken, mut answered) = (Vec::with_capacity(batch.len()), Vec::new());
    let mut next: HashMap<u64, u64> = HashMap::new();
    let mut new_paths: HashSet<(u64, Path)> = HashSet::new();
    for append in batch {
        let index = append.tree.index;
        let (closed, weight, first_free, known);
        let path = Path::of_key(&append.relay.hash);
        {
            let leaves = append.tree.leaves();
            (closed, weight, first_free) = (leaves.closed, leaves.set.weight(), leaves.next_seq);
            known = leaves.set.get(&path).is_some();
        }
        if closed {
            answered.push((append, Err(AppendError::Sealed)));
        } else if known || !new_paths.insert((index, path)) {
            answered.push((append, Ok(Appended::Duplicate)));
        } else {
            let seq = next.entry(index).or_insert(first_free);
            let (path, hash) = leaf_hash(&append.relay.hash, &append.relay.bytes, weight);
            taken.push(Taken {
                append,
                path,
                hash,
                seq: *seq,
            });
            *seq = seq.saturating_add(1);
        }
    }
    (taken, answered)
}

impl Taken {
    fn new_leaf(&self) -> NewLeaf<'_> {
        NewLeaf {
            session: self.append.tree.index,
            seq: self.seq,
            key: &self.append.relay.hash,
            relay: &self.append.relay.bytes,
        }
    }

    /// Indexes the leaf and lets its answer go, or fails it.
    fn finish(self, failed: bool) {
        let Append {
            tree,
            relay,
            room,
            reservation,
            place: _place,
            done,
        } = self.append;
        drop((relay, room)); // before the answer goes: its client may send the next request at once
        if failed {
            tree.counts.unrecorded(AppendError::Failed.reason());
            let _ = done.send(Err(AppendError::Failed));
            return;
        }
        {
            let mut leaves = tree.leaves();
            leaves.set.insert(self.path, self.hash, self.seq);
            leaves.next_seq = self.seq.saturating_add(1);
        }
        reservation.commit();
        let _ = done.send(Ok(Appended::Leaf));
    }
}
