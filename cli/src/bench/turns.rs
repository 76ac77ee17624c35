//! Turns of the backend: it says the next thing when its client has the last one, so that nothing is read together with what follows it, and every
//! message and chunk is measured for itself.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Semaphore;

/// Clients and backend are one process; each call has its turns under a number that travels in the call.
#[derive(Clone, Debug, Default)]
pub(super) struct Turns(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    next: AtomicU64,
    open: Mutex<HashMap<u64, Arc<Semaphore>>>,
}

impl Turns {
    /// Turns of a new call, for its client.
    pub(super) fn begin(&self) -> Turn {
        let number = self.0.next.fetch_add(1, Ordering::Relaxed);
        let turn = Arc::new(Semaphore::new(0));
        self.open().insert(number, Arc::clone(&turn));
        Turn {
            number,
            turn,
            turns: self.clone(),
        }
    }

    /// Turns of the call with this number, for the backend; endless ones where no client has any, so that a call from elsewhere is answered too.
    pub(super) fn of(&self, number: Option<u64>) -> Arc<Semaphore> {
        let known = number.and_then(|number| self.open().get(&number).cloned());
        known.unwrap_or_else(|| Arc::new(Semaphore::new(Semaphore::MAX_PERMITS)))
    }

    fn open(&self) -> std::sync::MutexGuard<'_, HashMap<u64, Arc<Semaphore>>> {
        self.0.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The client's side of a call's turns.
#[derive(Debug)]
pub(super) struct Turn {
    /// What the call has to name.
    pub(super) number: u64,
    turn: Arc<Semaphore>,
    turns: Turns,
}

impl Turn {
    /// The backend may say the next thing.
    pub(super) fn next(&self) {
        self.turn.add_permits(1);
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.turns.open().remove(&self.number);
        self.turn.close();
    }
}
