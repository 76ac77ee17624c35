//! The node behind a servicer: a small, real JSON-RPC server that counts what reaches it and can be taken down.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Result;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::{Json, Router};
use bytes::Bytes;
use portico_net::Parts;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// Largest answer that is given.
const MAX_BYTES: u64 = 64 << 20;
/// A piece of a large answer.
static ZEROS: [u8; 64 << 10] = [b'0'; 64 << 10];
/// Longest time that an answer is made to take, in milliseconds.
const MAX_WAIT_MS: u64 = 10_000;

/// A backend that answers every method with its own call number, but `bytes` with a text of as many bytes as its parameter says,
/// and `wait` after as many milliseconds.
#[derive(Debug)]
pub struct Backend {
    addr: SocketAddr,
    calls: Arc<AtomicU64>,
    server: Option<JoinHandle<()>>,
}

impl Backend {
    /// Starts on a free port.
    pub async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let addr = listener.local_addr()?;
        let calls = Arc::new(AtomicU64::new(0));
        let server = Some(serve(listener, Arc::clone(&calls)));
        Ok(Self { addr, calls, server })
    }

    /// Where it listens.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Calls answered so far.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::SeqCst)
    }

    /// Stops listening.
    pub async fn take_down(&mut self) {
        if let Some(server) = self.server.take() {
            server.abort();
            let _ = server.await;
        }
    }

    /// Listens again on the same port.
    pub async fn bring_back(&mut self) -> Result<()> {
        let listener = TcpListener::bind(self.addr).await?;
        self.server = Some(serve(listener, Arc::clone(&self.calls)));
        Ok(())
    }
}

fn serve(listener: TcpListener, calls: Arc<AtomicU64>) -> JoinHandle<()> {
    let router = Router::new().fallback(answer).with_state(calls);
    tokio::spawn(async move {
        let _ = axum::serve(listener, router).await;
    })
}

async fn answer(State(calls): State<Arc<AtomicU64>>, Json(call): Json<Value>) -> Response {
    let number = calls.fetch_add(1, Ordering::SeqCst);
    if call["method"] == "wait" {
        let ms = call["params"][0].as_u64().unwrap_or_default().min(MAX_WAIT_MS);
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }
    if call["method"] == "bytes" {
        let bytes = call["params"][0].as_u64().unwrap_or_default().min(MAX_BYTES);
        return text_of(usize::try_from(bytes).unwrap_or_default(), &call["id"]);
    }
    Json(json!({ "jsonrpc": "2.0", "id": call["id"], "result": format!("{number:#x}") })).into_response()
}

/// An answer with a text of so many bytes. It is not put together here: what a large answer costs is to be its way through the roles.
fn text_of(bytes: usize, id: &Value) -> Response {
    let head = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":""#);
    let mut parts = vec![Bytes::from(head)];
    let pieces = (0..bytes).step_by(ZEROS.len());
    parts.extend(pieces.map(|at| Bytes::from_static(&ZEROS[..ZEROS.len().min(bytes - at)])));
    parts.push(Bytes::from_static(br#""}"#));
    (
        [("content-type", "application/json")],
        Body::new(Parts::new(parts)),
    )
        .into_response()
}
