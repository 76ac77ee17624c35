//! What a block stands on: the durable tip and the overlays above it.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;
use portico_chain::block::Execution;
use portico_chain::state::{Changes, Layers, StateError};
use portico_engine::TxSource;

use super::{After, Executed, Rules};
use crate::block::{Proposal, TX_OVERHEAD};
use crate::hash::tx_hash;
use crate::state::State;

/// The parent of a block, with all of its ancestors that are not durable.
pub(super) struct Below {
    /// What the parent leaves.
    pub(super) after: After,
    /// State of the durable tip.
    pub(super) state: State,
    /// Overlays from the parent down to the tip.
    pub(super) path: Vec<Arc<Executed>>,
}

impl Below {
    /// State after the parent.
    pub(super) fn state(&self) -> Layers<State> {
        Layers::new(self.state.clone(), self.layers().collect())
    }

    /// State after a block on the parent that makes `changes`.
    pub(super) fn state_with(&self, changes: Arc<Changes>) -> Layers<State> {
        Layers::new(self.state.clone(), self.layers().chain([changes]).collect())
    }

    /// Changes of the overlays, oldest first.
    fn layers(&self) -> impl Iterator<Item = Arc<Changes>> {
        let oldest_first = self.path.iter().rev();
        oldest_first.map(|executed| executed.changes.clone())
    }

    /// Takes transactions into `execution` that fill up to `max_bytes` of the block. Those that an ancestor holds already are passed over,
    /// and those that the rules do not admit here: a block with one of them is invalid.
    pub(super) fn take(
        &self,
        execution: &mut Execution<'_>,
        max_bytes: usize,
        txs: &mut dyn TxSource,
    ) -> Result<Vec<Bytes>, StateError> {
        let mut known: HashSet<[u8; 32]> = HashSet::new();
        for executed in &self.path {
            known.extend(&executed.tx_hashes);
        }
        let (mut taken, mut room) = (Vec::new(), max_bytes);
        while let Some(tx) = txs.next(room.saturating_sub(TX_OVERHEAD)) {
            let hash = tx_hash(&tx);
            if !known.insert(hash) {
                continue;
            }
            match execution.offer(&tx)? {
                Ok(()) => {
                    room = room.saturating_sub(tx.len().saturating_add(TX_OVERHEAD));
                    taken.push(tx);
                }
                Err(outcome) => {
                    tracing::debug!(tx = %hex::encode_upper(hash), log = outcome.log, "transaction passed over");
                }
            }
        }
        Ok(taken)
    }

    /// What the header of a block with these transactions says.
    pub(super) fn proposal<'a>(&self, rules: &'a Rules, time_ms: u64, txs: Vec<Bytes>) -> Proposal<'a> {
        let after = &self.after;
        let height = after.height.saturating_add(1);
        Proposal {
            chain_id: &rules.chain_id,
            height,
            proposer: after.validators.proposer(height).0,
            validators_hash: after.validators.hash(),
            next_validators_hash: after.next_validators.hash(),
            time_ms,
            txs,
            parent: after.id,
            last_commit: after.commit.clone(),
            app_hash: after.app_hash,
            last_results: after.results,
        }
    }
}
