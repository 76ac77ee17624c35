//! What is known of the upper levels of a leaf set: computed when it is asked for, kept while it holds.

#![allow(
    clippy::arithmetic_side_effects,
    reason = "positions in memory, far below the limits of usize"
)]

use crate::path::Path;
use crate::sorted::Summary;
use crate::spec::{Spec, Sum, SumDigest};

/// Leaves per bucket on average, at most: what a proof hashes anew. Fewer would need more memory.
const BUCKET_LEAVES: usize = 16;
/// At most 2^20 buckets: far more leaves than a session can have still work, with fuller buckets.
const MAX_BITS: usize = 20;

/// Summary of a subtree in 36 bytes: the sum follows from the count, since all leaves weigh the same.
#[derive(Debug, Clone, Copy)]
struct Node {
    hash: [u8; 32],
    count: u32,
}

/// Summaries of the subtrees down to the buckets: number i has the children 2i and 2i + 1, the root is number 1.
#[derive(Debug, Clone, Default)]
pub(super) struct Summaries {
    /// Depth of the buckets.
    bits: usize,
    /// Empty: nothing is known.
    nodes: Vec<Node>,
    /// One bit per bucket: whether it changed since.
    changed: Vec<u64>,
}

impl Summaries {
    /// Depth of the buckets.
    pub(super) const fn bits(&self) -> usize {
        self.bits
    }

    /// Number of leaves in the subtree.
    pub(super) fn count(&self, index: usize) -> u32 {
        self.nodes[index].count
    }

    /// Digest of the subtree, when each leaf has `weight`.
    pub(super) fn digest(&self, index: usize, weight: u64) -> SumDigest {
        let Node { hash, count } = self.nodes[index];
        let count = u64::from(count);
        SumDigest::from_parts(hash, weight.wrapping_mul(count), count)
    }

    /// Remembers that a leaf was added.
    pub(super) fn forget(&mut self, path: &Path) {
        if !self.nodes.is_empty() {
            let bucket = path.leading(self.bits);
            self.changed[bucket / 64] |= 1 << (bucket % 64);
        }
    }

    /// Brings all summaries up to date; `bucket` makes that of a bucket, given its number and depth.
    pub(super) fn refresh<F>(&mut self, leaves: usize, weight: u64, bucket: F)
    where
        F: FnMut(usize, usize) -> Summary<SumDigest>,
    {
        let bits = bits_for(leaves);
        if self.nodes.is_empty() || self.bits != bits {
            *self = Self {
                bits,
                nodes: vec![Node::EMPTY; 2 << bits],
                changed: vec![u64::MAX; (1usize << bits).div_ceil(64)],
            };
        }
        self.update(weight, bucket);
    }

    /// Recomputes changed buckets, then what is above them, level by level.
    fn update<F>(&mut self, weight: u64, mut bucket: F)
    where
        F: FnMut(usize, usize) -> Summary<SumDigest>,
    {
        let first = 1 << self.bits;
        let mut changed = std::mem::take(&mut self.changed);
        let mut above = Vec::new();
        for (word, bits) in changed.iter_mut().enumerate() {
            while *bits != 0 {
                let number = word * 64 + bits.trailing_zeros() as usize;
                *bits &= *bits - 1;
                if number < first {
                    self.nodes[first + number] = Node::of(bucket(number, self.bits));
                    above.push(first + number);
                }
            }
        }
        self.changed = changed;
        for _ in 0..self.bits {
            above.iter_mut().for_each(|index| *index /= 2);
            above.dedup();
            for index in &above {
                let (left, right) = (
                    self.summary(2 * index, weight),
                    self.summary(2 * index + 1, weight),
                );
                self.nodes[*index] = Node::of(Summary::join::<Sum>(left, right));
            }
        }
    }

    fn summary(&self, index: usize, weight: u64) -> Summary<SumDigest> {
        match self.count(index) {
            0 => Summary::Empty,
            1 => Summary::One(self.digest(index, weight)),
            _ => Summary::Many(self.digest(index, weight)),
        }
    }
}

impl Node {
    const EMPTY: Self = Self {
        hash: [0; 32],
        count: 0,
    };

    fn of(summary: Summary<SumDigest>) -> Self {
        let digest = summary.digest::<Sum>();
        debug_assert!(digest != Sum::EMPTY || summary == Summary::Empty);
        Self {
            hash: digest.hash(),
            count: u32::try_from(digest.count()).expect("as many as leaves have numbers"),
        }
    }
}

fn bits_for(leaves: usize) -> usize {
    let buckets = leaves.div_ceil(BUCKET_LEAVES).next_power_of_two();
    MAX_BITS.min(buckets.ilog2() as usize)
}
