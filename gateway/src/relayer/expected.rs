//! How large an answer will be, judged by those before it: calls to methods with large answers take turns.
//!
//! A batch asks for many answers at once, and none of them counts in a budget before it arrives. So what a client's calls are expected to bring
//! counts from the moment they are asked: an average for each of its methods whose answers were large lately. The other clients' calls
//! do not wait behind them, at a supplier or here.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use portico_net::large::LARGE;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep_until, timeout_at};

/// Clients whose methods are remembered; beyond, others' calls are not limited by this.
const MAX_CLIENTS: usize = 1_024;
/// Methods remembered of each client.
const MAX_METHODS: usize = 64;
/// A method is forgotten when it was not called for so long.
const FORGET: Duration = Duration::from_secs(60);
/// Calls of one client that wait for a turn; further ones are refused.
const MAX_WAITING: usize = 64;
/// Weight of the last answer in a method's average.
const WEIGHT: usize = 4;
/// Bytes of a permit.
const UNIT: usize = 64 << 10;

/// What is expected of calls.
#[derive(Debug)]
pub(super) struct Expected {
    /// Permits of each client.
    permits: usize,
    /// Bytes of large answers that a client may ask for in a second, on average.
    per_second: usize,
    clients: Mutex<HashMap<IpAddr, Client>>,
    /// How many there are: while there are none, nobody looks.
    entries: AtomicUsize,
}

#[derive(Debug)]
struct Client {
    turns: Arc<Semaphore>,
    waiting: Arc<AtomicUsize>,
    /// When the next turn may begin.
    next: Instant,
    methods: HashMap<u64, Average>,
}

/// Of a method's answers.
#[derive(Clone, Copy, Debug)]
struct Average {
    bytes: usize,
    last: Instant,
}

impl Average {
    fn is_fresh(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.last) < FORGET
    }
}

impl Client {
    /// Whether nothing would be lost without it.
    fn is_idle(&self, now: Instant) -> bool {
        Arc::strong_count(&self.turns) == 1 && !self.methods.values().any(|average| average.is_fresh(now))
    }
}

/// One that waits for its turn.
struct Waiting(Arc<AtomicUsize>);

impl Waiting {
    fn begin(line: &Arc<AtomicUsize>) -> Option<Self> {
        let begun = Self(Arc::clone(line));
        (line.fetch_add(1, Ordering::Relaxed) < MAX_WAITING).then_some(begun)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A client's turn to ask for a large answer; it ends when this is dropped.
#[derive(Debug)]
pub(super) struct Turn {
    client: IpAddr,
    /// How large the answer is expected to be.
    bytes: usize,
    _permit: OwnedSemaphorePermit,
}

/// No turn came: too many of the client's calls wait, or the deadline was first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NoTurn;

/// What a call's method is known by.
pub(super) fn key(service: &str, method: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    (service, method).hash(&mut hasher);
    hasher.finish()
}

impl Expected {
    /// Of what each client may hold, `share` bytes, a quarter may be expected at a time, and half of it in a second.
    pub(super) fn new(share: usize) -> Self {
        Self {
            per_second: (share / 2).max(1),
            permits: (share / 4 / UNIT).clamp(1, Semaphore::MAX_PERMITS),
            clients: Mutex::default(),
            entries: AtomicUsize::new(0),
        }
    }

    /// Waits until `client` may ask for what a call of this method is expected to bring; `None` for one that is not known for large answers.
    /// A turn that is used begins at its [`pace`](Self::pace).
    pub(super) async fn turn(
        &self,
        client: IpAddr,
        key: impl FnOnce() -> u64,
        deadline: Instant,
    ) -> Result<Option<Turn>, NoTurn> {
        if !self.knows(client) {
            return Ok(None);
        }
        let Some((turns, line, bytes)) = self.of(client, key()) else {
            return Ok(None);
        };
        let permits = u32::try_from((bytes / UNIT).clamp(1, self.permits)).unwrap_or(u32::MAX);
        let _waiting = Waiting::begin(&line).ok_or(NoTurn)?;
        let turn = timeout_at(deadline, turns.acquire_many_owned(permits)).await;
        let _permit = turn.map_err(|_| NoTurn)?.map_err(|_| NoTurn)?;
        Ok(Some(Turn {
            client,
            bytes,
            _permit,
        }))
    }

    /// Waits until this turn may begin, as long after those before it as their bytes ask for.
    pub(super) async fn pace(&self, turn: &Turn, deadline: Instant) -> Result<(), NoTurn> {
        let begins = self.begins(turn);
        if begins > deadline {
            return Err(NoTurn);
        }
        sleep_until(begins).await;
        Ok(())
    }

    fn begins(&self, turn: &Turn) -> Instant {
        let now = Instant::now();
        let mut clients = self.lock();
        let Some(client) = clients.get_mut(&turn.client) else {
            return now;
        };
        let begins = client.next.max(now);
        client.next = begins + Duration::from_secs(1).mul_f64(turn.bytes as f64 / self.per_second as f64);
        begins
    }

    /// Whether methods of `client` are remembered. Asked before a call's key is made: that reads the call, and nobody is to wait for it.
    fn knows(&self, client: IpAddr) -> bool {
        self.entries.load(Ordering::Relaxed) > 0 && self.lock().contains_key(&client)
    }

    /// Turns and line of `client`, and how many bytes the method's answers have.
    fn of(&self, client: IpAddr, key: u64) -> Option<(Arc<Semaphore>, Arc<AtomicUsize>, usize)> {
        let now = Instant::now();
        let clients = self.lock();
        let client = clients.get(&client)?;
        let average = client.methods.get(&key).filter(|average| average.is_fresh(now))?;
        Some((
            Arc::clone(&client.turns),
            Arc::clone(&client.waiting),
            average.bytes,
        ))
    }

    /// Takes note of an answer of so many bytes.
    pub(super) fn saw(&self, client: IpAddr, key: impl FnOnce() -> u64, bytes: usize) {
        if bytes < LARGE && !self.knows(client) {
            return;
        }
        let (key, now) = (key(), Instant::now());
        let mut clients = self.lock();
        if bytes >= LARGE && !clients.contains_key(&client) {
            if clients.len() >= MAX_CLIENTS {
                clients.retain(|_, client| !client.is_idle(now));
            }
            if clients.len() < MAX_CLIENTS {
                let new = Client {
                    turns: Arc::new(Semaphore::new(self.permits)),
                    waiting: Arc::default(),
                    next: now,
                    methods: HashMap::new(),
                };
                clients.insert(client, new);
            }
        }
        if let Some(known) = clients.get_mut(&client) {
            known.saw(key, bytes, now);
            if known.is_idle(now) {
                clients.remove(&client);
            }
        }
        self.entries.store(clients.len(), Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, Client>> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Client {
    fn saw(&mut self, key: u64, bytes: usize, now: Instant) {
        self.methods.retain(|_, average| average.is_fresh(now));
        if let Some(average) = self.methods.get_mut(&key) {
            average.bytes = (average.bytes / WEIGHT * (WEIGHT - 1)).saturating_add(bytes / WEIGHT);
            average.last = now;
            if average.bytes < LARGE {
                self.methods.remove(&key);
            }
        } else if bytes >= LARGE && self.methods.len() < MAX_METHODS {
            self.methods.insert(key, Average { bytes, last: now });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const ALICE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
    const BOB: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2));
    const BIG: usize = 15 << 20;
    const SHARE: usize = 4 * 2 * BIG;

    fn later() -> Instant {
        Instant::now() + Duration::from_secs(10)
    }

    async fn turn(expected: &Expected, client: IpAddr, key: u64) -> Result<Option<Turn>, NoTurn> {
        expected.turn(client, || key, later()).await
    }

    #[tokio::test(start_paused = true)]
    async fn only_calls_of_methods_with_large_answers_take_turns() {
        let expected = Expected::new(SHARE);
        assert!(turn(&expected, ALICE, 1).await.unwrap().is_none());
        expected.saw(ALICE, || 1, BIG);
        let turns = [
            turn(&expected, ALICE, 1).await.unwrap().unwrap(),
            turn(&expected, ALICE, 1).await.unwrap().unwrap(),
        ];
        assert_eq!(turn(&expected, ALICE, 1).await.unwrap_err(), NoTurn);
        assert!(
            turn(&expected, ALICE, 2).await.unwrap().is_none(),
            "another method"
        );
        assert!(turn(&expected, BOB, 1).await.unwrap().is_none(), "another client");
        drop(turns);
        assert!(turn(&expected, ALICE, 1).await.unwrap().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn turns_come_at_a_pace() {
        let expected = Expected::new(SHARE);
        expected.saw(ALICE, || 1, BIG);
        let begun = Instant::now();
        for _ in 0..100 {
            let turn = turn(&expected, ALICE, 1).await.unwrap().unwrap();
            expected.pace(&turn, later()).await.unwrap();
        }
        let pace = (99 * BIG) as f64 / begun.elapsed().as_secs_f64();
        assert!(
            (0.98..1.02).contains(&(pace / (SHARE / 2) as f64)),
            "{pace} bytes a second"
        );
        let turn = turn(&expected, ALICE, 1).await.unwrap().unwrap();
        let soon = Instant::now() + Duration::from_millis(1);
        assert_eq!(expected.pace(&turn, soon).await, Err(NoTurn));
    }

    #[tokio::test(start_paused = true)]
    async fn answers_that_are_small_again_take_no_turns() {
        let expected = Expected::new(SHARE);
        expected.saw(ALICE, || 1, LARGE);
        assert!(turn(&expected, ALICE, 1).await.unwrap().is_some());
        expected.saw(ALICE, || 1, 100);
        assert!(turn(&expected, ALICE, 1).await.unwrap().is_none());
        assert_eq!(expected.entries.load(Ordering::Relaxed), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_not_called_for_a_minute_is_forgotten() {
        let expected = Expected::new(SHARE);
        expected.saw(ALICE, || 1, BIG);
        tokio::time::advance(FORGET).await;
        assert!(turn(&expected, ALICE, 1).await.unwrap().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_beyond_the_share_waits_for_all_of_it() {
        let expected = Expected::new(SHARE);
        expected.saw(ALICE, || 1, 100 * SHARE);
        let _turn = turn(&expected, ALICE, 1).await.unwrap().unwrap();
        assert_eq!(expected.lock()[&ALICE].turns.available_permits(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn the_line_of_a_client_is_bounded() {
        let expected = Arc::new(Expected::new(SHARE));
        expected.saw(ALICE, || 1, 2 * BIG);
        let first = turn(&expected, ALICE, 1).await.unwrap().unwrap();
        let wait = || {
            let expected = Arc::clone(&expected);
            tokio::spawn(async move { turn(&expected, ALICE, 1).await.map(drop) })
        };
        let waiting: Vec<_> = (0..MAX_WAITING).map(|_| wait()).collect();
        while expected.lock()[&ALICE].waiting.load(Ordering::Relaxed) < MAX_WAITING {
            tokio::task::yield_now().await;
        }
        assert_eq!(turn(&expected, ALICE, 1).await.unwrap_err(), NoTurn);
        drop(first);
        for each in waiting {
            each.await.unwrap().unwrap();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn clients_and_methods_that_are_remembered_are_bounded() {
        let expected = Expected::new(SHARE);
        let addresses = (0_u32..).map(Ipv4Addr::from_bits).take(2 * MAX_CLIENTS);
        addresses.for_each(|client| expected.saw(client.into(), || 1, BIG));
        assert_eq!(expected.lock().len(), MAX_CLIENTS);
        tokio::time::advance(FORGET).await;
        for method in 0..2 * MAX_METHODS as u64 {
            expected.saw(ALICE, || method, BIG);
        }
        assert_eq!(expected.lock().len(), 1);
        assert_eq!(expected.lock()[&ALICE].methods.len(), MAX_METHODS);
    }
}
