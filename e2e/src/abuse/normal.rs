//! Normal traffic: a few clients that call without pause.

use std::time::Duration;

use anyhow::Result;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::DApp;
use crate::network::{Network, expect_result};

/// Clients that call at the same time.
const CLIENTS: u64 = 4;

/// What normal clients saw.
#[derive(Clone, Debug, Default)]
pub struct Normal {
    /// Time of each answered call, ascending.
    pub times: Vec<Duration>,
    /// What was not a result.
    pub failures: Vec<String>,
}

impl Normal {
    /// The time within which 99 % of the calls were answered.
    #[must_use]
    pub fn p99(&self) -> Duration {
        let last = self.times.len().saturating_sub(1);
        self.times.get(last * 99 / 100).copied().unwrap_or_default()
    }
}

/// Calls through the gateway for `duration`.
pub(super) async fn traffic(network: &Network, duration: Duration) -> Result<Normal> {
    let until = Instant::now() + duration;
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        clients.spawn(client(network.dapp(), until));
    }
    let mut normal = Normal::default();
    while let Some(seen) = clients.join_next().await {
        let seen = seen?;
        normal.times.extend(seen.times);
        normal.failures.extend(seen.failures);
    }
    normal.times.sort_unstable();
    Ok(normal)
}

async fn client(dapp: DApp, until: Instant) -> Normal {
    let mut normal = Normal::default();
    let mut id = 0_u64;
    while Instant::now() < until {
        id += 1;
        let begun = Instant::now();
        let answer = dapp
            .call(id, "eth_blockNumber")
            .await
            .map_err(|error| format!("{error:#}"));
        match answer.and_then(|answer| expect_result(&answer)) {
            Ok(()) => normal.times.push(begun.elapsed()),
            Err(failure) => normal.failures.push(failure),
        }
    }
    normal
}
