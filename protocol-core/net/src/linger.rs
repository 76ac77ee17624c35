//! The end of a connection whose client is still sending: its answer was written, what it sends is discarded for a while.
//!
//! A socket that is closed with unread bytes is reset, and a reset makes the client's system drop the answer that it may not have read:
//! the program sees a broken pipe instead of the refusal.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout};

use crate::limits::Limits;

/// Bytes read at once.
const PIECE: usize = 64 << 10;
/// Bytes that all connections of a listener discard in a second. Much more, on a fast network, would take a processor from those who are
/// served.
const BYTES_PER_SECOND: u32 = 256 << 20;
/// How far discarding may lag behind its pace and catch up: timers do not ring more often than about once in it.
const LAG: Duration = Duration::from_millis(2);

/// The pace of a listener's discarding, over all connections.
#[derive(Debug)]
pub(crate) struct Pace {
    /// When what was discarded so far is paid for.
    paid: Mutex<Instant>,
}

impl Pace {
    pub(crate) fn new() -> Self {
        Self {
            paid: Mutex::new(Instant::now()),
        }
    }

    /// Until when to wait before more is read, now that `bytes` were; `None` if there is no need.
    fn after(&self, bytes: usize, now: Instant) -> Option<Instant> {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let cost = Duration::from_secs(1) * bytes / BYTES_PER_SECOND;
        let mut paid = self.paid.lock().unwrap_or_else(PoisonError::into_inner);
        *paid = (*paid).max(now) + cost;
        Some(*paid).filter(|paid| *paid > now + LAG)
    }
}

/// Discards what comes until the client closes, or a bound is reached. The writing half is closed already.
pub(crate) async fn discard(mut socket: TcpStream, limits: &Limits, pace: &Pace) {
    let mut left = limits.max_discarded_bytes;
    let all = async {
        let mut piece = vec![0; PIECE];
        while left > 0 {
            match socket.read(&mut piece).await {
                Ok(0) | Err(_) => return,
                Ok(count) => {
                    left = left.saturating_sub(count as u64);
                    if let Some(until) = pace.after(count, Instant::now()) {
                        sleep_until(until).await;
                    }
                }
            }
        }
    };
    drop(timeout(limits.discard, all).await);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn discarding_keeps_its_pace_over_all_connections() {
        let start = Instant::now();
        let pace = Pace {
            paid: Mutex::new(start),
        };
        let (mut now, mut bytes) = (start, 0_u64);
        while now < start + Duration::from_secs(1) {
            match pace.after(PIECE, now) {
                Some(until) => now = until,
                None => now += Duration::from_micros(1),
            }
            bytes += PIECE as u64;
        }
        let pace = u64::from(BYTES_PER_SECOND);
        assert!((pace..pace + pace / 50).contains(&bytes), "{bytes}");
    }

    #[test]
    fn time_without_anything_to_discard_is_not_saved_up() {
        let pace = Pace::new();
        let later = Instant::now() + Duration::from_secs(60);
        let once = (0..).take_while(|_| pace.after(PIECE, later).is_none()).count();
        assert!(once * PIECE <= BYTES_PER_SECOND as usize / 400, "{once} pieces");
    }
}
