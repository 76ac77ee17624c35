//! The trie in memory: persistent, so that a copy costs nothing and each version stays usable.

#![allow(clippy::arithmetic_side_effects, reason = "a number of leaves in memory")]

mod nodes;

use std::fmt;
use std::sync::Arc;

use crate::closest::ClosestProof;
use crate::error::ProveError;
use crate::node::{NodeKind, leaf_encoding};
use crate::path::Path;
use crate::proof::Proof;
use crate::spec::{Plain, PlainDigest, Spec, Sum, SumDigest};
use crate::walk::{Cursor, LeafAt, exactly, nearest};

use self::nodes::{Node, Subtree, apply_below, insert_below, remove_below};

/// A leaf: its path, its digest, and its value unless that is kept elsewhere.
#[derive(Clone, PartialEq, Eq)]
pub struct Leaf<S: Spec> {
    path: Path,
    digest: S::Digest,
    value: Option<Arc<[u8]>>,
}

impl Leaf<Sum> {
    /// The leaf with `value` and `weight` at `path`; it counts as one.
    #[must_use]
    pub fn new(path: Path, value: impl Into<Arc<[u8]>>, weight: u64) -> Self {
        let value = value.into();
        Self {
            path,
            digest: SumDigest::of_leaf(&path, &value, weight),
            value: Some(value),
        }
    }
}

impl Leaf<Plain> {
    /// The leaf with `value` at `path`.
    #[must_use]
    pub fn new(path: Path, value: impl Into<Arc<[u8]>>) -> Self {
        let value = value.into();
        Self {
            path,
            digest: PlainDigest::of_leaf(&path, &value),
            value: Some(value),
        }
    }
}

impl<S: Spec> Leaf<S> {
    /// The leaf at `path` whose value is kept elsewhere; its digest is taken as true.
    #[must_use]
    pub fn by_digest(path: Path, digest: S::Digest) -> Self {
        Self {
            path,
            digest,
            value: None,
        }
    }

    /// Where the leaf is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Digest of the leaf; in a sum trie it ends with weight and count.
    #[must_use]
    pub fn digest(&self) -> &S::Digest {
        &self.digest
    }

    /// The value, unless it is kept elsewhere.
    #[must_use]
    pub fn value(&self) -> Option<&[u8]> {
        self.value.as_deref()
    }
}

impl<S: Spec> fmt::Debug for Leaf<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Leaf({} {})", self.path, self.digest)
    }
}

/// A persistent sparse Merkle trie.
///
/// `clone` is O(1); changes copy only the way from the root that others still share. Digests are
/// computed when they are asked for and kept with the node.
#[derive(Clone)]
pub struct Trie<S: Spec> {
    root: Option<Arc<Node<S>>>,
    len: usize,
}

/// A trie whose digests carry sum and count: one session's relays.
pub type SumTrie = Trie<Sum>;
/// A trie of plain hashes: one store of the state.
pub type PlainTrie = Trie<Plain>;

impl Trie<Sum> {
    /// Sets the leaf at `path`; returns whether there was none before.
    pub fn insert(&mut self, path: Path, value: impl Into<Arc<[u8]>>, weight: u64) -> bool {
        self.insert_leaf(Leaf::<Sum>::new(path, value, weight))
    }

    /// Sum of all weights, modulo 2^64.
    #[must_use]
    pub fn sum(&self) -> u64 {
        self.root().sum()
    }
}

impl Trie<Plain> {
    /// Sets the leaf at `path`; returns whether there was none before.
    pub fn insert(&mut self, path: Path, value: impl Into<Arc<[u8]>>) -> bool {
        self.insert_leaf(Leaf::<Plain>::new(path, value))
    }
}

impl<S: Spec> Trie<S> {
    /// The empty trie.
    #[must_use]
    pub const fn new() -> Self {
        Self { root: None, len: 0 }
    }

    /// Number of leaves.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no leaf.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Root digest; hashes what changed since it was last asked for. Zeros when empty.
    #[must_use]
    pub fn root(&self) -> S::Digest {
        self.cursor().digest(0)
    }

    /// The leaf at `path`.
    #[must_use]
    pub fn get(&self, path: &Path) -> Option<&Leaf<S>> {
        let mut node = self.root.as_deref()?;
        loop {
            match node {
                Node::Leaf(leaf) => return Some(leaf).filter(|leaf| leaf.path == *path),
                Node::Branch(branch) => node = branch.child(path),
            }
        }
    }

    /// The leaves next to `path` on both sides, by the order of paths; the leaf at `path` is neither.
    ///
    /// Two neighbours prove that there is nothing between them.
    #[must_use]
    pub fn neighbours(&self, path: &Path) -> (Option<&Leaf<S>>, Option<&Leaf<S>>) {
        let (mut before, mut after) = (None, None);
        let mut node = self.root.as_deref();
        while let Some(at) = node {
            node = at.toward(path, &mut before, &mut after);
        }
        (before.map(Node::last), after.map(Node::first))
    }

    /// Sets a leaf, replacing the one at its path; returns whether there was none before.
    pub fn insert_leaf(&mut self, leaf: Leaf<S>) -> bool {
        let new = match &mut self.root {
            Some(root) => insert_below(root, 0, leaf),
            None => {
                self.root = Some(Arc::new(Node::Leaf(leaf)));
                true
            }
        };
        self.len += usize::from(new);
        new
    }

    /// Removes the leaf at `path`; returns whether there was one.
    pub fn remove(&mut self, path: &Path) -> bool {
        if self.get(path).is_none() {
            return false;
        }
        match &mut self.root {
            Some(root) if matches!(**root, Node::Branch(_)) => remove_below(root, path),
            root => *root = None,
        }
        self.len -= 1;
        true
    }

    /// Sets leaves, and with `None` removes them, in one descent; the last edit of a path counts. The same trie as by
    /// [`Self::insert_leaf`] and [`Self::remove`] one after the other, in less time for more than a few edits.
    pub fn apply(&mut self, edits: impl IntoIterator<Item = (Path, Option<Leaf<S>>)>) {
        let mut edits: Vec<_> = edits.into_iter().collect();
        edits.sort_by_key(|edit| edit.0); // stable: equal paths stay in their order
        edits.dedup_by(|later, kept| {
            let same = later.0 == kept.0;
            if same {
                std::mem::swap(later, kept);
            }
            same
        });
        self.root = apply_below(self.root.take(), 0, &mut edits, &mut self.len);
    }

    /// All leaves in the order of their paths.
    pub fn leaves(&self) -> impl Iterator<Item = &Leaf<S>> {
        let mut open: Vec<&Node<S>> = self.root.as_deref().into_iter().collect();
        std::iter::from_fn(move || {
            let mut node = open.pop()?;
            loop {
                match node {
                    Node::Leaf(leaf) => return Some(leaf),
                    Node::Branch(branch) => {
                        open.push(&branch.right);
                        node = &branch.left;
                    }
                }
            }
        })
    }

    /// Proof that `path` has its leaf, or that it has none.
    ///
    /// # Errors
    /// When a value that belongs into the proof is kept elsewhere; then use [`Self::prove_with`].
    pub fn prove(&self, path: &Path) -> Result<Proof, ProveError> {
        self.prove_with(path, |_| None)
    }

    /// As [`Self::prove`]; `value` finds values that the trie does not hold.
    ///
    /// # Errors
    /// When `value` does not find one of the at most two leaves involved, or finds another value.
    pub fn prove_with<V>(&self, path: &Path, value: V) -> Result<Proof, ProveError>
    where
        V: Fn(&Path) -> Option<Vec<u8>>,
    {
        exactly(self.cursor(), path).proof(path, &mut |leaf| value_of(leaf, &value))
    }

    /// Digests beside the way to `path`, leaf to root; those of empty subtrees are zeros. Values are not needed.
    #[must_use]
    pub fn side_nodes(&self, path: &Path) -> Vec<S::Digest> {
        exactly(self.cursor(), path).siblings_up()
    }

    /// Proof of the leaf closest to `path`, which is used as it is.
    ///
    /// Of an empty trie it is a proof without a leaf, which the network accepts and the strict rule does not.
    ///
    /// # Errors
    /// As [`Self::prove`].
    pub fn prove_closest(&self, path: &Path) -> Result<ClosestProof, ProveError> {
        self.prove_closest_with(path, |_| None)
    }

    /// As [`Self::prove_closest`]; `value` finds values that the trie does not hold.
    ///
    /// # Errors
    /// As [`Self::prove_with`].
    pub fn prove_closest_with<V>(&self, path: &Path, value: V) -> Result<ClosestProof, ProveError>
    where
        V: Fn(&Path) -> Option<Vec<u8>>,
    {
        nearest(self.cursor(), path).closest_proof(path, &mut |leaf| value_of(leaf, &value))
    }

    /// Path of the leaf closest to `path`: the one with the smallest XOR of both, as a number.
    #[must_use]
    pub fn closest(&self, path: &Path) -> Option<Path> {
        nearest(self.cursor(), path).leaf().map(|leaf| leaf.path)
    }

    /// Calls `visit` with digest, kind and encoding of each node as the network stores it, leaves last.
    ///
    /// # Errors
    /// When the value of a leaf is kept elsewhere.
    pub fn visit_nodes<F>(&self, mut visit: F) -> Result<(), ProveError>
    where
        F: FnMut(&S::Digest, NodeKind, &[u8]),
    {
        let mut open: Vec<&Node<S>> = self.root.as_deref().into_iter().collect();
        while let Some(node) = open.pop() {
            match node {
                Node::Leaf(leaf) => {
                    let value = leaf.value().ok_or(ProveError::ValueMissing { path: leaf.path })?;
                    visit(
                        &leaf.digest,
                        NodeKind::Leaf,
                        &leaf_encoding::<S>(&leaf.path, value, &leaf.digest),
                    );
                }
                Node::Branch(branch) => {
                    branch.visit(&mut visit);
                    open.extend([&*branch.right, &*branch.left]);
                }
            }
        }
        Ok(())
    }

    pub(crate) fn cursor(&self) -> Subtree<'_, S> {
        Subtree(self.root.as_deref())
    }
}

impl<S: Spec> Default for Trie<S> {
    fn default() -> Self {
        Self::new()
    }
}

impl<S: Spec> fmt::Debug for Trie<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trie")
            .field("root", &self.root())
            .field("len", &self.len)
            .finish()
    }
}

impl<S: Spec> FromIterator<Leaf<S>> for Trie<S> {
    fn from_iter<I: IntoIterator<Item = Leaf<S>>>(leaves: I) -> Self {
        let mut trie = Self::new();
        for leaf in leaves {
            trie.insert_leaf(leaf);
        }
        trie
    }
}

fn value_of<S, V>(leaf: &LeafAt<S, Option<&[u8]>>, elsewhere: &V) -> Option<Vec<u8>>
where
    S: Spec,
    V: Fn(&Path) -> Option<Vec<u8>>,
{
    leaf.item.map(<[u8]>::to_vec).or_else(|| elsewhere(&leaf.path))
}
