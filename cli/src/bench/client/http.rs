//! JSON-RPC by POST.

use ::http::{Request, header};
use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use portico_net::dial_websocket;
use tokio::time::Instant;

use super::{Client, Run, Seen};

/// The call, also over WebSockets.
pub(super) const CALL: &[u8] = br#"{"jsonrpc":"2.0","id":1,"method":"eth_blockNumber","params":[]}"#;

/// Calls over one connection.
pub(super) async fn calls(client: &Client, run: &Run) -> Result<Seen> {
    // As a WebSocket begins, so does HTTP/1.1 on a connection of its own.
    let stream = dial_websocket(&client.url, &client.tls).await?;
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await?;
    let calls = async {
        let mut seen = Seen::default();
        while run.another() {
            let begun = Instant::now();
            let bytes = call(client, &mut sender).await?;
            seen.came(begun, bytes);
        }
        anyhow::Ok(seen)
    };
    tokio::select! {
        seen = calls => seen,
        closed = connection => anyhow::bail!("{} closed a connection: {closed:?}", client.url),
    }
}

/// Size of the answer's body.
async fn call(client: &Client, sender: &mut SendRequest<Full<Bytes>>) -> Result<usize> {
    let request = Request::post(client.url.path())
        .header(header::HOST, client.host())
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from_static(CALL)))?;
    sender.ready().await?;
    let response = sender
        .send_request(request)
        .await
        .context("a call was not answered")?;
    let status = response.status();
    let body = response.into_body().collect().await?.to_bytes();
    ensure!(
        status.is_success(),
        "a call was answered with HTTP {status}: {}",
        String::from_utf8_lossy(&body)
    );
    Ok(body.len())
}
