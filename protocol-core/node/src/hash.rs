//! SHA-256 for the `tendermint` crate's Merkle trees, which leaves the choice of an implementation to its user.

use sha2::{Digest as _, Sha256};
use tendermint::Hash;
use tendermint::merkle::{self, MerkleHash, simple_hash_from_byte_vectors};

/// SHA-256 of the `sha2` crate.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sha;

impl tendermint::crypto::Sha256 for Sha {
    fn digest(data: impl AsRef<[u8]>) -> [u8; 32] {
        Sha256::digest(data).into()
    }
}

impl MerkleHash for Sha {
    fn empty_hash(&mut self) -> merkle::Hash {
        Sha256::digest([]).into()
    }

    fn leaf_hash(&mut self, bytes: &[u8]) -> merkle::Hash {
        Sha256::new_with_prefix([0]).chain_update(bytes).finalize().into()
    }

    fn inner_hash(&mut self, left: merkle::Hash, right: merkle::Hash) -> merkle::Hash {
        let hasher = Sha256::new_with_prefix([1]).chain_update(left);
        hasher.chain_update(right).finalize().into()
    }
}

/// Merkle root of a list, as CometBFT has it (RFC 6962).
pub(crate) fn root<T: AsRef<[u8]>>(leaves: &[T]) -> Hash {
    Hash::Sha256(simple_hash_from_byte_vectors::<Sha>(leaves))
}

/// SHA-256 of a transaction: its name everywhere.
pub(crate) fn tx_hash(tx: &[u8]) -> [u8; 32] {
    Sha256::digest(tx).into()
}
