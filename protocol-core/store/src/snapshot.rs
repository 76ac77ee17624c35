//! Reading: a read transaction, which sees one committed version whatever is written meanwhile, and older states through it.

use std::sync::Arc;

use portico_disk::File;
use portico_smst::Path;
use redb::{ReadOnlyTable, ReadTransaction};

use crate::layer::{Layer, place_hash};

use crate::tables::{
    BLOCKS, CERTIFICATES, HEIGHTS, IDS, JOURNAL, META, META_GENESIS, META_OLDEST, META_STORES, RESULTS, TIP,
    TXS,
};
use crate::versioned::{Reader, STATE_FAMILY, TREE_FAMILY, oldest_after};
use crate::{Entry, Hash, StateTries, StoreError};

/// The newest committed block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tip {
    /// Height; 0 is the genesis.
    pub height: i64,
    /// Id of the block; zeros for the genesis.
    pub block_id: Hash,
    /// Root of the state after it.
    pub app_hash: Hash,
}

/// The store as of one commit; its state at the tip, or at an older height ([`Self::at`]). A clone costs a pointer.
#[derive(Clone)]
pub struct Snapshot {
    file: Arc<File>,
    tables: Arc<Tables>,
    /// Blocks that are not in the tables, oldest first.
    layers: Arc<[Arc<Layer>]>,
    /// The newest block in the tables.
    settled: Option<Tip>,
    tip: Option<Tip>,
    oldest: i64,
    /// Height of the state that is read, unless it is the tip's.
    past: Option<i64>,
}

/// The tables of one read transaction.
pub(crate) struct Tables {
    pub(crate) meta: ReadOnlyTable<&'static str, &'static [u8]>,
    pub(crate) state: Reader,
    pub(crate) tree: Reader,
    pub(crate) journal: ReadOnlyTable<i64, &'static [u8]>,
    pub(crate) blocks: ReadOnlyTable<i64, &'static [u8]>,
    pub(crate) results: ReadOnlyTable<i64, &'static [u8]>,
    pub(crate) certificates: ReadOnlyTable<i64, &'static [u8]>,
    pub(crate) ids: ReadOnlyTable<i64, (Hash, Hash)>,
    pub(crate) heights: ReadOnlyTable<Hash, i64>,
    pub(crate) txs: ReadOnlyTable<Hash, (i64, u32)>,
}

impl Tables {
    fn open(read: &ReadTransaction) -> Result<Self, StoreError> {
        Ok(Self {
            meta: read.open_table(META)?,
            state: Reader::open(read, STATE_FAMILY)?,
            tree: Reader::open(read, TREE_FAMILY)?,
            journal: read.open_table(JOURNAL)?,
            blocks: read.open_table(BLOCKS)?,
            results: read.open_table(RESULTS)?,
            certificates: read.open_table(CERTIFICATES)?,
            ids: read.open_table(IDS)?,
            heights: read.open_table(HEIGHTS)?,
            txs: read.open_table(TXS)?,
        })
    }

    fn oldest(&self) -> Result<i64, StoreError> {
        let oldest = self.meta.get(META_OLDEST)?.map(|row| row.value().to_vec());
        height_of_bytes(oldest.as_deref())
    }
}

impl Snapshot {
    /// What is in the tables now, and the `layers` above it, oldest first. The first of them is at most one block above.
    pub(crate) fn new(file: &Arc<File>, layers: &[Arc<Layer>], retain: u32) -> Result<Self, StoreError> {
        let mut snapshot = Self::of_tables(&file.begin_read()?, Arc::clone(file))?;
        let settled = snapshot.settled.map_or(-1, |tip| tip.height);
        snapshot.layers = layers
            .iter()
            .filter(|layer| layer.height > settled)
            .cloned()
            .collect();
        for layer in &*snapshot.layers {
            snapshot.oldest = oldest_after(snapshot.oldest, layer.height, retain);
            snapshot.tip = Some(Tip {
                height: layer.height,
                block_id: layer.id,
                app_hash: layer.app_hash,
            });
        }
        Ok(snapshot)
    }

    /// What is in the tables alone.
    pub(crate) fn of_tables(read: &ReadTransaction, file: Arc<File>) -> Result<Self, StoreError> {
        let tip = read.open_table(TIP)?.get(())?.map(|row| row.value());
        let tip = tip.map(|(height, block_id, app_hash)| Tip {
            height,
            block_id,
            app_hash,
        });
        let tables = Tables::open(read)?;
        Ok(Self {
            file,
            layers: Arc::from([]),
            settled: tip,
            tip,
            oldest: tables.oldest()?,
            past: None,
            tables: Arc::new(tables),
        })
    }

    /// This version without the blocks that are not in the tables.
    pub(crate) fn of_settled(&self) -> Result<Self, StoreError> {
        Ok(Self {
            layers: Arc::from([]),
            tip: self.settled,
            oldest: self.tables.oldest()?,
            past: None,
            ..self.clone()
        })
    }

    /// The blocks that are not in the tables, oldest first.
    pub(crate) fn layers(&self) -> &[Arc<Layer>] {
        &self.layers
    }

    /// Reads the tables; again from a new opening of the file when this one ended because the disk refused a write.
    fn read<T>(&self, read: impl Fn(&Tables) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let error = match read(&self.tables) {
            Err(error @ StoreError::Io(_)) => error,
            outcome => return outcome,
        };
        let again = Tables::open(&self.file.begin_read()?)?;
        let settled = self.settled.map_or(0, |tip| tip.height);
        match again.oldest()? <= self.height().min(settled) {
            true => read(&again),
            false => Err(error),
        }
    }

    /// The block at `height`, if it is not in the tables.
    fn layer(&self, height: i64) -> Option<&Arc<Layer>> {
        let first = self.layers.first()?.height;
        self.layers.get(usize::try_from(height.checked_sub(first)?).ok()?)
    }

    /// The block whose state is read, if it is not in the tables.
    pub(crate) fn top(&self) -> Option<&Arc<Layer>> {
        self.layer(self.height())
    }

    /// Blocks not in the tables whose changes are seen, newest first.
    fn seen(&self) -> impl Iterator<Item = &Arc<Layer>> {
        let height = self.height();
        self.layers
            .iter()
            .rev()
            .filter(move |layer| layer.height <= height)
    }

    /// The key at `path` of the trie of `store`, which has a leaf there.
    pub(crate) fn key_at(&self, store: &str, path: &Path) -> Result<Vec<u8>, StoreError> {
        if let Some(key) = self.seen().find_map(|layer| layer.key_at(store, path)) {
            return Ok(key.to_vec());
        }
        let found = crate::tree::key_at(path, |way| self.tree(store, way))?;
        found.ok_or_else(|| StoreError::Damaged(format!("a leaf of {store} is in no page")))
    }

    pub(crate) fn tables(&self) -> &Tables {
        &self.tables
    }

    /// The newest block of this version; `None` before the genesis was written.
    #[must_use]
    pub const fn tip(&self) -> Option<Tip> {
        self.tip
    }

    /// Oldest height whose state can be read and proved.
    #[must_use]
    pub const fn oldest(&self) -> i64 {
        self.oldest
    }

    /// Height of the block after which [`Self::get`], [`Self::range`] and [`Self::prove`] see the state.
    #[must_use]
    pub fn height(&self) -> i64 {
        self.past.unwrap_or_else(|| self.tip.map_or(0, |tip| tip.height))
    }

    /// The same version with the state after the block at `height`; errs with [`StoreError::NotRetained`] outside of
    /// [`Self::oldest`] to the tip. Blocks and indexes stay those of the tip.
    pub fn at(&self, height: i64) -> Result<Self, StoreError> {
        let newest = self.tip.map_or(-1, |tip| tip.height);
        if !(self.oldest..=newest).contains(&height) {
            return Err(StoreError::NotRetained {
                height,
                oldest: self.oldest,
                newest,
            });
        }
        Ok(Self {
            past: (height < newest).then_some(height),
            ..self.clone()
        })
    }

    /// The genesis, as it was handed over.
    pub fn genesis(&self) -> Result<Option<Vec<u8>>, StoreError> {
        self.read(|tables| Ok(tables.meta.get(META_GENESIS)?.map(|row| row.value().to_vec())))
    }

    /// Names of the stores, in order.
    pub fn stores(&self) -> Result<Vec<String>, StoreError> {
        let names = self.read(|tables| Ok(tables.meta.get(META_STORES)?.map(|row| row.value().to_vec())))?;
        let names = names.unwrap_or_default();
        let names = String::from_utf8(names)
            .map_err(|_| StoreError::Damaged("the stores' names are no text".into()))?;
        Ok(names.split_terminator('\0').map(str::to_owned).collect())
    }

    /// State: the value at `key` of `store`.
    pub fn get(&self, store: &str, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        if !self.layers.is_empty() {
            let hash = place_hash(store, key);
            if let Some(found) = self.seen().find_map(|layer| layer.get(store, key, hash)) {
                return Ok(found.map(<[u8]>::to_vec));
            }
        }
        self.read(|tables| tables.state.get_at(store, key, self.height()))
    }

    /// State: up to `limit` entries of `store` with `from ≤ key < to` (`None`: to the end), ascending by key.
    pub fn range(
        &self,
        store: &str,
        from: &[u8],
        to: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        let height = self.height();
        self.read(|tables| {
            // Changes first, newest block first, then the tables: of equal keys the first one counts.
            let mut above: Vec<_> = self
                .seen()
                .map(|layer| layer.from(store, from).peekable())
                .collect();
            let mut below = tables.state.range_at(store, from, to, height)?.peekable();
            let mut entries = Vec::new();
            while entries.len() < limit {
                let changed = above
                    .iter_mut()
                    .filter_map(|changes| Some(changes.peek()?.0))
                    .min();
                let stored = match below.peek() {
                    Some(Ok((key, _))) => Some(key.as_slice()),
                    Some(Err(_)) => return below.next().expect("peeked").map(|_| entries),
                    None => None,
                };
                let Some(key) = changed.into_iter().chain(stored).min() else {
                    break;
                };
                if to.is_some_and(|to| key >= to) {
                    break;
                }
                let key = key.to_vec();
                let mut value = None;
                for changes in &mut above {
                    if let Some((_, new)) = changes.next_if(|(other, _)| *other == key) {
                        value.get_or_insert_with(|| new.map(<[u8]>::to_vec));
                    }
                }
                if let Some(entry) = below.next_if(|entry| matches!(entry, Ok((other, _)) if *other == key)) {
                    let (_, old) = entry?;
                    value.get_or_insert(old);
                }
                entries.extend(value.flatten().map(|value| (key, value)));
            }
            Ok(entries)
        })
    }

    /// The page of the trie of `store` at `way`, encoded; as of the newest block in the tables at most.
    pub(crate) fn tree(&self, store: &str, way: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let settled = self.settled.map_or(0, |tip| tip.height);
        self.read(|tables| tables.tree.get_at(store, way, self.height().min(settled)))
    }

    /// Roots of the stores' tries, by name.
    pub fn roots(&self) -> Result<Vec<(String, Hash)>, StoreError> {
        let tries = self.top().and_then(|layer| layer.tries.as_ref());
        let root = |name: String| {
            let root = match tries.and_then(|tries| tries.root(&name)) {
                Some(root) => root,
                None => crate::tree::root(self.tree(&name, &[])?)?,
            };
            Ok((name, root))
        };
        self.stores()?.into_iter().map(root).collect()
    }

    /// The encoded block at `height`.
    pub fn block(&self, height: i64) -> Result<Option<Vec<u8>>, StoreError> {
        match self.layer(height) {
            Some(layer) => Ok(Some(layer.block().to_vec())),
            None => self.read(|tables| Ok(tables.blocks.get(height)?.map(|row| row.value().to_vec()))),
        }
    }

    /// The encoded results of the block at `height`.
    pub fn results(&self, height: i64) -> Result<Option<Vec<u8>>, StoreError> {
        match self.layer(height) {
            Some(layer) => Ok(Some(layer.results().to_vec())),
            None => self.read(|tables| Ok(tables.results.get(height)?.map(|row| row.value().to_vec()))),
        }
    }

    /// The certificate of the block at `height`.
    pub fn certificate(&self, height: i64) -> Result<Option<Vec<u8>>, StoreError> {
        match self.layer(height) {
            Some(layer) => Ok(Some(layer.certificate().to_vec())),
            None => self.read(|tables| Ok(tables.certificates.get(height)?.map(|row| row.value().to_vec()))),
        }
    }

    /// Id of the block at `height`.
    pub fn block_id(&self, height: i64) -> Result<Option<Hash>, StoreError> {
        match self.layer(height) {
            Some(layer) => Ok(Some(layer.id)),
            None => self.read(|tables| Ok(tables.ids.get(height)?.map(|row| row.value().0))),
        }
    }

    /// App hash after the block at `height`.
    pub fn app_hash(&self, height: i64) -> Result<Option<Hash>, StoreError> {
        match self.layer(height) {
            Some(layer) => Ok(Some(layer.app_hash)),
            None => self.read(|tables| Ok(tables.ids.get(height)?.map(|row| row.value().1))),
        }
    }

    /// Height of the block with this id.
    pub fn height_of(&self, block_id: &Hash) -> Result<Option<i64>, StoreError> {
        match self.layers.iter().find(|layer| layer.id == *block_id) {
            Some(layer) => Ok(Some(layer.height)),
            None => self.read(|tables| Ok(tables.heights.get(block_id)?.map(|row| row.value()))),
        }
    }

    /// Height and index of the transaction with this hash: where it was included first.
    pub fn tx(&self, hash: &Hash) -> Result<Option<(i64, u32)>, StoreError> {
        let stored = self.read(|tables| Ok(tables.txs.get(hash)?.map(|row| row.value())))?;
        let above = || {
            let place = |layer: &Arc<Layer>| Some((layer.height, layer.tx(hash)?));
            self.layers.iter().find_map(place)
        };
        Ok(stored.or_else(above))
    }

    /// Builds the tries of `stores` from the state of the tip, and checks their root against the recorded app hash.
    pub fn load_tries(&self, stores: &[&'static str]) -> Result<StateTries, StoreError> {
        let known = self.stores()?;
        if self.tip.is_some() && known != stores {
            return Err(StoreError::Stores {
                found: known.join(", "),
                expected: stores.join(", "),
            });
        }
        let mut tries = StateTries::new(stores);
        self.tables
            .state
            .each_newest(|store, key, value| tries.set(store, key, Some(value)))?;
        for layer in &*self.layers {
            for (store, key, value) in layer.changes() {
                tries.set(store, key, value)?;
            }
        }
        let found = tries.app_hash();
        match self.tip {
            Some(tip) if tip.app_hash != found => Err(StoreError::Damaged(format!(
                "the state's root is {}, but height {} recorded {}; restore the data folder from a snapshot or start over",
                hex(&found),
                tip.height,
                hex(&tip.app_hash)
            ))),
            _ => Ok(tries),
        }
    }
}

pub(crate) fn height_of_bytes(bytes: Option<&[u8]>) -> Result<i64, StoreError> {
    let Some(bytes) = bytes else { return Ok(0) };
    let height = bytes.try_into().map(i64::from_le_bytes);
    height.map_err(|_| StoreError::Damaged("the oldest height is no number".into()))
}

pub(crate) fn hex(hash: &Hash) -> String {
    hash.iter().map(|byte| format!("{byte:02X}")).collect()
}
