//! The file: opening it, transactions, and going on after the disk failed.

use std::fs::OpenOptions;
use std::ops::Bound;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};

use redb::backends::{FileBackend, InMemoryBackend};
use redb::{
    Database, Durability, ReadableDatabase as _, ReadableTable as _, StorageBackend, WriteTransaction,
};

use crate::disk::{Disk, Handle};
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
    disk: Disk,
    opened: RwLock<Opened>,
    /// Held by whoever writes: writers wait for each other, not for readers.
    writer: Mutex<()>,
    retain: u32,
}

/// One opening of the file.
struct Opened {
    /// `None` while nothing can be read either.
    database: Option<Database>,
    /// False while the disk refuses writes.
    writes: bool,
    given_up: Arc<AtomicBool>,
}

impl ChainStore {
    /// Opens the file at `path`, or makes it; keeps the states of `retain` blocks below the tip. Only one process can have it open.
    pub fn open(path: &Path, retain: u32) -> Result<Self, StoreError> {
        let refused = |source: redb::Error| StoreError::Open {
            path: path.to_owned(),
            source: Box::new(source),
        };
        let disk = file(path).map_err(refused)?;
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
            opened: RwLock::new(Opened::through(&disk)?),
            disk,
            writer: Mutex::new(()),
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
        Snapshot::new(&self.opened().database()?.begin_read()?)
    }

    pub(crate) fn begin_read(&self) -> Result<redb::ReadTransaction, StoreError> {
        Ok(self.opened().database()?.begin_read()?)
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
        !self.opened().writes
    }

    fn opened(&self) -> RwLockReadGuard<'_, Opened> {
        self.opened.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `change` in a transaction, and commits it if it returns true. When the disk fails, nothing was written, the store is
    /// opened for reading, and the next transaction opens it for writing again.
    pub(crate) fn transact(
        &self,
        change: impl FnOnce(&WriteTransaction) -> Result<bool, StoreError>,
    ) -> Result<bool, StoreError> {
        let _alone = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        if self.is_read_only() {
            self.reopen(Opened::through)?;
        }
        let result = self.opened().transact(change);
        match result {
            Err(StoreError::Io(source)) => {
                if let Err(error) = self.reopen(Opened::keeping) {
                    tracing::warn!(%error, "the store cannot be read either");
                }
                Err(StoreError::Unwritable(source))
            }
            result => result,
        }
    }

    /// Opens the file anew; on failure for reading, or not at all.
    fn reopen(&self, open: fn(&Disk) -> Result<Opened, StoreError>) -> Result<(), StoreError> {
        let mut opened = self.opened.write().unwrap_or_else(PoisonError::into_inner);
        opened.close();
        match open(&self.disk) {
            Ok(new) => {
                *opened = new;
                Ok(())
            }
            Err(error) => {
                if let Ok(reading) = Opened::keeping(&self.disk) {
                    *opened = reading;
                }
                Err(error.into_unwritable())
            }
        }
    }
}

impl Opened {
    /// For reading and writing.
    fn through(disk: &Disk) -> Result<Self, StoreError> {
        let given_up = Arc::new(AtomicBool::new(false));
        let handle = Handle::through(disk.clone(), given_up.clone());
        Ok(Self {
            database: Some(database(handle)?),
            writes: true,
            given_up,
        })
    }

    /// For reading, whether the disk takes writes or not.
    fn keeping(disk: &Disk) -> Result<Self, StoreError> {
        let given_up = Arc::new(AtomicBool::new(false));
        let handle = Handle::keeping(disk.clone(), given_up.clone()).map_err(redb::Error::Io)?;
        Ok(Self {
            database: Some(database(handle)?),
            writes: false,
            given_up,
        })
    }

    fn close(&mut self) {
        self.given_up.store(true, Ordering::Release);
        self.database = None;
        self.writes = false;
    }

    fn database(&self) -> Result<&Database, StoreError> {
        let closed = || StoreError::Io(Box::new(redb::Error::DatabaseClosed));
        self.database.as_ref().ok_or_else(closed)
    }

    fn transact(
        &self,
        change: impl FnOnce(&WriteTransaction) -> Result<bool, StoreError>,
    ) -> Result<bool, StoreError> {
        let mut write = self.database()?.begin_write()?;
        write.set_durability(Durability::Immediate)?;
        write.set_quick_repair(true);
        let keep = change(&write)?;
        if keep {
            write.commit()?;
        }
        Ok(keep)
    }
}

fn database(handle: Handle) -> Result<Database, StoreError> {
    let builder = &mut Database::builder();
    let opened = builder.set_cache_size(CACHE_BYTES).create_with_backend(handle);
    Ok(opened.map_err(redb::Error::from)?)
}

/// The file at `path`, which no other process has open.
fn file(path: &Path) -> Result<Disk, redb::Error> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path);
    let file = FileBackend::new(file.map_err(redb::Error::Io)?)?;
    let locked = file.try_lock_range(Bound::Unbounded, Bound::Unbounded);
    match locked {
        Ok(true) => Ok(Arc::new(file)),
        Ok(false) => Err(redb::Error::DatabaseAlreadyOpen),
        Err(error) => Err(redb::Error::Io(std::io::Error::other(error))),
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
