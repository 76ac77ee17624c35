//! Asking the node behind a service.
//!
//! The relay's payload is a serialized HTTP request; the node's answer goes back as a serialized HTTP response, whatever its status.
//! Redirects are not followed: they are the client's to judge, and a node must not steer the servicer to other hosts.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{
    AUTHORIZATION, CONNECTION, CONTENT_LENGTH, HOST, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use portico_config::servicer::{BackendConfig, RpcType, ServiceConfig};
use portico_protocol::wire::pocket::service::RelayRequestMetadata;
use portico_protocol::wire::sdk::types::{Header, PokthttpRequest, PokthttpResponse};
use prost::Message;
use reqwest::Url;

use crate::buffers::{Buffers, Room};

/// Idle connections kept per backend host.
const MAX_IDLE_PER_HOST: usize = 256;
/// Seconds after which an idle connection is closed.
const IDLE_SECONDS: u64 = 90;
/// Headers of one connection, which are not passed on (RFC 9110 §7.6.1), besides those that the client library sets itself.
const NOT_FORWARDED: [&HeaderName; 7] = [
    &CONNECTION,
    &TE,
    &TRAILER,
    &TRANSFER_ENCODING,
    &UPGRADE,
    &HOST,
    &CONTENT_LENGTH,
];
/// More of them, without constants.
const NOT_FORWARDED_NAMES: [&str; 4] = ["expect", "keep-alive", "proxy-connection", "proxy-authorization"];
/// Prefix of the headers that tell a backend about the relay; never taken from a request when they are set by us.
const POCKET_PREFIX: &str = "pocket-";

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
    /// The answer is too large.
    #[error("the backend's answer is larger than {0} bytes")]
    TooLarge(usize),
}

/// A backend's answer, ready to be signed.
#[derive(Debug)]
pub(crate) struct Answer {
    /// HTTP status of the backend.
    pub(crate) status: u16,
    /// Serialized `POKTHTTPResponse`.
    pub(crate) payload: Bytes,
    /// Held until the answer is signed and recorded.
    pub(crate) _room: Room,
}

/// The nodes of one service.
#[derive(Debug)]
pub(crate) struct Service {
    default: Backend,
    by_type: BTreeMap<RpcType, Backend>,
    timeout_ms: u64,
    max_response_bytes: usize,
}

#[derive(Debug)]
struct Backend {
    url: Url,
    headers: HeaderMap,
    authorization: Option<HeaderValue>,
    forward_pocket_headers: bool,
}

/// The pool that all services share.
pub(crate) fn client() -> Result<reqwest::Client, reqwest::Error> {
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .tcp_nodelay(true)
        .pool_max_idle_per_host(MAX_IDLE_PER_HOST)
        .pool_idle_timeout(Duration::from_secs(IDLE_SECONDS))
        .build()
}

impl Service {
    /// Reads URLs and headers; errs with (key below the service, message).
    pub(crate) fn new(config: &ServiceConfig) -> Result<Self, (String, String)> {
        let mut by_type = BTreeMap::new();
        for (rpc_type, backend) in &config.rpc_types {
            let key = format!("rpc_types.{}", rpc_type.name());
            by_type.insert(*rpc_type, Backend::new(backend, &key)?);
        }
        Ok(Self {
            default: Backend::new(&config.backend, "backend")?,
            by_type,
            timeout_ms: config.timeout_ms,
            max_response_bytes: config.max_response_bytes,
        })
    }

    /// Sends the relay's payload to the node for `rpc_type` and reads the whole answer.
    pub(crate) async fn ask(
        &self,
        client: &reqwest::Client,
        rpc_type: RpcType,
        meta: &RelayRequestMetadata,
        payload: &Bytes,
        buffers: &Buffers,
    ) -> Result<Answer, BackendError> {
        let relayed =
            PokthttpRequest::decode(payload.clone()).map_err(|e| BackendError::Payload(e.to_string()))?;
        let backend = self.by_type.get(&rpc_type).unwrap_or(&self.default);
        let request = backend.request(client, relayed, meta)?;
        let limit = Duration::from_millis(self.timeout_ms);
        match tokio::time::timeout(limit, self.exchange(client, request, buffers)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(BackendError::Timeout(self.timeout_ms)),
        }
    }

    async fn exchange(
        &self,
        client: &reqwest::Client,
        request: reqwest::Request,
        buffers: &Buffers,
    ) -> Result<Answer, BackendError> {
        let mut response = client.execute(request).await.map_err(BackendError::Unreachable)?;
        let too_large = || BackendError::TooLarge(self.max_response_bytes);
        let limit = u64::try_from(self.max_response_bytes).unwrap_or(u64::MAX);
        if response.content_length().is_some_and(|length| length > limit) {
            return Err(too_large());
        }
        let (status, header) = (response.status().as_u16(), relayed_headers(response.headers()));
        let mut body = BytesMut::new();
        let mut room = buffers.room(0).ok_or(BackendError::NoRoom)?;
        while let Some(chunk) = response.chunk().await.map_err(BackendError::Unreachable)? {
            if body.len().saturating_add(chunk.len()) > self.max_response_bytes {
                return Err(too_large());
            }
            if !room.grow_to(body.len().saturating_add(chunk.len())) {
                return Err(BackendError::NoRoom);
            }
            body.extend_from_slice(&chunk);
        }
        let answer = PokthttpResponse {
            status_code: u32::from(status),
            header,
            body_bz: body.freeze(),
        };
        Ok(Answer {
            status,
            payload: answer.encode_to_vec().into(),
            _room: room,
        })
    }
}

impl Backend {
    fn new(config: &BackendConfig, key: &str) -> Result<Self, (String, String)> {
        let url = Url::parse(&config.url).map_err(|e| (format!("{key}.url"), e.to_string()))?;
        let mut headers = HeaderMap::new();
        for (name, value) in &config.headers {
            let at = || format!("{key}.headers.{name}");
            let name =
                HeaderName::try_from(name.as_str()).map_err(|_| (at(), "is not a header name".to_owned()))?;
            let value =
                secret_value(value.reveal()).ok_or_else(|| (at(), "is not a header value".to_owned()))?;
            headers.insert(name, value);
        }
        let authorization = match &config.basic_auth {
            Some(basic) => {
                let text = basic_auth(&basic.username, basic.password.reveal());
                Some(
                    secret_value(&text)
                        .ok_or_else(|| (format!("{key}.basic_auth"), "is malformed".to_owned()))?,
                )
            }
            None => None,
        };
        let forward_pocket_headers = config.forward_pocket_headers;
        Ok(Self {
            url,
            headers,
            authorization,
            forward_pocket_headers,
        })
    }

    fn request(
        &self,
        client: &reqwest::Client,
        relayed: PokthttpRequest,
        meta: &RelayRequestMetadata,
    ) -> Result<reqwest::Request, BackendError> {
        let payload = |what: &str| BackendError::Payload(what.to_owned());
        let method =
            Method::from_bytes(relayed.method.as_bytes()).map_err(|_| payload("its method is malformed"))?;
        if method == Method::CONNECT {
            return Err(payload("CONNECT is not a request to a backend"));
        }
        let url = self
            .target(&relayed.url)
            .ok_or_else(|| payload("its URL is malformed"))?;
        let mut headers = HeaderMap::new();
        if self.forward_pocket_headers {
            pocket_headers(meta, &mut headers);
        }
        for (key, header) in relayed.header {
            let Ok(name) = HeaderName::try_from(key.as_str()) else {
                continue;
            };
            if not_forwarded(&name)
                || (self.forward_pocket_headers && name.as_str().starts_with(POCKET_PREFIX))
            {
                continue;
            }
            for value in header.values {
                if let Ok(value) = HeaderValue::try_from(value) {
                    headers.append(name.clone(), value);
                }
            }
        }
        if let Some(authorization) = &self.authorization {
            headers.insert(AUTHORIZATION, authorization.clone());
        }
        headers.extend(self.headers.clone());
        let request = client
            .request(method, url)
            .headers(headers)
            .body(relayed.body_bz)
            .build();
        request.map_err(|_| payload("it cannot be sent"))
    }

    /// The backend's address with the request's path and query: paths are joined, the backend's own query parameters added.
    fn target(&self, requested: &str) -> Option<Url> {
        let base = Url::parse("http://relay.invalid/").ok()?;
        let requested = base.join(requested).ok()?;
        let mut url = self.url.clone();
        let path = format!("{}{}", self.url.path().trim_end_matches('/'), requested.path());
        url.set_path(&path);
        if self.url.query().is_none() {
            url.set_query(requested.query());
        } else {
            let mut pairs: Vec<_> = requested.query_pairs().chain(self.url.query_pairs()).collect();
            pairs.sort_by(|(a, _), (b, _)| a.cmp(b));
            url.query_pairs_mut().clear().extend_pairs(pairs);
        }
        Some(url)
    }
}

fn not_forwarded(name: &HeaderName) -> bool {
    NOT_FORWARDED.contains(&name) || NOT_FORWARDED_NAMES.contains(&name.as_str())
}

fn pocket_headers(meta: &RelayRequestMetadata, headers: &mut HeaderMap) {
    let session = meta.session_header.clone().unwrap_or_default();
    let start = session.session_start_block_height.to_string();
    let end = session.session_end_block_height.to_string();
    let values = [
        ("pocket-supplier", meta.supplier_operator_address.as_str()),
        ("pocket-service", &session.service_id),
        ("pocket-session-id", &session.session_id),
        ("pocket-application", &session.application_address),
        ("pocket-session-start-height", &start),
        ("pocket-session-end-height", &end),
    ];
    for (name, value) in values {
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
}

/// Response headers under their canonical names, sorted, as the Go programs write them.
fn relayed_headers(headers: &HeaderMap) -> BTreeMap<String, Header> {
    let mut relayed: BTreeMap<String, Header> = BTreeMap::new();
    for (name, value) in headers {
        if not_forwarded(name) && *name != CONTENT_LENGTH {
            continue;
        }
        let key = canonical(name.as_str());
        let entry = relayed.entry(key.clone()).or_insert_with(|| Header {
            key,
            values: Vec::new(),
        });
        entry
            .values
            .push(String::from_utf8_lossy(value.as_bytes()).into_owned());
    }
    relayed
}

/// `content-type` → `Content-Type`.
fn canonical(name: &str) -> String {
    let mut upper = true;
    let letter = |c: char| {
        let c = if upper { c.to_ascii_uppercase() } else { c };
        upper = c == '-';
        c
    };
    name.chars().map(letter).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    fn target(backend: &str, requested: &str) -> String {
        Backend::new(&BackendConfig::new(backend), "backend")
            .unwrap()
            .target(requested)
            .unwrap()
            .to_string()
    }

    #[test]
    fn joins_paths_and_queries() {
        for (backend, requested, expected) in [
            ("http://node:8545", "http://gw.example/", "http://node:8545/"),
            ("http://node:8545", "", "http://node:8545/"),
            (
                "http://node/base/",
                "https://gw.example/v1/x?b=2&a=1",
                "http://node/base/v1/x?b=2&a=1",
            ),
            (
                "http://node/rpc?key=k",
                "/v1?z=1&a=2",
                "http://node/rpc/v1?a=2&key=k&z=1",
            ),
            (
                "http://node/base",
                "http://gw/../../etc/passwd",
                "http://node/base/etc/passwd",
            ),
            (
                "http://node/base",
                "http://gw/%2e%2e/admin",
                "http://node/base/admin",
            ),
        ] {
            assert_eq!(target(backend, requested), expected, "{backend} + {requested}");
        }
    }

    #[test]
    fn never_leaves_the_backend_host() {
        for requested in ["http://evil/", "//evil/x", "https://user@evil:1/x", "http:evil"] {
            assert!(
                target("http://node:1/", requested).starts_with("http://node:1/"),
                "{requested}"
            );
        }
    }

    #[test]
    fn writes_header_names_as_go_does() {
        assert_eq!(canonical("x-request-id"), "X-Request-Id");
        assert_eq!(canonical("etag"), "Etag");
    }
}
