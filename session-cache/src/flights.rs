//! Look-ups in progress: one per pair however many wait for it, and few at a time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedMutexGuard, Semaphore, SemaphorePermit};

use crate::SessionError;
use crate::reader::Pair;

/// Look-ups at a time for pairs that had a session before: a rollover must not wait behind inventions.
const KNOWN_LOOKUPS: usize = 32;
/// Look-ups at a time for pairs that no session is known of.
const UNKNOWN_LOOKUPS: usize = 16;
/// Unknown pairs that are asked for or wait to be; more are refused.
pub(crate) const MAX_UNKNOWN_WAITING: usize = 1_024;
/// How long a look-up waits for its turn.
const TURN_TIMEOUT: Duration = Duration::from_secs(5);

/// Who asks for what.
#[derive(Debug)]
pub(crate) struct Flights {
    by_pair: Mutex<HashMap<Pair, Arc<tokio::sync::Mutex<()>>>>,
    known: Semaphore,
    unknown: Semaphore,
}

/// Leave to ask for a pair, or the wait for it. Dropped with its holder's future, so that a caller who goes away leaves the look-up to the
/// next in line.
pub(crate) struct Flight<'a> {
    flights: &'a Flights,
    pair: Pair,
    lane: Arc<tokio::sync::Mutex<()>>,
    leave: Option<OwnedMutexGuard<()>>,
}

impl Default for Flights {
    fn default() -> Self {
        Self {
            by_pair: Mutex::default(),
            known: Semaphore::new(KNOWN_LOOKUPS),
            unknown: Semaphore::new(UNKNOWN_LOOKUPS),
        }
    }
}

impl Flights {
    /// Waits until nobody else asks for `pair`.
    pub(crate) async fn begin(&self, pair: &Pair, is_known: bool) -> Result<Flight<'_>, SessionError> {
        let mut flight = self.join(pair, is_known)?;
        flight.leave = Some(Arc::clone(&flight.lane).lock_owned().await);
        Ok(flight)
    }

    /// Leave to ask for a known pair, if nobody does.
    pub(crate) fn try_begin(&self, pair: &Pair) -> Option<Flight<'_>> {
        let mut flight = self.join(pair, true).ok()?;
        flight.leave = Some(Arc::clone(&flight.lane).try_lock_owned().ok()?);
        Some(flight)
    }

    /// A place among the look-ups at a time.
    pub(crate) async fn turn(&self, is_known: bool) -> Result<SemaphorePermit<'_>, SessionError> {
        let places = if is_known { &self.known } else { &self.unknown };
        match tokio::time::timeout(TURN_TIMEOUT, places.acquire()).await {
            Ok(Ok(place)) => Ok(place),
            Ok(Err(_)) | Err(_) => Err(SessionError::Busy),
        }
    }

    fn join(&self, pair: &Pair, is_known: bool) -> Result<Flight<'_>, SessionError> {
        let mut by_pair = self.by_pair();
        let full = by_pair.len() >= MAX_UNKNOWN_WAITING;
        if full && !is_known && !by_pair.contains_key(pair) {
            return Err(SessionError::Busy);
        }
        let lane = by_pair.entry(pair.clone()).or_default();
        Ok(Flight {
            flights: self,
            pair: pair.clone(),
            lane: Arc::clone(lane),
            leave: None,
        })
    }

    fn by_pair(&self) -> MutexGuard<'_, HashMap<Pair, Arc<tokio::sync::Mutex<()>>>> {
        self.by_pair.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        let mut by_pair = self.flights.by_pair();
        self.leave = None;
        // The map's and our own: nobody else asks or waits.
        if Arc::strong_count(&self.lane) == 2 {
            by_pair.remove(&self.pair);
        }
    }
}
