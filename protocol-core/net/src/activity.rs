//! What a connection is doing, and until when it may go on so.
//!
//! Three parties write it down: the socket (bytes in and out), the service (requests begin and end), the answers of HTTP/2 (which may
//! stand still while the socket does not). One task reads it, and ends the connection at its deadline.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::limits::{Limits, MAX_GIVEN_UP, MAX_QUIET_BYTES, MIN_WRITTEN};

/// Why the listener ended a connection. The labels are those of the metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// Nothing was sent, or the TLS handshake was not finished.
    FirstByte,
    /// The head of a request was not finished.
    Head,
    /// No request came.
    Idle,
    /// The client did not take an answer, or next to nothing of it.
    Write,
    /// Pings, settings or resets without end.
    Flood,
    /// Its place was needed for another connection.
    Evicted,
}

impl Cut {
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::FirstByte => "first_byte",
            Self::Head => "head",
            Self::Idle => "idle",
            Self::Write => "write",
            Self::Flood => "flood",
            Self::Evicted => "evicted",
        }
    }
}

/// See the module's page.
#[derive(Debug)]
pub(crate) struct Activity {
    state: Mutex<State>,
    /// Copy of the number of requests in progress, so that a read during one takes no lock.
    requests: AtomicUsize,
    /// Whether part of a body is left unread by an early answer.
    unread: AtomicBool,
    /// Whether the connection speaks another protocol from now on, whose bounds are its own.
    upgraded: AtomicBool,
    /// Rings when the connection is to end now.
    ended: Notify,
}

#[derive(Debug)]
struct State {
    /// Since when the current wait lasts: for the first byte, for the first head, for the next request.
    since: Instant,
    /// Whether a byte arrived.
    begun: bool,
    /// Whether a request arrived whole.
    served: bool,
    requests: usize,
    http2: bool,
    /// Since when the next HTTP/1 head arrives.
    head_since: Option<Instant>,
    quiet_bytes: usize,
    given_up: u32,
    /// While the socket does not take what there is to write.
    blocked: Option<Wait>,
    /// HTTP/2 answers that wait for their client.
    answers: HashMap<u64, Wait>,
    next_answer: u64,
    cut: Option<Cut>,
}

/// Bytes that wait for the client.
#[derive(Clone, Copy, Debug)]
struct Wait {
    since: Instant,
    /// What the client took since then, less than [`MIN_WRITTEN`].
    taken: usize,
}

impl Wait {
    const fn new(since: Instant) -> Self {
        Self { since, taken: 0 }
    }

    fn takes(&mut self, bytes: usize, now: Instant) {
        self.taken = self.taken.saturating_add(bytes);
        if self.taken >= MIN_WRITTEN {
            *self = Self::new(now);
        }
    }
}

impl Activity {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            state: Mutex::new(State {
                since: now,
                begun: false,
                served: false,
                requests: 0,
                http2: false,
                head_since: None,
                quiet_bytes: 0,
                given_up: 0,
                blocked: None,
                answers: HashMap::new(),
                next_answer: 0,
                cut: None,
            }),
            requests: AtomicUsize::new(0),
            unread: AtomicBool::new(false),
            upgraded: AtomicBool::new(false),
            ended: Notify::new(),
        }
    }

    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        // A panic elsewhere while it was held leaves numbers, which are still good enough to end a connection by.
        act(&mut self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner()))
    }

    /// The client sent something: the wait for the first head begins.
    pub(crate) fn begun(&self, now: Instant) {
        self.with(|state| {
            if !state.begun {
                (state.begun, state.since) = (true, now);
            }
        });
    }

    /// Whether a request is in progress, or the connection was upgraded: then it does not matter what arrives.
    pub(crate) fn is_serving(&self) -> bool {
        self.requests.load(Ordering::Relaxed) > 0 || self.upgraded.load(Ordering::Relaxed)
    }

    /// The answer that is sent now makes the connection one of another protocol.
    pub(crate) fn upgrades(&self) {
        self.upgraded.store(true, Ordering::Relaxed);
    }

    /// `bytes` arrived.
    pub(crate) fn received(&self, bytes: usize, now: Instant) {
        if self.is_serving() {
            return;
        }
        let flood = self.with(|state| {
            if !state.begun {
                (state.begun, state.since) = (true, now);
            }
            state.head_since.get_or_insert(now);
            state.quiet_bytes = state.quiet_bytes.saturating_add(bytes);
            state.quiet_bytes > MAX_QUIET_BYTES
        });
        if flood {
            self.end(Cut::Flood);
        }
    }

    /// Whether bytes of a head arrived that is not whole yet.
    pub(crate) fn is_in_head(&self) -> bool {
        !self.is_serving()
            && self.with(|state| state.requests == 0 && !state.http2 && state.head_since.is_some())
    }

    /// The socket does not take what there is to write.
    pub(crate) fn blocks(&self, now: Instant) {
        self.with(|state| _ = state.blocked.get_or_insert(Wait::new(now)));
    }

    /// The socket took `bytes`, and there is more to write.
    pub(crate) fn takes(&self, bytes: usize, now: Instant) {
        self.with(|state| {
            if let Some(wait) = &mut state.blocked {
                wait.takes(bytes, now);
            }
        });
    }

    /// The socket took all there was to write.
    pub(crate) fn unblocks(&self) {
        self.with(|state| state.blocked = None);
    }

    /// A request arrived.
    pub(crate) fn request_begins(&self, http2: bool) {
        self.unread.store(false, Ordering::Relaxed);
        self.with(|state| {
            state.requests = state.requests.saturating_add(1);
            self.requests.store(state.requests, Ordering::Relaxed);
            (state.begun, state.served) = (true, true);
            state.http2 = http2;
            state.head_since = None;
            state.quiet_bytes = 0;
        });
    }

    /// A request is over: its answer was handed over, or the client gave it up.
    pub(crate) fn request_ends(&self, answered: bool, now: Instant) {
        let flood = self.with(|state| {
            state.requests = state.requests.saturating_sub(1);
            self.requests.store(state.requests, Ordering::Relaxed);
            state.since = now;
            state.given_up = if answered {
                0
            } else {
                state.given_up.saturating_add(1)
            };
            state.given_up > MAX_GIVEN_UP
        });
        if flood {
            self.end(Cut::Flood);
        }
    }

    /// An HTTP/2 answer begins to wait for its client; returns its number.
    pub(crate) fn answer_begins(&self, now: Instant) -> u64 {
        self.with(|state| {
            let number = state.next_answer;
            state.next_answer = number.wrapping_add(1);
            state.answers.insert(number, Wait::new(now));
            number
        })
    }

    /// The client took `bytes` of an answer; or none, and an answer that waited for us waits for the client.
    pub(crate) fn answer_moves(&self, number: u64, bytes: usize, now: Instant) {
        self.with(|state| {
            let wait = state.answers.entry(number);
            wait.or_insert(Wait::new(now)).takes(bytes, now);
        });
    }

    /// An answer waits for us, or is over.
    pub(crate) fn answer_rests(&self, number: u64) {
        self.with(|state| _ = state.answers.remove(&number));
    }

    /// Part of a body will not be read.
    pub(crate) fn leaves_unread(&self) {
        self.unread.store(true, Ordering::Relaxed);
    }

    pub(crate) fn has_unread(&self) -> bool {
        self.unread.load(Ordering::Relaxed)
    }

    /// Ends the connection now.
    pub(crate) fn end(&self, cut: Cut) {
        self.with(|state| state.cut = state.cut.or(Some(cut)));
        self.ended.notify_one();
    }

    /// Since when the connection is idle, and whether it ever had a request; `None` while it has one.
    pub(crate) fn idle_since(&self) -> Option<(bool, Instant)> {
        if self.upgraded.load(Ordering::Relaxed) {
            return None; // nobody would end it, so its place must not be given away
        }
        self.with(|state| (state.requests == 0).then_some((state.served, state.since)))
    }

    /// When the connection is to end unless something happens before.
    fn deadline(&self, limits: &Limits) -> Option<(Instant, Cut)> {
        self.with(|state| state.deadline(limits))
    }

    /// Returns when the connection is to end, and why.
    pub(crate) async fn over(&self, limits: &Limits) -> Cut {
        let tick = limits.tick();
        loop {
            let now = Instant::now();
            let look = match self.deadline(limits) {
                Some((at, cut)) if at <= now => return cut,
                Some((at, _)) => at.min(now + tick),
                None => now + tick,
            };
            tokio::select! {
                () = self.ended.notified() => {}
                () = tokio::time::sleep_until(look) => {}
            }
        }
    }
}

impl State {
    fn deadline(&self, limits: &Limits) -> Option<(Instant, Cut)> {
        if let Some(cut) = self.cut {
            return Some((self.since, cut));
        }
        let waits = if self.requests > 0 {
            None
        } else if !self.begun {
            Some((self.since + limits.first_byte, Cut::FirstByte))
        } else if !self.served {
            Some((self.since + limits.head, Cut::Head))
        } else {
            Some((self.since + limits.idle, Cut::Idle))
        };
        let head = self
            .head_since
            .filter(|_| self.requests == 0 && self.served && !self.http2);
        let waits_for_client = self.answers.values().chain(&self.blocked);
        let blocked = waits_for_client.map(|wait| wait.since).min();
        let all = [
            waits,
            head.map(|since| (since + limits.head, Cut::Head)),
            blocked.map(|since| (since + limits.write, Cut::Write)),
        ];
        all.into_iter().flatten().min_by_key(|(at, _)| *at)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use portico_config::listener::ListenerConfig;

    use super::*;

    fn limits() -> Limits {
        Limits::new(&ListenerConfig {
            first_byte_timeout_ms: 1_000,
            head_timeout_ms: 2_000,
            write_timeout_ms: 3_000,
            idle_timeout_ms: 4_000,
            ..ListenerConfig::default()
        })
    }

    /// The deadline in seconds after `start`.
    fn due(activity: &Activity, start: Instant) -> Option<(u64, Cut)> {
        let due = activity.deadline(&limits());
        due.map(|(at, cut)| (at.duration_since(start).as_secs(), cut))
    }

    fn after(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    #[tokio::test]
    async fn each_wait_has_its_own_deadline() {
        let start = Instant::now();
        let activity = Activity::new(start);
        assert_eq!(due(&activity, start), Some((1, Cut::FirstByte)));
        activity.received(1, after(start, 1));
        assert_eq!(due(&activity, start), Some((3, Cut::Head)));
        activity.received(1, after(start, 2));
        assert_eq!(
            due(&activity, start),
            Some((3, Cut::Head)),
            "more bytes win no time"
        );
        activity.request_begins(false);
        assert_eq!(due(&activity, start), None, "the role has its own time-outs");
        activity.request_ends(true, after(start, 10));
        assert_eq!(due(&activity, start), Some((14, Cut::Idle)));
        activity.received(1, after(start, 11));
        assert_eq!(due(&activity, start), Some((13, Cut::Head)));
    }

    #[tokio::test]
    async fn pings_do_not_keep_an_idle_http2_connection() {
        let start = Instant::now();
        let activity = Activity::new(start);
        activity.received(100, start);
        activity.request_begins(true);
        activity.request_ends(true, start);
        activity.received(17, after(start, 3));
        assert_eq!(due(&activity, start), Some((4, Cut::Idle)));
        activity.received(MAX_QUIET_BYTES, after(start, 3));
        assert_eq!(activity.over(&limits()).await, Cut::Flood);
    }

    #[tokio::test]
    async fn the_answer_that_stands_still_longest_decides() {
        let start = Instant::now();
        let activity = Activity::new(start);
        activity.received(100, start);
        activity.request_begins(true);
        let slow = activity.answer_begins(start);
        let quick = activity.answer_begins(start);
        activity.answer_moves(quick, MIN_WRITTEN, after(start, 2));
        assert_eq!(due(&activity, start), Some((3, Cut::Write)));
        activity.answer_rests(slow);
        assert_eq!(due(&activity, start), Some((5, Cut::Write)));
        activity.blocks(after(start, 1));
        assert_eq!(due(&activity, start), Some((4, Cut::Write)));
    }

    #[tokio::test]
    async fn next_to_nothing_wins_no_time() {
        let start = Instant::now();
        let activity = Activity::new(start);
        activity.request_begins(false);
        activity.takes(1, start);
        assert_eq!(due(&activity, start), None, "nothing waits");
        activity.blocks(start);
        activity.takes(MIN_WRITTEN - 1, after(start, 1));
        activity.blocks(after(start, 1));
        assert_eq!(due(&activity, start), Some((3, Cut::Write)));
        activity.takes(1, after(start, 2));
        assert_eq!(due(&activity, start), Some((5, Cut::Write)));
        activity.unblocks();
        assert_eq!(due(&activity, start), None);
    }

    #[tokio::test]
    async fn requests_given_up_in_a_row_are_a_flood() {
        let start = Instant::now();
        let activity = Activity::new(start);
        for _ in 0..MAX_GIVEN_UP {
            activity.request_begins(true);
            activity.request_ends(false, start);
        }
        activity.request_begins(true);
        activity.request_ends(true, start);
        assert_eq!(
            due(&activity, start),
            Some((4, Cut::Idle)),
            "one answer, and the count begins anew"
        );
        for _ in 0..=MAX_GIVEN_UP {
            activity.request_begins(true);
            activity.request_ends(false, start);
        }
        assert_eq!(activity.over(&limits()).await, Cut::Flood);
    }
}
