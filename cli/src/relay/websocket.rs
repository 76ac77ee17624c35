//! A call over a WebSocket of the gateway's.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http::{HeaderMap, Uri};
use portico_net::tls::ClientTls;
use portico_net::websocket::{self, Close, ConnectError, Incoming, Kind, Limits, Message};
use portico_net::{dial_websocket, websocket_url};
use portico_protocol::ServiceId;

/// Largest message that is printed, in bytes.
const MAX_MESSAGE_BYTES: usize = 64 << 20;
/// Time for the gateway to take 64 KiB of the call.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// Sends the call over a WebSocket and prints its answer, and all that comes after it if that is wanted.
pub(super) async fn call(gateway: &str, service: &ServiceId, body: Bytes, follow: bool) -> Result<()> {
    let url = format!("{}/v1/{service}", websocket_url(gateway));
    let uri: Uri = url.parse().with_context(|| format!("{url:?} is no URL"))?;
    let limits = Limits {
        max_message_bytes: MAX_MESSAGE_BYTES,
        write_timeout: WRITE_TIMEOUT,
        budgets: None,
    };
    let no_gateway = || {
        format!(
            "no WebSocket at {url}; start a gateway with `portico localnet`, or name another with --gateway"
        )
    };
    let socket = dial_websocket(&uri, &ClientTls::public())
        .await
        .with_context(no_gateway)?;
    let opened = websocket::connect(socket, &uri, HeaderMap::new(), limits).await;
    let (mut receiver, sender) = match opened {
        Err(ConnectError::Refused { status, text }) => {
            bail!(
                "the gateway answered HTTP {status}: {}",
                String::from_utf8_lossy(&text)
            );
        }
        opened => opened.with_context(no_gateway)?,
    };
    let kind = Kind::Text;
    sender.send(Message { kind, bytes: body }).await?;
    let told = async {
        loop {
            match receiver.next().await? {
                Incoming::Message(message) => println!("{}", String::from_utf8_lossy(&message.bytes)),
                Incoming::Close(close) => bail!("closed: {} {}", close.code.unwrap_or(1005), close.reason),
            }
            if !follow {
                return Ok(());
            }
        }
    };
    let ended = tokio::select! {
        told = told => told,
        Err(error) = sender.keep() => Err(error.into()),
        _ = tokio::signal::ctrl_c(), if follow => Ok(()),
    };
    sender.close(Close::new(1000, "")).await;
    ended
}
