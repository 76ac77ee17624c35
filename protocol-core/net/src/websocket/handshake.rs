//! How a connection becomes a WebSocket: asked for, and granted.

use std::pin::pin;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::header::{
    CONNECTION, HOST, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, Version};
use hyper::body::Body as _;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tungstenite::handshake::client::generate_key;
use tungstenite::handshake::derive_accept_key;

use super::{Limits, Receiver, Role, Sender, WebSocketError, open};
use crate::dial::DialError;
use crate::socket::Socket;

const WEBSOCKET: HeaderValue = HeaderValue::from_static("websocket");
const UPGRADES: HeaderValue = HeaderValue::from_static("Upgrade");
/// The version of the protocol.
const VERSION: HeaderValue = HeaderValue::from_static("13");
/// Bytes of a refusal that are read.
const MAX_REFUSAL: usize = 4 << 10;

/// Why a request cannot be granted a WebSocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HandshakeError {
    /// It is no GET of HTTP/1.1.
    #[error("a WebSocket begins with a GET of HTTP/1.1")]
    Request,
    /// It wants another version of the protocol.
    #[error("WebSockets of version 13 are spoken here")]
    Version,
    /// A header is missing or malformed.
    #[error("the header {0} is missing or malformed")]
    Header(&'static str),
}

impl HandshakeError {
    /// Status of the answer; [`StatusCode::UPGRADE_REQUIRED`] goes with the header `Sec-WebSocket-Version: 13`.
    #[must_use]
    pub const fn status(self) -> StatusCode {
        match self {
            Self::Version => StatusCode::UPGRADE_REQUIRED,
            Self::Request | Self::Header(_) => StatusCode::BAD_REQUEST,
        }
    }
}

/// A WebSocket that was granted; it opens when the answer was sent.
#[derive(Debug)]
pub struct Upgrade(OnUpgrade);

impl Upgrade {
    /// Waits for the connection.
    ///
    /// # Errors
    /// When the peer is gone.
    pub async fn open(self, limits: Limits) -> Result<(Receiver, Sender), WebSocketError> {
        let upgraded = self.0.await.map_err(|_| WebSocketError::Dropped)?;
        Ok(open(upgraded, Role::Server, limits))
    }
}

/// Whether a request asks for a WebSocket.
#[must_use]
pub fn is_upgrade(headers: &HeaderMap) -> bool {
    names(headers, &UPGRADE, "websocket")
}

/// Grants a WebSocket: the answer to send, and what opens once it was sent.
///
/// # Errors
/// When the request is no handshake.
pub fn accept<B>(request: &mut Request<B>) -> Result<(Response<Body>, Upgrade), HandshakeError> {
    if request.method() != Method::GET || request.version() != Version::HTTP_11 {
        return Err(HandshakeError::Request);
    }
    let headers = request.headers();
    if !is_upgrade(headers) {
        return Err(HandshakeError::Header("Upgrade"));
    }
    if !names(headers, &CONNECTION, "upgrade") {
        return Err(HandshakeError::Header("Connection"));
    }
    if headers.get(SEC_WEBSOCKET_VERSION) != Some(&VERSION) {
        return Err(HandshakeError::Version);
    }
    let key = headers.get(SEC_WEBSOCKET_KEY);
    let key = key.ok_or(HandshakeError::Header("Sec-WebSocket-Key"))?;
    let accept = derive_accept_key(key.as_bytes());
    let accept = HeaderValue::try_from(accept).expect("base64 is a header's value");
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(UPGRADE, WEBSOCKET);
    headers.insert(CONNECTION, UPGRADES);
    headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    Ok((response, Upgrade(hyper::upgrade::on(request))))
}

/// Whether a header that is a list has an element, in any case.
fn names(headers: &HeaderMap, name: &HeaderName, element: &str) -> bool {
    let values = headers.get_all(name).iter();
    let values = values.filter_map(|value| value.to_str().ok());
    values
        .flat_map(|value| value.split(','))
        .any(|named| named.trim().eq_ignore_ascii_case(element))
}

/// Why there is no WebSocket.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// There is no connection.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// The connection ended during the handshake, or what came is no HTTP.
    #[error("the handshake failed")]
    Http(#[source] hyper::Error),
    /// The answer is no handshake.
    #[error("the answer to the handshake is malformed")]
    Malformed,
    /// The server does not grant it.
    #[error("refused with HTTP status {status}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// The beginning of its text.
        text: Bytes,
    },
}

/// Asks for a WebSocket at `url` over `socket`, a connection to its host. The caller bounds the time.
///
/// # Errors
/// When it is not granted.
pub async fn connect(
    socket: Socket,
    url: &Uri,
    headers: HeaderMap,
    limits: Limits,
) -> Result<(Receiver, Sender), ConnectError> {
    let key = generate_key();
    let request = request(url, headers, &key).ok_or_else(|| DialError::Url(url.clone()))?;
    let builder = hyper::client::conn::http1::handshake(TokioIo::new(socket));
    let (mut requests, connection) = builder.await.map_err(ConnectError::Http)?;
    let mut connection = pin!(connection.with_upgrades());
    let mut granted = pin!(async move {
        let response = requests.send_request(request).await;
        granted(response.map_err(ConnectError::Http)?, &key).await
    });
    let mut ended = false;
    let upgraded = loop {
        tokio::select! {
            upgraded = &mut granted => break upgraded?,
            // The connection moves the request and its answer; how it ends, the request is told.
            _ = &mut connection, if !ended => ended = true,
        }
    };
    Ok(open(upgraded, Role::Client, limits))
}

fn request(url: &Uri, headers: HeaderMap, key: &str) -> Option<Request<Body>> {
    let path = url.path_and_query().map_or("/", |path| path.as_str());
    let host = match url.port() {
        Some(port) => format!("{}:{port}", url.host()?),
        None => url.host()?.to_owned(),
    };
    let mut request = Request::get(path).body(Body::empty()).ok()?;
    *request.headers_mut() = headers;
    let headers = request.headers_mut();
    headers.insert(HOST, HeaderValue::try_from(host).ok()?);
    headers.insert(UPGRADE, WEBSOCKET);
    headers.insert(CONNECTION, UPGRADES);
    headers.insert(SEC_WEBSOCKET_VERSION, VERSION);
    headers.insert(SEC_WEBSOCKET_KEY, HeaderValue::try_from(key).ok()?);
    Some(request)
}

async fn granted(mut response: Response<hyper::body::Incoming>, key: &str) -> Result<Upgraded, ConnectError> {
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Err(ConnectError::Refused {
            status: response.status().as_u16(),
            text: beginning(response.into_body()).await,
        });
    }
    let headers = response.headers();
    let accept = headers.get(SEC_WEBSOCKET_ACCEPT).map(HeaderValue::as_bytes);
    let expected = derive_accept_key(key.as_bytes());
    if !is_upgrade(headers) || accept != Some(expected.as_bytes()) {
        return Err(ConnectError::Malformed);
    }
    hyper::upgrade::on(&mut response)
        .await
        .map_err(ConnectError::Http)
}

/// The first bytes of a body.
async fn beginning(mut body: hyper::body::Incoming) -> Bytes {
    let mut text = BytesMut::new();
    while text.len() < MAX_REFUSAL {
        let frame = std::future::poll_fn(|cx| pin!(&mut body).as_mut().poll_frame(cx)).await;
        let Some(Ok(data)) = frame.map(|frame| frame.map(|frame| frame.into_data().unwrap_or_default()))
        else {
            break;
        };
        text.extend_from_slice(&data);
    }
    text.truncate(MAX_REFUSAL);
    text.freeze()
}
