//! A node that is asked over HTTP: where it is, what goes with each request, and the connections to it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{ACCEPT_ENCODING, AUTHORIZATION, TE};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use portico_config::Secret;
use portico_config::servicer::{BackendConfig, BasicAuth, NodeConfig, RpcType};
use portico_config::tls::ClientTls as TlsFiles;
use portico_net::Connections;
use portico_net::budget::Budgets;
use portico_net::tls::ClientTls;
use portico_protocol::wire::pocket::service::RelayRequestMetadata;
use portico_protocol::wire::sdk::types::PokthttpRequest;
use portico_relay::grpc;
use reqwest::Url;

use super::BackendError;
use super::headers::{Allowed, forwarded, pocket_headers};
use super::methods::{MAX_INLINE, Methods};
use super::target::{path_of, target};

/// Idle connections kept per backend host.
const MAX_IDLE_PER_HOST: usize = 256;
/// Time for connecting to a node; until then nothing of a request was sent.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// A node that is asked over HTTP.
#[derive(Debug)]
pub(super) struct HttpNode {
    connections: Connections,
    url: Url,
    headers: HeaderMap,
    authorization: Option<HeaderValue>,
}

/// A relayed request, as every node of its backend gets it.
#[derive(Clone, Debug)]
pub(super) struct HttpCall {
    method: Method,
    url: String,
    headers: HeaderMap,
    body: Bytes,
    methods: Arc<Methods>,
}

/// Bounds of one exchange.
#[derive(Clone, Debug)]
pub(super) struct Limits {
    pub(super) timeout_ms: u64,
    pub(super) max_response_bytes: usize,
    pub(super) buffers: Budgets,
}

/// What is passed on between relays and the nodes of a backend.
#[derive(Clone, Debug)]
pub(super) struct Passing {
    pub(super) forwarded: Allowed,
    pub(super) returned: Allowed,
    pub(super) pocket: bool,
}

/// The connections that all backends share whose TLS is the default; the others have one of their own.
pub(crate) fn connections() -> Result<Connections, reqwest::Error> {
    connections_with(&ClientTls::public())
}

fn connections_with(tls: &ClientTls) -> Result<Connections, reqwest::Error> {
    Connections::new(|| builder(tls), MAX_IDLE_PER_HOST)
}

fn builder(tls: &ClientTls) -> reqwest::ClientBuilder {
    tls.http_client()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .tcp_nodelay(true)
        .connect_timeout(CONNECT_TIMEOUT)
}

/// The connections of a backend: `shared` unless its TLS differs.
pub(super) fn pool(
    config: &BackendConfig,
    key: &str,
    shared: Connections,
) -> Result<Connections, (String, String)> {
    if config.tls == TlsFiles::default() {
        return Ok(shared);
    }
    connections_with(&tls(config, key)?).map_err(|error| at_tls(key, &error))
}

/// The connections of a backend that speaks gRPC: HTTP/2 from the first byte on.
pub(super) fn grpc_pool(config: &BackendConfig, key: &str) -> Result<Connections, (String, String)> {
    let tls = tls(config, key)?;
    let connections = Connections::new(|| builder(&tls).http2_prior_knowledge(), MAX_IDLE_PER_HOST);
    connections.map_err(|error| at_tls(key, &error))
}

/// The TLS of a backend.
pub(super) fn tls(config: &BackendConfig, key: &str) -> Result<ClientTls, (String, String)> {
    ClientTls::open(&config.tls).map_err(|error| at_tls(key, &error))
}

fn at_tls(key: &str, error: &dyn std::error::Error) -> (String, String) {
    (format!("{key}.tls"), portico_protocol::causes(error))
}

impl HttpNode {
    /// Reads URL and headers of a node at `node_key` below the backend's `key`; errs with (key below the service, message).
    pub(super) fn new(
        config: &BackendConfig,
        key: &str,
        (node_key, node): &(String, NodeConfig),
        connections: Connections,
    ) -> Result<Self, (String, String)> {
        let at = format!("{key}{node_key}");
        let url = Url::parse(&node.url).map_err(|e| (format!("{at}.url"), e.to_string()))?;
        let mut headers = configured_headers(&config.headers, key)?;
        headers.extend(configured_headers(&node.headers, &at)?);
        let authorization = match &node.basic_auth {
            Some(own) => configured_authorization(Some(own), &at)?,
            None => configured_authorization(config.basic_auth.as_ref(), key)?,
        };
        Ok(Self {
            connections,
            url,
            headers,
            authorization,
        })
    }

    /// Sends a call and waits for the head of the answer.
    pub(super) async fn send(&self, call: &HttpCall) -> Result<reqwest::Response, BackendError> {
        let payload = |what: &str| BackendError::Payload(what.to_owned());
        let url = target(&self.url, &call.url).ok_or_else(|| payload("its URL is malformed"))?;
        let request = |client: &reqwest::Client| {
            let request = client.request(call.method.clone(), url.clone());
            let headers = self.with_configured(call.headers.clone());
            request.headers(headers).body(call.body.clone()).send()
        };
        let sending = self.connections.send(request, || call.is_read());
        sending.await.map_err(|error| match error.is_builder() {
            true => payload("it cannot be sent"),
            false => BackendError::unreachable(error),
        })
    }

    /// Asks on the servicer's own behalf; the bytes of a good answer, at most `max`.
    pub(super) async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<serde_json::Value>,
        max: usize,
    ) -> Option<Bytes> {
        let url = target(&self.url, path)?;
        let request = |client: &reqwest::Client| {
            let request = client.request(method.clone(), url.clone());
            let request = request.headers(self.with_configured(HeaderMap::new()));
            match &body {
                Some(json) => request.json(json).send(),
                None => request.send(),
            }
        };
        let mut response = self.connections.send(request, || true).await.ok()?;
        if !response.status().is_success() {
            return None;
        }
        let mut body = BytesMut::new();
        while let Some(chunk) = response.chunk().await.ok()? {
            if body.len().saturating_add(chunk.len()) > max {
                return None;
            }
            body.extend_from_slice(&chunk);
        }
        Some(body.freeze())
    }

    /// The headers of a request with those that are configured for the node.
    fn with_configured(&self, mut headers: HeaderMap) -> HeaderMap {
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        self.put_configured(&mut headers);
        headers
    }

    /// Puts the headers that are configured for the node among those of a request.
    pub(super) fn put_configured(&self, headers: &mut HeaderMap) {
        if let Some(authorization) = &self.authorization {
            headers.insert(AUTHORIZATION, authorization.clone());
        }
        headers.extend(self.headers.clone());
    }

    /// Where the node is, as configured.
    pub(super) fn url(&self) -> &str {
        self.url.as_str()
    }
}

impl HttpCall {
    /// How many messages of gRPC its body has; `None` when it is no sequence of them.
    pub(super) fn messages(&self) -> Option<usize> {
        grpc::count(&self.body)
    }

    /// The call that `relayed` asks for, with the headers that are `told` in the place of its own.
    pub(super) fn new(
        relayed: PokthttpRequest,
        rpc_type: RpcType,
        passing: &Passing,
        meta: &RelayRequestMetadata,
        told: HeaderMap,
        methods: Arc<Methods>,
    ) -> Result<Self, BackendError> {
        let payload = |what: &str| BackendError::Payload(what.to_owned());
        // As the Go miners: a request without a method is a GET.
        let method = match relayed.method.as_bytes() {
            b"" => Method::GET,
            method => Method::from_bytes(method).map_err(|_| payload("its method is malformed"))?,
        };
        if method == Method::CONNECT {
            return Err(payload("CONNECT is not a request to a backend"));
        }
        let mut headers = forwarded(relayed.header, &passing.forwarded, passing.pocket);
        if passing.pocket {
            pocket_headers(meta, &mut headers);
        }
        headers.extend(told);
        if rpc_type == RpcType::Grpc {
            // Of one connection, and so not passed on; without it there are no trailers.
            headers.insert(TE, HeaderValue::from_static("trailers"));
        }
        Ok(Self {
            method,
            url: relayed.url,
            headers,
            body: relayed.body_bz,
            methods,
        })
    }

    /// Whether it changes nothing. Found out only when that is asked, and not of a large body, which would take long.
    fn is_read(&self) -> bool {
        let path = path_of(&self.url).filter(|_| self.body.len() <= MAX_INLINE);
        path.is_some_and(|path| {
            self.methods
                .kind_of(self.method.as_str(), &path, &self.body)
                .is_read
        })
    }
}

fn configured_headers(headers: &BTreeMap<String, Secret>, key: &str) -> Result<HeaderMap, (String, String)> {
    let mut configured = HeaderMap::new();
    for (name, value) in headers {
        let at = || format!("{key}.headers.{name}");
        let name =
            HeaderName::try_from(name.as_str()).map_err(|_| (at(), "is not a header name".to_owned()))?;
        let value = secret_value(value.reveal()).ok_or_else(|| (at(), "is not a header value".to_owned()))?;
        configured.insert(name, value);
    }
    Ok(configured)
}

fn configured_authorization(
    basic: Option<&BasicAuth>,
    key: &str,
) -> Result<Option<HeaderValue>, (String, String)> {
    let Some(basic) = basic else {
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
