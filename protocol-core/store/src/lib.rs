//! Versioned state with an authenticated root on redb; one transaction per block.

mod error;

pub use error::StoreError;
