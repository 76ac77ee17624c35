//! A listener with a small router, and clients that misbehave.
#![allow(clippy::unwrap_used, clippy::expect_used, dead_code)] // helpers of tests, not all used by each

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::StatusCode;
use axum::routing::{get, post};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use portico_config::listener::ListenerConfig;
use portico_net::{Listener, ListenerMetrics};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Bytes of `/large`: more than sockets buffer.
pub(crate) const LARGE: usize = 15 << 20;

/// Requests that wait in `/wait`.
#[derive(Default)]
pub(crate) struct Waiting {
    pub(crate) now: AtomicUsize,
    pub(crate) most: AtomicUsize,
    pub(crate) go: Notify,
}

pub(crate) struct Served {
    pub(crate) address: SocketAddr,
    pub(crate) stop: CancellationToken,
    pub(crate) waiting: Arc<Waiting>,
    pub(crate) registry: prometheus::Registry,
    pub(crate) task: JoinHandle<std::io::Result<()>>,
}

fn router(waiting: Arc<Waiting>) -> Router {
    let wait = async move || {
        let now = waiting.now.fetch_add(1, Ordering::SeqCst) + 1;
        waiting.most.fetch_max(now, Ordering::SeqCst);
        waiting.go.notified().await;
        waiting.now.fetch_sub(1, Ordering::SeqCst);
        "waited"
    };
    Router::new()
        .route("/", get(async || "hello"))
        .route("/echo", post(async |body: Bytes| body))
        .route(
            "/refuse",
            post(async || (StatusCode::PAYLOAD_TOO_LARGE, "too large")),
        )
        .route("/large", get(async || Body::from(vec![7; LARGE])))
        .route("/empty", get(async || StatusCode::IM_A_TEAPOT))
        .route("/wait", get(wait.clone()).post(wait))
}

pub(crate) fn serve(config: ListenerConfig) -> Served {
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let registry = prometheus::Registry::new();
    let metrics = ListenerMetrics::new(&registry).unwrap();
    let stop = CancellationToken::new();
    let waiting = Arc::new(Waiting::default());
    let listener = Listener::new("test", socket, &config, &metrics).grace(Duration::from_secs(5));
    let task = tokio::spawn(listener.serve(router(waiting.clone()), stop.clone()));
    Served {
        address,
        stop,
        waiting,
        registry,
        task,
    }
}

impl Served {
    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// A connection on which this was sent.
    pub(crate) async fn sent(&self, text: &str) -> TcpStream {
        let mut stream = self.connect().await;
        stream.write_all(text.as_bytes()).await.unwrap();
        stream
    }

    pub(crate) async fn http2(&self) -> http2::SendRequest<Body> {
        let io = TokioIo::new(self.connect().await);
        let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
        tokio::spawn(connection);
        sender
    }

    /// Connections that are held now.
    pub(crate) fn connections(&self) -> f64 {
        self.metric("portico_listener_connections", None)
    }

    /// Refusals for this reason.
    pub(crate) fn refused(&self, reason: &str) -> f64 {
        self.metric("portico_listener_refused_total", Some(reason))
    }

    fn metric(&self, name: &str, reason: Option<&str>) -> f64 {
        let families = self.registry.gather();
        let family = families.iter().find(|family| family.name() == name);
        let metrics = family.into_iter().flat_map(|family| family.get_metric());
        metrics
            .filter(|metric| {
                reason.is_none_or(|reason| metric.get_label().iter().any(|l| l.value() == reason))
            })
            .map(|metric| metric.get_gauge().get_value() + metric.get_counter().get_value())
            .sum()
    }

    pub(crate) async fn until(&self, holds: impl Fn(&Self) -> bool) {
        for _ in 0..5_000 {
            if holds(self) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("it did not come to that");
    }
}

/// Reads until the other end closes, and says so with what came.
pub(crate) async fn read_all(stream: &mut TcpStream) -> Result<String, std::io::Error> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Reads one answer of HTTP/1 with a `content-length`.
pub(crate) async fn read_answer(stream: &mut TcpStream) -> String {
    let mut text = String::new();
    let mut byte = [0];
    while !text.ends_with("\r\n\r\n") {
        assert_eq!(stream.read(&mut byte).await.unwrap(), 1, "closed after {text:?}");
        text.push(char::from(byte[0]));
    }
    let length = text
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.unwrap().parse().unwrap()];
    stream.read_exact(&mut body).await.unwrap();
    text.push_str(&String::from_utf8_lossy(&body));
    text
}
