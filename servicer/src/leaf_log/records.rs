//! A log's records one after the other, as they are checked, copied and sent.

use std::path::Path;

use portico_disk::File;
use redb::{ReadTransaction, ReadableTable as _, WriteTransaction};

use super::tables::{CACHE_BYTES, LEAVES, META, META_CURSOR, SESSIONS, opening, prepare, store};
use super::{LeafLogError, private};

/// Bytes of records that are written in one transaction.
const BATCH_BYTES: usize = 4 << 20;
/// Bytes of a leaf's place in its table, and of a session's in its own.
pub(super) const LEAF_PLACE: usize = 16;
pub(super) const SESSION_PLACE: usize = 8;

/// One record of a log. Sessions come before leaves, leaves by session and position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Record<'a> {
    /// Last block height whose events were taken into account.
    Cursor(u64),
    /// A session's record, in JSON.
    Session {
        /// Its index.
        index: u64,
        /// [`crate::session::record::SessionRecord`]
        json: &'a [u8],
    },
    /// A leaf: its key, 32 bytes, and its relay.
    Leaf {
        /// Index of its session.
        session: u64,
        /// Position in the session.
        seq: u64,
        /// As it is stored.
        value: &'a [u8],
    },
}

/// Who gets records.
pub(crate) type TakeRecord<'a> = &'a mut dyn FnMut(Record<'_>) -> Result<(), LeafLogError>;

/// Hands over all records of a log, as they were when `txn` began.
pub(super) fn visit(txn: &ReadTransaction, take: TakeRecord<'_>) -> Result<(), LeafLogError> {
    let meta = txn.open_table(META).map_err(store)?;
    if let Some(height) = meta.get(META_CURSOR).map_err(store)? {
        take(Record::Cursor(height.value()))?;
    }
    for entry in txn.open_table(SESSIONS).map_err(store)?.iter().map_err(store)? {
        let (index, json) = entry.map_err(store)?;
        take(Record::Session {
            index: index.value(),
            json: json.value(),
        })?;
    }
    for entry in txn.open_table(LEAVES).map_err(store)?.iter().map_err(store)? {
        let (place, value) = entry.map_err(store)?;
        let (session, seq) = place.value();
        take(Record::Leaf {
            session,
            seq,
            value: value.value(),
        })?;
    }
    Ok(())
}

/// A log that is filled with records before anybody uses it.
pub(super) struct NewLog {
    file: File,
    cursor: Option<u64>,
    sessions: Vec<(u64, Vec<u8>)>,
    leaves: Vec<((u64, u64), Vec<u8>)>,
    bytes: usize,
}

impl NewLog {
    /// Makes the file at `path`; errs when there is one.
    pub(super) fn create(path: &Path) -> Result<Self, LeafLogError> {
        if path.exists() {
            return Err(LeafLogError::Exists(path.to_owned()));
        }
        private::file(path)?;
        let file = File::on(portico_disk::lock(path).map_err(opening)?, CACHE_BYTES).map_err(store)?;
        prepare(&file)?;
        Ok(Self {
            file,
            cursor: None,
            sessions: Vec::new(),
            leaves: Vec::new(),
            bytes: 0,
        })
    }

    /// Adds a record.
    pub(super) fn take(&mut self, record: Record<'_>) -> Result<(), LeafLogError> {
        self.bytes = self.bytes.saturating_add(match record {
            Record::Cursor(height) => {
                self.cursor = Some(height);
                0
            }
            Record::Session { index, json } => {
                self.sessions.push((index, json.to_vec()));
                json.len()
            }
            Record::Leaf { session, seq, value } => {
                self.leaves.push(((session, seq), value.to_vec()));
                value.len()
            }
        });
        match self.bytes >= BATCH_BYTES {
            true => self.flush(),
            false => Ok(()),
        }
    }

    /// Writes what is left.
    pub(super) fn flush(&mut self) -> Result<(), LeafLogError> {
        super::tables::commit(&self.file, &|txn: &WriteTransaction| {
            if let Some(height) = self.cursor {
                txn.open_table(META)?.insert(META_CURSOR, height)?;
            }
            let mut table = txn.open_table(SESSIONS)?;
            for (index, json) in &self.sessions {
                table.insert(index, json.as_slice())?;
            }
            let mut table = txn.open_table(LEAVES)?;
            for (place, value) in &self.leaves {
                table.insert(place, value.as_slice())?;
            }
            Ok(())
        })?;
        self.sessions.clear();
        self.leaves.clear();
        self.bytes = 0;
        Ok(())
    }
}
