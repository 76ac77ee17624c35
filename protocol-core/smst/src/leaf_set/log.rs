//! The leaves of a set in the order of their insertion: written once, never moved.

use crate::path::Path;
use crate::sorted::Pathed;
use crate::spec::SumDigest;

/// Leaves per chunk. A chunk is never copied, so that a growing log wastes no memory.
const CHUNK_LEAVES: usize = 1024;

/// One leaf.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    pub(super) path: Path,
    pub(super) hash: [u8; 32],
    pub(super) seq: u64,
}

/// All leaves, numbered from 0.
#[derive(Debug, Clone, Default)]
pub(super) struct Log {
    chunks: Vec<Vec<Entry>>,
    len: usize,
}

impl Log {
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    pub(super) fn get(&self, number: usize) -> &Entry {
        &self.chunks[number / CHUNK_LEAVES][number % CHUNK_LEAVES]
    }

    /// Appends a leaf.
    pub(super) fn push(&mut self, entry: Entry) {
        match self.chunks.last_mut() {
            Some(chunk) if chunk.len() < CHUNK_LEAVES => chunk.push(entry),
            // The first chunk starts small: most sessions have few leaves.
            None => self.chunks.push(vec![entry]),
            Some(_) => {
                let mut chunk = Vec::with_capacity(CHUNK_LEAVES);
                chunk.push(entry);
                self.chunks.push(chunk);
            }
        }
        self.len = self.len.saturating_add(1);
    }
}

impl Entry {
    pub(super) fn digest(&self, weight: u64) -> SumDigest {
        SumDigest::from_parts(self.hash, weight, 1)
    }
}

impl Pathed for Entry {
    fn path(&self) -> &Path {
        &self.path
    }
}
