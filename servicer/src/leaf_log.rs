//! The leaf log: accepted relays in order, durable before they are acknowledged.

use std::path::Path;

use portico_protocol::Address;

/// Why the leaf log cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum LeafLogError {
    /// Another process has it open.
    #[error("the leaf log is in use by another process")]
    InUse,
    /// The store failed.
    #[error("the store failed")]
    Store(#[source] Box<dyn std::error::Error + Send + Sync>),
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
    /// Root of the claim, once sealed.
    pub sealed_root: Option<[u8; 48]>,
    /// Leaves on disk.
    pub leaves: u64,
}

/// A leaf log opened for reading only, while no servicer uses it.
#[derive(Debug)]
pub struct LeafReader {}

impl LeafReader {
    /// Opens the log in `data_dir`. A log that was not closed cleanly is read through a repaired copy; it stays untouched.
    ///
    /// # Errors
    /// [`LeafLogError::InUse`] while a servicer runs on it.
    pub fn open(_data_dir: &Path) -> Result<Self, LeafLogError> {
        unimplemented!()
    }

    /// All sessions, oldest first.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn sessions(&self) -> Result<Vec<SessionSummary>, LeafLogError> {
        unimplemented!()
    }

    /// Leaves of a session in the order in which they were committed.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn leaves(&self, _session_id: &str, _supplier: &Address) -> Result<Vec<Leaf>, LeafLogError> {
        unimplemented!()
    }
}
