//! What an idle WebSocket takes of a process' memory.

use std::time::Duration;

use anyhow::{Context, Result};
use tokio::task::JoinSet;

use super::client::Client;
use super::client::websocket::Socket;

/// Sockets that are opened at the same time.
const AT_ONCE: usize = 32;
/// Time for what opening them took to be given back, before memory is read.
const SETTLE: Duration = Duration::from_secs(2);

/// Open WebSockets that say nothing; closed when dropped.
pub(super) struct Idle(JoinSet<anyhow::Error>);

impl Idle {
    /// Opens `sockets` of them, each used for one call, and waits a moment.
    pub(super) async fn open(client: &Client, sockets: u32) -> Result<Self> {
        let mut opening: JoinSet<Result<Socket>> = JoinSet::new();
        let mut idle = Self(JoinSet::new());
        let mut left = sockets;
        loop {
            while left > 0 && opening.len() < AT_ONCE {
                let client = client.clone();
                opening.spawn(async move { client.used_socket().await });
                left -= 1;
            }
            let Some(opened) = opening.join_next().await else {
                break;
            };
            let opened = opened?.with_context(|| {
                format!(
                    "{} of {sockets} WebSockets could be opened; each takes two files of every process: raise `ulimit -n` to {} at least",
                    idle.0.len(),
                    files(sockets)
                )
            })?;
            idle.0.spawn(opened.idle());
        }
        tokio::time::sleep(SETTLE).await;
        idle.must_be_open()?;
        Ok(idle)
    }

    /// Errs when one has ended.
    pub(super) fn must_be_open(&mut self) -> Result<()> {
        match self.0.try_join_next() {
            Some(ended) => Err(ended?),
            None => Ok(()),
        }
    }
}

/// Files that a process needs open for `sockets` WebSockets: two for each, and what else it has open.
pub(super) fn files(sockets: u32) -> u64 {
    u64::from(sockets).saturating_mul(2).saturating_add(OTHERS)
}

/// Files for anything but idle WebSockets.
const OTHERS: u64 = 1_024;
