//! Clients that keep their connections: each sends its next call when the last one is answered.

mod events;
mod grpc;
mod http;
pub(super) mod websocket;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ::http::Uri;
use anyhow::{Result, ensure};
use portico_net::tls::ClientTls;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::transport::Transport;
use super::turns::Turns;

/// What is called, and how it is answered.
#[derive(Clone, Debug)]
pub(super) struct Workload {
    pub(super) transport: Transport,
    /// Messages or chunks that the backend says per call.
    pub(super) per_call: u16,
    /// Those of the backend.
    pub(super) turns: Turns,
}

/// Where calls are sent.
#[derive(Clone, Debug)]
pub(super) struct Client {
    url: Uri,
    tls: ClientTls,
    workload: Workload,
}

/// What was seen.
pub(super) struct Measured {
    /// From the first call to the last answer.
    pub(super) took: Duration,
    /// Size of the last answer, message or chunk.
    pub(super) answer_bytes: usize,
    /// Time of each call, message or chunk, ascending.
    latencies: Vec<Duration>,
}

impl Measured {
    /// Calls answered, or messages or chunks that came.
    pub(super) fn calls(&self) -> u64 {
        self.latencies.len() as u64
    }

    /// Of them, those of a second.
    pub(super) fn per_second(&self) -> f64 {
        self.calls() as f64 / self.took.as_secs_f64()
    }

    /// The time within which `percent` of them came.
    pub(super) fn percentile(&self, percent: usize) -> Duration {
        let last = self.latencies.len().saturating_sub(1);
        self.latencies
            .get(last * percent / 100)
            .copied()
            .unwrap_or_default()
    }
}

/// What the connections of a run share.
#[derive(Debug)]
struct Run {
    /// Calls that may still be sent.
    left: AtomicU64,
    until: Instant,
}

impl Run {
    /// Whether there is another call to send.
    fn another(&self) -> bool {
        let one_less = |left: u64| left.checked_sub(1);
        Instant::now() < self.until
            && self
                .left
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less)
                .is_ok()
    }
}

/// What one connection saw.
#[derive(Debug, Default)]
struct Seen {
    latencies: Vec<Duration>,
    answer_bytes: usize,
}

impl Seen {
    /// Something came of this size, which was waited for since `begun`.
    fn came(&mut self, begun: Instant, bytes: usize) {
        self.latencies.push(begun.elapsed());
        self.answer_bytes = bytes;
    }
}

impl Client {
    /// Will send calls to `url`, whose certificate is judged by `tls` where it is `https`.
    pub(super) fn new(url: &str, tls: ClientTls, workload: Workload) -> Result<Self> {
        let url = url.parse()?;
        Ok(Self { url, tls, workload })
    }

    /// Sends calls over `connections` connections until `wanted` answers, messages or chunks have come, for `limit` at most.
    pub(super) async fn run(&self, connections: u16, wanted: u64, limit: Duration) -> Result<Measured> {
        let begun = Instant::now();
        let run = Arc::new(Run {
            left: AtomicU64::new(wanted.div_ceil(self.workload.per_call.into())),
            until: begun + limit,
        });
        let mut clients = JoinSet::new();
        for _ in 0..connections {
            let (client, run) = (self.clone(), Arc::clone(&run));
            clients.spawn(async move { client.connection(&run).await });
        }
        let mut measured = Measured {
            took: Duration::ZERO,
            answer_bytes: 0,
            latencies: Vec::new(),
        };
        while let Some(done) = clients.join_next().await {
            let seen = done??;
            measured.latencies.extend(seen.latencies);
            measured.answer_bytes = measured.answer_bytes.max(seen.answer_bytes);
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

    async fn connection(&self, run: &Run) -> Result<Seen> {
        match self.workload.transport {
            Transport::Http => http::calls(self, run).await,
            Transport::Ws => websocket::calls(self, run).await,
            Transport::Sse => events::calls(self, run).await,
            Transport::Grpc => grpc::calls(self, run).await,
        }
    }

    fn host(&self) -> &str {
        self.url.authority().map_or("", |host| host.as_str())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::time::Duration;

    use portico_net::tls::ClientTls;

    use super::super::transport::Transport;
    use super::super::turns::Turns;
    use super::{Client, Measured, Workload};

    /// A client of `transport` at `url`.
    pub(in crate::bench) fn client(url: &str, transport: Transport, per_call: u16, turns: Turns) -> Client {
        let workload = Workload {
            transport,
            per_call,
            turns,
        };
        Client::new(url, ClientTls::public(), workload).unwrap()
    }

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

    #[tokio::test(flavor = "multi_thread")]
    async fn every_transport_counts_what_its_backend_says() {
        let turns = Turns::default();
        let backend = super::super::backend::start(5_000, turns.clone()).await.unwrap();
        for (transport, per_call, bytes) in [
            (Transport::Http, 1, 5_000),
            (Transport::Ws, 1, 5_000),
            (Transport::Ws, 10, 5_000),
            (Transport::Sse, 25, 5_000),
            (Transport::Grpc, 1, 5_000),
        ] {
            let client = client(
                &format!("http://{backend}/v1"),
                transport,
                per_call,
                turns.clone(),
            );
            let measured = client.run(4, 50, Duration::from_secs(20)).await.unwrap();
            assert_eq!(
                (measured.calls(), measured.answer_bytes),
                (50, bytes),
                "{transport:?}"
            );
        }
    }
}
