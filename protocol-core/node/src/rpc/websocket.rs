//! JSON-RPC over a WebSocket: every call, and subscriptions to what happens in blocks.
//!
//! A client is told block after block, each as soon as the one before is on its way. One who falls more than [`MAX_BEHIND`] blocks
//! behind loses his subscriptions and is told why; one who takes nothing for [`SEND_TIMEOUT`] loses the connection.

use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, close_code};
use futures::stream::FuturesUnordered;
use futures::{Sink, SinkExt as _, Stream, StreamExt as _};
use serde_json::Value;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::envelope;
use super::error::RpcError;
use super::feed::Feed;
use super::methods::Methods;
use super::request::Request;
use super::subscriptions::{MAX_SUBSCRIBED_CLIENTS, Subscriptions};
use crate::metrics::Metrics;

/// Connections at the same time.
pub(super) const MAX_WEBSOCKETS: usize = 256;
/// Blocks that a subscriber may be behind the newest.
pub(super) const MAX_BEHIND: i64 = 100;
/// Calls of one connection that are under way; more are not read yet.
const MAX_CALLS: usize = 8;
/// Time for a client to take one message; CometBFT's.
const SEND_TIMEOUT: Duration = Duration::from_secs(10);
/// Silence after which a client is asked for a sign of life.
const PING_AFTER: Duration = Duration::from_secs(27);
/// Time for that sign.
const PONG_WITHIN: Duration = Duration::from_secs(30);

/// Why a client who is too slow loses his subscriptions, in CometBFT's words.
const TOO_SLOW: &str = "client is not pulling messages fast enough";

/// What all connections share.
#[derive(Clone)]
pub(super) struct Hub {
    methods: Arc<Methods>,
    feed: Arc<Feed>,
    subscribed: Arc<Semaphore>,
    pub(super) places: Arc<Semaphore>,
    metrics: Metrics,
    stop: CancellationToken,
    /// [`SEND_TIMEOUT`].
    patience: Duration,
}

impl Hub {
    pub(super) fn new(methods: Arc<Methods>, feed: Feed, metrics: Metrics, stop: CancellationToken) -> Self {
        Self {
            methods,
            feed: Arc::new(feed),
            subscribed: Arc::new(Semaphore::new(MAX_SUBSCRIBED_CLIENTS)),
            places: Arc::new(Semaphore::new(MAX_WEBSOCKETS)),
            metrics,
            stop,
            patience: SEND_TIMEOUT,
        }
    }

    /// Serves one connection until it ends.
    pub(super) async fn serve<S, E>(&self, socket: S)
    where
        S: Stream<Item = Result<Message, E>> + Sink<Message, Error = E> + Send + Unpin,
        E: Display + Send,
    {
        let mut connection = Connection {
            socket,
            subscriptions: Subscriptions::new(self.subscribed.clone(), self.metrics.clone()),
            told: 0,
            hub: self,
        };
        if let Err(end) = connection.run().await {
            connection.close(end).await;
        }
    }
}

/// Why a connection ends.
enum End {
    Gone,
    Stopped,
    Slow,
    Failed,
}

struct Connection<'a, S> {
    socket: S,
    subscriptions: Subscriptions,
    /// Height up to which this client was told.
    told: i64,
    hub: &'a Hub,
}

impl<S, E> Connection<'_, S>
where
    S: Stream<Item = Result<Message, E>> + Sink<Message, Error = E> + Send + Unpin,
    E: Display + Send,
{
    async fn run(&mut self) -> Result<(), End> {
        let hub = self.hub;
        let mut head = hub.feed.follow();
        let mut calls = FuturesUnordered::new();
        let mut quiet = Instant::now();
        let mut pinged = false;
        loop {
            let subscribed = !self.subscriptions.is_empty();
            let patience = if pinged { PONG_WITHIN } else { PING_AFTER };
            tokio::select! {
                biased;
                () = hub.stop.cancelled() => {
                    self.cancel("the node stops").await?;
                    return Err(End::Stopped);
                }
                Some(answer) = calls.next(), if !calls.is_empty() => self.text(answer).await?,
                changed = head.changed(), if subscribed => {
                    changed.map_err(|_| End::Stopped)?;
                    let newest = head.borrow_and_update().height.0;
                    self.tell(newest).await?;
                }
                message = self.socket.next(), if calls.len() < MAX_CALLS => {
                    (quiet, pinged) = (Instant::now(), false);
                    let newest = head.borrow_and_update().height.0;
                    if let Some(request) = self.read(message, newest).await? {
                        calls.push(answer(&hub.methods, request));
                    }
                }
                () = tokio::time::sleep_until(quiet + patience) => {
                    if pinged {
                        return Err(End::Gone);
                    }
                    (quiet, pinged) = (Instant::now(), true);
                    self.send(Message::Ping(Default::default())).await?;
                }
            }
        }
    }

    /// Reads a message; answers what is about subscriptions, and returns another call.
    async fn read(
        &mut self,
        message: Option<Result<Message, E>>,
        newest: i64,
    ) -> Result<Option<(Value, Request)>, End> {
        let bytes = match message {
            None | Some(Err(_) | Ok(Message::Close(_))) => return Err(End::Gone),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => return Ok(None),
            Some(Ok(Message::Text(text))) => text.into(),
            Some(Ok(Message::Binary(bytes))) => bytes,
        };
        if !self.subscriptions.is_empty() {
            self.tell(newest).await?; // in order: what happened before this call first
        }
        self.told = newest;
        let read = match serde_json::from_slice(&bytes) {
            Ok(call) => Request::read(call),
            Err(error) => Err((Value::Null, RpcError::parse(error.to_string()))),
        };
        let mut request = match read {
            Ok(request) => request,
            Err((id, error)) => {
                self.text(envelope(&id, Err(error)).to_string()).await?;
                return Ok(None);
            }
        };
        let Some(id) = request.id.take() else {
            return Ok(None); // a notification
        };
        let Request { method, params, .. } = &request;
        if let Some(result) = self.subscriptions.call(method, params, &id, newest) {
            self.hub.metrics.count("websocket", method);
            self.text(envelope(&id, result).to_string()).await?;
            return Ok(None);
        }
        Ok(Some((id, request)))
    }

    /// Tells what happened up to the height `newest`.
    async fn tell(&mut self, newest: i64) -> Result<(), End> {
        if newest.saturating_sub(self.told) > MAX_BEHIND {
            self.told = newest;
            self.hub.metrics.dropped_subscribers.inc();
            return self.cancel(TOO_SLOW).await;
        }
        while self.told < newest {
            let height = self.told.saturating_add(1);
            let happened = self.hub.feed.at(height).await.map_err(failed)?;
            for happening in happened.iter() {
                for message in self.subscriptions.messages(height, happening).map_err(failed)? {
                    self.text(message).await?;
                }
            }
            self.told = height;
        }
        Ok(())
    }

    async fn cancel(&mut self, reason: &str) -> Result<(), End> {
        for message in self.subscriptions.cancel(reason) {
            self.text(message).await?;
        }
        Ok(())
    }

    /// Says why it ends, or answers a client who said so: many wait for that.
    async fn close(&mut self, end: End) {
        let (code, reason) = match end {
            End::Gone => {
                drop(tokio::time::timeout(self.hub.patience, self.socket.close()).await);
                return;
            }
            End::Stopped => (close_code::AWAY, "the node stops"),
            End::Slow => (close_code::POLICY, TOO_SLOW),
            End::Failed => (close_code::ERROR, "internal error"),
        };
        tracing::debug!(reason, "a WebSocket ends");
        let frame = CloseFrame {
            code,
            reason: reason.into(),
        };
        drop(self.send(Message::Close(Some(frame))).await);
    }

    async fn text(&mut self, text: String) -> Result<(), End> {
        self.send(Message::Text(text.into())).await
    }

    async fn send(&mut self, message: Message) -> Result<(), End> {
        match tokio::time::timeout(self.hub.patience, self.socket.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(End::Gone),
            Err(_) => {
                if !self.subscriptions.is_empty() {
                    self.hub.metrics.dropped_subscribers.inc();
                }
                Err(End::Slow)
            }
        }
    }
}

fn failed(error: RpcError) -> End {
    tracing::warn!(error = %error.json(), "subscribers cannot be told of a block");
    End::Failed
}

async fn answer(methods: &Methods, (id, request): (Value, Request)) -> String {
    let result = methods.call("websocket", &request.method, request.params).await;
    envelope(&id, result).to_string()
}

#[cfg(test)]
mod tests;
