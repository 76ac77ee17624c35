//! Nodes of a [`super::Trie`]: leaves and branches, with extensions folded into the branches.

#![allow(clippy::arithmetic_side_effects, reason = "depths, at most 256")]

use std::cmp::Ordering;
use std::sync::{Arc, OnceLock};

use crate::node::{NodeKind, chain, extension_encoding};
use crate::path::{PATH_BITS, Path};
use crate::spec::Spec;
use crate::trie::Leaf;
use crate::walk::{Cursor, LeafAt};

#[derive(Clone)]
pub(super) enum Node<S: Spec> {
    Leaf(Leaf<S>),
    Branch(Branch<S>),
}

/// All leaves below share the bits up to `fork` and differ there; depths `entry..fork` are an extension.
#[derive(Clone)]
pub(super) struct Branch<S: Spec> {
    entry: usize,
    fork: usize,
    /// The shared bits, the rest zero.
    prefix: Path,
    pub(super) left: Arc<Node<S>>,
    pub(super) right: Arc<Node<S>>,
    /// Digest of the subtree as its parent sees it, at depth `entry`.
    digest: OnceLock<S::Digest>,
}

impl<S: Spec> Node<S> {
    /// The leaf with the smallest path.
    pub(super) fn first(&self) -> &Leaf<S> {
        match self {
            Self::Leaf(leaf) => leaf,
            Self::Branch(branch) => branch.left.first(),
        }
    }

    /// The leaf with the greatest path.
    pub(super) fn last(&self) -> &Leaf<S> {
        match self {
            Self::Leaf(leaf) => leaf,
            Self::Branch(branch) => branch.right.last(),
        }
    }

    /// The child on the way to `path`; what is passed on the left becomes `before`, on the right `after`.
    pub(super) fn toward<'a>(
        &'a self,
        path: &Path,
        before: &mut Option<&'a Self>,
        after: &mut Option<&'a Self>,
    ) -> Option<&'a Self> {
        let (shared, prefix) = match self {
            Self::Leaf(leaf) => (PATH_BITS, &leaf.path),
            Self::Branch(branch) => (branch.fork, &branch.prefix),
        };
        match (path.prefix(shared).cmp(prefix), self) {
            (Ordering::Less, _) => *after = Some(self),
            (Ordering::Greater, _) => *before = Some(self),
            (Ordering::Equal, Self::Leaf(_)) => {}
            (Ordering::Equal, Self::Branch(branch)) if path.bit(branch.fork) => {
                *before = Some(&branch.left);
                return Some(&branch.right);
            }
            (Ordering::Equal, Self::Branch(branch)) => {
                *after = Some(&branch.right);
                return Some(&branch.left);
            }
        }
        None
    }
}

impl<S: Spec> Branch<S> {
    pub(super) fn child(&self, path: &Path) -> &Node<S> {
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

    pub(super) fn visit<F: FnMut(&S::Digest, NodeKind, &[u8])>(&self, visit: &mut F) {
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
pub(super) fn insert_below<S: Spec>(node: &mut Arc<Node<S>>, entry: usize, leaf: Leaf<S>) -> bool {
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
pub(super) fn remove_below<S: Spec>(node: &mut Arc<Node<S>>, path: &Path) {
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

/// A leaf that is set at a path, or with `None` removed.
pub(super) type Edit<S> = (Path, Option<Leaf<S>>);

/// Applies `edits`, ascending by path, each path once, below `node`, which its parent sees at depth `entry`. `len` follows the number of
/// leaves.
pub(super) fn apply_below<S: Spec>(
    node: Option<Arc<Node<S>>>,
    entry: usize,
    edits: &mut [Edit<S>],
    len: &mut usize,
) -> Option<Arc<Node<S>>> {
    let ([(first, _), ..], [.., (last, _)]) = (&*edits, &*edits) else {
        return node.map(|node| entered_at(&node, entry));
    };
    let branch = match node.map(Arc::unwrap_or_clone) {
        Some(Node::Branch(branch)) => branch,
        Some(Node::Leaf(old)) => {
            *len -= 1;
            let at = edits.partition_point(|(path, _)| *path < old.path);
            let stays = edits.get(at).is_none_or(|(path, _)| *path != old.path);
            return grown(entry, edits, stays.then_some(old), len);
        }
        None => return grown(entry, edits, None, len),
    };
    let shared = first
        .common_prefix(&branch.prefix)
        .min(last.common_prefix(&branch.prefix));
    let fork = shared.min(branch.fork);
    let at = edits.partition_point(|(path, _)| !path.bit(fork));
    let (to_left, to_right) = edits.split_at_mut(at);
    let (prefix, old) = (branch.prefix.prefix(fork), branch.prefix.bit(fork));
    let (left, right) = if fork == branch.fork {
        (Some(branch.left), Some(branch.right))
    } else {
        let whole = Some(Arc::new(Node::Branch(branch)));
        if old { (None, whole) } else { (whole, None) }
    };
    let left = apply_below(left, fork + 1, to_left, len);
    let right = apply_below(right, fork + 1, to_right, len);
    joined(entry, fork, prefix, left, right)
}

/// What is left of two sides that differ at depth `fork`.
fn joined<S: Spec>(
    entry: usize,
    fork: usize,
    prefix: Path,
    left: Option<Arc<Node<S>>>,
    right: Option<Arc<Node<S>>>,
) -> Option<Arc<Node<S>>> {
    match (left, right) {
        (Some(left), Some(right)) => Some(Arc::new(Node::Branch(Branch {
            entry,
            fork,
            prefix,
            left,
            right,
            digest: OnceLock::new(),
        }))),
        (one, other) => one.or(other).map(|node| entered_at(&node, entry)),
    }
}

/// A subtree of the leaves that `edits` set, and of `old`, which none of them names.
fn grown<S: Spec>(
    entry: usize,
    edits: &mut [Edit<S>],
    old: Option<Leaf<S>>,
    len: &mut usize,
) -> Option<Arc<Node<S>>> {
    let mut leaves: Vec<Leaf<S>> = edits.iter_mut().filter_map(|(_, leaf)| leaf.take()).collect();
    if let Some(old) = old {
        let at = leaves.partition_point(|leaf| leaf.path < old.path);
        leaves.insert(at, old);
    }
    *len += leaves.len();
    subtree_of(entry, &leaves)
}

fn subtree_of<S: Spec>(entry: usize, leaves: &[Leaf<S>]) -> Option<Arc<Node<S>>> {
    let (first, last) = match leaves {
        [] => return None,
        [leaf] => return Some(Arc::new(Node::Leaf(leaf.clone()))),
        [first, .., last] => (first, last),
    };
    let fork = first.path.common_prefix(&last.path);
    let (left, right) = leaves.split_at(leaves.partition_point(|leaf| !leaf.path.bit(fork)));
    let (left, right) = (subtree_of(fork + 1, left), subtree_of(fork + 1, right));
    joined(entry, fork, first.path.prefix(fork), left, right)
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
pub(crate) struct Subtree<'a, S: Spec>(pub(super) Option<&'a Node<S>>);

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
