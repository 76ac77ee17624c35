//! What we remember about suppliers. Pure: events and heights go in, standings come out.

use std::collections::BTreeMap;

use portico_protocol::{Address, Height};
use portico_session_cache::SessionView;

use crate::core::fault::Fault;

/// Suppliers that are remembered; beyond it, the one not heard of for longest is forgotten, and starts anew.
const MAX_SUPPLIERS: usize = 16_384;
/// Exhausted (session, supplier) pairs that are remembered; beyond it, those of the oldest session are forgotten.
const MAX_EXHAUSTED: usize = 65_536;
/// Sessions for which a supplier is left alone after an answer that does not verify.
const EXCLUDED_SESSIONS: i64 = 2;

/// Score of a supplier we know nothing about; 0 to [`BEST`].
const INITIAL: i32 = 80;
const BEST: i32 = 100;
/// From here on a supplier is as good as any.
const GOOD: i32 = 60;
/// Below, a supplier is tried last.
const POOR: i32 = 30;

/// Which suppliers to prefer and which to leave alone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reputation {
    standings: BTreeMap<Address, Standing>,
    /// By (end of the session, session id, supplier).
    exhausted: BTreeMap<(Height, String, Address), Pause>,
}

/// How long a supplier is left alone in a session after it said that the application's stake is used up. Gateways of one application share
/// its stake, and suppliers say the same while they are busy (any HTTP 429), so it may be over with the next block: the pause is short at
/// first, and twice as long each time that it was in vain.
#[derive(Clone, Copy, Debug)]
struct Pause {
    until: Height,
    blocks: i64,
}

#[derive(Clone, Debug)]
struct Standing {
    score: i32,
    excluded_until: Height,
    heard_at: Height,
}

/// How a supplier stands for one relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rank {
    /// To be tried, tier 0 first.
    Tier(u8),
    /// Served as much as the application's stake pays for, as it said a short while ago.
    Exhausted,
    /// Its answers did not verify a short while ago.
    Distrusted,
}

/// A supplier that is not tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LeftAlone {
    pub(crate) supplier: Address,
    /// The session in which it served what the application's stake pays for; `None` when its answers did not verify.
    pub(crate) session: Option<String>,
    /// The block with which it is tried again.
    pub(crate) until: Height,
}

impl Reputation {
    /// How `supplier` stands at `height`, for a relay of `session`.
    pub(crate) fn rank(&self, session: &SessionView, supplier: &Address, height: Height) -> Rank {
        let exhausted = || {
            let key = (session.end, session.id().to_owned(), *supplier);
            self.exhausted.get(&key).is_some_and(|pause| height < pause.until)
        };
        if !self.exhausted.is_empty() && exhausted() {
            return Rank::Exhausted;
        }
        match self.standings.get(supplier) {
            None => Rank::Tier(0),
            Some(standing) if height < standing.excluded_until => Rank::Distrusted,
            Some(standing) if standing.score >= GOOD => Rank::Tier(0),
            Some(standing) if standing.score >= POOR => Rank::Tier(1),
            Some(_) => Rank::Tier(2),
        }
    }

    /// Suppliers that are left alone at `height`: in all sessions for a while, or in one.
    pub(crate) fn left_alone(&self, height: Height) -> Vec<LeftAlone> {
        let distrusted = self
            .standings
            .iter()
            .filter(|(_, standing)| height < standing.excluded_until);
        let distrusted = distrusted.map(|(supplier, standing)| LeftAlone {
            supplier: *supplier,
            session: None,
            until: standing.excluded_until,
        });
        let exhausted = self.exhausted.iter().filter(|(_, pause)| height < pause.until);
        let exhausted = exhausted.map(|((_, session, supplier), pause)| LeftAlone {
            supplier: *supplier,
            session: Some(session.clone()),
            until: pause.until,
        });
        distrusted.chain(exhausted).collect()
    }

    /// Takes note of an answer that was used.
    pub(crate) fn praise(&mut self, supplier: &Address, height: Height) {
        self.change(supplier, height, 1);
    }

    /// Takes note of a fault that is the supplier's own, whatever was called. What a call may bring about at any supplier is
    /// [`Reputation::outdone`]'s: no caller lowers suppliers' scores.
    pub(crate) fn blame(&mut self, session: &SessionView, supplier: &Address, height: Height, fault: &Fault) {
        match fault {
            Fault::OverServiced(_) => self.exhaust(session, supplier, height),
            Fault::Unverified(_) => {
                let blocks = session.end.0.saturating_sub(session.start.0).saturating_add(1);
                let until = height.0.saturating_add(blocks.saturating_mul(EXCLUDED_SESSIONS));
                self.change(supplier, height, -50).excluded_until = Height(until);
            }
            Fault::Connect(_) | Fault::Lost(_) | Fault::Undecodable => {
                self.change(supplier, height, -10);
            }
            Fault::Session(_)
            | Fault::TooLarge(_)
            | Fault::TooLargeThere(_)
            | Fault::BatchTooLarge(_)
            | Fault::NoRoom
            | Fault::Timeout(_)
            | Fault::Http { .. }
            | Fault::Miner { .. }
            | Fault::BadPayload { .. }
            | Fault::Backend { .. } => {}
        }
    }

    /// Takes note that another supplier answered the call at which `supplier` failed: then it was not the call's fault.
    pub(crate) fn outdone(&mut self, supplier: &Address, height: Height, fault: &Fault) {
        let by = match fault {
            Fault::Timeout(_) | Fault::Http { .. } | Fault::BadPayload { .. } => -10,
            Fault::Backend { status: 429, .. } => -3, // it is not broken, only busy
            Fault::Backend { .. } => -10,
            Fault::Miner { .. } => -5,
            Fault::OverServiced(_)
            | Fault::Session(_)
            | Fault::TooLarge(_)
            | Fault::TooLargeThere(_)
            | Fault::BatchTooLarge(_)
            | Fault::NoRoom
            | Fault::Unverified(_)
            | Fault::Connect(_)
            | Fault::Lost(_)
            | Fault::Undecodable => return,
        };
        self.change(supplier, height, by);
    }

    fn change(&mut self, supplier: &Address, height: Height, by: i32) -> &mut Standing {
        if self.standings.len() >= MAX_SUPPLIERS && !self.standings.contains_key(supplier) {
            let oldest = self
                .standings
                .iter()
                .min_by_key(|(_, standing)| standing.heard_at);
            let oldest = oldest.map(|(address, _)| *address);
            oldest.map(|address| self.standings.remove(&address));
        }
        let fresh = Standing {
            score: INITIAL,
            excluded_until: Height(0),
            heard_at: height,
        };
        let standing = self.standings.entry(*supplier).or_insert(fresh);
        standing.score = standing.score.saturating_add(by).clamp(0, BEST);
        standing.heard_at = height;
        standing
    }

    fn exhaust(&mut self, session: &SessionView, supplier: &Address, height: Height) {
        let first = Pause {
            until: height,
            blocks: 0,
        };
        let key = (session.end, session.id().to_owned(), *supplier);
        let pause = self.exhausted.entry(key).or_insert(first);
        // Of calls that were under way together, the first counts.
        if pause.until <= height {
            pause.blocks = pause.blocks.saturating_mul(2).max(1);
            pause.until = Height(height.0.saturating_add(pause.blocks));
        }
        while let Some(((end, ..), _)) = self.exhausted.first_key_value() {
            let outlived = end
                .0
                .saturating_add(session.end.0.saturating_sub(session.start.0))
                < height.0;
            if !outlived && self.exhausted.len() <= MAX_EXHAUSTED {
                return;
            }
            self.exhausted.pop_first();
        }
    }
}
