//! Reading: a read transaction, which sees one committed version whatever is written meanwhile, and older states through it.

use std::sync::Arc;

use redb::{ReadOnlyTable, ReadTransaction};

use crate::tables::{
    BLOCKS, CERTIFICATES, HEIGHTS, IDS, JOURNAL, META, META_GENESIS, META_OLDEST, META_STORES, RESULTS, TIP,
    TXS,
};
use crate::versioned::{Reader, STATE_FAMILY, TREE_FAMILY};
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
    tables: Arc<Tables>,
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

impl Snapshot {
    pub(crate) fn new(read: &ReadTransaction) -> Result<Self, StoreError> {
        let tip = read.open_table(TIP)?.get(())?.map(|row| row.value());
        let meta = read.open_table(META)?;
        let oldest = meta.get(META_OLDEST)?.map(|row| row.value().to_vec());
        Ok(Self {
            tip: tip.map(|(height, block_id, app_hash)| Tip {
                height,
                block_id,
                app_hash,
            }),
            oldest: height_of_bytes(oldest.as_deref())?,
            past: None,
            tables: Arc::new(Tables {
                meta,
                state: Reader::open(read, STATE_FAMILY)?,
                tree: Reader::open(read, TREE_FAMILY)?,
                journal: read.open_table(JOURNAL)?,
                blocks: read.open_table(BLOCKS)?,
                results: read.open_table(RESULTS)?,
                certificates: read.open_table(CERTIFICATES)?,
                ids: read.open_table(IDS)?,
                heights: read.open_table(HEIGHTS)?,
                txs: read.open_table(TXS)?,
            }),
        })
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
        Ok(self
            .tables
            .meta
            .get(META_GENESIS)?
            .map(|row| row.value().to_vec()))
    }

    /// Names of the stores, in order.
    pub fn stores(&self) -> Result<Vec<String>, StoreError> {
        let row = self.tables.meta.get(META_STORES)?;
        let names = row.map(|row| row.value().to_vec()).unwrap_or_default();
        let names = String::from_utf8(names)
            .map_err(|_| StoreError::Damaged("the stores' names are no text".into()))?;
        Ok(names.split_terminator('\0').map(str::to_owned).collect())
    }

    /// State: the value at `key` of `store`.
    pub fn get(&self, store: &str, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        match self.past {
            Some(height) => self.tables.state.get_at(store, key, height),
            None => self.tables.state.newest(store, key),
        }
    }

    /// State: up to `limit` entries of `store` with `from ≤ key < to` (`None`: to the end), ascending by key.
    pub fn range(
        &self,
        store: &str,
        from: &[u8],
        to: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        let height = self.past.unwrap_or(i64::MAX);
        self.tables.state.range_at(store, from, to, limit, height)
    }

    /// The page of the trie of `store` at `way`, encoded.
    pub(crate) fn tree(&self, store: &str, way: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        match self.past {
            Some(height) => self.tables.tree.get_at(store, way, height),
            None => self.tables.tree.newest(store, way),
        }
    }

    /// Roots of the stores' tries, by name.
    pub fn roots(&self) -> Result<Vec<(String, Hash)>, StoreError> {
        let root = |name: String| {
            let root = crate::tree::root(self.tree(&name, &[])?)?;
            Ok((name, root))
        };
        self.stores()?.into_iter().map(root).collect()
    }

    /// The encoded block at `height`.
    pub fn block(&self, height: i64) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.tables.blocks.get(height)?.map(|row| row.value().to_vec()))
    }

    /// The encoded results of the block at `height`.
    pub fn results(&self, height: i64) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.tables.results.get(height)?.map(|row| row.value().to_vec()))
    }

    /// The certificate of the block at `height`.
    pub fn certificate(&self, height: i64) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self
            .tables
            .certificates
            .get(height)?
            .map(|row| row.value().to_vec()))
    }

    /// Id of the block at `height`.
    pub fn block_id(&self, height: i64) -> Result<Option<Hash>, StoreError> {
        Ok(self.tables.ids.get(height)?.map(|row| row.value().0))
    }

    /// App hash after the block at `height`.
    pub fn app_hash(&self, height: i64) -> Result<Option<Hash>, StoreError> {
        Ok(self.tables.ids.get(height)?.map(|row| row.value().1))
    }

    /// Height of the block with this id.
    pub fn height_of(&self, block_id: &Hash) -> Result<Option<i64>, StoreError> {
        Ok(self.tables.heights.get(block_id)?.map(|row| row.value()))
    }

    /// Height and index of the transaction with this hash.
    pub fn tx(&self, hash: &Hash) -> Result<Option<(i64, u32)>, StoreError> {
        Ok(self.tables.txs.get(hash)?.map(|row| row.value()))
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
