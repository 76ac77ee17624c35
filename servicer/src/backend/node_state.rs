//! What is known of one node, and whether relays may go to it. Pure: state, event and instant in, change out.
//!
//! ```text
//! unchecked ── first check ──► good ── `fall` failed checks ──► out ── `rise` good checks ──► good
//!                               └── wrong chain, syncing, behind, forked ──► out ── `probation` good checks ──► good
//!
//! closed ── `failures` relays in a row ──► open for a pause ──► one trial ── answered ──► closed
//!                                            ▲                       └── failed ──┐
//!                                            └────────── twice the pause ─────────┘
//! ```
//! Checks and relays do not heal each other: a node that answers `eth_blockNumber` and no relay stays closed to relays, and the reverse.

use std::time::Duration;

use portico_config::servicer::{BreakerConfig, HealthCheck, HealthConfig};
use tokio::time::Instant;

/// The state.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct NodeState {
    standing: Standing,
    breaker: Breaker,
}

#[derive(Clone, Debug, PartialEq)]
enum Standing {
    /// No check came back yet: nobody knows what it would answer.
    Unchecked,
    Good {
        failed: u32,
    },
    Out {
        reason: Out,
        good: u32,
        needed: u32,
    },
}

/// Why a node is not asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Out {
    /// No check came back yet.
    Unchecked,
    /// Its checks fail.
    Failing,
    /// It says that it is syncing.
    Syncing,
    /// It is of another chain.
    WrongChain,
    /// Its head is too far behind its peers'.
    Behind,
    /// It has another block at a height than its peers.
    Forked,
    /// It did not answer relays.
    Pausing,
}

impl Out {
    /// Name in metrics, logs and `/ready`.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Unchecked => "unchecked",
            Self::Failing => "failing",
            Self::Syncing => "syncing",
            Self::WrongChain => "wrong_chain",
            Self::Behind => "behind",
            Self::Forked => "forked",
            Self::Pausing => "pausing",
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Breaker {
    failures: u32,
    open: Option<Open>,
}

#[derive(Clone, Debug, PartialEq)]
struct Open {
    until: Instant,
    pause: Duration,
    /// A relay tries the node.
    trial: bool,
}

/// Something that happened to a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// A check found nothing wrong.
    CheckPassed,
    /// A check was not answered, or with an error.
    CheckFailed,
    /// A check, or its comparison with the peers, found something that makes answers wrong.
    Distrusted(Out),
    /// A relay was answered.
    Answered,
    /// A relay was not answered, or as a proxy before a dead node does.
    Failed,
    /// A relay ended before anything could be said of the node.
    Left,
}

/// When states change.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    fall: u32,
    rise: u32,
    probation: u32,
    breaker: BreakerConfig,
    checked: bool,
}

impl Rules {
    pub(super) const fn new(health: &HealthConfig, breaker: BreakerConfig) -> Self {
        Self {
            fall: health.fall,
            rise: health.rise,
            probation: health.probation,
            breaker,
            checked: !matches!(health.check, HealthCheck::None),
        }
    }
}

/// A node that is not asked from now on, or is again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Left(Out),
    Back,
}

impl NodeState {
    pub(super) const fn new(rules: &Rules) -> Self {
        Self {
            standing: match rules.checked {
                true => Standing::Unchecked,
                false => Standing::Good { failed: 0 },
            },
            breaker: Breaker {
                failures: 0,
                open: None,
            },
        }
    }

    /// Why no relay may go to the node at `now`; `None` when one may.
    pub(super) fn out(&self, now: Instant) -> Option<Out> {
        match &self.standing {
            Standing::Unchecked => Some(Out::Unchecked),
            Standing::Out { reason, .. } => Some(*reason),
            Standing::Good { .. } => match &self.breaker.open {
                Some(open) if open.trial || now < open.until => Some(Out::Pausing),
                _ => None,
            },
        }
    }

    /// A relay goes to the node; during a pause it is the trial.
    pub(super) const fn asked(&mut self) {
        if let Some(open) = &mut self.breaker.open {
            open.trial = true;
        }
    }

    /// Applies `event`; says when that changed whether the node is asked.
    pub(super) fn on(&mut self, event: Event, now: Instant, rules: &Rules) -> Option<Change> {
        match event {
            Event::CheckPassed => self.passed(),
            Event::CheckFailed => self.failed(rules),
            Event::Distrusted(reason) => self.leave(reason, rules.probation),
            Event::Answered => {
                self.breaker.failures = 0;
                self.breaker.open.take().map(|_| Change::Back)
            }
            Event::Failed => self.breaker.fail(now, rules.breaker),
            Event::Left => {
                if let Some(open) = &mut self.breaker.open {
                    open.trial = false;
                }
                None
            }
        }
    }

    const fn passed(&mut self) -> Option<Change> {
        if let Standing::Out { good, needed, .. } = &mut self.standing {
            *good = good.saturating_add(1);
            if *good < *needed {
                return None;
            }
        }
        let was_good = matches!(self.standing, Standing::Good { .. });
        self.standing = Standing::Good { failed: 0 };
        if was_good { None } else { Some(Change::Back) }
    }

    const fn failed(&mut self, rules: &Rules) -> Option<Change> {
        match &mut self.standing {
            Standing::Unchecked => self.leave(Out::Failing, rules.rise),
            Standing::Out { good, .. } => {
                *good = 0;
                None
            }
            Standing::Good { failed } => {
                *failed = failed.saturating_add(1);
                if *failed < rules.fall {
                    return None;
                }
                self.leave(Out::Failing, rules.rise)
            }
        }
    }

    const fn leave(&mut self, reason: Out, needed: u32) -> Option<Change> {
        // What distrust asks for is not made less by a check that merely fails.
        let needed = match &self.standing {
            Standing::Out { needed: before, .. } if *before > needed => *before,
            _ => needed,
        };
        let was_out =
            matches!(self.standing, Standing::Out { reason: before, .. } if before as u8 == reason as u8);
        self.standing = Standing::Out {
            reason,
            good: 0,
            needed,
        };
        if was_out { None } else { Some(Change::Left(reason)) }
    }
}

impl Breaker {
    fn fail(&mut self, now: Instant, rules: BreakerConfig) -> Option<Change> {
        let longest = Duration::from_millis(rules.max_pause_ms);
        match &mut self.open {
            // A relay that began before the pause says nothing new.
            Some(open) if !open.trial => None,
            Some(open) => {
                let pause = open.pause.saturating_mul(2).min(longest);
                *open = Open {
                    until: now + pause,
                    pause,
                    trial: false,
                };
                None
            }
            None => {
                self.failures = self.failures.saturating_add(1);
                if rules.failures == 0 || self.failures < rules.failures {
                    return None;
                }
                let pause = Duration::from_millis(rules.pause_ms);
                self.open = Some(Open {
                    until: now + pause,
                    pause,
                    trial: false,
                });
                Some(Change::Left(Out::Pausing))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> Rules {
        let health = HealthConfig {
            check: HealthCheck::Evm,
            fall: 3,
            rise: 2,
            probation: 4,
            ..HealthConfig::default()
        };
        let breaker = BreakerConfig {
            failures: 2,
            pause_ms: 1_000,
            max_pause_ms: 3_000,
        };
        Rules::new(&health, breaker)
    }

    struct Node(NodeState, Instant);

    impl Node {
        fn new() -> Self {
            Self(NodeState::new(&rules()), Instant::now())
        }

        fn good() -> Self {
            let mut node = Self::new();
            assert_eq!(node.on(Event::CheckPassed), Some(Change::Back));
            node
        }

        fn on(&mut self, event: Event) -> Option<Change> {
            self.0.on(event, self.1, &rules())
        }

        fn out(&self) -> Option<Out> {
            self.0.out(self.1)
        }
    }

    #[test]
    fn a_node_is_asked_once_its_first_check_is_good() {
        let mut node = Node::new();
        assert_eq!(node.out(), Some(Out::Unchecked));
        node.on(Event::CheckPassed);
        assert_eq!(node.out(), None);
        let mut node = Node::new();
        assert_eq!(
            node.on(Event::CheckFailed),
            Some(Change::Left(Out::Failing)),
            "nothing good is known"
        );
    }

    #[test]
    fn falls_and_rises_by_checks_in_a_row() {
        let mut node = Node::good();
        for event in [Event::CheckFailed, Event::CheckFailed, Event::CheckPassed] {
            assert_eq!(node.on(event), None);
        }
        for _ in 0..2 {
            assert_eq!(node.on(Event::CheckFailed), None);
        }
        assert_eq!(node.on(Event::CheckFailed), Some(Change::Left(Out::Failing)));
        for event in [Event::CheckPassed, Event::CheckFailed, Event::CheckPassed] {
            assert_eq!(node.on(event), None, "not two in a row");
            assert_eq!(node.out(), Some(Out::Failing));
        }
        assert_eq!(node.on(Event::CheckPassed), Some(Change::Back));
    }

    #[test]
    fn a_distrusted_node_leaves_at_once_and_comes_back_after_probation() {
        let mut node = Node::good();
        let forked = Event::Distrusted(Out::Forked);
        assert_eq!(node.on(forked), Some(Change::Left(Out::Forked)));
        assert_eq!(node.on(forked), None, "told once");
        for _ in 0..3 {
            node.on(Event::CheckPassed);
        }
        node.on(Event::CheckFailed);
        for _ in 0..3 {
            assert_eq!(node.on(Event::CheckPassed), None, "begun anew");
        }
        assert_eq!(node.out(), Some(Out::Forked));
        assert_eq!(node.on(Event::CheckPassed), Some(Change::Back));
    }

    #[test]
    fn pauses_grow_while_trials_fail_and_end_with_an_answer() {
        let mut node = Node::good();
        node.on(Event::Failed);
        node.on(Event::Answered);
        node.on(Event::Failed);
        assert_eq!(node.out(), None, "not in a row");
        assert_eq!(node.on(Event::Failed), Some(Change::Left(Out::Pausing)));
        for pause_ms in [1_000, 2_000, 3_000, 3_000] {
            assert_eq!(node.out(), Some(Out::Pausing));
            node.1 += Duration::from_millis(pause_ms - 1);
            assert_eq!(node.out(), Some(Out::Pausing), "{pause_ms} ms are not over");
            node.1 += Duration::from_millis(1);
            assert_eq!(node.out(), None);
            node.0.asked();
            assert_eq!(node.out(), Some(Out::Pausing), "one trial at a time");
            node.on(Event::Failed);
        }
        node.1 += Duration::from_secs(3);
        node.0.asked();
        node.on(Event::Left);
        assert_eq!(node.out(), None, "a trial that said nothing leaves its place");
        node.0.asked();
        assert_eq!(node.on(Event::Answered), Some(Change::Back));
        assert_eq!(node.out(), None);
    }

    #[test]
    fn late_failures_do_not_lengthen_a_pause() {
        let mut node = Node::good();
        for _ in 0..50 {
            node.on(Event::Failed);
        }
        node.1 += Duration::from_secs(1);
        assert_eq!(node.out(), None);
    }

    #[test]
    fn checks_do_not_end_a_pause_nor_relays_a_quarantine() {
        let mut node = Node::good();
        node.on(Event::Failed);
        node.on(Event::Failed);
        node.on(Event::CheckPassed);
        assert_eq!(node.out(), Some(Out::Pausing));
        let mut node = Node::good();
        node.on(Event::Distrusted(Out::Behind));
        node.on(Event::Answered);
        assert_eq!(node.out(), Some(Out::Behind));
    }

    #[test]
    fn a_breaker_without_failures_is_off() {
        let off = BreakerConfig {
            failures: 0,
            ..BreakerConfig::default()
        };
        let rules = Rules::new(&HealthConfig::default(), off);
        let (mut node, now) = (NodeState::new(&rules), Instant::now());
        for _ in 0..100 {
            assert_eq!(node.on(Event::Failed, now, &rules), None);
        }
        assert_eq!(node.out(now), None);
    }
}
