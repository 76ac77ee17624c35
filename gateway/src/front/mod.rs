//! Where callers come in: one module for each transport, and the errors that all of them tell.

pub(crate) mod error;
pub(crate) mod http;
mod websocket;
