//! Proofs that a store of the state has a key, or has it not, for verifiers of ICS-23.
//!
//! ```text
//!  key, value ── key proof (sparse tree, `smt_spec`) ──► root of the store ── store proof (`tendermint_spec`) ──► app hash
//! ```
//! The app hash after block h is in the header of block h + 1: a proof of height h is checked against that header.
//!
//! - **Specifications**: both are the ones that verifiers ship. A leaf is `00 ‖ SHA-256(key) ‖ SHA-256(value)`, an inner node
//!   `01 ‖ left ‖ right`, an empty subtree 32 zero bytes, at most 256 levels.
//! - **Absence**: the leaves on both sides of the key by the order of SHA-256(key), or the outermost one.
//! - **An empty store** has no leaves to show: there is no key proof, and the store proof says that its root is 32 zero bytes.
//! - **An empty value** is committed, and proved, as one zero byte, since verifiers refuse empty values.

use ics23::commitment_proof::Proof;
use ics23::{
    BatchEntry, BatchProof, CommitmentProof, ExistenceProof, HashOp, InnerOp, LeafOp, LengthOp,
    NonExistenceProof,
};
use portico_smst::{Leaf, Path, Plain, PlainDigest, PlainTrie};
use prost_ics23::Message as _;

use crate::page::{NIBBLES, Page, SLOTS, Slot, committed, nibble, subtree};
use crate::snapshot::hex;
use crate::tries::outer_path;
use crate::{Hash, Snapshot, StoreError};

/// What one key of a store is at one height, with the proof.
#[derive(Clone, Debug, PartialEq)]
pub struct StateProof {
    /// Height of the block whose state is proved. Its app hash is in the header of the next block.
    pub height: i64,
    /// Name of the store.
    pub store: String,
    /// The key.
    pub key: Vec<u8>,
    /// The value as it was hashed (one zero byte for an empty one); `None` when the key is absent.
    pub value: Option<Vec<u8>>,
    /// From the key to the root of the store; `None` when the store is empty.
    pub key_proof: Option<CommitmentProof>,
    /// Root of the store; zeros when it is empty.
    pub store_root: Hash,
    /// From the root of the store to the app hash.
    pub store_proof: CommitmentProof,
    /// Root of the state after the block.
    pub app_hash: Hash,
}

/// One step of a proof as CometBFT's `ProofOp` has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProofStep {
    /// `ics23:smt` or `ics23:simple`.
    pub kind: &'static str,
    /// Key of this step: the key, then the name of the store.
    pub key: Vec<u8>,
    /// An encoded `cosmos.ics23.v1.CommitmentProof`.
    pub data: Vec<u8>,
}

impl StateProof {
    /// The steps from the key to the app hash, innermost first: the ops of an `abci_query` with `prove`.
    #[must_use]
    pub fn steps(&self) -> Vec<ProofStep> {
        let step = |kind, key: &[u8], proof: &CommitmentProof| ProofStep {
            kind,
            key: key.to_vec(),
            data: proof.encode_to_vec(),
        };
        let inner = self.key_proof.as_ref();
        let inner = inner.map(|proof| step("ics23:smt", &self.key, proof));
        let outer = step("ics23:simple", self.store.as_bytes(), &self.store_proof);
        inner.into_iter().chain([outer]).collect()
    }
}

/// One proof of many keys of one store at one height, whose inner nodes are sent once.
pub fn batch(proofs: &[StateProof]) -> Result<CommitmentProof, StoreError> {
    let entry = |proof: &StateProof| {
        let proof = match proof.key_proof.clone()?.proof? {
            Proof::Exist(exist) => ics23::batch_entry::Proof::Exist(exist),
            Proof::Nonexist(absent) => ics23::batch_entry::Proof::Nonexist(absent),
            Proof::Batch(_) | Proof::Compressed(_) => return None,
        };
        Some(BatchEntry { proof: Some(proof) })
    };
    let entries = proofs.iter().filter_map(entry).collect();
    let batch = CommitmentProof {
        proof: Some(Proof::Batch(BatchProof { entries })),
    };
    ics23::compress(&batch).map_err(|error| StoreError::Damaged(error.to_string()))
}

fn leaf_op(prehash_key: HashOp, length: LengthOp) -> LeafOp {
    LeafOp {
        hash: HashOp::Sha256.into(),
        prehash_key: prehash_key.into(),
        prehash_value: HashOp::Sha256.into(),
        length: length.into(),
        prefix: vec![0],
    }
}

/// The inner node above a digest, whose other child is `sibling`.
fn inner_op(sibling: &Hash, sibling_is_left: bool) -> InnerOp {
    let (prefix, suffix) = if sibling_is_left {
        ([&[1], sibling.as_slice()].concat(), Vec::new())
    } else {
        (vec![1], sibling.to_vec())
    };
    InnerOp {
        hash: HashOp::Sha256.into(),
        prefix,
        suffix,
    }
}

impl Snapshot {
    /// Proves what `key` of `store` is at [`Self::height`].
    ///
    /// Takes a read per four levels of the trie: about ten for a million keys, twice as many for an absent key.
    pub fn prove(&self, store: &str, key: &[u8]) -> Result<StateProof, StoreError> {
        let names = self.stores()?;
        let index = names.iter().position(|name| name == store);
        let index = index.ok_or_else(|| StoreError::NoStore(store.to_owned()))?;
        let roots = self.roots()?;
        let value = self.get(store, key)?;
        let key_proof = match &value {
            Some(_) => Some(Proof::Exist(self.existence(store, key)?)),
            None => self.absence(store, key)?.map(Proof::Nonexist),
        };
        let store_root = roots[index].1;
        Ok(StateProof {
            height: self.height(),
            store: store.to_owned(),
            key: key.to_vec(),
            value: value.map(|value| committed(&value).to_vec()),
            key_proof: key_proof.map(|proof| CommitmentProof { proof: Some(proof) }),
            store_root,
            store_proof: store_proof(&roots, index),
            app_hash: self.proved_app_hash(&roots)?,
        })
    }

    fn proved_app_hash(&self, roots: &[(String, Hash)]) -> Result<Hash, StoreError> {
        let found = crate::tries::app_hash_of(roots.iter().map(|(name, root)| (name.as_str(), root)));
        let recorded = self.app_hash(self.height())?;
        if recorded == Some(found) {
            return Ok(found);
        }
        Err(StoreError::Damaged(format!(
            "the tries' root at height {} is {}, recorded is {}",
            self.height(),
            hex(&found),
            recorded.as_ref().map(hex).unwrap_or_default()
        )))
    }

    fn page(&self, store: &str, way: &[u8]) -> Result<Option<Page>, StoreError> {
        let bytes = self.tree(store, way)?;
        bytes.as_deref().map(Page::decode).transpose()
    }

    fn child(&self, store: &str, way: &[u8]) -> Result<Page, StoreError> {
        let missing = || StoreError::Damaged(format!("a page of {store} is missing"));
        self.page(store, way)?.ok_or_else(missing)
    }

    /// The trie of `store` in memory, when the state that is proved is not in the tables.
    fn trie(&self, store: &str) -> Result<Option<&PlainTrie>, StoreError> {
        let Some(layer) = self.top() else {
            return Ok(None);
        };
        let trie = layer.tries.as_ref().and_then(|tries| tries.of(store));
        let none = || StoreError::Damaged(format!("block {} has no trie of {store}", layer.height));
        trie.map(Some).ok_or_else(none)
    }

    fn existence(&self, store: &str, key: &[u8]) -> Result<ExistenceProof, StoreError> {
        let disagrees = || StoreError::Damaged(format!("state and trie of {store} disagree about a key"));
        let path = Path::of_key(key);
        let ops = match self.trie(store)? {
            Some(trie) => {
                trie.get(&path).ok_or_else(disagrees)?;
                let siblings = trie.side_nodes(&path);
                let depths = (0..siblings.len()).rev();
                let op =
                    |(depth, sibling): (usize, &PlainDigest)| inner_op(sibling.as_bytes(), path.bit(depth));
                depths.zip(&siblings).map(op).collect()
            }
            None => self.page_ops(store, key, &path)?,
        };
        let value = self.get(store, key)?.ok_or_else(disagrees)?;
        Ok(ExistenceProof {
            key: key.to_vec(),
            value: committed(&value).to_vec(),
            leaf: Some(leaf_op(HashOp::Sha256, LengthOp::NoPrefix)),
            path: ops,
        })
    }

    /// The inner nodes above the leaf of `key`, by the pages.
    fn page_ops(&self, store: &str, key: &[u8], path: &Path) -> Result<Vec<InnerOp>, StoreError> {
        let disagrees = || StoreError::Damaged(format!("state and trie of {store} disagree about a key"));
        let mut way = Vec::new();
        let mut ops = Vec::new();
        let found = loop {
            let page = self.child(store, &way)?;
            let next = descend(&page, nibble(path, way.len()), &mut ops);
            if let Slot::Page(_) = next {
                way.push(u8::try_from(nibble(path, way.len())).expect("a nibble"));
                if way.len() < NIBBLES {
                    continue;
                }
            }
            break next.clone();
        };
        match found {
            Slot::Leaf { key: found, .. } if found == key => {}
            _ => return Err(disagrees()),
        }
        ops.reverse();
        Ok(ops)
    }

    /// The leaves on both sides of an absent key; `None` when the store is empty.
    fn absence(&self, store: &str, key: &[u8]) -> Result<Option<NonExistenceProof>, StoreError> {
        let path = Path::of_key(key);
        let (before, after) = match self.trie(store)? {
            Some(trie) => {
                let (before, after) = trie.neighbours(&path);
                let key =
                    |leaf: Option<&Leaf<Plain>>| leaf.map(|leaf| self.key_at(store, leaf.path())).transpose();
                (key(before)?, key(after)?)
            }
            None => (
                self.beside(store, &path, Side::Before, &mut Vec::new())?,
                self.beside(store, &path, Side::After, &mut Vec::new())?,
            ),
        };
        let exist = |key: Option<Vec<u8>>| key.map(|key| self.existence(store, &key)).transpose();
        let (left, right) = (exist(before)?, exist(after)?);
        Ok((left.is_some() || right.is_some()).then(|| NonExistenceProof {
            key: key.to_vec(),
            left,
            right,
        }))
    }

    /// Key of the leaf next to `path` on one side, below the page at `way`, which lies on the path.
    fn beside(
        &self,
        store: &str,
        path: &Path,
        side: Side,
        way: &mut Vec<u8>,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let page = match way.as_slice() {
            [] => self.page(store, way)?.unwrap_or_default(),
            _ => self.child(store, way)?,
        };
        let on = nibble(path, way.len());
        match &page.0[on] {
            Slot::Leaf { key, .. } if side.holds(&Path::of_key(key), path) => return Ok(Some(key.clone())),
            Slot::Page(_) => {
                way.push(u8::try_from(on).expect("a nibble"));
                let found = self.beside(store, path, side, way)?;
                way.pop();
                if found.is_some() {
                    return Ok(found);
                }
            }
            Slot::Leaf { .. } | Slot::Empty => {}
        }
        self.nearest(store, &page, side.beyond(on), side, way)
    }

    /// Key of the first leaf in these slots, in the order in which they are named.
    fn nearest(
        &self,
        store: &str,
        page: &Page,
        mut slots: impl Iterator<Item = usize>,
        side: Side,
        way: &mut Vec<u8>,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(index) = slots.find(|index| page.0[*index] != Slot::Empty) else {
            return Ok(None);
        };
        if let Slot::Leaf { key, .. } = &page.0[index] {
            return Ok(Some(key.clone()));
        }
        way.push(u8::try_from(index).expect("a nibble"));
        let below = self.child(store, way)?;
        let all: Box<dyn Iterator<Item = usize>> = match side {
            Side::Before => Box::new((0..SLOTS).rev()),
            Side::After => Box::new(0..SLOTS),
        };
        let found = self.nearest(store, &below, all, side, way);
        way.pop();
        found
    }
}

/// Walks through a page towards slot `index`, noting the siblings; returns the slot, or the one leaf that stands above it.
fn descend<'a>(page: &'a Page, index: usize, ops: &mut Vec<InnerOp>) -> &'a Slot {
    let (mut from, mut slots) = (0, page.0.as_slice());
    while slots.len() > 1 {
        if let Some(leaf) = crate::page::only_leaf(slots) {
            return leaf;
        }
        let half = slots.len() / 2;
        let (left, right) = slots.split_at(half);
        if index - from < half {
            ops.push(inner_op(&subtree(right), false));
            slots = left;
        } else {
            ops.push(inner_op(&subtree(left), true));
            slots = right;
            from += half;
        }
    }
    &slots[0]
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Before,
    After,
}

impl Side {
    /// Whether `found` is on this side of `path`.
    fn holds(self, found: &Path, path: &Path) -> bool {
        match self {
            Self::Before => found < path,
            Self::After => found > path,
        }
    }

    /// The slots on this side of `index`, nearest first.
    fn beyond(self, index: usize) -> Box<dyn Iterator<Item = usize>> {
        match self {
            Self::Before => Box::new((0..index).rev()),
            Self::After => Box::new(index + 1..SLOTS),
        }
    }
}

/// The proof that the app hash is over the root of store `index`.
fn store_proof(roots: &[(String, Hash)], index: usize) -> CommitmentProof {
    let (name, root) = &roots[index];
    let path = outer_path(roots, index);
    let exist = ExistenceProof {
        key: name.as_bytes().to_vec(),
        value: root.to_vec(),
        leaf: Some(leaf_op(HashOp::NoHash, LengthOp::VarProto)),
        path: path
            .iter()
            .map(|(sibling, is_left)| inner_op(sibling, *is_left))
            .collect(),
    };
    CommitmentProof {
        proof: Some(Proof::Exist(exist)),
    }
}
