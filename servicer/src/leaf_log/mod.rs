//! The leaf log: accepted relays in order, durable before they are acknowledged.
//!
//! ```text
//! relay task ─► slot in a bounded queue ─► writer thread ─► one transaction for all that wait ─► answers leave
//! lifecycle  ─────────────────────────────────────────────► one transaction per transition
//! ```
//! A trie's root depends only on the set of its leaves, so leaves are the whole truth: trie nodes are never stored, and every index
//! is rebuilt from here. Keys are sequential (session, position), because a B-tree takes appends several times faster than hashes.

pub(crate) mod backup;
mod check;
mod private;
mod reader;
mod records;
mod salvage;
mod state;
mod store;
mod tables;
mod watch;

use std::path::Path;
use std::sync::Arc;

use portico_protocol::{Address, Height};

use crate::fees::SessionFees;
use crate::session::record::SessionRecord;

pub use backup::Backup;
pub use check::{CheckReport, Fault, check};
pub use reader::LeafReader;
pub(crate) use records::TakeRecord;
pub use salvage::{Lost, Repaired, repair};
pub(crate) use state::{DiskFault, DiskState};
pub(crate) use store::RedbLog;
pub use store::compact;
pub(crate) use watch::DiskWatch;

/// Name of the log's file in the data folder.
pub const FILE_NAME: &str = "leaves.redb";
/// Name of the file in the data folder that keeps room for claims and proofs.
const RESERVE_NAME: &str = "reserve";
/// Name of the file that tries whether there is room; it is gone at once.
const TRIAL_NAME: &str = "room";
/// Room that is kept for the records of claims and proofs, for when the disk is full: they are about a kilobyte each.
const RESERVE_BYTES: u64 = 16 << 20;
/// Free bytes below which relays are refused: more than is written between two looks.
const LOW_BYTES: u64 = 32 << 20;
/// Free bytes from which they are served again, once they were refused.
const ENOUGH_BYTES: u64 = 64 << 20;

/// Why the leaf log cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum LeafLogError {
    /// Another process has it open.
    #[error("the leaf log is in use by another process")]
    InUse,
    /// The folder or file cannot be used.
    #[error("the leaf log's file cannot be used")]
    Io(#[from] std::io::Error),
    /// The store failed.
    #[error("the store failed")]
    Store(#[source] Box<redb::Error>),
    /// A stored session is not readable.
    #[error("the record of session {0} is damaged")]
    Record(u64, #[source] serde_json::Error),
    /// The file was written by another version.
    #[error("the leaf log has format {found}, this program reads format {expected}: {}", what_to_do(.found, .expected))]
    Format {
        /// In the file.
        found: u64,
        /// Known here.
        expected: u64,
    },
    /// A log is there that would be written over.
    #[error("{} exists already", .0.display())]
    Exists(std::path::PathBuf),
    /// What should be a backup is none.
    #[error("the backup is not whole: {0}")]
    Backup(&'static str),
}

const fn what_to_do(found: &u64, expected: &u64) -> &'static str {
    if *found > *expected {
        "a newer version wrote it; run that version, at least until its sessions are settled"
    } else {
        "it is damaged, or a version from before the first release wrote it; see `portico servicer store check`"
    }
}

impl LeafLogError {
    /// Whether it is for want of room: the disk is full, a quota is used up, or the file may not grow.
    pub(crate) fn is_full(&self) -> bool {
        match self {
            Self::Io(error) => portico_disk::is_want_of_room(error.kind()),
            Self::Store(error) => portico_disk::is_full(error),
            Self::InUse | Self::Record(..) | Self::Format { .. } | Self::Exists(_) | Self::Backup(_) => false,
        }
    }

    /// It and its causes, in words.
    pub(crate) fn with_causes(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            text = format!("{text}: {error}");
            cause = error.source();
        }
        text
    }
}

/// What the log takes of its disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    /// Size of the file.
    pub(crate) file_bytes: u64,
    /// Keys and relays in it. What else is in the file is used again before it grows.
    pub(crate) leaf_bytes: u64,
    /// Room that is kept for claims and proofs; 0 when it was given up.
    pub(crate) reserve_bytes: u64,
    /// Left on the disk; `None` when nobody tells.
    pub(crate) free_bytes: Option<u64>,
}

/// One leaf of a session's trie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaf {
    /// Position in the session, from 0.
    pub seq: u64,
    /// SHA-256 of the relay: the leaf's key (its path is SHA-256 of the key).
    pub key: [u8; 32],
    /// Encoded `Relay` without response payload: the leaf's value.
    pub relay: Vec<u8>,
    /// Compute units: the leaf's weight.
    pub weight: u64,
}

/// What is known of a session of a supplier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionSummary {
    /// Session id.
    pub session_id: String,
    /// Operator address.
    pub supplier: Address,
    /// Where it is in its life.
    pub stage: crate::Stage,
    /// Root of the claim, once sealed.
    pub sealed_root: Option<[u8; 48]>,
    /// Leaves on disk.
    pub leaves: u64,
}

/// A leaf to append.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NewLeaf<'a> {
    pub(crate) session: u64,
    pub(crate) seq: u64,
    pub(crate) key: &'a [u8; 32],
    pub(crate) relay: &'a [u8],
}

/// Calls that see each leaf of a session: position, key, relay.
pub(crate) type VisitLeaf<'a> = &'a mut dyn FnMut(u64, &[u8; 32], &[u8]);

/// Durable storage of leaves and session records. Every write is one transaction that is on disk when the call returns.
pub(crate) trait LeafLog: Send + Sync + 'static {
    /// All sessions by index.
    fn sessions(&self) -> Result<Vec<(u64, SessionRecord)>, LeafLogError>;

    /// Last block height whose events were taken into account; 0 in a new log.
    fn cursor(&self) -> Result<Height, LeafLogError>;

    /// Appends leaves.
    fn append(&self, leaves: &[NewLeaf<'_>]) -> Result<(), LeafLogError>;

    /// Writes the record of a session that a relay opens.
    fn begin(&self, index: u64, record: &SessionRecord) -> Result<(), LeafLogError>;

    /// Writes session records, except for their fees (see [`Self::put_fees`]), and, when given, the cursor; as deletions, on a full disk into the room that is kept.
    fn put(&self, records: &[(u64, SessionRecord)], cursor: Option<Height>) -> Result<(), LeafLogError>;

    /// Replaces the fees in records of sessions, whatever else of them is written meanwhile; on a full disk into the room that is kept.
    fn put_fees(&self, fees: &[(u64, SessionFees)]) -> Result<(), LeafLogError>;

    /// Visits the leaves of a session in order.
    fn scan(&self, session: u64, visit: VisitLeaf<'_>) -> Result<(), LeafLogError>;

    /// The relay of one leaf.
    fn relay(&self, session: u64, seq: u64) -> Result<Option<Vec<u8>>, LeafLogError>;

    /// Deletes the first leaves of a session, at most `limit`; returns how many were deleted.
    fn delete_leaves(&self, session: u64, limit: usize) -> Result<usize, LeafLogError>;

    /// Forgets sessions whose leaves were deleted.
    fn delete_sessions(&self, sessions: &[u64]) -> Result<(), LeafLogError>;

    /// Whether the disk takes leaves; every failed write says so here.
    fn state(&self) -> &Arc<DiskState>;

    /// Finds out whether the disk takes leaves again: keeps the room for claims and proofs, and commits.
    fn probe(&self) -> Result<(), LeafLogError>;

    /// Hands over all records, as they are at one moment.
    fn visit(&self, take: TakeRecord<'_>) -> Result<(), LeafLogError>;

    /// What it takes of the disk.
    fn usage(&self) -> Usage;
}

fn file(data_dir: &Path) -> std::path::PathBuf {
    data_dir.join(FILE_NAME)
}
