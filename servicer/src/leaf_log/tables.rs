//! Tables of the leaf log's file, and changes to them.

use portico_disk::{File, Refused};
use redb::{ReadTransaction, TableDefinition, WriteTransaction};

use super::LeafLogError;

/// Format of the tables below.
pub(super) const FORMAT: u64 = 1;
/// Pages kept in memory: reads are rare (proofs, restarts), appends touch one leaf page.
pub(super) const CACHE_BYTES: usize = 16 << 20;

pub(super) const META: TableDefinition<&str, u64> = TableDefinition::new("meta");
/// Row of [`META`]: [`FORMAT`] of who made the file.
pub(super) const META_FORMAT: &str = "format";
/// Row of [`META`]: see [`super::LeafLog::cursor`].
pub(super) const META_CURSOR: &str = "cursor";
/// Row of [`META`] that a probe writes.
pub(super) const META_PROBE: &str = "probe";
/// session index → record (JSON)
pub(super) const SESSIONS: TableDefinition<u64, &[u8]> = TableDefinition::new("sessions");
/// (session index, position) → key (32 bytes), relay
pub(super) const LEAVES: TableDefinition<(u64, u64), &[u8]> = TableDefinition::new("leaves");

/// The error of a file that does not open.
pub(super) fn opening(error: redb::Error) -> LeafLogError {
    match error {
        redb::Error::DatabaseAlreadyOpen => LeafLogError::InUse,
        other => store(other),
    }
}

/// Makes the tables of a new database.
pub(super) fn prepare(file: &File) -> Result<(), LeafLogError> {
    commit(file, &|txn: &WriteTransaction| {
        txn.open_table(SESSIONS)?;
        txn.open_table(LEAVES)?;
        txn.open_table(META)?.insert(META_FORMAT, FORMAT)?;
        Ok(())
    })
}

/// Refuses a file of another format.
pub(super) fn check_format(txn: &ReadTransaction) -> Result<(), LeafLogError> {
    let meta = txn.open_table(META).map_err(store)?;
    let found = meta
        .get(META_FORMAT)
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

pub(super) fn commit(
    file: &File,
    change: &impl Fn(&WriteTransaction) -> Result<(), redb::Error>,
) -> Result<(), LeafLogError> {
    match file.transact(false, |txn| change(txn).map(|()| true), Ok) {
        Ok(_) => Ok(()),
        Err(Refused::Disk(error) | Refused::Change(error)) => Err(store(error)),
    }
}

pub(super) fn store(error: impl Into<redb::Error>) -> LeafLogError {
    LeafLogError::Store(Box::new(error.into()))
}
