//! Walking down a leaf set.

#![allow(
    clippy::arithmetic_side_effects,
    reason = "positions in memory, far below the limits of usize"
)]

use std::ops::Range;

use super::LeafSet;
use super::log::Entry;
use crate::path::Path;
use crate::sorted::summarize;
use crate::spec::{Sum, SumDigest};
use crate::walk::{Cursor, LeafAt};

/// Bits of a path that the index holds.
const INDEXED_BITS: usize = 32;

/// A subtree of a set whose summaries are all known.
#[derive(Clone, Copy)]
pub(crate) enum Place<'a> {
    /// Above the buckets.
    Above(&'a LeafSet, usize),
    /// In a bucket: the leaves at positions of the index, from the first to before the last.
    Inside(&'a LeafSet, usize, usize),
}

impl<'a> Place<'a> {
    /// The subtree of summary `index`, at `depth`.
    pub(super) fn at(set: &'a LeafSet, index: usize, depth: usize) -> Self {
        let bits = set.summaries.bits();
        if depth < bits {
            return Self::Above(set, index);
        }
        let Range { start, end } = set.index.bucket(index - (1 << bits), bits);
        Self::Inside(set, start, end)
    }

    fn entries(set: &'a LeafSet, start: usize, end: usize) -> impl Iterator<Item = &'a Entry> {
        set.index.numbers(start..end).map(|number| set.log.get(number))
    }
}

impl Cursor for Place<'_> {
    type Spec = Sum;
    type Item = u64;

    fn is_empty(self) -> bool {
        match self {
            Self::Above(set, index) => set.summaries.count(index) == 0,
            Self::Inside(set, start, end) => set.index.numbers(start..end).next().is_none(),
        }
    }

    fn leaf(self) -> Option<LeafAt<Sum, u64>> {
        match self {
            Self::Inside(set, start, end) => {
                let mut entries = Self::entries(set, start, end);
                let (entry, None) = (entries.next()?, entries.next()) else {
                    return None;
                };
                Some(LeafAt {
                    path: entry.path,
                    digest: entry.digest(set.weight),
                    item: entry.seq,
                })
            }
            Self::Above(set, index) if set.summaries.count(index) == 1 => {
                let (left, right) = self.children(depth_of(index));
                left.leaf().or_else(|| right.leaf())
            }
            Self::Above(..) => None,
        }
    }

    fn children(self, depth: usize) -> (Self, Self) {
        match self {
            Self::Above(set, index) => (
                Self::at(set, 2 * index, depth + 1),
                Self::at(set, 2 * index + 1, depth + 1),
            ),
            Self::Inside(set, start, end) => {
                let is_right = |position: &usize| set.is_right(*position, depth);
                let middle = (start..end).find(is_right).unwrap_or(end);
                (Self::Inside(set, start, middle), Self::Inside(set, middle, end))
            }
        }
    }

    fn digest(self, depth: usize) -> SumDigest {
        match self {
            Self::Above(set, index) => set.summaries.digest(index, set.weight),
            Self::Inside(set, start, end) => {
                let entries: Vec<Entry> = Self::entries(set, start, end).copied().collect();
                summarize::<Sum, _, _>(&entries, depth, &|entry| entry.digest(set.weight)).digest::<Sum>()
            }
        }
    }

    fn some_path(self) -> Option<Path> {
        match self {
            Self::Inside(set, start, end) => Self::entries(set, start, end).next().map(|entry| entry.path),
            Self::Above(_, index) => {
                let (left, right) = self.children(depth_of(index));
                left.some_path().or_else(|| right.some_path())
            }
        }
    }
}

impl LeafSet {
    /// Whether there is a leaf at this position of the index, and its path has a 1 at `depth`.
    fn is_right(&self, position: usize, depth: usize) -> bool {
        match depth < INDEXED_BITS {
            true => self
                .index
                .prefix(position)
                .is_some_and(|prefix| prefix >> (INDEXED_BITS - 1 - depth) & 1 == 1),
            false => self
                .index
                .number(position)
                .is_some_and(|number| self.log.get(number).path.bit(depth)),
        }
    }
}

/// Depth of a summary.
fn depth_of(index: usize) -> usize {
    index.ilog2() as usize
}
