//! The nodes behind a service.
//!
//! [`Backends::open`] hands a relay's payload to the node for its RPC type and gives an [`Exchange`], which yields the messages to sign: one
//! for HTTP. A transport is a module here with a variant in [`Backend`] and [`Exchange`]; nothing else knows which one a relay takes.

mod encoding;
mod headers;
mod http;
mod target;

use std::collections::BTreeMap;

use bytes::Bytes;
use portico_config::servicer::{RpcType, ServiceConfig};
use portico_protocol::wire::pocket::service::RelayRequestMetadata;

pub(crate) use self::http::client;
use self::http::{HttpBackend, HttpExchange};
use crate::buffers::{Buffers, Room};

/// What of a relay request a backend is asked with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call<'a> {
    pub(crate) rpc_type: RpcType,
    pub(crate) meta: &'a RelayRequestMetadata,
    pub(crate) payload: &'a Bytes,
}

/// A message of a backend, ready to be signed.
#[derive(Debug)]
pub(crate) struct Message {
    /// HTTP status of the backend.
    pub(crate) status: u16,
    /// Serialized `POKTHTTPResponse`.
    pub(crate) payload: Bytes,
    /// Held until the message is signed and recorded.
    pub(crate) _room: Room,
}

/// Why a backend gave no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BackendError {
    /// The payload is not an HTTP request.
    #[error("the relay's payload is not an HTTP request: {0}")]
    Payload(String),
    /// No connection, or it broke.
    #[error("the backend cannot be reached")]
    Unreachable(#[source] reqwest::Error),
    /// No whole answer in time.
    #[error("the backend did not answer within {0} ms")]
    Timeout(u64),
    /// Too many bytes are held already.
    #[error("too many bytes are held for the answer")]
    NoRoom,
    /// The answer is in an encoding that nobody asked for and that cannot be undone.
    #[error("the backend's answer has a content encoding that cannot be decoded")]
    Encoding,
    /// It ended before it said anything.
    #[error("the backend ended the exchange without an answer")]
    NoMessage,
    /// The answer is too large.
    #[error("the backend's answer is larger than {0} bytes")]
    TooLarge(usize),
}

/// The nodes of one service.
#[derive(Debug)]
pub(crate) struct Backends {
    default: Backend,
    by_type: BTreeMap<RpcType, Backend>,
}

/// A node, by how it is asked.
#[derive(Debug)]
enum Backend {
    Http(HttpBackend),
}

/// A call in progress.
#[derive(Debug)]
pub(crate) enum Exchange {
    Http(HttpExchange),
}

impl Backends {
    /// Reads URLs and headers; errs with (key below the service, message).
    pub(crate) fn new(
        config: &ServiceConfig,
        client: &reqwest::Client,
        buffers: &Buffers,
    ) -> Result<Self, (String, String)> {
        let http = |backend, key: &str| {
            HttpBackend::new(backend, config, key, client.clone(), buffers.clone()).map(Backend::Http)
        };
        let mut by_type = BTreeMap::new();
        for (rpc_type, backend) in &config.rpc_types {
            by_type.insert(
                *rpc_type,
                http(backend, &format!("rpc_types.{}", rpc_type.name()))?,
            );
        }
        Ok(Self {
            default: http(&config.backend, "backend")?,
            by_type,
        })
    }

    /// Sends the relay's payload to the node for its RPC type.
    pub(crate) async fn open(&self, call: Call<'_>) -> Result<Exchange, BackendError> {
        match self.by_type.get(&call.rpc_type).unwrap_or(&self.default) {
            Backend::Http(backend) => backend.open(call).await.map(Exchange::Http),
        }
    }
}

/// Each message is signed alone.
impl portico_relay::Exchange for Exchange {
    type Message = Message;
    type Fault = BackendError;

    async fn next(&mut self) -> Option<Result<Message, BackendError>> {
        match self {
            Self::Http(exchange) => exchange.next().await,
        }
    }
}
