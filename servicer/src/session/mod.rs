//! Sessions: what the chain says of them, and what is held of each one in which a supplier of ours serves.

pub(crate) mod error;
pub(crate) mod failed;
pub(crate) mod gaps;
pub(crate) mod ledger;
pub(crate) mod lookup;
pub(crate) mod meter;
pub(crate) mod record;
pub(crate) mod stage;
pub(crate) mod tree;
pub(crate) mod unpaid;
