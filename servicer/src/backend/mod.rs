//! The nodes behind a service, by transport.

pub(crate) mod http;
