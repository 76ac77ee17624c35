//! Tries over sorted leaves: digests computed from slices, without any node in memory.

#![allow(clippy::arithmetic_side_effects, reason = "depths, at most 256")]

use crate::node::chain;
use crate::path::Path;
use crate::spec::Spec;

/// Something in a slice that is sorted by path.
pub(crate) trait Pathed {
    fn path(&self) -> &Path;
}

impl<D> Pathed for (Path, D) {
    fn path(&self) -> &Path {
        &self.0
    }
}

/// Summary of a subtree: what its parent needs to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Summary<D> {
    Empty,
    /// One leaf, which will sit as high as the rest of the trie lets it.
    One(D),
    /// Two leaves or more.
    Many(D),
}

impl<D: Copy> Summary<D> {
    pub(crate) fn digest<S: Spec<Digest = D>>(self) -> D {
        match self {
            Self::Empty => S::EMPTY,
            Self::One(digest) | Self::Many(digest) => digest,
        }
    }

    /// Summary of the parent of two subtrees.
    pub(crate) fn join<S: Spec<Digest = D>>(left: Self, right: Self) -> Self {
        match (left, right) {
            (Self::Empty, Self::Empty) => Self::Empty,
            (Self::One(leaf), Self::Empty) | (Self::Empty, Self::One(leaf)) => Self::One(leaf),
            _ => Self::Many(S::inner(&left.digest::<S>(), &right.digest::<S>())),
        }
    }
}

/// Summary of the subtree at `depth` with these leaves: sorted, distinct, and equal in their first `depth` bits.
pub(crate) fn summarize<S, L, F>(leaves: &[L], depth: usize, digest: &F) -> Summary<S::Digest>
where
    S: Spec,
    L: Pathed,
    F: Fn(&L) -> S::Digest,
{
    match leaves {
        [] => Summary::Empty,
        [leaf] => Summary::One(digest(leaf)),
        [first, .., last] => {
            let fork = first.path().common_prefix(last.path());
            let (left, right) = split(leaves, fork);
            let left = summarize::<S, L, F>(left, fork + 1, digest).digest::<S>();
            let right = summarize::<S, L, F>(right, fork + 1, digest).digest::<S>();
            Summary::Many(chain::<S>(depth, fork, first.path(), S::inner(&left, &right)))
        }
    }
}

/// Leaves with a 0 and leaves with a 1 at `depth`; they are equal in the bits before.
pub(crate) fn split<L: Pathed>(leaves: &[L], depth: usize) -> (&[L], &[L]) {
    leaves.split_at(leaves.partition_point(|leaf| !leaf.path().bit(depth)))
}

/// Root of the trie that consists of these leaves, in any order. Of leaves with equal paths the last counts.
///
/// Nothing is kept: n leaves take one sort and about 1.4 n hashes.
pub fn root_of<S: Spec>(leaves: impl IntoIterator<Item = (Path, S::Digest)>) -> S::Digest {
    let mut leaves: Vec<(Path, S::Digest)> = leaves.into_iter().collect();
    leaves.sort_by_key(|(path, _)| *path);
    leaves.dedup_by(|later, earlier| {
        let same = later.0 == earlier.0;
        if same {
            earlier.1 = later.1;
        }
        same
    });
    summarize::<S, _, _>(&leaves, 0, &|leaf| leaf.1).digest::<S>()
}
