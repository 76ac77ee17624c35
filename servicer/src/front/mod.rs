//! The endpoints: relays, and the admin address.

pub(crate) mod admin;
pub(crate) mod endpoint;
mod grpc;
mod relay;
mod websocket;
