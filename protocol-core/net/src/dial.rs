//! Connections to others for gRPC and WebSockets, with TLS where the URL says so.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};

use http::Uri;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, TlsStream};

use crate::socket::Socket;
use crate::tls::{ClientTls, explain};

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// The URL names no host, or a scheme that is not spoken.
    #[error("{0} is no URL that can be dialled")]
    Url(Uri),
    /// Nobody answers there.
    #[error("{host} cannot be reached")]
    Connect {
        /// Host and port.
        host: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The TLS handshake failed; the text says what is wrong with which certificate.
    #[error("{host}: {reason}")]
    Tls {
        /// Host and port.
        host: String,
        /// In plain words.
        reason: String,
    },
}

/// The URL of a WebSocket at an endpoint that is known as `http` or `https`: suppliers stake their WebSocket endpoints so.
#[must_use]
pub fn websocket_url(url: &str) -> String {
    match url.split_once("://") {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => format!("wss://{rest}"),
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => format!("ws://{rest}"),
        _ => url.to_owned(),
    }
}

/// A connection for a WebSocket at `url` (`ws`, `wss`, `http` or `https`), ready for the handshake of HTTP/1.1.
pub async fn dial_websocket(url: &Uri, tls: &ClientTls) -> Result<Socket, DialError> {
    dial(url, &tls.websocket(), None).await
}

/// The same to an address that `may` be dialled: names are resolved once, so that none can change its mind after it was looked at.
pub async fn dial_websocket_to(
    url: &Uri,
    tls: &ClientTls,
    may: fn(IpAddr) -> bool,
) -> Result<Socket, DialError> {
    dial(url, &tls.websocket(), Some(may)).await
}

/// A connection for gRPC at `url` (`http` or `https`), ready for HTTP/2, which the server is known to speak.
///
/// # Errors
/// When nobody answers there, or the certificate is refused.
pub async fn dial_grpc(url: &Uri, tls: &ClientTls) -> Result<Socket, DialError> {
    dial(url, &tls.grpc(), None).await
}

async fn dial(url: &Uri, tls: &TlsConnector, may: Option<fn(IpAddr) -> bool>) -> Result<Socket, DialError> {
    let invalid = || DialError::Url(url.clone());
    let name = url
        .host()
        .ok_or_else(invalid)?
        .trim_start_matches('[')
        .trim_end_matches(']');
    let secure = match url.scheme_str() {
        Some("https" | "wss") => true,
        Some("http" | "ws") => false,
        _ => return Err(invalid()),
    };
    let port = url.port_u16().unwrap_or(if secure { 443 } else { 80 });
    let host = format!("{name}:{port}");
    let connected = match may {
        None => TcpStream::connect((name, port)).await,
        Some(may) => connect_to(name, port, may).await,
    };
    let connected = connected.and_then(|stream| stream.set_nodelay(true).map(|()| stream));
    let stream = match connected {
        Ok(stream) => stream,
        Err(source) => return Err(DialError::Connect { host, source }),
    };
    if !secure {
        return Ok(Socket::Plain(stream));
    }
    let server = ServerName::try_from(name.to_owned()).map_err(|_| invalid())?;
    match tls.connect(server, stream).await {
        Ok(stream) => Ok(Socket::Tls(Box::new(TlsStream::Client(stream)))),
        Err(error) => Err(DialError::Tls {
            host,
            reason: explain(&error).unwrap_or_else(|| format!("the TLS handshake failed: {error}")),
        }),
    }
}

async fn connect_to(name: &str, port: u16, may: fn(IpAddr) -> bool) -> io::Result<TcpStream> {
    let resolved = tokio::net::lookup_host((name, port)).await?;
    let may: Vec<SocketAddr> = resolved.filter(|address| may(address.ip())).collect();
    match may.is_empty() {
        true => Err(io::Error::other("it leads to no address that may be dialled")),
        false => TcpStream::connect(&may[..]).await,
    }
}

/// Connections of gRPC channels; a connector of tonic's.
#[derive(Clone)]
pub struct GrpcConnector(TlsConnector);

impl std::fmt::Debug for GrpcConnector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("GrpcConnector")
    }
}

impl GrpcConnector {
    /// Dials `https` URLs as `tls` says.
    #[must_use]
    pub fn new(tls: &ClientTls) -> Self {
        Self(tls.grpc())
    }
}

impl tower::Service<Uri> for GrpcConnector {
    type Response = TokioIo<Socket>;
    type Error = DialError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, DialError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), DialError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, url: Uri) -> Self::Future {
        let tls = self.0.clone();
        Box::pin(async move { dial(&url, &tls, None).await.map(TokioIo::new) })
    }
}

#[cfg(test)]
mod tests {
    use super::websocket_url;

    #[test]
    fn staked_https_endpoints_are_dialled_as_wss() {
        for (url, expected) in [
            ("https://a.example:443/ws?x=1", "wss://a.example:443/ws?x=1"),
            ("HTTP://a.example", "ws://a.example"),
            ("wss://a.example/", "wss://a.example/"),
        ] {
            assert_eq!(websocket_url(url), expected);
        }
    }
}
