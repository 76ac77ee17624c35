//! Keep-alive clients: each connection sends its next call when the last one is answered.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ::http::{Request, Uri, header};
use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use portico_net::dial_websocket;
use portico_net::tls::ClientTls;
use tokio::task::JoinSet;
use tokio::time::Instant;

const CALL: &[u8] = br#"{"jsonrpc":"2.0","id":1,"method":"eth_blockNumber","params":[]}"#;

/// Where calls are sent.
#[derive(Clone, Debug)]
pub(super) struct Client {
    url: Uri,
    tls: ClientTls,
}

/// What was seen.
pub(super) struct Measured {
    /// From the first call to the last answer.
    pub(super) took: Duration,
    /// Size of the last answer's body.
    pub(super) answer_bytes: usize,
    /// Time of each call, ascending.
    latencies: Vec<Duration>,
}

impl Measured {
    /// Calls answered.
    pub(super) fn calls(&self) -> u64 {
        self.latencies.len() as u64
    }

    /// Calls answered per second.
    pub(super) fn per_second(&self) -> f64 {
        self.calls() as f64 / self.took.as_secs_f64()
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

impl Client {
    /// Will send calls to `url`, whose certificate is judged by `tls` where it is `https`.
    pub(super) fn new(url: &str, tls: ClientTls) -> Result<Self> {
        let url = url.parse()?;
        Ok(Self { url, tls })
    }

    /// Sends `calls` calls over `connections` connections, for `limit` at most.
    pub(super) async fn run(&self, connections: u16, calls: u64, limit: Duration) -> Result<Measured> {
        let left = Arc::new(AtomicU64::new(calls));
        let begun = Instant::now();
        let mut clients = JoinSet::new();
        for _ in 0..connections {
            clients.spawn(connection(self.clone(), left.clone(), begun + limit));
        }
        let mut measured = Measured {
            took: Duration::ZERO,
            answer_bytes: 0,
            latencies: Vec::new(),
        };
        while let Some(done) = clients.join_next().await {
            let (latencies, answer_bytes) = done??;
            measured.latencies.extend(latencies);
            measured.answer_bytes = measured.answer_bytes.max(answer_bytes);
        }
        measured.took = begun.elapsed();
        ensure!(
            !measured.latencies.is_empty(),
            "no call was answered in {} s",
            limit.as_secs()
        );
        measured.latencies.sort_unstable();
        Ok(measured)
    }
}

async fn connection(client: Client, left: Arc<AtomicU64>, until: Instant) -> Result<(Vec<Duration>, usize)> {
    // As a WebSocket begins, so does HTTP/1.1 on a connection of its own.
    let stream = dial_websocket(&client.url, &client.tls).await?;
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await?;
    let calls = async {
        let (mut latencies, mut answer_bytes) = (Vec::new(), 0);
        while Instant::now() < until && take(&left) {
            let begun = Instant::now();
            answer_bytes = client.call(&mut sender).await?;
            latencies.push(begun.elapsed());
        }
        anyhow::Ok((latencies, answer_bytes))
    };
    tokio::select! {
        seen = calls => seen,
        closed = connection => anyhow::bail!("{} closed a connection: {closed:?}", client.url),
    }
}

fn take(left: &AtomicU64) -> bool {
    left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1))
        .is_ok()
}

impl Client {
    /// Size of the answer's body.
    async fn call(&self, sender: &mut SendRequest<Full<Bytes>>) -> Result<usize> {
        let request = Request::post(self.url.path())
            .header(
                header::HOST,
                self.url.authority().map_or("", |host| host.as_str()),
            )
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
            "a call was answered with HTTP {status}: {}",
            String::from_utf8_lossy(&body)
        );
        Ok(body.len())
    }
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
            answer_bytes: 0,
            latencies,
        };
        assert!((measured.per_second() - 50.0).abs() < 1e-9);
        assert_eq!(measured.percentile(50), Duration::from_millis(50));
        assert_eq!(measured.percentile(99), Duration::from_millis(99));
    }
}
