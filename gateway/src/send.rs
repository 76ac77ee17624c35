//! A relay request over HTTP to a supplier's endpoint, and the bytes that come back.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use portico_config::gateway::GatewayConfig;
use reqwest::redirect::Policy;
use tokio::time::{Instant, timeout_at};

use crate::fault::{Fault, shortened};

/// Kind of call, as a number (`pocket.shared.RPCType`).
const RPC_TYPE: HeaderName = HeaderName::from_static("rpc-type");
const JSON_RPC: HeaderValue = HeaderValue::from_static("3");
/// What the network's gateways declare for relay bytes.
const JSON: HeaderValue = HeaderValue::from_static("application/json");
/// Idle connections are closed after this time: less than the usual minute of servers and proxies, so that ours is the first to close.
const IDLE: Duration = Duration::from_secs(50);
/// Buffer kept back for an answer whose length is announced, at most.
const MAX_RESERVED: usize = 1 << 20;

/// One pool of connections to all suppliers.
#[derive(Clone, Debug)]
pub(crate) struct Sender {
    client: reqwest::Client,
    attempt_timeout: Duration,
    max_response_bytes: usize,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) status: StatusCode,
    pub(crate) body: Bytes,
}

impl Sender {
    pub(crate) fn new(config: &GatewayConfig) -> Result<Self, reqwest::Error> {
        let client = reqwest::Client::builder()
            .no_proxy() // a relay goes to the supplier that the chain names, whatever the environment says
            .redirect(Policy::none()) // and nowhere else
            .connect_timeout(Duration::from_millis(config.connect_timeout_ms))
            .pool_max_idle_per_host(config.max_idle_per_supplier)
            .pool_idle_timeout(IDLE)
            .tcp_nodelay(true)
            .build()?;
        Ok(Self {
            client,
            attempt_timeout: Duration::from_millis(config.attempt_timeout_ms),
            max_response_bytes: config.max_response_bytes,
        })
    }

    /// Posts `request` and reads the whole answer, until the attempt's time or `deadline` is over.
    pub(crate) async fn send(&self, url: &str, request: Vec<u8>, deadline: Instant) -> Result<Sent, Fault> {
        let begun = Instant::now();
        let until = deadline.min(begun + self.attempt_timeout);
        timeout_at(until, self.exchange(url, request))
            .await
            .unwrap_or_else(|_| {
                let ms = until.saturating_duration_since(begun).as_millis();
                Err(Fault::Timeout(u64::try_from(ms).unwrap_or(u64::MAX)))
            })
    }

    async fn exchange(&self, url: &str, request: Vec<u8>) -> Result<Sent, Fault> {
        let post = self
            .client
            .post(url)
            .header(CONTENT_TYPE, JSON)
            .header(RPC_TYPE, JSON_RPC)
            .body(request);
        let mut response = post.send().await.map_err(|error| fault(&error))?;
        let announced = response.content_length().unwrap_or(0);
        if announced > self.max_response_bytes as u64 {
            return Err(Fault::TooLarge(self.max_response_bytes));
        }
        let status = response.status();
        let reserved = usize::try_from(announced)
            .unwrap_or(MAX_RESERVED)
            .min(MAX_RESERVED);
        let mut body = BytesMut::with_capacity(reserved);
        while let Some(chunk) = response.chunk().await.map_err(|error| fault(&error))? {
            if body.len().saturating_add(chunk.len()) > self.max_response_bytes {
                return Err(Fault::TooLarge(self.max_response_bytes));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Sent {
            status,
            body: body.freeze(),
        })
    }
}

fn fault(error: &reqwest::Error) -> Fault {
    let mut text = String::new();
    let mut source: Option<&dyn std::error::Error> = std::error::Error::source(error);
    while let Some(cause) = source {
        text = cause.to_string(); // the innermost says it best
        source = cause.source();
    }
    let text = if text.is_empty() { error.to_string() } else { text };
    match error.is_connect() || error.is_builder() {
        true => Fault::Connect(shortened(&text)),
        false => Fault::Lost(shortened(&text)),
    }
}
