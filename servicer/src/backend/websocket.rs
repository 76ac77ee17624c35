//! WebSockets to nodes: opened at the configured URL, whatever path the client asked for, as the Go miners open them.

use std::sync::Arc;
use std::time::Duration;

use http::Uri;
use portico_net::dial_websocket;
use portico_net::tls::ClientTls;
use portico_net::websocket::{self, ConnectError, Limits, Receiver, Sender};
use portico_protocol::wire::pocket::service::RelayRequestMetadata;
use tokio::time::timeout;

use super::headers::pocket_headers;
use super::node::HttpNode;
use super::pool::Tried;
use super::{Backend, BackendError};

/// Time for a node to take a connection, with TLS and handshake.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

impl Backend {
    /// Opens a connection to a node; tries the others too, since nothing was asked yet.
    pub(super) async fn connect(
        &self,
        meta: &RelayRequestMetadata,
        limits: &Limits,
    ) -> Result<(Receiver, Sender), BackendError> {
        let Some(tls) = &self.websocket_tls else {
            return Err(BackendError::NoNode);
        };
        let (mut tried, mut last) = (Tried::default(), BackendError::NoNode);
        while let Some(asked) = self.pool.ask(&mut tried) {
            let node = Arc::clone(asked.node());
            let opening = timeout(CONNECT_TIMEOUT, self.open_at(&node, tls, meta, limits.clone()));
            last = match opening.await {
                Ok(Ok(open)) => {
                    asked.answered();
                    return Ok(open);
                }
                Ok(Err(error)) => {
                    asked.failed("unreachable");
                    BackendError::Handshake(error)
                }
                Err(_) => {
                    asked.failed("timeout");
                    BackendError::Timeout(u64::try_from(CONNECT_TIMEOUT.as_millis()).unwrap_or(u64::MAX))
                }
            };
        }
        Err(last)
    }

    async fn open_at(
        &self,
        node: &HttpNode,
        tls: &ClientTls,
        meta: &RelayRequestMetadata,
        limits: Limits,
    ) -> Result<(Receiver, Sender), ConnectError> {
        let url: Uri = node.url().parse().map_err(|_| ConnectError::Malformed)?;
        let mut headers = http::HeaderMap::new();
        if self.passing.pocket {
            pocket_headers(meta, &mut headers);
        }
        node.put_configured(&mut headers);
        let socket = dial_websocket(&url, tls).await?;
        websocket::connect(socket, &url, headers, limits).await
    }
}
