//! The reading half.

use std::sync::Arc;

use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, ReadHalf};
use tokio::time::{Instant, timeout, timeout_at};

use super::frame::{Frames, Read};
use super::{FINISH, Incoming, Limits, MESSAGE_WITHIN, Role, Signs, WebSocketError};

/// What a peer says.
#[derive(Debug)]
pub struct Receiver {
    io: ReadHalf<TokioIo<Upgraded>>,
    frames: Frames,
    /// When the first byte of the message came that is arriving.
    began: Option<Instant>,
    signs: Arc<Signs>,
}

impl Receiver {
    pub(super) fn new(
        io: ReadHalf<TokioIo<Upgraded>>,
        role: Role,
        limits: Limits,
        signs: Arc<Signs>,
    ) -> Self {
        Self {
            io,
            frames: Frames::new(role, limits),
            began: None,
            signs,
        }
    }

    /// The next message, or the close. May be dropped before it is ready: nothing is lost. Pings are left to [`Sender::keep`].
    ///
    /// # Errors
    /// When the connection is over; then it is not to be called again.
    ///
    /// [`Sender::keep`]: super::Sender::keep
    pub async fn next(&mut self) -> Result<Incoming, WebSocketError> {
        loop {
            while let Some(read) = self.frames.take()? {
                match read {
                    Read::Whole(incoming) => {
                        self.began = None;
                        return Ok(incoming);
                    }
                    Read::Ping(payload) => self.signs.pinged(payload),
                    Read::Pong => {}
                }
            }
            let arriving = self.frames.is_in_message();
            self.began = arriving.then(|| self.began.unwrap_or_else(Instant::now));
            let read = self.io.read_buf(&mut self.frames.buffer);
            let read = match self.began {
                Some(began) => timeout_at(began + MESSAGE_WITHIN, read)
                    .await
                    .map_err(|_| WebSocketError::Late)?,
                None => read.await,
            };
            match read {
                Ok(0) | Err(_) => return Err(WebSocketError::Dropped),
                Ok(_) => self.signs.heard(),
            }
        }
    }

    /// Waits a moment for the peer's answer to our close, after which nothing is lost by closing the connection: one that is closed with
    /// unread bytes is reset, and takes the close frame with it.
    pub async fn finish(mut self) {
        let last = async { while let Ok(Incoming::Message(_)) = self.next().await {} };
        let _ = timeout(FINISH, last).await;
    }
}
