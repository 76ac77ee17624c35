//! Roots: one trie per store, and the root over their roots.

use std::collections::BTreeMap;

use portico_smst::{Leaf, Path, Plain, PlainTrie};
use sha2::{Digest as _, Sha256};

use crate::page::{inner, leaf_digest};
use crate::{Change, Hash, StoreError};

/// The tries of all stores at one version. `clone` costs a few pointers, so that every overlay has its own.
#[derive(Clone, Debug)]
pub struct StateTries(BTreeMap<&'static str, PlainTrie>);

impl StateTries {
    /// Empty tries of these stores.
    #[must_use]
    pub fn new(stores: &[&'static str]) -> Self {
        Self(stores.iter().map(|name| (*name, PlainTrie::new())).collect())
    }

    /// Applies the changes of a block, in one descent per store; errs, having applied a part, when one names a store that there is not.
    pub fn apply<'a>(&mut self, changes: impl IntoIterator<Item = Change<'a>>) -> Result<(), StoreError> {
        let mut edits: BTreeMap<&str, Vec<_>> = BTreeMap::new();
        for (store, key, value) in changes {
            let path = Path::of_key(key);
            let edit = (path, value.map(|value| leaf(path, value)));
            edits.entry(store).or_default().push(edit);
        }
        for (store, edits) in edits {
            self.trie(store)?.apply(edits);
        }
        Ok(())
    }

    /// Sets or, without a value, removes one key.
    pub(crate) fn set(&mut self, store: &str, key: &[u8], value: Option<&[u8]>) -> Result<(), StoreError> {
        let trie = self.trie(store)?;
        let path = Path::of_key(key);
        match value {
            Some(value) => trie.insert_leaf(leaf(path, value)),
            None => trie.remove(&path),
        };
        Ok(())
    }

    fn trie(&mut self, store: &str) -> Result<&mut PlainTrie, StoreError> {
        let missing = || StoreError::Damaged(format!("there is no store {store:?}"));
        self.0.get_mut(store).ok_or_else(missing)
    }

    /// The trie of one store.
    pub(crate) fn of(&self, store: &str) -> Option<&PlainTrie> {
        self.0.get(store)
    }

    /// Names of the stores, in order.
    pub fn names(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.0.keys().copied()
    }

    /// Root of one store.
    #[must_use]
    pub fn root(&self, store: &str) -> Option<Hash> {
        self.0.get(store).map(|trie| *trie.root().as_bytes())
    }

    /// The app hash: the root over the roots.
    #[must_use]
    pub fn app_hash(&self) -> Hash {
        let roots: Vec<_> = self
            .0
            .iter()
            .map(|(name, trie)| (*name, *trie.root().as_bytes()))
            .collect();
        app_hash(&roots)
    }
}

pub(crate) fn leaf(path: Path, value: &[u8]) -> Leaf<Plain> {
    Leaf::by_digest(path, leaf_digest(&path, value))
}

/// The root over (store, root) in the given order, which must be that of the names.
#[must_use]
pub fn app_hash(roots: &[(&str, Hash)]) -> Hash {
    app_hash_of(roots.iter().map(|(name, root)| (*name, root)))
}

pub(crate) fn app_hash_of<'a>(roots: impl Iterator<Item = (&'a str, &'a Hash)>) -> Hash {
    let leaves: Vec<Hash> = roots.map(|(name, root)| store_leaf(name, root)).collect();
    merkle_root(&leaves)
}

/// The siblings from the leaf of store `index` up to the app hash, and whether each is the left one.
pub(crate) fn outer_path(roots: &[(String, Hash)], index: usize) -> Vec<(Hash, bool)> {
    let leaves: Vec<Hash> = roots.iter().map(|(name, root)| store_leaf(name, root)).collect();
    let mut path = Vec::new();
    siblings(&leaves, index, &mut path);
    path
}

fn siblings(leaves: &[Hash], index: usize, path: &mut Vec<(Hash, bool)>) {
    if leaves.len() < 2 {
        return;
    }
    let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
    if index < left.len() {
        siblings(left, index, path);
        path.push((merkle_root(right), false));
    } else {
        siblings(right, index - left.len(), path);
        path.push((merkle_root(left), true));
    }
}

fn store_leaf(name: &str, root: &Hash) -> Hash {
    let mut hasher = Sha256::new_with_prefix([0]);
    hasher.update(varint(name.len()));
    hasher.update(name);
    hasher.update(varint(root.len()));
    hasher.update(Sha256::digest(root));
    hasher.finalize().into()
}

/// RFC 6962: the left half holds the largest power of two below the count.
fn merkle_root(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => Sha256::digest([]).into(),
        [leaf] => *leaf,
        _ => {
            let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
            inner(&merkle_root(left), &merkle_root(right))
        }
    }
}

fn varint(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(2);
    loop {
        let low = u8::try_from(number & 0x7f).expect("seven bits fit");
        number >>= 7;
        if number == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}
