//! Versioned state with an authenticated root on redb; one transaction per block.
//!
//! ```text
//!  changes of block h ──► StateTries (memory, O(1) clones) ──► app hash after h
//!          │                                                       │
//!          └──────────── ChainStore::commit ◄──────────────────────┘
//!             one redb write transaction: state, block, results, certificate, ids, transaction index, tip
//! ```
//! State is a set of *stores* (namespaces, one per module), each a set of key-value pairs.
//!
//! - **Root of a store**: a plain sparse Merkle trie; the leaf of a key is at the path SHA-256(key) with the value SHA-256(value), so
//!   that a leaf is SHA-256(0x00 ‖ SHA-256(key) ‖ SHA-256(value)): the sparse-tree format of ICS-23 verifiers.
//! - **App hash**: the CometBFT (RFC 6962) Merkle root over the stores in the order of their names, each leaf being
//!   len ‖ name ‖ 32 ‖ SHA-256(root), lengths as varints: the format of ICS-23 verifiers for the outer tree. See [`app_hash`].
//!
//! Invariants:
//! - After a crash at any moment the store holds the state of block h or of block h + 1, with everything that belongs to it.
//! - A committed block is durable when [`ChainStore::commit`] returns.
//! - [`ChainStore::load_tries`] rebuilds the tries from the state and refuses a state whose root is not the recorded app hash.
//!
//! Deliberately absent: trie nodes on disk (they follow from the state), and the state of older heights: blocks, results and ids of
//! all heights stay, [`Snapshot`] reads the state of the tip. Versions by height will be read through [`Snapshot`] too.

mod error;
mod snapshot;
mod tables;
#[cfg(test)]
mod tests;
mod tries;
mod write;

pub use error::StoreError;
pub use snapshot::{Entry, Snapshot, Tip};
pub use tries::{StateTries, app_hash};
pub use write::{BlockWrite, ChainStore, Change, Step};

/// A SHA-256 hash: of a block's header, of a transaction, of a state.
pub type Hash = [u8; 32];
