//! Versioned state with an authenticated root on redb; one transaction per block.
//!
//! ```text
//! state:   (store, key) ─► value          trie per store: path SHA-256(key), leaf SHA-256(value)     [in memory, rebuilt at open]
//! blocks:  height ─► header, transactions, results          app hash: root over the stores' roots
//! index:   block id ─► height, transaction hash ─► (height, index)
//! tip:     height, id, time, app hash
//! ```
//! All of a block is written by one redb transaction with immediate durability: after a crash the store is at a height or the one
//! before, never between. Trie nodes are not stored: they follow from the state. At open they are built anew and their root is held
//! against the tip's app hash, so damage is found before anything is served.

mod error;
mod roots;
mod store;

pub use error::StoreError;
pub use roots::Roots;
pub use store::{BlockRecord, Reader, Store, TipRecord};

/// One write: (store's position, key, value); no value deletes.
pub type Write = (u8, Vec<u8>, Option<Vec<u8>>);
