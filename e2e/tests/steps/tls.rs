//! tls.feature

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use cucumber::{given, then};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::World;

/// Longest wait for a role to close a connection that does not speak TLS.
const CLOSE: Duration = Duration::from_secs(30);

#[given(regex = r"^a network with (\d+) suppliers? whose hops are TLS$")]
fn a_network_over_tls(world: &mut World, suppliers: usize) {
    world.spec.suppliers = suppliers;
    world.spec.tls = true;
}

/// So whatever a role was asked came by TLS: chain RPC and its WebSocket, chain gRPC, servicer, gateway.
#[then("no role answers without TLS")]
async fn nothing_in_the_clear(world: &mut World) -> Result<()> {
    for (what, address) in world.network().await?.listeners() {
        let mut stream = TcpStream::connect(address).await?;
        stream
            .write_all(b"GET /health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            .await?;
        let mut answer = Vec::new();
        let read = tokio::time::timeout(CLOSE, stream.read_to_end(&mut answer)).await;
        let _ = read.with_context(|| format!("the {what} holds a connection without TLS"))?;
        ensure!(!answer.starts_with(b"HTTP"), "the {what} answers without TLS");
    }
    Ok(())
}

/// And nobody asks in the clear.
#[then("every role's URLs are https")]
async fn urls_are_https(world: &mut World) -> Result<()> {
    for (role, text) in world.network().await?.config_files()? {
        let in_the_clear: Vec<&str> = text.lines().filter(|line| line.contains("http://")).collect();
        ensure!(in_the_clear.is_empty(), "{role}: {in_the_clear:?}");
    }
    Ok(())
}
