//! The endpoints: relays, and the admin address.

pub(crate) mod admin;
pub(crate) mod relay;
mod websocket;
