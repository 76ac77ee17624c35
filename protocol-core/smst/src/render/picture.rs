//! What is drawn, before it is known how: nodes, and which of them a proof uses.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::leaf_set::LeafSet;
use crate::path::Path;
use crate::render::{FOLDED_NODES, MAX_NODES, View, WHOLE_LEAVES};
use crate::spec::Spec;
use crate::trie::Trie;
use crate::walk::{Cursor, stored_fork};

/// A trie that is ready to be drawn; see [`View`] for what is on it.
#[derive(Debug, Clone)]
pub struct Picture {
    pub(super) view: View,
    /// The first is the root, then pairs of children, first those of a proof, then level by level.
    /// None in an empty trie.
    pub(super) nodes: Vec<Node>,
}

/// A node as it is drawn: with the extension that leads to it.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) shape: Shape,
    pub(super) role: Role,
    /// Branches above it.
    pub(super) level: usize,
    /// Depth at which its parent sees it, and depth where it ends: a fork, or the depth of a leaf.
    pub(super) entry: usize,
    pub(super) end: usize,
    /// A path below it; all those share the bits up to `end`.
    pub(super) path: Path,
    pub(super) digest: Vec<u8>,
    pub(super) leaves: u64,
    /// Sum of weights, in a sum trie.
    pub(super) sum: Option<u64>,
    /// Its share of the root's sum (or, in a plain trie, leaves), in thousandths.
    pub(super) share: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Leaf,
    /// The children, by their numbers.
    Branch(usize, usize),
    /// A branch whose children are not drawn.
    Folded,
}

/// What a closest proof has to do with a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// Nothing.
    None,
    /// It is on the way from the root.
    Way,
    /// It is beside the way: its digest is in the proof.
    Beside,
    /// It is the closest leaf.
    Closest,
}

impl Picture {
    /// A picture of `trie`.
    #[must_use]
    pub fn of_trie<S: Spec>(trie: &Trie<S>, view: &View) -> Self {
        Self::of(trie.cursor(), trie.len(), view)
    }

    /// A picture of a leaf set; the same as that of a trie with these leaves.
    #[must_use]
    pub fn of_leaf_set(set: &mut LeafSet, view: &View) -> Self {
        let leaves = set.len();
        Self::of(set.cursor(), leaves, view)
    }

    /// Number of nodes that are drawn, folded ones included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether the trie has no leaf.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// What is drawn when a view does not say how much: all of a small trie, the upper part of a larger one.
    pub(super) fn shown(&self) -> Self {
        let leaves = self.nodes.first().map_or(0, |root| root.leaves);
        match self.view.nodes {
            None if leaves > WHOLE_LEAVES as u64 => self.upper(FOLDED_NODES),
            _ => self.clone(),
        }
    }

    /// About the first `most` nodes of this picture, and all those of a proof.
    pub(super) fn upper(&self, most: usize) -> Self {
        let proof = self.nodes.iter().filter(|node| node.role != Role::None);
        let mut nodes = self.nodes.clone();
        // The root, and pairs of children: an odd number.
        nodes.truncate(proof.count().max(most) | 1);
        let most = nodes.len();
        for node in &mut nodes {
            if matches!(node.shape, Shape::Branch(_, last) if last >= most) {
                node.shape = Shape::Folded;
            }
        }
        Self {
            view: self.view.clone(),
            nodes,
        }
    }

    fn of<C: Cursor>(root: C, leaves: usize, view: &View) -> Self {
        let mut growing = Growing {
            view,
            nodes: Vec::new(),
            open: BinaryHeap::new(),
            subtrees: Vec::new(),
        };
        if !root.is_empty() {
            let role = view.path.map_or(Role::None, |_| Role::Way);
            growing.add(root, 0, 0, role);
            growing.grow(view.nodes.unwrap_or(MAX_NODES).min(MAX_NODES));
        }
        let (mut nodes, total) = (growing.nodes, leaves as u64);
        let sum = nodes.first().and_then(|root| root.sum);
        for node in &mut nodes {
            let (part, whole) = node.sum.zip(sum).unwrap_or((node.leaves, total));
            let share = u128::from(part) * 1000 / u128::from(whole.max(1));
            node.share = u64::try_from(share).unwrap_or(1000).min(1000);
        }
        Self {
            view: view.clone(),
            nodes,
        }
    }
}

/// A picture while nodes are unfolded: those on the way first, then level by level.
struct Growing<'a, C> {
    view: &'a View,
    nodes: Vec<Node>,
    /// Folded nodes that may be unfolded: off the way, level, number.
    open: BinaryHeap<Reverse<(bool, usize, usize)>>,
    subtrees: Vec<C>,
}

impl<C: Cursor> Growing<'_, C> {
    fn grow(&mut self, most: usize) {
        while self.nodes.len() + 2 <= most
            && let Some(Reverse((_, level, number))) = self.open.pop()
        {
            if self.view.levels.is_none_or(|levels| level < levels) {
                self.unfold(number);
            }
        }
    }

    /// Adds the subtree at depth `entry`, which is not empty.
    fn add(&mut self, subtree: C, entry: usize, level: usize, role: Role) -> usize {
        let (number, leaf) = (self.nodes.len(), subtree.leaf());
        let (end, digest) = match &leaf {
            Some(leaf) => (entry, leaf.digest),
            None => (stored_fork(subtree, entry), subtree.digest(entry)),
        };
        let totals = C::Spec::totals(&digest);
        let path = leaf
            .as_ref()
            .map(|leaf| leaf.path)
            .or_else(|| subtree.some_path());
        self.nodes.push(Node {
            shape: if leaf.is_some() {
                Shape::Leaf
            } else {
                Shape::Folded
            },
            role: if leaf.is_some() && role == Role::Way {
                Role::Closest
            } else {
                role
            },
            level,
            entry,
            end,
            path: path.expect("a subtree that is not empty has a leaf"),
            digest: digest.as_ref().to_vec(),
            leaves: totals.map_or_else(|| count(subtree, entry), |(_, leaves)| leaves),
            sum: totals.map(|(sum, _)| sum),
            share: 0,
        });
        self.subtrees.push(subtree);
        if leaf.is_none() {
            self.open.push(Reverse((role != Role::Way, level, number)));
        }
        number
    }

    fn unfold(&mut self, number: usize) {
        let Node {
            entry,
            end,
            level,
            role,
            ..
        } = self.nodes[number];
        let fork = (entry..end).fold(self.subtrees[number], |below, depth| {
            let (left, right) = below.children(depth);
            if left.is_empty() { right } else { left }
        });
        let (left, right) = fork.children(end);
        let roles = match (role, self.view.path) {
            (Role::Way, Some(asked)) if asked.bit(end) => (Role::Beside, Role::Way),
            (Role::Way, Some(_)) => (Role::Way, Role::Beside),
            _ => (Role::None, Role::None),
        };
        let left = self.add(left, end + 1, level + 1, roles.0);
        let right = self.add(right, end + 1, level + 1, roles.1);
        self.nodes[number].shape = Shape::Branch(left, right);
    }
}

fn count<C: Cursor>(subtree: C, depth: usize) -> u64 {
    if subtree.is_empty() {
        return 0;
    }
    if subtree.leaf().is_some() {
        return 1;
    }
    let (left, right) = subtree.children(depth);
    count(left, depth + 1) + count(right, depth + 1)
}

impl Node {
    /// The bits from the node above to this one: the side, then those of an extension.
    pub(super) fn bits(&self) -> String {
        let start = self.entry.saturating_sub(1);
        (start..self.end)
            .map(|depth| if self.path.bit(depth) { '1' } else { '0' })
            .collect()
    }

    /// Depths above this node, below its parent, where `asked` goes to an empty side.
    pub(super) fn flips(&self, asked: &Path) -> Vec<usize> {
        let chain = self.entry..self.end;
        chain
            .filter(|depth| asked.bit(*depth) != self.path.bit(*depth))
            .collect()
    }
}
