//! How many requests may be where at a time, so that no stranger takes the places of those who pay.
//!
//! ```text
//! body ─► reading ─► session known? ─ yes ───────────────────────────────► relay in progress
//!                         └ no ─► look-up (of an application served before, or a stranger) ─┘
//! ```
//! Whatever is full refuses at once. An application whose session was found before has look-ups of its own: a flood of invented ones
//! fills the strangers' and nobody else's.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use portico_protocol::Address;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::relay::refusal::Refusal;
use crate::session::error::SessionError;

/// Bodies that are being read. Their bytes are bounded apart; this bounds what each stream costs beside them.
const MAX_READING: usize = 4_096;
/// Requests of applications not served before that wait for the chain.
const MAX_STRANGERS: usize = 128;
/// Requests of applications served before that wait for the chain: at a rollover all of them do.
const MAX_LOOKUPS: usize = 1_024;
/// Requests that wait for the block that begins their session.
const MAX_EARLY: usize = 256;
/// Applications remembered; when there are more, all are forgotten and become known again by their next session.
const MAX_APPLICATIONS: usize = 16_384;

/// The places.
#[derive(Debug)]
pub(crate) struct Admittance {
    reading: Arc<Semaphore>,
    strangers: Arc<Semaphore>,
    lookups: Arc<Semaphore>,
    early: Arc<Semaphore>,
    relays: Arc<Semaphore>,
    streams: Arc<Semaphore>,
    /// Applications of which a session was found.
    applications: Mutex<HashSet<Address>>,
}

/// A place; given back when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    _permit: OwnedSemaphorePermit,
}

impl Admittance {
    /// Lets `max_in_flight` relays be in progress, and `max_streams` streams beside them.
    pub(crate) fn new(max_in_flight: usize, max_streams: usize) -> Self {
        let places = |count| Arc::new(Semaphore::new(count));
        Self {
            reading: places(MAX_READING),
            strangers: places(MAX_STRANGERS),
            lookups: places(MAX_LOOKUPS),
            early: places(MAX_EARLY),
            relays: places(max_in_flight),
            streams: places(max_streams.min(Semaphore::MAX_PERMITS)),
            applications: Mutex::default(),
        }
    }

    /// For a body to be read.
    pub(crate) fn reading(&self) -> Result<Place, Refusal> {
        take(&self.reading).ok_or(Refusal::Overloaded("requests being read"))
    }

    /// For a relay in progress.
    pub(crate) fn relay(&self) -> Result<Place, Refusal> {
        take(&self.relays).ok_or(Refusal::Overloaded("relays in progress"))
    }

    /// For an answer that comes piece by piece: it takes as long as its backend likes, and no place of a relay that is done in moments.
    pub(crate) fn stream(&self) -> Result<Place, Refusal> {
        take(&self.streams).ok_or(Refusal::Overloaded("streams"))
    }

    /// For a question to the chain about a session of `application`.
    pub(crate) fn lookup(&self, application: &Address) -> Result<Place, Refusal> {
        let known = self.applications().contains(application);
        let places = if known { &self.lookups } else { &self.strangers };
        take(places).ok_or(Refusal::Session(SessionError::TooMany))
    }

    /// For waiting until a session begins.
    pub(crate) fn early(&self) -> Option<Place> {
        take(&self.early)
    }

    /// A session of `application` was found.
    pub(crate) fn remember(&self, application: Address) {
        let mut applications = self.applications();
        if applications.len() >= MAX_APPLICATIONS {
            applications.clear();
        }
        applications.insert(application);
    }

    fn applications(&self) -> std::sync::MutexGuard<'_, HashSet<Address>> {
        self.applications.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn take(places: &Arc<Semaphore>) -> Option<Place> {
    let permit = Arc::clone(places).try_acquire_owned().ok()?;
    Some(Place { _permit: permit })
}

#[cfg(test)]
mod tests {
    use portico_protocol::SigningKey;

    use super::*;

    #[test]
    fn strangers_do_not_take_look_ups_of_known_applications() {
        let admittance = Admittance::new(1, 1);
        let application = |n| SigningKey::from_bytes(&[n; 32]).unwrap().address();
        admittance.remember(application(1));
        let held: Vec<_> = (0..MAX_STRANGERS)
            .map(|_| admittance.lookup(&application(2)).unwrap())
            .collect();
        assert!(admittance.lookup(&application(2)).is_err());
        assert!(admittance.lookup(&application(1)).is_ok());
        assert!(admittance.relay().is_ok(), "nor places of relays");
        drop(held);
        assert!(admittance.lookup(&application(2)).is_ok());
    }
}
