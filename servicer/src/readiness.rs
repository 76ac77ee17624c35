//! How far the work of blocks is, and the readiness that follows from it.

use std::time::Duration;

use portico_protocol::Height;
use serde::Serialize;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::lifecycle::plan::ALARM_BLOCKS;

/// Time without a processed block after which the servicer is not ready.
const MAX_BLOCK_AGE: Duration = Duration::from_secs(120);
/// Share of the leaf writer's queue above which the servicer is not ready.
const MAX_WRITER_FILL: f64 = 0.9;

/// Answer of `/ready`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Readiness {
    /// Whether relays should be sent here.
    pub ready: bool,
    /// Why not; empty when ready.
    pub reasons: Vec<String>,
    /// What costs money, or will, without keeping relays away.
    pub warnings: Vec<String>,
    /// Newest block that was taken into account.
    pub block_height: i64,
    /// Seconds since then.
    pub block_age_s: u64,
}

/// What is observed from outside of the parts.
pub(crate) struct Observed {
    /// Why the chain was not reached yet.
    pub(crate) unreached: Option<String>,
    /// Why leaves cannot be written.
    pub(crate) unrecordable: Option<String>,
    pub(crate) writer_fill: f64,
    pub(crate) unsealed_overdue: bool,
    /// Claims and proofs that are not on chain although their windows are about to close.
    pub(crate) near_deadlines: usize,
    /// Services without a healthy node, in words.
    pub(crate) outages: Vec<String>,
    /// No supplier can earn.
    pub(crate) nobody_earns: bool,
    /// What is wrong with suppliers, in words.
    pub(crate) warnings: Vec<String>,
}

/// How far the work of blocks is.
#[derive(Debug)]
pub(crate) struct Progress {
    last: watch::Sender<Option<Height>>,
    /// Newest block that was planned for, and when: some of its work may still wait for an answer.
    planned: watch::Sender<Option<(Height, Instant)>>,
}

impl Default for Progress {
    fn default() -> Self {
        Self {
            last: watch::Sender::new(None),
            planned: watch::Sender::new(None),
        }
    }
}

impl Progress {
    /// All work of the block at `height` is done.
    pub(crate) fn block(&self, height: Height) {
        self.last.send_replace(Some(height));
    }

    /// The block at `height` is the newest; its work begins.
    pub(crate) fn planned(&self, height: Height) {
        self.planned.send_replace(Some((height, Instant::now())));
    }

    /// Newest block that was planned for; 0 before the first.
    pub(crate) fn planned_height(&self) -> Height {
        self.planned.borrow().map_or(Height(0), |(height, _)| height)
    }

    /// Newest block whose work is done; 0 before the first.
    pub(crate) fn height(&self) -> Height {
        self.last.borrow().unwrap_or_default()
    }

    /// Waits until the block at `height` or a later one was taken into account.
    pub(crate) async fn wait_for(&self, height: Height) {
        let mut last = self.last.subscribe();
        // The sender lives in `self`: waiting cannot end before the height comes.
        let _ = last.wait_for(|last| last.is_some_and(|at| at >= height)).await;
    }

    /// Whether relays should come.
    pub(crate) fn readiness(&self, observed: &Observed) -> Readiness {
        let last = *self.planned.borrow();
        let age = last.map_or(Duration::ZERO, |(_, at)| at.elapsed());
        let mut reasons = Vec::new();
        let mut unless = |holds: bool, reason: &str| {
            if !holds {
                reasons.push(reason.to_owned());
            }
        };
        match &observed.unreached {
            Some(reason) => unless(false, &format!("the chain is unreachable: {reason}")),
            None => unless(last.is_some(), "no block was seen yet"),
        }
        unless(age <= MAX_BLOCK_AGE, "no block for too long");
        if let Some(why) = &observed.unrecordable {
            unless(false, &format!("leaves cannot be written: {why}"));
        }
        unless(
            observed.writer_fill <= MAX_WRITER_FILL,
            "the leaf writer is behind",
        );
        unless(
            !observed.unsealed_overdue,
            "a session is not sealed although its claim window closed",
        );
        unless(!observed.nobody_earns, "no supplier can earn: see warnings");
        let (count, blocks) = (observed.near_deadlines, ALARM_BLOCKS);
        let late = match count {
            1 => "1 claim or proof is not on chain, and its window closes".to_owned(),
            _ => format!("{count} claims and proofs are not on chain, and their windows close"),
        };
        unless(count == 0, &format!("{late} within {blocks} blocks"));
        reasons.extend(observed.outages.iter().cloned());
        Readiness {
            ready: reasons.is_empty(),
            reasons,
            warnings: observed.warnings.clone(),
            block_height: last.map_or(0, |(height, _)| height.0),
            block_age_s: age.as_secs(),
        }
    }
}
