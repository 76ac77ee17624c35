//! New blocks as a node tells them: `NewBlockHeader` of its WebSocket, as CometBFT serves it.
//!
//! A told block is only a bell: the node is then asked for its newest block in the same words as without a WebSocket.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::{SinkExt, StreamExt};
use portico_net::tls::ClientTls;
use portico_net::{DialError, Socket, dial_websocket, websocket_url};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::{Notify, watch};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use crate::BlockHead;

/// Largest message, in bytes: a header, with all events of its block where an old CometBFT adds them.
const MAX_MESSAGE_BYTES: usize = 4 << 20;
/// Longest time to connect and subscribe.
const OPEN_TIMEOUT: Duration = Duration::from_secs(5);
/// First wait before a lost socket is opened anew; doubled each time until a block is told.
const MIN_BACKOFF: Duration = Duration::from_millis(200);
/// Longest wait before a socket is opened anew: a node may have none.
const MAX_BACKOFF: Duration = Duration::from_secs(30);

/// Rings when a node may have a new block.
#[derive(Default)]
pub(super) struct Bell {
    rung: Notify,
    open: AtomicBool,
}

impl Bell {
    /// Whether new blocks are told.
    pub(super) fn is_open(&self) -> bool {
        self.open.load(Ordering::Relaxed)
    }

    /// Waits for the bell; comes back at once when it rang since the last time.
    pub(super) async fn heard(&self) {
        self.rung.notified().await;
    }

    /// Rings for each change of `head`. Never ends.
    pub(super) async fn follow(&self, mut head: watch::Receiver<BlockHead>) {
        self.set_open(true);
        while head.changed().await.is_ok() {
            self.rung.notify_one();
        }
        self.set_open(false);
        std::future::pending().await
    }

    /// Between two sockets a block may have been made: it rings whenever one opens or is lost.
    fn set_open(&self, open: bool) {
        self.open.store(open, Ordering::Relaxed);
        self.rung.notify_one();
    }
}

/// Why no blocks are told.
#[derive(Debug, thiserror::Error)]
enum Lost {
    #[error(transparent)]
    Dial(#[from] DialError),
    #[error("{0} is no URL")]
    Url(String),
    #[error(transparent)]
    Socket(#[from] Box<tungstenite::Error>),
    #[error("the node closed it")]
    Closed,
    #[error("not open after {OPEN_TIMEOUT:?}")]
    Late,
    #[error("the node says {0}")]
    Refused(Value),
    #[error("no JSON-RPC: {0}")]
    Malformed(#[from] serde_json::Error),
}

impl From<tungstenite::Error> for Lost {
    fn from(error: tungstenite::Error) -> Self {
        Self::Socket(Box::new(error))
    }
}

/// What the node says: that it agrees, a block, or why it ends.
#[derive(Deserialize)]
struct Told {
    error: Option<Value>,
}

struct Subscription(WebSocketStream<Socket>);

impl Subscription {
    /// Connects, subscribes, and waits until the node agrees.
    async fn open(url: &str, tls: &ClientTls) -> Result<Self, Lost> {
        let limits = WebSocketConfig::default()
            .max_message_size(Some(MAX_MESSAGE_BYTES))
            .max_frame_size(Some(MAX_MESSAGE_BYTES));
        let opening = async {
            let at = url.parse().map_err(|_| Lost::Url(url.to_owned()))?;
            let stream = dial_websocket(&at, tls).await?;
            let (socket, _) = client_async_with_config(url, stream, Some(limits)).await?;
            let mut subscription = Self(socket);
            let query = json!({"query": "tm.event='NewBlockHeader'"});
            let request = json!({"jsonrpc": "2.0", "id": 1, "method": "subscribe", "params": query});
            subscription.0.send(Message::text(request.to_string())).await?;
            subscription.next().await?;
            Ok(subscription)
        };
        tokio::time::timeout(OPEN_TIMEOUT, opening)
            .await
            .map_err(|_| Lost::Late)?
    }

    /// Waits for the node's next words. Pings are answered meanwhile.
    async fn next(&mut self) -> Result<(), Lost> {
        loop {
            let text = match self.0.next().await.ok_or(Lost::Closed)?? {
                Message::Text(text) => text,
                Message::Close(_) => return Err(Lost::Closed),
                _ => continue,
            };
            let told: Told = serde_json::from_str(&text)?;
            return told.error.map_or(Ok(()), |error| Err(Lost::Refused(error)));
        }
    }

    /// Rings for each block until the socket is lost; calls `heard` each time.
    async fn ring(mut self, bell: &Bell, mut heard: impl FnMut()) -> Lost {
        loop {
            if let Err(lost) = self.next().await {
                return lost;
            }
            heard();
            bell.rung.notify_one();
        }
    }
}

/// The WebSocket of a node whose RPC is at the `http://` or `https://` URL `rpc_url`.
fn socket_url(rpc_url: &str) -> String {
    format!("{}/websocket", websocket_url(rpc_url).trim_end_matches('/'))
}

/// Rings `bell` for each block of the node; opens the socket anew, ever later, when it is lost. Never ends.
pub(super) async fn listen(rpc_url: &str, tls: &ClientTls, bell: &Bell) {
    let url = socket_url(rpc_url);
    let mut wait = MIN_BACKOFF;
    loop {
        let lost = match Subscription::open(&url, tls).await {
            Ok(subscription) => {
                bell.set_open(true);
                let lost = subscription.ring(bell, || wait = MIN_BACKOFF).await;
                bell.set_open(false);
                lost
            }
            Err(lost) => lost,
        };
        tracing::debug!(url, reason = %lost, "no blocks are told, the node is polled");
        tokio::time::sleep(wait).await;
        wait = wait.saturating_mul(2).min(MAX_BACKOFF);
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;
    use tokio_tungstenite::accept_async;

    use super::*;

    /// A node that answers the subscription with these messages.
    async fn opened(answers: Vec<String>) -> Result<Subscription, Lost> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let mut socket = accept_async(stream).await.unwrap();
            socket.next().await.unwrap().unwrap();
            for answer in answers {
                let _sent = socket.send(Message::text(answer)).await;
            }
            let _closed = socket.next().await; // keeps it open
        });
        Subscription::open(&socket_url(&url), &ClientTls::public()).await
    }

    fn agreed() -> String {
        r#"{"jsonrpc":"2.0","id":1,"result":{}}"#.to_owned()
    }

    #[test]
    fn the_socket_is_beside_the_rpc() {
        assert_eq!(socket_url("http://a:1"), "ws://a:1/websocket");
        assert_eq!(socket_url("http://http.a/rpc/"), "ws://http.a/rpc/websocket");
    }

    #[tokio::test]
    async fn a_message_beyond_the_limit_ends_it() {
        let within = format!(r#"{{"result":"{}"}}"#, "x".repeat(MAX_MESSAGE_BYTES - 64));
        let beyond = format!(r#"{{"result":"{}"}}"#, "x".repeat(MAX_MESSAGE_BYTES));
        let mut subscription = opened(vec![agreed(), within, beyond]).await.unwrap();
        subscription.next().await.unwrap();
        let lost = subscription.next().await.unwrap_err();
        assert!(matches!(lost, Lost::Socket(_)), "{lost}");
    }

    #[tokio::test]
    async fn a_refusal_ends_it_before_and_after_it_is_open() {
        let no = r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32603,"message":"slow"}}"#.to_owned();
        let lost = opened(vec![no.clone()]).await.err().unwrap();
        assert!(matches!(lost, Lost::Refused(_)), "{lost}");
        let mut subscription = opened(vec![agreed(), no]).await.unwrap();
        let lost = subscription.next().await.unwrap_err();
        assert!(matches!(lost, Lost::Refused(_)), "{lost}");
        let lost = opened(vec!["<html>".to_owned()]).await.err().unwrap();
        assert!(matches!(lost, Lost::Malformed(_)), "{lost}");
    }
}
