//! Performs the lifecycle: follows blocks, begins what [`Flow`] plans, stores what became of it.
//!
//! One task owns all transitions. It plans at each new block and whenever an effect ends, and never waits for one effect while another could
//! begin. What an effect found is on disk before anything follows from it; effects that fail are planned again.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use portico_client::{BlockEvents, BlockHead};
use portico_protocol::wire::pocket::proof::Claim;
use portico_protocol::{Address, BlockHash, Height, Upokt};
use tokio::task::{self, JoinSet, spawn_blocking};
use tokio_util::sync::CancellationToken;

use crate::lifecycle::error::DriverError;
use crate::lifecycle::funds::{Costs, Funds, Verdict};
use crate::lifecycle::missed::Unseen;
use crate::lifecycle::next;
use crate::lifecycle::orders::{Batch, Kind, Limits, Session, create_claim};
use crate::lifecycle::plan::{Effect, Flow, Job, Seen};
use crate::lifecycle::settlement::{Outcome, Settlement, of_sessions};
use crate::lifecycle::steps::{Done, LookFor, NoProof, Work};
use crate::lifecycle::submit::Unsent;
use crate::readiness::Progress;
use crate::relay::served::Serving;
use crate::session::lookup::Sessions;
use crate::session::record::{Sending, SessionRecord};
use crate::session::stage::{ExpiredReason, Stage};
use crate::session::tree::{SessionTree, SessionTrees};

/// Finished sessions of which the record is kept.
const MAX_FINISHED: usize = 10_000;
/// Time after which what failed is begun again when no other block comes.
const RETRY: Duration = Duration::from_secs(1);
/// Effects in progress from which on those that end are gathered for a moment: each plan goes over all sessions.
const MANY: usize = 16;
const GATHERING: Duration = Duration::from_millis(2);
/// Blocks of which the hash is remembered, to see how far a chain went back that has grown beyond since.
const MAX_RECENT: usize = 128;
/// Blocks after a height beyond which a node that does not know of its events has forgotten them.
const EVENTS_LATE_BLOCKS: i64 = 3;

/// The task that owns the lifecycle.
pub(crate) struct Driver {
    work: Arc<Work>,
    sessions: Arc<Sessions>,
    progress: Arc<Progress>,
    limits: Limits,
    flow: Flow,
    running: JoinSet<Done>,
    /// Jobs of running tasks.
    jobs: HashMap<task::Id, Vec<Job>>,
    /// Last height up to which everything was taken into account.
    cursor: Height,
    /// Newest block that was planned for.
    newest: BlockHead,
    /// Hashes of the newest blocks that were taken into account.
    recent: BTreeMap<Height, BlockHash>,
    /// Newest block whose ancestors were compared with `recent`.
    unseen: Unseen,
    compared: Option<BlockHead>,
    comparing: bool,
    /// Block of which all work is done.
    done: Option<BlockHead>,
    /// How often a height's events were asked for in vain.
    unsettled: BTreeMap<Height, u32>,
    /// Sessions whose record in memory is newer than that on disk, because the disk refused it.
    unstored: BTreeSet<u64>,
}

/// What effects changed.
#[derive(Default)]
struct Changes {
    /// Sessions, with the job that is to be done again when the disk refuses a seal.
    records: Vec<(Arc<SessionTree>, SessionRecord)>,
    /// Claims whose session is sealed, and whose look says that they are due.
    claims_due: Vec<u64>,
}

impl Driver {
    /// A driver that took everything up to `cursor` into account.
    pub(crate) fn new(
        work: Work,
        sessions: Arc<Sessions>,
        progress: Arc<Progress>,
        limits: Limits,
        cursor: Height,
    ) -> Self {
        Self {
            work: Arc::new(work),
            sessions,
            progress,
            limits,
            flow: Flow::default(),
            running: JoinSet::new(),
            jobs: HashMap::new(),
            cursor,
            newest: BlockHead::default(),
            recent: BTreeMap::new(),
            unseen: Unseen::default(),
            compared: None,
            comparing: false,
            done: None,
            unsettled: BTreeMap::new(),
            unstored: BTreeSet::new(),
        }
    }

    /// Follows blocks until `stop`.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let mut head = self.work.chain.head();
        loop {
            let newest = head.borrow_and_update().clone();
            if newest != self.newest {
                self.new_block(newest).await;
            }
            self.begin();
            self.finish_block().await;
            let again = self.flow.has_failed() || !self.unstored.is_empty();
            let ended = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                changed = head.changed() => match changed {
                    Ok(()) => continue,
                    Err(_) => return stop.cancelled().await,
                },
                Some(ended) = self.running.join_next_with_id() => ended,
                () = tokio::time::sleep(RETRY), if again => {
                    self.flow.retry();
                    self.store_again().await;
                    continue;
                }
            };
            if self.running.len() >= MANY {
                tokio::time::sleep(GATHERING).await;
            }
            let mut ended = vec![ended];
            while let Some(another) = self.running.try_join_next_with_id() {
                ended.push(another);
            }
            self.take(ended).await;
        }
    }

    /// A new block, or another one at a height that was seen.
    async fn new_block(&mut self, newest: BlockHead) {
        let head = newest.height;
        self.newest = newest;
        self.unseen.saw(head);
        self.flow.retry();
        if head < self.cursor {
            self.rewind(head).await;
        }
        self.work.asked.told(&self.newest);
        self.sessions.expire(head);
        self.progress.planned(head);
        self.work.metrics.planned(head.0);
        for (kind, record) in self.flow.alarms(head, &self.views()) {
            let (session, kind) = (&record.session_id, kind.name());
            self.work.metrics.deadline_near(kind);
            tracing::error!(
                session, supplier = %record.supplier, kind, height = head.0,
                "the window closes soon, and the chain does not have it yet"
            );
        }
    }

    /// Begins what can begin.
    fn begin(&mut self) {
        let head = self.newest.height;
        if !self.comparing && self.compared.as_ref() != Some(&self.newest) && head.0 > 0 {
            self.comparing = true;
            let work = Arc::clone(&self.work);
            self.running
                .spawn(work.common(self.newest.clone(), self.cursor, self.recent.clone()));
        }
        let views = self.views();
        for effect in self.flow.plan(head, &views, &self.limits) {
            let work = Arc::clone(&self.work);
            let (jobs, handle) = match effect {
                Effect::Step(index, _) | Effect::Prove(index) if work.trees.get(index).is_none() => {
                    self.flow.ended(Job::Session(index), false);
                    continue;
                }
                Effect::Step(index, action) => (
                    vec![Job::Session(index)],
                    self.running.spawn(work.step(index, action, head)),
                ),
                Effect::Prove(index) => (vec![Job::Session(index)], self.running.spawn(work.prove(index))),
                Effect::Learn(fact) => (vec![Job::Learn(fact)], self.running.spawn(work.learn(fact))),
                Effect::DrawEarly(sessions) => {
                    let drawing = work.draw_early(sessions);
                    (vec![Job::DrawEarly], self.running.spawn(drawing))
                }
                Effect::Rehearse(batch) => {
                    let Some(job) = batch.messages.first().map(|(index, _)| Job::Rehearse(*index)) else {
                        continue;
                    };
                    let rehearsing = work.rehearse(job, batch, self.newest.clone());
                    (vec![job], self.running.spawn(rehearsing))
                }
                Effect::Look(supplier) => {
                    let of = views
                        .iter()
                        .filter(|view| self.flow.wants_look(view, &supplier, head));
                    let sessions = of
                        .map(|view| LookFor {
                            session_id: view.record.session_id.clone(),
                            kind: kind_to_send(&view.record),
                            is_new: view.record.stage == Stage::Sealed,
                            tx: tx_to_ask(&view.record, head),
                        })
                        .collect();
                    (
                        vec![Job::Look(supplier, head)],
                        self.running.spawn(work.look(supplier, head, sessions)),
                    )
                }
                Effect::Settle(height) => {
                    let long_ago = head.0 > height.0.saturating_add(EVENTS_LATE_BLOCKS);
                    let waiting = views.iter().map(|view| &view.record);
                    let keep = of_sessions(waiting.filter(|record| record.is_unsettled()));
                    let failures = self.unsettled.get(&height).copied().unwrap_or_default();
                    (
                        vec![Job::Settle(height)],
                        self.running.spawn(work.settle(height, keep, failures, long_ago)),
                    )
                }
                Effect::Send(batch) => {
                    let jobs = batch
                        .messages
                        .iter()
                        .map(|(index, _)| Job::Session(*index))
                        .collect();
                    (jobs, self.running.spawn(work.send(batch, self.newest.clone())))
                }
            };
            self.jobs.insert(handle.id(), jobs);
        }
    }

    /// Sessions that have something left to do.
    fn views(&self) -> Vec<Session> {
        let view = |tree: Arc<SessionTree>| Session {
            index: tree.index,
            in_flight: tree.in_flight(),
            record: tree.record(),
        };
        let trees = self.work.trees.all().into_iter();
        trees.filter(|tree| !tree.is_forgotten()).map(view).collect()
    }

    /// When nothing is in progress any more: the block's work is done.
    async fn finish_block(&mut self) {
        let head = self.newest.height;
        let idle = self.running.is_empty() && self.flow.is_idle();
        if !idle || self.done.as_ref() == Some(&self.newest) || head.0 == 0 {
            return;
        }
        let cursor = self.flow.settled_up_to(head, &self.views());
        let counted = |tree: Arc<SessionTree>| tree.unsaved_counts().map(|record| (tree, record));
        let counted: Vec<_> = self.work.trees.all().into_iter().filter_map(counted).collect();
        let stored = self.put(&counted, Some(cursor)).await;
        match stored {
            Ok(()) => {
                for (tree, record) in counted {
                    tree.set_record(record);
                }
            }
            Err(error) => warn(&error, "relay counters were not stored"),
        }
        self.cursor = head;
        if let Err(error) = self.forget_oldest().await {
            warn(&error, "old sessions are not deleted");
        }
        self.done = Some(self.newest.clone());
        retire(&self.work.serving, &self.work.trees);
        let trees = self.work.trees.all();
        self.work
            .metrics
            .stages(trees.iter().map(|tree| tree.stage().name()));
        self.progress.block(head);
    }

    /// Takes into account what became of effects.
    async fn take(&mut self, ended: Vec<Result<(task::Id, Done), task::JoinError>>) {
        let mut changes = Changes::default();
        for done in ended {
            match done {
                Ok((id, done)) => {
                    self.jobs.remove(&id);
                    self.take_one(done, &mut changes).await;
                }
                Err(error) => {
                    tracing::error!(%error, "a task of the lifecycle failed");
                    let jobs = self.jobs.remove(&error.id());
                    self.comparing &= jobs.is_some();
                    self.flow.abandoned(&jobs.unwrap_or_default());
                }
            }
        }
        self.store(changes).await;
    }

    async fn take_one(&mut self, done: Done, changes: &mut Changes) {
        match done {
            Done::Stepped {
                index,
                before,
                record,
            } => {
                self.flow.ended(Job::Session(index), false);
                self.changed(index, before, *record, changes);
            }
            Done::Proved { index, before, made } => {
                self.flow.ended(Job::Session(index), false);
                match made {
                    Ok(Some(message)) => self.flow.made(index, message, self.newest.height),
                    Ok(None) => self.flow.no_proof(index),
                    Err(no_proof) => {
                        self.flow.no_proof(index);
                        self.not_proved(index, before, no_proof, changes);
                    }
                }
            }
            Done::Learned(fact) => self.flow.ended(Job::Learn(fact), false),
            Done::Drawn(required) => {
                self.flow.ended(Job::DrawEarly, false);
                self.flow.drawn(required);
            }
            Done::Rehearsed(job) => self.flow.ended(job, false),
            Done::Looked {
                supplier,
                height,
                claims,
                failed,
                funds,
            } => {
                self.flow.ended(Job::Look(supplier, height), false);
                let by_session: BTreeMap<&str, &Claim> = claims
                    .iter()
                    .filter_map(|claim| Some((claim.session_header.as_ref()?.session_id.as_str(), claim)))
                    .collect();
                for view in self.views() {
                    if self.flow.wants_look(&view, &supplier, height) {
                        let on_chain = by_session.get(view.record.session_id.as_str()).copied();
                        self.looked(view, on_chain, height, &failed, changes);
                    }
                }
                self.fund(&supplier, funds.as_ref(), changes);
            }
            Done::Settled { height, events } => {
                self.unsettled.remove(&height);
                let again = self.settled(height, &events.unwrap_or_default(), changes);
                self.flow.ended(Job::Settle(height), again);
            }
            Done::Sent { batch, outcome } => self.sent(batch, outcome, changes),
            Done::Common { newest, common } => {
                self.comparing = false;
                let Some(common) = common else {
                    self.compared = Some(newest);
                    return;
                };
                if common < self.cursor {
                    self.rewind(common).await;
                }
                self.recent.insert(newest.height, newest.hash);
                while self.recent.len() > MAX_RECENT {
                    self.recent.pop_first();
                }
                self.compared = Some(newest);
            }
            Done::Failed { job, error } => {
                if let Job::Settle(height) = job {
                    let failures = self.unsettled.entry(height).or_default();
                    *failures = failures.saturating_add(1);
                }
                self.flow.ended(job, true);
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, ?job, "it is tried again at the next block");
            }
        }
    }

    /// A session after a step, unless something else, such as its settlement, came first.
    fn changed(&self, index: u64, before: Stage, record: SessionRecord, changes: &mut Changes) {
        let pending = changes.records.iter().any(|(tree, _)| tree.index == index);
        if let Some(tree) = self.work.trees.get(index)
            && tree.stage() == before
            && !pending
        {
            changes.records.push((tree, record));
        }
    }

    /// There is no proof now, or never will be. A look may have changed the record meanwhile.
    fn not_proved(&self, index: u64, before: Stage, no_proof: NoProof, changes: &mut Changes) {
        let Some(tree) = self.work.trees.get(index) else {
            return;
        };
        let mut record = tree.record();
        record.proof.last_error = Some(no_proof.fault);
        if let Some(reason) = no_proof.lost {
            record.expire(reason, self.newest.height);
        }
        self.changed(index, before, record, changes);
    }

    fn looked(
        &mut self,
        view: Session,
        on_chain: Option<&Claim>,
        height: Height,
        failed: &BTreeMap<String, String>,
        changes: &mut Changes,
    ) {
        let (index, before) = (view.index, view.record.stage);
        let mut record = view.record;
        let missing = on_chain.is_none() || matches!(record.stage, Stage::ProofRequired | Stage::ProofSent);
        let sending = sending(&mut record);
        if missing
            && sending.accepted_at.is_some_and(|at| at < height)
            && let Some(hash) = sending.txs.last()
            && let Some(error) = failed.get(hash)
        {
            tracing::warn!(tx = %hash, error, "transaction failed in its block");
            let error = error.clone();
            sending.refused(error, true);
        }
        match self
            .flow
            .looked(index, &record, on_chain, height, self.newest.height)
        {
            Seen::Nothing | Seen::ProofDue => {}
            Seen::ClaimDue if self.is_provable(index) => changes.claims_due.push(index),
            Seen::ClaimDue => record.expire(ExpiredReason::RootMismatch, self.newest.height),
            Seen::Claimed => {
                record.claimed_on_chain = true;
                record.proof_required = self.flow.was_drawn(index);
                record.stage = record.proof_required.map_or(Stage::ClaimOnChain, Stage::drawn);
            }
            Seen::Proved => {
                record.proved = true;
                record.stage = Stage::ProofOnChain;
            }
            Seen::Lost(reason) => record.expire(reason, self.newest.height),
        }
        self.changed(index, before, record, changes);
    }

    /// Whether the leaves in memory are those that the sealed root counts: otherwise its claim is not sent again.
    fn is_provable(&self, index: u64) -> bool {
        let tree = self.work.trees.get(index);
        tree.is_none_or(|tree| tree.gives_sealed_root())
    }

    /// Holds back the claims of a supplier that it cannot pay for, and gives up those that cost more than they are worth. Claims that were sent
    /// before are sent again: what they may cost is set aside.
    fn fund(&self, supplier: &Address, funds: Option<&Funds>, changes: &mut Changes) {
        let head = self.newest.height;
        let (mut due, mut outstanding) = (Vec::new(), Vec::new());
        for view in self.views() {
            let record = &view.record;
            if record.supplier != *supplier {
                continue;
            }
            let is_new = record.stage == Stage::Sealed && changes.claims_due.contains(&view.index);
            match record.seal {
                Some(seal) if is_new => due.push((view.index, seal.worth)),
                _ => outstanding.push(view),
            }
        }
        if due.is_empty() {
            return;
        }
        let Some(funds) = funds else {
            // Not sending a claim is a certain loss: what is not known holds it back for half of the window only.
            changes.claims_due.retain(|index| {
                let tree = self
                    .work
                    .trees
                    .get(*index)
                    .filter(|_| due.iter().any(|(due, _)| due == index));
                tree.is_none_or(|tree| head >= tree.record().windows.claim_middle())
            });
            return;
        };
        let submitter = &self.work.submitter;
        let costs = Costs::new(submitter.fees(), &funds.params);
        let is_sent =
            |view: &Session| view.record.stage == Stage::ClaimSent || self.flow.is_sending(view.index);
        let outstanding = outstanding.iter().fold(0_u128, |sum, view| {
            sum.saturating_add(costs.outstanding(&view.record, is_sent(view)))
        });
        let percent = submitter.min_claim_value_percent();
        for (index, verdict) in costs.choose(funds.balance, outstanding, due, percent) {
            let pending = changes.records.iter_mut().find(|(tree, _)| tree.index == index);
            let Some((_, record)) = pending.filter(|(_, record)| record.stage == Stage::Sealed) else {
                continue;
            };
            if verdict == Verdict::Send {
                record.claim.unfunded = false;
                continue;
            }
            changes.claims_due.retain(|due| *due != index);
            self.withhold(record, verdict, funds.balance, head);
        }
    }

    /// Says why a claim is not sent.
    fn withhold(&self, record: &mut SessionRecord, verdict: Verdict, balance: Upokt, head: Height) {
        let worth = record.seal.map_or(Upokt(0), |seal| seal.worth);
        let (reason, error) = match verdict {
            Verdict::Send => return,
            Verdict::Unfunded { needed } => (
                ExpiredReason::Unfunded,
                format!(
                    "the account of {} holds {balance}; with this claim and its proof, and all that is under way, it needs {needed}",
                    record.supplier
                ),
            ),
            Verdict::Unprofitable { cost } => (
                ExpiredReason::Unprofitable,
                format!("the claim is worth {worth}, and costs {cost} on average"),
            ),
        };
        if !record.claim.unfunded {
            let (session, reason) = (&record.session_id, reason.name());
            self.work.metrics.withheld(reason);
            tracing::error!(session, supplier = %record.supplier, reason, error, "a claim is not sent");
        }
        record.claim.last_error = Some(error);
        if reason == ExpiredReason::Unfunded {
            record.claim.unfunded = true; // the account may be given more while the window is open
        } else {
            record.expire(reason, head);
        }
    }

    /// Takes what a height's events say into account; whether there are more of them than were told.
    fn settled(&self, height: Height, events: &BlockEvents, changes: &mut Changes) -> bool {
        let settlement = Settlement::new(&events.events);
        let mut told = 0_u64;
        if events.unreadable > 0 {
            let (height, events) = (height.0, events.unreadable);
            tracing::warn!(height, events, "settlement events are too large or malformed");
        }
        for tree in self.work.trees.all() {
            let mut record = tree.record();
            let outcome = record.is_unsettled().then(|| settlement.outcome(&record));
            let Some(outcome) = outcome.flatten() else {
                continue;
            };
            record.slashed = settlement.slashed(&record);
            match outcome {
                Outcome::Settled(settled) => {
                    record.settled = Some(settled);
                    // A proof in the last block of its window is settled in that same block.
                    record.proved |= record.proof_required == Some(true);
                    record.finish(Stage::Settled, height);
                }
                Outcome::Expired(reason) => {
                    let known = match record.stage {
                        Stage::Expired { reason } => Some(reason),
                        _ => None,
                    };
                    record.expire(known.unwrap_or(reason), height);
                }
            }
            told = told.saturating_add(1);
            // It is the last word, whatever a step says at the same time.
            changes.records.retain(|(other, _)| other.index != tree.index);
            changes.records.push((tree, record));
        }
        // The next answer is about the others only, so each brings some further.
        events.more && told > 0
    }

    fn sent(&mut self, batch: Batch, outcome: Result<String, Unsent>, changes: &mut Changes) {
        let outcome = match outcome {
            Err(Unsent::Halve(reason)) if batch.messages.len() > 1 => {
                tracing::info!(
                    kind = batch.kind.name(),
                    reason,
                    messages = batch.messages.len(),
                    "transaction halved"
                );
                return self.flow.split(batch);
            }
            Ok(hash) => Ok(hash),
            Err(Unsent::Halve(error) | Unsent::Refused(error)) => Err(error),
        };
        // The newest block when it was taken: it cannot be in that one.
        let height = self.newest.height;
        self.flow.sent(&batch);
        for (index, _) in &batch.messages {
            let Some(tree) = self.work.trees.get(*index) else {
                continue;
            };
            let mut record = tree.record();
            let before = record.stage;
            let (sending, stage) = match batch.kind {
                Kind::Claim => (&mut record.claim, Stage::ClaimSent),
                Kind::Proof => (&mut record.proof, Stage::ProofSent),
            };
            match &outcome {
                Ok(hash) => {
                    sending.accepted(hash.clone(), height);
                    if !before.is_final() {
                        record.stage = stage;
                    }
                }
                Err(error) => sending.refused(error.clone(), false),
            }
            self.changed(*index, before, record, changes);
        }
    }

    /// One durable transaction; memory follows the disk. A seal that the disk refuses is made again; anything else is in memory, and written
    /// when the disk takes it: the chain can be asked about it once more.
    async fn store(&mut self, mut changes: Changes) {
        let head = self.newest.height;
        for (_, record) in &mut changes.records {
            self.unseen.explain(record);
        }
        if !changes.records.is_empty() {
            let stored = self.put(&changes.records, None).await;
            if let Err(error) = &stored {
                warn(error, "sessions are not stored yet");
            }
            for (tree, record) in changes.records {
                let before = tree.record();
                if stored.is_err() {
                    if record.seal != before.seal {
                        self.flow.ended(Job::Session(tree.index), true);
                        continue;
                    }
                    self.unstored.insert(tree.index);
                }
                tree.set_record(record);
                self.tell(&before, &tree.record());
            }
        }
        for index in changes.claims_due {
            if let Some(tree) = self.work.trees.get(index) {
                self.flow
                    .ready(index, Kind::Claim, create_claim(&tree.record()), head);
            }
        }
    }

    /// Logs and counts what a stored transition means.
    fn tell(&self, before: &SessionRecord, record: &SessionRecord) {
        let session = &record.session_id;
        if record.claimed_on_chain && !before.claimed_on_chain {
            self.work
                .metrics
                .claimed(record.seal.map_or_else(Default::default, |seal| seal.worth));
        }
        if before.stage.is_final() && record.stage != Stage::Settled {
            return;
        }
        match (record.stage, &record.settled) {
            (Stage::Settled, Some(settled)) => {
                tracing::info!(session, supplier = %record.supplier, settled = %settled.settled, "claim settled");
                self.work.metrics.settled(settled.settled);
            }
            (Stage::Expired { reason }, _) => {
                if reason == ExpiredReason::ForeignClaim {
                    self.work.metrics.foreign_claim();
                }
                let worth = record.seal.map_or_else(Default::default, |seal| seal.worth);
                self.work.metrics.lost(reason.name(), &record.service, worth);
                tracing::error!(session, supplier = %record.supplier, ?reason, "session is not paid");
            }
            _ => {}
        }
    }

    /// Writes what the disk refused before.
    async fn store_again(&mut self) {
        let trees = self
            .unstored
            .iter()
            .filter_map(|index| self.work.trees.get(*index));
        let records: Vec<_> = trees.map(|tree| (Arc::clone(&tree), tree.record())).collect();
        if self.put(&records, None).await.is_ok() {
            self.unstored.clear();
        }
    }

    async fn put(
        &self,
        records: &[(Arc<SessionTree>, SessionRecord)],
        cursor: Option<Height>,
    ) -> Result<(), DriverError> {
        if records.is_empty() && cursor.is_none() {
            return Ok(());
        }
        let cursor = cursor.filter(|_| self.unstored.is_empty());
        let records: Vec<_> = records
            .iter()
            .map(|(tree, record)| (tree.index, record.clone()))
            .collect();
        let log = Arc::clone(&self.work.log);
        spawn_blocking(move || log.put(&records, cursor)).await??;
        Ok(())
    }

    /// The chain went back, by a rollback of its operator's: what was seen in the blocks above is looked for again.
    async fn rewind(&mut self, head: Height) {
        self.running.abort_all();
        while self.running.join_next().await.is_some() {}
        self.jobs.clear();
        self.comparing = false;
        self.unsettled.clear();
        self.flow.forget();
        self.work.asked.forget();
        self.work.submitter.rewound(head);
        let rewound =
            |tree: Arc<SessionTree>| next::rewound(&tree.record(), head).map(|record| (tree, record));
        let changed: Vec<_> = self.work.trees.all().into_iter().filter_map(rewound).collect();
        let (from, to, sessions) = (self.cursor.0, head.0, changed.len());
        tracing::warn!(
            from,
            to,
            sessions,
            "the chain went back: its claims and proofs are looked at again"
        );
        // A finished session that was read from disk has no leaves in memory.
        let (log, trees): (_, Vec<_>) = (
            Arc::clone(&self.work.log),
            changed.iter().map(|(tree, _)| tree.clone()).collect(),
        );
        let loading = spawn_blocking(move || {
            trees
                .iter()
                .try_for_each(|tree| tree.load_leaves(|visit| log.scan(tree.index, visit)))
        });
        let loaded = match loading.await {
            Ok(loaded) => loaded.map_err(DriverError::from),
            Err(error) => Err(error.into()),
        };
        if let Err(error) = loaded {
            warn(
                &error,
                "leaves of sessions that are looked at again cannot be read",
            );
        }
        if let Err(error) = self.put(&changed, Some(head)).await {
            warn(&error, "sessions are not stored yet");
            self.unstored.extend(changed.iter().map(|(tree, _)| tree.index));
        }
        for (tree, record) in changed {
            tree.set_record(record);
        }
        self.cursor = head;
        self.recent.retain(|height, _| *height <= head);
        self.compared = None;
        self.done = None;
    }

    /// Deletes the oldest records of sessions without leaves when there are too many.
    async fn forget_oldest(&self) -> Result<(), DriverError> {
        let finished: Vec<u64> = self
            .work
            .trees
            .all()
            .iter()
            .filter(|tree| tree.is_forgotten())
            .map(|tree| tree.index)
            .collect();
        if finished.len() > MAX_FINISHED {
            let oldest = finished[..finished.len() - MAX_FINISHED].to_vec();
            self.work.trees.remove(&oldest);
            let log = Arc::clone(&self.work.log);
            spawn_blocking(move || log.delete_sessions(&oldest)).await??;
        }
        Ok(())
    }
}

/// What a session sends next, or has under way.
const fn kind_to_send(record: &SessionRecord) -> Kind {
    match record.stage {
        Stage::ProofRequired | Stage::ProofSent => Kind::Proof,
        _ => Kind::Claim,
    }
}

/// The message that a session has under way.
const fn sending(record: &mut SessionRecord) -> &mut Sending {
    match kind_to_send(record) {
        Kind::Proof => &mut record.proof,
        Kind::Claim => &mut record.claim,
    }
}

/// The transaction that a look at `head` asks about: it had a block to be in.
fn tx_to_ask(record: &SessionRecord, head: Height) -> Option<String> {
    let sending = match kind_to_send(record) {
        Kind::Proof => &record.proof,
        Kind::Claim => &record.claim,
    };
    sending.accepted_at.filter(|at| *at < head)?;
    sending.txs.last().cloned()
}

fn warn(error: &DriverError, what: &'static str) {
    tracing::warn!(error = error as &dyn std::error::Error, "{what}");
}

/// Lets go of keys that nothing waits for any more.
fn retire(serving: &Serving, trees: &SessionTrees) {
    if !serving.has_leaving() {
        return;
    }
    let unsettled: BTreeSet<Address> = trees.unsettled().into_keys().collect();
    for supplier in serving.retire(&unsettled) {
        tracing::info!(%supplier, "all of its sessions are settled; its key is let go of");
    }
}
