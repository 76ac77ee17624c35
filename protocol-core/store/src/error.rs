//! Why the store failed.

use std::path::PathBuf;

/// Why the store failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file cannot be opened: another process has it, no permission, not a store.
    #[error("{} cannot be opened", .path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<redb::Error>,
    },
    /// The file was written by another version.
    #[error("{} has format {found}, this program reads format {expected}", .path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// Ours.
        expected: u32,
    },
    /// Reading or writing failed.
    #[error("the chain's store failed")]
    Io(#[source] Box<redb::Error>),
    /// What is stored contradicts itself.
    #[error("the store is damaged: {0}")]
    Damaged(String),
    /// A block that does not follow the tip.
    #[error("block {height} does not follow the tip at height {tip}")]
    Gap {
        /// Height of the block.
        height: i64,
        /// Height of the tip; -1 when there is none.
        tip: i64,
    },
    /// Another block was committed at this height.
    #[error("height {height} holds block {stored}, not {given}")]
    Fork {
        /// The height.
        height: i64,
        /// Id of the stored block in hex.
        stored: String,
        /// Id of the given block in hex.
        given: String,
    },
    /// The write was given up on purpose; only tests do that.
    #[error("the commit was abandoned")]
    Abandoned,
}

macro_rules! from_redb {
    ($($source:ty),+) => {
        $(impl From<$source> for StoreError {
            fn from(error: $source) -> Self {
                Self::Io(Box::new(error.into()))
            }
        })+
    };
}
from_redb!(
    redb::Error,
    redb::TransactionError,
    redb::TableError,
    redb::StorageError,
    redb::CommitError,
    redb::SetDurabilityError
);
