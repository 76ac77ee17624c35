//! Versioned state with an authenticated root on redb; one transaction per block.
//!
//! ```text
//!  changes of block h ──► StateTries (memory, O(1) clones) ──► app hash after h
//!          │                                                       │
//!          └──────────── ChainStore::commit ◄──────────────────────┘
//!             one redb write transaction: state, pages of the tries, what both replaced, block, results, certificate, ids,
//!             transaction index, tip; what is no longer retained goes in the same transaction
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
//! - The root is computed twice: by [`StateTries`] in memory and from the pages on disk. A block for which they differ is not written.
//! - When the disk refuses a write, nothing of the block is there, reads go on, and a later commit may succeed.
//! - States of [`ChainStore::retain`] blocks below the tip can be read and proved; a block costs what it changes, to write and to forget.
//! - [`Snapshot::load_tries`] rebuilds the tries from the state and refuses a state whose root is not the recorded app hash.
//!
//! Blocks, results and ids of all heights stay. The file's tables and formats are listed in `tables.rs`.
//! Start reading at [`ChainStore::commit`] in `write.rs`, then `versioned.rs` (the past) and `tree.rs` (the pages).

mod archive;
mod check;
mod error;
mod page;
mod proof;
mod rollback;
mod rows;
mod snapshot;
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
pub use store::{ChainStore, DEFAULT_RETAIN};
pub use tries::{StateTries, app_hash};
pub use write::{BlockWrite, Change, Step};

/// A key and its value.
pub type Entry = (Vec<u8>, Vec<u8>);

/// A SHA-256 hash: of a block's header, of a transaction, of a state.
pub type Hash = [u8; 32];
