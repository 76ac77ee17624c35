//! WebSockets (RFC 6455) at both ends, over a connection that HTTP/1.1 was upgraded from.
//!
//! ```text
//!  accept / connect ─► Receiver ─► Incoming: messages, close        pings ─┐
//!                  └─► Sender   ◄─ messages, close, keep ◄── pongs owed ───┘
//! ```
//! - A message is bytes and a [`Kind`]. Text is *not* checked for UTF-8: the network's programs send protobuf in text frames, and have to be
//!   sent some. Frame headers are read and written by tungstenite; its messages cannot be used, since they refuse exactly that.
//! - A message is bounded before it is held, and counts in a [budget](crate::budget) as it arrives, until nobody holds it.
//! - Nothing is queued: a sender waits for its peer, who must take [`STEP`] bytes within the write time-out or is cut off. Whoever reads from
//!   one peer and sends to another thereby reads no faster than the other takes.
//! - [`Sender::keep`] answers pings, sends some, and notices a peer that is gone.
//! - No extension is negotiated: compression would make a message's size its sender's secret.

mod frame;
mod handshake;
mod receiver;
mod sender;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::sync::Notify;
use tokio::time::Instant;

pub use self::handshake::{ConnectError, HandshakeError, Upgrade, accept, connect, is_upgrade};
pub use self::receiver::Receiver;
pub use self::sender::Sender;
use crate::budget::Budgets;

/// Bytes of a message that a peer must take within the write time-out.
pub const STEP: usize = 64 << 10;
/// Silence after which a peer is asked for a sign of life, as the reference relay miner asks.
const PING_AFTER: Duration = Duration::from_secs(27);
/// Time for that sign.
const PONG_WITHIN: Duration = Duration::from_secs(30);
/// Time for a whole message, from its first byte: what has come of it holds a place in the budget.
const MESSAGE_WITHIN: Duration = Duration::from_secs(60);
/// Time for a peer to answer our close.
const FINISH: Duration = Duration::from_secs(1);
/// Longest reason of a close frame, in bytes (RFC 6455 §5.5).
const MAX_REASON: usize = 123;

/// How a message is marked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// As text, whatever its bytes are.
    Text,
    /// As binary.
    Binary,
}

/// A whole message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// How it is marked.
    pub kind: Kind,
    /// What it says; holds its place in the budget until the last slice of it is dropped.
    pub bytes: Bytes,
}

/// The end of a connection, as one side tells it to the other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Close {
    /// `None`: the frame was empty.
    pub code: Option<u16>,
    /// Why, in words.
    pub reason: String,
}

impl Close {
    /// A close with a code and a reason, which is cut to what fits into a frame.
    #[must_use]
    pub fn new(code: u16, reason: &str) -> Self {
        let end = (0..=reason.len().min(MAX_REASON))
            .rev()
            .find(|&end| reason.is_char_boundary(end));
        Self {
            code: Some(code),
            reason: reason.get(..end.unwrap_or(0)).unwrap_or_default().to_owned(),
        }
    }

    /// The same with a code that may be sent: those that only stand for what happened (1005, 1006, 1015) or do not exist are told as 1011.
    #[must_use]
    pub fn sendable(self) -> Self {
        let sendable = |code: u16| matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999);
        Self {
            code: self.code.map(|code| if sendable(code) { code } else { 1011 }),
            ..self
        }
    }
}

/// What comes from a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Incoming {
    /// A message.
    Message(Message),
    /// It says goodbye; nothing follows.
    Close(Close),
}

/// Why a connection is over that was not closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WebSocketError {
    /// It ended without a close.
    #[error("the connection ended without a close frame")]
    Dropped,
    /// The peer does not take what is sent.
    #[error("the peer does not take what is sent")]
    Slow,
    /// The peer gives no sign of life.
    #[error("the peer gives no sign of life")]
    Silent,
    /// A message did not arrive in time.
    #[error("a message did not arrive in time")]
    Late,
    /// A message is larger than allowed.
    #[error("a message is larger than {0} bytes")]
    TooLarge(usize),
    /// Too many bytes are held already.
    #[error("too many bytes are held")]
    NoRoom,
    /// The peer does not keep to the protocol.
    #[error("the peer breaks the protocol: {0}")]
    Protocol(&'static str),
}

impl WebSocketError {
    /// What a peer whose fault this is can still be told.
    #[must_use]
    pub fn close(&self) -> Option<Close> {
        let code = match self {
            Self::Dropped | Self::Silent => return None,
            Self::Slow | Self::Late => 1008,
            Self::TooLarge(_) => 1009,
            Self::NoRoom => 1013,
            Self::Protocol(_) => 1002,
        };
        Some(Close::new(code, &self.to_string()))
    }
}

/// Bounds of a connection.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Largest message that is taken, in bytes.
    pub max_message_bytes: usize,
    /// Time for a peer to take [`STEP`] bytes, or what is left of a message.
    pub write_timeout: Duration,
    /// What messages that come count in, if in anything.
    pub budgets: Option<Budgets>,
}

/// Which end of the connection this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// Its frames are masked.
    Client,
    /// Those of its peer are.
    Server,
}

/// Both halves over an upgraded connection.
fn open(upgraded: Upgraded, role: Role, limits: Limits) -> (Receiver, Sender) {
    let (read, write) = tokio::io::split(TokioIo::new(upgraded));
    let signs = Arc::new(Signs::new());
    let sender = Sender::new(write, role, limits.write_timeout, Arc::clone(&signs));
    (Receiver::new(read, role, limits, signs), sender)
}

/// Signs of life that come, and those that are owed.
#[derive(Debug)]
struct Signs {
    state: Mutex<State>,
    /// Rings when a pong is owed.
    owed: Notify,
}

#[derive(Debug)]
struct State {
    /// When anything came last.
    heard: Instant,
    /// Payload of the newest ping that was not answered; older ones need no answer (RFC 6455 §5.5.3).
    ping: Option<Bytes>,
}

impl Signs {
    fn new() -> Self {
        Self {
            state: Mutex::new(State {
                heard: Instant::now(),
                ping: None,
            }),
            owed: Notify::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn heard(&self) {
        self.state().heard = Instant::now();
    }

    fn pinged(&self, payload: Bytes) {
        self.state().ping = Some(payload);
        self.owed.notify_one();
    }
}

#[cfg(test)]
mod tests;
