//! Asking a node over HTTP.
//!
//! The relay's payload is a serialized HTTP request; the node's answer goes back as a serialized HTTP response, whatever its status.
//! Redirects are not followed: they are the client's to judge, and a node must not steer the servicer to other hosts.

use std::time::Duration;

use bytes::BytesMut;
use http::header::{AUTHORIZATION, CONTENT_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use portico_config::servicer::{BackendConfig, ServiceConfig};
use portico_config::tls::ClientTls as TlsFiles;
use portico_net::tls::ClientTls;
use portico_protocol::wire::pocket::service::RelayRequestMetadata;
use portico_protocol::wire::sdk::types::{PokthttpRequest, PokthttpResponse};
use prost::Message as _;
use reqwest::Url;
use tokio::time::Instant;

use super::encoding::decoded;
use super::headers::{forwarded, pocket_headers, relayed_headers};
use super::target::target;
use super::{BackendError, Call, Message};
use crate::buffers::Buffers;

/// Idle connections kept per backend host.
const MAX_IDLE_PER_HOST: usize = 256;
/// Seconds after which an idle connection is closed.
const IDLE_SECONDS: u64 = 90;
/// A node that is asked over HTTP.
#[derive(Debug)]
pub(crate) struct HttpBackend {
    client: reqwest::Client,
    buffers: Buffers,
    url: Url,
    headers: HeaderMap,
    authorization: Option<HeaderValue>,
    forward_pocket_headers: bool,
    limits: Limits,
}

/// Bounds of one exchange.
#[derive(Clone, Copy, Debug)]
struct Limits {
    timeout_ms: u64,
    max_response_bytes: usize,
}

/// An answer of which the head has arrived.
#[derive(Debug)]
pub(crate) struct HttpExchange {
    /// `None` once it was read.
    response: Option<reqwest::Response>,
    buffers: Buffers,
    deadline: Instant,
    limits: Limits,
}

/// The pool that all backends share whose TLS is the default; the others have one of their own.
pub(crate) fn client() -> Result<reqwest::Client, reqwest::Error> {
    client_with(&ClientTls::public())
}

fn client_with(tls: &ClientTls) -> Result<reqwest::Client, reqwest::Error> {
    tls.http_client()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .tcp_nodelay(true)
        .pool_max_idle_per_host(MAX_IDLE_PER_HOST)
        .pool_idle_timeout(Duration::from_secs(IDLE_SECONDS))
        .build()
}

/// The pool of a backend: `shared` unless its TLS differs.
fn pool(
    config: &BackendConfig,
    key: &str,
    shared: reqwest::Client,
) -> Result<reqwest::Client, (String, String)> {
    if config.tls == TlsFiles::default() {
        return Ok(shared);
    }
    let at = |error: &dyn std::error::Error| (format!("{key}.tls"), portico_protocol::causes(error));
    let tls = ClientTls::open(&config.tls).map_err(|error| at(&error))?;
    client_with(&tls).map_err(|error| at(&error))
}

impl HttpBackend {
    /// Reads the URL and headers at `key`; errs with (key below the service, message).
    pub(super) fn new(
        config: &BackendConfig,
        service: &ServiceConfig,
        key: &str,
        client: reqwest::Client,
        buffers: Buffers,
    ) -> Result<Self, (String, String)> {
        let url = Url::parse(&config.url).map_err(|e| (format!("{key}.url"), e.to_string()))?;
        Ok(Self {
            client: pool(config, key, client)?,
            buffers,
            url,
            headers: configured_headers(config, key)?,
            authorization: configured_authorization(config, key)?,
            forward_pocket_headers: config.forward_pocket_headers,
            limits: Limits {
                timeout_ms: service.timeout_ms,
                max_response_bytes: service.max_response_bytes,
            },
        })
    }

    /// Sends the relayed request and waits for the head of the answer.
    pub(super) async fn open(&self, call: Call<'_>) -> Result<HttpExchange, BackendError> {
        let relayed = PokthttpRequest::decode(call.payload.clone())
            .map_err(|e| BackendError::Payload(e.to_string()))?;
        let request = self.request(relayed, call.meta)?;
        let deadline = Instant::now() + Duration::from_millis(self.limits.timeout_ms);
        let sending = tokio::time::timeout_at(deadline, self.client.execute(request));
        let response = sending
            .await
            .map_err(|_| BackendError::Timeout(self.limits.timeout_ms))?
            .map_err(BackendError::Unreachable)?;
        Ok(HttpExchange {
            response: Some(response),
            buffers: self.buffers.clone(),
            deadline,
            limits: self.limits,
        })
    }

    fn request(
        &self,
        relayed: PokthttpRequest,
        meta: &RelayRequestMetadata,
    ) -> Result<reqwest::Request, BackendError> {
        let payload = |what: &str| BackendError::Payload(what.to_owned());
        let method =
            Method::from_bytes(relayed.method.as_bytes()).map_err(|_| payload("its method is malformed"))?;
        if method == Method::CONNECT {
            return Err(payload("CONNECT is not a request to a backend"));
        }
        let url = target(&self.url, &relayed.url).ok_or_else(|| payload("its URL is malformed"))?;
        let mut headers = forwarded(relayed.header, self.forward_pocket_headers);
        if self.forward_pocket_headers {
            pocket_headers(meta, &mut headers);
        }
        if let Some(authorization) = &self.authorization {
            headers.insert(AUTHORIZATION, authorization.clone());
        }
        headers.extend(self.headers.clone());
        let request = self
            .client
            .request(method, url)
            .headers(headers)
            .body(relayed.body_bz)
            .build();
        request.map_err(|_| payload("it cannot be sent"))
    }
}

impl HttpExchange {
    /// The whole answer as one message; `None` after it.
    pub(super) async fn next(&mut self) -> Option<Result<Message, BackendError>> {
        let response = self.response.take()?;
        let reading = tokio::time::timeout_at(self.deadline, self.read(response));
        let late = |_| Err(BackendError::Timeout(self.limits.timeout_ms));
        Some(reading.await.unwrap_or_else(late))
    }

    async fn read(&self, mut response: reqwest::Response) -> Result<Message, BackendError> {
        let max = self.limits.max_response_bytes;
        let limit = u64::try_from(max).unwrap_or(u64::MAX);
        if response.content_length().is_some_and(|length| length > limit) {
            return Err(BackendError::TooLarge(max));
        }
        let mut body = BytesMut::new();
        let mut room = self.buffers.room(0).ok_or(BackendError::NoRoom)?;
        while let Some(chunk) = response.chunk().await.map_err(BackendError::Unreachable)? {
            let length = body.len().saturating_add(chunk.len());
            if length > max {
                return Err(BackendError::TooLarge(max));
            }
            if !room.grow_to(length) {
                return Err(BackendError::NoRoom);
            }
            body.extend_from_slice(&chunk);
        }
        let (mut body, mut decoded_length) = (body.freeze(), None);
        if let Some(encoding) = response.headers().get(CONTENT_ENCODING) {
            let encoding = encoding.to_str().map_err(|_| BackendError::Encoding)?;
            let plain;
            (plain, room) = decoded(encoding, body.clone(), max, room).await?;
            if let Some(plain) = plain {
                decoded_length = Some(plain.len());
                body = plain;
            }
        }
        let status = response.status().as_u16();
        let answer = PokthttpResponse {
            status_code: u32::from(status),
            header: relayed_headers(response.headers(), decoded_length),
            body_bz: body,
        };
        Ok(Message {
            status,
            payload: answer.encode_to_vec().into(),
            _room: room,
        })
    }
}

fn configured_headers(config: &BackendConfig, key: &str) -> Result<HeaderMap, (String, String)> {
    let mut headers = HeaderMap::new();
    for (name, value) in &config.headers {
        let at = || format!("{key}.headers.{name}");
        let name =
            HeaderName::try_from(name.as_str()).map_err(|_| (at(), "is not a header name".to_owned()))?;
        let value = secret_value(value.reveal()).ok_or_else(|| (at(), "is not a header value".to_owned()))?;
        headers.insert(name, value);
    }
    Ok(headers)
}

fn configured_authorization(
    config: &BackendConfig,
    key: &str,
) -> Result<Option<HeaderValue>, (String, String)> {
    let Some(basic) = &config.basic_auth else {
        return Ok(None);
    };
    let text = basic_auth(&basic.username, basic.password.reveal());
    let malformed = || (format!("{key}.basic_auth"), "is malformed".to_owned());
    secret_value(&text).ok_or_else(malformed).map(Some)
}

fn secret_value(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::try_from(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

fn basic_auth(username: &str, password: &str) -> String {
    use base64::Engine;
    let credentials = base64::engine::general_purpose::STANDARD.encode(format!("{username}:{password}"));
    format!("Basic {credentials}")
}
