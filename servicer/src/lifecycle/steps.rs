//! What the planner asks for, done: each effect asks the chain or the disk, and hands back what it found. None changes a record in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use portico_client::{BlockEvents, BlockHead, Chain, ChainError, KeepEvent};
use portico_protocol::wire::pocket;
use portico_protocol::wire::pocket::application::Application;
use portico_protocol::wire::pocket::proof::{
    Claim, ClaimProofStatus, MsgSubmitProof, ProofRequirementReason,
};
use portico_protocol::{Address, BlockHash, Height, claim, proof, tx};
use portico_smst::Path;
use tokio::task::{JoinSet, spawn_blocking};

use crate::leaf_log::{LeafLog, LeafLogError};
use crate::lifecycle::error::DriverError;
use crate::lifecycle::funds::Funds;
use crate::lifecycle::next::Action;
use crate::lifecycle::orders::{Batch, Kind};
use crate::lifecycle::plan::{Fact, Job};
use crate::lifecycle::prove::{self, ProofFault};
use crate::lifecycle::read_back::leave_out_damaged;
use crate::lifecycle::remembered::{Remembered, answered, late};
use crate::lifecycle::submit::{Submitter, Unsent};
use crate::metrics::Metrics;
use crate::relay::served::Serving;
use crate::relay::writer::Writer;
use crate::session::record::{Seal, SessionRecord, Windows};
use crate::session::stage::{ExpiredReason, Stage};
use crate::session::tree::{SessionTree, SessionTrees};

/// Leaves deleted in one transaction, so that relays wait for it no longer than for one of their own commits.
const DELETE_BATCH: usize = 256;
/// Such transactions per step: a large session is deleted over several.
const MAX_DELETES_PER_STEP: usize = 64;
/// Time to ask for a height's events at first.
const MIN_SETTLEMENT_TIMEOUT: Duration = Duration::from_secs(60);
/// Longest time to ask for a height's events: those of a block that settles for a whole network take minutes to come.
const MAX_SETTLEMENT_TIMEOUT: Duration = Duration::from_secs(960);
/// Time to ask what became of transactions; without an answer they count as under way.
const TX_TIMEOUT: Duration = Duration::from_secs(5);

/// What the effects work with.
pub(crate) struct Work {
    pub(crate) chain: Arc<dyn Chain>,
    pub(crate) trees: Arc<SessionTrees>,
    pub(crate) log: Arc<dyn LeafLog>,
    pub(crate) writer: Arc<Writer>,
    pub(crate) submitter: Arc<Submitter>,
    pub(crate) serving: Arc<Serving>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) asked: Asked,
}

/// Answers that hold for all sessions.
#[derive(Default)]
pub(crate) struct Asked {
    /// Shared params in force at a height.
    shared_params: Remembered<Height, pocket::shared::Params>,
    /// Hashes of committed blocks.
    hashes: Remembered<Height, BlockHash>,
    /// Live proof params, by a height that was there when they were asked for.
    proof_params: Remembered<Height, pocket::proof::Params>,
    /// Applications, by a height that was there when they were asked for.
    applications: Remembered<(Height, Address), Application>,
}

impl Asked {
    /// The chain's newest block is told with its hash: it need not be asked for.
    pub(crate) fn told(&self, head: &BlockHead) {
        self.hashes.know(head.height, head.hash);
    }

    /// The chain went back.
    pub(crate) fn forget(&self) {
        self.shared_params.forget();
        self.hashes.forget();
        self.proof_params.forget();
        self.applications.forget();
    }
}

/// A session about which a look is to say something.
pub(crate) struct LookFor {
    pub(crate) session_id: String,
    /// What it has to send.
    pub(crate) kind: Kind,
    /// Whether that is a claim that was never sent.
    pub(crate) is_new: bool,
    /// Transaction that the mempool took last, unless that was at the look's height.
    pub(crate) tx: Option<String>,
}

impl LookFor {
    /// Whether the chain does not have yet what the session has to send.
    fn is_missing_in(&self, claims: &[Claim]) -> bool {
        let is_of = |claim: &&Claim| {
            let header = claim.session_header.as_ref();
            header.is_some_and(|header| header.session_id == self.session_id)
        };
        let claim = claims.iter().find(is_of);
        match self.kind {
            Kind::Claim => claim.is_none(),
            Kind::Proof => {
                claim.is_some_and(|claim| claim.proof_validation_status() != ClaimProofStatus::Validated)
            }
        }
    }
}

/// What became of an effect.
pub(crate) enum Done {
    /// A session's record after a step; `before` is the stage at which it began.
    Stepped {
        index: u64,
        before: Stage,
        record: Box<SessionRecord>,
    },
    /// What was asked for beforehand is known.
    Learned(Fact),
    /// Whether a proof will be asked for, by session.
    Drawn(Vec<(u64, bool)>),
    /// A transaction was simulated, or could not be: then that is told when it is handed over.
    Rehearsed(Job),
    /// A proof, or none; `before` is the stage at which it began.
    Proved {
        index: u64,
        before: Stage,
        made: Result<Option<prost_types::Any>, NoProof>,
    },
    /// The supplier's claims on chain, and why transactions failed, by hash.
    Looked {
        supplier: Address,
        height: Height,
        claims: Vec<Claim>,
        failed: BTreeMap<String, String>,
        /// Asked for when a claim is due; `None` also when the chain did not say.
        funds: Option<Funds>,
    },
    /// A height's settlement events; `None` when no node has them.
    Settled {
        height: Height,
        events: Option<BlockEvents>,
    },
    /// What became of a transaction.
    Sent {
        batch: Batch,
        outcome: Result<String, Unsent>,
    },
    /// The highest block that was taken into account and is still the chain's.
    Common {
        newest: BlockHead,
        common: Option<Height>,
    },
    /// Nothing came of it.
    Failed { job: Job, error: DriverError },
}

/// Why there is no proof, and whether there never will be one.
pub(crate) struct NoProof {
    pub(crate) fault: String,
    pub(crate) lost: Option<ExpiredReason>,
}

fn gone(index: u64) -> Done {
    Done::Failed {
        job: Job::Session(index),
        error: DriverError::Forgotten,
    }
}

impl Work {
    /// One step of a session.
    pub(crate) async fn step(self: Arc<Self>, index: u64, action: Action, head: Height) -> Done {
        let Some(tree) = self.trees.get(index) else {
            return gone(index);
        };
        let mut record = tree.record();
        let before = record.stage;
        let done = async {
            match action {
                Action::Drain => {
                    tree.stop_accepting();
                    record.stage = Stage::Draining;
                }
                Action::Seal => self.seal(&tree, &mut record, head).await?,
                Action::Draw => self.draw(&mut record).await?,
                Action::GiveUp(reason) => record.expire(reason, head),
                Action::DeleteLeaves => self.delete_leaves(&tree, &mut record).await?,
                Action::Wait | Action::Claim | Action::Prove => {}
            }
            Ok::<_, DriverError>(())
        };
        match done.await {
            Ok(()) => Done::Stepped {
                index,
                before,
                record: Box::new(record),
            },
            Err(error) => Done::Failed {
                job: Job::Session(index),
                error,
            },
        }
    }

    /// The proof of a session.
    pub(crate) async fn prove(self: Arc<Self>, index: u64) -> Done {
        let Some(tree) = self.trees.get(index) else {
            return gone(index);
        };
        let record = tree.record();
        let before = record.stage;
        match self.make_proof(&tree, record).await {
            Ok(made) => Done::Proved { index, before, made },
            Err(error) => Done::Failed {
                job: Job::Session(index),
                error,
            },
        }
    }

    /// Asks for what steps will need, so that it is there when they do.
    pub(crate) async fn learn(self: Arc<Self>, fact: Fact) -> Done {
        let asked = match fact {
            Fact::SharedParams(end) => self.shared_params(end).await.map(drop),
            Fact::ProofParams(height) => self.proof_params(height).await.map(drop),
            Fact::Application(end, address) => self.application(end, address).await.map(drop),
        };
        match asked {
            Ok(()) => Done::Learned(fact),
            Err(error) => Done::Failed {
                job: Job::Learn(fact),
                error: error.into(),
            },
        }
    }

    /// Simulates a transaction before it is known whether it is to be handed over.
    pub(crate) async fn rehearse(self: Arc<Self>, job: Job, batch: Batch, head: BlockHead) -> Done {
        if let Some(key) = self.serving.key(&batch.supplier) {
            let messages: Vec<_> = batch.messages.into_iter().map(|(_, message)| message).collect();
            if let Err(error) = self.submitter.rehearse(&key, &head, &messages).await {
                tracing::debug!(%error, supplier = %batch.supplier, "a transaction cannot be simulated beforehand");
            }
        }
        Done::Rehearsed(job)
    }

    /// The claims of a supplier.
    pub(crate) async fn look(
        self: Arc<Self>,
        supplier: Address,
        height: Height,
        sessions: Vec<LookFor>,
    ) -> Done {
        let hashes: BTreeSet<String> = sessions.iter().filter_map(|of| of.tx.clone()).collect();
        let funds = async {
            match sessions.iter().any(|session| session.is_new) {
                true => self.funds(&supplier, height).await,
                false => None,
            }
        };
        let asking = async { tokio::join!(answered(self.chain.claims_of(&supplier)), funds) };
        let failures = Arc::clone(&self).failures(hashes);
        let (mut asking, mut failures) = (std::pin::pin!(asking), std::pin::pin!(failures));
        let mut failed = None;
        let (claims, funds) = loop {
            tokio::select! {
                answer = &mut asking => break answer,
                told = &mut failures, if failed.is_none() => failed = Some(told),
            }
        };
        let claims = match claims {
            Ok(claims) => claims,
            Err(error) => {
                return Done::Failed {
                    job: Job::Look(supplier, height),
                    error: error.into(),
                };
            }
        };
        // What became of a transaction does not matter when the chain has what was in it.
        let is_open = |of: &LookFor| of.tx.is_some() && of.is_missing_in(&claims);
        let failed = match failed {
            Some(told) => told,
            None if sessions.iter().any(is_open) => failures.await,
            None => BTreeMap::new(),
        };
        Done::Looked {
            supplier,
            height,
            claims,
            failed,
            funds,
        }
    }

    /// Why transactions failed, by hash. Without an answer they count as under way.
    async fn failures(self: Arc<Self>, hashes: BTreeSet<String>) -> BTreeMap<String, String> {
        let mut asking = JoinSet::new();
        for hash in hashes {
            let work = Arc::clone(&self);
            asking.spawn(async move { (work.chain.tx(&hash).await, hash) });
        }
        let mut failed = BTreeMap::new();
        let answers = async {
            while let Some(answer) = asking.join_next().await {
                if let Ok((Ok(Some(result)), hash)) = answer
                    && result.code != 0
                {
                    let error = format!("{}/{}: {}", result.codespace, result.code, result.log);
                    failed.insert(hash, error);
                }
            }
        };
        let _ = tokio::time::timeout(TX_TIMEOUT, answers).await;
        failed
    }

    /// What the supplier's account holds, and what the chain takes from it.
    async fn funds(&self, supplier: &Address, head: Height) -> Option<Funds> {
        let (balance, params) = tokio::join!(answered(self.chain.balance(supplier)), self.proof_params(head));
        match (balance, params) {
            (Ok(balance), Ok(params)) => Some(Funds { balance, params }),
            (Err(error), _) | (_, Err(error)) => {
                tracing::warn!(%error, %supplier, "what the supplier's account holds cannot be asked");
                None
            }
        }
    }

    /// The settlement events of a height that `keep` wants; each of the `failures` so far doubles the time for the answer. A node that has not
    /// executed the block yet may say that there is none.
    pub(crate) async fn settle(
        self: Arc<Self>,
        height: Height,
        keep: KeepEvent,
        failures: u32,
        long_ago: bool,
    ) -> Done {
        let asking = self.chain.block_events(height, keep);
        let time = MIN_SETTLEMENT_TIMEOUT.saturating_mul(2_u32.saturating_pow(failures));
        let answer = tokio::time::timeout(time.min(MAX_SETTLEMENT_TIMEOUT), asking).await;
        match answer.unwrap_or_else(|_| Err(late())) {
            Ok(events) => Done::Settled {
                height,
                events: Some(events),
            },
            Err(error) if long_ago && !error.is_retryable() => {
                tracing::warn!(%error, height = height.0, "settlement events are gone");
                Done::Settled { height, events: None }
            }
            Err(error) => Done::Failed {
                job: Job::Settle(height),
                error: error.into(),
            },
        }
    }

    /// Hands a transaction over.
    pub(crate) async fn send(self: Arc<Self>, batch: Batch, head: BlockHead) -> Done {
        let outcome = match self.serving.key(&batch.supplier) {
            Some(key) => {
                let (sessions, messages): (Vec<_>, Vec<_>) = batch.messages.iter().cloned().unzip();
                self.submitter
                    .send(batch.kind, &key, &head, &sessions, messages)
                    .await
            }
            None => Err(Unsent::Refused(
                "the key of this supplier is not configured".to_owned(),
            )),
        };
        Done::Sent { batch, outcome }
    }

    /// The highest block that was taken into account and is still the chain's: the cursor, unless the chain went back. That is seen by the
    /// hash when it has grown to the cursor or beyond since, as it may while its node does not answer. `None` when the chain does not answer:
    /// the next block asks again.
    pub(crate) async fn common(
        self: Arc<Self>,
        newest: BlockHead,
        cursor: Height,
        recent: BTreeMap<Height, BlockHash>,
    ) -> Done {
        let looking = async {
            let mut common = cursor.min(newest.height);
            let mut replaced = false;
            for (&height, hash) in recent.range(..=newest.height).rev() {
                let now = if height == newest.height {
                    newest.hash
                } else {
                    match answered(self.chain.block(height)).await {
                        Ok(block) => block.hash,
                        Err(error) if error.is_retryable() => return None,
                        Err(_) => *hash, // forgotten by the node: nothing to compare with
                    }
                };
                if now == *hash {
                    return Some(if replaced { height } else { common });
                }
                replaced = true;
                common = Height(0); // unless an older one is still there
            }
            Some(common)
        };
        let common = looking.await;
        Done::Common { newest, common }
    }

    /// Deletes leaves of a finished session; those of a large one over several steps.
    async fn delete_leaves(
        &self,
        tree: &Arc<SessionTree>,
        record: &mut SessionRecord,
    ) -> Result<(), DriverError> {
        let (log, index) = (Arc::clone(&self.log), tree.index);
        let deleting = spawn_blocking(move || {
            for _ in 0..MAX_DELETES_PER_STEP {
                if log.delete_leaves(index, DELETE_BATCH)? < DELETE_BATCH {
                    return Ok::<_, LeafLogError>(true);
                }
            }
            Ok(false)
        });
        if deleting.await?? {
            record.deleted_leaves = Some(record.seal.map_or(0, |seal| seal.leaves));
            tree.drop_leaves();
        }
        Ok(())
    }

    async fn block_hash(&self, height: Height) -> Result<BlockHash, ChainError> {
        let asking = async { Ok(self.chain.block(height).await?.hash) };
        self.asked.hashes.get(height, asking).await
    }

    async fn shared_params(&self, end: Height) -> Result<pocket::shared::Params, ChainError> {
        let asking = self.chain.shared_params(Some(end));
        self.asked.shared_params.get(end, asking).await
    }

    /// The live proof params, asked for when there was a block at `height`.
    async fn proof_params(&self, height: Height) -> Result<pocket::proof::Params, ChainError> {
        let asking = self.chain.proof_params();
        self.asked.proof_params.get(height, asking).await
    }

    /// The application, asked for when there was a block at `height`.
    async fn application(&self, height: Height, address: Address) -> Result<Application, ChainError> {
        let asking = self.chain.application(&address);
        self.asked.applications.get((height, address), asking).await
    }

    /// Fixes what the claim says. The caller stores it before anything is broadcast.
    async fn seal(
        &self,
        tree: &Arc<SessionTree>,
        record: &mut SessionRecord,
        head: Height,
    ) -> Result<(), DriverError> {
        let params = self.shared_params(record.end).await?;
        record.windows = Windows::new(&params, record.end);
        let (writer, log, sealed) = (Arc::clone(&self.writer), Arc::clone(&self.log), Arc::clone(tree));
        let (of, pressing) = (record.clone(), head >= record.windows.claim_middle());
        let sealing = spawn_blocking(move || {
            sealed.stop_accepting();
            writer.close(&sealed);
            let damaged = leave_out_damaged(&sealed, &of, log.as_ref(), pressing)?;
            let root = sealed.leaves().set.root();
            Ok::<_, LeafLogError>((root, damaged))
        });
        let (root, damaged) = sealing.await??;
        if damaged > 0 {
            record.damaged_leaves = damaged;
            self.metrics.damaged(damaged);
            tracing::error!(
                session = record.session_id, supplier = %record.supplier, damaged,
                "leaves on disk are not what was written: they are not claimed"
            );
        }
        if root.count() == 0 {
            record.finish(Stage::Empty, head);
            return Ok(());
        }
        let mut bytes = [0; 48];
        bytes.copy_from_slice(root.as_ref());
        let amount = claim::claim_amount(
            &bytes,
            &record.target_hash,
            record.compute_units_to_tokens_multiplier,
            record.compute_unit_cost_granularity,
        );
        let worth = amount.map(|amount| amount.claimed).unwrap_or_else(|error| {
            tracing::error!(%error, session = record.session_id, "the claim's worth cannot be computed");
            portico_protocol::Upokt(0)
        });
        let compute_units = portico_protocol::ComputeUnits(root.sum());
        record.seal = Some(Seal {
            root: bytes,
            leaves: root.count(),
            compute_units,
            worth,
            height: head,
        });
        record.stage = Stage::Sealed;
        tracing::info!(session = record.session_id, supplier = %record.supplier, leaves = root.count(), %worth, "session sealed");
        Ok(())
    }

    /// Draws whether the chain will ask for a proof, exactly as it does when the proof arrives (status pending).
    async fn draw(&self, record: &mut SessionRecord) -> Result<(), DriverError> {
        let Some(required) = self.is_proof_required(record).await? else {
            return Ok(());
        };
        record.proof_required = Some(required);
        record.stage = Stage::drawn(required);
        Ok(())
    }

    /// Draws for claims that are not on chain yet. Those of which the chain does not say what is needed are left out.
    pub(crate) async fn draw_early(self: Arc<Self>, sessions: Vec<u64>) -> Done {
        let mut drawn = Vec::new();
        for index in sessions {
            if let Some(tree) = self.trees.get(index)
                && let Ok(Some(required)) = self.is_proof_required(&tree.record()).await
            {
                drawn.push((index, required));
            }
        }
        Done::Drawn(drawn)
    }

    /// Whether the chain will ask for a proof; `None` without a seal.
    async fn is_proof_required(&self, record: &SessionRecord) -> Result<Option<bool>, ChainError> {
        let at = record.windows.seed();
        let (seed, params) = tokio::try_join!(self.block_hash(at), self.proof_params(at))?;
        let Some(seal) = record.seal else {
            return Ok(None);
        };
        let claim = Claim {
            supplier_operator_address: record.supplier.to_string(),
            session_header: Some(record.header()),
            root_hash: seal.root.to_vec(),
            ..Claim::default()
        };
        let reason = proof::proof_requirement(&claim, seal.worth, &seed, &params);
        let required = reason != ProofRequirementReason::NotRequired;
        tracing::info!(session = record.session_id, supplier = %record.supplier, ?reason, "proof requirement drawn");
        Ok(Some(required))
    }

    /// The message with a proof that passed the chain's checks here; `None` when the supplier's key is missing.
    async fn make_proof(
        &self,
        tree: &Arc<SessionTree>,
        record: SessionRecord,
    ) -> Result<Result<Option<prost_types::Any>, NoProof>, DriverError> {
        let Some(key) = self.serving.key(&record.supplier) else {
            return Ok(Ok(None));
        };
        let (seed, application) = tokio::try_join!(
            self.block_hash(record.windows.seed()),
            self.application(record.end, record.application)
        )?;
        let path = Path::new(proof::proof_path(&seed, &record.session_id));
        let (log, tree, sealed, public) = (
            Arc::clone(&self.log),
            Arc::clone(tree),
            record.clone(),
            key.public_key(),
        );
        let made = spawn_blocking(move || {
            let bytes = prove::build(&tree, &sealed, log.as_ref(), &path)?;
            prove::verify(&bytes, &sealed, &path, &application, &public)?;
            Ok::<_, ProofFault>(bytes)
        });
        Ok(match made.await? {
            Ok(bytes) => Ok(Some(tx::pack(&MsgSubmitProof {
                supplier_operator_address: record.supplier.to_string(),
                session_header: Some(record.header()),
                proof: bytes,
            }))),
            Err(fault) => {
                let error = &fault as &dyn std::error::Error;
                tracing::error!(error, session = record.session_id, supplier = %record.supplier, "no proof is sent");
                let lost = match fault {
                    ProofFault::RootMismatch => Some(ExpiredReason::RootMismatch),
                    ref fault if !fault.is_retryable() => Some(ExpiredReason::ProofNotVerified),
                    _ => None,
                };
                Err(NoProof {
                    fault: fault.to_string(),
                    lost,
                })
            }
        })
    }
}
