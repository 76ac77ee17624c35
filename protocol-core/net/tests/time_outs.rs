//! Every connection ends that does nothing, on real sockets and a paused clock.
#![allow(clippy::unwrap_used)] // helpers of tests

mod support;

use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use http_body_util::BodyExt as _;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use portico_config::listener::ListenerConfig;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::time::Instant;

use support::{LARGE, read_all, read_answer, serve};

const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";

fn config() -> ListenerConfig {
    ListenerConfig {
        first_byte_timeout_ms: 5_000,
        head_timeout_ms: 8_000,
        body_timeout_ms: 6_000,
        write_timeout_ms: 9_000,
        idle_timeout_ms: 20_000,
        ..ListenerConfig::default()
    }
}

/// Seconds until the other end closes, and what it sent before.
async fn closed_after(stream: &mut TcpStream) -> (u64, String) {
    let begun = Instant::now();
    let closed = tokio::time::timeout(Duration::from_secs(100), read_all(stream)).await;
    let text = closed.expect("open for ever").unwrap_or_default();
    (begun.elapsed().as_secs(), text)
}

/// A deadline is seen a quarter of the shortest time-out late at most.
fn assert_about(seconds: u64, expected: u64) {
    assert!(
        (expected..=expected + 2).contains(&seconds),
        "{seconds} s, not {expected}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_silent_socket_is_closed() {
    let served = serve(config());
    let (seconds, text) = closed_after(&mut served.connect().await).await;
    assert_about(seconds, 5);
    assert_eq!(text, "");
    assert_eq!(served.refused("first_byte"), 1.0);
}

#[tokio::test(start_paused = true)]
async fn what_is_no_whole_head_is_closed() {
    let served = serve(config());
    for part in ["P", "PRI * HTTP/2.0\r\n\r\nSM", "GET / HTTP/1.1\r\nhost: a\r\n"] {
        let (seconds, text) = closed_after(&mut served.sent(part).await).await;
        assert_about(seconds, 8);
        assert_eq!(text, "", "{part:?}");
    }
    assert_eq!(served.refused("head"), 3.0);
}

#[tokio::test(start_paused = true)]
async fn a_head_sent_byte_by_byte_wins_no_time() {
    let served = serve(config());
    let mut stream = served.connect().await;
    let begun = Instant::now();
    for byte in format!("GET / HTTP/1.1\r\nhost: {}", "a".repeat(100)).bytes() {
        if stream.write_all(&[byte]).await.is_err() {
            break;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert!(begun.elapsed() < Duration::from_secs(13), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_closed() {
    let served = serve(config());
    let mut stream = served.sent(GET).await;
    assert!(read_answer(&mut stream).await.ends_with("hello"));
    let (seconds, _) = closed_after(&mut stream).await;
    assert_about(seconds, 20);
    assert_eq!(served.refused("idle"), 1.0);
}

#[tokio::test(start_paused = true)]
async fn half_a_second_head_is_closed_sooner_than_an_idle_one() {
    let served = serve(config());
    let mut stream = served.sent(GET).await;
    read_answer(&mut stream).await;
    stream.write_all(b"GET / HT").await.unwrap();
    let (seconds, _) = closed_after(&mut stream).await;
    assert_about(seconds, 8);
}

#[tokio::test(start_paused = true)]
async fn an_idle_http2_connection_is_closed() {
    let served = serve(config());
    let mut sender = served.http2().await;
    let request = Request::get("http://a/").body(Body::empty()).unwrap();
    assert_eq!(sender.send_request(request).await.unwrap().status(), 200);
    let begun = Instant::now();
    served.until(|served| served.connections() == 0.0).await;
    assert_about(begun.elapsed().as_secs(), 20);
}

#[tokio::test(start_paused = true)]
async fn an_http2_connection_without_a_request_is_closed() {
    let served = serve(config());
    let sender = served.http2().await;
    let begun = Instant::now();
    served.until(|served| served.refused("head") == 1.0).await;
    assert_about(begun.elapsed().as_secs(), 8);
    drop(sender);
}

#[tokio::test(start_paused = true)]
async fn a_request_in_progress_has_no_deadline_here() {
    let served = serve(config());
    let mut stream = served.sent("GET /wait HTTP/1.1\r\nhost: a\r\n\r\n").await;
    tokio::time::sleep(Duration::from_secs(1_000)).await;
    served.waiting.go.notify_one();
    assert!(read_answer(&mut stream).await.ends_with("waited"));
}

#[tokio::test(start_paused = true)]
async fn a_body_that_stands_still_is_answered_408() {
    let served = serve(config());
    let mut stream = served
        .sent("POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nabc")
        .await;
    let begun = Instant::now();
    let answer = read_answer(&mut stream).await;
    assert_about(begun.elapsed().as_secs(), 6);
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(
        answer.ends_with(r#"{"error":"the request's body did not arrive in time"}"#),
        "{answer}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_is_cut_off() {
    let served = serve(config());
    let stream = served.sent("GET /large HTTP/1.1\r\nhost: a\r\n\r\n").await;
    served.until(|served| served.refused("write") == 1.0).await;
    assert_eq!(served.connections(), 0.0);
    drop(stream);
}

#[tokio::test(start_paused = true)]
async fn an_http2_client_that_does_not_read_is_cut_off() {
    let served = serve(config());
    let mut sender = served.http2().await;
    let request = Request::get("http://a/large").body(Body::empty()).unwrap();
    let unread = sender.send_request(request).await.unwrap();
    // Other streams move: the unread one is noticed all the same.
    let begun = Instant::now();
    while served.refused("write") == 0.0 && begun.elapsed() < Duration::from_secs(60) {
        let request = Request::get("http://a/").body(Body::empty()).unwrap();
        drop(sender.send_request(request).await);
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    assert_about(begun.elapsed().as_secs(), 9);
    drop(unread);
}

#[tokio::test]
async fn an_http2_client_that_takes_next_to_nothing_is_cut_off() {
    let served = serve(ListenerConfig {
        write_timeout_ms: 1_000,
        ..config()
    });
    let io = TokioIo::new(served.connect().await);
    let mut builder = http2::Builder::new(TokioExecutor::new());
    let handshake = builder.initial_stream_window_size(1024).handshake(io);
    let (mut sender, connection) = handshake.await.unwrap();
    tokio::spawn(connection);
    let request = Request::get("http://a/large").body(Body::empty()).unwrap();
    let mut answer = sender.send_request(request).await.unwrap();
    let (begun, mut pieces) = (Instant::now(), 0);
    while served.refused("write") == 0.0 && begun.elapsed() < Duration::from_secs(10) {
        if let Some(Ok(_)) = answer.frame().await {
            pieces += 1;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert!((3..20).contains(&pieces), "{pieces} of 1 KiB each");
    assert!(begun.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn a_client_that_reads_slowly_gets_all() {
    let served = serve(ListenerConfig {
        write_timeout_ms: 300,
        ..config()
    });
    let mut stream = served
        .sent("GET /large HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
        .await;
    let mut total = 0;
    let mut piece = vec![0; 1 << 20];
    loop {
        match tokio::io::AsyncReadExt::read(&mut stream, &mut piece)
            .await
            .unwrap()
        {
            0 => break,
            count => total += count,
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(total > LARGE, "{total}");
}
