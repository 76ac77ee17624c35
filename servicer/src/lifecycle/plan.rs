//! What to do now, for all sessions: which steps, questions and transactions start, in which order, and how many at a time. Pure: the driver
//! performs effects and tells what became of them; nothing here waits, asks or knows the time.
//!
//! ```text
//! new block ─┐                       ┌─► Learn(fact)       what steps will need to know, before they do
//! effect     ├─► Flow::plan(head) ───┼─► Step(session)     seal, draw, prove, ...: one at a time per session
//! is done ───┘                       ├─► DrawEarly         whether proofs will be asked for, while claims are on their way
//!                                    ├─► Look(supplier)    the chain's claims of a supplier, once per block
//!                                    ├─► Rehearse(batch)   what a transaction would use, while its look is under way
//!                                    ├─► Settle(height)    settlement events of a height
//!                                    └─► Send(batch)       one transaction
//! ```
//! Where every answer takes a block, a window of four has time for few questions in a row. So none waits for another that it does not need: facts
//! are learned when their height is there, a proof is made as soon as its seed is known, also while the claim is still on its way, and a
//! transaction is simulated while the chain is asked whether it may be sent (`ahead`).
//!
//! Effects that could begin are ordered by the deadline of what they serve, then by its value. One that fails, or is not answered in time, is
//! begun again at the next block or a moment later, and holds up nothing but itself. What a look found is used when it arrives, however many
//! blocks came meanwhile: only whether a window is still open is judged by the newest block.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use portico_protocol::wire::pocket::proof::{Claim, ClaimProofStatus};
use portico_protocol::{Address, Height, Upokt};
use prost_types::Any;

use crate::lifecycle::next::{self, Action, ClaimStep, ProofStep};
use crate::lifecycle::orders::{Batch, Kind, Limits, Order, Session};
use crate::lifecycle::pack::{Packed, pack};
use crate::session::record::SessionRecord;
use crate::session::stage::{ExpiredReason, Stage};

mod ahead;

/// Steps of sessions in progress at a time.
const MAX_STEPS: usize = 32;
/// Looks in progress at a time: the suppliers of a large process, none of which waits for another's answer where the chain is slow.
const MAX_LOOKS: usize = 512;
/// Transactions handed over at a time; they have room of their own, so that no question holds up what is ready.
const MAX_SENDS: usize = 512;
/// Heights whose settlement events are asked for at a time.
const MAX_SETTLEMENTS: usize = 4;
/// Proofs that are made and not handed over, and their bytes: others are made when these are gone.
const MAX_READY_PROOFS: usize = 2048;
const MAX_READY_PROOF_BYTES: usize = 64 << 20;
/// Looks in progress at a time for one supplier: one from before a window opened, and one that can say what may be done in it.
const MAX_LOOKS_OF_SUPPLIER: usize = 2;
/// Blocks after the settlement height for which a session waits for events that no node tells.
const MAX_SETTLEMENT_WAIT_BLOCKS: i64 = 500;
/// Blocks before the close of a window at which what is not on chain yet raises an alarm, and the servicer is not ready.
pub(crate) const ALARM_BLOCKS: i64 = 2;

/// What is done once at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Job {
    Session(u64),
    /// Of a supplier, begun at this height.
    Look(Address, Height),
    DrawEarly,
    Settle(Height),
    Learn(Fact),
    /// By the first session of the transaction.
    Rehearse(u64),
}

/// What the steps of many sessions need to know. The height says from which block on it may be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fact {
    /// Shared params at the end of a session.
    SharedParams(Height),
    /// Proof params, for a draw with the seed of this height.
    ProofParams(Height),
    /// An application, for the ring of a session that ends at this height.
    Application(Height, Address),
}

/// What a session does not have on chain at `head` although the window for it is about to close.
pub(crate) fn near_its_close(record: &SessionRecord, head: Height) -> Option<Kind> {
    let kind = match record.stage {
        Stage::Draining | Stage::Sealed | Stage::ClaimSent => Kind::Claim,
        Stage::ClaimOnChain | Stage::ProofRequired | Stage::ProofSent => Kind::Proof,
        _ => return None,
    };
    let close = kind.close(record);
    (head.0 >= close.0.saturating_sub(ALARM_BLOCKS) && head <= close).then_some(kind)
}

/// What the driver is to do.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Effect {
    /// Ask for what steps will need.
    Learn(Fact),
    /// The next step of a session.
    Step(u64, Action),
    /// Find out whether proofs will be asked for, of claims that are not on chain yet.
    DrawEarly(Vec<u64>),
    /// Make and check the proof of a session.
    Prove(u64),
    /// Ask for the claims of a supplier that the chain holds.
    Look(Address),
    /// Simulate a transaction that is likely to be handed over soon.
    Rehearse(Batch),
    /// Ask for the settlement events of a height.
    Settle(Height),
    /// Hand a transaction over.
    Send(Batch),
}

/// A message that waits for its transaction.
#[derive(Clone, Debug)]
struct Ready {
    kind: Kind,
    message: Any,
    since: Height,
}

/// What is in progress; lost at a restart, after which the chain is looked at again.
#[derive(Debug, Default)]
pub(crate) struct Flow {
    busy: BTreeSet<Job>,
    /// Failed at this block: begun again at the next one, or a moment later.
    failed: BTreeSet<Job>,
    /// Height of the newest look that was applied, by session.
    looked: BTreeMap<u64, Height>,
    /// Suppliers for which a look is wanted, with the height since when.
    look_since: BTreeMap<Address, Height>,
    /// What was learned of what is still needed.
    learned: BTreeSet<Fact>,
    /// Whether a proof will be asked for, of claims that were not seen on chain yet.
    drawn: BTreeMap<u64, bool>,
    /// Sessions whose proof is due.
    due_proofs: BTreeSet<u64>,
    /// Sessions whose proof is being made.
    proving: BTreeSet<u64>,
    /// Height at which a session's proof was begun before it was due.
    early: BTreeMap<u64, Height>,
    /// Proofs that were made before a look said that they are due.
    made: BTreeMap<u64, Any>,
    /// Sessions whose transactions were simulated before they are due.
    rehearsed: BTreeMap<(Kind, Address), Vec<u64>>,
    ready: BTreeMap<u64, Ready>,
    /// Halves of refused transactions.
    halves: Vec<Batch>,
    /// Sessions in transactions that are being handed over, or in halves.
    sending: BTreeSet<u64>,
    sends: usize,
    /// Heights whose settlement events were taken into account.
    settled: BTreeSet<Height>,
    alarmed: BTreeSet<(u64, Kind)>,
}

/// What a look at the chain means for a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// Nothing to record.
    Nothing,
    /// The claim is on chain.
    Claimed,
    /// The proof is accepted.
    Proved,
    /// Nothing will be paid.
    Lost(ExpiredReason),
    /// The claim is to be sent.
    ClaimDue,
    /// The proof is to be made and sent.
    ProofDue,
}

impl Flow {
    /// What begins now. Everything returned is in progress until the driver tells of its end.
    pub(crate) fn plan(&mut self, head: Height, sessions: &[Session], limits: &Limits) -> Vec<Effect> {
        self.prune(head, sessions);
        let mut effects = self.settlements(head, sessions);
        effects.extend(self.lessons(head, sessions));
        effects.extend(self.early_draws(head, sessions));
        let mut wanted: Vec<(Order, usize, Effect)> = Vec::new();
        // A step keeps its place while its application is asked for, so equals take turns: many applications are asked for at once.
        let mut turns: BTreeMap<(Order, Address), usize> = BTreeMap::new();
        // With the height from which on a look can say what is wanted.
        let mut looks: BTreeMap<Address, (Order, Height)> = BTreeMap::new();
        let mut making: BTreeSet<Address> = BTreeSet::new();
        for session in sessions {
            let (index, record) = (session.index, &session.record);
            let order = (
                deadline(record),
                Reverse(record.seal.map_or(Upokt(0), |seal| seal.worth)),
            );
            let windows = &record.windows;
            let is_made = match record.stage {
                Stage::Open | Stage::Draining => head >= windows.claim_open,
                Stage::ClaimOnChain => head >= windows.proof_open,
                _ => false,
            };
            let action = next::next(record, head, session.in_flight, limits.keep_leaves_blocks);
            let is_due = self.due_proofs.contains(&index);
            let blocked = self.is_blocked(Job::Session(index)) || self.ready.contains_key(&index);
            if matches!(action, Action::Claim | Action::Prove)
                && (!blocked || self.proving.contains(&index))
                && !is_due
                && self.looked.get(&index).is_none_or(|looked| *looked < head)
            {
                let opened = match head >= windows.proof_open {
                    true => windows.proof_open,
                    false => windows.claim_open,
                };
                let (first, from) = looks.entry(record.supplier).or_insert((order, opened));
                (*first, *from) = (order.min(*first), opened.max(*from));
            }
            if blocked {
                if is_made && self.busy.contains(&Job::Session(index)) {
                    making.insert(record.supplier);
                }
                continue;
            }
            if (is_due && action == Action::Prove) || self.is_made_early(session, head) {
                let turn = turns.entry((order, record.application)).or_default();
                *turn = turn.saturating_add(1);
                wanted.push((order, *turn, Effect::Prove(index)));
                continue;
            }
            match action {
                Action::Wait | Action::Claim | Action::Prove => {}
                Action::GiveUp(_) if self.waits_for_events(record, head) => {}
                action => {
                    if is_made {
                        making.insert(record.supplier);
                    }
                    wanted.push((order, 0, Effect::Step(index, action)));
                }
            }
        }
        // One look for all sessions of a supplier, as long as they are being made ready within this block.
        self.look_since.retain(|supplier, _| looks.contains_key(supplier));
        looks.retain(|supplier, _| {
            let since = *self.look_since.entry(*supplier).or_insert(head);
            since < head || !making.contains(supplier)
        });
        let looks = looks
            .into_iter()
            .filter(|(supplier, (_, from))| self.may_look(supplier, *from));
        wanted.extend(looks.map(|(supplier, (order, _))| (order, 0, Effect::Look(supplier))));
        wanted.sort_by_key(|(order, turn, _)| (*order, *turn));
        let is_step = |job: &&Job| matches!(job, Job::Session(index) if !self.sending.contains(index));
        let is_look = |job: &&Job| matches!(job, Job::Look(..));
        let mut steps = MAX_STEPS.saturating_sub(self.busy.iter().filter(is_step).count());
        let mut looks = MAX_LOOKS.saturating_sub(self.busy.iter().filter(is_look).count());
        let mut proofs = self.room_for_proofs();
        for (.., effect) in wanted {
            let (job, room) = match &effect {
                Effect::Prove(_) if proofs == 0 => continue,
                Effect::Prove(index) | Effect::Step(index, _) => (Job::Session(*index), &mut steps),
                Effect::Look(supplier) => (Job::Look(*supplier, head), &mut looks),
                _ => continue, // is planned elsewhere
            };
            if *room == 0 {
                continue;
            }
            *room -= 1;
            if let Effect::Prove(index) = effect {
                proofs -= 1;
                self.proving.insert(index);
                self.early.insert(index, head);
            }
            self.busy.insert(job);
            effects.push(effect);
        }
        effects.extend(self.rehearsals(head, sessions, &making, limits));
        effects.extend(self.batches(head, sessions, limits));
        effects
    }

    /// How many more proofs may be made.
    fn room_for_proofs(&self) -> usize {
        let ready = self.ready.values().filter(|ready| ready.kind == Kind::Proof);
        let (mut count, mut bytes) = (self.proving.len(), 0_usize);
        for message in ready.map(|ready| &ready.message).chain(self.made.values()) {
            count = count.saturating_add(1);
            bytes = bytes.saturating_add(message.value.len());
        }
        match bytes < MAX_READY_PROOF_BYTES {
            true => MAX_READY_PROOFS.saturating_sub(count),
            false => 0,
        }
    }

    /// Whether nothing is in progress.
    pub(crate) fn is_idle(&self) -> bool {
        self.busy.is_empty() && self.halves.is_empty()
    }

    /// Whether something failed that is to be begun again.
    pub(crate) fn has_failed(&self) -> bool {
        !self.failed.is_empty()
    }

    /// What failed may begin again.
    pub(crate) fn retry(&mut self) {
        self.failed.clear();
    }

    /// The chain went back: what is known of it is in doubt. What is in progress is not heard any more.
    pub(crate) fn forget(&mut self) {
        *self = Self::default();
    }

    /// A job ended; one that failed waits for the next block.
    pub(crate) fn ended(&mut self, job: Job, failed: bool) {
        self.busy.remove(&job);
        if failed {
            self.failed.insert(job);
        }
        match job {
            Job::Session(index) => _ = self.proving.remove(&index),
            Job::Settle(height) if !failed => _ = self.settled.insert(height),
            Job::Learn(fact) if !failed => _ = self.learned.insert(fact),
            Job::Look(..) | Job::DrawEarly | Job::Settle(_) | Job::Learn(_) | Job::Rehearse(_) => {}
        }
    }

    /// A task ended without a word.
    pub(crate) fn abandoned(&mut self, jobs: &[Job]) {
        let mut sent = false;
        for job in jobs {
            if let Job::Session(index) = job {
                sent |= self.sending.remove(index);
            }
            self.ended(*job, true);
        }
        self.sends = self.sends.saturating_sub(usize::from(sent));
    }

    /// Whether a look at `supplier`, begun at `height`, says something that `session` waits for.
    pub(crate) fn wants_look(&self, session: &Session, supplier: &Address, height: Height) -> bool {
        let record = &session.record;
        record.supplier == *supplier
            && (!self.busy.contains(&Job::Session(session.index)) || self.proving.contains(&session.index))
            && !self.ready.contains_key(&session.index)
            && !self.due_proofs.contains(&session.index)
            && self
                .looked
                .get(&session.index)
                .is_none_or(|looked| *looked < height)
            && matches!(
                next::next(record, height, session.in_flight, u32::MAX),
                Action::Claim | Action::Prove
            )
    }

    /// Takes into account what a look, begun when `height` was the newest block, found; `head` is the newest block now.
    pub(crate) fn looked(
        &mut self,
        index: u64,
        record: &SessionRecord,
        on_chain: Option<&Claim>,
        height: Height,
        head: Height,
    ) -> Seen {
        self.looked.insert(index, height);
        match next::next(record, height, 0, u32::MAX) {
            Action::Claim => match next::claim_step(record, on_chain, height) {
                ClaimStep::OnChain => {
                    let is_unproved = on_chain.is_some_and(|claim| {
                        claim.proof_validation_status() == ClaimProofStatus::PendingValidation
                    });
                    if is_unproved && height >= record.windows.proof_open {
                        // No claim is replaced any more: there is nothing to look for before the proof, if one is asked for.
                        match self.made.remove(&index) {
                            Some(message) => self.ready(index, Kind::Proof, message, head),
                            None if self.was_drawn(index) == Some(false) => {}
                            None => _ = self.due_proofs.insert(index),
                        }
                    }
                    self.looked.remove(&index); // the proof may be due at this same block
                    Seen::Claimed
                }
                ClaimStep::Foreign => Seen::Lost(ExpiredReason::ForeignClaim),
                ClaimStep::Missed if record.claim.unfunded => Seen::Lost(ExpiredReason::Unfunded),
                ClaimStep::Missed => Seen::Lost(ExpiredReason::ClaimWindowMissed),
                ClaimStep::Send if head < record.windows.claim_close => Seen::ClaimDue,
                ClaimStep::Send | ClaimStep::Wait => Seen::Nothing,
            },
            Action::Prove => match next::proof_step(record, on_chain, height) {
                ProofStep::Proved => Seen::Proved,
                ProofStep::Foreign => Seen::Lost(ExpiredReason::ForeignClaim),
                ProofStep::Send if head < record.windows.proof_close => {
                    match self.made.remove(&index) {
                        Some(message) => self.ready(index, Kind::Proof, message, head),
                        None => _ = self.due_proofs.insert(index),
                    }
                    Seen::ProofDue
                }
                ProofStep::Send | ProofStep::Wait => Seen::Nothing,
            },
            _ => Seen::Nothing,
        }
    }

    /// A proof is made: it is ready if it is due, and waits for a look otherwise.
    pub(crate) fn made(&mut self, index: u64, message: Any, head: Height) {
        if self.due_proofs.contains(&index) {
            self.ready(index, Kind::Proof, message, head);
        } else {
            self.made.insert(index, message);
        }
    }

    /// A message is made, and to be sent.
    pub(crate) fn ready(&mut self, index: u64, kind: Kind, message: Any, head: Height) {
        self.due_proofs.remove(&index);
        self.ready.insert(
            index,
            Ready {
                kind,
                message,
                since: head,
            },
        );
    }

    /// Whether a message of the session waits for its transaction, or is in one that is being handed over.
    pub(crate) fn is_sending(&self, index: u64) -> bool {
        self.ready.contains_key(&index) || self.sending.contains(&index)
    }

    /// There is no proof to send at this block.
    pub(crate) fn no_proof(&mut self, index: u64) {
        self.due_proofs.remove(&index);
    }

    /// A transaction was taken, or refused for good or for now.
    pub(crate) fn sent(&mut self, batch: &Batch) {
        self.sends = self.sends.saturating_sub(1);
        for (index, _) in &batch.messages {
            self.sending.remove(index);
            self.busy.remove(&Job::Session(*index));
        }
    }

    /// A transaction of several messages was refused: each half is tried alone, so that one bad message takes no other down.
    pub(crate) fn split(&mut self, mut batch: Batch) {
        self.sends = self.sends.saturating_sub(1);
        let half = Batch {
            messages: batch.messages.split_off(batch.messages.len() / 2),
            ..batch.clone()
        };
        self.halves.extend([batch, half]);
    }

    /// The last height up to which no settlement event can be missing.
    pub(crate) fn settled_up_to(&self, head: Height, sessions: &[Session]) -> Height {
        let open = self.settlement_heights(head, sessions);
        open.first().map_or(head, |first| Height(first.0 - 1))
    }

    /// Sessions whose claim or proof is not on chain although its window is about to close; each is told of once.
    pub(crate) fn alarms<'a>(
        &mut self,
        head: Height,
        sessions: &'a [Session],
    ) -> Vec<(Kind, &'a SessionRecord)> {
        let mut alarms = Vec::new();
        for session in sessions {
            if let Some(kind) = near_its_close(&session.record, head)
                && self.alarmed.insert((session.index, kind))
            {
                alarms.push((kind, &session.record));
            }
        }
        alarms
    }

    fn is_blocked(&self, job: Job) -> bool {
        self.busy.contains(&job) || self.failed.contains(&job)
    }

    /// Whether a look at a supplier may begin that is to say what can be done in a window that opened at `from`. One that began earlier, and takes
    /// its time, cannot say that.
    fn may_look(&self, supplier: &Address, from: Height) -> bool {
        let begun = |job: &Job| matches!(job, Job::Look(_, height) if *height < from);
        let running = || self.busy.range(looks_at(supplier));
        self.failed.range(looks_at(supplier)).next().is_none()
            && running().all(begun)
            && running().count() < MAX_LOOKS_OF_SUPPLIER
    }

    fn is_looked_at(&self, supplier: &Address) -> bool {
        self.busy.range(looks_at(supplier)).next().is_some()
    }

    fn waits_for_events(&self, record: &SessionRecord, head: Height) -> bool {
        let close = record.windows.proof_close;
        !self.settled.contains(&close) && head.0 <= close.0.saturating_add(MAX_SETTLEMENT_WAIT_BLOCKS)
    }

    /// Forgets what is over.
    fn prune(&mut self, head: Height, sessions: &[Session]) {
        let by_index: BTreeMap<u64, &Session> =
            sessions.iter().map(|session| (session.index, session)).collect();
        let in_window = |index: &u64, kind: Kind| {
            by_index
                .get(index)
                .is_some_and(|session| !session.record.stage.is_final() && head < kind.close(&session.record))
        };
        self.ready.retain(|index, ready| in_window(index, ready.kind));
        for half in &mut self.halves {
            let kind = half.kind;
            half.messages.retain(|(index, _)| {
                let is_in_time = in_window(index, kind);
                if !is_in_time {
                    self.sending.remove(index);
                    self.busy.remove(&Job::Session(*index));
                }
                is_in_time
            });
        }
        self.halves.retain(|half| !half.messages.is_empty());
        self.due_proofs.retain(|index| in_window(index, Kind::Proof));
        self.made.retain(|index, _| in_window(index, Kind::Proof));
        self.early.retain(|index, _| in_window(index, Kind::Proof));
        self.drawn.retain(|index, _| in_window(index, Kind::Proof));
        self.looked.retain(|index, _| by_index.contains_key(index));
        self.alarmed.retain(|(index, _)| by_index.contains_key(index));
        let heights: BTreeSet<Height> = sessions
            .iter()
            .map(|session| session.record.windows.proof_close)
            .collect();
        self.settled.retain(|height| heights.contains(height));
    }

    /// Heights with a settlement of an open session, of which the events are not known.
    fn settlement_heights(&self, head: Height, sessions: &[Session]) -> BTreeSet<Height> {
        sessions
            .iter()
            .filter(|session| session.record.is_unsettled())
            .map(|session| session.record.windows.proof_close)
            .filter(|height| *height <= head && !self.settled.contains(height))
            .collect()
    }

    fn settlements(&mut self, head: Height, sessions: &[Session]) -> Vec<Effect> {
        let busy = self
            .busy
            .iter()
            .filter(|job| matches!(job, Job::Settle(_)))
            .count();
        let heights: Vec<Height> = self
            .settlement_heights(head, sessions)
            .into_iter()
            .filter(|height| !self.is_blocked(Job::Settle(*height)))
            .take(MAX_SETTLEMENTS.saturating_sub(busy))
            .collect();
        let start = |height: Height| {
            self.busy.insert(Job::Settle(height));
            Effect::Settle(height)
        };
        heights.into_iter().map(start).collect()
    }

    /// Transactions to hand over: halves first, then what is ready, per supplier and kind. What is ready waits for its supplier's other
    /// messages as long as they are being made, but not beyond this block.
    fn batches(&mut self, head: Height, sessions: &[Session], limits: &Limits) -> Vec<Effect> {
        let mut batches = Vec::new();
        while self.sends < MAX_SENDS
            && let Some(half) = self.halves.pop()
        {
            self.sends += 1;
            batches.push(Effect::Send(half));
        }
        let making = self.being_made(head, sessions);
        let mut groups: BTreeMap<(Kind, Address), Vec<(Order, &Session)>> = BTreeMap::new();
        // The claim of a session whose proof is being made early is sent again when that is done.
        let is_free = |session: &&Session| !self.proving.contains(&session.index);
        for session in sessions.iter().filter(is_free) {
            if let Some(ready) = self.ready.get(&session.index) {
                let record = &session.record;
                let worth = record.seal.map_or(Upokt(0), |seal| seal.worth);
                let order = (ready.kind.close(record), Reverse(worth));
                groups
                    .entry((ready.kind, record.supplier))
                    .or_default()
                    .push((order, session));
            }
        }
        let mut groups: Vec<_> = groups.into_iter().collect();
        groups.sort_by_key(|(_, group)| group.iter().map(|(order, _)| *order).min());
        for ((kind, supplier), group) in groups {
            let waits = |session: &Session| {
                self.ready
                    .get(&session.index)
                    .is_some_and(|ready| ready.since == head)
            };
            let still_made = making.contains(&(kind, supplier));
            if still_made
                && group.iter().all(|(_, session)| waits(session))
                && group.len() < limits.max_messages
            {
                continue;
            }
            let packed = group.into_iter().filter_map(|(_, session)| {
                let ready = self.ready.get(&session.index)?;
                Some(Packed::new(session, kind, ready.message.clone()))
            });
            let full = pack(kind, supplier, packed.collect(), limits);
            for batch in full {
                if self.sends == MAX_SENDS {
                    return batches;
                }
                self.sends += 1;
                for (index, _) in &batch.messages {
                    self.ready.remove(index);
                    self.sending.insert(*index);
                    self.busy.insert(Job::Session(*index));
                }
                batches.push(Effect::Send(batch));
            }
        }
        batches
    }

    /// Suppliers of which a message is being made, by kind.
    fn being_made(&self, head: Height, sessions: &[Session]) -> BTreeSet<(Kind, Address)> {
        let kind = |session: &Session| {
            let record = &session.record;
            let windows = &record.windows;
            let busy =
                self.busy.contains(&Job::Session(session.index)) && !self.sending.contains(&session.index);
            let looked = self
                .looked
                .get(&session.index)
                .is_some_and(|looked| *looked >= head);
            let looking = !looked && self.is_looked_at(&record.supplier);
            if !(busy || looking) || self.ready.contains_key(&session.index) {
                return None;
            }
            match record.stage {
                Stage::Open | Stage::Draining | Stage::Sealed | Stage::ClaimSent
                    if head >= windows.claim_open =>
                {
                    Some((Kind::Claim, record.supplier))
                }
                Stage::ClaimOnChain | Stage::ProofRequired | Stage::ProofSent
                    if head >= windows.proof_open =>
                {
                    Some((Kind::Proof, record.supplier))
                }
                _ => None,
            }
        };
        sessions.iter().filter_map(kind).collect()
    }
}

/// All looks at a supplier, whenever they began.
const fn looks_at(supplier: &Address) -> RangeInclusive<Job> {
    Job::Look(*supplier, Height(i64::MIN))..=Job::Look(*supplier, Height(i64::MAX))
}

/// When it is too late for what a session needs next.
fn deadline(record: &SessionRecord) -> Height {
    match record.stage {
        Stage::Open | Stage::Draining | Stage::Sealed | Stage::ClaimSent => record.windows.claim_close,
        Stage::ClaimOnChain | Stage::ProofRequired | Stage::ProofSent => record.windows.proof_close,
        _ => Height(i64::MAX),
    }
}

#[cfg(test)]
mod tests;
