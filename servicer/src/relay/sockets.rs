//! WebSockets in use: how many, and which gives way to a new one.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

use crate::metrics::Metrics;

/// The sockets of a process.
pub(crate) struct Sockets {
    max: usize,
    table: Mutex<Table>,
    metrics: Arc<Metrics>,
}

#[derive(Default)]
struct Table {
    next: u64,
    /// In the order in which they came; those that gave way are gone from here.
    open: BTreeMap<u64, Entry>,
}

struct Entry {
    gives_way: CancellationToken,
    /// Whether a valid request came, which only who pays can make.
    is_paid_for: bool,
}

/// A place for a socket; given back when dropped.
pub(crate) struct Place {
    sockets: Arc<Sockets>,
    number: u64,
    gives_way: CancellationToken,
}

impl Sockets {
    pub(crate) fn new(max: usize, metrics: Arc<Metrics>) -> Self {
        Self {
            max,
            table: Mutex::default(),
            metrics,
        }
    }

    /// A place for a new socket; when there is none, that of the oldest socket on which no valid request has come.
    pub(crate) fn place(self: &Arc<Self>) -> Option<Place> {
        let mut table = self.table();
        if table.open.len() >= self.max {
            let mut open = table.open.iter();
            let oldest = open
                .find(|(_, entry)| !entry.is_paid_for)
                .map(|(number, _)| *number)?;
            if let Some(entry) = table.open.remove(&oldest) {
                entry.gives_way.cancel();
            }
        }
        let number = table.next;
        table.next = table.next.wrapping_add(1);
        let gives_way = CancellationToken::new();
        let entry = Entry {
            gives_way: gives_way.clone(),
            is_paid_for: false,
        };
        table.open.insert(number, entry);
        self.metrics.websockets(table.open.len());
        Some(Place {
            sockets: Arc::clone(self),
            number,
            gives_way,
        })
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// A valid request came: from here on the place is not given away.
    pub(crate) fn is_paid_for(&self) {
        if let Some(entry) = self.sockets.table().open.get_mut(&self.number) {
            entry.is_paid_for = true;
        }
    }

    /// Returns when the place is given away.
    pub(crate) async fn given_away(&self) {
        self.gives_way.cancelled().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut table = self.sockets.table();
        table.open.remove(&self.number);
        self.sockets.metrics.websockets(table.open.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_does_not_pay_gives_way_to_newcomers() {
        let metrics = Metrics::new(&prometheus::Registry::new()).unwrap();
        let sockets = Arc::new(Sockets::new(2, Arc::new(metrics)));
        let (first, second) = (sockets.place().unwrap(), sockets.place().unwrap());
        first.is_paid_for();
        let third = sockets.place().unwrap();
        assert!(second.gives_way.is_cancelled() && !first.gives_way.is_cancelled());
        drop(second); // its place is the third's: nothing is given back
        third.is_paid_for();
        assert!(sockets.place().is_none(), "everybody pays");
        drop(first);
        assert!(sockets.place().is_some());
    }
}
