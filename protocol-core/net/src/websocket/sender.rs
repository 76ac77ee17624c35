//! The writing half.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncWriteExt as _, WriteHalf};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};
use tungstenite::protocol::frame::Frame;

use super::frame::{header, opcode, written};
use super::{Close, Kind, Message, PING_AFTER, PONG_WITHIN, Role, STEP, Signs, WebSocketError};

/// Pieces of a message up to this size, together, are sent in one packet.
const SMALL: usize = 16 << 10;

/// A way to say something to a peer; clones share the connection.
#[derive(Clone, Debug)]
pub struct Sender {
    writer: Arc<Mutex<Writer>>,
    signs: Arc<Signs>,
}

#[derive(Debug)]
struct Writer {
    io: WriteHalf<TokioIo<Upgraded>>,
    role: Role,
    timeout: Duration,
    /// Nothing may follow: a close was sent, or a frame was not written whole.
    over: bool,
}

impl Sender {
    pub(super) fn new(
        io: WriteHalf<TokioIo<Upgraded>>,
        role: Role,
        timeout: Duration,
        signs: Arc<Signs>,
    ) -> Self {
        let writer = Writer {
            io,
            role,
            timeout,
            over: false,
        };
        Self {
            writer: Arc::new(Mutex::new(writer)),
            signs,
        }
    }

    /// Sends a message, after those that are being sent. A send that is dropped before it is ready ends the connection.
    ///
    /// # Errors
    /// When the connection is over, or the peer does not take the message.
    pub async fn send(&self, message: Message) -> Result<(), WebSocketError> {
        self.send_parts(message.kind, vec![message.bytes]).await
    }

    /// Sends a message that lies in parts, none of which is copied unless they are small or have to be masked.
    ///
    /// # Errors
    /// As [`Sender::send`].
    pub async fn send_parts(&self, kind: Kind, parts: Vec<Bytes>) -> Result<(), WebSocketError> {
        self.writer.lock().await.message(kind, parts).await
    }

    /// Says goodbye; nothing is sent afterwards. A peer who answers does so by a close.
    pub async fn close(&self, close: Close) {
        let mut writer = self.writer.lock().await;
        let mut payload = BytesMut::new();
        if let Some(code) = close.code {
            let Close { reason, .. } = Close::new(code, &close.reason);
            payload.extend_from_slice(&code.to_be_bytes());
            payload.extend_from_slice(reason.as_bytes());
        }
        let header = Frame::close(None).header().clone();
        // Who is gone cannot be told.
        let _ = writer
            .control(Frame::from_payload(header, payload.freeze()))
            .await;
        writer.over = true;
    }

    /// Answers pings, and asks a silent peer for a sign of life. Returns when there is none; to be run as long as the connection is used.
    ///
    /// # Errors
    /// Always, in the end.
    pub async fn keep(&self) -> Result<Infallible, WebSocketError> {
        let mut asked: Option<Instant> = None;
        loop {
            let heard = self.signs.state().heard;
            let waits_since = asked.filter(|asked| heard <= *asked);
            let until = match waits_since {
                Some(asked) => asked + PONG_WITHIN,
                None => heard + PING_AFTER,
            };
            let now = tokio::select! {
                () = self.signs.owed.notified() => None,
                () = tokio::time::sleep_until(until) => Some(Instant::now()),
            };
            let ping = self.signs.state().ping.take();
            if let Some(payload) = ping {
                self.writer.lock().await.control(Frame::pong(payload)).await?;
            }
            // Something may have come while this slept.
            let silent = self.signs.state().heard <= heard;
            if let Some(now) = now.filter(|_| silent) {
                if waits_since.is_some() {
                    return Err(WebSocketError::Silent);
                }
                asked = Some(now);
                let ping = Frame::ping(Bytes::new());
                self.writer.lock().await.control(ping).await?;
            }
        }
    }
}

impl Writer {
    async fn message(&mut self, kind: Kind, mut parts: Vec<Bytes>) -> Result<(), WebSocketError> {
        let length: usize = parts.iter().map(Bytes::len).sum();
        if self.role == Role::Client {
            let whole = match parts.len() {
                1 => parts.pop().unwrap_or_default(),
                _ => parts.concat().into(),
            };
            let frame = Frame::message(whole, opcode(kind), true);
            return self.write(vec![written(frame, Some(mask())).into()]).await;
        }
        let header: Bytes = header(kind, length).into();
        parts.insert(0, header);
        if length <= SMALL {
            parts = vec![parts.concat().into()];
        }
        self.write(parts).await
    }

    async fn control(&mut self, frame: Frame) -> Result<(), WebSocketError> {
        let mask = (self.role == Role::Client).then(mask);
        self.write(vec![written(frame, mask).into()]).await
    }

    async fn write(&mut self, parts: Vec<Bytes>) -> Result<(), WebSocketError> {
        if self.over {
            return Err(WebSocketError::Dropped);
        }
        self.over = true; // unless all of it is written
        for part in parts {
            for step in part.chunks(STEP) {
                let written = timeout(self.timeout, self.io.write_all(step)).await;
                let written = written.map_err(|_| WebSocketError::Slow)?;
                written.map_err(|_| WebSocketError::Dropped)?;
            }
        }
        let flushed = timeout(self.timeout, self.io.flush()).await;
        let flushed = flushed.map_err(|_| WebSocketError::Slow)?;
        flushed.map_err(|_| WebSocketError::Dropped)?;
        self.over = false;
        Ok(())
    }
}

/// A mask that nobody on the way can foresee (RFC 6455 §10.3).
fn mask() -> [u8; 4] {
    rand::random()
}
