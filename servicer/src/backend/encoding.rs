//! Content encodings of backends' answers: none is asked for, and what comes encoded all the same is decoded before it is signed.
//!
//! The gateway reads answers and compresses them for its own clients; an encoding that it cannot read would be a paid relay of no use.

use std::io::Read;

use bytes::Bytes;
use flate2::read::{MultiGzDecoder, ZlibDecoder};
use portico_net::budget::Room;

use super::BackendError;

/// Bytes decoded at a time, so that the bound is seen in time.
const STEP: usize = 64 << 10;

/// Whether `encoding` is one that changes anything.
pub(super) fn does_something(encoding: &str) -> bool {
    let encoding = encoding.trim();
    !encoding.is_empty() && !encoding.eq_ignore_ascii_case("identity")
}

/// Decodes `body`, after `space` bytes that the caller fills; what comes out counts in `room`.
///
/// # Errors
/// [`BackendError::Encoding`] for other encodings than gzip and deflate and for damaged bytes, [`BackendError::TooLarge`] beyond `max` bytes,
/// [`BackendError::NoRoom`] when the bytes held by all relays leave no room.
pub(super) async fn decoded(
    encoding: &str,
    body: Bytes,
    space: usize,
    max: usize,
    mut room: Room,
) -> Result<(Vec<u8>, Room), BackendError> {
    let encoding = encoding.trim().to_ascii_lowercase();
    let work = move || {
        let plain = match encoding.as_str() {
            "gzip" | "x-gzip" => read(MultiGzDecoder::new(&body[..]), space, max, &mut room),
            "deflate" => read(ZlibDecoder::new(&body[..]), space, max, &mut room),
            _ => Err(BackendError::Encoding),
        };
        plain.map(|plain| (plain, room))
    };
    let decoding = tokio::task::spawn_blocking(work);
    decoding.await.unwrap_or(Err(BackendError::Encoding))
}

fn read(mut from: impl Read, space: usize, max: usize, room: &mut Room) -> Result<Vec<u8>, BackendError> {
    let mut plain = vec![0; space];
    let mut step = vec![0; STEP];
    loop {
        let count = from.read(&mut step).map_err(|_| BackendError::Encoding)?;
        if count == 0 {
            return Ok(plain);
        }
        if (plain.len() - space).saturating_add(count) > max {
            return Err(BackendError::TooLarge(max));
        }
        room.grow(count).map_err(|_| BackendError::NoRoom)?;
        plain.extend_from_slice(&step[..count]);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use portico_net::budget::Budgets;

    use super::*;

    fn gzip(bytes: &[u8]) -> Bytes {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap().into()
    }

    async fn decode(encoding: &str, body: Bytes, max: usize) -> Result<Vec<u8>, BackendError> {
        let room = Budgets::of_all(1 << 20).room();
        let decoding = decoded(encoding, body, 2, max, room).await;
        decoding.map(|(plain, _)| plain)
    }

    #[tokio::test]
    async fn decodes_what_a_node_encodes_unasked() {
        let plain = decode("GZIP", gzip(b"answer"), 100).await.unwrap();
        assert_eq!(plain, b"\0\0answer");
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(b"answer").unwrap();
        let plain = decode("deflate", encoder.finish().unwrap().into(), 100).await;
        assert_eq!(plain.unwrap(), b"\0\0answer");
        for (encoding, does) in [("", false), (" Identity", false), ("gzip", true), ("br", true)] {
            assert_eq!(does_something(encoding), does, "{encoding}");
        }
    }

    #[tokio::test]
    async fn refuses_what_it_cannot_read_or_hold() {
        for (encoding, body) in [
            ("br", Bytes::from_static(b"x")),
            ("gzip", Bytes::from_static(b"not gzip")),
        ] {
            let outcome = decode(encoding, body, 100).await;
            assert!(matches!(outcome, Err(BackendError::Encoding)), "{encoding}");
        }
        let bomb = gzip(&vec![0; 10 << 20]);
        assert!(bomb.len() < 20_000);
        assert!(matches!(
            decode("gzip", bomb.clone(), 1 << 19).await,
            Err(BackendError::TooLarge(_))
        ));
        assert!(matches!(
            decode("gzip", bomb, usize::MAX).await,
            Err(BackendError::NoRoom)
        ));
    }
}
