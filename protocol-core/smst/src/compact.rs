//! Compact proofs: empty side nodes replaced by a bit mask. This is the form that goes on chain.

use crate::closest::{ClosestProof, Rule};
use crate::error::{ProofError, StrictError};
use crate::path::{PATH_BITS, Path, bit, flip};
use crate::proof::Proof;
use crate::spec::Spec;

/// Longest compressed integer: two bytes hold 256.
const MAX_INTEGER_LEN: usize = 2;

/// Compact form of a [`Proof`] (`SparseCompactMerkleProof`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CompactProof {
    /// Digests beside the way, leaf to root, without those of empty subtrees.
    pub side_nodes: Vec<Vec<u8>>,
    /// As in [`Proof`].
    pub non_membership_leaf: Option<Vec<u8>>,
    /// Bit i (most significant first) is 1 where side node i is empty.
    pub bit_mask: Vec<u8>,
    /// Number of side nodes, the empty ones included.
    pub num_side_nodes: i64,
    /// As in [`Proof`].
    pub sibling_data: Option<Vec<u8>>,
}

/// Compact form of a [`ClosestProof`] (`SparseCompactMerkleClosestProof`): the content of `MsgSubmitProof.proof`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CompactClosestProof {
    /// The asked path.
    pub path: Vec<u8>,
    /// Depths of flipped bits, each a minimal big-endian integer (0 is one zero byte).
    pub flipped_bits: Vec<Vec<u8>>,
    /// Depth of the leaf, in the same form.
    pub depth: Vec<u8>,
    /// Path of the leaf.
    pub closest_path: Vec<u8>,
    /// As in [`ClosestProof`]; for relays: relay bytes ‖ weight ‖ count.
    pub closest_value_hash: Option<Vec<u8>>,
    /// The membership proof of the leaf.
    pub closest_proof: Option<CompactProof>,
}

impl Proof {
    /// The compact form.
    ///
    /// # Errors
    /// As [`Proof::verify`], except that no root is looked at.
    pub fn compact<S: Spec>(&self) -> Result<CompactProof, ProofError> {
        self.validate::<S>()?;
        let mut bit_mask = vec![0; self.side_nodes.len().div_ceil(8)];
        let mut side_nodes = Vec::new();
        for (index, node) in self.side_nodes.iter().enumerate() {
            if node == S::EMPTY.as_ref() {
                flip(&mut bit_mask, index).expect("the mask has a bit for each side node");
            } else {
                side_nodes.push(node.clone());
            }
        }
        Ok(CompactProof {
            side_nodes,
            non_membership_leaf: self.non_membership_leaf.clone(),
            bit_mask,
            num_side_nodes: i64::try_from(self.side_nodes.len()).expect("at most 256"),
            sibling_data: self.sibling_data.clone(),
        })
    }
}

impl CompactProof {
    /// The full form.
    ///
    /// # Errors
    /// When mask, number and side nodes do not fit each other.
    pub fn expand<S: Spec>(&self) -> Result<Proof, ProofError> {
        let count = self.validate()?;
        let mut given = self.side_nodes.iter();
        let mut side_nodes = Vec::with_capacity(count);
        for index in 0..count {
            if bit(&self.bit_mask, index) == Some(true) {
                side_nodes.push(S::EMPTY.as_ref().to_vec());
            } else {
                let node = given.next().ok_or(ProofError::BitMask {
                    got: self.side_nodes.len(),
                })?;
                side_nodes.push(node.clone());
            }
        }
        Ok(Proof {
            side_nodes,
            non_membership_leaf: self.non_membership_leaf.clone(),
            sibling_data: self.sibling_data.clone(),
        })
    }

    /// As [`Proof::verify`].
    ///
    /// # Errors
    /// As [`Self::expand`] and [`Proof::verify`].
    pub fn verify<S: Spec>(&self, root: &[u8], path: &Path, data: &[u8]) -> Result<(), ProofError> {
        self.expand::<S>()?.verify::<S>(root, path, data)
    }

    /// Checks the fields as the network does and returns the number of side nodes.
    fn validate(&self) -> Result<usize, ProofError> {
        let count = usize::try_from(self.num_side_nodes)
            .ok()
            .filter(|count| *count <= PATH_BITS);
        let count = count.ok_or(ProofError::SideNodeCount {
            got: self.num_side_nodes,
        })?;
        let want = count.div_ceil(8);
        if self.bit_mask.len() != want {
            return Err(ProofError::BitMaskSize {
                got: self.bit_mask.len(),
                want,
            });
        }
        let empty: usize = self.bit_mask.iter().map(|byte| byte.count_ones() as usize).sum();
        // Without any side node the network does not look at the list.
        if count > 0 && count.checked_sub(empty) != Some(self.side_nodes.len()) {
            return Err(ProofError::BitMask {
                got: self.side_nodes.len(),
            });
        }
        Ok(count)
    }
}

impl ClosestProof {
    /// The compact form.
    ///
    /// # Errors
    /// As [`ClosestProof::verify_network`], except that no root is looked at.
    pub fn compact<S: Spec>(&self) -> Result<CompactClosestProof, ProofError> {
        let proof = self.validate::<S>()?;
        Ok(CompactClosestProof {
            path: self.path.clone(),
            flipped_bits: self
                .flipped_bits
                .iter()
                .map(|bit| minimal_integer(*bit))
                .collect(),
            depth: minimal_integer(self.depth),
            closest_path: self.closest_path.clone(),
            closest_value_hash: self.closest_value_hash.clone(),
            closest_proof: Some(proof.compact::<S>()?),
        })
    }
}

impl CompactClosestProof {
    /// The full form.
    ///
    /// # Errors
    /// When the path has a wrong length, an integer is too long, or the inner proof does not expand.
    pub fn expand<S: Spec>(&self) -> Result<ClosestProof, ProofError> {
        if self.path.len() != 32 {
            return Err(ProofError::PathSize { got: self.path.len() });
        }
        let depth = integer(&self.depth)?;
        let flipped_bits = self
            .flipped_bits
            .iter()
            .map(|bytes| integer(bytes))
            .collect::<Result<_, _>>()?;
        let proof = self.closest_proof.as_ref().ok_or(ProofError::NoClosestProof)?;
        Ok(ClosestProof {
            path: self.path.clone(),
            flipped_bits,
            depth,
            closest_path: self.closest_path.clone(),
            closest_value_hash: self.closest_value_hash.clone(),
            closest_proof: Some(proof.expand::<S>()?),
        })
    }

    /// Verifies by `rule` that this is a proof of the leaf closest to `asked` in the trie with `root`, and
    /// returns it in full. By the strict rule the compact form has to be the one that we would make.
    ///
    /// # Errors
    /// As [`Self::expand`] and [`ClosestProof::verify`].
    pub fn verify<S: Spec>(
        &self,
        rule: Rule,
        root: &S::Digest,
        asked: &Path,
    ) -> Result<ClosestProof, ProofError> {
        let full = self.expand::<S>()?;
        full.verify::<S>(rule, root, asked)?;
        if rule == Rule::Strict && full.compact::<S>()? != *self {
            return Err(StrictError::NotCanonical.into());
        }
        Ok(full)
    }

    /// The network's rule (`VerifyCompactClosestProof`), for the path that the proof itself names.
    ///
    /// # Errors
    /// As [`Self::expand`] and [`ClosestProof::verify_network`].
    pub fn verify_network<S: Spec>(&self, root: &[u8]) -> Result<(), ProofError> {
        self.expand::<S>()?.verify_network::<S>(root)
    }
}

/// `value` without leading zero bytes, zero as one byte. Negative values do not pass validation before.
fn minimal_integer(value: i64) -> Vec<u8> {
    let bytes = value.to_be_bytes();
    let [zeros @ .., last] = &bytes;
    let start = zeros.iter().position(|byte| *byte != 0);
    start.map_or_else(|| vec![*last], |start| bytes[start..].to_vec())
}

fn integer(bytes: &[u8]) -> Result<i64, ProofError> {
    if bytes.len() > MAX_INTEGER_LEN {
        return Err(ProofError::CompactInteger { got: bytes.len() });
    }
    Ok(bytes.iter().fold(0, |value, byte| value << 8 | i64::from(*byte)))
}
