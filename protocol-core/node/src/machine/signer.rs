//! Why a block is final: the validator's signature.

use bytes::Bytes;
use portico_engine::{Block, Certify, MachineError};
use tendermint::chain;

use super::refused;
use crate::ValidatorKey;
use crate::block;

/// Certifies blocks with the validator's signature.
pub(crate) struct Signer {
    pub(crate) key: ValidatorKey,
    pub(crate) chain_id: chain::Id,
}

impl Certify for Signer {
    fn certify(&self, built: &Block) -> Result<Bytes, MachineError> {
        let decoded = block::decode(&built.bytes).map_err(refused)?;
        let id = block::id(&decoded, &built.bytes).map_err(refused)?;
        let header = &decoded.header;
        let commit = block::sign(&self.key, &self.chain_id, header.height, id, header.time);
        Ok(block::encode_commit(&commit.map_err(refused)?).into())
    }
}
