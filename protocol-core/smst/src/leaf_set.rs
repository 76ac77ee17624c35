//! The leaves of one session, as a servicer keeps them while relays come in.
//!
//! ```text
//!            summaries (cached)          buckets by the first bits, each sorted by path
//!                  1                       00 │ path hash seq │ path hash seq │
//!               2     3                    01 │ path hash seq │
//!             4   5 6   7   ◄── one each   10 │ …
//! ```
//! A leaf takes about 80 bytes: path 32, hash 32, reference 8, and slack. Values stay in the caller's log;
//! only those of at most two leaves are needed, when a proof is made. The number of buckets doubles as the
//! set grows. An insert forgets the summaries above it, `root` computes those that are missing.

use crate::closest::ClosestProof;
use crate::error::ProveError;
use crate::path::Path;
use crate::sorted::{Pathed, Summary, split, summarize};
use crate::spec::{Spec, Sum, SumDigest};
use crate::walk::{Cursor, LeafAt, Walk, nearest};

/// Leaves per bucket, on average, above which the number of buckets doubles.
const BUCKET_LEAVES: usize = 32;
/// A bucket grows by this many leaves, so that it holds little unused memory.
const BUCKET_GROWTH: usize = 8;
/// At most 2^20 buckets: far more leaves than a session can have still work, with fuller buckets.
const MAX_BUCKET_BITS: usize = 20;

/// A compact sum trie of leaves with equal weight: their hashes in memory, their values elsewhere.
#[derive(Debug, Clone)]
pub struct LeafSet {
    weight: u64,
    len: usize,
    bucket_bits: usize,
    buckets: Vec<Vec<Entry>>,
    /// Summary i has children 2i and 2i + 1; the last level is that of the buckets. `None`: not known now.
    summaries: Vec<Option<Summary<SumDigest>>>,
}

#[derive(Debug, Clone)]
pub(crate) struct Entry {
    path: Path,
    hash: [u8; 32],
    seq: u64,
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
            len: 0,
            bucket_bits: 0,
            buckets: vec![Vec::new()],
            summaries: vec![None; 2],
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
        self.len
    }

    /// Whether there is no leaf.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Sum of all weights, modulo 2^64 as in the root.
    #[must_use]
    pub fn sum(&self) -> u64 {
        u64::try_from(self.len)
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
    /// Returns false, and changes nothing, when there is a leaf at `path` already.
    pub fn insert(&mut self, path: Path, hash: [u8; 32], seq: u64) -> bool {
        let bucket = self.bucket_of(&path);
        let entries = &mut self.buckets[bucket];
        let Err(at) = entries.binary_search_by(|entry| entry.path.cmp(&path)) else {
            return false;
        };
        if entries.len() == entries.capacity() {
            entries.reserve_exact(BUCKET_GROWTH);
        }
        entries.insert(at, Entry { path, hash, seq });
        self.len += 1;
        self.forget(bucket);
        if self.len > BUCKET_LEAVES << self.bucket_bits && self.bucket_bits < MAX_BUCKET_BITS {
            self.double();
        }
        true
    }

    /// The caller's reference of the leaf at `path`.
    #[must_use]
    pub fn get(&self, path: &Path) -> Option<u64> {
        let entries = &self.buckets[self.bucket_of(path)];
        let at = entries.binary_search_by(|entry| entry.path.cmp(path)).ok()?;
        Some(entries[at].seq)
    }

    /// All leaves in the order of their paths, with their digests.
    pub fn leaves(&self) -> impl Iterator<Item = (LeafRef, SumDigest)> {
        let entries = self.buckets.iter().flatten();
        entries.map(|entry| (entry.leaf_ref(), entry.digest(self.weight)))
    }

    /// Root of the trie: `root_hash` of the session's claim. Costs what changed since the last call.
    pub fn root(&mut self) -> SumDigest {
        self.refresh(1, 0).digest::<Sum>()
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
        self.refresh(1, 0);
        Place::at(self, 1, 0)
    }

    fn bucket_of(&self, path: &Path) -> usize {
        path.leading(self.bucket_bits)
    }

    /// Forgets the summaries that depend on `bucket`, up to the first that is forgotten already.
    fn forget(&mut self, bucket: usize) {
        let mut summary = (1 << self.bucket_bits) + bucket;
        while summary > 0 && self.summaries[summary].take().is_some() {
            summary /= 2;
        }
    }

    /// Splits each bucket in two.
    fn double(&mut self) {
        let depth = self.bucket_bits;
        let mut buckets = Vec::with_capacity(self.buckets.len() * 2);
        for mut left in std::mem::take(&mut self.buckets) {
            let right = left.split_off(left.partition_point(|entry| !entry.path.bit(depth)));
            left.shrink_to_fit();
            buckets.extend([left, right]);
        }
        self.summaries = vec![None; buckets.len() * 2];
        self.buckets = buckets;
        self.bucket_bits += 1;
    }

    fn refresh(&mut self, index: usize, depth: usize) -> Summary<SumDigest> {
        if let Some(known) = self.summaries[index] {
            return known;
        }
        let summary = if depth == self.bucket_bits {
            let entries = &self.buckets[index - (1 << depth)];
            summarize::<Sum, _, _>(entries, depth, &|entry| entry.digest(self.weight))
        } else {
            let left = self.refresh(2 * index, depth + 1);
            Summary::join::<Sum>(left, self.refresh(2 * index + 1, depth + 1))
        };
        self.summaries[index] = Some(summary);
        summary
    }
}

impl Entry {
    fn digest(&self, weight: u64) -> SumDigest {
        SumDigest::from_parts(self.hash, weight, 1)
    }

    fn leaf_ref(&self) -> LeafRef {
        LeafRef {
            path: self.path,
            seq: self.seq,
        }
    }
}

impl Pathed for Entry {
    fn path(&self) -> &Path {
        &self.path
    }
}

/// A subtree of a set whose summaries are all known.
#[derive(Clone, Copy)]
pub(crate) enum Place<'a> {
    /// At or above the buckets.
    Above(&'a LeafSet, usize),
    /// Inside a bucket.
    Inside(&'a LeafSet, &'a [Entry]),
}

impl<'a> Place<'a> {
    fn at(set: &'a LeafSet, index: usize, depth: usize) -> Self {
        match depth == set.bucket_bits {
            true => Self::Inside(set, &set.buckets[index - (1 << depth)]),
            false => Self::Above(set, index),
        }
    }
}

impl Cursor for Place<'_> {
    type Spec = Sum;
    type Item = u64;

    fn is_empty(self) -> bool {
        match self {
            Self::Above(set, index) => matches!(set.summaries[index], Some(Summary::Empty)),
            Self::Inside(_, entries) => entries.is_empty(),
        }
    }

    fn leaf(self) -> Option<LeafAt<Sum, u64>> {
        match self {
            Self::Inside(set, [entry]) => Some(LeafAt {
                path: entry.path,
                digest: entry.digest(set.weight),
                item: entry.seq,
            }),
            Self::Above(set, index) if matches!(set.summaries[index], Some(Summary::One(_))) => {
                let (left, right) = self.children(depth_of(index));
                left.leaf().or_else(|| right.leaf())
            }
            _ => None,
        }
    }

    fn children(self, depth: usize) -> (Self, Self) {
        match self {
            Self::Above(set, index) => (
                Self::at(set, 2 * index, depth + 1),
                Self::at(set, 2 * index + 1, depth + 1),
            ),
            Self::Inside(set, entries) => {
                let (left, right) = split(entries, depth);
                (Self::Inside(set, left), Self::Inside(set, right))
            }
        }
    }

    fn digest(self, depth: usize) -> SumDigest {
        match self {
            Self::Above(set, index) => set.summaries[index].map_or(Sum::EMPTY, Summary::digest::<Sum>),
            Self::Inside(set, entries) => {
                summarize::<Sum, _, _>(entries, depth, &|entry| entry.digest(set.weight)).digest::<Sum>()
            }
        }
    }

    fn some_path(self) -> Option<Path> {
        match self {
            Self::Inside(_, entries) => entries.first().map(|entry| entry.path),
            Self::Above(_, index) => {
                let (left, right) = self.children(depth_of(index));
                left.some_path().or_else(|| right.some_path())
            }
        }
    }
}

/// Depth of a summary.
fn depth_of(index: usize) -> usize {
    index.ilog2() as usize
}
