//! What is held in memory of each session and supplier: the record, the index of its leaves, counters.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use portico_protocol::{Address, Height, ServiceId};
use portico_relay::refusal::Reason;
use portico_smst::{LeafSet, Path};

use crate::fees::SessionFees;
use crate::session::failed::FailedBy;
use crate::session::ledger::LedgerRow;
use crate::session::record::{CountSnapshot, SessionRecord};
use crate::session::stage::Stage;
use crate::session::unpaid::{Unpaid, UnpaidBy};

/// One session of one supplier.
#[derive(Debug)]
pub(crate) struct SessionTree {
    /// Its index in the leaf log.
    pub(crate) index: u64,
    /// The service of its session.
    pub(crate) service: ServiceId,
    pub(crate) counts: Counts,
    record: Mutex<SessionRecord>,
    leaves: Mutex<Leaves>,
    fees: Mutex<SessionFees>,
    /// Relays that may still become leaves.
    in_flight: AtomicU64,
    accepting: AtomicBool,
}

/// Relays by how far they came; see [`LedgerRow`].
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) validated: AtomicU64,
    pub(crate) served: AtomicU64,
    pub(crate) unpaid: AtomicU64,
    pub(crate) applicable: AtomicU64,
    by_reason: [AtomicU64; Unpaid::ALL.len()],
    failed: Mutex<FailedBy>,
}

/// The index of the leaves on disk.
#[derive(Debug)]
pub(crate) struct Leaves {
    pub(crate) set: LeafSet,
    /// Position of the next leaf.
    pub(crate) next_seq: u64,
    /// No further leaf is taken: what is in the set is the claim.
    pub(crate) closed: bool,
}

/// While it lives, its session is not sealed (within the drain deadline).
#[derive(Debug)]
pub(crate) struct InFlight(Arc<SessionTree>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Counts {
    fn restore(from: CountSnapshot) -> Self {
        Self {
            validated: from.validated.into(),
            served: from.served.into(),
            unpaid: from.unpaid.into(),
            applicable: from.applicable.into(),
            by_reason: Unpaid::ALL.map(|reason| from.unpaid_by.of(reason).into()),
            failed: Mutex::new(from.failed_by),
        }
    }

    /// A relay was answered with a signature for nothing.
    pub(crate) fn unpaid(&self, reason: Unpaid) {
        count(&self.unpaid);
        count(&self.by_reason[reason as usize]);
    }

    /// A relay that passed every check was refused before an answer was signed.
    pub(crate) fn unanswered(&self, reason: Reason) {
        lock(&self.failed).unanswered(reason);
    }

    /// A relay that was to be a leaf is none, and was refused.
    pub(crate) fn unrecorded(&self, reason: Reason) {
        lock(&self.failed).unrecorded(reason);
    }

    /// Counters are stored once per block: after a crash the leaves on disk tell of more.
    fn raise_to(&self, leaves: u64) {
        for counter in [&self.validated, &self.served, &self.applicable] {
            counter.fetch_max(leaves, Ordering::Relaxed);
        }
    }

    /// The values now.
    pub(crate) fn snapshot(&self) -> CountSnapshot {
        CountSnapshot {
            validated: self.validated.load(Ordering::Relaxed),
            served: self.served.load(Ordering::Relaxed),
            unpaid: self.unpaid.load(Ordering::Relaxed),
            applicable: self.applicable.load(Ordering::Relaxed),
            unpaid_by: UnpaidBy::new(
                Unpaid::ALL.map(|reason| self.by_reason[reason as usize].load(Ordering::Relaxed)),
            ),
            failed_by: lock(&self.failed).clone(),
        }
    }
}

/// Adds one to a counter of [`Counts`].
pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl SessionTree {
    /// A session without leaves.
    pub(crate) fn new(index: u64, record: SessionRecord) -> Self {
        let leaves = Leaves {
            set: LeafSet::new(record.compute_units_per_relay),
            next_seq: 0,
            closed: false,
        };
        Self {
            index,
            service: record.service.clone(),
            counts: Counts::restore(record.counts.clone()),
            accepting: AtomicBool::new(record.stage == Stage::Open),
            leaves: Mutex::new(leaves),
            fees: Mutex::new(record.fees.clone()),
            record: Mutex::new(record),
            in_flight: AtomicU64::new(0),
        }
    }

    /// Builds the index anew from the leaves on disk, which `scan` visits: position, key, relay.
    pub(crate) fn load_leaves<E>(
        &self,
        scan: impl FnOnce(&mut dyn FnMut(u64, &[u8; 32], &[u8])) -> Result<(), E>,
    ) -> Result<(), E> {
        let sealed = lock(&self.record).seal.is_some();
        let mut leaves = self.leaves();
        leaves.set = LeafSet::new(leaves.set.weight());
        scan(&mut |seq, key, relay| {
            let (path, hash) = leaf_hash(key, relay, leaves.set.weight());
            leaves.set.insert(path, hash, seq);
            leaves.next_seq = leaves.next_seq.max(seq.saturating_add(1));
        })?;
        leaves.closed = sealed;
        let count = u64::try_from(leaves.set.len()).unwrap_or(u64::MAX);
        self.counts.raise_to(count);
        Ok(())
    }

    /// A copy of the record with counters and fees of now.
    pub(crate) fn record(&self) -> SessionRecord {
        let mut record = lock(&self.record).clone();
        record.counts = self.counts.snapshot();
        record.fees.clone_from(&self.fees());
        record
    }

    /// The record with counters of now, when they are not the stored ones.
    pub(crate) fn unsaved_counts(&self) -> Option<SessionRecord> {
        let stored = lock(&self.record).counts.clone();
        (self.counts.snapshot() != stored).then(|| self.record())
    }

    /// Where the session is in its life.
    pub(crate) fn stage(&self) -> Stage {
        lock(&self.record).stage
    }

    /// Replaces the record; the caller has stored it.
    pub(crate) fn set_record(&self, record: SessionRecord) {
        *lock(&self.record) = record;
    }

    /// The index of leaves; held for microseconds by relays, for longer only after the session was closed.
    pub(crate) fn leaves(&self) -> MutexGuard<'_, Leaves> {
        lock(&self.leaves)
    }

    /// Whether the leaves in memory are those that the sealed root counts; so it is before there is one.
    pub(crate) fn gives_sealed_root(&self) -> bool {
        let seal = self.record().seal;
        seal.is_none_or(|seal| self.leaves().set.root().as_ref() == seal.root)
    }

    /// Its transactions, and what they cost.
    pub(crate) fn fees(&self) -> MutexGuard<'_, SessionFees> {
        lock(&self.fees)
    }

    /// Operator address.
    pub(crate) fn supplier(&self) -> Address {
        lock(&self.record).supplier
    }

    /// Registers a relay that may become a leaf; `None` once the session drains.
    pub(crate) fn enter(self: &Arc<Self>) -> Option<InFlight> {
        self.in_flight.fetch_add(1, Ordering::SeqCst);
        let place = InFlight(Arc::clone(self));
        // Read after the increment: whoever stops the session either sees this relay or is seen by it.
        self.accepting.load(Ordering::SeqCst).then_some(place)
    }

    /// Takes no further relays.
    pub(crate) fn stop_accepting(&self) {
        self.accepting.store(false, Ordering::SeqCst);
    }

    /// Relays in progress.
    pub(crate) fn in_flight(&self) -> u64 {
        self.in_flight.load(Ordering::SeqCst)
    }

    /// Gives the memory of the index back: the leaves were deleted.
    pub(crate) fn drop_leaves(&self) {
        let mut leaves = self.leaves();
        leaves.set = LeafSet::new(leaves.set.weight());
    }

    /// Whether only the record is left.
    pub(crate) fn is_forgotten(&self) -> bool {
        lock(&self.record).deleted_leaves.is_some()
    }

    /// The ledger's row of this session.
    pub(crate) fn row(&self) -> LedgerRow {
        let record = self.record();
        let committed =
            record
                .deleted_leaves
                .unwrap_or_else(|| match (record.stage.is_final(), record.seal) {
                    (true, Some(seal)) => seal.leaves,
                    _ => u64::try_from(self.leaves().set.len()).unwrap_or(u64::MAX),
                });
        crate::session::ledger::row(record, committed)
    }
}

/// Path and digest of a leaf.
pub(crate) fn leaf_hash(key: &[u8; 32], relay: &[u8], weight: u64) -> (Path, [u8; 32]) {
    let path = Path::of_key(key);
    let hash = LeafSet::hash_leaf(&path, relay, weight);
    (path, hash)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// All trees, by index and by (session, supplier).
#[derive(Debug, Default)]
pub(crate) struct SessionTrees {
    inner: RwLock<ByKey>,
}

#[derive(Debug, Default)]
struct ByKey {
    by_index: BTreeMap<u64, Arc<SessionTree>>,
    by_session: HashMap<(String, Address), u64>,
    next_index: u64,
}

impl SessionTrees {
    /// Adds a restored tree.
    pub(crate) fn insert(&self, tree: Arc<SessionTree>) {
        let record = tree.record();
        let mut all = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        all.next_index = all.next_index.max(tree.index.saturating_add(1));
        all.by_session
            .insert((record.session_id, record.supplier), tree.index);
        all.by_index.insert(tree.index, tree);
    }

    /// An index that no session has.
    pub(crate) fn claim_index(&self) -> u64 {
        let mut all = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        let index = all.next_index;
        all.next_index = index.saturating_add(1);
        index
    }

    /// The tree of a session and supplier.
    pub(crate) fn find(&self, session_id: &str, supplier: &Address) -> Option<Arc<SessionTree>> {
        let all = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        let index = all.by_session.get(&(session_id.to_owned(), *supplier))?;
        all.by_index.get(index).cloned()
    }

    /// The tree at an index.
    pub(crate) fn get(&self, index: u64) -> Option<Arc<SessionTree>> {
        let all = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        all.by_index.get(&index).cloned()
    }

    /// All trees, oldest first.
    pub(crate) fn all(&self) -> Vec<Arc<SessionTree>> {
        let all = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        all.by_index.values().cloned().collect()
    }

    /// Forgets trees.
    pub(crate) fn remove(&self, indices: &[u64]) {
        let mut all = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        for index in indices {
            if let Some(tree) = all.by_index.remove(index) {
                let record = tree.record();
                all.by_session.remove(&(record.session_id, record.supplier));
            }
        }
    }

    /// Suppliers with sessions that are neither settled nor given up, and how many those are.
    pub(crate) fn unsettled(&self) -> BTreeMap<Address, usize> {
        let mut suppliers = BTreeMap::new();
        for tree in self.all() {
            let record = lock(&tree.record);
            if !record.stage.is_final() {
                *suppliers.entry(record.supplier).or_default() += 1;
            }
        }
        suppliers
    }

    /// Whether a session is not sealed although its claim window closed before `head`.
    pub(crate) fn oldest_unsealed_overdue(&self, head: Height) -> bool {
        let unsealed = |tree: &Arc<SessionTree>| matches!(tree.stage(), Stage::Open | Stage::Draining);
        self.all()
            .iter()
            .filter(|tree| unsealed(tree))
            .any(|tree| head > tree.record().windows.claim_close)
    }
}
