//! Why a block is final: signatures of a quorum of its validators.

use std::sync::Arc;

use bytes::Bytes;
use portico_engine::{Block, Certify, MachineError};
use tendermint::chain;

use super::{Machine, refused};
use crate::ValidatorKey;
use crate::block;
use crate::validators::Validators;

/// Certifies blocks with the signatures of all keys that are here.
pub(crate) struct Signer {
    pub(crate) keys: Vec<ValidatorKey>,
    pub(crate) machine: Arc<Machine>,
}

impl Certify for Signer {
    fn certify(&self, built: &Block) -> Result<Bytes, MachineError> {
        let committers = self.machine.committers(&built.id)?;
        certificate(&self.keys, &committers, &self.machine.rules.chain_id, built)
    }
}

/// The commit of `committers` to a block, signed by those whose keys are here; errs when they are too few.
pub(crate) fn certificate(
    keys: &[ValidatorKey],
    committers: &Validators,
    chain_id: &chain::Id,
    built: &Block,
) -> Result<Bytes, MachineError> {
    let decoded = block::decode(&built.bytes).map_err(refused)?;
    let id = block::id(&decoded, &built.bytes).map_err(refused)?;
    let header = &decoded.header;
    let commit = block::sign(keys, committers, chain_id, header.height, id, header.time);
    Ok(block::encode_commit(&commit.map_err(refused)?).into())
}
