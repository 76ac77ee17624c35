//! The authenticated roots of all stores, as a value that is cheap to clone: one per block that may become final.

use portico_smst::{Path, Plain, PlainDigest, PlainTrie, root_of};
use sha2::{Digest, Sha256};

use crate::Write;

/// A plain trie per store.
#[derive(Clone)]
pub struct Roots {
    names: &'static [&'static str],
    tries: Vec<PlainTrie>,
}

impl Roots {
    /// Empty stores with these names.
    #[must_use]
    pub fn empty(names: &'static [&'static str]) -> Self {
        Self {
            names,
            tries: names.iter().map(|_| PlainTrie::new()).collect(),
        }
    }

    /// Applies writes.
    pub fn apply(&mut self, writes: &[Write]) {
        for (store, key, value) in writes {
            let Some(trie) = self.tries.get_mut(usize::from(*store)) else {
                continue;
            };
            let path = Path::of_key(key);
            match value {
                Some(value) => {
                    trie.insert(path, Sha256::digest(value).as_slice());
                }
                None => {
                    trie.remove(&path);
                }
            }
        }
    }

    /// Root of one store.
    #[must_use]
    pub fn store_root(&self, store: u8) -> Option<PlainDigest> {
        self.tries.get(usize::from(store)).map(PlainTrie::root)
    }

    /// Root over the stores' roots: a plain trie of (name, root).
    #[must_use]
    pub fn app_hash(&self) -> [u8; 32] {
        let leaves = self.names.iter().zip(&self.tries).map(|(name, trie)| {
            let path = Path::of_key(name.as_bytes());
            let digest = PlainDigest::of_leaf(&path, trie.root().as_bytes());
            (path, digest)
        });
        *root_of::<Plain>(leaves).as_bytes()
    }
}
