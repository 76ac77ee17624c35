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

/// Hash of leaf `index`, and the hashes that lead from it to [`root`], innermost first. Empty for an index outside of the list.
pub(crate) fn branch<T: AsRef<[u8]>>(leaves: &[T], index: usize) -> (merkle::Hash, Vec<merkle::Hash>) {
    let Some(leaf) = leaves.get(index) else {
        return Default::default();
    };
    let mut aunts = Vec::new();
    let (mut rest, mut at) = (leaves, index);
    while rest.len() > 1 {
        let (left, right) = rest.split_at(rest.len().next_power_of_two() / 2);
        let aunt;
        (rest, aunt) = if at < left.len() {
            (left, right)
        } else {
            (right, left)
        };
        at = at.checked_sub(left.len()).unwrap_or(at);
        aunts.push(simple_hash_from_byte_vectors::<Sha>(aunt));
    }
    aunts.reverse();
    (Sha.leaf_hash(leaf.as_ref()), aunts)
}

/// SHA-256 of a transaction: its name everywhere.
pub(crate) fn tx_hash(tx: &[u8]) -> [u8; 32] {
    Sha256::digest(tx).into()
}

#[cfg(test)]
mod tests {
    use tendermint::merkle::MerkleHash as _;

    use super::{Sha, branch, root};

    /// Walks up from a leaf, as verifiers do.
    fn climb(total: usize, index: usize, leaf: [u8; 32], aunts: &[[u8; 32]]) -> [u8; 32] {
        let Some((last, inner)) = aunts.split_last() else {
            return leaf;
        };
        let left = total.next_power_of_two() / 2;
        if index < left {
            Sha.inner_hash(climb(left, index, leaf, inner), *last)
        } else {
            Sha.inner_hash(*last, climb(total - left, index - left, leaf, inner))
        }
    }

    #[test]
    fn branches_lead_to_the_root() {
        for total in 1..20_usize {
            let leaves: Vec<_> = (0..total).map(|n| n.to_be_bytes()).collect();
            for index in 0..total {
                let (leaf, aunts) = branch(&leaves, index);
                assert_eq!(
                    climb(total, index, leaf, &aunts),
                    root(&leaves).as_bytes(),
                    "{index} of {total}"
                );
            }
        }
        assert!(branch(&[[1]], 1).1.is_empty());
    }
}
