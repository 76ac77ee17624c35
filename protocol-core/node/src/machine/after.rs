//! What a block leaves for the next one.

use std::sync::Arc;

use portico_client::BlockHead;
use portico_engine::BlockId;
use portico_protocol::{BlockHash, Height};
use portico_store::{Snapshot, StateTries};
use prost::Message as _;
use tendermint::Hash;
use tendermint::block::{Commit, Id};
use tendermint_proto::v0_38::abci::ResponseFinalizeBlock;

use super::Rules;
use crate::NodeError;
use crate::block::{self, bytes_of};
use crate::state::{Durable, STORES};
use crate::validators::Validators;

/// What the header of the next block says about the one before, and the tries of its state.
#[derive(Clone)]
pub(crate) struct After {
    /// Height; 0 is the genesis.
    pub(crate) height: i64,
    /// Id; `None` for the genesis.
    pub(crate) id: Option<Id>,
    pub(crate) time_ms: u64,
    pub(crate) tries: StateTries,
    pub(crate) app_hash: [u8; 32],
    /// `last_results_hash` of the next header.
    pub(crate) results: Hash,
    /// `last_commit` of the next block; `None` until the block is final.
    pub(crate) commit: Option<Commit>,
    /// Who commits to this block.
    pub(crate) committers: Arc<Validators>,
    /// Who commits to the next block.
    pub(crate) validators: Arc<Validators>,
    /// Who commits to the one after that.
    pub(crate) next_validators: Arc<Validators>,
}

impl After {
    /// The tip of `snapshot`. Rebuilds the tries and checks them.
    pub(crate) fn load(snapshot: &Arc<Snapshot>, rules: &Rules) -> Result<Self, NodeError> {
        let tip = snapshot.tip().ok_or_else(|| damaged("tip", "there is none"))?;
        let state = Durable(snapshot.clone());
        let validators = |ahead| Validators::at(&state, tip.height.saturating_add(ahead), &rules.validators);
        let genesis = Self {
            height: tip.height,
            id: None,
            time_ms: rules.genesis_time_ms,
            tries: snapshot.load_tries(&STORES)?,
            app_hash: tip.app_hash,
            results: block::results_hash(&[]),
            commit: None,
            committers: validators(0)?,
            validators: validators(1)?,
            next_validators: validators(2)?,
        };
        if tip.height == 0 {
            return Ok(genesis);
        }
        genesis.at(snapshot, tip.height)
    }

    fn at(self, snapshot: &Snapshot, height: i64) -> Result<Self, NodeError> {
        let absent = || "it is missing".to_owned();
        let bytes = snapshot
            .block(height)?
            .ok_or_else(|| damaged("block", absent()))?;
        let decoded = block::decode(&bytes).map_err(|error| damaged("block", error))?;
        let certificate = snapshot.certificate(height)?;
        let certificate = certificate.ok_or_else(|| damaged("certificate", absent()))?;
        let results = snapshot
            .results(height)?
            .ok_or_else(|| damaged("results", absent()))?;
        let results = ResponseFinalizeBlock::decode(results.as_slice());
        let results = results.map_err(|error| damaged("results", error))?;
        Ok(Self {
            id: Some(block::id(&decoded, &bytes).map_err(|error| damaged("block", error))?),
            time_ms: block::time_ms(decoded.header.time),
            results: block::results_hash(&results.tx_results),
            commit: Some(block::decode_commit(&certificate).map_err(|error| damaged("certificate", error))?),
            ..self
        })
    }

    /// The id as engines name it; zeros for the genesis.
    pub(crate) fn block_id(&self) -> BlockId {
        self.id.as_ref().map(block::digest).unwrap_or_default()
    }

    /// Hash of the header, as the chain's users name the block; zeros for the genesis.
    pub(crate) fn hash(&self) -> BlockHash {
        self.id.map(|id| bytes_of(&id.hash)).unwrap_or_default()
    }

    /// What the chain shows of it.
    pub(crate) fn head(&self) -> BlockHead {
        BlockHead {
            height: Height(self.height),
            hash: self.hash(),
            time_ms: self.time_ms,
        }
    }
}

fn damaged(what: &'static str, reason: impl std::fmt::Display) -> NodeError {
    NodeError::Damaged {
        what,
        reason: reason.to_string(),
    }
}
