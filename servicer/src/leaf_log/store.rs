//! The leaf log in a redb file.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use portico_disk::{File, Reserve};
use portico_protocol::Height;
use redb::{
    AccessGuard, ReadTransaction, ReadableTable, ReadableTableMetadata as _, TableError, WriteTransaction,
};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use super::private;
use super::records::{TakeRecord, visit};
use super::tables::{
    CACHE_BYTES, LEAVES, META, META_CURSOR, META_PROBE, SESSIONS, check_format, commit, opening, prepare,
    store,
};
use super::{
    DiskFault, DiskState, ENOUGH_BYTES, LeafLog, LeafLogError, NewLeaf, RESERVE_BYTES, RESERVE_NAME,
    TRIAL_NAME, Usage, VisitLeaf, file,
};
use crate::fees::SessionFees;
use crate::session::record::SessionRecord;

/// How many times as long as a write took that failed none is tried.
const PAUSES: u32 = 5;

/// [`LeafLog`] in one file.
#[derive(Debug)]
pub(crate) struct RedbLog {
    file: File,
    state: Arc<DiskState>,
    /// `None` for one that is in no folder.
    folder: Option<Folder>,
    leaf_bytes: AtomicU64,
    /// Before it no write is tried, after one that failed: opening the file anew may read all of it, and keeps readers waiting.
    not_before: Mutex<Option<Instant>>,
}

/// Where the file is.
#[derive(Debug)]
struct Folder {
    path: PathBuf,
    reserve: Reserve,
}

/// Whether a write may take the room that is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Room {
    /// It is for claims and proofs, or makes room itself.
    Kept,
    /// It is for relays.
    Free,
}

impl RedbLog {
    /// Opens or creates the log in `data_dir`, repairing it when it was not closed cleanly. It is opened on a full disk too.
    pub(crate) fn open(data_dir: &Path) -> Result<Self, LeafLogError> {
        private::folder(data_dir)?;
        let path = file(data_dir);
        private::file(&path)?;
        let disk = portico_disk::lock(&path).map_err(opening)?;
        Self::with(disk, Some(data_dir))
    }

    /// A log on any disk, for tests; with a folder for the room that is kept, or without.
    #[cfg(test)]
    pub(crate) fn on(disk: impl redb::StorageBackend, data_dir: Option<&Path>) -> Result<Self, LeafLogError> {
        Self::with(Arc::new(disk), data_dir)
    }

    fn with(disk: portico_disk::Disk, data_dir: Option<&Path>) -> Result<Self, LeafLogError> {
        let file = File::readable_on(disk, CACHE_BYTES).map_err(opening)?;
        if !is_prepared(&file.begin_read().map_err(store)?)? {
            prepare(&file)?;
        }
        let leaf_bytes = leaf_bytes(&file.begin_read().map_err(store)?)?;
        let log = Self {
            file,
            state: Arc::default(),
            folder: data_dir.map(Folder::new),
            leaf_bytes: leaf_bytes.into(),
            not_before: Mutex::default(),
        };
        if let Some(folder) = &log.folder
            && let Err(error) = folder.reserve.keep()
        {
            log.state.failed(&error.into());
        }
        Ok(log)
    }

    fn write(
        &self,
        room: Room,
        change: impl Fn(&WriteTransaction) -> Result<(), redb::Error>,
    ) -> Result<(), LeafLogError> {
        let began = Instant::now();
        let kept = || {
            self.folder
                .as_ref()
                .is_some_and(|folder| folder.reserve.is_kept())
        };
        let may_give_up = room == Room::Kept && self.state.fault() == Some(DiskFault::Full) && kept();
        if !may_give_up && self.not_before().is_some_and(|time| began < time) {
            let early = std::io::Error::other("the disk refused a write a moment ago");
            return Err(LeafLogError::Io(early));
        }
        let mut outcome = commit(&self.file, &change);
        if room == Room::Kept
            && let Err(error) = &outcome
            && error.is_full()
            && self
                .folder
                .as_ref()
                .is_some_and(|folder| folder.reserve.give_up())
        {
            self.state.failed(error);
            tracing::warn!("the room that was kept for claims and proofs is given up to them");
            outcome = commit(&self.file, &change);
        }
        *self.not_before() = outcome.is_err().then(|| began + began.elapsed() * PAUSES);
        outcome.inspect_err(|error| self.state.failed(error))
    }

    fn not_before(&self) -> MutexGuard<'_, Option<Instant>> {
        self.not_before.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read<T>(
        &self,
        look: impl FnOnce(&ReadTransaction) -> Result<T, LeafLogError>,
    ) -> Result<T, LeafLogError> {
        look(&self.file.begin_read().map_err(store)?)
    }
}

impl Folder {
    fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            reserve: Reserve::new(path.join(RESERVE_NAME), RESERVE_BYTES),
        }
    }

    /// Errs unless there is room enough to go on for a while.
    fn has_room(&self) -> std::io::Result<()> {
        if portico_disk::free_bytes(&self.path).is_some_and(|free| free < ENOUGH_BYTES) {
            return Err(std::io::ErrorKind::StorageFull.into());
        }
        self.reserve.keep()?;
        // A quota may allow less than the system tells.
        let trial = self.path.join(TRIAL_NAME);
        portico_disk::allocate(&trial, RESERVE_BYTES)?;
        std::fs::remove_file(trial)
    }
}

/// Keys and relays in the log.
fn leaf_bytes(txn: &ReadTransaction) -> Result<u64, LeafLogError> {
    let table = txn.open_table(LEAVES).map_err(store)?;
    Ok(table.stats().map_err(store)?.stored_bytes())
}

/// Whether the tables are there; errs for a file of another format.
fn is_prepared(txn: &ReadTransaction) -> Result<bool, LeafLogError> {
    match txn.open_table(META) {
        Err(TableError::TableDoesNotExist(_)) => Ok(false),
        Err(error) => Err(store(error)),
        Ok(_) => check_format(txn).map(|()| true),
    }
}

/// Moves what is stored in the log in `data_dir` together; returns the bytes that the file had and has. No servicer may run on it.
///
/// # Errors
/// [`LeafLogError::InUse`] while one does.
pub fn compact(data_dir: &Path) -> Result<(u64, u64), LeafLogError> {
    let path = file(data_dir);
    let before = std::fs::metadata(&path)?.len();
    let log = File::on(portico_disk::lock(&path).map_err(opening)?, CACHE_BYTES).map_err(opening)?;
    check_format(&log.begin_read().map_err(store)?)?;
    log.compact().map_err(store)?;
    drop(log);
    Ok((before, std::fs::metadata(&path)?.len()))
}

/// All records of a log.
pub(super) fn sessions(txn: &ReadTransaction) -> Result<Vec<(u64, SessionRecord)>, LeafLogError> {
    let table = txn.open_table(SESSIONS).map_err(store)?;
    let mut found = Vec::new();
    for entry in table.iter().map_err(store)? {
        let (index, bytes) = entry.map_err(store)?;
        let index = index.value();
        let record = serde_json::from_slice(bytes.value()).map_err(|e| LeafLogError::Record(index, e))?;
        found.push((index, record));
    }
    Ok(found)
}

/// Visits the leaves of a session in order.
pub(super) fn scan(txn: &ReadTransaction, session: u64, visit: VisitLeaf<'_>) -> Result<(), LeafLogError> {
    let table = match txn.open_table(LEAVES) {
        Ok(table) => table,
        Err(TableError::TableDoesNotExist(_)) => return Ok(()),
        Err(error) => return Err(store(error)),
    };
    for entry in table.range((session, 0)..=(session, u64::MAX)).map_err(store)? {
        let (place, bytes) = entry.map_err(store)?;
        if let Some((key, relay)) = bytes.value().split_first_chunk::<32>() {
            visit(place.value().1, key, relay);
        }
    }
    Ok(())
}

impl LeafLog for RedbLog {
    fn sessions(&self) -> Result<Vec<(u64, SessionRecord)>, LeafLogError> {
        self.read(sessions)
    }

    fn cursor(&self) -> Result<Height, LeafLogError> {
        self.read(|txn| {
            let meta = txn.open_table(META).map_err(store)?;
            let height = meta
                .get(META_CURSOR)
                .map_err(store)?
                .map_or(0, |height| height.value());
            Ok(Height(i64::try_from(height).unwrap_or(i64::MAX)))
        })
    }

    fn append(&self, leaves: &[NewLeaf<'_>]) -> Result<(), LeafLogError> {
        self.write(Room::Free, |txn| {
            let mut table = txn.open_table(LEAVES)?;
            for leaf in leaves {
                let length = leaf.key.len() + leaf.relay.len();
                let mut value = table.insert_reserve((leaf.session, leaf.seq), length)?;
                let (key, relay) = value.as_mut().split_at_mut(leaf.key.len());
                key.copy_from_slice(leaf.key);
                relay.copy_from_slice(leaf.relay);
            }
            Ok(())
        })?;
        let bytes = leaves
            .iter()
            .map(|leaf| stored_bytes(leaf.key.len() + leaf.relay.len()));
        self.leaf_bytes.fetch_add(bytes.sum(), Ordering::Relaxed);
        Ok(())
    }

    fn begin(&self, index: u64, record: &SessionRecord) -> Result<(), LeafLogError> {
        let json = encoded(index, record)?;
        self.write(Room::Free, |txn| {
            txn.open_table(SESSIONS)?.insert(index, json.as_slice())?;
            Ok(())
        })
    }

    fn put(&self, records: &[(u64, SessionRecord)], cursor: Option<Height>) -> Result<(), LeafLogError> {
        self.write(Room::Kept, |txn| {
            let mut table = txn.open_table(SESSIONS)?;
            for (index, record) in records {
                let known: Option<StoredFees> = stored(table.get(index)?);
                let record = SessionRecord {
                    fees: known.map_or_else(|| record.fees.clone(), |known| known.fees),
                    ..record.clone()
                };
                table.insert(index, encoded(*index, &record).map_err(unencoded)?.as_slice())?;
            }
            if let Some(height) = cursor.and_then(|height| u64::try_from(height.0).ok()) {
                txn.open_table(META)?.insert(META_CURSOR, height)?;
            }
            Ok(())
        })
    }

    fn put_fees(&self, fees: &[(u64, SessionFees)]) -> Result<(), LeafLogError> {
        self.write(Room::Kept, |txn| {
            let mut table = txn.open_table(SESSIONS)?;
            for (index, fees) in fees {
                let known: Option<SessionRecord> = stored(table.get(index)?);
                let Some(record) = known else { continue }; // forgotten meanwhile
                let fees = fees.clone();
                let record = SessionRecord { fees, ..record };
                table.insert(index, encoded(*index, &record).map_err(unencoded)?.as_slice())?;
            }
            Ok(())
        })
    }

    fn scan(&self, session: u64, visit: VisitLeaf<'_>) -> Result<(), LeafLogError> {
        self.read(|txn| scan(txn, session, visit))
    }

    fn relay(&self, session: u64, seq: u64) -> Result<Option<Vec<u8>>, LeafLogError> {
        self.read(|txn| {
            let table = txn.open_table(LEAVES).map_err(store)?;
            let value = table.get((session, seq)).map_err(store)?;
            Ok(value.and_then(|bytes| bytes.value().get(32..).map(<[u8]>::to_vec)))
        })
    }

    fn delete_leaves(&self, session: u64, limit: usize) -> Result<usize, LeafLogError> {
        let (places, bytes) = self.read(|txn| {
            let table = txn.open_table(LEAVES).map_err(store)?;
            let range = table.range((session, 0)..=(session, u64::MAX)).map_err(store)?;
            let (mut places, mut bytes) = (Vec::new(), 0_u64);
            for entry in range.take(limit) {
                let (place, value) = entry.map_err(store)?;
                places.push(place.value());
                bytes = bytes.saturating_add(stored_bytes(value.value().len()));
            }
            Ok((places, bytes))
        })?;
        if !places.is_empty() {
            self.write(Room::Kept, |txn| {
                let mut table = txn.open_table(LEAVES)?;
                for place in &places {
                    table.remove(place)?;
                }
                Ok(())
            })?;
            self.leaf_bytes.fetch_sub(bytes, Ordering::Relaxed);
        }
        Ok(places.len())
    }

    fn delete_sessions(&self, sessions: &[u64]) -> Result<(), LeafLogError> {
        if sessions.is_empty() {
            return Ok(());
        }
        self.write(Room::Kept, |txn| {
            let mut table = txn.open_table(SESSIONS)?;
            for index in sessions {
                table.remove(index)?;
            }
            Ok(())
        })
    }

    fn state(&self) -> &Arc<DiskState> {
        &self.state
    }

    fn probe(&self) -> Result<(), LeafLogError> {
        if let Some(folder) = &self.folder {
            folder.has_room()?;
        }
        self.write(Room::Free, |txn| {
            txn.open_table(META)?.insert(META_PROBE, 0)?;
            Ok(())
        })
    }

    fn visit(&self, take: TakeRecord<'_>) -> Result<(), LeafLogError> {
        self.read(|txn| visit(txn, take))
    }

    fn usage(&self) -> Usage {
        let folder = self.folder.as_ref();
        let kept = folder.is_some_and(|folder| folder.reserve.is_kept());
        Usage {
            file_bytes: self.file.len().unwrap_or(0),
            leaf_bytes: self.leaf_bytes.load(Ordering::Relaxed),
            reserve_bytes: if kept { RESERVE_BYTES } else { 0 },
            free_bytes: folder.and_then(|folder| portico_disk::free_bytes(&folder.path)),
        }
    }
}

/// What a leaf of so many bytes takes, with its place.
fn stored_bytes(value: usize) -> u64 {
    u64::try_from(value).unwrap_or(u64::MAX).saturating_add(16)
}

/// The part of a record that [`LeafLog::put`] leaves as it is.
#[derive(Deserialize)]
struct StoredFees {
    #[serde(default)]
    fees: SessionFees,
}

/// What a row holds; `None` without one, and for one that is damaged.
fn stored<T: DeserializeOwned>(row: Option<AccessGuard<'_, &'static [u8]>>) -> Option<T> {
    serde_json::from_slice(row?.value()).ok()
}

fn unencoded(error: LeafLogError) -> redb::Error {
    redb::Error::Io(std::io::Error::other(error))
}

pub(super) fn encoded(index: u64, record: &SessionRecord) -> Result<Vec<u8>, LeafLogError> {
    serde_json::to_vec(record).map_err(|error| LeafLogError::Record(index, error))
}
