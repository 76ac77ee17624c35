//! Reading: a read transaction, which sees one committed version whatever is written meanwhile.

use redb::{ReadOnlyTable, ReadTransaction, ReadableTable as _};

use crate::tables::{BLOCKS, CERTIFICATES, HEIGHTS, IDS, META, META_GENESIS, RESULTS, STATE, TIP, TXS};
use crate::{Hash, StateTries, StoreError};

/// A key and its value.
pub type Entry = (Vec<u8>, Vec<u8>);

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

/// The store as of one commit.
pub struct Snapshot {
    meta: ReadOnlyTable<&'static str, &'static [u8]>,
    tip: Option<Tip>,
    state: ReadOnlyTable<(&'static str, &'static [u8]), &'static [u8]>,
    blocks: ReadOnlyTable<i64, &'static [u8]>,
    results: ReadOnlyTable<i64, &'static [u8]>,
    certificates: ReadOnlyTable<i64, &'static [u8]>,
    ids: ReadOnlyTable<i64, (Hash, Hash)>,
    heights: ReadOnlyTable<Hash, i64>,
    txs: ReadOnlyTable<Hash, (i64, u32)>,
}

impl Snapshot {
    pub(crate) fn new(read: &ReadTransaction) -> Result<Self, StoreError> {
        let tip = read.open_table(TIP)?.get(())?.map(|row| row.value());
        Ok(Self {
            meta: read.open_table(META)?,
            tip: tip.map(|(height, block_id, app_hash)| Tip {
                height,
                block_id,
                app_hash,
            }),
            state: read.open_table(STATE)?,
            blocks: read.open_table(BLOCKS)?,
            results: read.open_table(RESULTS)?,
            certificates: read.open_table(CERTIFICATES)?,
            ids: read.open_table(IDS)?,
            heights: read.open_table(HEIGHTS)?,
            txs: read.open_table(TXS)?,
        })
    }

    /// The newest block of this version; `None` before the genesis was written.
    #[must_use]
    pub const fn tip(&self) -> Option<Tip> {
        self.tip
    }

    /// The genesis, as it was handed over.
    pub fn genesis(&self) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.meta.get(META_GENESIS)?.map(|row| row.value().to_vec()))
    }

    /// State: the value at `key` of `store`.
    pub fn get(&self, store: &str, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.state.get((store, key))?.map(|row| row.value().to_vec()))
    }

    /// State: up to `limit` entries of `store` with `from ≤ key < to` (`None`: to the end), ascending by key.
    pub fn range(
        &self,
        store: &str,
        from: &[u8],
        to: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        let mut entries = Vec::new();
        for row in self.state.range((store, from)..)? {
            let (key, value) = row?;
            let (found, key) = key.value();
            if entries.len() == limit || found != store || to.is_some_and(|to| key >= to) {
                break;
            }
            entries.push((key.to_vec(), value.value().to_vec()));
        }
        Ok(entries)
    }

    /// The encoded block at `height`.
    pub fn block(&self, height: i64) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.blocks.get(height)?.map(|row| row.value().to_vec()))
    }

    /// The encoded results of the block at `height`.
    pub fn results(&self, height: i64) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.results.get(height)?.map(|row| row.value().to_vec()))
    }

    /// The certificate of the block at `height`.
    pub fn certificate(&self, height: i64) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.certificates.get(height)?.map(|row| row.value().to_vec()))
    }

    /// Id of the block at `height`.
    pub fn block_id(&self, height: i64) -> Result<Option<Hash>, StoreError> {
        Ok(self.ids.get(height)?.map(|row| row.value().0))
    }

    /// App hash after the block at `height`.
    pub fn app_hash(&self, height: i64) -> Result<Option<Hash>, StoreError> {
        Ok(self.ids.get(height)?.map(|row| row.value().1))
    }

    /// Height of the block with this id.
    pub fn height_of(&self, block_id: &Hash) -> Result<Option<i64>, StoreError> {
        Ok(self.heights.get(block_id)?.map(|row| row.value()))
    }

    /// Height and index of the transaction with this hash.
    pub fn tx(&self, hash: &Hash) -> Result<Option<(i64, u32)>, StoreError> {
        Ok(self.txs.get(hash)?.map(|row| row.value()))
    }

    /// Builds the tries of `stores` from the state, and checks their root against the recorded app hash.
    pub fn load_tries(&self, stores: &[&'static str]) -> Result<StateTries, StoreError> {
        let mut tries = StateTries::new(stores);
        for row in self.state.iter()? {
            let (key, value) = row?;
            let (store, key) = key.value();
            tries.set(store, key, Some(value.value()))?;
        }
        let found = tries.app_hash();
        match self.tip {
            Some(tip) if tip.app_hash != found => Err(StoreError::Damaged(format!(
                "the state's root is {}, but height {} recorded {}; restore the data folder from a backup or start over",
                hex(&found),
                tip.height,
                hex(&tip.app_hash)
            ))),
            _ => Ok(tries),
        }
    }
}

pub(crate) fn hex(hash: &Hash) -> String {
    hash.iter().map(|byte| format!("{byte:02X}")).collect()
}
