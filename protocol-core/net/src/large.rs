//! Work on large messages: hashing and parsing one takes milliseconds, in which everything else on its async worker would stand still.

use std::sync::Arc;
use std::thread::available_parallelism;

use tokio::sync::Semaphore;
use tokio::task::JoinError;

/// Messages from this size on, in bytes, are worked on off the async workers: hashing and parsing take about a millisecond there, the way to
/// another thread and back some tens of microseconds.
pub const LARGE: usize = 512 << 10;

/// The pool for work on large messages. It takes half of the processors at most, so that the other half serves small messages meanwhile;
/// who waits for a turn holds bytes that count in a [`crate::budget::Budget`], so the line is bounded.
#[derive(Clone, Debug)]
pub struct LargeWork {
    turns: Arc<Semaphore>,
}

impl Default for LargeWork {
    fn default() -> Self {
        let processors = available_parallelism().map_or(1, std::num::NonZero::get);
        Self {
            turns: Arc::new(Semaphore::new((processors / 2).max(1))),
        }
    }
}

impl LargeWork {
    /// Runs `work` when its turn comes. It runs to its end also when nobody waits for it any more.
    ///
    /// # Errors
    /// When the runtime is going down.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, JoinError> {
        let turn = Arc::clone(&self.turns).acquire_owned().await.ok();
        let run = move || {
            let outcome = work();
            drop(turn);
            outcome
        };
        tokio::task::spawn_blocking(run).await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn at_most_half_of_the_processors_work_at_a_time() {
        let pool = LargeWork::default();
        let most = pool.turns.available_permits();
        let (now, peak) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let work = |_| {
            let (pool, now, peak) = (pool.clone(), Arc::clone(&now), Arc::clone(&peak));
            tokio::spawn(async move {
                let work = move || {
                    peak.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    (0..1_000).for_each(|_| std::thread::yield_now());
                    now.fetch_sub(1, Ordering::SeqCst);
                };
                pool.run(work).await
            })
        };
        for task in (0..4 * most + 1).map(work).collect::<Vec<_>>() {
            task.await.unwrap().unwrap();
        }
        assert!((1..=most).contains(&peak.load(Ordering::SeqCst)));
        assert_eq!(pool.turns.available_permits(), most);
    }
}
