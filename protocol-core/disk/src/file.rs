//! A database that is opened anew after its disk failed.

use std::fs::OpenOptions;
use std::io;
use std::ops::Bound;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};

use redb::backends::FileBackend;
use redb::{
    Database, Durability, ReadTransaction, ReadableDatabase as _, StorageBackend as _, WriteTransaction,
};

use crate::handle::{Disk, Handle};

/// Mode of a file that is made: its owner may read and write it.
#[cfg(unix)]
const PRIVATE: u32 = 0o600;

/// How far redb says that a check is when it found the last version damaged, and goes on with the one before.
const FALLS_BACK: f64 = 0.3;

/// A database in a file, or on any other disk.
pub struct File {
    disk: Disk,
    /// Memory for cached pages, in bytes.
    cache_bytes: usize,
    opened: RwLock<Opened>,
    /// Held by whoever writes: writers wait for each other, not for readers.
    writer: Mutex<()>,
}

/// Why a write was not done.
#[derive(Debug)]
pub enum Refused<E> {
    /// The disk failed, or the file could not be opened for writing again. Nothing was written; what is stored can be read.
    Disk(redb::Error),
    /// The change itself gave up; its transaction is gone.
    Change(E),
}

/// One opening of the file.
struct Opened {
    /// `None` while nothing can be read either.
    database: Option<Database>,
    /// False while the disk refuses writes.
    writes: bool,
    given_up: Arc<AtomicBool>,
}

impl std::fmt::Debug for File {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("File")
            .field("is_read_only", &self.is_read_only())
            .finish_non_exhaustive()
    }
}

impl File {
    /// Opens what is on `disk`.
    pub fn on(disk: Disk, cache_bytes: usize) -> Result<Self, redb::Error> {
        let opened = Opened::through(&disk, cache_bytes)?;
        Ok(Self::opened_on(disk, cache_bytes, opened))
    }

    /// As [`Self::on`]; what is on a disk that takes no writes is opened for reading.
    pub fn readable_on(disk: Disk, cache_bytes: usize) -> Result<Self, redb::Error> {
        let opened = match Opened::through(&disk, cache_bytes) {
            Err(redb::Error::Io(error)) => {
                tracing::warn!(%error, "the disk takes no writes");
                Opened::keeping(&disk, cache_bytes)?
            }
            opened => opened?,
        };
        Ok(Self::opened_on(disk, cache_bytes, opened))
    }

    /// Opens what is on `disk` without writing to it: whatever is changed stays in memory.
    pub fn read_only_on(disk: Disk, cache_bytes: usize) -> Result<Self, redb::Error> {
        let opened = Opened::keeping(&disk, cache_bytes)?;
        Ok(Self::opened_on(disk, cache_bytes, opened))
    }

    /// As [`Self::read_only_on`], after reading all of it: the sum of each page is checked. It errs with [`redb::Error::Corrupted`] when something is
    /// not as it was written. A file that was not closed is first taken back to its last whole version, as after any crash.
    pub fn verified_on(disk: Disk, cache_bytes: usize) -> Result<Self, redb::Error> {
        let closed = is_closed(&disk)?;
        let (opened, fell_back) = Opened::verified(&disk, cache_bytes)?;
        match closed && fell_back {
            false => Ok(Self::opened_on(disk, cache_bytes, opened)),
            true => Err(redb::Error::Corrupted(
                "only the version before the last write is whole".to_owned(),
            )),
        }
    }

    fn opened_on(disk: Disk, cache_bytes: usize, opened: Opened) -> Self {
        Self {
            disk,
            cache_bytes,
            opened: RwLock::new(opened),
            writer: Mutex::new(()),
        }
    }

    /// A look at the committed version of now.
    pub fn begin_read(&self) -> Result<ReadTransaction, redb::Error> {
        Ok(self.opened().database()?.begin_read()?)
    }

    /// Whether the last write was refused by the disk.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        !self.opened().writes
    }

    /// Size of the file in bytes.
    pub fn len(&self) -> io::Result<u64> {
        self.disk.len()
    }

    /// Whether nothing was written yet.
    pub fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Runs `change` in a transaction, and commits it durably if it returns true. When the disk fails, nothing was written, the file is
    /// opened for reading, and the next transaction opens it for writing again. With `quick_repair` a commit writes more, and opening after
    /// a crash does not read the whole file.
    ///
    /// `disk_error` takes the disk's error out of one of the change's.
    pub fn transact<E>(
        &self,
        quick_repair: bool,
        change: impl FnOnce(&WriteTransaction) -> Result<bool, E>,
        disk_error: impl FnOnce(E) -> Result<redb::Error, E>,
    ) -> Result<bool, Refused<E>> {
        let _alone = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        if self.is_read_only() {
            self.open_again(Opened::through).map_err(Refused::Disk)?;
        }
        let result = self.opened().transact(quick_repair, change, disk_error);
        if matches!(result, Err(Refused::Disk(_)))
            && let Err(error) = self.open_again(Opened::keeping)
        {
            tracing::warn!(%error, "what is stored cannot be read either");
        }
        result
    }

    /// Moves what is stored together and gives the rest of the file back to the disk; returns whether anything was moved. Nobody reads or
    /// writes meanwhile.
    pub fn compact(&self) -> Result<bool, redb::Error> {
        let _alone = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        if self.is_read_only() {
            self.open_again(Opened::through)?;
        }
        let mut opened = self.opened.write().unwrap_or_else(PoisonError::into_inner);
        let database = opened.database.as_mut().ok_or(redb::Error::DatabaseClosed)?;
        Ok(database.compact()?)
    }

    fn opened(&self) -> RwLockReadGuard<'_, Opened> {
        self.opened.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens the file anew; on failure for reading, or not at all.
    fn open_again(&self, open: fn(&Disk, usize) -> Result<Opened, redb::Error>) -> Result<(), redb::Error> {
        let mut opened = self.opened.write().unwrap_or_else(PoisonError::into_inner);
        opened.close();
        match open(&self.disk, self.cache_bytes) {
            Ok(new) => {
                *opened = new;
                Ok(())
            }
            Err(error) => {
                if let Ok(reading) = Opened::keeping(&self.disk, self.cache_bytes) {
                    *opened = reading;
                }
                Err(error)
            }
        }
    }
}

impl Opened {
    /// For reading and writing.
    fn through(disk: &Disk, cache_bytes: usize) -> Result<Self, redb::Error> {
        let given_up = Arc::new(AtomicBool::new(false));
        let handle = Handle::through(Arc::clone(disk), Arc::clone(&given_up));
        Ok(Self {
            database: Some(database(handle, cache_bytes)?),
            writes: true,
            given_up,
        })
    }

    /// For reading, whether the disk takes writes or not.
    fn keeping(disk: &Disk, cache_bytes: usize) -> Result<Self, redb::Error> {
        let given_up = Arc::new(AtomicBool::new(false));
        let handle = Handle::keeping(Arc::clone(disk), Arc::clone(&given_up))?;
        Ok(Self {
            database: Some(database(handle, cache_bytes)?),
            writes: false,
            given_up,
        })
    }

    /// For reading, once every page was read; with whether that was possible only in the version before the last write.
    fn verified(disk: &Disk, cache_bytes: usize) -> Result<(Self, bool), redb::Error> {
        let given_up = Arc::new(AtomicBool::new(false));
        let handle = Handle::keeping(Arc::clone(disk), Arc::clone(&given_up))?;
        let fell_back = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&fell_back);
        let mut builder = Database::builder();
        builder
            .set_cache_size(cache_bytes)
            .set_check_integrity_on_open(true);
        builder.set_repair_callback(move |repair| {
            if (repair.progress() - FALLS_BACK).abs() < 0.05 {
                told.store(true, Ordering::Release);
            }
        });
        let opened = Self {
            database: Some(builder.create_with_backend(handle)?),
            writes: false,
            given_up,
        };
        Ok((opened, fell_back.load(Ordering::Acquire)))
    }

    fn close(&mut self) {
        self.given_up.store(true, Ordering::Release);
        self.database = None;
        self.writes = false;
    }

    fn database(&self) -> Result<&Database, redb::Error> {
        self.database.as_ref().ok_or(redb::Error::DatabaseClosed)
    }

    fn transact<E>(
        &self,
        quick_repair: bool,
        change: impl FnOnce(&WriteTransaction) -> Result<bool, E>,
        disk_error: impl FnOnce(E) -> Result<redb::Error, E>,
    ) -> Result<bool, Refused<E>> {
        let begin = || {
            let mut write = self.database()?.begin_write()?;
            write.set_durability(Durability::Immediate)?;
            write.set_quick_repair(quick_repair);
            Ok(write)
        };
        let write = begin().map_err(Refused::Disk)?;
        let keep = change(&write).map_err(|error| match disk_error(error) {
            Ok(error) => Refused::Disk(error),
            Err(error) => Refused::Change(error),
        })?;
        if keep {
            write.commit().map_err(|error| Refused::Disk(error.into()))?;
        }
        Ok(keep)
    }
}

/// Whether the file was closed in order, by its header (redb, `docs/design.md`, "god byte"); false for an empty one.
fn is_closed(disk: &Disk) -> Result<bool, redb::Error> {
    const GOD_BYTE: u64 = 9;
    const RECOVERY_REQUIRED: u8 = 2;
    if disk.len()? <= GOD_BYTE {
        return Ok(false);
    }
    let mut flags = [0];
    disk.read(GOD_BYTE, &mut flags)?;
    Ok(flags[0] & RECOVERY_REQUIRED == 0)
}

fn database(handle: Handle, cache_bytes: usize) -> Result<Database, redb::Error> {
    let builder = &mut Database::builder();
    Ok(builder.set_cache_size(cache_bytes).create_with_backend(handle)?)
}

/// The file at `path`, made if there is none, as a disk that no other process has: it gets [`redb::Error::DatabaseAlreadyOpen`].
pub fn lock(path: &Path) -> Result<Disk, redb::Error> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, PRIVATE);
    locked(&options, path, FileBackend::try_lock_range)
}

/// The file at `path` as a disk that others may read too, and nobody may write.
pub fn lock_shared(path: &Path) -> Result<Disk, redb::Error> {
    locked(
        OpenOptions::new().read(true),
        path,
        FileBackend::try_lock_shared_range,
    )
}

/// Locks a range of a file; false when somebody else has a part of it.
type Lock = fn(&FileBackend, Bound<u64>, Bound<u64>) -> Result<bool, redb::BackendError>;

/// The file at `path`, under a lock over all of it.
fn locked(options: &OpenOptions, path: &Path, lock: Lock) -> Result<Disk, redb::Error> {
    let file = FileBackend::new(options.open(path)?)?;
    match lock(&file, Bound::Unbounded, Bound::Unbounded) {
        Ok(true) => Ok(Arc::new(file)),
        Ok(false) => Err(redb::Error::DatabaseAlreadyOpen),
        Err(error) => Err(redb::Error::Io(io::Error::other(error))),
    }
}

/// Whether a write failed for want of room: the disk is full, a quota is used up, or the file may not grow.
#[must_use]
pub fn is_full(error: &redb::Error) -> bool {
    matches!(error, redb::Error::Io(error) if is_want_of_room(error.kind()))
}

/// As [`is_full`], of an error of the operating system.
#[must_use]
pub fn is_want_of_room(kind: io::ErrorKind) -> bool {
    matches!(
        kind,
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    )
}
