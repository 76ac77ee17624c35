//! The leaves of one session, as a servicer keeps them while relays come in.
//!
//! ```text
//! log         path hash seq │ path hash seq │ …     in the order of insertion, never moved
//! index       │·│3│0│·│·│1│7│·│2│…                  numbers of leaves in the order of paths, with gaps
//! summaries            1                            of the upper levels, once a root was asked for
//!                   2     3
//!                 4   5 6   7                       ◄── one each per bucket: about 8 to 16 leaves
//! ```
//! A leaf takes 72 bytes in the log (path 32, hash 32, reference 8), 10 to 12 in the index and 5 to 9 in
//! the summaries. Values stay in the caller's log; only those of at most two leaves are needed, when a proof is
//! made. An insert writes one place of each part; `root` recomputes the summaries above what was inserted.

mod index;
mod log;
mod place;
mod summaries;

use std::cmp::Ordering;

use crate::closest::ClosestProof;
use crate::error::ProveError;
use crate::path::Path;
use crate::sorted::summarize;
use crate::spec::{Sum, SumDigest};
use crate::walk::{LeafAt, Walk, nearest};

use self::index::Index;
use self::log::{Entry, Log};
use self::place::Place;
use self::summaries::Summaries;

/// A compact sum trie of leaves with equal weight: their hashes in memory, their values elsewhere.
#[derive(Debug, Clone)]
pub struct LeafSet {
    weight: u64,
    log: Log,
    index: Index,
    summaries: Summaries,
}

/// A leaf that is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeafRef {
    /// Its path.
    pub path: Path,
    /// The caller's reference, given at insertion.
    pub seq: u64,
}

/// What a closest proof will be made of: read these values, then call [`LeafSet::prove_closest`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Closest {
    /// The leaf closest to the path.
    pub leaf: LeafRef,
    /// The leaf beside it, when it stands alone there: its value is part of the proof too.
    pub beside: Option<LeafRef>,
}

impl LeafSet {
    /// An empty set; each leaf will have `weight`, the compute units of one relay.
    #[must_use]
    pub fn new(weight: u64) -> Self {
        Self {
            weight,
            log: Log::default(),
            index: Index::default(),
            summaries: Summaries::default(),
        }
    }

    /// Weight of each leaf.
    #[must_use]
    pub const fn weight(&self) -> u64 {
        self.weight
    }

    /// Number of leaves.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.log.len()
    }

    /// Whether there is no leaf.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Sum of all weights, modulo 2^64 as in the root.
    #[must_use]
    pub fn sum(&self) -> u64 {
        u64::try_from(self.len())
            .unwrap_or(u64::MAX)
            .wrapping_mul(self.weight)
    }

    /// Hash of the leaf with `value` at `path`, for [`Self::insert`]; needs no lock on the set.
    #[must_use]
    pub fn hash_leaf(path: &Path, value: &[u8], weight: u64) -> [u8; 32] {
        SumDigest::of_leaf(path, value, weight).hash()
    }

    /// Adds a leaf by its hash ([`Self::hash_leaf`] with the set's weight); `seq` is the caller's reference.
    ///
    /// Returns false, and changes nothing, when there is a leaf at `path` already. Paths are taken for hashes:
    /// sets of many paths that share their first 32 bits are slow.
    pub fn insert(&mut self, path: Path, hash: [u8; 32], seq: u64) -> bool {
        if self.index.is_full(self.len()) {
            // Not both at once in memory: old and new row, and what a root left behind.
            self.summaries = Summaries::default();
            self.index.grow();
        }
        let Err(position) = self.find(&path) else {
            return false;
        };
        self.index.insert(position, path.indexed(), self.len());
        self.log.push(Entry { path, hash, seq });
        self.summaries.forget(&path);
        true
    }

    /// The caller's reference of the leaf at `path`.
    #[must_use]
    pub fn get(&self, path: &Path) -> Option<u64> {
        let number = self.find(path).ok()?;
        Some(self.log.get(number).seq)
    }

    /// All leaves in the order of their paths, with their digests.
    pub fn leaves(&self) -> impl Iterator<Item = (LeafRef, SumDigest)> {
        let numbers = self.index.numbers(self.index.all());
        numbers.map(|number| {
            let entry = self.log.get(number);
            let leaf = LeafRef {
                path: entry.path,
                seq: entry.seq,
            };
            (leaf, entry.digest(self.weight))
        })
    }

    /// Root of the trie: `root_hash` of the session's claim. Costs what changed since the last call, or all when
    /// the set has grown by about a quarter.
    pub fn root(&mut self) -> SumDigest {
        self.refresh();
        self.summaries.digest(1, self.weight)
    }

    /// The leaf closest to `path`, and the one beside it; `None` when the set is empty.
    pub fn closest(&mut self, path: &Path) -> Option<Closest> {
        let walk = self.walk(path);
        let leaf = walk.leaf()?;
        let beside = walk.leaf_beside().map(|leaf| LeafRef {
            path: leaf.path,
            seq: leaf.item,
        });
        Some(Closest {
            leaf: LeafRef {
                path: leaf.path,
                seq: leaf.item,
            },
            beside,
        })
    }

    /// Proof of the leaf closest to `path`, the same as [`crate::SumTrie::prove_closest`] makes of these leaves.
    ///
    /// `value` is asked for the values of the leaves that [`Self::closest`] names.
    ///
    /// # Errors
    /// When `value` does not find a leaf, or finds something that was not inserted.
    pub fn prove_closest<V>(&mut self, path: &Path, mut value: V) -> Result<ClosestProof, ProveError>
    where
        V: FnMut(LeafRef) -> Option<Vec<u8>>,
    {
        let mut lookup = |leaf: &LeafAt<Sum, u64>| {
            value(LeafRef {
                path: leaf.path,
                seq: leaf.item,
            })
        };
        self.walk(path).closest_proof(path, &mut lookup)
    }

    fn walk(&mut self, path: &Path) -> Walk<Place<'_>> {
        nearest(self.cursor(), path)
    }

    pub(crate) fn cursor(&mut self) -> Place<'_> {
        self.refresh();
        Place::at(self, 1, 0)
    }

    /// Number of the leaf at `path`, or where in the index it belongs.
    fn find(&self, path: &Path) -> Result<usize, usize> {
        let order = |number: usize| -> Ordering { self.log.get(number).path.cmp(path) };
        self.index.find(path.indexed(), order)
    }

    fn refresh(&mut self) {
        let (index, log, weight) = (&self.index, &self.log, self.weight);
        let mut entries = Vec::new();
        self.summaries.refresh(log.len(), weight, |bucket, bits| {
            entries.clear();
            let numbers = index.numbers(index.bucket(bucket, bits));
            entries.extend(numbers.map(|number| *log.get(number)));
            summarize::<Sum, _, _>(&entries, bits, &|entry: &Entry| entry.digest(weight))
        });
    }
}
