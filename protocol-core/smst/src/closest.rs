//! Closest proofs: which leaf is the nearest to a path that nobody could choose.
//!
//! A supplier has to prove the leaf closest to a path that follows from a later block's hash. Two rules
//! tell whether a proof is good: [`Rule::Network`] has the exact outcomes of the network's library, which
//! existing chains must agree on; [`Rule::Strict`] demands also that no other leaf is closer.

use crate::error::{ProofError, StrictError};
use crate::path::{PATH_BITS, Path, flip};
use crate::proof::{Proof, first_difference};
use crate::spec::{Spec, trailing_totals};

/// Proof of the leaf that is closest to a path (`SparseMerkleClosestProof`).
///
/// Fields are as they come from the wire; nothing in them is known to be true or of the right size.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClosestProof {
    /// The asked path.
    pub path: Vec<u8>,
    /// Depths at which the asked side was empty and the other one was taken.
    pub flipped_bits: Vec<i64>,
    /// Depth of the leaf.
    pub depth: i64,
    /// Path of the leaf; in the proof of an empty trie a digest's length of zeros.
    pub closest_path: Vec<u8>,
    /// What follows the path in the leaf's encoding: value, and in a sum trie weight and count.
    pub closest_value_hash: Option<Vec<u8>>,
    /// The membership proof of the leaf.
    pub closest_proof: Option<Proof>,
}

/// Which closest proofs are accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rule {
    /// What the network's verifier accepts.
    Network,
    /// Only the true closest leaf, in canonical form.
    Strict,
}

impl ClosestProof {
    /// Verifies the proof against `root` by `rule`; `asked` is the path that was challenged.
    ///
    /// # Errors
    /// [`StrictError::OtherPath`] (by both rules) when the proof is for another path, else as
    /// [`Self::verify_network`] and [`Self::verify_strict`].
    pub fn verify<S: Spec>(&self, rule: Rule, root: &S::Digest, asked: &Path) -> Result<(), ProofError> {
        match rule {
            Rule::Network if self.path != asked.as_ref() => Err(StrictError::OtherPath.into()),
            Rule::Network => self.verify_network::<S>(root.as_ref()),
            Rule::Strict => self.verify_strict::<S>(root, asked),
        }
    }

    /// The network's rule (`VerifyClosestProof`), for the path that the proof itself names.
    ///
    /// # Errors
    /// See [`ProofError`]; also for input on which the network's library defines no result.
    pub fn verify_network<S: Spec>(&self, root: &[u8]) -> Result<(), ProofError> {
        let proof = self.validate::<S>()?;
        let path = self
            .closest_path
            .get(..32)
            .and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
        let path = Path::new(path.ok_or(ProofError::ClosestPathSize {
            got: self.closest_path.len(),
        })?);
        let Some(data) = &self.closest_value_hash else {
            return proof.verify::<S>(root, &path, &[]);
        };
        if data.len() < S::META_LEN {
            return Err(ProofError::ValueSize { got: data.len() });
        }
        proof.verify::<S>(root, &path, if is_absent::<S>(data) { &[] } else { data })
    }

    /// Our rule: the network's, and the leaf is the one that a walk from `asked` finds in the trie with `root`.
    ///
    /// The proof must be for `asked`, each skipped side empty, the leaf as high as it can be and count one,
    /// sums free of overflow, and nothing in the proof superfluous.
    ///
    /// # Errors
    /// [`ProofError::Strict`] for what the network would accept, else as [`Self::verify_network`].
    pub fn verify_strict<S: Spec>(&self, root: &S::Digest, asked: &Path) -> Result<(), ProofError> {
        self.verify_network::<S>(root.as_ref())?;
        if self.path != asked.as_ref() {
            return Err(StrictError::OtherPath.into());
        }
        let proof = self.closest_proof.as_ref().ok_or(ProofError::NoClosestProof)?;
        let data = self
            .closest_value_hash
            .as_deref()
            .filter(|data| !is_absent::<S>(data));
        let data = data.ok_or(StrictError::Empty)?;
        self.check_walk::<S>(proof)?;
        check_totals::<S>(root, proof, data)?;
        let sized = proof.side_nodes.iter().all(|node| node.len() == S::DIGEST_LEN);
        let sibling = proof.sibling_data.is_none() || !proof.side_nodes.is_empty();
        let path = self.closest_path.len() == 32;
        if !(sized && sibling && path && proof.non_membership_leaf.is_none()) {
            return Err(StrictError::NotCanonical.into());
        }
        Ok(())
    }

    /// The value of the proved leaf, without weight and count; `None` if there is no leaf.
    ///
    /// # Errors
    /// [`ProofError::ValueSize`] when the data is too short to hold weight and count.
    pub fn value<S: Spec>(&self) -> Result<Option<&[u8]>, ProofError> {
        let Some(data) = self.closest_value_hash.as_deref() else {
            return Ok(None);
        };
        let end = data
            .len()
            .checked_sub(S::META_LEN)
            .ok_or(ProofError::ValueSize { got: data.len() })?;
        Ok(Some(&data[..end]))
    }

    /// Weight of the proved leaf; `None` in a plain trie, without a leaf, or when the data is too short.
    #[must_use]
    pub fn weight<S: Spec>(&self) -> Option<u64> {
        let data = self.closest_value_hash.as_deref().filter(|_| S::META_LEN != 0)?;
        trailing_totals(data).map(|(weight, _)| weight)
    }

    /// What the network's library makes of an empty trie.
    pub(crate) fn of_empty_trie<S: Spec>(path: &Path) -> Self {
        Self {
            path: path.as_ref().to_vec(),
            flipped_bits: vec![0],
            depth: 0,
            closest_path: S::EMPTY.as_ref().to_vec(),
            closest_value_hash: None,
            closest_proof: Some(Proof::default()),
        }
    }

    /// What the network asks of the fields, before any hashing but that of the sibling.
    pub(crate) fn validate<S: Spec>(&self) -> Result<&Proof, ProofError> {
        if self.path.len() != 32 {
            return Err(ProofError::PathSize { got: self.path.len() });
        }
        let depth = usize::try_from(self.depth)
            .ok()
            .filter(|depth| *depth <= PATH_BITS);
        let depth = depth.ok_or(ProofError::Depth { got: self.depth })?;
        if let Some(got) = self
            .flipped_bits
            .iter()
            .find(|bit| !(0..=self.depth).contains(*bit))
        {
            return Err(ProofError::FlippedBit {
                got: *got,
                depth: self.depth,
            });
        }
        let way = self.flipped_path().ok_or(ProofError::FlippedBit {
            got: 256,
            depth: self.depth,
        })?;
        if let Some(bit) = first_difference(&way, &self.closest_path, depth) {
            return Err(ProofError::ClosestPath { bit });
        }
        let proof = self.closest_proof.as_ref().ok_or(ProofError::NoClosestProof)?;
        proof.validate::<S>()?;
        Ok(proof)
    }

    /// The asked path with all flips; `None` if one is behind its end.
    fn flipped_path(&self) -> Option<Vec<u8>> {
        let mut way = self.path.clone();
        for bit in &self.flipped_bits {
            flip(&mut way, usize::try_from(*bit).ok()?)?;
        }
        Some(way)
    }

    /// The way is the one of [`crate::Trie::prove_closest`]: each flip beside an empty subtree, ending at
    /// the highest place of the leaf.
    fn check_walk<S: Spec>(&self, proof: &Proof) -> Result<(), StrictError> {
        let side_nodes = &proof.side_nodes;
        let depth = i64::try_from(side_nodes.len())
            .ok()
            .filter(|depth| *depth == self.depth);
        let depth = depth.ok_or(StrictError::Depth {
            side_nodes: side_nodes.len(),
            depth: self.depth,
        })?;
        let increasing = self.flipped_bits.windows(2).all(|pair| pair[0] < pair[1]);
        if !increasing || self.flipped_bits.iter().any(|bit| *bit >= depth) {
            return Err(StrictError::FlippedBits);
        }
        for bit in &self.flipped_bits {
            let at = usize::try_from(*bit).ok();
            let skipped = at.and_then(|bit| side_nodes.iter().rev().nth(bit));
            if skipped.is_none_or(|node| node != S::EMPTY.as_ref()) {
                return Err(StrictError::SkippedLeaves { depth: *bit });
            }
        }
        match side_nodes.first() {
            Some(beside) if beside == S::EMPTY.as_ref() => Err(StrictError::NotShallowest),
            _ => Ok(()),
        }
    }
}

/// Whether a leaf's data reads as no leaf to the network: an empty value, without weight in a sum trie.
fn is_absent<S: Spec>(data: &[u8]) -> bool {
    data.len() == S::META_LEN && trailing_totals(data).is_none_or(|(weight, _)| weight == 0)
}

/// The leaf counts as one, and the root's totals are those of the branch without any overflow.
fn check_totals<S: Spec>(root: &S::Digest, proof: &Proof, data: &[u8]) -> Result<(), StrictError> {
    let Some(of_root) = S::totals(root) else {
        return Ok(());
    };
    let (weight, count) = trailing_totals(data).unwrap_or_default();
    if count != 1 {
        return Err(StrictError::Count { count });
    }
    let beside = proof.side_nodes.iter().filter_map(|node| trailing_totals(node));
    let of_branch = beside
        .into_iter()
        .try_fold((weight, count), |(sum, count), (more, leaves)| {
            Some((sum.checked_add(more)?, count.checked_add(leaves)?))
        });
    if of_branch == Some(of_root) {
        Ok(())
    } else {
        Err(StrictError::Overflow)
    }
}
