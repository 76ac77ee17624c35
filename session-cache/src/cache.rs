//! The cache: who waits, who asks the chain, and when.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::{self, StreamExt};
use portico_client::BlockHead;
use portico_protocol::{Address, Height, ServiceId};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::SessionError;
use crate::flights::{Flight, Flights};
use crate::metrics::Metrics;
use crate::reader::{Bounds, Held, Pair, Question, Reader, WhenFull};
use crate::refusals::Refusals;
use crate::slot::Slot;

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

/// Sessions of (application, service), read once per rollover however many callers ask.
pub struct Cache<R: Reader> {
    reader: R,
    head: watch::Receiver<BlockHead>,
    slots: RwLock<BTreeMap<Pair, Arc<Slot<R::Session>>>>,
    refusals: Refusals,
    flights: Flights,
    bounds: Bounds,
    metrics: Metrics,
}

impl<R: Reader> std::fmt::Debug for Cache<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cache")
            .field("height", &self.height())
            .finish_non_exhaustive()
    }
}

type Answer<R> = Result<Arc<<R as Reader>::Session>, SessionError>;

impl<R: Reader> Cache<R> {
    /// An empty cache of what `reader` reads, which follows `head`. Counted nowhere.
    pub fn over(reader: R, head: watch::Receiver<BlockHead>, bounds: Bounds) -> Self {
        Self::counted(reader, head, bounds, Metrics::unregistered())
    }

    pub(crate) fn counted(
        reader: R,
        head: watch::Receiver<BlockHead>,
        bounds: Bounds,
        metrics: Metrics,
    ) -> Self {
        Self {
            reader,
            head,
            slots: RwLock::default(),
            refusals: Refusals::default(),
            flights: Flights::default(),
            bounds,
            metrics,
        }
    }

    /// What reads the sessions.
    pub const fn reader(&self) -> &R {
        &self.reader
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
    pub async fn current(&self, application: &Address, service: &ServiceId) -> Answer<R> {
        let head = self.height();
        let pair = (*application, service.clone());
        let Some(slot) = self.used(&pair, head) else {
            return self.at(application, service, head).await;
        };
        let (current, in_grace) = {
            let known = slot.known();
            (known.containing(head), known.in_grace(head))
        };
        match (current, in_grace) {
            (Some(session), _) => {
                self.metrics.hits.inc();
                Ok(session)
            }
            (None, Some(previous)) => {
                if self.refusals.find(&pair, head, head, Instant::now()).is_some() {
                    return Ok(self.grace(previous));
                }
                match self.flights.try_begin(&pair) {
                    Some(flight) => Ok(self.ask(&pair, head, flight).await.unwrap_or(previous)),
                    None => Ok(self.grace(previous)),
                }
            }
            (None, None) => self.at(application, service, head).await,
        }
    }

    /// The session that contains `height`, if it is known. Never asks the chain.
    #[must_use]
    pub fn containing(
        &self,
        application: &Address,
        service: &ServiceId,
        height: Height,
    ) -> Option<Arc<R::Session>> {
        let pair = (*application, service.clone());
        self.used(&pair, self.height());
        let found = self.known(&pair, height);
        found.inspect(|_| self.metrics.hits.inc())
    }

    /// The session that contains `height`, which is at most the newest block's; 0 means the newest.
    ///
    /// Boxed, so that the futures of callers stay small: what is known already, [`Self::containing`] tells without.
    pub fn at<'a>(
        &'a self,
        application: &'a Address,
        service: &'a ServiceId,
        height: Height,
    ) -> BoxFuture<'a, Answer<R>> {
        Box::pin(async move {
            let since = Instant::now();
            let pair = (*application, service.clone());
            self.used(&pair, self.height());
            if let Some(answer) = self.remembered(&pair, height, since) {
                return answer;
            }
            let flight = self.flights.begin(&pair, self.is_known(&pair)).await?;
            match self.remembered(&pair, height, since) {
                Some(answer) => answer, // whoever was before us asked
                None => self.ask(&pair, height, flight).await,
            }
        })
    }

    /// The session before the current one, while its suppliers still accept relays. Never asks the chain.
    #[must_use]
    pub fn previous(&self, application: &Address, service: &ServiceId) -> Option<Arc<R::Session>> {
        let head = self.height();
        let slot = self.used(&(*application, service.clone()), head)?;
        slot.known().in_grace(head)
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

    /// Drops sessions that no relay can belong to any more at `head`.
    pub fn prune(&self, head: Height) {
        let mut slots = self.slots.write().unwrap_or_else(PoisonError::into_inner);
        slots.retain(|_, slot| slot.known().prune(head));
        self.metrics.set_entries(slots.len());
    }

    async fn prefetch(&self, height: Height) {
        let due: Vec<_> = {
            let slots = self.slots.read().unwrap_or_else(PoisonError::into_inner);
            let due = slots.iter().filter(|(_, slot)| is_due(slot, height));
            due.map(|(pair, _)| pair.clone()).collect()
        };
        let reads: Vec<_> = due.into_iter().map(|pair| self.renew(pair)).collect();
        stream::iter(reads)
            .buffer_unordered(PREFETCHES)
            .collect::<()>()
            .await;
    }

    /// Asks for the newest session until it is there; gives up until the next block after some pauses.
    async fn renew(&self, pair: Pair) {
        let mut pauses = BOUNDARY_PAUSES.iter();
        loop {
            let Ok(flight) = self.flights.begin(&pair, true).await else {
                return;
            };
            let height = self.height();
            if self.known(&pair, height).is_some() {
                return;
            }
            let (application, service) = &pair;
            match (self.ask(&pair, height, flight).await, pauses.next()) {
                (Ok(session), _) => return debug!(session = session.id(), %height, %service, "session began"),
                (Err(error), None) => {
                    return warn!(%application, %service, %height, %error, "no session after a rollover");
                }
                (Err(_), Some(pause)) => tokio::time::sleep(*pause).await,
            }
        }
    }

    /// Asks the chain and remembers what it said. `flight` shows that nobody else asks for this pair.
    async fn ask(&self, pair: &Pair, height: Height, flight: Flight<'_>) -> Answer<R> {
        let turn = self.flights.turn(self.is_known(pair)).await?;
        self.metrics.lookups.inc();
        let head = self.height();
        let question = Question {
            application: pair.0,
            service: pair.1.clone(),
            height,
        };
        let answer = self.reader.read(&question).await.map(Arc::new);
        let answer = match answer {
            Ok(session) => self.learn(pair, head, session),
            Err(error) => {
                self.metrics.failures.inc();
                self.refuse(pair, height, head, &error);
                Err(error)
            }
        };
        drop(turn);
        drop(flight); // after: who waits looks at what was remembered
        answer
    }

    fn learn(&self, pair: &Pair, head: Height, session: Arc<R::Session>) -> Answer<R> {
        let slot = match self.slot(pair) {
            Some(slot) => slot,
            None => self.new_slot(pair, head)?,
        };
        slot.known().learn(Arc::clone(&session));
        Ok(session)
    }

    fn refuse(&self, pair: &Pair, asked: Height, head: Height, error: &SessionError) {
        // What was refused in a block that passed meanwhile says nothing of this one.
        if self.height() == head {
            let until = error
                .is_transient()
                .then(|| Instant::now() + self.bounds.failure_pause);
            self.refusals.remember(pair, asked, head, error.clone(), until);
        }
    }

    /// What is known of a question, or how it was refused, for a caller who has been waiting since `since`.
    fn remembered(&self, pair: &Pair, height: Height, since: Instant) -> Option<Answer<R>> {
        if let Some(session) = self.known(pair, height) {
            self.metrics.hits.inc();
            return Some(Ok(session));
        }
        self.refusals.find(pair, height, self.height(), since).map(Err)
    }

    fn known(&self, pair: &Pair, height: Height) -> Option<Arc<R::Session>> {
        let head = self.height();
        let slot = self.slot(pair)?;
        let known = slot.known();
        match if height == Height(0) { head } else { height } {
            Height(0) => known.newest().cloned(), // no block is known yet
            wanted => known.containing(wanted),
        }
    }

    fn grace(&self, previous: Arc<R::Session>) -> Arc<R::Session> {
        self.metrics.grace_hits.inc();
        previous
    }

    fn is_known(&self, pair: &Pair) -> bool {
        let slots = self.slots.read().unwrap_or_else(PoisonError::into_inner);
        slots.contains_key(pair)
    }

    fn slot(&self, pair: &Pair) -> Option<Arc<Slot<R::Session>>> {
        let slots = self.slots.read().unwrap_or_else(PoisonError::into_inner);
        slots.get(pair).cloned()
    }

    /// As [`Self::slot`], for a caller: what is used is read again at the next rollover.
    fn used(&self, pair: &Pair, head: Height) -> Option<Arc<Slot<R::Session>>> {
        self.slot(pair).inspect(|slot| slot.use_at(head))
    }

    /// Room for a pair that has a session. Pairs without one take none: the chain does not know them.
    fn new_slot(&self, pair: &Pair, head: Height) -> Result<Arc<Slot<R::Session>>, SessionError> {
        let mut slots = self.slots.write().unwrap_or_else(PoisonError::into_inner);
        if slots.len() >= self.bounds.max_pairs && !slots.contains_key(pair) {
            if self.bounds.when_full == WhenFull::Refuse {
                return Err(SessionError::Busy);
            }
            let oldest = slots.iter().min_by_key(|(_, slot)| slot.used_at());
            let oldest = oldest.map(|(pair, _)| pair.clone());
            oldest.map(|oldest| slots.remove(&oldest));
        }
        let slot = Arc::clone(slots.entry(pair.clone()).or_default());
        slot.use_at(head);
        self.metrics.set_entries(slots.len());
        Ok(slot)
    }
}

/// Whether the slot's newest session is over and was used in its time.
fn is_due<S: Held>(slot: &Slot<S>, height: Height) -> bool {
    slot.known()
        .newest()
        .is_some_and(|session| session.end() < height && slot.used_at() >= session.start())
}
