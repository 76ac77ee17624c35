//! The nodes for an RPC type of a service: which is asked next, and what becomes of what it did.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use portico_config::servicer::HealthConfig;
use tokio::time::Instant;

use super::metrics::{BackendMetrics, Labels};
use super::node::HttpNode;
use super::node_state::{Change, Event, NodeState, Out, Rules};

/// The nodes.
#[derive(Debug)]
pub(super) struct Pool {
    pub(super) nodes: Vec<Node>,
    pub(super) health: HealthConfig,
    rules: Rules,
    shares: Mutex<Vec<Share>>,
    metrics: BackendMetrics,
}

/// A node and its share of the relays.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) labels: Labels,
    pub(super) weight: u32,
    pub(super) http: Arc<HttpNode>,
}

/// What of a node changes.
#[derive(Clone, Debug)]
pub(super) struct Share {
    pub(super) state: NodeState,
    pub(super) weight: u32,
    /// Credit of smooth weighted round robin.
    credit: i64,
}

/// Nodes that a relay was sent to, by index.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tried(u32);

impl Tried {
    const fn has(self, index: usize) -> bool {
        self.0 & (1 << index) != 0
    }

    const fn add(&mut self, index: usize) {
        self.0 |= 1 << index;
    }
}

/// A relay at a node. What came of it is to be said once; when it is dropped before, nothing is held against the node.
#[derive(Debug)]
pub(super) struct Asked {
    pool: Arc<Pool>,
    index: usize,
    told: bool,
}

/// The node that is next, by smooth weighted round robin over those that may be asked; those of weight 0 only when there is no other.
pub(super) fn pick(shares: &mut [Share], tried: Tried, now: Instant) -> Option<usize> {
    let may = |index: usize, share: &Share| !tried.has(index) && share.state.out(now).is_none();
    let weighted = |share: &Share| share.weight > 0;
    let candidates = |shares: &[Share], with_weight: bool| {
        let indexed = shares.iter().enumerate();
        indexed
            .filter(|(index, share)| may(*index, share) && weighted(share) == with_weight)
            .map(|(index, _)| index)
            .collect::<Vec<_>>()
    };
    let mut indices = candidates(shares, true);
    if indices.is_empty() {
        indices = candidates(shares, false);
    }
    let mut total = 0;
    for &index in &indices {
        let weight = i64::from(shares[index].weight.max(1));
        shares[index].credit += weight;
        total += weight;
    }
    // Of equal credits the first of the list.
    let next = indices
        .into_iter()
        .max_by_key(|&index| (shares[index].credit, std::cmp::Reverse(index)))?;
    shares[next].credit -= total;
    shares[next].state.asked();
    Some(next)
}

impl Pool {
    pub(super) fn new(nodes: Vec<Node>, health: HealthConfig, rules: Rules, metrics: BackendMetrics) -> Self {
        let share = |node: &Node| {
            metrics.usable(&node.labels, NodeState::new(&rules).out(Instant::now()).is_none());
            Share {
                state: NodeState::new(&rules),
                weight: node.weight,
                credit: 0,
            }
        };
        Self {
            shares: Mutex::new(nodes.iter().map(share).collect()),
            nodes,
            health,
            rules,
            metrics,
        }
    }

    /// The next node for a relay that was at those in `tried`, which is added to them.
    pub(super) fn ask(self: &Arc<Self>, tried: &mut Tried) -> Option<Asked> {
        let index = pick(&mut self.shares(), *tried, Instant::now())?;
        tried.add(index);
        Some(Asked {
            pool: Arc::clone(self),
            index,
            told: false,
        })
    }

    /// Whether there is a node to ask beside those in `tried`.
    pub(super) fn has_another(&self, tried: Tried) -> bool {
        let (now, shares) = (Instant::now(), self.shares());
        let mut indexed = shares.iter().enumerate();
        indexed.any(|(index, share)| !tried.has(index) && share.state.out(now).is_none())
    }

    /// Whether no node may be asked.
    pub(super) fn is_out(&self) -> bool {
        !self.has_another(Tried::default())
    }

    /// Each node with why it may not be asked; `None` where it may.
    pub(super) fn standing(&self) -> Vec<(&Labels, Option<Out>)> {
        let (now, shares) = (Instant::now(), self.shares());
        let standing = |(node, share): (_, &Share)| (node, share.state.out(now));
        let labels = self.nodes.iter().map(|node| &node.labels);
        labels.zip(shares.iter()).map(standing).collect()
    }

    /// Something happened to the node at `index`.
    pub(super) fn on(&self, index: usize, event: Event) {
        let change = self.shares()[index].state.on(event, Instant::now(), &self.rules);
        let node = &self.nodes[index].labels;
        match change {
            Some(Change::Left(reason)) => {
                self.metrics.left(node, reason.name());
                self.metrics.usable(node, false);
                tracing::warn!(
                    service = node.service,
                    backend = node.backend,
                    node = node.node,
                    reason = reason.name(),
                    "a node is not asked any more"
                );
            }
            Some(Change::Back) => {
                let usable = self.shares()[index].state.out(Instant::now()).is_none();
                self.metrics.usable(node, usable);
                tracing::info!(
                    service = node.service,
                    backend = node.backend,
                    node = node.node,
                    usable,
                    "a node is well again"
                );
            }
            None => {}
        }
    }

    /// A node told its newest block.
    pub(super) fn head(&self, index: usize, head: u64) {
        self.metrics.head(&self.nodes[index].labels, head);
    }

    fn shares(&self) -> MutexGuard<'_, Vec<Share>> {
        self.shares.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Asked {
    pub(super) fn node(&self) -> &Arc<HttpNode> {
        &self.pool.nodes[self.index].http
    }

    /// The node answered, with whatever status.
    pub(super) fn answered(self) {
        self.tell(Event::Answered, "answered");
    }

    /// The node failed the relay.
    pub(super) fn failed(self, outcome: &'static str) {
        self.tell(Event::Failed, outcome);
    }

    /// The node answered something for which it is not blamed, such as that too much is asked of it.
    pub(super) fn left(self, outcome: &'static str) {
        self.tell(Event::Left, outcome);
    }

    fn tell(mut self, event: Event, outcome: &'static str) {
        self.told = true;
        self.pool
            .metrics
            .asked(&self.pool.nodes[self.index].labels, outcome);
        self.pool.on(self.index, event);
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        if !self.told {
            self.pool.on(self.index, Event::Left);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use portico_config::servicer::BreakerConfig;

    use super::*;

    fn shares(weights: &[u32]) -> Vec<Share> {
        let rules = rules();
        let share = |&weight: &u32| Share {
            state: NodeState::new(&rules),
            weight,
            credit: 0,
        };
        weights.iter().map(share).collect()
    }

    fn rules() -> Rules {
        Rules::new(&HealthConfig::default(), BreakerConfig::default())
    }

    fn picks(shares: &mut [Share], count: usize) -> Vec<usize> {
        let now = Instant::now();
        (0..count)
            .map(|_| pick(shares, Tried::default(), now).unwrap())
            .collect()
    }

    #[test]
    fn relays_are_shared_by_weight_and_evenly_over_time() {
        assert_eq!(picks(&mut shares(&[1, 1, 1]), 6), [0, 1, 2, 0, 1, 2]);
        assert_eq!(picks(&mut shares(&[5, 1, 1]), 7), [0, 0, 1, 0, 2, 0, 0]);
        let mut counts = BTreeMap::new();
        for index in picks(&mut shares(&[3, 7, 0]), 1_000) {
            *counts.entry(index).or_insert(0) += 1;
        }
        assert_eq!(counts, BTreeMap::from([(0, 300), (1, 700)]));
    }

    #[test]
    fn a_node_without_weight_is_asked_when_no_other_can_be() {
        let mut shares = shares(&[1, 0]);
        let (now, rules) = (Instant::now(), rules());
        let mut tried = Tried::default();
        assert_eq!(pick(&mut shares, tried, now), Some(0));
        tried.add(0);
        assert_eq!(pick(&mut shares, tried, now), Some(1));
        shares[0].state.on(Event::Distrusted(Out::Behind), now, &rules);
        assert_eq!(pick(&mut shares, Tried::default(), now), Some(1));
        tried.add(1);
        assert_eq!(pick(&mut shares, tried, now), None, "each node once");
    }

    #[test]
    fn a_node_that_is_out_gets_nothing_and_no_credit_for_later() {
        let mut shares = shares(&[1, 1]);
        let (now, rules) = (Instant::now(), rules());
        shares[1].state.on(Event::Distrusted(Out::Behind), now, &rules);
        assert_eq!(picks(&mut shares, 50), [0; 50]);
        for _ in 0..5 {
            shares[1].state.on(Event::CheckPassed, now, &rules);
        }
        let next = picks(&mut shares, 10);
        assert_eq!(next.iter().filter(|&&index| index == 1).count(), 5, "{next:?}");
    }
}
