//! The first head of a connection, before hyper knows of it.
//!
//! hyper takes buffers of 16 KiB for a connection with its first byte, and keeps them. A client who sends half a head and waits costs what he
//! sent, until the head is whole.

use std::io;

use tokio::io::AsyncReadExt;
use tokio::time::Instant;

use crate::activity::Activity;
use crate::socket::Socket;

/// A head beyond this is hyper's, whole or not: its sender has paid for the buffers.
const MAX_HELD: usize = 4 << 10;
/// Room for one read.
const READ: usize = 512;
/// Header fields that are looked at; a head with more is hyper's to refuse.
const MAX_FIELDS: usize = 64;
/// What an HTTP/2 client sends first.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Reads until the first head is whole, wrong, or longer than is held here; or until the client has no more to say.
pub(crate) async fn first(socket: &mut Socket, activity: &Activity) -> io::Result<Vec<u8>> {
    let mut held = Vec::new();
    loop {
        held.reserve_exact(READ);
        let count = socket.read_buf(&mut held).await?;
        if count == 0 {
            return Ok(held);
        }
        activity.received(count, Instant::now());
        if is_enough(&held) {
            return Ok(held);
        }
    }
}

/// What is typed in URIs though it has no place in them.
const RAW: &[u8] = b"\"<>";

/// `head` with the raw characters of its URI escaped; `None` when there are none, or when the first line is not whole.
pub(crate) fn escaped(head: &[u8]) -> Option<Vec<u8>> {
    let end = head.iter().position(|byte| *byte == b'\r')?;
    let (line, rest) = head.split_at(end);
    let line = line
        .strip_suffix(b" HTTP/1.1")
        .or_else(|| line.strip_suffix(b" HTTP/1.0"))?;
    if !line.iter().any(|byte| RAW.contains(byte)) {
        return None;
    }
    let mut escaped = Vec::with_capacity(head.len() + 2 * line.len());
    for byte in line {
        match RAW.contains(byte) {
            true => escaped.extend(format!("%{byte:02X}").into_bytes()),
            false => escaped.push(*byte),
        }
    }
    escaped.extend(&head[line.len()..end]);
    escaped.extend(rest);
    Some(escaped)
}

fn is_enough(held: &[u8]) -> bool {
    if held.len() >= MAX_HELD || held.starts_with(PREFACE) {
        return true;
    }
    if PREFACE.starts_with(held) {
        return false;
    }
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let parsed = httparse::Request::new(&mut fields).parse(held);
    !matches!(parsed, Ok(httparse::Status::Partial))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_and_brackets_of_a_uri_are_escaped_and_nothing_else() {
        let head = "GET /block?height=\"5\"&q=a>b<c HTTP/1.1\r\nhost: \"a\"\r\n\r\nbody \"";
        let expected = "GET /block?height=%225%22&q=a%3Eb%3Cc HTTP/1.1\r\nhost: \"a\"\r\n\r\nbody \"";
        assert_eq!(escaped(head.as_bytes()).as_deref(), Some(expected.as_bytes()));
        for same in [
            "GET /block?height=%225%22 HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\nhost: \"a\"\r\n\r\n",
            "GET /\"",
            "GET /\" HTTP/2.0\r\n",
            "",
        ] {
            assert_eq!(escaped(same.as_bytes()), None, "{same}");
        }
    }

    #[test]
    fn a_head_is_handed_on_when_it_is_whole_wrong_or_long() {
        let long = format!("GET / HTTP/1.1\r\nx: {}", "y".repeat(MAX_HELD));
        for (held, enough) in [
            ("G", false),
            ("GET / HTTP/1.1\r\nhost: a\r\n", false),
            ("GET / HTTP/1.1\r\nhost: a\r\n\r\n", true),
            ("POST / HTTP/1.1\r\nhost: a\r\n\r\nbody", true),
            ("PRI * HTTP/2.0\r\n\r\nSM", false),
            ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n and frames", true),
            ("\u{1}", true),
            (&long, true),
        ] {
            assert_eq!(is_enough(held.as_bytes()), enough, "{held:?}");
        }
    }
}
