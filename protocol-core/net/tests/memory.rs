//! What connections cost that do nothing; a process of its own, since it is the process's memory that is looked at.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)] // helpers of tests

mod support;

use portico_config::listener::ListenerConfig;
use tokio::io::AsyncWriteExt as _;

use support::serve;

/// Both ends are in this process, so twice as many files are open.
const CONNECTIONS: usize = 400;
/// Bytes that a connection with half a head may cost: hyper's buffers alone are 16 KiB.
const MAX_BYTES: usize = 12 << 10;

fn resident_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    let kib: usize = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib << 10
}

#[tokio::test]
async fn half_a_head_costs_no_buffers() {
    let served = serve(ListenerConfig::default());
    let mut connections = Vec::new();
    for round in 0..2 {
        let before = resident_bytes();
        for _ in 0..CONNECTIONS / 2 {
            let mut stream = served.connect().await;
            stream
                .write_all(b"GET / HTTP/1.1\r\nhost: a\r\nx-half")
                .await
                .unwrap();
            connections.push(stream);
        }
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        // The first ones pay for what all need.
        let each = resident_bytes().saturating_sub(before) / (CONNECTIONS / 2);
        assert!(round == 0 || each < MAX_BYTES, "{each} bytes for each connection");
    }
    // They are whole heads' beginnings, and not forgotten.
    let mut first = connections.swap_remove(0);
    first
        .write_all(b": y\r\nconnection: close\r\n\r\n")
        .await
        .unwrap();
    let answer = support::read_all(&mut first).await.unwrap();
    assert!(answer.ends_with("hello"), "{answer}");
}
