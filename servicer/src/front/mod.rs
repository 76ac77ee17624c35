//! The endpoints: relays, and the admin address.

pub(crate) mod admin;
pub(crate) mod listen;
pub(crate) mod relay;
