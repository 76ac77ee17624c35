//! The socket under hyper: tells what comes and goes, and gives the errors that hyper answers by itself a body.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};

use http::StatusCode;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::activity::Activity;
use crate::gate::Place;
use crate::head;
use crate::service::ErrorBody;
use crate::socket::Socket;

/// Where a socket is left when hyper is done with it.
pub(crate) type Left = Arc<Mutex<Option<TcpStream>>>;

/// A socket, and what is known about its connection.
#[derive(Debug)]
pub(crate) struct Watched {
    socket: Option<Socket>,
    /// What was read from the socket already, and is read from here first.
    before: Vec<u8>,
    activity: Arc<Activity>,
    blocked: bool,
    errors: ErrorBody,
    /// Whether quotes in URIs are escaped before hyper sees them.
    raw_uris: bool,
    /// What is written in place of an answer of hyper's, and how many bytes that answer has.
    instead: Option<(Vec<u8>, usize, usize)>,
    left: Left,
    /// Held as long as the socket: an upgraded connection (a WebSocket) keeps its place.
    _place: Arc<Place>,
}

impl Watched {
    pub(crate) fn new(
        socket: Socket,
        before: Vec<u8>,
        activity: Arc<Activity>,
        (errors, raw_uris): (ErrorBody, bool),
        left: Left,
        place: Arc<Place>,
    ) -> Self {
        Self {
            socket: Some(socket),
            before,
            activity,
            blocked: false,
            errors,
            raw_uris,
            instead: None,
            left,
            _place: place,
        }
    }

    fn socket(&mut self) -> io::Result<Pin<&mut Socket>> {
        let socket = self.socket.as_mut().map(Pin::new);
        socket.ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected))
    }

    /// Tells how much the client takes of `length` bytes that are to be written.
    fn writes(&mut self, polled: Poll<io::Result<usize>>, length: usize) -> Poll<io::Result<usize>> {
        match &polled {
            Poll::Pending => self.blocks(),
            Poll::Ready(Ok(count)) if *count < length && self.blocked => {
                self.activity.takes(*count, Instant::now());
            }
            Poll::Ready(Ok(count)) if *count < length => {}
            Poll::Ready(_) => self.unblocks(),
        }
        polled
    }

    fn blocks(&mut self) {
        if !self.blocked {
            self.blocked = true;
            self.activity.blocks(Instant::now());
        }
    }

    fn unblocks(&mut self) {
        if self.blocked {
            self.blocked = false;
            self.activity.unblocks();
        }
    }

    /// Escapes the URI of the head that begins at `from` in `buffer`; what has no room any more is read next.
    fn escape(&mut self, from: usize, buffer: &mut ReadBuf<'_>) {
        let Some(escaped) = buffer.filled().get(from..).and_then(head::escaped) else {
            return;
        };
        buffer.set_filled(from);
        let (now, later) = escaped.split_at(escaped.len().min(buffer.remaining()));
        buffer.put_slice(now);
        self.before = later.to_vec();
    }

    /// Writes all of what stands in place of an answer, then says that the answer was written.
    fn poll_instead(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        loop {
            let Some((bytes, written, length)) = &self.instead else {
                return Poll::Ready(Ok(0));
            };
            if *written == bytes.len() {
                let length = *length;
                self.instead = None;
                return Poll::Ready(Ok(length));
            }
            let (Some(socket), rest) = (self.socket.as_mut(), bytes.get(*written..).unwrap_or_default())
            else {
                return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
            };
            let count = ready!(Pin::new(socket).poll_write(cx, rest))?;
            if let Some((_, written, _)) = &mut self.instead {
                *written += count;
            }
        }
    }

    /// Whether `answer` is one that hyper made because a head could not be read; then it is exchanged for one that says why.
    fn exchanges(&mut self, answer: &[u8]) -> bool {
        if self.instead.is_some() {
            return true;
        }
        let refusal = match self.activity.is_in_head() {
            true => refusal(answer, self.errors),
            false => None,
        };
        if let Some(bytes) = refusal {
            self.activity.leaves_unread();
            self.instead = Some((bytes, 0, answer.len()));
        }
        self.instead.is_some()
    }
}

/// An answer with a body, for an answer of hyper's without one.
fn refusal(answer: &[u8], errors: ErrorBody) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(answer).ok()?;
    let (line, headers) = text.strip_suffix("\r\n\r\n")?.split_once("\r\n")?;
    let status: u16 = line.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
    let reason = match status {
        400 => "the request is not HTTP/1.1",
        414 => "the request's URI is too long",
        431 => "the request's headers are too large",
        _ => return None,
    };
    let empty = headers
        .lines()
        .any(|header| header.eq_ignore_ascii_case("content-length: 0"));
    if !empty {
        return None;
    }
    let body = errors(StatusCode::from_u16(status).ok()?, reason);
    let mut all = format!(
        "{line}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n",
        body.len()
    );
    for header in headers.lines() {
        if !header.eq_ignore_ascii_case("content-length: 0") {
            all.push_str(header);
            all.push_str("\r\n");
        }
    }
    all.push_str("\r\n");
    Some([all.into_bytes(), body.into_bytes()].concat())
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.before.is_empty() {
            let count = self.before.len().min(buffer.remaining());
            buffer.put_slice(&self.before[..count]);
            self.before.drain(..count);
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        let begins = !self.activity.is_serving() && !self.activity.is_in_head();
        ready!(self.socket()?.poll_read(cx, buffer))?;
        let count = buffer.filled().len().saturating_sub(before);
        if count > 0 && !self.activity.is_serving() {
            self.activity.received(count, Instant::now());
        }
        if self.raw_uris && begins {
            self.escape(before, buffer);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let polled = match self.exchanges(data) {
            true => self.poll_instead(cx),
            false => self.socket()?.poll_write(cx, data),
        };
        self.writes(polled, data.len())
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let first = pieces.iter().find(|piece| !piece.is_empty());
        let polled = match first.is_some_and(|first| self.exchanges(first)) {
            true => self.poll_instead(cx),
            false => self.socket()?.poll_write_vectored(cx, pieces),
        };
        self.writes(polled, pieces.iter().map(|piece| piece.len()).sum())
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.as_ref().is_some_and(AsyncWrite::is_write_vectored)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = self.socket()?.poll_flush(cx); // TLS has a buffer of its own
        match &polled {
            Poll::Pending => self.blocks(),
            Poll::Ready(_) => self.unblocks(),
        }
        polled
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket()?.poll_shutdown(cx)
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        *self.left.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) =
            self.socket.take().map(Socket::into_tcp);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::json_error;

    #[test]
    fn only_an_empty_refusal_gets_a_body() {
        let answer =
            "HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
        let exchanged = String::from_utf8(refusal(answer.as_bytes(), json_error).unwrap()).unwrap();
        let body = r#"{"error":"the request's headers are too large"}"#;
        let expected = format!(
            "HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        );
        assert_eq!(exchanged, expected);
        for other in [
            "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 400 Bad Request\r\ncontent-length: 2\r\n\r\n{}",
            "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n",
        ] {
            assert_eq!(refusal(other.as_bytes(), json_error), None, "{other}");
        }
    }
}
