//! Walking down a trie, whatever holds it: membership and closest proofs are made here.

#![allow(clippy::arithmetic_side_effects, reason = "depths, at most 256")]

use crate::closest::ClosestProof;
use crate::error::ProveError;
use crate::node::{extension_encoding, leaf_encoding};
use crate::path::Path;
use crate::proof::Proof;
use crate::spec::Spec;

/// A leaf that a walk found; `item` is how its holder finds the value.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LeafAt<S: Spec, I> {
    pub(crate) path: Path,
    pub(crate) digest: S::Digest,
    pub(crate) item: I,
}

/// A subtree. Inner nodes are visited one depth at a time, extensions included.
pub(crate) trait Cursor: Copy {
    type Spec: Spec;
    /// How the holder refers to a leaf.
    type Item: Copy;

    fn is_empty(self) -> bool;
    /// The leaf, when the subtree is exactly one.
    fn leaf(self) -> Option<LeafAt<Self::Spec, Self::Item>>;
    /// Left and right child of a subtree of two leaves or more, whose root is at `depth`.
    fn children(self, depth: usize) -> (Self, Self);
    /// Digest of the subtree, whose root is at `depth`.
    fn digest(self, depth: usize) -> DigestOf<Self>;
    /// Any leaf below; `None` when empty.
    fn some_path(self) -> Option<Path>;
}

pub(crate) type DigestOf<C> = <<C as Cursor>::Spec as Spec>::Digest;
pub(crate) type LeafOf<C> = LeafAt<<C as Cursor>::Spec, <C as Cursor>::Item>;

/// The way from the root to where a walk ended.
pub(crate) struct Walk<C: Cursor> {
    /// Digests beside the way, root first.
    siblings: Vec<DigestOf<C>>,
    /// Depths where the asked side was empty and the other one was taken.
    flipped: Vec<usize>,
    /// The subtree beside the end of the way, with its depth.
    beside: Option<(C, usize)>,
    /// A leaf, or the empty subtree.
    end: C,
}

/// Walks along `path` to a leaf or an empty subtree.
pub(crate) fn exactly<C: Cursor>(root: C, path: &Path) -> Walk<C> {
    walk(root, path, false)
}

/// Walks along `path` to a leaf, taking the other side where the asked one is empty.
pub(crate) fn nearest<C: Cursor>(root: C, path: &Path) -> Walk<C> {
    walk(root, path, true)
}

fn walk<C: Cursor>(root: C, path: &Path, flip: bool) -> Walk<C> {
    let mut walk = Walk {
        siblings: Vec::new(),
        flipped: Vec::new(),
        beside: None,
        end: root,
    };
    while !walk.end.is_empty() && walk.end.leaf().is_none() {
        let depth = walk.siblings.len();
        let (left, right) = walk.end.children(depth);
        let (mut ahead, mut beside) = if path.bit(depth) {
            (right, left)
        } else {
            (left, right)
        };
        if flip && ahead.is_empty() {
            (ahead, beside) = (beside, ahead);
            walk.flipped.push(depth);
        }
        walk.siblings.push(beside.digest(depth + 1));
        walk.beside = Some((beside, depth + 1));
        walk.end = ahead;
    }
    walk
}

impl<C: Cursor> Walk<C> {
    /// The leaf at the end.
    pub(crate) fn leaf(&self) -> Option<LeafOf<C>> {
        self.end.leaf()
    }

    /// The leaf beside the end, when there is exactly one: its value becomes part of a proof.
    pub(crate) fn leaf_beside(&self) -> Option<LeafOf<C>> {
        self.beside.and_then(|(beside, _)| beside.leaf())
    }

    /// Digests beside the way, leaf to root.
    pub(crate) fn siblings_up(&self) -> Vec<<C::Spec as Spec>::Digest> {
        self.siblings.iter().rev().copied().collect()
    }

    /// The proof that `path` has the leaf at the end, or none.
    pub(crate) fn proof<V>(&self, path: &Path, value: &mut V) -> Result<Proof, ProveError>
    where
        V: FnMut(&LeafOf<C>) -> Option<Vec<u8>>,
    {
        let other = self.end.leaf().filter(|leaf| leaf.path != *path);
        Ok(Proof {
            side_nodes: self.side_nodes(),
            non_membership_leaf: other.map(|leaf| encode_leaf::<C, V>(&leaf, value)).transpose()?,
            sibling_data: self.sibling_data(value)?,
        })
    }

    /// The proof that the leaf at the end is the closest one to `path`.
    pub(crate) fn closest_proof<V>(&self, path: &Path, value: &mut V) -> Result<ClosestProof, ProveError>
    where
        V: FnMut(&LeafOf<C>) -> Option<Vec<u8>>,
    {
        let Some(leaf) = self.end.leaf() else {
            return Ok(ClosestProof::of_empty_trie::<C::Spec>(path));
        };
        let encoding = encode_leaf::<C, V>(&leaf, value)?;
        Ok(ClosestProof {
            path: path.as_ref().to_vec(),
            flipped_bits: self.flipped.iter().map(|depth| signed(*depth)).collect(),
            depth: signed(self.siblings.len()),
            closest_path: leaf.path.as_ref().to_vec(),
            closest_value_hash: Some(encoding[1 + 32..].to_vec()),
            closest_proof: Some(Proof {
                side_nodes: self.side_nodes(),
                non_membership_leaf: None,
                sibling_data: self.sibling_data(value)?,
            }),
        })
    }

    fn side_nodes(&self) -> Vec<Vec<u8>> {
        self.siblings
            .iter()
            .rev()
            .map(|digest| digest.as_ref().to_vec())
            .collect()
    }

    fn sibling_data<V>(&self, value: &mut V) -> Result<Option<Vec<u8>>, ProveError>
    where
        V: FnMut(&LeafOf<C>) -> Option<Vec<u8>>,
    {
        let Some((beside, depth)) = self.beside.filter(|(beside, _)| !beside.is_empty()) else {
            return Ok(None);
        };
        if let Some(leaf) = beside.leaf() {
            return encode_leaf::<C, V>(&leaf, value).map(Some);
        }
        // A walk that ended beside an extension shows the inner node of its expanded chain.
        let fork = if self.end.is_empty() {
            depth
        } else {
            stored_fork(beside, depth)
        };
        Ok(Some(encode_branch(beside, depth, fork)))
    }
}

/// Depths fit: at most 256.
fn signed(depth: usize) -> i64 {
    i64::try_from(depth).expect("depths are at most 256")
}

fn encode_leaf<C, V>(leaf: &LeafOf<C>, value: &mut V) -> Result<Vec<u8>, ProveError>
where
    C: Cursor,
    V: FnMut(&LeafOf<C>) -> Option<Vec<u8>>,
{
    let bytes = value(leaf).ok_or(ProveError::ValueMissing { path: leaf.path })?;
    let encoding = leaf_encoding::<C::Spec>(&leaf.path, &bytes, &leaf.digest);
    match C::Spec::of_encoding(&encoding) == Some(leaf.digest) {
        true => Ok(encoding),
        false => Err(ProveError::ValueDiffers { path: leaf.path }),
    }
}

/// Depth at which the subtree at `depth` first has two children.
pub(crate) fn stored_fork<C: Cursor>(mut subtree: C, depth: usize) -> usize {
    let mut fork = depth;
    loop {
        let (left, right) = subtree.children(fork);
        subtree = match (left.is_empty(), right.is_empty()) {
            (false, true) => left,
            (true, false) => right,
            _ => return fork,
        };
        fork += 1;
    }
}

/// Encoding of the subtree at `depth` (two leaves or more) as inner node, or as extension down to `fork`.
pub(crate) fn encode_branch<C: Cursor>(subtree: C, depth: usize, fork: usize) -> Vec<u8> {
    if fork == depth {
        let (left, right) = subtree.children(depth);
        return C::Spec::inner_encoding(left.digest(depth + 1).as_ref(), right.digest(depth + 1).as_ref())
            .expect("digests end with their totals");
    }
    let path = subtree.some_path().expect("a branch has leaves");
    let child = (depth..fork).fold(subtree, |below, at| {
        let (left, right) = below.children(at);
        if path.bit(at) { right } else { left }
    });
    extension_encoding::<C::Spec>(depth, fork, &path, &child.digest(fork))
}
