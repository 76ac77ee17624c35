//! What is done before it is due, so that a slow chain's answers are there when they are needed: facts are learned, draws drawn, proofs made and
//! transactions simulated.

use std::collections::{BTreeMap, BTreeSet};

use portico_protocol::{Address, Height};

use super::{Effect, Fact, Flow, Job};
use crate::lifecycle::orders::{Kind, Limits, Session, create_claim};
use crate::lifecycle::pack::{Packed, pack};
use crate::session::stage::Stage;

/// Facts asked for at a time.
const MAX_LESSONS: usize = 64;
/// Transactions simulated at a time, beside those that are handed over.
pub(super) const MAX_REHEARSALS: usize = 512;

impl Flow {
    /// Whether the proof of a session is begun before a look says that it is due: what it proves is known from its seed on. That of a claim that
    /// was not seen on chain yet waits for no answer of the chain's meanwhile: it would take the place of others.
    pub(super) fn is_made_early(&self, session: &Session, head: Height) -> bool {
        let (index, record) = (session.index, &session.record);
        let is_wanted = match record.stage {
            Stage::ProofRequired => true,
            Stage::ClaimSent => {
                let application = Fact::Application(record.end, record.application);
                self.drawn.get(&index) == Some(&true) && self.learned.contains(&application)
            }
            _ => false,
        };
        is_wanted
            && record.windows.seed() <= head
            && head < record.windows.proof_close
            && !self.made.contains_key(&index)
            && self.early.get(&index).is_none_or(|begun| *begun < head)
    }

    /// Draws for claims that are on their way, when that needs no answer of the chain's.
    pub(super) fn early_draws(&mut self, head: Height, sessions: &[Session]) -> Option<Effect> {
        if self.is_blocked(Job::DrawEarly) {
            return None;
        }
        let can_be_drawn = |session: &&Session| {
            let (record, seed) = (&session.record, session.record.windows.seed());
            record.stage == Stage::ClaimSent
                && seed <= head
                && head < record.windows.proof_close
                && self.learned.contains(&Fact::ProofParams(seed))
                && !self.drawn.contains_key(&session.index)
        };
        let drawn: Vec<u64> = sessions
            .iter()
            .filter(can_be_drawn)
            .map(|session| session.index)
            .collect();
        if drawn.is_empty() {
            return None;
        }
        self.busy.insert(Job::DrawEarly);
        Some(Effect::DrawEarly(drawn))
    }

    /// What an early draw found.
    pub(crate) fn drawn(&mut self, required: impl IntoIterator<Item = (u64, bool)>) {
        self.drawn.extend(required);
    }

    /// Whether a proof will be asked for, if that was drawn before the claim was seen on chain.
    pub(crate) fn was_drawn(&self, index: u64) -> Option<bool> {
        self.drawn.get(&index).copied()
    }

    /// What the next steps will need to know, as soon as it can be asked for.
    pub(super) fn lessons(&mut self, head: Height, sessions: &[Session]) -> Vec<Effect> {
        let mut needed = BTreeSet::new();
        for Session { record, .. } in sessions {
            let (end, seed) = (record.end, record.windows.seed());
            match record.stage {
                Stage::Open | Stage::Draining if head >= end => {
                    needed.insert(Fact::SharedParams(end));
                }
                Stage::Sealed | Stage::ClaimSent | Stage::ClaimOnChain
                    if seed <= head && head < record.windows.proof_close =>
                {
                    needed.insert(Fact::ProofParams(seed));
                    needed.insert(Fact::Application(end, record.application));
                }
                _ => {}
            }
        }
        self.learned.retain(|fact| needed.contains(fact));
        let busy = self
            .busy
            .iter()
            .filter(|job| matches!(job, Job::Learn(_)))
            .count();
        let wanted: Vec<Fact> = needed
            .into_iter()
            .filter(|fact| !self.learned.contains(fact) && !self.is_blocked(Job::Learn(*fact)))
            .take(MAX_LESSONS.saturating_sub(busy))
            .collect();
        let start = |fact: Fact| {
            self.busy.insert(Job::Learn(fact));
            Effect::Learn(fact)
        };
        wanted.into_iter().map(start).collect()
    }

    /// Transactions that are handed over if the look that is under way says so: simulated meanwhile. Suppliers in `making` have others to come.
    pub(super) fn rehearsals(
        &mut self,
        head: Height,
        sessions: &[Session],
        making: &BTreeSet<Address>,
        limits: &Limits,
    ) -> Vec<Effect> {
        // A transaction with fewer proofs than it will have would be simulated in vain, and once more when it is handed over.
        let is_proving =
            |session: &&Session| self.proving.contains(&session.index) || self.is_made_early(session, head);
        let proving: BTreeSet<Address> = sessions
            .iter()
            .filter(is_proving)
            .map(|session| session.record.supplier)
            .collect();
        let mut groups: BTreeMap<(Kind, Address), Vec<&Session>> = BTreeMap::new();
        for session in sessions {
            let (index, record) = (session.index, &session.record);
            let windows = &record.windows;
            let kind = match record.stage {
                Stage::Sealed if windows.claim_open <= head && head < windows.claim_close => Kind::Claim,
                Stage::ClaimSent | Stage::ClaimOnChain | Stage::ProofRequired
                    if windows.proof_open <= head && self.made.contains_key(&index) =>
                {
                    Kind::Proof
                }
                _ => continue,
            };
            let is_on_its_way = self.is_blocked(Job::Session(index)) || self.ready.contains_key(&index);
            let is_whole = !making.contains(&record.supplier)
                && (kind == Kind::Claim || !proving.contains(&record.supplier));
            if !is_on_its_way && is_whole {
                groups.entry((kind, record.supplier)).or_default().push(session);
            }
        }
        self.rehearsed.retain(|group, _| groups.contains_key(group));
        let busy = self
            .busy
            .iter()
            .filter(|job| matches!(job, Job::Rehearse(_)))
            .count();
        let mut room = MAX_REHEARSALS.saturating_sub(busy);
        let mut effects = Vec::new();
        for ((kind, supplier), group) in groups {
            let of: Vec<u64> = group.iter().map(|session| session.index).collect();
            if self.rehearsed.get(&(kind, supplier)) == Some(&of) {
                continue;
            }
            let packed = group.into_iter().filter_map(|session| {
                let message = match kind {
                    Kind::Claim => create_claim(&session.record),
                    Kind::Proof => self.made.get(&session.index)?.clone(),
                };
                Some(Packed::new(session, kind, message))
            });
            let batches = pack(kind, supplier, packed.collect(), limits);
            if batches.len() > room {
                break; // simulated when it is handed over
            }
            room -= batches.len();
            self.rehearsed.insert((kind, supplier), of);
            for batch in batches {
                let first = batch.messages.first().map(|(index, _)| Job::Rehearse(*index));
                if let Some(job) = first.filter(|job| !self.is_blocked(*job)) {
                    self.busy.insert(job);
                    effects.push(Effect::Rehearse(batch));
                }
            }
        }
        effects
    }
}
