//! A supplier that lies: staked like any other, but what it signs is garbage.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Result;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use portico_protocol::SigningKey;
use portico_protocol::http_payload;
use portico_protocol::relay::sign_response;
use portico_protocol::wire::pocket::service::RelayRequest;
use prost::Message;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// An HTTP relay endpoint whose answers carry a signature of the right length over other bytes.
#[derive(Debug)]
pub struct LyingSupplier {
    addr: SocketAddr,
    asked: Arc<AtomicU64>,
    server: JoinHandle<()>,
}

#[derive(Clone)]
struct Liar {
    key: SigningKey,
    asked: Arc<AtomicU64>,
}

impl LyingSupplier {
    /// Serves on `addr` with the supplier's real key.
    pub async fn start(addr: SocketAddr, key: SigningKey) -> Result<Self> {
        let listener = TcpListener::bind(addr).await?;
        let asked = Arc::new(AtomicU64::new(0));
        let router = Router::new().fallback(lie).with_state(Liar {
            key,
            asked: Arc::clone(&asked),
        });
        let server = tokio::spawn(async move {
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self { addr, asked, server })
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Requests it has answered.
    #[must_use]
    pub fn asked(&self) -> u64 {
        self.asked.load(Ordering::SeqCst)
    }
}

impl Drop for LyingSupplier {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn lie(State(liar): State<Liar>, body: Bytes) -> Vec<u8> {
    liar.asked.fetch_add(1, Ordering::SeqCst);
    let header = RelayRequest::decode(body)
        .ok()
        .and_then(|r| r.meta)
        .and_then(|m| m.session_header);
    let payload = http_payload::encode_http_response(
        200,
        [("Content-Type", "application/json")],
        Bytes::from_static(br#"{"jsonrpc":"2.0","id":1,"result":"a lie"}"#),
    );
    let mut response = sign_response(&header.unwrap_or_default(), payload, &liar.key);
    if let Some(meta) = response.meta.as_mut() {
        meta.supplier_operator_signature = liar.key.sign(b"something else").to_vec();
    }
    response.encode_to_vec()
}
