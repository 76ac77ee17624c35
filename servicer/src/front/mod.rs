//! The endpoints: relays, and the admin address.

pub(crate) mod admin;
mod grpc;
pub(crate) mod relay;
mod websocket;
