//! A bound on the bytes of requests and answers that are held at a time.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes per permit: semaphores count to 2^61, but take at most 2^32 at once.
const UNIT: usize = 1024;

/// The budget.
#[derive(Clone, Debug)]
pub(crate) struct Buffers(Arc<Semaphore>);

/// Bytes that are held; given back when dropped.
#[derive(Debug)]
pub(crate) struct Room {
    budget: Buffers,
    permit: OwnedSemaphorePermit,
}

impl Buffers {
    /// A budget of `bytes`, rounded down to whole KiB and at least one.
    pub(crate) fn new(bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new(
            (bytes / UNIT).clamp(1, Semaphore::MAX_PERMITS),
        )))
    }

    /// Room for `bytes`; `None` when there is not as much.
    pub(crate) fn room(&self, bytes: usize) -> Option<Room> {
        let permit = self.take(bytes)?;
        Some(Room {
            budget: self.clone(),
            permit,
        })
    }

    fn take(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let units = u32::try_from(bytes.div_ceil(UNIT)).ok()?;
        Arc::clone(&self.0).try_acquire_many_owned(units).ok()
    }
}

impl Room {
    /// Makes the room at least `bytes` large; false when there is not as much.
    pub(crate) fn grow_to(&mut self, bytes: usize) -> bool {
        let held = self.permit.num_permits().saturating_mul(UNIT);
        match bytes.checked_sub(held) {
            None | Some(0) => true,
            Some(more) => match self.budget.take(more) {
                Some(permit) => {
                    self.permit.merge(permit);
                    true
                }
                None => false,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_no_more_than_there_is_and_takes_it_back() {
        let buffers = Buffers::new(10 << 10);
        let mut first = buffers.room(4_000).unwrap();
        assert!(buffers.room(7 << 10).is_none());
        assert!(first.grow_to(4_096), "within what is held");
        assert!(first.grow_to(10 << 10));
        assert!(!first.grow_to((10 << 10) + 1));
        assert!(buffers.room(1).is_none());
        drop(first);
        assert!(buffers.room(10 << 10).is_some());
    }
}
