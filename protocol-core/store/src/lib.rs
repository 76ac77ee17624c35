//! Versioned state with an authenticated root: a block is one record of a log, and later rows of tables on redb.
//!
//! ```text
//!  changes of block h ──► StateTries (memory, O(1) clones) ──► app hash after h
//!          │                                                       │
//!          └──────────── ChainStore::commit ◄──────────────────────┘
//!             one record: block, results, certificate, transactions, changes; appended and synced ──► readable, from memory
//!                │ every 16 blocks, in the background
//!                └──► one redb write transaction: state, pages of the tries, what both replaced, blocks, results, certificates, ids,
//!                     transaction index, tip; what is no longer retained goes in the same transaction; then the log is emptied
//! ```
//! State is a set of *stores* (namespaces, one per module), each a set of key-value pairs.
//!
//! - **Root of a store**: a plain sparse Merkle trie; the leaf of a key is at the path SHA-256(key) with the value SHA-256(value), so
//!   that a leaf is SHA-256(0x00 ‖ SHA-256(key) ‖ SHA-256(value)): the sparse-tree format of ICS-23 verifiers.
//! - **App hash**: the CometBFT (RFC 6962) Merkle root over the stores in the order of their names, each leaf being
//!   len ‖ name ‖ 32 ‖ SHA-256(root), lengths as varints: the format of ICS-23 verifiers for the outer tree. See [`app_hash`].
//!
//! | for | use |
//! |---|---|
//! | blocks, results, ids of all heights; the state of the tip | [`ChainStore::snapshot`] |
//! | the state after an older block | [`ChainStore::at`], [`Snapshot::at`] |
//! | proving a key, or its absence, at any of these heights | [`Snapshot::prove`], [`batch`] |
//! | making an older block the tip again | [`ChainStore::rollback`] |
//! | copying everything while blocks go on, and making a store of it | [`ChainStore::write_snapshot`], [`Manifest`] |
//! | whether all of it agrees | [`Snapshot::check`] |
//!
//! Invariants:
//! - After a crash at any moment the store holds the state of block h or of block h + 1, with everything that belongs to it.
//! - A committed block is durable when [`ChainStore::commit`] returns.
//! - The root is computed twice: by [`StateTries`] in memory and from the pages on disk. A block for which they differ stays in the log, and
//!   none follows.
//! - When the disk refuses a commit, nothing of the block is there, reads go on, and a later commit may succeed. When it refuses what the
//!   background writes, commits go on until 64 blocks or 128 MiB are in the log.
//! - A record that is not whole is the log's end only if nothing sound is behind it; otherwise opening errs and says what to do.
//! - States of [`ChainStore::retain`] blocks below the tip can be read and proved; a block costs what it changes, to write and to forget.
//! - [`Snapshot::load_tries`] rebuilds the tries from the state and refuses a state whose root is not the recorded app hash.
//!
//! Blocks, results and ids of all heights stay. The file's tables and formats are listed in `tables.rs`, the log's records in `log.rs`.
//! Start reading at [`ChainStore::commit`] in `write.rs`, then `live.rs` (from the log to the tables), `versioned.rs` (the past) and `tree.rs` (the pages).

mod archive;
mod check;
mod error;
mod layer;
mod live;
mod log;
mod page;
mod proof;
mod put;
mod rollback;
mod rows;
mod snapshot;
mod step;
mod store;
mod tables;
#[cfg(test)]
mod tests;
mod tree;
mod tries;
mod versioned;
mod write;

pub use archive::{About, Manifest};
pub use check::Report;
pub use error::StoreError;
pub use proof::{ProofStep, StateProof, batch};
pub use snapshot::{Snapshot, Tip};
pub use step::Step;
pub use store::{ChainStore, DEFAULT_RETAIN, Disks, log_files};
pub use tries::{StateTries, app_hash};
pub use write::{BlockWrite, Change};

/// A key and its value.
pub type Entry = (Vec<u8>, Vec<u8>);

/// A change that is read from somewhere: store, key, value.
pub(crate) type Altered<'a> = (&'a str, &'a [u8], Option<&'a [u8]>);

/// A SHA-256 hash: of a block's header, of a transaction, of a state.
pub type Hash = [u8; 32];
