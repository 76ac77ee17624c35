//! The sessions of one (application, service), over time. Pure.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use portico_protocol::Height;

use crate::reader::Held;

/// Sessions kept per (application, service): the current one, the one in grace, and one a caller asked for by height.
const MAX_SESSIONS: usize = 3;

/// The sessions of one (application, service).
#[derive(Debug)]
pub(crate) struct Slot<S> {
    used_at: AtomicI64,
    known: Mutex<Known<S>>,
}

impl<S> Default for Slot<S> {
    fn default() -> Self {
        Self {
            used_at: AtomicI64::default(),
            known: Mutex::new(Known(Vec::new())),
        }
    }
}

impl<S> Slot<S> {
    pub(crate) fn use_at(&self, head: Height) {
        self.used_at.fetch_max(head.0, Ordering::Relaxed);
    }

    pub(crate) fn used_at(&self) -> Height {
        Height(self.used_at.load(Ordering::Relaxed))
    }

    pub(crate) fn known(&self) -> MutexGuard<'_, Known<S>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sessions, ascending by start.
#[derive(Debug)]
pub(crate) struct Known<S>(Vec<Arc<S>>);

impl<S: Held> Known<S> {
    /// The session that contains `height`.
    pub(crate) fn containing(&self, height: Height) -> Option<Arc<S>> {
        self.find(|session| session.start() <= height && height <= session.end())
    }

    /// The newest session that ended before `head` and whose suppliers still accept relays.
    pub(crate) fn in_grace(&self, head: Height) -> Option<Arc<S>> {
        self.find(|session| session.end() < head && head <= session.grace_end())
    }

    fn find(&self, fits: impl Fn(&S) -> bool) -> Option<Arc<S>> {
        self.0.iter().rev().find(|session| fits(session)).cloned()
    }

    /// The newest session known.
    pub(crate) fn newest(&self) -> Option<&Arc<S>> {
        self.0.last()
    }

    /// Remembers a session; beyond [`MAX_SESSIONS`] the oldest is forgotten.
    pub(crate) fn learn(&mut self, session: Arc<S>) {
        self.0.retain(|known| known.start() != session.start());
        let place = self.0.partition_point(|known| known.start() < session.start());
        self.0.insert(place, session);
        if self.0.len() > MAX_SESSIONS {
            self.0.remove(0);
        }
    }

    /// Forgets sessions that no supplier accepts at `head`; whether anything is left.
    pub(crate) fn prune(&mut self, head: Height) -> bool {
        self.0.retain(|session| head <= session.grace_end());
        !self.0.is_empty()
    }
}
