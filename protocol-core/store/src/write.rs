//! Writing: one transaction per block.

use std::path::Path;

use redb::{Database, Durability, ReadableDatabase as _, ReadableTable as _, WriteTransaction};

use crate::snapshot::hex;
use crate::tables::{
    BLOCKS, CERTIFICATES, FORMAT, HEIGHTS, IDS, META, META_FORMAT, META_GENESIS, RESULTS, STATE, TIP, TXS,
};
use crate::{Hash, Snapshot, StateTries, StoreError};

/// Memory for cached pages, in bytes.
const CACHE_BYTES: usize = 64 << 20;

/// A write to the state: store, key, and the value, or `None` to remove the key.
pub type Change<'a> = (&'static str, &'a [u8], Option<&'a [u8]>);

/// A block to be committed, without its state changes.
#[derive(Clone, Copy, Debug)]
pub struct BlockWrite<'a> {
    /// Height; one more than the tip's.
    pub height: i64,
    /// Hash of the header.
    pub id: Hash,
    /// Root of the state after the block.
    pub app_hash: Hash,
    /// The encoded block.
    pub block: &'a [u8],
    /// Its encoded results.
    pub results: &'a [u8],
    /// Why it is final.
    pub certificate: &'a [u8],
    /// Hashes of its transactions, in order.
    pub tx_hashes: &'a [Hash],
}

/// A moment of a commit, at which a crash is tested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing is written yet.
    Begun,
    /// The state is written.
    State,
    /// Block, results and certificate are written.
    Block,
    /// Ids and transactions are written.
    Index,
    /// The tip is written: all but the commit.
    Tip,
    /// The transaction is committed.
    Committed,
}

/// The chain's data in one file.
pub struct ChainStore {
    database: Database,
}

impl ChainStore {
    /// Opens the file at `path`, or makes it. Only one process can have it open.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let opened = Database::builder().set_cache_size(CACHE_BYTES).create(path);
        let database = opened.map_err(|error| StoreError::Open {
            path: path.to_owned(),
            source: Box::new(error.into()),
        })?;
        let store = Self { database };
        let found = store.prepare()?;
        if found != FORMAT {
            return Err(StoreError::Format {
                path: path.to_owned(),
                found,
                expected: FORMAT,
            });
        }
        Ok(store)
    }

    /// A store in memory, for tests and simulations.
    pub fn in_memory() -> Result<Self, StoreError> {
        let backend = redb::backends::InMemoryBackend::new();
        let database = Database::builder()
            .create_with_backend(backend)
            .map_err(redb::Error::from)?;
        let store = Self { database };
        store.prepare()?;
        Ok(store)
    }

    /// Makes all tables; returns the format of the file.
    fn prepare(&self) -> Result<u32, StoreError> {
        let write = self.begin()?;
        let format = {
            let mut meta = write.open_table(META)?;
            let known = meta.get(META_FORMAT)?.map(|row| row.value().to_vec());
            if known.is_none() {
                meta.insert(META_FORMAT, FORMAT.to_le_bytes().as_slice())?;
            }
            known.map_or(Ok(FORMAT), |bytes| bytes.try_into().map(u32::from_le_bytes))
        };
        let format = format.map_err(|_| StoreError::Damaged("its format is not a number".into()))?;
        if format == FORMAT {
            write.open_table(TIP)?;
            write.open_table(STATE)?;
            write.open_table(BLOCKS)?;
            write.open_table(RESULTS)?;
            write.open_table(CERTIFICATES)?;
            write.open_table(IDS)?;
            write.open_table(HEIGHTS)?;
            write.open_table(TXS)?;
            write.commit()?;
        }
        Ok(format)
    }

    /// The committed version of now.
    pub fn snapshot(&self) -> Result<Snapshot, StoreError> {
        Snapshot::new(&self.database.begin_read()?)
    }

    /// [`Snapshot::load_tries`] of now.
    pub fn load_tries(&self, stores: &[&'static str]) -> Result<StateTries, StoreError> {
        self.snapshot()?.load_tries(stores)
    }

    /// Writes the first state at height 0, with the genesis that it comes from. Errs when there is a tip.
    pub fn init<'a>(
        &self,
        genesis: &[u8],
        app_hash: Hash,
        changes: impl IntoIterator<Item = Change<'a>>,
    ) -> Result<(), StoreError> {
        let write = self.begin()?;
        if let Some((tip, _, _)) = tip(&write)? {
            return Err(StoreError::Gap { height: 0, tip });
        }
        write.open_table(META)?.insert(META_GENESIS, genesis)?;
        put_state(&write, changes)?;
        write.open_table(IDS)?.insert(0, ([0; 32], app_hash))?;
        write.open_table(TIP)?.insert((), (0, [0; 32], app_hash))?;
        write.commit()?;
        Ok(())
    }

    /// Writes a block and its state changes, durable on return. Returns false, having done nothing, when this block was written
    /// before; errs when another one was, or when it does not follow the tip.
    pub fn commit<'a>(
        &self,
        block: &BlockWrite<'_>,
        changes: impl IntoIterator<Item = Change<'a>>,
    ) -> Result<bool, StoreError> {
        self.commit_observed(block, changes, |_| Ok(()))
    }

    /// [`Self::commit`], calling `observe` at each step; its error abandons the whole. For crash tests.
    pub fn commit_observed<'a>(
        &self,
        block: &BlockWrite<'_>,
        changes: impl IntoIterator<Item = Change<'a>>,
        mut observe: impl FnMut(Step) -> Result<(), StoreError>,
    ) -> Result<bool, StoreError> {
        let write = self.begin()?;
        if !is_next(&write, block)? {
            return Ok(false);
        }
        observe(Step::Begun)?;
        put_state(&write, changes)?;
        observe(Step::State)?;
        write.open_table(BLOCKS)?.insert(block.height, block.block)?;
        write.open_table(RESULTS)?.insert(block.height, block.results)?;
        write
            .open_table(CERTIFICATES)?
            .insert(block.height, block.certificate)?;
        observe(Step::Block)?;
        put_index(&write, block)?;
        observe(Step::Index)?;
        write
            .open_table(TIP)?
            .insert((), (block.height, block.id, block.app_hash))?;
        observe(Step::Tip)?;
        write.commit()?;
        observe(Step::Committed)?;
        Ok(true)
    }

    fn begin(&self) -> Result<WriteTransaction, StoreError> {
        let mut write = self.database.begin_write()?;
        write.set_durability(Durability::Immediate)?;
        Ok(write)
    }
}

fn tip(write: &WriteTransaction) -> Result<Option<(i64, Hash, Hash)>, StoreError> {
    Ok(write.open_table(TIP)?.get(())?.map(|row| row.value()))
}

/// Whether the block is new and follows the tip; false when it is already there.
fn is_next(write: &WriteTransaction, block: &BlockWrite<'_>) -> Result<bool, StoreError> {
    let tip = tip(write)?.map_or(-1, |(height, _, _)| height);
    if block.height > tip {
        let follows = tip >= 0 && tip.checked_add(1) == Some(block.height);
        return follows.then_some(true).ok_or(StoreError::Gap {
            height: block.height,
            tip,
        });
    }
    let ids = write.open_table(IDS)?;
    let stored = ids.get(block.height)?.map(|row| row.value().0);
    if stored == Some(block.id) {
        return Ok(false);
    }
    Err(StoreError::Fork {
        height: block.height,
        stored: stored.as_ref().map(hex).unwrap_or_default(),
        given: hex(&block.id),
    })
}

fn put_state<'a>(
    write: &WriteTransaction,
    changes: impl IntoIterator<Item = Change<'a>>,
) -> Result<(), StoreError> {
    let mut state = write.open_table(STATE)?;
    for (store, key, value) in changes {
        match value {
            Some(value) => state.insert((store, key), value)?,
            None => state.remove((store, key))?,
        };
    }
    Ok(())
}

fn put_index(write: &WriteTransaction, block: &BlockWrite<'_>) -> Result<(), StoreError> {
    write
        .open_table(IDS)?
        .insert(block.height, (block.id, block.app_hash))?;
    write.open_table(HEIGHTS)?.insert(block.id, block.height)?;
    let mut txs = write.open_table(TXS)?;
    for (index, hash) in (0_u32..).zip(block.tx_hashes) {
        txs.insert(hash, (block.height, index))?;
    }
    Ok(())
}
