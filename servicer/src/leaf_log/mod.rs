//! The leaf log: accepted relays in order, durable before they are acknowledged.
//!
//! ```text
//! relay task ─► slot in a bounded queue ─► writer thread ─► one transaction for all that wait ─► answers leave
//! lifecycle  ─────────────────────────────────────────────► one transaction per transition
//! ```
//! A trie's root depends only on the set of its leaves, so leaves are the whole truth: trie nodes are never stored, and every index
//! is rebuilt from here. Keys are sequential (session, position), because a B-tree takes appends several times faster than hashes.

mod reader;
mod store;

use std::path::Path;

use portico_protocol::{Address, Height};

use crate::session::record::SessionRecord;

pub use reader::LeafReader;
pub(crate) use store::RedbLog;

/// Name of the log's file in the data folder.
pub const FILE_NAME: &str = "leaves.redb";

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
    #[error("the leaf log has format {found}, this program reads format {expected}")]
    Format {
        /// In the file.
        found: u64,
        /// Known here.
        expected: u64,
    },
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

    /// Writes session records and, when given, the cursor.
    fn put(&self, records: &[(u64, SessionRecord)], cursor: Option<Height>) -> Result<(), LeafLogError>;

    /// Visits the leaves of a session in order.
    fn scan(&self, session: u64, visit: VisitLeaf<'_>) -> Result<(), LeafLogError>;

    /// The relay of one leaf.
    fn relay(&self, session: u64, seq: u64) -> Result<Option<Vec<u8>>, LeafLogError>;

    /// Deletes the first leaves of a session, at most `limit`; returns how many were deleted.
    fn delete_leaves(&self, session: u64, limit: usize) -> Result<usize, LeafLogError>;

    /// Forgets sessions whose leaves were deleted.
    fn delete_sessions(&self, sessions: &[u64]) -> Result<(), LeafLogError>;
}

fn file(data_dir: &Path) -> std::path::PathBuf {
    data_dir.join(FILE_NAME)
}
