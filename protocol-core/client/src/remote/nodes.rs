//! Several nodes of one chain: the one that is asked, and the others for when it fails or falls behind.
//!
//! ```text
//! each node ─ its height, when it tells a block or every poll_interval ─► report ─► chosen: kept while it answers and lags at most MAX_LAG_BLOCKS
//! a call    ─ chosen, then the others, newest first ─► the first answer that is no failure of the way
//! ```
//! The next one is asked when one fails, when it is no longer the chosen one, and when it is slow. A transaction is handed to all of them at once:
//! one that takes it and dies has told nobody.

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use portico_net::tls::ClientTls;
use portico_protocol::Height;
use tokio::sync::watch;

use super::PARAMS;
use super::subscription::{self, Bell};
use crate::{BlockHead, BroadcastResult, ChainError, ChainStatus, Transport};

/// Blocks by which the chosen node may be behind the newest one known, before another is chosen.
const MAX_LAG_BLOCKS: i64 = 2;
/// Time in milliseconds by which the chosen node's newest block may be older than the newest one known, before another is chosen.
const MAX_LAG_MS: u64 = 5 * 60 * 1000;
/// Blocks by which a node may be ahead of all others that answer, whatever their times are.
const MAX_LEAD_BLOCKS: i64 = 10;
/// Time in milliseconds that each block took of a lead beyond that, at least.
const MIN_BLOCK_MS: u64 = 100;
/// Longest wait between two looks at a node that does not answer.
const MAX_BACKOFF: Duration = Duration::from_secs(5);
/// Shortest wait between two looks at a node that tells its blocks and is quiet.
const QUIET: Duration = Duration::from_secs(5);
/// Looks at a node in progress at a time.
const MAX_LOOKS: usize = 4;
/// Shortest wait between two looks at any node: one that tells blocks without end is not asked without end.
const MIN_PAUSE: Duration = Duration::from_millis(10);
/// Time that other nodes have to answer when one is of another chain, before that is an error.
const OTHERS: Duration = Duration::from_secs(5);

/// Time that other nodes have to take a transaction that one has taken.
const LINGER: Duration = Duration::from_millis(500);

/// How a node says that it has a new block.
pub(super) enum Told {
    /// Over the WebSocket beside its RPC.
    BySocket(ClientTls),
    /// By its head.
    ByHead(watch::Receiver<BlockHead>),
}

/// One of the nodes.
pub(super) struct Member {
    pub(super) node: Arc<dyn Transport>,
    pub(super) told: Told,
    /// Where its RPC is.
    pub(super) url: String,
    /// Time between two looks at it, where it does not tell its blocks.
    pub(super) interval: Duration,
}

/// The nodes, and what is known of them.
pub(super) struct Nodes {
    all: Vec<Member>,
    /// What the chain is called: known beforehand, or from the first answer on.
    chain_id: OnceLock<String>,
    known: Mutex<Known>,
    tell: watch::Sender<BlockHead>,
    /// The node that is asked first.
    chosen: watch::Sender<usize>,
    first: watch::Sender<First>,
}

/// What became of the wait for the first answer.
enum First {
    /// No node was looked at yet.
    Looking,
    /// None answered, and why.
    Silent(String),
    /// One answered that is of another chain.
    Foreign(ChainError),
    /// One answered at both ends.
    Answered,
}

impl First {
    /// Why nobody can be asked.
    fn unreached(&self) -> Option<String> {
        match self {
            Self::Looking => Some("no node was asked yet".to_owned()),
            Self::Silent(reason) => Some(reason.clone()),
            Self::Foreign(_) => Some("the node is of another chain".to_owned()),
            Self::Answered => None,
        }
    }
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

    /// Whether node `index` may be where it says: far ahead of all others that answer it can only be with a block that is newer by as much.
    fn is_plausible(&self, index: usize, head: &BlockHead) -> bool {
        let others = (0..self.heads.len()).filter(|other| *other != index);
        let best = others
            .filter_map(|other| self.head(other))
            .max_by_key(|head| head.height);
        let Some(best) = best else { return true };
        let lead = head.height.0.saturating_sub(best.height.0);
        let took = head.time_ms.saturating_sub(best.time_ms);
        let least = u64::try_from(lead).unwrap_or(0).saturating_mul(MIN_BLOCK_MS);
        lead <= MAX_LEAD_BLOCKS || took >= least
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
    /// Nodes of the chain `chain_id`, if that is known; `heads` are what each said first.
    pub(super) fn new(
        all: Vec<Member>,
        chain_id: Option<String>,
        heads: Vec<Option<BlockHead>>,
    ) -> (Arc<Self>, watch::Receiver<BlockHead>) {
        let mut known = Known { heads, chosen: 0 };
        known.choose();
        let answered = known.heads.iter().any(Option::is_some);
        let first = known.heads.get(known.chosen).cloned().flatten();
        let (tell, head) = watch::channel(first.unwrap_or_default());
        let first = if answered { First::Answered } else { First::Looking };
        let nodes = Self {
            all,
            chain_id: chain_id.map_or_else(OnceLock::new, OnceLock::from),
            chosen: watch::Sender::new(known.chosen),
            known: Mutex::new(known),
            tell,
            first: watch::Sender::new(first),
        };
        (Arc::new(nodes), head)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes down what node `index` says, chooses anew, and tells the chosen one's head if it is news.
    fn report(&self, index: usize, head: Option<BlockHead>) {
        let mut known = self.known();
        let head = head.filter(|head| {
            let is_plausible = known.is_plausible(index, head);
            if !is_plausible {
                let height = head.height.0;
                tracing::warn!(
                    node = index,
                    height,
                    "a node says a height that no other is near: it is not asked"
                );
            }
            is_plausible
        });
        if let Some(slot) = known.heads.get_mut(index) {
            *slot = head;
        }
        known.choose();
        let chosen = known.chosen;
        self.chosen
            .send_if_modified(|told| std::mem::replace(told, chosen) != chosen);
        let Some(Some(head)) = known.heads.get(chosen).cloned() else {
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

    /// What node `index` says of itself, if it is of the chain; before the first answer its gRPC must answer too.
    async fn look(&self, member: &Member) -> Result<ChainStatus, ChainError> {
        let status = member.node.status().await?;
        let wanted = self.chain_id.get_or_init(|| status.chain_id.clone());
        if status.chain_id != *wanted {
            return Err(ChainError::Foreign {
                wanted: wanted.clone(),
                found: status.chain_id,
                url: member.url.clone(),
            });
        }
        if self.unreached().is_some() {
            let asked = member.node.query(PARAMS, Bytes::new()).await;
            asked.map_err(|error| match error {
                ChainError::Unavailable(text) => ChainError::Unavailable(format!("its gRPC: {text}")),
                error => ChainError::Unavailable(format!("its gRPC: {error}")),
            })?;
        }
        Ok(status)
    }

    /// A look before the first answer ended so.
    fn came(&self, outcome: First) {
        self.first.send_if_modified(|first| {
            let is_news = !matches!(first, First::Answered);
            if is_news {
                *first = outcome;
            }
            is_news
        });
    }

    /// Why no node has answered yet.
    pub(super) fn unreached(&self) -> Option<String> {
        self.first.borrow().unreached()
    }

    /// As [`Self::unreached`], once one was looked at: who asks right at the start is not told that nobody answers.
    async fn looked(&self) -> Option<String> {
        if matches!(*self.first.borrow(), First::Answered) {
            return None;
        }
        let mut first = self.first.subscribe();
        // The sender lives in `self`.
        match first.wait_for(|first| !matches!(first, First::Looking)).await {
            Ok(first) => first.unreached(),
            Err(_) => self.unreached(),
        }
    }

    /// Waits for the first answer; errs when it is another chain's, and no other node answers soon.
    pub(super) async fn reached(&self) -> Result<(), ChainError> {
        let mut first = self.first.subscribe();
        let answered = async |first: &mut watch::Receiver<First>| {
            let _ = first.wait_for(|first| matches!(first, First::Answered)).await;
        };
        loop {
            let came = |first: &First| matches!(first, First::Answered | First::Foreign(_));
            let foreign = match first.wait_for(came).await.as_deref() {
                Ok(First::Foreign(error)) => error.clone(),
                _ => return Ok(()),
            };
            let alone = self.all.len() == 1;
            if alone || tokio::time::timeout(OTHERS, answered(&mut first)).await.is_err() {
                return Err(foreign);
            }
        }
    }

    fn next(&self, tried: &BTreeSet<usize>) -> Option<usize> {
        let known = self.known();
        match tried.contains(&known.chosen) {
            false => Some(known.chosen),
            true => known.newest(tried),
        }
    }

    /// Asks the chosen node, then each other one while the answer is a failure of the way or `elsewhere` says that another may know; also when
    /// another was chosen meanwhile, or `patience` is over. Who was asked before may still answer first.
    pub(super) async fn ask<T, F>(
        &self,
        patience: Option<Duration>,
        elsewhere: impl Fn(&ChainError) -> bool,
        call: impl Fn(Arc<dyn Transport>) -> F,
    ) -> Result<T, ChainError>
    where
        F: Future<Output = Result<T, ChainError>>,
    {
        if let Some(reason) = self.looked().await {
            return Err(ChainError::Unavailable(reason));
        }
        let mut tried = BTreeSet::new();
        let mut first = None;
        let mut asked = FuturesUnordered::new();
        loop {
            let next = self.next(&tried);
            if let Some((index, member)) = next.and_then(|index| Some((index, self.all.get(index)?))) {
                tried.insert(index);
                let answer = call(Arc::clone(&member.node));
                asked.push(async move { (index, answer.await) });
            } else if asked.is_empty() {
                break;
            }
            let answer = tokio::select! {
                biased;
                answer = asked.next() => answer,
                () = self.is_slow(&tried, patience) => continue,
            };
            match answer {
                Some((index, Err(error @ ChainError::Unavailable(_)))) => {
                    if self.all.len() > 1 {
                        self.report(index, None); // its own follower brings it back
                    }
                    first.get_or_insert(error);
                }
                Some((_, Err(error))) if elsewhere(&error) => _ = first.get_or_insert(error),
                Some((_, answer)) => return answer,
                None => {}
            }
        }
        Err(first.unwrap_or_else(|| ChainError::Unavailable("no node is configured".to_owned())))
    }

    /// Waits until a node that was not tried is to be asked beside those that were.
    async fn is_slow(&self, tried: &BTreeSet<usize>, patience: Option<Duration>) {
        let Some(patience) = patience.filter(|_| tried.len() < self.all.len()) else {
            return std::future::pending().await;
        };
        let mut chosen = self.chosen.subscribe();
        tokio::select! {
            _ = chosen.wait_for(|index| !tried.contains(index)) => {}
            () = tokio::time::sleep(patience) => {}
        }
    }

    /// Hands a transaction to all nodes that answer, the chosen one first among equals. It is taken when one takes it; the others have a moment
    /// more.
    pub(super) async fn hand_over<F>(
        &self,
        call: impl Fn(Arc<dyn Transport>) -> F,
    ) -> Result<BroadcastResult, ChainError>
    where
        F: Future<Output = Result<BroadcastResult, ChainError>>,
    {
        if let Some(reason) = self.looked().await {
            return Err(ChainError::Unavailable(reason));
        }
        let (chosen, silent): (usize, BTreeSet<usize>) = {
            let known = self.known();
            let is_silent = |index: &usize| known.height(*index).is_none();
            (known.chosen, (0..self.all.len()).filter(is_silent).collect())
        };
        // Where all are silent, one may have come back.
        let is_asked = |index: usize| !silent.contains(&index) || silent.len() == self.all.len();
        let members = self.all.iter().enumerate();
        let mut asked: FuturesUnordered<_> = members
            .filter(|(index, _)| is_asked(*index))
            .map(|(index, member)| {
                let answer = call(Arc::clone(&member.node));
                async move { (index, answer.await) }
            })
            .collect();
        let mut refused = None;
        let mut failed = None;
        while let Some((index, answer)) = asked.next().await {
            match answer {
                Ok(result) if result.is_taken() => {
                    let others = async { while asked.next().await.is_some() {} };
                    let _ = tokio::time::timeout(LINGER, others).await;
                    return Ok(result);
                }
                Ok(result) if index == chosen || refused.is_none() => refused = Some(result),
                Ok(_) => {}
                Err(error) => {
                    if self.all.len() > 1 && matches!(error, ChainError::Unavailable(_)) {
                        self.report(index, None);
                    }
                    failed.get_or_insert(error);
                }
            }
        }
        match (refused, failed) {
            (Some(result), _) => Ok(result),
            (None, Some(error)) => Err(error),
            (None, None) => Err(ChainError::Unavailable("no node is configured".to_owned())),
        }
    }

    /// Looks at node `index` whenever it tells a block, and again and again; waits longer while it does not answer.
    pub(super) async fn follow(self: Arc<Self>, index: usize) {
        let Some(member) = self.all.get(index) else {
            return;
        };
        let bell = Bell::default();
        let listening = async {
            match &member.told {
                Told::BySocket(tls) => subscription::listen(&member.url, tls, &bell).await,
                Told::ByHead(head) => bell.follow(head.clone()).await,
            }
        };
        tokio::select! {
            () = listening => {}
            () = self.poll(index, member, &bell) => {}
        }
    }

    /// Looks may overlap: where an answer takes as long as a block, waiting for it would leave every other block out.
    async fn poll(&self, index: usize, member: &Member, bell: &Bell) {
        let mut wait = member.interval;
        let mut looks = FuturesUnordered::new();
        let (mut begun, mut heard) = (0_u64, 0_u64);
        loop {
            let is_first = begun == 0;
            let pause = match bell.is_open() {
                _ if is_first => Duration::ZERO,
                true => wait.max(QUIET),
                false => wait,
            };
            let answer = tokio::select! {
                biased;
                Some(answer) = looks.next() => Some(answer),
                () = bell.heard(), if looks.len() < MAX_LOOKS => None,
                () = tokio::time::sleep(pause), if looks.is_empty() => None,
            };
            let Some((number, answer)) = answer else {
                begun = begun.saturating_add(1);
                let number = begun;
                looks.push(async move { (number, self.look(member).await) });
                tokio::time::sleep(MIN_PAUSE).await;
                continue;
            };
            if number < heard {
                continue; // one that began later was answered before
            }
            heard = number;
            match answer {
                Ok(status) => {
                    wait = member.interval;
                    self.report(index, Some(status.head));
                    self.came(First::Answered);
                }
                Err(error) => {
                    tracing::warn!(node = index, %error, "the chain's newest block cannot be read");
                    wait = wait.saturating_mul(2).min(MAX_BACKOFF);
                    self.report(index, None);
                    // Where it is may be a secret: addresses of providers hold keys.
                    let without_address = |text: &str| match member.url.as_str() {
                        "" => text.to_owned(),
                        url => text.replace(url, "its RPC"),
                    };
                    self.came(match error {
                        ChainError::Foreign { .. } => First::Foreign(error),
                        ChainError::Unavailable(text) => First::Silent(without_address(&text)),
                        error => First::Silent(without_address(&error.to_string())),
                    });
                }
            }
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
    fn a_height_far_ahead_of_all_others_is_believed_only_with_a_block_as_new() {
        let mut known = known(&[Some(100), None, Some(90)], 0);
        let is_plausible = |height: i64, time_ms: u64| {
            let head = BlockHead {
                height: Height(height),
                time_ms,
                ..BlockHead::default()
            };
            known.is_plausible(1, &head)
        };
        assert!(is_plausible(110, 0), "ten ahead");
        assert!(!is_plausible(111, 0));
        assert!(!is_plausible(111, 1_099));
        assert!(is_plausible(111, 1_100), "the others stand still");
        assert!(is_plausible(3, 0), "behind");
        known.heads = vec![None; 3];
        let alone = BlockHead {
            height: Height(1_000_000),
            ..BlockHead::default()
        };
        assert!(known.is_plausible(1, &alone));
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
