//! Paths: where a leaf sits, as 256 bits read from the most significant one.

#![allow(
    clippy::arithmetic_side_effects,
    reason = "positions of bits: depths, and what is counted of them"
)]

use std::fmt;

use sha2::{Digest as _, Sha256};

/// Bits of a path, and so the greatest depth of a leaf.
pub const PATH_BITS: usize = 256;

/// The place of a leaf: 32 bytes; bit 0 is the most significant bit of the first byte, 0 goes left.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Path([u8; 32]);

impl Path {
    /// The path that consists of these bytes.
    #[must_use]
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The path of `key`: its SHA-256, also when the key is a hash already (smt's default path hasher).
    #[must_use]
    pub fn of_key(key: &[u8]) -> Self {
        Self(Sha256::digest(key).into())
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Whether the bit at `depth` is 1 (right). Depths of 256 and more read as 0.
    #[must_use]
    pub fn bit(&self, depth: usize) -> bool {
        bit(&self.0, depth).unwrap_or(false)
    }

    /// Number of leading bits that both paths share, 256 when they are equal.
    #[must_use]
    pub fn common_prefix(&self, other: &Self) -> usize {
        let mut bits = 0;
        for (a, b) in self.0.as_chunks::<8>().0.iter().zip(other.0.as_chunks::<8>().0) {
            let equal = (u64::from_be_bytes(*a) ^ u64::from_be_bytes(*b)).leading_zeros();
            bits += equal as usize;
            if equal < u64::BITS {
                break;
            }
        }
        bits
    }

    /// The first 32 bits as a number: what an index of paths goes by.
    pub(crate) fn indexed(&self) -> u32 {
        let [a, b, c, d, ..] = self.0;
        u32::from_be_bytes([a, b, c, d])
    }

    /// The first `bits` bits, at most 32 of them, as a number.
    pub(crate) fn leading(&self, bits: usize) -> usize {
        usize::try_from(u64::from(self.indexed()) >> (32 - bits)).expect("32 bits fit")
    }

    /// The first `bits` bits of this path, the rest zero.
    #[must_use]
    pub fn prefix(&self, bits: usize) -> Self {
        let mut bytes = [0; 32];
        let whole = (bits / 8).min(32);
        bytes[..whole].copy_from_slice(&self.0[..whole]);
        if whole < 32 {
            let keep = !(0xffu8 >> (bits % 8));
            bytes[whole] = self.0[whole] & keep;
        }
        Self(bytes)
    }
}

/// The bit at `index` of `bytes`, most significant first; `None` behind their end.
pub(crate) fn bit(bytes: &[u8], index: usize) -> Option<bool> {
    let byte = bytes.get(index / 8)?;
    Some(byte >> (7 - index % 8) & 1 == 1)
}

/// Flips the bit at `index`; `None` behind the end of `bytes`.
pub(crate) fn flip(bytes: &mut [u8], index: usize) -> Option<()> {
    *bytes.get_mut(index / 8)? ^= 1 << (7 - index % 8);
    Some(())
}

impl From<[u8; 32]> for Path {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl AsRef<[u8]> for Path {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, &self.0)
    }
}

impl fmt::Debug for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, &self.0)
    }
}

/// Writes lower-case hex.
pub(crate) fn write_hex(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bit_is_the_most_significant_one() {
        let mut bytes = [0; 32];
        bytes[0] = 0x80;
        bytes[31] = 1;
        let path = Path::new(bytes);
        assert!(path.bit(0) && path.bit(255));
        assert!(!path.bit(1) && !path.bit(254) && !path.bit(256));
    }

    #[test]
    fn a_prefix_keeps_its_bits_and_clears_the_rest() {
        let path = Path::new([0xff; 32]);
        assert_eq!(path.prefix(0), Path::new([0; 32]));
        assert_eq!(path.prefix(256), path);
        for bits in 0..=PATH_BITS {
            assert_eq!(path.prefix(bits).common_prefix(&path), bits);
        }
    }
}
