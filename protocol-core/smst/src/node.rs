//! Encodings of nodes as the network stores them, and the digest that belongs to an encoding.

#![allow(clippy::arithmetic_side_effects, reason = "lengths of digests, known here")]

use crate::path::{Path, bit};
use crate::spec::{EXTENSION, LEAF, Spec};

/// What an encoded node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NodeKind {
    /// `00` ‖ path ‖ value ‖ weight ‖ count.
    Leaf,
    /// `01` ‖ left ‖ right ‖ sum ‖ count.
    Inner,
    /// `02` ‖ first depth ‖ end depth ‖ path ‖ child ‖ sum ‖ count.
    Extension,
}

/// Encoding of the leaf `digest`, whose value is `value`.
pub(crate) fn leaf_encoding<S: Spec>(path: &Path, value: &[u8], digest: &S::Digest) -> Vec<u8> {
    [&[LEAF], path.as_ref(), value, meta::<S>(digest)].concat()
}

/// Encoding of the extension that stands for the inner nodes at depths `start..end`, above `child`.
///
/// Of `path` only the bits in that range matter to a verifier; we clear the rest, so that the encoding
/// depends on the leaves alone (other implementations leave the bits of some leaf there).
pub(crate) fn extension_encoding<S: Spec>(
    start: usize,
    end: usize,
    path: &Path,
    child: &S::Digest,
) -> Vec<u8> {
    let bound =
        |depth: usize| u8::try_from(depth).expect("an extension ends above a branch, so at most at 255");
    let path = path.prefix(end);
    [
        &[EXTENSION, bound(start), bound(end)],
        path.as_ref(),
        child.as_ref(),
        meta::<S>(child),
    ]
    .concat()
}

/// The clear part of a digest.
pub(crate) fn meta<S: Spec>(digest: &S::Digest) -> &[u8] {
    &digest.as_ref()[S::DIGEST_LEN - S::META_LEN..]
}

/// Digest of the chain of inner nodes at depths `start..end` along `path`, above `child`.
pub(crate) fn chain<S: Spec>(start: usize, end: usize, path: &Path, child: S::Digest) -> S::Digest {
    (start..end)
        .rev()
        .fold(child, |below, depth| match path.bit(depth) {
            false => S::inner(&below, &S::EMPTY),
            true => S::inner(&S::EMPTY, &below),
        })
}

/// Digest that any encoded node has in its parent, as bytes; `None` if it is too short to be a node.
///
/// An extension's child may have any length, as in the network's verifier; so may the result when an
/// extension spans nothing.
pub(crate) fn digest_of_encoding<S: Spec>(encoding: &[u8]) -> Option<Vec<u8>> {
    if *encoding.first()? != EXTENSION {
        return Some(S::of_encoding(encoding)?.as_ref().to_vec());
    }
    let child = encoding.get(35..encoding.len().checked_sub(S::META_LEN)?)?;
    let (start, end, path) = (
        usize::from(encoding[1]),
        usize::from(encoding[2]),
        &encoding[3..35],
    );
    let mut below = child.to_vec();
    for depth in (start..end).rev() {
        let inner = match bit(path, depth)? {
            false => S::inner_encoding(&below, S::EMPTY.as_ref())?,
            true => S::inner_encoding(S::EMPTY.as_ref(), &below)?,
        };
        below = S::of_encoding(&inner)?.as_ref().to_vec();
    }
    Some(below)
}
