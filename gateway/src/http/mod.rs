//! The accept loop of the front door.

pub(crate) mod accept;
