//! JSON-RPC over WebSockets: each call has an answer, and more messages behind it where they are wanted.

use std::time::Duration;

use ::http::{HeaderMap, Uri};
use anyhow::{Context, Result, bail};
use bytes::Bytes;
use portico_net::websocket::{self, Close, Incoming, Kind, Limits, Message, Receiver, Sender};
use portico_net::{dial_websocket, websocket_url};
use tokio::time::{Instant, timeout};

use super::http::CALL;
use super::{Client, Run, Seen};
use crate::bench::backend::PUSH;

/// Largest message that is taken, in bytes.
const MAX_MESSAGE_BYTES: usize = 64 << 20;
/// Time for the other side to take what is said.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// Time for an answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// An open WebSocket.
#[derive(Debug)]
pub(in crate::bench) struct Socket {
    receiver: Receiver,
    sender: Sender,
}

/// Calls over one socket.
pub(super) async fn calls(client: &Client, run: &Run) -> Result<Seen> {
    let mut socket = client.socket().await?;
    let mut seen = Seen::default();
    let pushed = client.workload.per_call.saturating_sub(1);
    while run.another() {
        let turn = client.workload.turns.begin();
        let mut begun = Instant::now();
        let call = match pushed {
            0 => Bytes::from_static(CALL),
            _ => push(pushed, turn.number),
        };
        socket.say(call).await?;
        for _ in 0..=pushed {
            let message = socket.hear().await?;
            seen.came(begun, message.len());
            begun = Instant::now();
            turn.next();
        }
    }
    socket.sender.close(Close::new(1000, "")).await;
    socket.receiver.finish().await;
    Ok(seen)
}

fn push(messages: u16, turn: u64) -> Bytes {
    let call = serde_json::json!({"jsonrpc": "2.0", "id": 1, "method": PUSH, "params": [messages, turn]});
    call.to_string().into()
}

impl Client {
    /// Opens a WebSocket.
    async fn socket(&self) -> Result<Socket> {
        let url: Uri = websocket_url(&self.url.to_string()).parse()?;
        let limits = Limits {
            max_message_bytes: MAX_MESSAGE_BYTES,
            write_timeout: WRITE_TIMEOUT,
            budgets: None,
        };
        let socket = dial_websocket(&url, &self.tls).await?;
        let opened = websocket::connect(socket, &url, HeaderMap::new(), limits).await;
        let (receiver, sender) = opened.with_context(|| format!("no WebSocket at {url}"))?;
        Ok(Socket { receiver, sender })
    }

    /// Opens a WebSocket and has one call answered on it.
    pub(in crate::bench) async fn used_socket(&self) -> Result<Socket> {
        let mut socket = self.socket().await?;
        socket.say(Bytes::from_static(CALL)).await?;
        socket.hear().await?;
        Ok(socket)
    }
}

impl Socket {
    async fn say(&mut self, bytes: Bytes) -> Result<()> {
        let kind = Kind::Text;
        Ok(self.sender.send(Message { kind, bytes }).await?)
    }

    async fn hear(&mut self) -> Result<Bytes> {
        let next = timeout(ANSWER_TIMEOUT, self.receiver.next()).await;
        match next.context("a message was not answered")?? {
            Incoming::Message(message) => Ok(message.bytes),
            Incoming::Close(close) => bail!("a WebSocket was closed: {close:?}"),
        }
    }

    /// Answers pings until the other side ends it, which is an error, or this is dropped.
    pub(in crate::bench) async fn idle(mut self) -> anyhow::Error {
        tokio::select! {
            next = self.receiver.next() => anyhow::anyhow!("an idle WebSocket heard {next:?}"),
            Err(error) = self.sender.keep() => error.into(),
        }
    }
}
