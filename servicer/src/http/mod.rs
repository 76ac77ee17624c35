//! The endpoints: relays on any path, and a few exact `GET` paths for people and machines.

pub(crate) mod admin;
pub(crate) mod error;
pub(crate) mod listen;
pub(crate) mod server;
