//! The trie in memory: persistent, so that a copy costs nothing and each version stays usable.

use std::fmt;
use std::sync::{Arc, OnceLock};

use crate::closest::ClosestProof;
use crate::error::ProveError;
use crate::node::{NodeKind, chain, extension_encoding, leaf_encoding};
use crate::path::{PATH_BITS, Path};
use crate::proof::Proof;
use crate::spec::{Plain, PlainDigest, Spec, Sum, SumDigest};
use crate::walk::{Cursor, LeafAt, exactly, nearest};

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

#[derive(Clone)]
enum Node<S: Spec> {
    Leaf(Leaf<S>),
    Branch(Branch<S>),
}

/// All leaves below share the bits up to `fork` and differ there; depths `entry..fork` are an extension.
#[derive(Clone)]
struct Branch<S: Spec> {
    entry: usize,
    fork: usize,
    /// The shared bits, the rest zero.
    prefix: Path,
    left: Arc<Node<S>>,
    right: Arc<Node<S>>,
    /// Digest of the subtree as its parent sees it, at depth `entry`.
    digest: OnceLock<S::Digest>,
}

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

    /// Path of the leaf closest to `path`.
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

impl<S: Spec> Branch<S> {
    fn child(&self, path: &Path) -> &Node<S> {
        if path.bit(self.fork) {
            &self.right
        } else {
            &self.left
        }
    }

    fn child_mut(&mut self, path: &Path) -> &mut Arc<Node<S>> {
        self.digest = OnceLock::new();
        if path.bit(self.fork) {
            &mut self.right
        } else {
            &mut self.left
        }
    }

    fn inner(&self) -> S::Digest {
        S::inner(
            &digest_of(&self.left, self.fork + 1),
            &digest_of(&self.right, self.fork + 1),
        )
    }

    fn digest(&self, depth: usize) -> S::Digest {
        if depth == self.entry {
            return *self
                .digest
                .get_or_init(|| chain::<S>(depth, self.fork, &self.prefix, self.inner()));
        }
        chain::<S>(depth, self.fork, &self.prefix, self.inner())
    }

    fn visit<F: FnMut(&S::Digest, NodeKind, &[u8])>(&self, visit: &mut F) {
        let (left, right) = (
            digest_of(&self.left, self.fork + 1),
            digest_of(&self.right, self.fork + 1),
        );
        let inner = S::inner(&left, &right);
        if self.entry < self.fork {
            let encoding = extension_encoding::<S>(self.entry, self.fork, &self.prefix, &inner);
            visit(&self.digest(self.entry), NodeKind::Extension, &encoding);
        }
        let encoding =
            S::inner_encoding(left.as_ref(), right.as_ref()).expect("digests end with their totals");
        visit(&inner, NodeKind::Inner, &encoding);
    }
}

fn digest_of<S: Spec>(node: &Node<S>, depth: usize) -> S::Digest {
    match node {
        Node::Leaf(leaf) => leaf.digest,
        Node::Branch(branch) => branch.digest(depth),
    }
}

/// Sets `leaf` below `node`, which its parent sees at depth `entry`; returns whether it is a new one.
fn insert_below<S: Spec>(node: &mut Arc<Node<S>>, entry: usize, leaf: Leaf<S>) -> bool {
    let fork = match &**node {
        Node::Leaf(old) => old.path.common_prefix(&leaf.path),
        Node::Branch(branch) => branch.prefix.common_prefix(&leaf.path).min(branch.fork),
    };
    if fork == PATH_BITS {
        *node = Arc::new(Node::Leaf(leaf));
        return false;
    }
    if matches!(&**node, Node::Branch(branch) if branch.fork == fork) {
        let Node::Branch(branch) = Arc::make_mut(node) else {
            unreachable!("the node was just seen to be a branch")
        };
        return insert_below(branch.child_mut(&leaf.path), fork + 1, leaf);
    }
    let prefix = leaf.path.prefix(fork);
    let (old, new_is_right) = (entered_at(node, fork + 1), leaf.path.bit(fork));
    let new = Arc::new(Node::Leaf(leaf));
    let (left, right) = if new_is_right { (old, new) } else { (new, old) };
    *node = Arc::new(Node::Branch(Branch {
        entry,
        fork,
        prefix,
        left,
        right,
        digest: OnceLock::new(),
    }));
    true
}

/// Removes the leaf at `path`, which is known to be below `node`, a branch.
fn remove_below<S: Spec>(node: &mut Arc<Node<S>>, path: &Path) {
    let Node::Branch(branch) = &**node else {
        unreachable!("a leaf is removed by its parent");
    };
    if let Node::Leaf(_) = branch.child(path) {
        let other = if path.bit(branch.fork) {
            &branch.left
        } else {
            &branch.right
        };
        *node = entered_at(other, branch.entry);
        return;
    }
    if let Node::Branch(branch) = Arc::make_mut(node) {
        remove_below(branch.child_mut(path), path);
    }
}

/// `node` as a parent sees it that ends at depth `entry`.
fn entered_at<S: Spec>(node: &Arc<Node<S>>, entry: usize) -> Arc<Node<S>> {
    match &**node {
        Node::Branch(branch) if branch.entry != entry => Arc::new(Node::Branch(Branch {
            entry,
            digest: OnceLock::new(),
            ..branch.clone()
        })),
        _ => Arc::clone(node),
    }
}

/// A subtree of a [`Trie`] on a walk.
#[derive(Clone, Copy)]
pub(crate) struct Subtree<'a, S: Spec>(Option<&'a Node<S>>);

impl<'a, S: Spec> Cursor for Subtree<'a, S> {
    type Spec = S;
    type Item = Option<&'a [u8]>;

    fn is_empty(self) -> bool {
        self.0.is_none()
    }

    fn leaf(self) -> Option<LeafAt<S, Self::Item>> {
        match self.0? {
            Node::Leaf(leaf) => Some(LeafAt {
                path: leaf.path,
                digest: leaf.digest,
                item: leaf.value(),
            }),
            Node::Branch(_) => None,
        }
    }

    fn children(self, depth: usize) -> (Self, Self) {
        let empty = Subtree(None);
        match self.0 {
            Some(Node::Branch(branch)) if depth < branch.fork => match branch.prefix.bit(depth) {
                false => (self, empty),
                true => (empty, self),
            },
            Some(Node::Branch(branch)) => (Subtree(Some(&branch.left)), Subtree(Some(&branch.right))),
            _ => (empty, empty),
        }
    }

    fn digest(self, depth: usize) -> S::Digest {
        self.0.map_or(S::EMPTY, |node| digest_of(node, depth))
    }

    fn some_path(self) -> Option<Path> {
        match self.0? {
            Node::Leaf(leaf) => Some(leaf.path),
            Node::Branch(branch) => Some(branch.prefix),
        }
    }
}
