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
    #[error(
        "{} has format {found}, this program reads format {expected}: begin with an empty data folder, or use the program that wrote it",
        .path.display()
    )]
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
    /// The disk refused a write: it is full, or it failed. Nothing was written, what is stored can be read, and the same write may
    /// succeed later.
    #[error("the disk refuses the chain's writes")]
    Unwritable(#[source] Box<redb::Error>),
    /// The state of that height is forgotten, or is not there yet.
    #[error("state of height {height} is not kept: heights {oldest} to {newest} are")]
    NotRetained {
        /// The height that was asked for.
        height: i64,
        /// Oldest height whose state is kept.
        oldest: i64,
        /// Height of the tip; -1 when there is none.
        newest: i64,
    },
    /// There is no store of that name.
    #[error("there is no store {0:?}")]
    NoStore(String),
    /// The chain was begun with other stores.
    #[error("the chain has the stores {found}; this program has {expected}")]
    Stores {
        /// Names in the file.
        found: String,
        /// Names that were asked for.
        expected: String,
    },
    /// A file of a snapshot is not what it should be.
    #[error("{file} is wrong: {reason}")]
    Archive {
        /// The file in the snapshot's folder, or the snapshot.
        file: String,
        /// What is wrong.
        reason: String,
    },
    /// A file or folder of a snapshot cannot be read or written.
    #[error("{} cannot be used", .path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Something is there that would be written over.
    #[error("{} exists already", .0.display())]
    Exists(PathBuf),
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

impl StoreError {
    /// Whether the same call may succeed later, with nothing changed but the disk.
    #[must_use]
    pub const fn is_unwritable(&self) -> bool {
        matches!(self, Self::Unwritable(_))
    }
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
