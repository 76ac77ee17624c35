//! The two kinds of trie: what a digest is and how it is made.

use std::fmt;
use std::hash::Hash;

use sha2::{Digest as _, Sha256};

use crate::path::{Path, write_hex};

/// First byte of an encoded leaf.
pub(crate) const LEAF: u8 = 0;
/// First byte of an encoded inner node.
pub(crate) const INNER: u8 = 1;
/// First byte of an encoded extension (the stored form of a chain of inner nodes with one child each).
pub(crate) const EXTENSION: u8 = 2;

/// A kind of trie: [`Sum`] (what relays are claimed with) or [`Plain`] (what state is committed with).
pub trait Spec: Copy + fmt::Debug + Eq + Send + Sync + 'static {
    /// Digest of a node; the root is one.
    type Digest: Copy + Eq + Hash + AsRef<[u8]> + fmt::Debug + fmt::Display + Send + Sync;

    /// Length of a digest in bytes.
    const DIGEST_LEN: usize;
    /// Bytes at the end of an encoding that its digest repeats in clear: sum and count, or nothing.
    const META_LEN: usize;
    /// Digest of an empty subtree, also the root of an empty trie: zeros.
    const EMPTY: Self::Digest;

    /// The digest of `hash` and the clear bytes, `META_LEN` of them.
    fn assemble(hash: [u8; 32], meta: &[u8]) -> Self::Digest;

    /// Digest of an inner node with these children; sums wrap modulo 2^64 as in the network.
    fn inner(left: &Self::Digest, right: &Self::Digest) -> Self::Digest;

    /// Sum and count of a subtree; `None` for a kind that has none.
    fn totals(digest: &Self::Digest) -> Option<(u64, u64)>;

    /// Encoding of an inner node, `None` if a child is too short to end with its sum and count.
    fn inner_encoding(left: &[u8], right: &[u8]) -> Option<Vec<u8>>;

    /// Digest of a leaf or inner node from its encoding, `None` if that is shorter than its clear part.
    fn of_encoding(encoding: &[u8]) -> Option<Self::Digest> {
        let start = encoding.len().checked_sub(Self::META_LEN)?;
        Some(Self::assemble(
            Sha256::digest(encoding).into(),
            &encoding[start..],
        ))
    }

    /// Digest of the leaf at `path`; `meta` is what follows the value (weight and count, or nothing).
    fn leaf(path: &Path, value: &[u8], meta: &[u8]) -> Self::Digest {
        let hash = Sha256::new()
            .chain_update([LEAF])
            .chain_update(path)
            .chain_update(value)
            .chain_update(meta);
        Self::assemble(hash.finalize().into(), meta)
    }
}

/// The sum trie: leaves have weights, and each digest carries the sum of weights and the count of leaves below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Sum {}

/// The plain trie: digests are SHA-256 hashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Plain {}

/// Digest in a sum trie: 48 bytes, SHA-256 ‖ sum (u64 big-endian) ‖ count (u64 big-endian).
///
/// The root of a session's trie in this form is the `root_hash` of its claim.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SumDigest([u8; 48]);

/// Digest in a plain trie: 32 bytes, SHA-256.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct PlainDigest([u8; 32]);

impl SumDigest {
    /// The digest made of these bytes.
    #[must_use]
    pub const fn new(bytes: [u8; 48]) -> Self {
        Self(bytes)
    }

    /// The digest made of a hash and totals.
    #[must_use]
    pub fn from_parts(hash: [u8; 32], sum: u64, count: u64) -> Self {
        let mut bytes = [0; 48];
        bytes[..32].copy_from_slice(&hash);
        bytes[32..40].copy_from_slice(&sum.to_be_bytes());
        bytes[40..].copy_from_slice(&count.to_be_bytes());
        Self(bytes)
    }

    /// Digest of the leaf with `value` and `weight` at `path`.
    #[must_use]
    pub fn of_leaf(path: &Path, value: &[u8], weight: u64) -> Self {
        Sum::leaf(path, value, &leaf_meta(weight, 1))
    }

    /// The 48 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 48] {
        &self.0
    }

    /// The hash, without the totals.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        let mut hash = [0; 32];
        hash.copy_from_slice(&self.0[..32]);
        hash
    }

    /// Sum of the weights of all leaves below, modulo 2^64.
    #[must_use]
    pub fn sum(&self) -> u64 {
        be_u64(&self.0[32..40])
    }

    /// Number of leaves below.
    #[must_use]
    pub fn count(&self) -> u64 {
        be_u64(&self.0[40..])
    }
}

impl PlainDigest {
    /// The digest made of these bytes.
    #[must_use]
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Digest of the leaf with `value` at `path`.
    #[must_use]
    pub fn of_leaf(path: &Path, value: &[u8]) -> Self {
        Plain::leaf(path, value, &[])
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl Spec for Sum {
    type Digest = SumDigest;
    const DIGEST_LEN: usize = 48;
    const META_LEN: usize = 16;
    const EMPTY: SumDigest = SumDigest([0; 48]);

    fn assemble(hash: [u8; 32], meta: &[u8]) -> SumDigest {
        let mut bytes = [0; 48];
        bytes[..32].copy_from_slice(&hash);
        bytes[32..].copy_from_slice(meta);
        SumDigest(bytes)
    }

    fn inner(left: &SumDigest, right: &SumDigest) -> SumDigest {
        let sum = left.sum().wrapping_add(right.sum());
        let count = left.count().wrapping_add(right.count());
        let mut encoding = [0; 113];
        encoding[0] = INNER;
        encoding[1..49].copy_from_slice(&left.0);
        encoding[49..97].copy_from_slice(&right.0);
        encoding[97..105].copy_from_slice(&sum.to_be_bytes());
        encoding[105..].copy_from_slice(&count.to_be_bytes());
        Self::assemble(Sha256::digest(encoding).into(), &encoding[97..])
    }

    fn totals(digest: &SumDigest) -> Option<(u64, u64)> {
        Some((digest.sum(), digest.count()))
    }

    fn inner_encoding(left: &[u8], right: &[u8]) -> Option<Vec<u8>> {
        let (left_sum, left_count) = trailing_totals(left)?;
        let (right_sum, right_count) = trailing_totals(right)?;
        let meta = leaf_meta(
            left_sum.wrapping_add(right_sum),
            left_count.wrapping_add(right_count),
        );
        Some([&[INNER], left, right, &meta].concat())
    }
}

impl Spec for Plain {
    type Digest = PlainDigest;
    const DIGEST_LEN: usize = 32;
    const META_LEN: usize = 0;
    const EMPTY: PlainDigest = PlainDigest([0; 32]);

    fn assemble(hash: [u8; 32], _meta: &[u8]) -> PlainDigest {
        PlainDigest(hash)
    }

    fn inner(left: &PlainDigest, right: &PlainDigest) -> PlainDigest {
        let mut encoding = [0; 65];
        encoding[0] = INNER;
        encoding[1..33].copy_from_slice(&left.0);
        encoding[33..].copy_from_slice(&right.0);
        PlainDigest(Sha256::digest(encoding).into())
    }

    fn totals(_: &PlainDigest) -> Option<(u64, u64)> {
        None
    }

    fn inner_encoding(left: &[u8], right: &[u8]) -> Option<Vec<u8>> {
        Some([&[INNER], left, right].concat())
    }
}

/// What follows the value in an encoded leaf of a sum trie: weight and count, big-endian.
pub(crate) fn leaf_meta(weight: u64, count: u64) -> [u8; 16] {
    let mut meta = [0; 16];
    meta[..8].copy_from_slice(&weight.to_be_bytes());
    meta[8..].copy_from_slice(&count.to_be_bytes());
    meta
}

/// Sum and count at the end of `bytes`, `None` if there are fewer than 16.
pub(crate) fn trailing_totals(bytes: &[u8]) -> Option<(u64, u64)> {
    let start = bytes.len().checked_sub(16)?;
    let (sum, count) = bytes[start..].split_at(8);
    Some((be_u64(sum), be_u64(count)))
}

fn be_u64(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |value, byte| value << 8 | u64::from(*byte))
}

macro_rules! digest_traits {
    ($name:ident, $len:literal) => {
        impl AsRef<[u8]> for $name {
            fn as_ref(&self) -> &[u8] {
                &self.0
            }
        }
        impl From<[u8; $len]> for $name {
            fn from(bytes: [u8; $len]) -> Self {
                Self(bytes)
            }
        }
        impl TryFrom<&[u8]> for $name {
            type Error = std::array::TryFromSliceError;
            fn try_from(bytes: &[u8]) -> Result<Self, Self::Error> {
                <[u8; $len]>::try_from(bytes).map(Self)
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_hex(f, &self.0)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_hex(f, &self.0)
            }
        }
    };
}
digest_traits!(SumDigest, 48);
digest_traits!(PlainDigest, 32);
