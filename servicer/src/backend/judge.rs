//! Which of a service's nodes tell the truth, by what each said of its chain. Pure.
//!
//! Votes count by weight, and where that leaves two sides even, the side of the node that is listed first is believed: somebody has to be,
//! and the order of the list is the operator's.

use std::collections::BTreeMap;

use portico_config::servicer::HealthConfig;

use super::node_state::{Event, Out};

/// What a node said when it was checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// Its newest block or slot; `None` where the check does not ask for it.
    pub(super) head: Option<u64>,
    /// The chain that it is of.
    pub(super) chain: Option<String>,
    pub(super) syncing: bool,
    /// Hash of its block at the height that all were asked for; `None` when it has none, or was not asked.
    pub(super) hash: Option<String>,
}

/// A node's vote, and what it said; `None` when its check failed.
#[derive(Clone, Debug)]
pub(super) struct Witness {
    pub(super) weight: u32,
    pub(super) seen: Option<Seen>,
}

/// Height at which the nodes' blocks are compared; `None` when there are not two to compare.
pub(super) fn compare_at(witnesses: &[Witness], rules: &HealthConfig) -> Option<u64> {
    let heads = witnesses
        .iter()
        .filter_map(|witness| witness.seen.as_ref()?.head)
        .collect::<Vec<_>>();
    let lowest = heads.iter().min().filter(|_| heads.len() > 1)?;
    Some(lowest.saturating_sub(rules.compare_depth_blocks))
}

/// What follows for each node.
pub(super) fn judge(witnesses: &[Witness], rules: &HealthConfig) -> Vec<Event> {
    let chain = match &rules.chain_id {
        Some(chain) => Some(chain.clone()),
        None => believed(witnesses, |seen| seen.chain.clone()),
    };
    let of_chain = |seen: &Seen| seen.chain.is_none() || seen.chain == chain;
    let trusted = |seen: &Seen| of_chain(seen) && !seen.syncing;
    let hash = believed(witnesses, |seen| seen.hash.clone().filter(|_| trusted(seen)));
    let head = reference_head(witnesses, rules.max_behind_blocks, trusted);
    let judge_one = |witness: &Witness| {
        let Some(seen) = &witness.seen else {
            return Event::CheckFailed;
        };
        if !of_chain(seen) {
            return Event::Distrusted(Out::WrongChain);
        }
        if seen.syncing {
            return Event::Distrusted(Out::Syncing);
        }
        if seen.hash.is_some() && seen.hash != hash {
            return Event::Distrusted(Out::Forked);
        }
        let lowest = head.map(|head| head.saturating_sub(rules.max_behind_blocks));
        match seen.head < lowest && seen.head.is_some() {
            true => Event::Distrusted(Out::Behind),
            false => Event::CheckPassed,
        }
    };
    witnesses.iter().map(judge_one).collect()
}

/// What most of the nodes say, by weight; of those with the most, what the first of the list says.
fn believed(witnesses: &[Witness], said: impl Fn(&Seen) -> Option<String>) -> Option<String> {
    let mut votes: BTreeMap<String, (u64, usize)> = BTreeMap::new();
    for (index, witness) in witnesses.iter().enumerate() {
        if let Some(word) = witness.seen.as_ref().and_then(&said) {
            let (weight, _) = votes.entry(word).or_insert((0, index));
            *weight = weight.saturating_add(vote(witness));
        }
    }
    let most = votes
        .into_iter()
        .max_by_key(|(_, (weight, first))| (*weight, std::cmp::Reverse(*first)));
    most.map(|(word, _)| word)
}

/// The highest head that nodes of at least half the weight are near to: one node that is far ahead of all others, or says so, does not put
/// them behind.
fn reference_head(witnesses: &[Witness], near: u64, trusted: impl Fn(&Seen) -> bool) -> Option<u64> {
    let heads: Vec<(u64, u64)> = witnesses
        .iter()
        .filter_map(|witness| {
            let seen = witness.seen.as_ref().filter(|seen| trusted(seen))?;
            Some((seen.head?, vote(witness)))
        })
        .collect();
    let weight = |of: &dyn Fn(u64) -> bool| {
        let counted = heads.iter().filter(|(head, _)| of(*head));
        counted.map(|(_, weight)| *weight).sum::<u64>()
    };
    let all = weight(&|_| true);
    let has_half = |candidate: u64| {
        let near_it = weight(&|head| head <= candidate && head >= candidate.saturating_sub(near));
        near_it.saturating_mul(2) >= all
    };
    let candidates = heads.iter().map(|(head, _)| *head);
    candidates
        .clone()
        .filter(|head| has_half(*head))
        .max()
        .or(candidates.max())
}

/// A node that is asked only when no other can be still knows its chain.
fn vote(witness: &Witness) -> u64 {
    u64::from(witness.weight.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: Event = Event::CheckPassed;
    const BEHIND: Event = Event::Distrusted(Out::Behind);
    const FORKED: Event = Event::Distrusted(Out::Forked);
    const WRONG: Event = Event::Distrusted(Out::WrongChain);

    fn node(weight: u32, head: u64, chain: &str, hash: &str) -> Witness {
        let seen = Seen {
            head: Some(head),
            chain: Some(chain.to_owned()),
            syncing: false,
            hash: (!hash.is_empty()).then(|| hash.to_owned()),
        };
        Witness {
            weight,
            seen: Some(seen),
        }
    }

    fn rules() -> HealthConfig {
        HealthConfig {
            max_behind_blocks: 10,
            compare_depth_blocks: 20,
            ..HealthConfig::default()
        }
    }

    fn judged(witnesses: &[Witness]) -> Vec<Event> {
        judge(witnesses, &rules())
    }

    #[test]
    fn a_node_that_is_too_far_behind_is_found() {
        let at = |head| node(1, head, "1", "");
        assert_eq!(judged(&[at(100), at(90)]), [GOOD, GOOD]);
        assert_eq!(judged(&[at(100), at(89)]), [GOOD, BEHIND]);
        assert_eq!(
            judged(&[at(50)]),
            [GOOD],
            "alone, there is nothing to be behind of"
        );
    }

    #[test]
    fn one_that_claims_to_be_far_ahead_puts_nobody_behind() {
        let at = |head| node(1, head, "1", "");
        assert_eq!(judged(&[at(100), at(101), at(1_000_000)]), [GOOD, GOOD, GOOD]);
        assert_eq!(judged(&[at(100), at(101), at(50)]), [GOOD, GOOD, BEHIND]);
    }

    #[test]
    fn the_chain_is_the_configured_one_or_that_of_most() {
        let of = |weight, chain| node(weight, 100, chain, "");
        assert_eq!(judged(&[of(1, "5"), of(1, "1"), of(1, "1")]), [WRONG, GOOD, GOOD]);
        assert_eq!(
            judged(&[of(1, "5"), of(1, "1")]),
            [GOOD, WRONG],
            "the first is believed"
        );
        assert_eq!(judged(&[of(1, "5"), of(3, "1")]), [WRONG, GOOD], "by weight");
        let configured = HealthConfig {
            chain_id: Some("5".to_owned()),
            ..rules()
        };
        let witnesses = [of(1, "1"), of(1, "1"), of(1, "5")];
        assert_eq!(judge(&witnesses, &configured), [WRONG, WRONG, GOOD]);
    }

    #[test]
    fn another_block_at_a_height_is_a_fork() {
        let with = |weight, hash| node(weight, 100, "1", hash);
        assert_eq!(
            judged(&[with(1, "a"), with(1, "b"), with(1, "b")]),
            [FORKED, GOOD, GOOD]
        );
        assert_eq!(judged(&[with(1, "a"), with(1, "b")]), [GOOD, FORKED]);
        assert_eq!(
            judged(&[with(0, "a"), with(0, "b"), with(0, "b")]),
            [FORKED, GOOD, GOOD]
        );
        assert_eq!(
            judged(&[with(1, "a"), with(1, "")]),
            [GOOD, GOOD],
            "one has pruned it"
        );
    }

    #[test]
    fn nodes_of_another_chain_and_syncing_ones_are_no_witnesses() {
        let syncing = |head| {
            let mut witness = node(9, head, "1", "b");
            witness.seen.as_mut().unwrap().syncing = true;
            witness
        };
        let outcome = judged(&[node(1, 100, "1", "a"), syncing(900), node(0, 900, "2", "b")]);
        assert_eq!(outcome, [GOOD, Event::Distrusted(Out::Syncing), WRONG]);
        let silent = Witness {
            weight: 1,
            seen: None,
        };
        assert_eq!(
            judged(&[silent, node(1, 1, "1", "a")]),
            [Event::CheckFailed, GOOD]
        );
    }

    #[test]
    fn blocks_are_compared_below_the_lowest_head() {
        let at = |head| node(1, head, "1", "");
        assert_eq!(compare_at(&[at(100), at(90)], &rules()), Some(70));
        assert_eq!(compare_at(&[at(100), at(3)], &rules()), Some(0));
        assert_eq!(compare_at(&[at(100)], &rules()), None);
    }
}
