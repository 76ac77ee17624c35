//! How many bytes of requests and answers may be held at a time: for one batch, and for all callers together.
//!
//! Bytes count from their arrival until nobody holds them: of an answer, until the caller has taken all of it. What does not fit is refused,
//! never waited for: whoever waits holds bytes too. Callers who take large answers slowly cannot use up what small answers need.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;

/// Bodies up to this size, in bytes, may use all of a budget; what is beyond leaves a quarter of it alone.
const SMALL: usize = 64 << 10;

/// Bytes that may be held, and those that are.
#[derive(Debug)]
pub struct Budget {
    limit: usize,
    held: AtomicUsize,
}

impl Budget {
    /// A budget of so many bytes.
    #[must_use]
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self {
            limit,
            held: AtomicUsize::new(0),
        })
    }

    /// What bodies beyond [`SMALL`] may use.
    const fn limit_for_large(&self) -> usize {
        self.limit - self.limit / 4
    }

    /// Holds `bytes` more, up to `limit`; false, and none of them, when they do not fit.
    fn hold(&self, bytes: usize, limit: usize) -> bool {
        let held = self.held.fetch_add(bytes, Ordering::Relaxed);
        let fits = held.saturating_add(bytes) <= limit;
        if !fits {
            self.release(bytes);
        }
        fits
    }

    fn release(&self, bytes: usize) {
        self.held.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// The budgets that a body counts in.
#[derive(Clone, Debug)]
pub struct Budgets {
    /// All callers'.
    pub all: Arc<Budget>,
    /// The batch's, if the call is part of one.
    pub batch: Option<Arc<Budget>>,
}

impl Budgets {
    /// A budget of `limit` bytes for all callers.
    #[must_use]
    pub fn of_all(limit: usize) -> Self {
        Self {
            all: Budget::new(limit),
            batch: None,
        }
    }

    /// Room for no bytes yet.
    #[must_use]
    pub fn room(&self) -> Room {
        Room {
            budgets: self.clone(),
            bytes: 0,
        }
    }
}

/// Which budget is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// The batch's, of so many bytes.
    Batch(usize),
    /// All callers'.
    All,
}

/// Bytes that are held; given back when dropped.
#[derive(Debug)]
pub struct Room {
    budgets: Budgets,
    bytes: usize,
}

impl Room {
    /// Makes the room `bytes` larger, or leaves it as it is.
    ///
    /// # Errors
    /// When a budget has not as much left.
    pub fn grow(&mut self, bytes: usize) -> Result<(), Full> {
        let Budgets { all, batch } = &self.budgets;
        if let Some(batch) = batch.as_ref().filter(|batch| !batch.hold(bytes, batch.limit)) {
            return Err(Full::Batch(batch.limit));
        }
        let limit = match self.bytes.saturating_add(bytes) <= SMALL {
            true => all.limit,
            false => all.limit_for_large(),
        };
        if !all.hold(bytes, limit) {
            batch.iter().for_each(|batch| batch.release(bytes));
            return Err(Full::All);
        }
        self.bytes = self.bytes.saturating_add(bytes);
        Ok(())
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.budgets.all.release(self.bytes);
        self.budgets
            .batch
            .iter()
            .for_each(|batch| batch.release(self.bytes));
    }
}

/// Makes space for a chunk: twice as much as before, but no more than is announced, since what is held should be what counts.
pub fn reserve(body: &mut Vec<u8>, chunk: usize, announced: usize) {
    if body.capacity() - body.len() >= chunk {
        return;
    }
    match announced.checked_sub(body.len()) {
        Some(left) if left >= chunk => body.reserve_exact(body.len().max(chunk).min(left)),
        _ => body.reserve(chunk),
    }
}

/// The same bytes, which hold `rooms` until the last of them is dropped: a server keeps bytes long after it has taken a body.
#[must_use]
pub fn holding(bytes: Bytes, rooms: Vec<Room>) -> Bytes {
    struct Held {
        bytes: Bytes,
        _rooms: Vec<Room>,
    }
    impl AsRef<[u8]> for Held {
        fn as_ref(&self) -> &[u8] {
            &self.bytes
        }
    }
    Bytes::from_owner(Held { bytes, _rooms: rooms })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_answers_leave_small_ones_their_share() {
        let budgets = Budgets {
            all: Budget::new(16 * SMALL),
            batch: None,
        };
        let (mut large, mut another) = (budgets.room(), budgets.room());
        large.grow(12 * SMALL).unwrap();
        assert_eq!(another.grow(SMALL + 1), Err(Full::All));
        let small: Vec<Room> = (0..4)
            .map(|_| {
                let mut room = budgets.room();
                room.grow(SMALL).unwrap();
                room
            })
            .collect();
        assert_eq!(another.grow(1), Err(Full::All));
        drop(small);
        another.grow(SMALL).unwrap();
        assert_eq!(another.grow(1), Err(Full::All), "it is large now");
    }

    #[test]
    fn holds_no_more_than_either_budget_and_gives_all_back() {
        let (all, batch) = (Budget::new(10), Budget::new(6));
        let budgets = Budgets {
            all: Arc::clone(&all),
            batch: Some(Arc::clone(&batch)),
        };
        let alone = Budgets {
            all: Arc::clone(&all),
            batch: None,
        };
        let (mut first, mut second, mut other) = (budgets.room(), budgets.room(), alone.room());
        first.grow(4).unwrap();
        assert_eq!(second.grow(3), Err(Full::Batch(6)));
        second.grow(2).unwrap();
        other.grow(4).unwrap();
        assert_eq!(other.grow(1), Err(Full::All));
        drop(first);
        assert_eq!(second.grow(5), Err(Full::Batch(6)));
        second.grow(4).unwrap();
        assert_eq!(batch.held.load(Ordering::Relaxed), 6);
        drop(second);
        let bytes = holding("answer".into(), vec![other]);
        let slice = bytes.slice(1..);
        drop(bytes);
        assert_eq!((&slice[..], all.held.load(Ordering::Relaxed)), (&b"nswer"[..], 4));
        drop(slice);
        for budget in [all, batch] {
            assert_eq!(budget.held.load(Ordering::Relaxed), 0);
        }
    }
}
