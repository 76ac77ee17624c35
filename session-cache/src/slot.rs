//! What is known about one (application, service). Pure but for the lock that makes look-ups single.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use portico_protocol::Height;
use tokio::time::Instant;

use crate::{SessionError, SessionView};

/// Sessions kept per (application, service): the current one, the one in grace, and one a caller asked for by height.
const MAX_VIEWS: usize = 3;
/// Refusals remembered per (application, service); the oldest is forgotten.
const MAX_REFUSALS: usize = 4;
/// How long a refusal is remembered that may pass by itself (the chain cannot be reached).
const TRANSIENT_REFUSAL: Duration = Duration::from_millis(500);

/// The session of one (application, service), over time.
#[derive(Debug, Default)]
pub(crate) struct Slot {
    /// Held by whoever asks the chain, so that all others wait for one answer. Dropped with its holder's future, so that a caller
    /// who goes away leaves the look-up to the next in line.
    pub(crate) flight: tokio::sync::Mutex<()>,
    used_at: AtomicI64,
    known: Mutex<Known>,
}

impl Slot {
    pub(crate) fn use_at(&self, head: Height) {
        self.used_at.fetch_max(head.0, Ordering::Relaxed);
    }

    pub(crate) fn used_at(&self) -> Height {
        Height(self.used_at.load(Ordering::Relaxed))
    }

    pub(crate) fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sessions and refusals of one (application, service).
#[derive(Debug, Default)]
pub(crate) struct Known {
    /// Ascending by start.
    views: Vec<Arc<SessionView>>,
    refusals: Vec<Refusal>,
}

#[derive(Debug)]
struct Refusal {
    asked: Height,
    error: SessionError,
    /// The refusal holds until the head passes this height …
    head: Height,
    /// … or, if it may pass by itself, until this instant.
    until: Option<Instant>,
}

impl Known {
    /// The session that contains `height`.
    pub(crate) fn containing(&self, height: Height) -> Option<Arc<SessionView>> {
        self.views
            .iter()
            .rev()
            .find(|view| view.contains(height))
            .cloned()
    }

    /// The newest session that ended before `head` and whose suppliers still accept relays.
    pub(crate) fn in_grace(&self, head: Height) -> Option<Arc<SessionView>> {
        self.views
            .iter()
            .rev()
            .find(|view| view.end < head && view.is_open_at(head))
            .cloned()
    }

    /// The newest session known.
    pub(crate) fn newest(&self) -> Option<&Arc<SessionView>> {
        self.views.last()
    }

    /// The chain's refusal of a session at `asked`, while it holds.
    pub(crate) fn refusal(&self, asked: Height, head: Height, now: Instant) -> Option<SessionError> {
        let holds = |refusal: &&Refusal| {
            refusal.asked == asked && head <= refusal.head && refusal.until.is_none_or(|until| now < until)
        };
        self.refusals
            .iter()
            .find(holds)
            .map(|refusal| refusal.error.clone())
    }

    /// Remembers a session; beyond [`MAX_VIEWS`] the oldest is forgotten.
    pub(crate) fn learn(&mut self, view: Arc<SessionView>) {
        self.refusals.clear();
        self.views.retain(|known| known.start != view.start);
        let place = self.views.partition_point(|known| known.start < view.start);
        self.views.insert(place, view);
        if self.views.len() > MAX_VIEWS {
            self.views.remove(0);
        }
    }

    /// Remembers that the chain refused a session at `asked` while its newest block was `head`.
    pub(crate) fn refuse(&mut self, asked: Height, head: Height, error: SessionError, now: Instant) {
        self.refusals.retain(|refusal| refusal.asked != asked);
        if self.refusals.len() == MAX_REFUSALS {
            self.refusals.remove(0);
        }
        let until = error.is_transient().then(|| now + TRANSIENT_REFUSAL);
        self.refusals.push(Refusal {
            asked,
            error,
            head,
            until,
        });
    }

    /// Forgets sessions that no supplier accepts at `head`; whether anything is left.
    pub(crate) fn prune(&mut self, head: Height) -> bool {
        self.views.retain(|view| head <= view.grace_end);
        self.refusals.retain(|refusal| head <= refusal.head);
        !self.views.is_empty() || !self.refusals.is_empty()
    }
}
