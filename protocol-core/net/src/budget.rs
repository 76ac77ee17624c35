//! How many bytes of requests and answers may be held at a time: for one batch, for one client, and for all callers together.
//!
//! Bytes count from their arrival until nobody holds them: of an answer, until the caller has taken all of it. What does not fit is refused,
//! never waited for: whoever waits holds bytes too. Callers who take large answers slowly cannot use up what small answers need, and those of
//! one address not what other addresses need.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use crate::gate::network;

/// Bodies up to this size, in bytes, may use all of a budget, and do not count for their client; what is beyond leaves a quarter of a budget
/// alone.
const SMALL: usize = 64 << 10;

/// Bytes that may be held, and those that are.
#[derive(Debug)]
pub struct Budget {
    limit: usize,
    held: AtomicUsize,
    /// Whether something did not fit.
    overdrawn: AtomicBool,
}

impl Budget {
    /// A budget of so many bytes.
    #[must_use]
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self {
            limit,
            held: AtomicUsize::new(0),
            overdrawn: AtomicBool::new(false),
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
            self.overdrawn.store(true, Ordering::Relaxed);
        }
        fits
    }

    fn release(&self, bytes: usize) {
        self.held.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// What each client holds of bodies beyond 64 KiB, by address. It has at most as many entries as there are such bodies.
#[derive(Debug)]
pub struct Clients {
    limit: usize,
    held: Mutex<HashMap<IpAddr, usize>>,
    /// Entries: while there are none, nobody looks for his own.
    entries: AtomicUsize,
}

impl Clients {
    /// At most so many bytes for each address; an IPv6 network of 64 bits is one.
    #[must_use]
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self {
            limit,
            held: Mutex::default(),
            entries: AtomicUsize::new(0),
        })
    }

    /// The share of a client at this address.
    #[must_use]
    pub fn share(self: &Arc<Self>, client: IpAddr) -> Share {
        Share {
            clients: Arc::clone(self),
            client: network(client),
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What one client may hold.
#[derive(Clone, Debug)]
pub struct Share {
    clients: Arc<Clients>,
    client: IpAddr,
}

impl Share {
    /// What is one client here: its address, or the network of it.
    #[must_use]
    pub const fn client(&self) -> IpAddr {
        self.client
    }

    /// Whether the client holds three quarters of its share, so that what it asks for next had better not be begun.
    fn is_used_up(&self) -> bool {
        let Clients { limit, entries, .. } = &*self.clients;
        let held = || self.clients.lock().get(&self.client).copied().unwrap_or(0);
        entries.load(Ordering::Relaxed) > 0 && held() >= limit - limit / 4
    }

    fn hold(&self, bytes: usize) -> bool {
        let mut table = self.clients.lock();
        let held = table.get(&self.client).copied().unwrap_or(0);
        let sum = held.saturating_add(bytes);
        let fits = sum <= self.clients.limit;
        if fits && bytes > 0 {
            table.insert(self.client, sum);
            self.clients.entries.store(table.len(), Ordering::Relaxed);
        }
        fits
    }

    fn release(&self, bytes: usize) {
        let mut table = self.clients.lock();
        if let Some(held) = table.get_mut(&self.client) {
            *held = held.saturating_sub(bytes);
            if *held == 0 {
                table.remove(&self.client);
            }
        }
        self.clients.entries.store(table.len(), Ordering::Relaxed);
    }
}

/// The budgets that a body counts in.
#[derive(Clone, Debug)]
pub struct Budgets {
    /// All callers'.
    pub all: Arc<Budget>,
    /// The batch's, if the call is part of one.
    pub batch: Option<Arc<Budget>>,
    /// The client's, if its address is known.
    pub client: Option<Share>,
}

impl Budgets {
    /// A budget of `limit` bytes for all callers.
    #[must_use]
    pub fn of_all(limit: usize) -> Self {
        Self {
            all: Budget::new(limit),
            batch: None,
            client: None,
        }
    }

    /// Which budget is used up, so that nothing should be asked for whose answer would count in it: the batch's once an answer did not fit,
    /// the client's when it holds three quarters of its share.
    #[must_use]
    pub fn used_up(&self) -> Option<Full> {
        let batch = self.batch.as_ref();
        let overdrawn = batch.filter(|batch| batch.overdrawn.load(Ordering::Relaxed));
        let client = self.client.as_ref().filter(|client| client.is_used_up());
        match (overdrawn, client) {
            (Some(batch), _) => Some(Full::Batch(batch.limit)),
            (None, Some(_)) => Some(Full::Client),
            (None, None) => None,
        }
    }

    /// Room for no bytes yet.
    #[must_use]
    pub fn room(&self) -> Room {
        Room {
            budgets: self.clone(),
            bytes: 0,
            of_client: 0,
        }
    }
}

/// Which budget is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// The batch's, of so many bytes.
    Batch(usize),
    /// The client's.
    Client,
    /// All callers'.
    All,
}

/// Bytes that are held; given back when dropped.
#[derive(Debug)]
pub struct Room {
    budgets: Budgets,
    bytes: usize,
    /// How many of them count for the client.
    of_client: usize,
}

impl Room {
    /// Makes the room `bytes` larger, or leaves it as it is.
    ///
    /// # Errors
    /// When a budget has not as much left.
    pub fn grow(&mut self, bytes: usize) -> Result<(), Full> {
        let Budgets { all, batch, client } = &self.budgets;
        if let Some(batch) = batch.as_ref().filter(|batch| !batch.hold(bytes, batch.limit)) {
            return Err(Full::Batch(batch.limit));
        }
        let sum = self.bytes.saturating_add(bytes);
        let (limit, of_client) = match sum <= SMALL {
            true => (all.limit, 0),
            false => (all.limit_for_large(), sum - self.of_client),
        };
        let refused = match client.as_ref().filter(|_| of_client > 0) {
            Some(client) if !client.hold(of_client) => Some(Full::Client),
            client if !all.hold(bytes, limit) => {
                client.iter().for_each(|client| client.release(of_client));
                Some(Full::All)
            }
            _ => None,
        };
        if let Some(full) = refused {
            batch.iter().for_each(|batch| batch.release(bytes));
            return Err(full);
        }
        self.bytes = sum;
        self.of_client += of_client;
        Ok(())
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let Budgets { all, batch, client } = &self.budgets;
        all.release(self.bytes);
        batch.iter().for_each(|batch| batch.release(self.bytes));
        if let Some(client) = client.as_ref().filter(|_| self.of_client > 0) {
            client.release(self.of_client);
        }
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
        let budgets = Budgets::of_all(16 * SMALL);
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
    fn a_client_that_takes_nothing_leaves_others_their_share() {
        let clients = Clients::new(4 * SMALL);
        let all = Budgets::of_all(100 * SMALL);
        let of = |client: &str| Budgets {
            client: Some(clients.share(client.parse().unwrap())),
            ..all.clone()
        };
        let slow = of("10.0.0.1");
        let (mut first, mut small, mut second) = (slow.room(), slow.room(), slow.room());
        first.grow(SMALL).unwrap();
        assert_eq!(clients.entries.load(Ordering::Relaxed), 0, "a small answer");
        first.grow(SMALL).unwrap();
        assert_eq!(slow.used_up(), None);
        first.grow(SMALL).unwrap();
        assert_eq!(slow.used_up(), Some(Full::Client));
        small.grow(SMALL).unwrap();
        assert_eq!(small.grow(SMALL), Err(Full::Client));
        assert_eq!(second.grow(2 * SMALL), Err(Full::Client));
        for client in ["10.0.0.2", "2001:db8::1"] {
            assert_eq!(of(client).used_up(), None);
            of(client).room().grow(2 * SMALL).unwrap();
        }
        drop(first);
        assert_eq!(slow.used_up(), None);
        second.grow(2 * SMALL).unwrap();
        drop((small, second));
        assert!(clients.lock().is_empty());
        assert_eq!(clients.entries.load(Ordering::Relaxed), 0);
        assert_eq!(all.all.held.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn holds_no_more_than_either_budget_and_gives_all_back() {
        let (all, batch) = (Budget::new(10), Budget::new(6));
        let alone = Budgets {
            all: Arc::clone(&all),
            ..Budgets::of_all(0)
        };
        let budgets = Budgets {
            batch: Some(Arc::clone(&batch)),
            ..alone.clone()
        };
        let (mut first, mut second, mut other) = (budgets.room(), budgets.room(), alone.room());
        first.grow(4).unwrap();
        assert_eq!(budgets.used_up(), None);
        assert_eq!(second.grow(3), Err(Full::Batch(6)));
        assert_eq!(budgets.used_up(), Some(Full::Batch(6)));
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
