//! The state machine: the modules of `portico-chain` over the store, as an engine sees them.
//!
//! ```text
//!  durable tip ◄── overlay (block h+1) ◄── overlay (block h+2)     Overlays: by block id
//!       │               changes, tries, results of the block, its bytes
//!       └── View: what queries read; replaced at each commit
//! ```
//! A block is executed over the tip's state and the changes of the overlays below it, gathered when it begins: no overlay holds on to
//! another one, or to a version of the store that is not the newest.

mod after;
mod below;
mod judge;
mod signer;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use bytes::Bytes;
use portico_chain::block::{BlockContext, BlockOutcome, Execution};
use portico_chain::state::{Changes, StateError};
use portico_client::BlockHead;
use portico_config::node::MempoolConfig;
use portico_engine::{
    Block as Built, BlockId, Committed, MAX_OVERLAYS, MachineError, Overlays, Slot, StateMachine, Tip,
    TxSource, Verdict,
};
use portico_protocol::Height;
use portico_store::{BlockWrite, ChainStore, Snapshot};
use prost::Message as _;
use tendermint::{Block, chain};
use tokio::sync::watch;

use crate::NodeError;
use crate::block::{self, BlockError, bytes_of};
use crate::hash::tx_hash;
use crate::mempool::Mempool;
use crate::metrics::Metrics;
use crate::signatures::Signatures;
use crate::state::{Durable, State, writes};
use crate::validators::Validators;
use after::After;
use below::Below;

pub(crate) use signer::Signer;

/// What does not change while a chain lives.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    pub(crate) chain_id: chain::Id,
    pub(crate) genesis_time_ms: u64,
    /// Who commits to blocks until the first change.
    pub(crate) validators: Arc<Validators>,
}

impl Rules {
    /// Context of the block after `after`.
    fn context(&self, after: &After, time_ms: u64) -> BlockContext {
        let height = after.height.saturating_add(1);
        BlockContext {
            chain_id: self.chain_id.to_string(),
            height: Height(height),
            time_ms,
            hash: [0; 32], // an execution ends with it
            proposer_account: after.validators.proposer(height).1.to_string(),
        }
    }

    /// Context of transactions that wait for the block after `after`.
    fn pending(&self, after: &After) -> BlockContext {
        self.context(after, after.time_ms)
    }
}

/// The newest committed version, as queries read it.
pub(crate) struct View {
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) head: BlockHead,
    /// Root of the state after the head.
    pub(crate) app_hash: [u8; 32],
}

/// The chain's state machine.
pub(crate) struct Machine {
    store: ChainStore,
    pub(crate) rules: Rules,
    pub(crate) mempool: Arc<Mempool>,
    signatures: Arc<Signatures>,
    /// Held to pick and to advance only, never while the disk is waited for.
    core: Mutex<Core>,
    /// Held by whoever commits.
    committing: Mutex<()>,
    view: RwLock<Arc<View>>,
    head: watch::Sender<BlockHead>,
    metrics: Metrics,
}

struct Core {
    tip: After,
    /// State after the tip.
    state: State,
    overlays: Overlays<Arc<Executed>>,
}

/// A block that was executed and is not durable.
struct Executed {
    after: After,
    changes: Arc<Changes>,
    bytes: Bytes,
    results: Vec<u8>,
    tx_hashes: Vec<[u8; 32]>,
    failed_txs: usize,
}

fn refused(error: BlockError) -> MachineError {
    MachineError::Refused(error.0)
}

fn failed(error: impl std::error::Error + Send + Sync + 'static) -> MachineError {
    MachineError::Failed(Box::new(error))
}

impl Machine {
    /// Goes on from what `store` holds.
    pub(crate) fn open(
        store: ChainStore,
        rules: Rules,
        bounds: MempoolConfig,
        metrics: Metrics,
    ) -> Result<Self, NodeError> {
        let snapshot = Arc::new(store.snapshot()?);
        let state: State = Arc::new(Durable(snapshot.clone()));
        let tip = After::load(&snapshot, &rules)?;
        let context = rules.pending(&tip);
        let signatures = Arc::new(Signatures::default());
        let mempool = Mempool::new(
            bounds,
            state.clone(),
            context,
            signatures.clone(),
            metrics.clone(),
        );
        let view = View {
            head: tip.head(),
            app_hash: tip.app_hash,
            snapshot,
        };
        metrics.height.set(tip.height);
        Ok(Self {
            head: watch::Sender::new(view.head.clone()),
            view: RwLock::new(Arc::new(view)),
            core: Mutex::new(Core {
                overlays: Overlays::new(tip.block_id()),
                tip,
                state,
            }),
            committing: Mutex::new(()),
            mempool: Arc::new(mempool),
            signatures,
            store,
            rules,
            metrics,
        })
    }

    /// Who commits to the next block.
    pub(crate) fn next_validators(&self) -> Arc<Validators> {
        self.core().tip.validators.clone()
    }

    /// The chain's data.
    pub(crate) const fn store(&self) -> &ChainStore {
        &self.store
    }

    /// Gives the data back.
    pub(crate) fn into_store(self) -> ChainStore {
        self.store
    }

    fn core(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The newest committed version.
    pub(crate) fn view(&self) -> Arc<View> {
        self.view.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Follows the newest committed block.
    pub(crate) fn head(&self) -> watch::Receiver<BlockHead> {
        self.head.subscribe()
    }

    /// What a block on `parent` begins with.
    fn below(&self, parent: &BlockId) -> Result<Below, MachineError> {
        let core = self.core();
        let path: Vec<Arc<Executed>> = core.overlays.path(parent)?.into_iter().cloned().collect();
        let newest = path.first().map(|executed| &executed.after);
        Ok(Below {
            after: newest.unwrap_or(&core.tip).clone(),
            state: core.state.clone(),
            path,
        })
    }

    /// Ends the execution of a block on `below`, and keeps the block as an overlay; returns its id.
    fn keep(
        &self,
        below: &Below,
        execution: Execution<'_>,
        block: &Block,
        bytes: Bytes,
    ) -> Result<BlockId, MachineError> {
        let id = block::id(block, &bytes).map_err(refused)?;
        let mut outcome = execution.end(&bytes_of(&id.hash)).map_err(failed)?;
        let height = i64::from(block.header.height);
        warn_unknown(height, &outcome);
        let changes = std::mem::take(&mut outcome.changes);
        let mut tries = below.after.tries.clone();
        tries.apply(writes(&changes)).map_err(failed)?;
        let app_hash = tries.app_hash();
        let results = block::results(&outcome, app_hash);
        let changes = Arc::new(changes);
        let next_validators = self.validators_after(below, &changes, height)?;
        let executed = Executed {
            after: After {
                height,
                id: Some(id),
                time_ms: block::time_ms(block.header.time),
                tries,
                app_hash,
                results: block::results_hash(&results.tx_results),
                commit: None,
                committers: below.after.validators.clone(),
                validators: below.after.next_validators.clone(),
                next_validators,
            },
            changes,
            bytes,
            failed_txs: results.tx_results.iter().filter(|tx| tx.code != 0).count(),
            results: results.encode_to_vec(),
            tx_hashes: block.data.iter().map(|tx| tx_hash(tx)).collect(),
        };
        let id = executed.after.block_id();
        let mut core = self.core();
        core.overlays
            .insert(id, below.after.block_id(), Arc::new(executed))?;
        Ok(id)
    }

    /// Who commits to the second block after the one at `height` that stands on `below` and makes `changes`.
    fn validators_after(
        &self,
        below: &Below,
        changes: &Arc<Changes>,
        height: i64,
    ) -> Result<Arc<Validators>, MachineError> {
        let state = below.state_with(changes.clone());
        let (known, genesis) = (&below.after.next_validators, &self.rules.validators);
        Validators::following(&state, height.saturating_add(2), known, genesis).map_err(failed)
    }

    /// Who commits to the executed block `id`.
    pub(crate) fn committers(&self, id: &BlockId) -> Result<Arc<Validators>, MachineError> {
        let core = self.core();
        let executed = core.overlays.get(id).ok_or(MachineError::Unknown(*id))?;
        Ok(executed.after.committers.clone())
    }

    /// Who commits to the block at `height`; final for heights of up to two above the newest one.
    pub(crate) fn validators_at(&self, view: &View, height: i64) -> Result<Arc<Validators>, StateError> {
        Validators::at(&Durable(view.snapshot.clone()), height, &self.rules.validators)
    }

    /// The overlay to be committed.
    fn next(&self, id: &BlockId) -> Result<Arc<Executed>, MachineError> {
        self.core().overlays.next(id).cloned()
    }

    /// Writes `executed`, and goes on from it.
    fn write(&self, executed: &Executed, certificate: &[u8]) -> Result<(), MachineError> {
        let after = &executed.after;
        let commit = block::decode_commit(certificate).map_err(refused)?;
        if let Some(full_id) = &after.id {
            let (committers, chain_id) = (&after.committers, &self.rules.chain_id);
            block::verify_commit(committers, chain_id, &commit, after.height, full_id).map_err(refused)?;
        }
        let write = BlockWrite {
            height: after.height,
            id: after.hash(),
            app_hash: after.app_hash,
            tries: &after.tries,
            block: &executed.bytes,
            results: &executed.results,
            certificate,
            tx_hashes: &executed.tx_hashes,
        };
        if let Err(error) = self.store.commit(&write, writes(&executed.changes)) {
            if !error.is_unwritable() {
                return Err(failed(error));
            }
            self.metrics.writable.set(0);
            self.read_on();
            return Err(MachineError::Unwritable(Box::new(error)));
        }
        self.metrics.writable.set(1);
        let snapshot = Arc::new(self.store.snapshot().map_err(failed)?);
        let tip = After {
            commit: Some(commit),
            ..after.clone()
        };
        let state: State = Arc::new(Durable(snapshot.clone()));
        let before = {
            let mut core = self.core();
            core.overlays.advance(&tip.block_id());
            core.state = state.clone();
            std::mem::replace(&mut core.tip, tip.clone())
        };
        self.count(executed, before.time_ms); // before anybody is told
        self.publish(&tip, state, snapshot, &executed.tx_hashes)
    }

    /// Goes on reading the tip after the store was opened anew.
    fn read_on(&self) {
        let reopen = || {
            let tip = self.core().tip.clone();
            let snapshot = Arc::new(self.store.at(tip.height).map_err(failed)?);
            let state: State = Arc::new(Durable(snapshot.clone()));
            self.core().state = state.clone();
            self.show(&tip, state, snapshot, &[])
        };
        if let Err(error) = reopen() {
            tracing::warn!(error = %portico_protocol::causes(&error), "state cannot be read until the disk answers again");
        }
    }

    /// Shows the new tip to readers, and tells those who wait for the head.
    fn publish(
        &self,
        tip: &After,
        state: State,
        snapshot: Arc<Snapshot>,
        included: &[[u8; 32]],
    ) -> Result<(), MachineError> {
        self.show(tip, state, snapshot, included)?;
        self.head.send_replace(tip.head());
        Ok(())
    }

    /// Shows the tip to readers, the mempool first.
    fn show(
        &self,
        tip: &After,
        state: State,
        snapshot: Arc<Snapshot>,
        included: &[[u8; 32]],
    ) -> Result<(), MachineError> {
        let context = self.rules.pending(tip);
        self.mempool.advance(state, context, included).map_err(failed)?;
        let view = View {
            snapshot,
            head: tip.head(),
            app_hash: tip.app_hash,
        };
        *self.view.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(view);
        Ok(())
    }

    /// Height of the durable block `id`, unless it lies further below the tip than an engine asks.
    fn height_of(&self, id: &BlockId) -> Result<Option<i64>, MachineError> {
        let snapshot = self.view().snapshot.clone();
        let newest = snapshot.tip().map_or(0, |tip| tip.height);
        for height in (1..=newest).rev().take(MAX_OVERLAYS) {
            let certificate = snapshot.certificate(height).map_err(failed)?;
            let commit = certificate.map(|bytes| block::decode_commit(&bytes)).transpose();
            if commit
                .map_err(refused)?
                .is_some_and(|commit| block::digest(&commit.block_id) == *id)
            {
                return Ok(Some(height));
            }
        }
        Ok(None)
    }

    fn count(&self, executed: &Executed, parent_time_ms: u64) {
        let after = &executed.after;
        self.metrics.height.set(after.height);
        let interval_ms = after.time_ms.saturating_sub(parent_time_ms);
        let interval = std::time::Duration::from_millis(interval_ms);
        self.metrics.block_interval.observe(interval.as_secs_f64());
        let (all, failed) = (executed.tx_hashes.len(), executed.failed_txs);
        for (outcome, count) in [("ok", all.saturating_sub(failed)), ("failed", failed)] {
            let counter = self.metrics.txs.with_label_values(&[outcome]);
            counter.inc_by(u64::try_from(count).unwrap_or(u64::MAX));
        }
        tracing::debug!(height = after.height, txs = all, failed, "block committed");
    }
}

fn warn_unknown(height: i64, outcome: &BlockOutcome) {
    for name in &outcome.unknown_flags {
        tracing::warn!(
            height,
            name,
            "a feature begins that this version does not know; it is optional"
        );
    }
}

impl StateMachine for Machine {
    fn tip(&self) -> Tip {
        let tip = &self.core().tip;
        Tip {
            height: Height(tip.height),
            block_id: tip.block_id(),
            time_ms: tip.time_ms,
            state_root: tip.app_hash,
        }
    }

    fn build(&self, parent: &BlockId, slot: Slot, txs: &mut dyn TxSource) -> Result<Built, MachineError> {
        let below = self.below(parent)?;
        let after = &below.after;
        if slot.height.0 != after.height.saturating_add(1) || slot.time_ms <= after.time_ms {
            return Err(MachineError::Refused(format!(
                "slot {slot:?} does not follow height {} at {} ms",
                after.height, after.time_ms
            )));
        }
        let (state, context) = (below.state(), self.rules.context(after, slot.time_ms));
        let execution = Execution::begin(&state, &context).map_err(failed)?;
        let mut execution = execution.remembering(&*self.signatures);
        let taken = below.take(&mut execution, slot.max_bytes, txs).map_err(failed)?;
        let block = below.proposal(&self.rules, slot.time_ms, taken).block();
        let block = block.map_err(refused)?;
        let bytes = Bytes::from(block::encode(&block));
        let id = self.keep(&below, execution, &block, bytes.clone())?;
        Ok(Built {
            id,
            parent: *parent,
            height: slot.height,
            time_ms: slot.time_ms,
            bytes,
        })
    }

    fn verify(&self, parent: &BlockId, block: &[u8]) -> Result<Verdict, MachineError> {
        let below = match self.below(parent) {
            Err(MachineError::Unknown(missing)) => return Ok(Verdict::Missing(missing)),
            below => below?,
        };
        let decoded = match block::decode(block) {
            Ok(decoded) => decoded,
            Err(error) => return Ok(Verdict::Invalid(error.0)),
        };
        if let Some(fault) = judge::fault(&self.rules, &below, &decoded, block) {
            return Ok(Verdict::Invalid(fault));
        }
        let id = block::id(&decoded, block).map_err(refused)?;
        if self.core().overlays.get(&block::digest(&id)).is_some() {
            return Ok(Verdict::Valid(block::digest(&id)));
        }
        let (state, time_ms) = (below.state(), block::time_ms(decoded.header.time));
        let context = self.rules.context(&below.after, time_ms);
        let execution = Execution::begin(&state, &context).map_err(failed)?;
        let mut execution = execution.remembering(&*self.signatures);
        for (index, tx) in decoded.data.iter().enumerate() {
            if let Err(refused) = execution.offer(tx).map_err(failed)? {
                let text = format!("its transaction {index} is not admitted: {}", refused.log);
                return Ok(Verdict::Invalid(text));
            }
        }
        let id = self.keep(&below, execution, &decoded, Bytes::copy_from_slice(block))?;
        Ok(Verdict::Valid(id))
    }

    fn commit(&self, block: &BlockId, certificate: &[u8]) -> Result<Committed, MachineError> {
        let _alone = self.committing.lock().unwrap_or_else(PoisonError::into_inner);
        let executed = match self.next(block) {
            Ok(executed) => executed,
            Err(MachineError::Unknown(unknown)) => {
                let height = self.height_of(block)?.ok_or(MachineError::Unknown(unknown))?;
                let height = Height(height);
                return Ok(Committed { height, new: false });
            }
            Err(error) => return Err(error),
        };
        self.write(&executed, certificate)?;
        Ok(Committed {
            height: Height(executed.after.height),
            new: true,
        })
    }

    fn discard_unfinalized(&self) {
        self.core().overlays.clear();
    }
}

#[cfg(test)]
pub(crate) mod tests;
