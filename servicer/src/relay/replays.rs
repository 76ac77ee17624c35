//! Requests that were served: the same signed request is not served twice.
//!
//! Whoever sees a signed request could send it again: each copy would ask the backend, make a leaf when the answer differs, and burn the
//! application's budget. Requests with equal content are no replays: every signature is made with new randomness.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sha2::{Digest, Sha256};

/// Requests remembered at least; twice as many at most, some 40 MB. A replay of an older one is metered and served like a new request,
/// and counts only if its answer differs.
const REMEMBERED: usize = 1 << 19;

/// Half of the SHA-256 of a signature: nobody makes two requests that agree in it.
type Id = [u8; 16];

/// The requests of a process.
#[derive(Debug)]
pub(crate) struct Replays {
    seen: Mutex<Seen>,
    remembered: usize,
}

/// Two generations: when the newer one is full, the older one is forgotten.
#[derive(Debug, Default)]
struct Seen {
    newer: HashSet<Id>,
    older: HashSet<Id>,
}

/// A request that was not seen before; forgotten when dropped, unless it was [kept](FirstSight::keep).
#[derive(Debug)]
pub(crate) struct FirstSight {
    replays: Arc<Replays>,
    id: Id,
    kept: bool,
}

impl Default for Replays {
    fn default() -> Self {
        Self::remembering(REMEMBERED)
    }
}

impl Replays {
    fn remembering(remembered: usize) -> Self {
        Self {
            seen: Mutex::default(),
            remembered,
        }
    }

    /// Notes a request with this verified `signature`; `None` when it is or was served.
    pub(crate) fn first_sight(self: &Arc<Self>, signature: &[u8]) -> Option<FirstSight> {
        let digest = Sha256::digest(signature);
        let id = *digest.first_chunk().expect("32 bytes hold 16");
        let mut seen = self.seen();
        if seen.older.contains(&id) || !seen.newer.insert(id) {
            return None;
        }
        if seen.newer.len() >= self.remembered {
            seen.older = std::mem::take(&mut seen.newer);
        }
        Some(FirstSight {
            replays: Arc::clone(self),
            id,
            kept: false,
        })
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl FirstSight {
    /// Its backend is asked: from here on it is not to be served again, however it ends.
    pub(crate) fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for FirstSight {
    fn drop(&mut self) {
        if !self.kept {
            let mut seen = self.replays.seen();
            seen.newer.remove(&self.id);
            seen.older.remove(&self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sees_a_request_once_unless_nothing_was_done_for_it() {
        let replays = Arc::new(Replays::default());
        let first = replays.first_sight(b"a").unwrap();
        assert!(replays.first_sight(b"a").is_none(), "it is in progress");
        drop(first);
        replays.first_sight(b"a").unwrap().keep();
        assert!(replays.first_sight(b"a").is_none());
        assert!(replays.first_sight(b"b").is_some());
    }

    #[test]
    fn remembers_the_newest_in_bounded_memory() {
        let replays = Arc::new(Replays::remembering(100));
        for n in 0u32..1_000 {
            replays.first_sight(&n.to_be_bytes()).unwrap().keep();
            let seen = replays.seen();
            assert!(seen.newer.len() + seen.older.len() <= 200);
        }
        for n in 900u32..1_000 {
            assert!(replays.first_sight(&n.to_be_bytes()).is_none(), "{n}");
        }
    }
}
