//! Keep-alive clients: each connection sends its next call when the last one is answered.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ::http::{Request, header};
use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::Instant;

const CALL: &[u8] = br#"{"jsonrpc":"2.0","id":1,"method":"eth_blockNumber","params":[]}"#;

/// What was seen.
pub(super) struct Measured {
    /// From the first call to the last answer.
    pub(super) took: Duration,
    /// Time of each call, ascending.
    latencies: Vec<Duration>,
}

impl Measured {
    /// Calls answered.
    pub(super) fn relays(&self) -> u64 {
        self.latencies.len() as u64
    }

    /// Calls answered per second, rounded down.
    pub(super) fn per_second(&self) -> u64 {
        let micros = u64::try_from(self.took.as_micros()).unwrap_or(u64::MAX).max(1);
        self.relays().saturating_mul(1_000_000) / micros
    }

    /// The time within which `percent` of the calls were answered.
    pub(super) fn percentile(&self, percent: usize) -> Duration {
        let last = self.latencies.len().saturating_sub(1);
        self.latencies
            .get(last * percent / 100)
            .copied()
            .unwrap_or_default()
    }
}

/// Sends `relays` calls over `connections` connections, for `limit` at most.
pub(super) async fn run(
    gateway: SocketAddr,
    connections: u16,
    relays: u64,
    limit: Duration,
) -> Result<Measured> {
    let left = Arc::new(AtomicU64::new(relays));
    let begun = Instant::now();
    let mut clients = JoinSet::new();
    for _ in 0..connections {
        clients.spawn(client(gateway, left.clone(), begun + limit));
    }
    let mut latencies = Vec::new();
    while let Some(done) = clients.join_next().await {
        latencies.extend(done??);
    }
    let took = begun.elapsed();
    ensure!(
        !latencies.is_empty(),
        "no relay was answered in {} s",
        limit.as_secs()
    );
    latencies.sort_unstable();
    Ok(Measured { took, latencies })
}

async fn client(gateway: SocketAddr, left: Arc<AtomicU64>, until: Instant) -> Result<Vec<Duration>> {
    let stream = TcpStream::connect(gateway).await?;
    stream.set_nodelay(true)?;
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await?;
    let calls = async {
        let mut latencies = Vec::new();
        while Instant::now() < until && take(&left) {
            let begun = Instant::now();
            call(&mut sender, gateway).await?;
            latencies.push(begun.elapsed());
        }
        anyhow::Ok(latencies)
    };
    tokio::select! {
        latencies = calls => latencies,
        closed = connection => anyhow::bail!("the gateway closed a connection: {closed:?}"),
    }
}

fn take(left: &AtomicU64) -> bool {
    left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1))
        .is_ok()
}

async fn call(sender: &mut SendRequest<Full<Bytes>>, gateway: SocketAddr) -> Result<()> {
    let request = Request::post("/v1")
        .header(header::HOST, gateway.to_string())
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from_static(CALL)))?;
    sender.ready().await?;
    let response = sender
        .send_request(request)
        .await
        .context("a call was not answered")?;
    let status = response.status();
    let body = response.into_body().collect().await?.to_bytes();
    ensure!(
        status.is_success(),
        "the gateway answered HTTP {status}: {}",
        String::from_utf8_lossy(&body)
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Measured;

    #[test]
    fn percentiles_and_rate_are_of_what_was_measured() {
        let latencies = (1..=100).map(Duration::from_millis).collect();
        let measured = Measured {
            took: Duration::from_secs(2),
            latencies,
        };
        assert_eq!(measured.per_second(), 50);
        assert_eq!(measured.percentile(50), Duration::from_millis(50));
        assert_eq!(measured.percentile(99), Duration::from_millis(99));
    }
}
