//! Places for relays under way: in all, and for each service.

use std::collections::BTreeMap;

use portico_protocol::ServiceId;
use tokio::sync::{Semaphore, SemaphorePermit};

/// Places for relays.
#[derive(Debug)]
pub(super) struct Slots {
    all: Semaphore,
    /// Three quarters of all for each service, where there are several: one whose backends hang leaves the others the rest.
    of_service: BTreeMap<ServiceId, Semaphore>,
}

/// A relay's place; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Slot<'s> {
    _all: SemaphorePermit<'s>,
    _of_service: Option<SemaphorePermit<'s>>,
}

impl Slots {
    pub(super) fn new<'s>(max: usize, services: impl ExactSizeIterator<Item = &'s ServiceId>) -> Self {
        let max = max.min(Semaphore::MAX_PERMITS);
        let share = (max - max / 4).max(1);
        let of_service = match services.len() {
            0 | 1 => BTreeMap::new(),
            _ => services
                .map(|service| (service.clone(), Semaphore::new(share)))
                .collect(),
        };
        Self {
            all: Semaphore::new(max),
            of_service,
        }
    }

    /// A place for a relay of `service`; `None` when there is none.
    pub(super) fn take(&self, service: &ServiceId) -> Option<Slot<'_>> {
        let of_service = match self.of_service.get(service) {
            Some(share) => Some(share.try_acquire().ok()?),
            None => None,
        };
        Some(Slot {
            _all: self.all.try_acquire().ok()?,
            _of_service: of_service,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_service_leaves_the_others_a_quarter() {
        let [eth, pocket] = ["eth", "pocket"].map(|id| ServiceId::new(id).unwrap());
        let slots = Slots::new(8, [&eth, &pocket].into_iter());
        let taken: Vec<_> = std::iter::from_fn(|| slots.take(&eth)).collect();
        assert_eq!(taken.len(), 6);
        let others: Vec<_> = std::iter::from_fn(|| slots.take(&pocket)).collect();
        assert_eq!(others.len(), 2);
        drop(taken);
        assert!(slots.take(&eth).is_some());

        let alone = Slots::new(8, std::iter::once(&eth));
        assert_eq!(
            std::iter::from_fn(|| alone.take(&eth)).collect::<Vec<_>>().len(),
            8
        );
        let tiny = Slots::new(1, [&eth, &pocket].into_iter());
        assert!(tiny.take(&eth).is_some());
    }
}
