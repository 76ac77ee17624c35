//! A node that always answers the same.

use std::net::SocketAddr;

use anyhow::Result;
use axum::Router;
use axum::body::Bytes;
use axum::http::header::CONTENT_TYPE;
use portico_localnet::local;
use tokio::net::TcpListener;

/// Starts a backend whose answers have `bytes` bytes (at least those of an empty JSON-RPC answer) and returns its address.
pub(super) async fn start(bytes: usize) -> Result<SocketAddr> {
    let listener = TcpListener::bind(local(0)).await?;
    let address = listener.local_addr()?;
    let answer = answer(bytes);
    let routes = Router::new().fallback(move || {
        let answer = answer.clone();
        async move { ([(CONTENT_TYPE, "application/json")], answer) }
    });
    tokio::task::spawn(async move { axum::serve(listener, routes).await }); // lives as long as the process
    Ok(address)
}

fn answer(bytes: usize) -> Bytes {
    let (head, tail) = (r#"{"jsonrpc":"2.0","id":1,"result":""#, "\"}");
    let fill = "0".repeat(bytes.saturating_sub(head.len() + tail.len()));
    Bytes::from(format!("{head}{fill}{tail}"))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_answer_is_json_of_the_wanted_size() {
        let answer = super::answer(1024);
        assert_eq!(answer.len(), 1024);
        serde_json::from_slice::<serde_json::Value>(&answer).unwrap();
    }
}
