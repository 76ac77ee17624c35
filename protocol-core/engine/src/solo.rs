//! One validator, no network: blocks at an interval, or as soon as a transaction waits.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use portico_protocol::Height;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::{Block, Clock, Committed, EngineError, MachineError, Slot, StateMachine, TxSource};

/// Decides order and time of blocks.
#[async_trait]
pub trait Engine: Send + 'static {
    /// Makes blocks until `stop`, or until the state machine fails.
    async fn run(self: Box<Self>, stop: CancellationToken) -> Result<(), EngineError>;
}

/// Transactions that wait.
pub trait Pool: Send + Sync + 'static {
    /// Those for the next block, in order.
    fn source(&self) -> Box<dyn TxSource + '_>;

    /// How many wait.
    fn waiting(&self) -> watch::Receiver<usize>;
}

/// Says why a block is final.
pub trait Certify: Send + Sync + 'static {
    /// The certificate of `block`; errs when it cannot be signed.
    fn certify(&self, block: &Block) -> Result<Bytes, MachineError>;
}

/// When the next block is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// This long after the block before.
    Interval(Duration),
    /// When a transaction waits, at the latest this long after the block before.
    Instant(Duration),
}

/// Pause before a commit that the disk refused is tried again; it doubles up to [`LAST_RETRY`].
const FIRST_RETRY: Duration = Duration::from_millis(100);
/// Longest pause between two tries.
const LAST_RETRY: Duration = Duration::from_secs(5);

/// A block that was made and is to be committed. It is signed: another one at its height must not be.
struct Certified {
    block: Block,
    certificate: Bytes,
}

/// The engine of one validator.
pub struct Solo<C> {
    machine: Arc<dyn StateMachine>,
    pool: Arc<dyn Pool>,
    certify: Arc<dyn Certify>,
    clock: C,
    pace: Pace,
    max_block_bytes: usize,
}

impl<C: Clock> Solo<C> {
    /// An engine that fills blocks with up to `max_block_bytes` of transactions.
    pub fn new(
        machine: Arc<dyn StateMachine>,
        pool: Arc<dyn Pool>,
        certify: Arc<dyn Certify>,
        clock: C,
        pace: Pace,
        max_block_bytes: usize,
    ) -> Self {
        Self {
            machine,
            pool,
            certify,
            clock,
            pace,
            max_block_bytes,
        }
    }

    /// Makes one block on the tip and commits it. Its time is the clock's, or one millisecond after the parent's if that is later.
    pub fn step(&self) -> Result<Committed, EngineError> {
        self.commit(&self.make()?)
    }

    fn make(&self) -> Result<Certified, EngineError> {
        let tip = self.machine.tip();
        let height = tip.height.0.saturating_add(1);
        let slot = Slot {
            height: Height(height),
            time_ms: self.clock.now_ms().max(tip.time_ms.saturating_add(1)),
            max_bytes: self.max_block_bytes,
        };
        let make = || {
            let mut txs = self.pool.source();
            let block = self.machine.build(&tip.block_id, slot, txs.as_mut())?;
            let certificate = self.certify.certify(&block)?;
            Ok(Certified { block, certificate })
        };
        make().map_err(|source| EngineError::Machine { height, source })
    }

    fn commit(&self, certified: &Certified) -> Result<Committed, EngineError> {
        let Certified { block, certificate } = certified;
        let committed = self.machine.commit(&block.id, certificate);
        committed.map_err(|source| EngineError::Machine {
            height: block.height.0,
            source,
        })
    }

    /// Runs `work` where it may block.
    async fn blocking<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Self) -> Result<T, EngineError> + Send + 'static,
    ) -> Result<T, EngineError> {
        let own = self.clone();
        let height = self.machine.tip().height.0.saturating_add(1);
        let done = tokio::task::spawn_blocking(move || work(&own)).await;
        done.map_err(|_| EngineError::Panicked { height })?
    }

    /// Commits until the disk takes it; false when `stop` came first. Tells once that it does not, and once that it does again.
    async fn persist(
        self: &Arc<Self>,
        certified: &Arc<Certified>,
        stop: &CancellationToken,
    ) -> Result<bool, EngineError> {
        let mut pause = FIRST_RETRY;
        loop {
            let block = certified.clone();
            match self.blocking(move |engine| engine.commit(&block)).await {
                Ok(committed) => {
                    if pause > FIRST_RETRY {
                        tracing::info!(height = committed.height.0, "the disk takes blocks again");
                    }
                    return Ok(true);
                }
                Err(error) if error.is_unwritable() && pause == FIRST_RETRY => {
                    let error = portico_protocol::causes(&error);
                    tracing::error!(
                        error,
                        "no block is made until the disk takes this one; queries go on"
                    );
                }
                Err(error) if error.is_unwritable() => {}
                Err(error) => return Err(error),
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(false),
                () = sleep(pause) => pause = pause.saturating_mul(2).min(LAST_RETRY),
            }
        }
    }

    /// Waits for the time of the next block, counted from `last`.
    async fn due(&self, last: Instant, waiting: &mut watch::Receiver<usize>) {
        match self.pace {
            Pace::Interval(interval) => sleep_until(last + interval).await,
            Pace::Instant(heartbeat) => tokio::select! {
                () = sleep_until(last + heartbeat) => {}
                changed = waiting.wait_for(|count| *count > 0) => drop(changed),
            },
        }
    }
}

#[async_trait]
impl<C: Clock> Engine for Solo<C> {
    async fn run(self: Box<Self>, stop: CancellationToken) -> Result<(), EngineError> {
        let engine: Arc<Self> = Arc::from(self);
        let mut waiting = engine.pool.waiting();
        loop {
            let began = Instant::now();
            let certified = Arc::new(engine.blocking(Self::make).await?);
            if !engine.persist(&certified, &stop).await? {
                return Ok(());
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                () = engine.due(began, &mut waiting) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests;
