//! The end of a connection whose client is still sending: its answer was written, what it sends is discarded for a while.
//!
//! A socket that is closed with unread bytes is reset, and a reset makes the client's system drop the answer that it may not have read:
//! the program sees a broken pipe instead of the refusal.

use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

use crate::limits::Limits;

/// Bytes read at once.
const PIECE: usize = 64 << 10;

/// Discards what comes until the client closes, or a bound is reached. The writing half is closed already.
pub(crate) async fn discard(mut socket: TcpStream, limits: &Limits) {
    let mut left = limits.max_discarded_bytes;
    let all = async {
        let mut piece = vec![0; PIECE];
        while left > 0 {
            match socket.read(&mut piece).await {
                Ok(0) | Err(_) => return,
                Ok(count) => left = left.saturating_sub(count as u64),
            }
        }
    };
    drop(tokio::time::timeout(limits.discard, all).await);
}
