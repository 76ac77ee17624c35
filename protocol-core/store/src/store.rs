//! The file: opening it, transactions, and going on after the disk failed.

use std::path::Path;
use std::sync::Arc;

use portico_disk::{File, Refused};
use redb::backends::InMemoryBackend;
use redb::{ReadableTable as _, StorageBackend, WriteTransaction};

use crate::tables::{
    BLOCKS, CERTIFICATES, FORMAT, HEIGHTS, IDS, JOURNAL, META, META_FORMAT, RESULTS, STATE, STATE_HISTORY,
    TIP, TREE, TREE_HISTORY, TXS,
};
use crate::{Snapshot, StateTries, StoreError};

/// Memory for cached pages, in bytes.
const CACHE_BYTES: usize = 64 << 20;

/// Blocks below the tip whose state stays readable and provable, unless it is configured: about a quarter of an hour of one-second
/// blocks, sixteen hours of one-minute blocks.
pub const DEFAULT_RETAIN: u32 = 1_000;

/// The chain's data in one file.
pub struct ChainStore {
    file: File,
    retain: u32,
}

impl ChainStore {
    /// Opens the file at `path`, or makes it; keeps the states of `retain` blocks below the tip. Only one process can have it open.
    pub fn open(path: &Path, retain: u32) -> Result<Self, StoreError> {
        let refused = |source: redb::Error| StoreError::Open {
            path: path.to_owned(),
            source: Box::new(source),
        };
        let disk = portico_disk::lock(path).map_err(refused)?;
        Self::on(disk, retain).map_err(|error| match error {
            StoreError::Io(source) => refused(*source),
            StoreError::Format { found, expected, .. } => StoreError::Format {
                path: path.to_owned(),
                found,
                expected,
            },
            other => other,
        })
    }

    /// A store in memory, for tests and simulations.
    pub fn in_memory() -> Result<Self, StoreError> {
        Self::on(Arc::new(InMemoryBackend::new()), DEFAULT_RETAIN)
    }

    /// A store on any disk, such as one that fails.
    pub fn on(disk: Arc<dyn StorageBackend>, retain: u32) -> Result<Self, StoreError> {
        let store = Self {
            file: File::on(disk, CACHE_BYTES)?,
            retain,
        };
        let mut found = FORMAT;
        store.transact(|write| {
            found = prepare(write)?;
            Ok(found == FORMAT)
        })?;
        if found != FORMAT {
            return Err(StoreError::Format {
                path: std::path::PathBuf::new(),
                found,
                expected: FORMAT,
            });
        }
        Ok(store)
    }

    /// How many blocks below the tip keep their state.
    #[must_use]
    pub const fn retain(&self) -> u32 {
        self.retain
    }

    /// The committed version of now.
    pub fn snapshot(&self) -> Result<Snapshot, StoreError> {
        Snapshot::new(&self.file.begin_read()?)
    }

    pub(crate) fn begin_read(&self) -> Result<redb::ReadTransaction, StoreError> {
        Ok(self.file.begin_read()?)
    }

    /// The state after the block at `height`; errs with [`StoreError::NotRetained`] when it is forgotten or not there yet.
    pub fn at(&self, height: i64) -> Result<Snapshot, StoreError> {
        self.snapshot()?.at(height)
    }

    /// [`Snapshot::load_tries`] of now.
    pub fn load_tries(&self, stores: &[&'static str]) -> Result<StateTries, StoreError> {
        self.snapshot()?.load_tries(stores)
    }

    /// Whether the last write was refused by the disk.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        self.file.is_read_only()
    }

    /// Runs `change` in a transaction, and commits it if it returns true. When the disk fails, nothing was written, the store is
    /// opened for reading, and the next transaction opens it for writing again.
    pub(crate) fn transact(
        &self,
        change: impl FnOnce(&WriteTransaction) -> Result<bool, StoreError>,
    ) -> Result<bool, StoreError> {
        let disk_error = |error| match error {
            StoreError::Io(source) => Ok(*source),
            other => Err(other),
        };
        let outcome = self.file.transact(true, change, disk_error);
        outcome.map_err(|refused| match refused {
            Refused::Disk(source) => StoreError::Unwritable(Box::new(source)),
            Refused::Change(error) => error,
        })
    }
}

/// Makes all tables of an empty file; returns the format of the file.
fn prepare(write: &WriteTransaction) -> Result<u32, StoreError> {
    let format = {
        let mut meta = write.open_table(META)?;
        let known = meta.get(META_FORMAT)?.map(|row| row.value().to_vec());
        if known.is_none() {
            meta.insert(META_FORMAT, FORMAT.to_le_bytes().as_slice())?;
        }
        known.map_or(Ok(FORMAT), |bytes| bytes.try_into().map(u32::from_le_bytes))
    };
    let format = format.map_err(|_| StoreError::Damaged("its format is not a number".into()))?;
    if format != FORMAT {
        return Ok(format);
    }
    write.open_table(TIP)?;
    write.open_table(STATE)?;
    write.open_table(STATE_HISTORY)?;
    write.open_table(TREE)?;
    write.open_table(TREE_HISTORY)?;
    write.open_table(JOURNAL)?;
    write.open_table(BLOCKS)?;
    write.open_table(RESULTS)?;
    write.open_table(CERTIFICATES)?;
    write.open_table(IDS)?;
    write.open_table(HEIGHTS)?;
    write.open_table(TXS)?;
    Ok(format)
}
