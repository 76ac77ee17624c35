//! The cache: who waits, who asks the chain, and when.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use futures::stream::{self, StreamExt};
use portico_client::{BlockHead, Chain};
use portico_protocol::{Address, Height, ServiceId};
use tokio::sync::{MutexGuard, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::metrics::Metrics;
use crate::read::{PublicKeys, Question, read};
use crate::slot::Slot;
use crate::{SessionError, SessionView};

/// Pairs of application and service that are remembered; when full, the one unused for longest makes room.
pub const MAX_ENTRIES: usize = 4_096;
/// Sessions that are read at the same time at a rollover.
const PREFETCHES: usize = 16;
/// Pauses between questions at a rollover: the chain's queries may lag a moment behind its blocks.
const BOUNDARY_PAUSES: [Duration; 5] = [
    Duration::from_millis(25),
    Duration::from_millis(100),
    Duration::from_millis(200),
    Duration::from_millis(400),
    Duration::from_millis(800),
];

type Key = (Address, ServiceId);

/// Sessions of (application, service), read once per rollover however many callers ask.
pub struct SessionCache {
    chain: Arc<dyn Chain>,
    head: watch::Receiver<BlockHead>,
    slots: RwLock<BTreeMap<Key, Arc<Slot>>>,
    keys: PublicKeys,
    metrics: Metrics,
}

impl std::fmt::Debug for SessionCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SessionCache")
            .field("height", &self.height())
            .finish_non_exhaustive()
    }
}

impl SessionCache {
    /// An empty cache over `chain`. Its metrics carry the label `role` and err when `registry` already has them with that role.
    pub fn new(
        chain: Arc<dyn Chain>,
        role: &str,
        registry: &prometheus::Registry,
    ) -> Result<Self, prometheus::Error> {
        Ok(Self {
            head: chain.head(),
            metrics: Metrics::new(role, registry)?,
            chain,
            slots: RwLock::default(),
            keys: PublicKeys::default(),
        })
    }

    /// Height of the newest committed block; 0 before the first is known.
    #[must_use]
    pub fn height(&self) -> Height {
        self.head.borrow().height
    }

    /// The session to relay in now.
    ///
    /// That is the one of the newest block. While it is being read after a rollover, callers get the previous one as long as its
    /// suppliers accept it; a caller waits only when there is none.
    pub async fn current(
        &self,
        application: &Address,
        service: &ServiceId,
    ) -> Result<Arc<SessionView>, SessionError> {
        let head = self.height();
        let slot = self.slot(application, service, head);
        let (current, in_grace, refusal) = {
            let known = slot.known();
            (
                known.containing(head),
                known.in_grace(head),
                known.refusal(head, head, Instant::now()),
            )
        };
        match (current, in_grace, refusal) {
            (Some(view), _, _) => {
                self.metrics.hits.inc();
                Ok(view)
            }
            (None, Some(previous), None) => Ok(match slot.flight.try_lock() {
                Ok(flight) => {
                    let question = self.question(application, service, head);
                    self.ask(&slot, &question, flight).await.unwrap_or(previous)
                }
                Err(_) => self.grace(previous),
            }),
            (None, Some(previous), Some(_)) => Ok(self.grace(previous)),
            (None, None, Some(error)) => Err(error),
            (None, None, None) => self.at(application, service, head).await,
        }
    }

    /// The session that contains `height`, which is at most the newest block's; 0 means the newest.
    pub async fn at(
        &self,
        application: &Address,
        service: &ServiceId,
        height: Height,
    ) -> Result<Arc<SessionView>, SessionError> {
        let slot = self.slot(application, service, self.height());
        if let Some(answer) = self.known(&slot, height) {
            return answer;
        }
        let flight = slot.flight.lock().await;
        match self.known(&slot, height) {
            Some(answer) => answer, // whoever was before us asked
            None => {
                self.ask(&slot, &self.question(application, service, height), flight)
                    .await
            }
        }
    }

    /// The session before the current one, while its suppliers still accept relays. Never asks the chain.
    #[must_use]
    pub fn previous(&self, application: &Address, service: &ServiceId) -> Option<Arc<SessionView>> {
        let head = self.height();
        self.slot(application, service, head).known().in_grace(head)
    }

    /// Reads the next session of every pair in use as soon as a block after the current one's end is committed, until `stop`.
    pub async fn run(&self, stop: CancellationToken) {
        let mut head = self.head.clone();
        head.mark_changed();
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                changed = head.changed() => if changed.is_err() {
                    return stop.cancelled().await; // the chain is gone; what is known stays served
                },
            }
            let height = head.borrow_and_update().height;
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = self.prefetch(height) => {}
            }
            self.prune(height); // after: what is over says what to read next
        }
    }

    async fn prefetch(&self, height: Height) {
        let due = self
            .entries()
            .into_iter()
            .filter(|(_, slot)| is_due(slot, height));
        let reads: Vec<_> = due.map(|(key, slot)| self.renew(key, slot)).collect();
        stream::iter(reads)
            .buffer_unordered(PREFETCHES)
            .collect::<()>()
            .await;
    }

    /// Asks for the newest session until it is there; gives up until the next block after some pauses.
    async fn renew(&self, (application, service): Key, slot: Arc<Slot>) {
        let mut pauses = BOUNDARY_PAUSES.iter();
        loop {
            let flight = slot.flight.lock().await;
            let height = self.height();
            if slot.known().containing(height).is_some() {
                return;
            }
            match (
                self.ask(&slot, &self.question(&application, &service, height), flight)
                    .await,
                pauses.next(),
            ) {
                (Ok(view), _) => return debug!(session = view.id(), %height, %service, "session began"),
                (Err(error), None) => {
                    return warn!(%application, %service, %height, %error, "no session after a rollover");
                }
                (Err(_), Some(pause)) => tokio::time::sleep(*pause).await,
            }
        }
    }

    /// Asks the chain and remembers what it said. `flight` shows that nobody else asks for this pair.
    async fn ask(
        &self,
        slot: &Slot,
        question: &Question,
        flight: MutexGuard<'_, ()>,
    ) -> Result<Arc<SessionView>, SessionError> {
        self.metrics.lookups.inc();
        let head = self.height();
        let answer = read(self.chain.as_ref(), &self.keys, question)
            .await
            .map(Arc::new);
        match &answer {
            Ok(view) => slot.known().learn(Arc::clone(view)),
            Err(error) => {
                self.metrics.failures.inc();
                slot.known()
                    .refuse(question.height, head, error.clone(), Instant::now());
            }
        }
        drop(flight);
        answer
    }

    fn known(&self, slot: &Slot, height: Height) -> Option<Result<Arc<SessionView>, SessionError>> {
        let head = self.height();
        let known = slot.known();
        let wanted = if height == Height(0) { head } else { height };
        let found = match wanted {
            Height(0) => known.newest().cloned(), // no block is known yet
            wanted => known.containing(wanted),
        };
        if let Some(view) = found {
            self.metrics.hits.inc();
            return Some(Ok(view));
        }
        known.refusal(height, head, Instant::now()).map(Err)
    }

    fn grace(&self, previous: Arc<SessionView>) -> Arc<SessionView> {
        self.metrics.grace_hits.inc();
        previous
    }

    fn question(&self, application: &Address, service: &ServiceId, height: Height) -> Question {
        Question {
            application: *application,
            service: service.clone(),
            height,
        }
    }

    fn slot(&self, application: &Address, service: &ServiceId, head: Height) -> Arc<Slot> {
        let key = (*application, service.clone());
        let found = self
            .slots
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&key)
            .cloned();
        let slot = found.unwrap_or_else(|| self.new_slot(key));
        slot.use_at(head);
        slot
    }

    fn new_slot(&self, key: Key) -> Arc<Slot> {
        let mut slots = self.slots.write().unwrap_or_else(PoisonError::into_inner);
        if slots.len() >= MAX_ENTRIES && !slots.contains_key(&key) {
            let oldest = slots
                .iter()
                .min_by_key(|(_, slot)| slot.used_at())
                .map(|(key, _)| key.clone());
            oldest.map(|key| slots.remove(&key));
        }
        let slot = Arc::clone(slots.entry(key).or_default());
        self.metrics
            .entries
            .set(i64::try_from(slots.len()).unwrap_or(i64::MAX));
        slot
    }

    fn entries(&self) -> Vec<(Key, Arc<Slot>)> {
        let slots = self.slots.read().unwrap_or_else(PoisonError::into_inner);
        slots
            .iter()
            .map(|(key, slot)| (key.clone(), Arc::clone(slot)))
            .collect()
    }

    fn prune(&self, head: Height) {
        let mut slots = self.slots.write().unwrap_or_else(PoisonError::into_inner);
        slots.retain(|_, slot| Arc::strong_count(slot) > 1 || slot.known().prune(head));
        self.metrics
            .entries
            .set(i64::try_from(slots.len()).unwrap_or(i64::MAX));
    }
}

/// Whether the slot's newest session is over and was used in its time.
fn is_due(slot: &Slot, height: Height) -> bool {
    slot.known()
        .newest()
        .is_some_and(|view| view.end < height && slot.used_at() >= view.start)
}
