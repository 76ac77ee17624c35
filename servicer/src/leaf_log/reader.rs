//! Reading a leaf log from outside: tools and tests.

use std::path::Path;

use portico_protocol::Address;
use redb::{Database, DatabaseError, ReadOnlyDatabase, ReadTransaction, ReadableDatabase};

use super::store::{check_format, scan, sessions};
use super::{FILE_NAME, Leaf, LeafLogError, SessionSummary, file};
use crate::handle::FoundRelay;
use crate::session::ledger::{self, LedgerRow};
use crate::session::record::SessionRecord;

/// A leaf log opened for reading only, while no servicer uses it.
pub struct LeafReader {
    database: Source,
}

impl std::fmt::Debug for LeafReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LeafReader").finish_non_exhaustive()
    }
}

enum Source {
    /// The log itself.
    Clean(ReadOnlyDatabase),
    /// A repaired copy, deleted when it is closed.
    Copy { database: Database, _folder: CopyFolder },
}

/// A folder that is removed with its content.
#[derive(Debug)]
struct CopyFolder(std::path::PathBuf);

impl Drop for CopyFolder {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::warn!(%error, folder = %self.0.display(), "cannot remove the copy of a leaf log");
        }
    }
}

impl LeafReader {
    /// Opens the log in `data_dir`. A log that was not closed cleanly is read through a repaired copy beside it; it stays untouched.
    ///
    /// # Errors
    /// [`LeafLogError::InUse`] while a servicer runs on it.
    pub fn open(data_dir: &Path) -> Result<Self, LeafLogError> {
        let database = match ReadOnlyDatabase::open(file(data_dir)) {
            Ok(database) => Source::Clean(database),
            Err(DatabaseError::DatabaseAlreadyOpen) => return Err(LeafLogError::InUse),
            Err(DatabaseError::RepairAborted) => repaired_copy(data_dir)?,
            Err(error) => return Err(LeafLogError::Store(Box::new(error.into()))),
        };
        let reader = Self { database };
        check_format(&reader.begin()?)?;
        Ok(reader)
    }

    /// All sessions, oldest first.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn sessions(&self) -> Result<Vec<SessionSummary>, LeafLogError> {
        let txn = self.begin()?;
        let records = sessions(&txn)?;
        let summarize = |(index, record): (u64, SessionRecord)| {
            let leaves = count(&txn, index)?;
            Ok(SessionSummary {
                session_id: record.session_id,
                supplier: record.supplier,
                stage: record.stage,
                sealed_root: record.seal.map(|seal| seal.root),
                leaves,
            })
        };
        records.into_iter().map(summarize).collect()
    }

    /// The money ledger as the servicer left it: one row per session and supplier, oldest first.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn ledger(&self) -> Result<Vec<LedgerRow>, LeafLogError> {
        let txn = self.begin()?;
        let row = |(index, mut record): (u64, SessionRecord)| {
            let committed = match record.deleted_leaves {
                Some(deleted) => deleted,
                None => count(&txn, index)?,
            };
            // As at a start: counters are stored once per block, and the leaves on disk tell of more after a crash.
            record.counts.raise_to(committed);
            Ok(ledger::row(record, committed))
        };
        sessions(&txn)?.into_iter().map(row).collect()
    }

    /// Session and position of the relay `hash`, if it is a leaf.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn find(&self, hash: &[u8; 32]) -> Result<Option<FoundRelay>, LeafLogError> {
        let txn = self.begin()?;
        for (index, record) in sessions(&txn)?.into_iter().rev() {
            let mut found = None;
            scan(&txn, index, &mut |seq, key, _| {
                found = found.or((key == hash).then_some(seq));
            })?;
            if let Some(seq) = found {
                return Ok(Some(FoundRelay::Leaf {
                    session_id: record.session_id,
                    supplier: record.supplier,
                    seq,
                }));
            }
        }
        Ok(None)
    }

    /// Leaves of a session in the order in which they were committed; empty for an unknown session.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn leaves(&self, session_id: &str, supplier: &Address) -> Result<Vec<Leaf>, LeafLogError> {
        let txn = self.begin()?;
        let mut leaves = Vec::new();
        for (index, record) in sessions(&txn)? {
            if record.session_id == session_id && record.supplier == *supplier {
                let weight = record.compute_units_per_relay;
                scan(&txn, index, &mut |seq, key, relay| {
                    leaves.push(Leaf {
                        seq,
                        key: *key,
                        relay: relay.to_vec(),
                        weight,
                    });
                })?;
            }
        }
        Ok(leaves)
    }

    fn begin(&self) -> Result<ReadTransaction, LeafLogError> {
        let begun = match &self.database {
            Source::Clean(database) => database.begin_read(),
            Source::Copy { database, _folder: _ } => database.begin_read(),
        };
        begun.map_err(|error| LeafLogError::Store(Box::new(error.into())))
    }
}

/// Leaves of a session.
fn count(txn: &ReadTransaction, session: u64) -> Result<u64, LeafLogError> {
    let mut leaves = 0;
    scan(txn, session, &mut |_, _, _| leaves += 1)?;
    Ok(leaves)
}

fn repaired_copy(data_dir: &Path) -> Result<Source, LeafLogError> {
    let path = data_dir.join(format!("read-only-copy-{}", std::process::id()));
    std::fs::create_dir_all(&path)?;
    let folder = CopyFolder(path);
    let copy = folder.0.join(FILE_NAME);
    std::fs::copy(file(data_dir), &copy)?;
    let database = Database::open(&copy).map_err(|error| LeafLogError::Store(Box::new(error.into())))?;
    Ok(Source::Copy {
        database,
        _folder: folder,
    })
}
