//! Pages of a store's trie: four levels of the binary trie in one row.
//!
//! A page at depth 4 × n belongs to the first n nibbles of a path and has a slot for each next nibble: empty, one leaf, or a page that
//! has two leaves or more. Only the root page may hold a single leaf. Digests are those of `portico_smst::Plain`.

use portico_smst::{Path, PlainDigest};
use sha2::{Digest as _, Sha256};

use crate::{Hash, StoreError};

/// Slots of a page: one per nibble.
pub(crate) const SLOTS: usize = 16;
/// Most nibbles of a path.
pub(crate) const NIBBLES: usize = 64;
/// Digest of a subtree without leaves.
pub(crate) const EMPTY: Hash = [0; 32];

/// One sixteenth of a page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Slot {
    #[default]
    Empty,
    /// A leaf, with the key whose hash is its path.
    Leaf { digest: Hash, key: Vec<u8> },
    /// Digest of a page.
    Page(Hash),
}

/// A page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Page(pub(crate) [Slot; SLOTS]);

/// What a value is hashed as. Verifiers of ICS-23 know no empty values, so that an empty one is committed as a zero byte.
pub(crate) fn committed(value: &[u8]) -> &[u8] {
    if value.is_empty() { &[0] } else { value }
}

/// Digest of the leaf of a key at `path`.
pub(crate) fn leaf_digest(path: &Path, value: &[u8]) -> PlainDigest {
    PlainDigest::of_leaf(path, &Sha256::digest(committed(value)))
}

/// The nibble of `path` at `index`.
pub(crate) fn nibble(path: &Path, index: usize) -> usize {
    let byte = path.as_bytes().get(index / 2).copied().unwrap_or(0);
    usize::from(if index.is_multiple_of(2) {
        byte >> 4
    } else {
        byte & 15
    })
}

pub(crate) fn inner(left: &Hash, right: &Hash) -> Hash {
    Sha256::new_with_prefix([1])
        .chain_update(left)
        .chain_update(right)
        .finalize()
        .into()
}

impl Page {
    /// Digest of the whole.
    pub(crate) fn digest(&self) -> Hash {
        subtree(&self.0)
    }

    /// The only leaf, when that is all there is.
    pub(crate) fn only_leaf(&self) -> Option<&Slot> {
        only_leaf(&self.0)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.iter().all(|slot| *slot == Slot::Empty)
    }

    pub(crate) fn encode(&self) -> Result<Vec<u8>, StoreError> {
        let (mut leaves, mut pages) = (0_u16, 0_u16);
        let mut body = Vec::with_capacity(SLOTS * 40);
        for (index, slot) in self.0.iter().enumerate() {
            match slot {
                Slot::Empty => {}
                Slot::Leaf { digest, key } => {
                    leaves |= 1 << index;
                    let len = u16::try_from(key.len());
                    let len =
                        len.map_err(|_| StoreError::Damaged("a key is longer than 65535 bytes".into()))?;
                    body.extend(digest);
                    body.extend(len.to_be_bytes());
                    body.extend(key);
                }
                Slot::Page(digest) => {
                    pages |= 1 << index;
                    body.extend(digest);
                }
            }
        }
        Ok([&leaves.to_be_bytes(), &pages.to_be_bytes(), body.as_slice()].concat())
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, StoreError> {
        read_page(bytes).ok_or_else(|| StoreError::Damaged("a page of a trie does not decode".into()))
    }
}

fn read_page(bytes: &[u8]) -> Option<Page> {
    let (leaves, bytes) = bytes.split_first_chunk::<2>()?;
    let (pages, mut bytes) = bytes.split_first_chunk::<2>()?;
    let (leaves, pages) = (u16::from_be_bytes(*leaves), u16::from_be_bytes(*pages));
    let mut page = Page::default();
    for (index, slot) in page.0.iter_mut().enumerate() {
        let bit = 1_u16 << index;
        if (leaves | pages) & bit == 0 {
            continue;
        }
        let (digest, rest) = bytes.split_first_chunk::<32>()?;
        bytes = rest;
        *slot = Slot::Page(*digest);
        if leaves & bit != 0 {
            let (len, rest) = bytes.split_first_chunk::<2>()?;
            let (key, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*len)))?;
            bytes = rest;
            *slot = Slot::Leaf {
                digest: *digest,
                key: key.to_vec(),
            };
        }
    }
    (leaves & pages == 0 && bytes.is_empty()).then_some(page)
}

/// The leaf that is all there is in these slots.
pub(crate) fn only_leaf(slots: &[Slot]) -> Option<&Slot> {
    let mut full = slots.iter().filter(|slot| **slot != Slot::Empty);
    let only = full.next().filter(|slot| matches!(slot, Slot::Leaf { .. }))?;
    full.next().is_none().then_some(only)
}

/// Digest over neighbouring slots, a power of two of them.
pub(crate) fn subtree(slots: &[Slot]) -> Hash {
    if slots.iter().all(|slot| *slot == Slot::Empty) {
        return EMPTY;
    }
    if let Some(Slot::Leaf { digest, .. }) = only_leaf(slots) {
        return *digest;
    }
    if let [Slot::Page(digest)] = slots {
        return *digest;
    }
    let (left, right) = slots.split_at(slots.len() / 2);
    inner(&subtree(left), &subtree(right))
}
