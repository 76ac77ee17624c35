//! Places for connections: in all, and per IP address.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::activity::{Activity, Cut};
use crate::metrics::Counts;

/// How long a connection that had a request must be idle before its place may be taken: a pooled connection is about to be used.
const MIN_IDLE: Duration = Duration::from_secs(1);
/// The part of a full table that is freed at once, so that the search for idle connections is paid for by many.
const EVICTED_PART: usize = 16;
/// Time between two searches for idle connections while all places are taken.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// Bits of an IPv6 address that one subscriber does not choose himself.
const IPV6_NETWORK: u128 = !((1 << 64) - 1);

/// Counts connections, and makes room for new ones at the expense of idle ones.
///
/// An attacker's silent connections thereby give way to whoever comes with a request, also when both have the same address.
#[derive(Debug)]
pub(crate) struct Gate {
    max: usize,
    max_per_ip: usize,
    table: Mutex<Table>,
    freed: Notify,
    counts: Counts,
}

#[derive(Debug, Default)]
struct Table {
    next: u64,
    connections: HashMap<u64, Held>,
    per_ip: HashMap<IpAddr, usize>,
}

#[derive(Debug)]
struct Held {
    ip: IpAddr,
    activity: Arc<Activity>,
}

/// A connection's place; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    gate: Arc<Gate>,
    number: u64,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.gate.with(|table| table.remove(self.number));
        self.gate.counts.connections.dec();
        self.gate.freed.notify_one();
    }
}

impl Gate {
    pub(crate) fn new(max: usize, max_per_ip: usize, counts: Counts) -> Arc<Self> {
        Arc::new(Self {
            max,
            max_per_ip,
            table: Mutex::default(),
            freed: Notify::new(),
            counts,
        })
    }

    fn with<T>(&self, act: impl FnOnce(&mut Table) -> T) -> T {
        act(&mut self.table.lock().unwrap_or_else(|poisoned| poisoned.into_inner()))
    }

    /// Waits until there is room for the connection that has come. Those after it stay in the system's queue: they cost this process
    /// nothing, and their clients see a slow connection instead of an error.
    pub(crate) async fn room(&self) {
        while self.with(|table| table.connections.len()) >= self.max && self.evict(None) == 0 {
            drop(tokio::time::timeout(LOOK_AGAIN, self.freed.notified()).await);
        }
    }

    /// Takes a place for a connection from `ip`; `None` when that address has too many, all with requests.
    pub(crate) fn admit(self: &Arc<Self>, ip: IpAddr, activity: &Arc<Activity>) -> Option<Place> {
        let ip = network(ip);
        let taken = || self.with(|table| table.per_ip.get(&ip).copied().unwrap_or(0));
        if taken() >= self.max_per_ip && self.evict(Some(ip)) == 0 {
            return None;
        }
        let number = self.with(|table| table.insert(ip, Arc::clone(activity)));
        self.counts.connections.inc();
        Some(Place {
            gate: Arc::clone(self),
            number,
        })
    }

    /// Ends the longest idle connections (of `ip`), first those that never had a request; returns how many.
    pub(crate) fn evict(&self, ip: Option<IpAddr>) -> usize {
        let now = Instant::now();
        let evicted = self.with(|table| table.take_idle(ip, now));
        for held in &evicted {
            held.activity.end(Cut::Evicted);
        }
        evicted.len()
    }
}

impl Table {
    fn insert(&mut self, ip: IpAddr, activity: Arc<Activity>) -> u64 {
        let number = self.next;
        self.next = self.next.wrapping_add(1);
        self.connections.insert(number, Held { ip, activity });
        *self.per_ip.entry(ip).or_default() += 1;
        number
    }

    fn remove(&mut self, number: u64) -> Option<Held> {
        let held = self.connections.remove(&number)?;
        if let Some(count) = self.per_ip.get_mut(&held.ip) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.per_ip.remove(&held.ip);
            }
        }
        Some(held)
    }

    fn take_idle(&mut self, ip: Option<IpAddr>, now: Instant) -> Vec<Held> {
        let of_ip = |held: &Held| ip.is_none_or(|ip| held.ip == ip);
        let candidates = self.connections.iter().filter(|(_, held)| of_ip(held));
        let total = candidates.clone().count();
        let mut idle: Vec<(bool, Instant, u64)> = candidates
            .filter_map(|(number, held)| {
                let (served, since) = held.activity.idle_since()?;
                let spared = served && now.saturating_duration_since(since) < MIN_IDLE;
                (!spared).then_some((served, since, *number))
            })
            .collect();
        idle.sort_unstable();
        idle.truncate((total / EVICTED_PART).max(1));
        idle.iter()
            .filter_map(|(.., number)| self.remove(*number))
            .collect()
    }
}

/// What counts as one address.
pub(crate) fn network(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V4(ip) => IpAddr::V4(ip),
        IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() & IPV6_NETWORK)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::ListenerMetrics;

    const HOME: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn gate(max: usize, per_ip: usize) -> Arc<Gate> {
        let metrics = ListenerMetrics::new(&prometheus::Registry::new()).unwrap();
        Gate::new(max, per_ip, metrics.counts("test"))
    }

    fn busy() -> Arc<Activity> {
        let activity = Arc::new(Activity::new(Instant::now()));
        activity.request_begins(false);
        activity
    }

    fn silent() -> Arc<Activity> {
        Arc::new(Activity::new(Instant::now()))
    }

    #[tokio::test]
    async fn an_address_with_busy_connections_is_refused_more() {
        let gate = gate(10, 2);
        let held: Vec<_> = [busy(), busy()].iter().map(|a| gate.admit(HOME, a)).collect();
        assert!(held.iter().all(Option::is_some));
        assert!(gate.admit(HOME, &busy()).is_none());
        assert!(
            gate.admit("10.0.0.1".parse().unwrap(), &busy()).is_some(),
            "others are not"
        );
        drop(held);
        assert!(gate.admit(HOME, &busy()).is_some());
    }

    #[tokio::test]
    async fn a_silent_connection_gives_way_to_a_new_one() {
        let gate = gate(10, 2);
        let (old, new) = (silent(), silent());
        let _held = (gate.admit(HOME, &old), gate.admit(HOME, &busy()));
        assert!(gate.admit(HOME, &new).is_some());
        let limits = crate::limits::Limits::new(&Default::default());
        assert_eq!(old.over(&limits).await, Cut::Evicted);
    }

    #[tokio::test(start_paused = true)]
    async fn a_pooled_connection_is_spared_for_a_second() {
        let gate = gate(10, 1);
        let pooled = busy();
        pooled.request_ends(true, Instant::now());
        let _held = gate.admit(HOME, &pooled);
        assert!(gate.admit(HOME, &busy()).is_none());
        tokio::time::advance(MIN_IDLE).await;
        assert!(gate.admit(HOME, &busy()).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_gate_waits_for_a_place() {
        let gate = gate(1, 1);
        gate.room().await;
        let place = gate.admit(HOME, &busy());
        let waits = tokio::time::timeout(Duration::from_secs(10), gate.room()).await;
        assert!(waits.is_err());
        drop(place);
        gate.room().await;
    }

    #[test]
    fn an_ipv6_network_counts_as_one_address() {
        let one = |text: &str| network(text.parse().unwrap());
        assert_eq!(one("2001:db8::1"), one("2001:db8::ffff:1"));
        assert_ne!(one("2001:db8::1"), one("2001:db8:0:1::1"));
        assert_eq!(one("::ffff:1.2.3.4"), one("1.2.3.4"));
    }
}
