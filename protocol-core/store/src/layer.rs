//! A block that is durable in the log, and not in the tables yet: readable at once, from memory.
//!
//! ```text
//!  payload   id 32 │ app hash 32 │ block │ results │ certificate │ transactions' hashes │ per store: name, count, changes in the order of keys
//! ```
//! Each part but the first two has its length in front (4 bytes, big endian). The payload is what the log holds; a layer is an index into it.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hash as _, Hasher};
use std::ops::Range;
use std::sync::OnceLock;

use portico_smst::Path;

use crate::{BlockWrite, Change, Hash, StateTries, StoreError};

/// Longest key, in bytes: a page of a trie has two for its length.
const MAX_KEY: usize = u16::MAX as usize;

/// A block with what it changed.
pub(crate) struct Layer {
    pub(crate) height: i64,
    pub(crate) id: Hash,
    /// Id of the block below.
    pub(crate) parent: Hash,
    pub(crate) app_hash: Hash,
    /// Tries of the state after it; not known of a block that was read from the log.
    pub(crate) tries: Option<StateTries>,
    payload: Vec<u8>,
    block: Range<usize>,
    results: Range<usize>,
    certificate: Range<usize>,
    txs: Vec<Hash>,
    tx_index: HashMap<Hash, u32>,
    /// By name.
    stores: Vec<(String, Vec<Slot>)>,
    /// Hashes of what is changed, so that a look-up passes most layers by.
    changed: HashSet<u64, BuildHasherDefault<Given>>,
    /// Per store: paths of its keys, in order, with their places.
    paths: OnceLock<Vec<Vec<(Path, usize)>>>,
}

/// A change: where its key and its value are in the payload.
struct Slot {
    key: Range<usize>,
    value: Option<Range<usize>>,
}

/// A hasher of numbers that are hashes.
#[derive(Default)]
struct Given(u64);

impl Hasher for Given {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {}

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

/// What [`Layer::get`] looks for.
pub(crate) fn place_hash(store: &str, key: &[u8]) -> u64 {
    let mut hasher = std::hash::DefaultHasher::new();
    (store, key).hash(&mut hasher);
    hasher.finish()
}

/// The payload of a block that changes `changes`; errs when it could not be written to the tables later.
pub(crate) fn encode(
    block: &BlockWrite<'_>,
    changes: &mut [Change<'_>],
    stores: &[String],
) -> Result<Vec<u8>, StoreError> {
    changes.sort_unstable_by_key(|(store, key, _)| (*store, *key));
    let mut size = block.block.len().saturating_add(block.results.len());
    for (store, key, value) in &*changes {
        if !stores.iter().any(|name| name == store) {
            return Err(StoreError::NoStore((*store).to_owned()));
        }
        if key.is_empty() || key.len() > MAX_KEY {
            let text = format!(
                "a key of {store} has {} bytes: 1 to {MAX_KEY} are possible",
                key.len()
            );
            return Err(StoreError::Damaged(text));
        }
        let len = key.len().saturating_add(value.map_or(0, <[u8]>::len));
        size = size.saturating_add(len).saturating_add(9);
    }
    if changes
        .windows(2)
        .any(|two| (two[0].0, two[0].1) == (two[1].0, two[1].1))
    {
        return Err(StoreError::Damaged("a block changes a key twice".into()));
    }
    let mut out = Vec::with_capacity(size.saturating_add(1024));
    out.extend(block.id);
    out.extend(block.app_hash);
    for part in [block.block, block.results, block.certificate] {
        put(&mut out, part)?;
    }
    put_len(&mut out, block.tx_hashes.len())?;
    out.extend(block.tx_hashes.as_flattened());
    for of_store in changes.chunk_by(|a, b| a.0 == b.0) {
        put(&mut out, of_store[0].0.as_bytes())?;
        put_len(&mut out, of_store.len())?;
        for (_, key, value) in of_store {
            put(&mut out, key)?;
            out.push(u8::from(value.is_some()));
            put(&mut out, value.unwrap_or_default())?;
        }
    }
    Ok(out)
}

fn put_len(out: &mut Vec<u8>, len: usize) -> Result<(), StoreError> {
    let len = u32::try_from(len)
        .map_err(|_| StoreError::Damaged("a part of a block is longer than 4 GiB".into()))?;
    out.extend(len.to_be_bytes());
    Ok(())
}

fn put(out: &mut Vec<u8>, part: &[u8]) -> Result<(), StoreError> {
    put_len(out, part.len())?;
    out.extend(part);
    Ok(())
}

/// Where reading a payload is.
struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Cursor<'_> {
    fn take(&mut self, len: usize) -> Option<Range<usize>> {
        let end = self.at.checked_add(len)?;
        self.bytes.get(self.at..end)?;
        Some(std::mem::replace(&mut self.at, end)..end)
    }

    fn len(&mut self) -> Option<usize> {
        let range = self.take(4)?;
        let len = u32::from_be_bytes(self.bytes.get(range)?.try_into().ok()?);
        usize::try_from(len).ok()
    }

    fn part(&mut self) -> Option<Range<usize>> {
        let len = self.len()?;
        self.take(len)
    }

    fn hash(&mut self) -> Option<Hash> {
        let range = self.take(32)?;
        self.bytes.get(range)?.try_into().ok()
    }

    fn slot(&mut self) -> Option<Slot> {
        let key = self.part()?;
        let set = self.take(1)?;
        let value = self.part()?;
        let value = match self.bytes.get(set)? {
            [0] => None,
            [1] => Some(value),
            _ => return None,
        };
        Some(Slot { key, value })
    }
}

impl Layer {
    /// Reads a payload.
    pub(crate) fn read(
        height: i64,
        parent: Hash,
        payload: Vec<u8>,
        tries: Option<StateTries>,
    ) -> Result<Self, StoreError> {
        let mut cursor = Cursor {
            bytes: &payload,
            at: 0,
        };
        let mut read = || {
            let (id, app_hash) = (cursor.hash()?, cursor.hash()?);
            let (block, results, certificate) = (cursor.part()?, cursor.part()?, cursor.part()?);
            let txs = (0..cursor.len()?)
                .map(|_| cursor.hash())
                .collect::<Option<Vec<_>>>()?;
            let mut stores = Vec::new();
            while cursor.at < payload.len() {
                let name = cursor.part()?;
                let name = std::str::from_utf8(payload.get(name)?).ok()?.to_owned();
                let slots = (0..cursor.len()?).map(|_| cursor.slot());
                stores.push((name, slots.collect::<Option<Vec<_>>>()?));
            }
            Some((id, app_hash, block, results, certificate, txs, stores))
        };
        let Some((id, app_hash, block, results, certificate, txs, stores)) = read() else {
            return Err(StoreError::Damaged(format!(
                "the log's record of block {height} does not decode"
            )));
        };
        let mut tx_index = HashMap::with_capacity(txs.len());
        for (index, hash) in (0..).zip(&txs) {
            tx_index.entry(*hash).or_insert(index);
        }
        let places = stores.iter().flat_map(|(name, slots)| {
            let place = |slot: &Slot| place_hash(name, &payload[slot.key.clone()]);
            slots.iter().map(place)
        });
        Ok(Self {
            changed: places.collect(),
            height,
            id,
            parent,
            app_hash,
            tries,
            block,
            results,
            certificate,
            txs,
            tx_index,
            stores,
            payload,
            paths: OnceLock::new(),
        })
    }

    pub(crate) fn payload(&self) -> &[u8] {
        &self.payload
    }

    pub(crate) fn block(&self) -> &[u8] {
        &self.payload[self.block.clone()]
    }

    pub(crate) fn results(&self) -> &[u8] {
        &self.payload[self.results.clone()]
    }

    pub(crate) fn certificate(&self) -> &[u8] {
        &self.payload[self.certificate.clone()]
    }

    pub(crate) fn txs(&self) -> &[Hash] {
        &self.txs
    }

    /// Index of a transaction in the block.
    pub(crate) fn tx(&self, hash: &Hash) -> Option<u32> {
        self.tx_index.get(hash).copied()
    }

    fn slots(&self, store: &str) -> &[Slot] {
        let found = self.stores.iter().find(|(name, _)| name == store);
        found.map_or(&[], |(_, slots)| slots)
    }

    fn change<'a>(&'a self, slot: &Slot) -> (&'a [u8], Option<&'a [u8]>) {
        let value = slot.value.clone().map(|value| &self.payload[value]);
        (&self.payload[slot.key.clone()], value)
    }

    /// What the block made of a key, if it changed it; `hash` is that of the place.
    pub(crate) fn get(&self, store: &str, key: &[u8], hash: u64) -> Option<Option<&[u8]>> {
        if !self.changed.contains(&hash) {
            return None;
        }
        let slots = self.slots(store);
        let at = slots
            .binary_search_by(|slot| self.payload[slot.key.clone()].cmp(key))
            .ok()?;
        Some(self.change(&slots[at]).1)
    }

    /// Changes of `store` from the key `from` on, ascending by key.
    pub(crate) fn from<'a>(
        &'a self,
        store: &str,
        from: &[u8],
    ) -> impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)> + use<'a> {
        let slots = self.slots(store);
        let at = slots.partition_point(|slot| self.payload[slot.key.clone()] < *from);
        slots[at..].iter().map(|slot| self.change(slot))
    }

    /// All changes: store, key, value.
    pub(crate) fn changes(&self) -> impl Iterator<Item = (&str, &[u8], Option<&[u8]>)> {
        self.stores.iter().flat_map(|(name, slots)| {
            slots.iter().map(|slot| {
                let (key, value) = self.change(slot);
                (name.as_str(), key, value)
            })
        })
    }

    /// The key at `path` of `store`, if the block set it.
    pub(crate) fn key_at(&self, store: &str, path: &Path) -> Option<&[u8]> {
        let of_store = |(_, slots): &(String, Vec<Slot>)| {
            let path = |(at, slot): (usize, &Slot)| (Path::of_key(&self.payload[slot.key.clone()]), at);
            let mut paths: Vec<_> = slots.iter().enumerate().map(path).collect();
            paths.sort_unstable();
            paths
        };
        let paths = self
            .paths
            .get_or_init(|| self.stores.iter().map(of_store).collect());
        let index = self.stores.iter().position(|(name, _)| name == store)?;
        let found = paths[index].binary_search_by(|(other, _)| other.cmp(path)).ok()?;
        let (key, value) = self.change(&self.stores[index].1[paths[index][found].1]);
        value.map(|_| key)
    }
}
