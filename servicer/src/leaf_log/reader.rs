//! Reading a leaf log from outside: tools and tests.

use std::path::Path;

use portico_disk::File;
use portico_protocol::Address;
use redb::ReadTransaction;

use super::records::{TakeRecord, visit};
use super::store::{scan, sessions};
use super::tables::{CACHE_BYTES, check_format, opening};
use super::{Leaf, LeafLogError, SessionSummary, file};
use crate::handle::FoundRelay;
use crate::session::ledger::{self, LedgerRow};
use crate::session::record::SessionRecord;

/// A leaf log opened for reading only, while no servicer uses it.
#[derive(Debug)]
pub struct LeafReader {
    file: File,
}

impl LeafReader {
    /// Opens the log in `data_dir`. One that was not closed cleanly is repaired in memory; the file stays untouched.
    ///
    /// # Errors
    /// [`LeafLogError::InUse`] while a servicer runs on it.
    pub fn open(data_dir: &Path) -> Result<Self, LeafLogError> {
        let disk = portico_disk::lock_shared(&file(data_dir)).map_err(opening)?;
        let file = File::read_only_on(disk, CACHE_BYTES).map_err(opening)?;
        let reader = Self { file };
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

    /// Hands over all records.
    pub(super) fn visit(&self, take: TakeRecord<'_>) -> Result<(), LeafLogError> {
        visit(&self.begin()?, take)
    }

    fn begin(&self) -> Result<ReadTransaction, LeafLogError> {
        self.file
            .begin_read()
            .map_err(|error| LeafLogError::Store(Box::new(error)))
    }
}

/// Leaves of a session.
fn count(txn: &ReadTransaction, session: u64) -> Result<u64, LeafLogError> {
    let mut leaves = 0;
    scan(txn, session, &mut |_, _, _| leaves += 1)?;
    Ok(leaves)
}
