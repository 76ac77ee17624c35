//! Membership and non-membership proofs, as the network's library has them.

use crate::error::ProofError;
use crate::node::digest_of_encoding;
use crate::path::{PATH_BITS, Path, bit};
use crate::spec::{LEAF, Spec, Sum, leaf_meta};

/// Smallest encoding of a leaf: kind and path.
const LEAF_HEADER: usize = 33;

/// Proof that a path has a certain leaf, or none (`SparseMerkleProof`).
///
/// Fields are as they come from the wire; nothing in them is known to be true or of the right size.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proof {
    /// Digests beside the way, leaf to root; empty subtrees are zeros.
    pub side_nodes: Vec<Vec<u8>>,
    /// Encoding of the other leaf that sits where the path ends; only in proofs of absence.
    pub non_membership_leaf: Option<Vec<u8>>,
    /// Encoding of the node beside the leaf; not needed to verify.
    pub sibling_data: Option<Vec<u8>>,
}

/// What follows the path in an encoded leaf of a sum trie: value ‖ weight ‖ count (1).
#[must_use]
pub fn sum_leaf_data(value: &[u8], weight: u64) -> Vec<u8> {
    [value, &leaf_meta(weight, 1)].concat()
}

impl Proof {
    /// Verifies that the trie with `root` has the leaf `data` at `path`, or none if `data` is empty.
    ///
    /// `data` is what follows the path in the leaf's encoding: in a plain trie the value, in a sum trie
    /// [`sum_leaf_data`]. `root` may have any length; only a digest's length can match.
    ///
    /// # Errors
    /// See [`ProofError`]; [`ProofError::RootMismatch`] when the proof is well formed but for something else.
    pub fn verify<S: Spec>(&self, root: &[u8], path: &Path, data: &[u8]) -> Result<(), ProofError> {
        self.validate::<S>()?;
        let mut digest = self.leaf_digest::<S>(path, data)?.as_ref().to_vec();
        let depths = (0..self.side_nodes.len()).rev();
        for (depth, side_node) in depths.zip(&self.side_nodes) {
            let side_node = sized(side_node, S::DIGEST_LEN);
            let encoding = match path.bit(depth) {
                false => S::inner_encoding(&digest, &side_node),
                true => S::inner_encoding(&side_node, &digest),
            };
            let inner = encoding.and_then(|encoding| S::of_encoding(&encoding));
            digest = inner.expect("digests end with their totals").as_ref().to_vec();
        }
        if digest == root {
            Ok(())
        } else {
            Err(ProofError::RootMismatch)
        }
    }

    /// What [`Self::verify`] asks of the fields before any claim is looked at.
    pub(crate) fn validate<S: Spec>(&self) -> Result<(), ProofError> {
        if self.side_nodes.len() > PATH_BITS {
            return Err(ProofError::TooManySideNodes {
                got: self.side_nodes.len(),
            });
        }
        match &self.non_membership_leaf {
            Some(leaf) if leaf.len() < LEAF_HEADER => {
                return Err(ProofError::NonMembershipLeafSize { got: leaf.len() });
            }
            _ => {}
        }
        let (Some(sibling), Some(first)) = (&self.sibling_data, self.side_nodes.first()) else {
            return Ok(());
        };
        if let Some(wrong) = self.side_nodes.iter().find(|node| node.len() != S::DIGEST_LEN) {
            return Err(ProofError::SideNodeSize {
                got: wrong.len(),
                want: S::DIGEST_LEN,
            });
        }
        let digest = digest_of_encoding::<S>(sibling).ok_or(ProofError::SiblingDataMalformed)?;
        if digest == *first {
            Ok(())
        } else {
            Err(ProofError::SiblingData)
        }
    }

    fn leaf_digest<S: Spec>(&self, path: &Path, data: &[u8]) -> Result<S::Digest, ProofError> {
        if !data.is_empty() {
            return encoded_leaf_digest::<S>(path.as_ref(), data);
        }
        let Some(other) = &self.non_membership_leaf else {
            return Ok(S::EMPTY);
        };
        if other[0] != LEAF {
            return Err(ProofError::NotALeaf);
        }
        let (other_path, other_data) = other[1..].split_at(32);
        if other_path == path.as_ref() {
            return Err(ProofError::RelatedLeaf);
        }
        encoded_leaf_digest::<S>(other_path, other_data)
    }
}

impl Proof {
    /// [`Self::verify`] in a sum trie, for the leaf with `value` and `weight`.
    ///
    /// As in the network, an empty value with weight 0 claims that there is no leaf.
    ///
    /// # Errors
    /// As [`Self::verify`].
    pub fn verify_sum(&self, root: &[u8], path: &Path, value: &[u8], weight: u64) -> Result<(), ProofError> {
        let absent = value.is_empty() && weight == 0;
        let data = if absent {
            Vec::new()
        } else {
            sum_leaf_data(value, weight)
        };
        self.verify::<Sum>(root, path, &data)
    }
}

fn encoded_leaf_digest<S: Spec>(path: &[u8], data: &[u8]) -> Result<S::Digest, ProofError> {
    let encoding = [&[LEAF], path, data].concat();
    S::of_encoding(&encoding).ok_or(ProofError::ValueSize { got: data.len() })
}

/// `bytes` cut or filled with zeros to `len`, as the network's verifier reads side nodes.
fn sized(bytes: &[u8], len: usize) -> Vec<u8> {
    let mut sized = bytes[..bytes.len().min(len)].to_vec();
    sized.resize(len, 0);
    sized
}

/// First bit in `0..depth` where the paths differ, or the first that one of them does not have.
pub(crate) fn first_difference(a: &[u8], b: &[u8], depth: usize) -> Option<usize> {
    (0..depth).find(|index| bit(a, *index).is_none() || bit(a, *index) != bit(b, *index))
}
