//! How old the chain's newest block is: a gauge, and a warning when the chain stands still.
//!
//! A node that falls behind others is left for one of them; when the only one, or all, stand still, a person must look.

use std::convert::Infallible;
use std::time::Duration;

use anyhow::Result;
use portico_client::{BlockHead, Blocks};
use portico_engine::{Clock, SystemClock};
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{IntGauge, Registry};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Age of the newest block from which on the chain is said to stand still.
const STALE_AFTER: Duration = Duration::from_secs(10 * 60);
/// Time between two looks at the age.
const LOOK_EVERY: Duration = Duration::from_secs(15);

/// A registry for one role, with the age of the newest block of `chain`.
pub(crate) fn registry(chain: &dyn Blocks) -> Result<Registry> {
    let registry = crate::metrics::registry()?;
    let age = HeadAge::new(chain.head(), SystemClock)?;
    registry.register(Box::new(age))?;
    Ok(registry)
}

/// Warns once each time that the chain stands still, until `stop`.
pub(crate) async fn watch(
    head: watch::Receiver<BlockHead>,
    stop: CancellationToken,
) -> Result<(), Infallible> {
    let mut stands = false;
    while stop
        .run_until_cancelled(tokio::time::sleep(LOOK_EVERY))
        .await
        .is_some()
    {
        let Some(age) = age(&head.borrow(), &SystemClock) else {
            continue;
        };
        let (age_s, height) = (age.as_secs(), head.borrow().height.0);
        match turn(&mut stands, age) {
            Some(true) => tracing::warn!(height, age_s, "the chain stands still: no node has a newer block"),
            Some(false) => tracing::info!(height, age_s, "the chain goes on"),
            None => {}
        }
    }
    Ok(())
}

/// Whether the chain stands still, when that is news.
fn turn(stands: &mut bool, age: Duration) -> Option<bool> {
    let now = age >= STALE_AFTER;
    (std::mem::replace(stands, now) != now).then_some(now)
}

/// Time since the newest block; `None` while no block is known.
fn age(head: &BlockHead, clock: &impl Clock) -> Option<Duration> {
    let ago_ms = clock.now_ms().saturating_sub(head.time_ms);
    (head.height.0 > 0).then(|| Duration::from_millis(ago_ms))
}

/// The gauge, computed when it is read.
struct HeadAge<T> {
    gauge: IntGauge,
    head: watch::Receiver<BlockHead>,
    clock: T,
}

impl<T: Clock> HeadAge<T> {
    fn new(head: watch::Receiver<BlockHead>, clock: T) -> Result<Self> {
        let help = "Seconds since the time of the newest block that is known.";
        let gauge = IntGauge::new("portico_chain_head_age_seconds", help)?;
        Ok(Self { gauge, head, clock })
    }
}

impl<T: Clock> Collector for HeadAge<T> {
    fn desc(&self) -> Vec<&Desc> {
        self.gauge.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let Some(age) = age(&self.head.borrow(), &self.clock) else {
            return Vec::new();
        };
        self.gauge.set(i64::try_from(age.as_secs()).unwrap_or(i64::MAX));
        self.gauge.collect()
    }
}

#[cfg(test)]
mod tests {
    use portico_protocol::Height;

    use super::*;

    struct At(u64);

    impl Clock for At {
        fn now_ms(&self) -> u64 {
            self.0
        }
    }

    fn head(height: i64, time_ms: u64) -> BlockHead {
        BlockHead {
            height: Height(height),
            time_ms,
            ..BlockHead::default()
        }
    }

    #[test]
    fn the_gauge_says_the_seconds_since_the_newest_block_and_nothing_before_the_first() {
        let (tell, told) = watch::channel(head(0, 0));
        let registry = Registry::new();
        let collector = HeadAge::new(told, At(75_000)).unwrap();
        registry.register(Box::new(collector)).unwrap();
        assert!(registry.gather().is_empty());
        let read = || registry.gather()[0].get_metric()[0].get_gauge().get_value();
        tell.send_replace(head(1, 15_000));
        assert!((read() - 60.0).abs() < 0.5);
        tell.send_replace(head(2, 80_000)); // a clock ahead of ours
        assert!(read().abs() < 0.5);
    }

    #[test]
    fn a_chain_that_stands_still_is_news_once_and_so_is_its_end() {
        let mut stands = false;
        let ages = [0, 599, 600, 700, 3, 4, 601];
        let news: Vec<_> = ages.map(|s| turn(&mut stands, Duration::from_secs(s))).into();
        assert_eq!(
            news,
            [None, None, Some(true), None, Some(false), None, Some(true)]
        );
    }
}
