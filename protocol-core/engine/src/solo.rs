//! One validator, no network: blocks at an interval, or as soon as a transaction waits.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use portico_protocol::Height;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
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
        let tip = self.machine.tip();
        let height = tip.height.0.saturating_add(1);
        let slot = Slot {
            height: Height(height),
            time_ms: self.clock.now_ms().max(tip.time_ms.saturating_add(1)),
            max_bytes: self.max_block_bytes,
        };
        let make = || {
            let block = self
                .machine
                .build(&tip.block_id, slot, self.pool.source().as_mut())?;
            let certificate = self.certify.certify(&block)?;
            self.machine.commit(&block.id, &certificate)
        };
        make().map_err(|source| EngineError::Machine { height, source })
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
            let own = engine.clone();
            let height = engine.machine.tip().height.0.saturating_add(1);
            let made = tokio::task::spawn_blocking(move || own.step());
            made.await.map_err(|_| EngineError::Panicked { height })??;
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
