//! HTTP/2 by hand: what no client library sends.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedReadHalf;
use tokio::time::{Instant, timeout_at};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const END_HEADERS: u8 = 4;
const ACK: u8 = 1;
/// `:method POST`, `:scheme http`, `:path /` from HPACK's static table, and `:authority a` as a literal.
const REQUEST: &[u8] = &[0x83, 0x86, 0x84, 0x01, 0x01, b'a'];
/// Error code of a stream that is given up.
const CANCEL: u32 = 8;
/// Most frames sent in one write.
const BURST: u32 = 100;
/// Time for the last answers.
const LINGER: Duration = Duration::from_millis(500);

/// Opens `streams` streams whose bodies never end, or resets each at once when `reset`; then waits for the end of the connection.
/// Returns how many the other side refused, all that were not opened when it closed the connection included.
pub(super) async fn flood(stream: TcpStream, streams: u32, reset: bool, until: Instant) -> u64 {
    let (read, mut write) = stream.into_split();
    let reading = tokio::spawn(refusals(read));
    let mut opened = 0;
    if write.write_all(PREFACE).await.is_ok() && write.write_all(&frame(SETTINGS, 0, 0, &[])).await.is_ok() {
        while opened < streams && Instant::now() < until {
            let mut burst = Vec::new();
            for _ in 0..BURST.min(streams - opened) {
                let id = opened * 2 + 1;
                burst.extend(frame(HEADERS, END_HEADERS, id, REQUEST));
                if reset {
                    burst.extend(frame(RST_STREAM, 0, id, &CANCEL.to_be_bytes()));
                }
                opened += 1;
            }
            if write.write_all(&burst).await.is_err() {
                break;
            }
        }
        let _ = write.write_all(&frame(SETTINGS, ACK, 0, &[])).await;
    }
    let refused = timeout_at(until + LINGER, reading).await;
    let refused = refused.ok().and_then(Result::ok).unwrap_or_default();
    refused + u64::from(streams - opened)
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap_or_default().to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// Counts refused streams until the other side closes.
async fn refusals(mut read: OwnedReadHalf) -> u64 {
    let (mut refused, mut last_stream) = (0, None);
    let mut head = [0; 9];
    while read.read_exact(&mut head).await.is_ok() {
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; usize::try_from(length).unwrap_or_default()];
        if read.read_exact(&mut payload).await.is_err() {
            break;
        }
        match head[3] {
            RST_STREAM => refused += 1,
            GOAWAY => last_stream = payload.first_chunk().map(|id| u32::from_be_bytes(*id)),
            _ => {}
        }
    }
    // A connection that is ended for its flood refuses all that is left of it.
    refused + u64::from(last_stream.is_some())
}
