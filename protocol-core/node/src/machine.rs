//! The state machine: the modules of `portico-chain` over the store, as an engine sees them.
//!
//! ```text
//!  durable tip ◄── overlay (block h+1) ◄── overlay (block h+2)     Overlays: by block id
//!       │               state, tries, results of the block, its bytes
//!       └── View: what queries read; replaced at each commit
//! ```

mod after;
mod judge;
mod signer;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use bytes::Bytes;
use portico_chain::block::{BlockContext, execute};
use portico_chain::state::Overlay;
use portico_client::BlockHead;
use portico_config::node::MempoolConfig;
use portico_engine::{
    Block as Built, BlockId, Committed, MachineError, Overlays, Parent, Slot, StateMachine, Tip, TxSource,
    Verdict,
};
use portico_protocol::Height;
use portico_store::{BlockWrite, ChainStore, Snapshot, StateTries};
use prost::Message as _;
use tendermint::{Block, chain};
use tokio::sync::watch;

use crate::NodeError;
use crate::block::{self, BlockError, Proposal, bytes_of};
use crate::hash::tx_hash;
use crate::mempool::Mempool;
use crate::metrics::Metrics;
use crate::state::{Durable, State, writes};
use crate::validator::Validator;
use after::After;

pub(crate) use signer::Signer;

/// What does not change while a chain lives.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    pub(crate) chain_id: chain::Id,
    pub(crate) genesis_time_ms: u64,
    pub(crate) validator: Validator,
}

impl Rules {
    fn context(&self, height: i64, time_ms: u64, hash: BlockId) -> BlockContext {
        BlockContext {
            chain_id: self.chain_id.to_string(),
            height: Height(height),
            time_ms,
            hash,
            proposer_account: self.validator.account.to_string(),
        }
    }

    /// Context of transactions that wait for the block after `after`.
    fn pending(&self, after: &After) -> BlockContext {
        self.context(after.height.saturating_add(1), after.time_ms, [0; 32])
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
    core: Mutex<Core>,
    view: RwLock<Arc<View>>,
    head: watch::Sender<BlockHead>,
    metrics: Metrics,
}

struct Core {
    tip: After,
    overlays: Overlays<Arc<Executed>>,
}

/// A block that was executed and is not durable.
struct Executed {
    after: After,
    changes: Arc<Overlay<State>>,
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
        let tip = After::load(&snapshot, state.clone(), rules.genesis_time_ms)?;
        let context = rules.pending(&tip);
        let mempool = Mempool::new(bounds, state, context, metrics.clone());
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
            }),
            mempool: Arc::new(mempool),
            store,
            rules,
            metrics,
        })
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
    fn parent(&self, parent: &BlockId) -> Result<After, MachineError> {
        let core = self.core();
        core.overlays.check_room()?;
        Ok(match core.overlays.parent(parent)? {
            Parent::Tip => core.tip.clone(),
            Parent::Overlay(executed) => executed.after.clone(),
        })
    }

    fn proposal<'a>(&'a self, parent: &After, time_ms: u64, txs: Vec<Bytes>) -> Proposal<'a> {
        Proposal {
            chain_id: &self.rules.chain_id,
            validator: &self.rules.validator,
            height: parent.height.saturating_add(1),
            time_ms,
            txs,
            parent: parent.id,
            last_commit: parent.commit.clone(),
            app_hash: parent.app_hash,
            last_results: parent.results,
        }
    }

    /// Executes a block on `parent`, and keeps it as an overlay; returns its id.
    fn keep(&self, parent: &After, block: &Block, bytes: &Bytes) -> Result<BlockId, MachineError> {
        let executed = self.execute(parent, block, bytes)?;
        let id = executed.after.block_id();
        self.core()
            .overlays
            .insert(id, parent.block_id(), Arc::new(executed))?;
        Ok(id)
    }

    fn execute(&self, parent: &After, block: &Block, bytes: &Bytes) -> Result<Executed, MachineError> {
        let id = block::id(block, bytes).map_err(refused)?;
        let height = i64::from(block.header.height);
        let time_ms = block::time_ms(block.header.time);
        let context = self.rules.context(height, time_ms, bytes_of(&id.hash));
        let txs: Vec<Bytes> = block.data.iter().cloned().map(Bytes::from).collect();
        let mut outcome = execute(&parent.state, &context, &txs).map_err(failed)?;
        for name in &outcome.unknown_flags {
            tracing::warn!(
                height,
                name,
                "a feature begins that this version does not know; it is optional"
            );
        }
        let changes = std::mem::take(&mut outcome.changes);
        let mut tries: StateTries = parent.tries.clone();
        tries.apply(writes(&changes)).map_err(failed)?;
        let app_hash = tries.app_hash();
        let results = block::results(&outcome, app_hash);
        let changes = Arc::new(Overlay::with_changes(parent.state.clone(), changes));
        Ok(Executed {
            after: After {
                height,
                id: Some(id),
                time_ms,
                tries,
                app_hash,
                results: block::results_hash(&results.tx_results),
                state: changes.clone(),
                commit: None,
            },
            changes,
            bytes: bytes.clone(),
            failed_txs: results.tx_results.iter().filter(|tx| tx.code != 0).count(),
            results: results.encode_to_vec(),
            tx_hashes: txs.iter().map(|tx| tx_hash(tx)).collect(),
        })
    }

    /// Writes the overlay `id`, and goes on from it.
    fn write(&self, core: &mut Core, id: &BlockId, certificate: &[u8]) -> Result<(), MachineError> {
        let executed = core.overlays.next(id)?.clone();
        let after = &executed.after;
        let commit = block::decode_commit(certificate).map_err(refused)?;
        let Rules {
            chain_id, validator, ..
        } = &self.rules;
        if let Some(full_id) = &after.id {
            block::verify_commit(validator, chain_id, &commit, after.height, full_id).map_err(refused)?;
        }
        let write = BlockWrite {
            height: after.height,
            id: *id,
            app_hash: after.app_hash,
            block: &executed.bytes,
            results: &executed.results,
            certificate,
            tx_hashes: &executed.tx_hashes,
        };
        let changes = writes(executed.changes.changes());
        if let Err(error) = self.store.commit(&write, changes) {
            if !error.is_unwritable() {
                return Err(failed(error));
            }
            self.metrics.writable.set(0);
            self.read_on(core);
            return Err(MachineError::Unwritable(Box::new(error)));
        }
        self.metrics.writable.set(1);
        let snapshot = Arc::new(self.store.snapshot().map_err(failed)?);
        let before = core.tip.time_ms;
        core.overlays.advance(id)?;
        core.tip = After {
            state: Arc::new(Durable(snapshot.clone())),
            commit: Some(commit),
            ..after.clone()
        };
        self.count(&executed, before); // before anybody is told
        self.publish(&core.tip, snapshot, &executed.tx_hashes)
    }

    /// Goes on reading the tip after the store was opened anew. Overlays above the next block still read the store as it was: an engine
    /// that keeps any discards them.
    fn read_on(&self, core: &mut Core) {
        let mut reopen = || {
            let snapshot = Arc::new(self.store.at(core.tip.height).map_err(failed)?);
            core.tip.state = Arc::new(Durable(snapshot.clone()));
            self.show(&core.tip, snapshot, &[])
        };
        if let Err(error) = reopen() {
            tracing::warn!(error = %portico_protocol::causes(&error), "state cannot be read until the disk answers again");
        }
    }

    /// Shows the new tip to readers, and tells those who wait for the head.
    fn publish(
        &self,
        tip: &After,
        snapshot: Arc<Snapshot>,
        included: &[[u8; 32]],
    ) -> Result<(), MachineError> {
        self.show(tip, snapshot, included)?;
        self.head.send_replace(tip.head());
        Ok(())
    }

    /// Shows the tip to readers, the mempool first.
    fn show(&self, tip: &After, snapshot: Arc<Snapshot>, included: &[[u8; 32]]) -> Result<(), MachineError> {
        let context = self.rules.pending(tip);
        self.mempool
            .advance(tip.state.clone(), context, included)
            .map_err(failed)?;
        let view = View {
            snapshot,
            head: tip.head(),
            app_hash: tip.app_hash,
        };
        *self.view.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(view);
        Ok(())
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
        let below = self.parent(parent)?;
        if slot.height.0 != below.height.saturating_add(1) || slot.time_ms <= below.time_ms {
            return Err(MachineError::Refused(format!(
                "slot {slot:?} does not follow height {} at {} ms",
                below.height, below.time_ms
            )));
        }
        let mut room = slot.max_bytes;
        let mut taken = Vec::new();
        while let Some(tx) = txs.next(room) {
            room = room.saturating_sub(tx.len());
            taken.push(tx);
        }
        let block = self
            .proposal(&below, slot.time_ms, taken)
            .block()
            .map_err(refused)?;
        let bytes = Bytes::from(block::encode(&block));
        let id = self.keep(&below, &block, &bytes)?;
        Ok(Built {
            id,
            parent: *parent,
            height: slot.height,
            time_ms: slot.time_ms,
            bytes,
        })
    }

    fn verify(&self, parent: &BlockId, block: &[u8]) -> Result<Verdict, MachineError> {
        let below = match self.parent(parent) {
            Err(MachineError::Unknown(missing)) => return Ok(Verdict::Missing(missing)),
            below => below?,
        };
        let decoded = match block::decode(block) {
            Ok(decoded) => decoded,
            Err(error) => return Ok(Verdict::Invalid(error.0)),
        };
        if let Some(fault) = self.fault(&below, &decoded) {
            return Ok(Verdict::Invalid(fault));
        }
        if block::encode(&decoded) != block {
            return Ok(Verdict::Invalid("its encoding is not canonical".into()));
        }
        let id = self.keep(&below, &decoded, &Bytes::copy_from_slice(block))?;
        Ok(Verdict::Valid(id))
    }

    fn commit(&self, block: &BlockId, certificate: &[u8]) -> Result<Committed, MachineError> {
        let mut core = self.core();
        if core.overlays.get(block).is_none() {
            let snapshot = self.view().snapshot.clone();
            let height = snapshot.height_of(block).map_err(failed)?;
            let height = Height(height.ok_or(MachineError::Unknown(*block))?);
            return Ok(Committed { height, new: false });
        }
        self.write(&mut core, block, certificate)?;
        Ok(Committed {
            height: Height(core.tip.height),
            new: true,
        })
    }

    fn discard_unfinalized(&self) {
        self.core().overlays.clear();
    }
}

#[cfg(test)]
pub(crate) mod tests;
