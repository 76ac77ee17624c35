//! Several nodes of one chain: the one that is asked, and the others for when it fails or falls behind.
//!
//! ```text
//! each node ─ its height, when it tells a block or every poll_interval ─► report ─► chosen: kept while it answers and lags at most MAX_LAG_BLOCKS
//! a call    ─ chosen, then the others, newest first ─► the first answer that is no failure of the way
//! ```

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use portico_protocol::Height;
use tokio::sync::watch;
use tonic::transport::Channel;

use super::rpc::Rpc;
use super::subscription::{self, Bell};
use crate::{BlockHead, ChainError};

/// Blocks by which the chosen node may be behind the newest one known, before another is chosen.
const MAX_LAG_BLOCKS: i64 = 2;
/// Time in milliseconds by which the chosen node's newest block may be older than the newest one known, before another is chosen.
const MAX_LAG_MS: u64 = 5 * 60 * 1000;
/// Longest wait between two looks at a node that does not answer.
const MAX_BACKOFF: Duration = Duration::from_secs(5);
/// Shortest wait between two looks at a node that tells its blocks and is quiet.
const QUIET: Duration = Duration::from_secs(5);
/// Shortest wait between two looks at any node: one that tells blocks without end is not asked without end.
const MIN_PAUSE: Duration = Duration::from_millis(10);

/// Both ends of one node.
#[derive(Clone)]
pub(super) struct Node {
    pub(super) rpc: Rpc,
    pub(super) grpc: Channel,
    pub(super) timeout: Duration,
}

/// The nodes, and what is known of them.
pub(super) struct Nodes {
    all: Vec<Node>,
    chain_id: String,
    known: Mutex<Known>,
    tell: watch::Sender<BlockHead>,
}

struct Known {
    /// Newest block of each; `None` while it does not answer, or answers for another chain.
    heads: Vec<Option<BlockHead>>,
    /// The node that is asked first.
    chosen: usize,
}

impl Known {
    fn head(&self, index: usize) -> Option<&BlockHead> {
        self.heads.get(index)?.as_ref()
    }

    fn height(&self, index: usize) -> Option<Height> {
        self.head(index).map(|head| head.height)
    }

    /// The newest node that is not in `but`; the first of equals.
    fn newest(&self, but: &BTreeSet<usize>) -> Option<usize> {
        let others = (0..self.heads.len()).filter(|index| !but.contains(index));
        others.rev().max_by_key(|index| self.height(*index))
    }

    /// Leaves the chosen node when it is silent or stale.
    fn choose(&mut self) {
        let Some(newest) = self.newest(&BTreeSet::new()) else {
            return;
        };
        let Some(best) = self.head(newest) else {
            return; // nobody answers
        };
        if self.head(self.chosen).is_none_or(|chosen| stale(chosen, best)) {
            tracing::info!(
                node = newest,
                before = self.chosen,
                "another node of the chain is asked"
            );
            self.chosen = newest;
        }
    }
}

/// Whether a node with the block `head` is too far behind one with `best`, by height or, where blocks are rare, by their times.
fn stale(head: &BlockHead, best: &BlockHead) -> bool {
    let blocks = best.height.0.saturating_sub(head.height.0);
    blocks > MAX_LAG_BLOCKS || (blocks > 0 && best.time_ms.saturating_sub(head.time_ms) > MAX_LAG_MS)
}

impl Nodes {
    /// Nodes of the chain `chain_id`; `heads` are what each said first.
    pub(super) fn new(
        all: Vec<Node>,
        chain_id: String,
        heads: Vec<Option<BlockHead>>,
    ) -> (Arc<Self>, watch::Receiver<BlockHead>) {
        let mut known = Known { heads, chosen: 0 };
        known.choose();
        let first = known.heads.get(known.chosen).cloned().flatten();
        let (tell, head) = watch::channel(first.unwrap_or_default());
        let nodes = Self {
            all,
            chain_id,
            known: Mutex::new(known),
            tell,
        };
        (Arc::new(nodes), head)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes down what node `index` says, chooses anew, and tells the chosen one's head if it is news.
    fn report(&self, index: usize, head: Option<BlockHead>) {
        let mut known = self.known();
        if let Some(slot) = known.heads.get_mut(index) {
            *slot = head;
        }
        known.choose();
        let Some(Some(head)) = known.heads.get(known.chosen).cloned() else {
            return;
        };
        let only = self.all.len() == 1; // follows even an operator's rollback
        self.tell.send_if_modified(|told| {
            let news = head.height > told.height || (only && head != *told);
            if news {
                *told = head;
            }
            news
        });
    }

    fn next(&self, tried: &BTreeSet<usize>) -> Option<usize> {
        let known = self.known();
        match tried.contains(&known.chosen) {
            false => Some(known.chosen),
            true => known.newest(tried),
        }
    }

    /// Asks the chosen node, then each other one while the answer is a failure of the way or `elsewhere` says that another may know.
    pub(super) async fn ask<T, F>(
        &self,
        elsewhere: impl Fn(&ChainError) -> bool,
        call: impl Fn(Node) -> F,
    ) -> Result<T, ChainError>
    where
        F: Future<Output = Result<T, ChainError>>,
    {
        let mut tried = BTreeSet::new();
        let mut first = None;
        while let Some(index) = self.next(&tried) {
            tried.insert(index);
            let Some(node) = self.all.get(index).cloned() else {
                break;
            };
            match call(node).await {
                Err(error @ ChainError::Unavailable(_)) => {
                    if self.all.len() > 1 {
                        self.report(index, None); // its own follower brings it back
                    }
                    first.get_or_insert(error);
                }
                Err(error) if elsewhere(&error) => {
                    first.get_or_insert(error);
                }
                answer => return answer,
            }
        }
        Err(first.unwrap_or_else(|| ChainError::Unavailable("no node is configured".to_owned())))
    }

    /// Looks at node `index` whenever it tells a block, and again and again; waits longer while it does not answer.
    pub(super) async fn follow(self: Arc<Self>, index: usize, interval: Duration) {
        let Some(node) = self.all.get(index) else {
            return;
        };
        let bell = Bell::default();
        tokio::select! {
            () = subscription::listen(node.rpc.url(), node.rpc.tls(), &bell) => {}
            () = self.poll(index, node, interval, &bell) => {}
        }
    }

    async fn poll(&self, index: usize, node: &Node, interval: Duration, bell: &Bell) {
        let mut wait = interval;
        loop {
            let pause = if bell.is_open() { wait.max(QUIET) } else { wait };
            tokio::select! {
                () = bell.heard() => {}
                () = tokio::time::sleep(pause) => {}
            }
            match node.rpc.status().await {
                Ok(status) if status.chain_id == self.chain_id => {
                    wait = interval;
                    self.report(index, Some(status.head));
                }
                answer => {
                    let reason = match answer {
                        Ok(status) => format!("it is a node of chain {}", status.chain_id),
                        Err(error) => error.to_string(),
                    };
                    tracing::warn!(node = index, reason, "the chain's newest block cannot be read");
                    wait = wait.saturating_mul(2).min(MAX_BACKOFF);
                    self.report(index, None);
                }
            }
            tokio::time::sleep(MIN_PAUSE).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use portico_protocol::Height;

    use super::{BlockHead, Known, MAX_LAG_MS};

    fn known(heights: &[Option<i64>], chosen: usize) -> Known {
        let head = |height: &Option<i64>| {
            height.map(|height| BlockHead {
                height: Height(height),
                ..BlockHead::default()
            })
        };
        Known {
            heads: heights.iter().map(head).collect(),
            chosen,
        }
    }

    fn chosen(heights: &[Option<i64>], before: usize) -> usize {
        let mut known = known(heights, before);
        known.choose();
        known.chosen
    }

    #[test]
    fn a_node_is_kept_while_it_is_at_most_two_blocks_behind() {
        assert_eq!(chosen(&[Some(8), Some(10)], 0), 0);
        assert_eq!(chosen(&[Some(7), Some(10)], 0), 1);
        assert_eq!(chosen(&[Some(10), Some(10)], 1), 1, "no way back without need");
    }

    #[test]
    fn a_node_whose_newest_block_is_far_older_than_anothers_is_left() {
        let chosen = |heights: [i64; 2], age_ms: u64| {
            let mut known = known(&heights.map(Some), 0);
            if let Some(Some(head)) = known.heads.get_mut(1) {
                head.time_ms = age_ms;
            }
            known.choose();
            known.chosen
        };
        assert_eq!(chosen([9, 10], MAX_LAG_MS), 0);
        assert_eq!(chosen([9, 10], MAX_LAG_MS + 1), 1);
        assert_eq!(chosen([10, 10], MAX_LAG_MS + 1), 0, "no newer block");
    }

    #[test]
    fn a_silent_node_is_left_for_any_that_answers() {
        assert_eq!(chosen(&[None, Some(3)], 0), 1);
        assert_eq!(chosen(&[None, None], 0), 0);
    }

    #[test]
    fn the_others_are_tried_newest_first() {
        let known = known(&[Some(9), None, Some(10), Some(10)], 0);
        let next = |but: &[usize]| known.newest(&but.iter().copied().collect::<BTreeSet<_>>());
        assert_eq!(next(&[0]), Some(2));
        assert_eq!(next(&[0, 2]), Some(3));
        assert_eq!(next(&[0, 2, 3]), Some(1));
        assert_eq!(next(&[0, 1, 2, 3]), None);
    }
}
