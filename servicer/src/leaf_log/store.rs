//! The leaf log in a redb file.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError, RwLock};

use portico_protocol::Height;
use redb::{
    Database, DatabaseError, Durability, ReadTransaction, ReadableDatabase, ReadableTable, TableDefinition,
    TableError, WriteTransaction,
};

use super::{LeafLog, LeafLogError, NewLeaf, VisitLeaf, file};
use crate::session::record::SessionRecord;

/// Format of the tables below.
const FORMAT: u64 = 1;
/// Pages kept in memory: reads are rare (proofs, restarts), appends touch one leaf page.
const CACHE_BYTES: usize = 16 << 20;

/// Mode of the file: its owner may read and write it.
#[cfg(unix)]
const PRIVATE: u32 = 0o600;

const META: TableDefinition<&str, u64> = TableDefinition::new("meta");
/// session index → record (JSON)
const SESSIONS: TableDefinition<u64, &[u8]> = TableDefinition::new("sessions");
/// (session index, position) → key (32 bytes), relay
const LEAVES: TableDefinition<(u64, u64), &[u8]> = TableDefinition::new("leaves");

/// [`LeafLog`] in one file. After a failed write the file is opened anew: redb refuses to go on with a file that failed once.
#[derive(Debug)]
pub(crate) struct RedbLog {
    path: PathBuf,
    database: RwLock<Option<Database>>,
    reopening: Mutex<()>,
}

impl RedbLog {
    /// Opens or creates the log in `data_dir`, repairing it when it was not closed cleanly.
    pub(crate) fn open(data_dir: &Path) -> Result<Self, LeafLogError> {
        std::fs::create_dir_all(data_dir)?;
        Self::open_file(file(data_dir))
    }

    /// Opens or creates the log in the file at `path`.
    pub(crate) fn open_file(path: PathBuf) -> Result<Self, LeafLogError> {
        let database = open(&path)?;
        Ok(Self {
            path,
            database: RwLock::new(Some(database)),
            reopening: Mutex::new(()),
        })
    }

    /// A log in any database, for tests: it cannot be reopened.
    #[cfg(test)]
    pub(crate) fn on(database: Database) -> Result<Self, LeafLogError> {
        prepare(&database)?;
        Ok(Self {
            path: PathBuf::new(),
            database: RwLock::new(Some(database)),
            reopening: Mutex::new(()),
        })
    }

    fn write(
        &self,
        change: impl Fn(&WriteTransaction) -> Result<(), redb::Error>,
    ) -> Result<(), LeafLogError> {
        self.reopen_if_failed()?;
        let outcome = {
            let database = self.database.read().unwrap_or_else(PoisonError::into_inner);
            let Some(database) = database.as_ref() else {
                return Err(store(redb::Error::DatabaseAlreadyOpen));
            };
            commit(database, change)
        };
        outcome.map_err(|error| {
            *self.database.write().unwrap_or_else(PoisonError::into_inner) = None;
            store(error)
        })
    }

    fn read<T>(
        &self,
        look: impl FnOnce(&ReadTransaction) -> Result<T, LeafLogError>,
    ) -> Result<T, LeafLogError> {
        self.reopen_if_failed()?;
        let database = self.database.read().unwrap_or_else(PoisonError::into_inner);
        let Some(database) = database.as_ref() else {
            return Err(store(redb::Error::DatabaseAlreadyOpen));
        };
        look(&database.begin_read().map_err(store)?)
    }

    fn reopen_if_failed(&self) -> Result<(), LeafLogError> {
        let failed = || {
            self.database
                .read()
                .unwrap_or_else(PoisonError::into_inner)
                .is_none()
        };
        if !failed() {
            return Ok(());
        }
        let _one_at_a_time = self.reopening.lock().unwrap_or_else(PoisonError::into_inner);
        if failed() {
            let database = open(&self.path)?;
            *self.database.write().unwrap_or_else(PoisonError::into_inner) = Some(database);
        }
        Ok(())
    }
}

fn open(path: &Path) -> Result<Database, LeafLogError> {
    keep_private(path)?;
    let database = Database::builder()
        .set_cache_size(CACHE_BYTES)
        .create(path)
        .map_err(|error| match error {
            DatabaseError::DatabaseAlreadyOpen => LeafLogError::InUse,
            other => store(other),
        })?;
    prepare(&database)?;
    Ok(database)
}

/// Makes the file, or closes an older one to everybody but its owner: leaves hold what clients asked.
#[cfg(unix)]
fn keep_private(path: &Path) -> Result<(), LeafLogError> {
    use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(false).mode(PRIVATE);
    let file = options.open(path)?;
    let mut permissions = file.metadata()?.permissions();
    if permissions.mode() & 0o077 != 0 {
        permissions.set_mode(PRIVATE);
        file.set_permissions(permissions)?;
    }
    Ok(())
}

#[cfg(not(unix))]
fn keep_private(_: &Path) -> Result<(), LeafLogError> {
    Ok(())
}

/// Makes the tables of a new database, refuses one of another format.
fn prepare(database: &Database) -> Result<(), LeafLogError> {
    commit(database, |txn| {
        txn.open_table(SESSIONS)?;
        txn.open_table(LEAVES)?;
        let mut meta = txn.open_table(META)?;
        if meta.get("format")?.is_none() {
            meta.insert("format", FORMAT)?;
        }
        Ok(())
    })
    .map_err(store)?;
    check_format(&database.begin_read().map_err(store)?)
}

/// Refuses a file of another format.
pub(super) fn check_format(txn: &ReadTransaction) -> Result<(), LeafLogError> {
    let meta = txn.open_table(META).map_err(store)?;
    let found = meta
        .get("format")
        .map_err(store)?
        .map_or(0, |format| format.value());
    if found == FORMAT {
        Ok(())
    } else {
        Err(LeafLogError::Format {
            found,
            expected: FORMAT,
        })
    }
}

fn commit(
    database: &Database,
    change: impl Fn(&WriteTransaction) -> Result<(), redb::Error>,
) -> Result<(), redb::Error> {
    let mut txn = database.begin_write()?;
    txn.set_durability(Durability::Immediate)?;
    change(&txn)?;
    txn.commit()?;
    Ok(())
}

fn store(error: impl Into<redb::Error>) -> LeafLogError {
    LeafLogError::Store(Box::new(error.into()))
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
                .get("cursor")
                .map_err(store)?
                .map_or(0, |height| height.value());
            Ok(Height(i64::try_from(height).unwrap_or(i64::MAX)))
        })
    }

    fn append(&self, leaves: &[NewLeaf<'_>]) -> Result<(), LeafLogError> {
        self.write(|txn| {
            let mut table = txn.open_table(LEAVES)?;
            for leaf in leaves {
                let length = leaf.key.len() + leaf.relay.len();
                let mut value = table.insert_reserve((leaf.session, leaf.seq), length)?;
                let (key, relay) = value.as_mut().split_at_mut(leaf.key.len());
                key.copy_from_slice(leaf.key);
                relay.copy_from_slice(leaf.relay);
            }
            Ok(())
        })
    }

    fn put(&self, records: &[(u64, SessionRecord)], cursor: Option<Height>) -> Result<(), LeafLogError> {
        let encoded = records
            .iter()
            .map(|(index, record)| {
                let json = serde_json::to_vec(record).map_err(|e| LeafLogError::Record(*index, e))?;
                Ok((*index, json))
            })
            .collect::<Result<Vec<_>, LeafLogError>>()?;
        self.write(|txn| {
            let mut table = txn.open_table(SESSIONS)?;
            for (index, json) in &encoded {
                table.insert(index, json.as_slice())?;
            }
            if let Some(height) = cursor.and_then(|height| u64::try_from(height.0).ok()) {
                txn.open_table(META)?.insert("cursor", height)?;
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
        let places = self.read(|txn| {
            let table = txn.open_table(LEAVES).map_err(store)?;
            let range = table.range((session, 0)..=(session, u64::MAX)).map_err(store)?;
            let places = range
                .take(limit)
                .map(|entry| entry.map(|(place, _)| place.value()));
            places.collect::<Result<Vec<_>, _>>().map_err(store)
        })?;
        if !places.is_empty() {
            self.write(|txn| {
                let mut table = txn.open_table(LEAVES)?;
                for place in &places {
                    table.remove(place)?;
                }
                Ok(())
            })?;
        }
        Ok(places.len())
    }

    fn delete_sessions(&self, sessions: &[u64]) -> Result<(), LeafLogError> {
        if sessions.is_empty() {
            return Ok(());
        }
        self.write(|txn| {
            let mut table = txn.open_table(SESSIONS)?;
            for index in sessions {
                table.remove(index)?;
            }
            Ok(())
        })
    }
}
