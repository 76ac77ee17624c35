//! What clients may hold is bounded, and refusals arrive.
#![allow(clippy::unwrap_used)] // helpers of tests

mod support;

use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Method, Request};
use http_body_util::BodyExt as _;
use portico_config::listener::ListenerConfig;
use tokio::io::AsyncWriteExt as _;

use support::{read_all, read_answer, serve};

const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
const WAIT: &str = "GET /wait HTTP/1.1\r\nhost: a\r\n\r\n";

#[tokio::test]
async fn one_address_with_requests_in_progress_gets_no_more_connections() {
    let served = serve(ListenerConfig {
        max_connections_per_ip: 3,
        ..ListenerConfig::default()
    });
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(served.sent(WAIT).await);
    }
    served
        .until(|served| served.waiting.now.load(Ordering::SeqCst) == 3)
        .await;
    let text = read_all(&mut served.connect().await).await;
    assert_eq!(text.unwrap_or_default(), "", "closed at once");
    assert_eq!(served.refused("per_ip"), 1.0);
    served.waiting.go.notify_waiters();
    for stream in &mut held {
        assert!(read_answer(stream).await.ends_with("waited"));
    }
}

#[tokio::test]
async fn silent_sockets_give_way_to_requests() {
    let served = serve(ListenerConfig {
        max_connections: 50,
        max_connections_per_ip: 20,
        ..ListenerConfig::default()
    });
    let mut silent = Vec::new();
    for _ in 0..100 {
        silent.push(served.connect().await);
    }
    let mut stream = served.sent(GET).await;
    assert!(read_answer(&mut stream).await.ends_with("hello"));
    assert!(served.connections() <= 20.0);
    assert!(served.refused("evicted") >= 80.0);
}

#[tokio::test]
async fn beyond_the_total_connections_wait() {
    let served = serve(ListenerConfig {
        max_connections: 2,
        ..ListenerConfig::default()
    });
    let _held = (served.sent(WAIT).await, served.sent(WAIT).await);
    served
        .until(|served| served.waiting.now.load(Ordering::SeqCst) == 2)
        .await;
    let mut third = served.sent(GET).await;
    let waits = tokio::time::timeout(Duration::from_millis(300), read_answer(&mut third)).await;
    assert!(waits.is_err());
    served.waiting.go.notify_waiters();
    assert!(read_answer(&mut third).await.ends_with("hello"));
}

#[tokio::test]
async fn streams_of_one_connection_are_bounded() {
    let served = serve(ListenerConfig {
        max_streams: 10,
        ..ListenerConfig::default()
    });
    let mut sender = served.http2().await;
    let request = Request::get("http://a/").body(Body::empty()).unwrap();
    sender.send_request(request).await.unwrap(); // with the answer came the server's settings
    let mut requests = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let mut sender = sender.clone();
        requests.spawn(async move {
            let request = Request::get("http://a/wait").body(Body::empty()).unwrap();
            sender.send_request(request).await.unwrap().status().as_u16()
        });
    }
    while !requests.is_empty() {
        served.waiting.go.notify_waiters();
        let next = tokio::time::timeout(Duration::from_millis(5), requests.join_next()).await;
        if let Ok(Some(status)) = next {
            assert_eq!(status.unwrap(), 200);
        }
    }
    assert_eq!(served.waiting.most.load(Ordering::SeqCst), 10);
}

#[tokio::test]
async fn a_flood_of_resets_ends_the_connection() {
    let served = serve(ListenerConfig::default());
    let mut sender = served.http2().await;
    let mut ended = false;
    for _ in 0..3_000 {
        let request = Request::get("http://a/wait").body(Body::empty()).unwrap();
        let sent = sender.send_request(request);
        // Given up after it was sent, which resets the stream.
        let given_up = tokio::time::timeout(Duration::from_millis(2), sent).await;
        ended = matches!(given_up, Ok(Err(_)));
        if ended {
            break;
        }
    }
    assert!(ended, "3000 resets");
}

/// The answer to a request whose body is sent to the end before anything is read.
async fn refused_while_sending(head: &str, bytes: usize) -> String {
    let served = serve(ListenerConfig::default());
    let mut stream = served.sent(head).await;
    let piece = vec![b'x'; 1 << 20];
    let mut left = bytes;
    while left > 0 {
        let count = left.min(piece.len());
        stream.write_all(&piece[..count]).await.expect("no broken pipe");
        left -= count;
    }
    read_all(&mut stream).await.expect("no reset")
}

#[tokio::test]
async fn a_refusal_arrives_at_a_client_that_is_still_sending() {
    let size = 100 << 20;
    let head = format!("POST /refuse HTTP/1.1\r\nhost: a\r\ncontent-length: {size}\r\n\r\n");
    let answer = refused_while_sending(&head, size).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    assert!(
        answer.contains("connection: close") && answer.ends_with("too large"),
        "{answer}"
    );
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused_with_a_body() {
    let size = 4 << 20;
    let answer = refused_while_sending("GET / HTTP/1.1\r\nhost: a\r\nx: ", size).await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    assert!(
        answer.ends_with(r#"{"error":"the request's headers are too large"}"#),
        "{answer}"
    );
}

#[tokio::test]
async fn a_refused_http2_upload_gets_its_answer() {
    let served = serve(ListenerConfig::default());
    let mut sender = served.http2().await;
    let request = Request::post("http://a/refuse")
        .body(Body::from(vec![1; 8 << 20]))
        .unwrap();
    let answer = sender.send_request(request).await.expect("no reset");
    assert_eq!(answer.status(), 413);
    assert_eq!(
        answer.into_body().collect().await.unwrap().to_bytes(),
        "too large"
    );
}

/// A body that tells how much of it was taken.
struct Counted(usize, std::sync::Arc<std::sync::atomic::AtomicUsize>);

impl hyper::body::Body for Counted {
    type Data = bytes::Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<hyper::body::Frame<bytes::Bytes>, Self::Error>>> {
        let piece = self.0.min(64 << 10);
        self.0 -= piece;
        self.1.fetch_add(piece, Ordering::SeqCst);
        std::task::Poll::Ready((piece > 0).then(|| Ok(hyper::body::Frame::data(vec![0; piece].into()))))
    }
}

#[tokio::test]
async fn a_refused_http2_upload_is_read_to_its_end() {
    let served = serve(ListenerConfig::default());
    let mut sender = served.http2().await;
    let taken = std::sync::Arc::default();
    let body = Body::new(Counted(8 << 20, std::sync::Arc::clone(&taken)));
    let request = Request::post("http://a/refuse").body(body).unwrap();
    let answer = sender.send_request(request).await.expect("no reset");
    assert_eq!(answer.status(), 413);
    assert_eq!(
        answer.into_body().collect().await.unwrap().to_bytes(),
        "too large"
    );
    assert_eq!(
        taken.load(Ordering::SeqCst),
        8 << 20,
        "the stream was not reset before"
    );
}

#[tokio::test]
async fn a_short_body_that_nobody_reads_keeps_the_connection() {
    let served = serve(ListenerConfig::default());
    let mut stream = served
        .sent("POST /refuse HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\n01234")
        .await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    stream.write_all(b"56789").await.unwrap();
    let answer = read_answer(&mut stream).await;
    assert!(
        answer.starts_with("HTTP/1.1 413") && !answer.contains("close"),
        "{answer}"
    );
    stream.write_all(GET.as_bytes()).await.unwrap();
    assert!(read_answer(&mut stream).await.ends_with("hello"));
}

#[tokio::test]
async fn a_client_that_waits_for_100_continue_is_not_told_to_send() {
    let served = serve(ListenerConfig::default());
    let head = "POST /refuse HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\nexpect: 100-continue\r\n\r\n";
    let mut stream = served.sent(head).await;
    let answer = read_answer(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
}

#[tokio::test]
async fn bodies_beyond_the_bytes_in_flight_are_refused() {
    let served = serve(ListenerConfig {
        max_bytes_in_flight: 1_000,
        ..ListenerConfig::default()
    });
    let post = |length: usize| format!("POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n\r\n");
    let mut first = served.sent(&format!("{}{}", post(900), "x".repeat(600))).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    let mut second = served.sent(&format!("{}{}", post(500), "x".repeat(500))).await;
    let answer = read_answer(&mut second).await;
    assert!(
        answer.starts_with("HTTP/1.1 503") && answer.contains("retry-after: 1"),
        "{answer}"
    );
    assert!(
        answer.ends_with(r#"{"error":"too many bytes of requests are held; try again"}"#),
        "{answer}"
    );
    first.write_all("x".repeat(300).as_bytes()).await.unwrap();
    assert!(read_answer(&mut first).await.starts_with("HTTP/1.1 200"));
    second = served
        .sent(&format!("{}{}", post(1_000), "x".repeat(1_000)))
        .await;
    assert!(
        read_answer(&mut second).await.starts_with("HTTP/1.1 200"),
        "all was given back"
    );
}

#[tokio::test]
async fn a_request_names_one_host() {
    let served = serve(ListenerConfig::default());
    for (request, status) in [
        ("GET / HTTP/1.1\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n", "400"),
        ("GET / HTTP/1.0\r\nconnection: keep-alive\r\n\r\n", "200"),
        (GET, "200"),
    ] {
        let answer = read_answer(&mut served.sent(request).await).await;
        assert_eq!(answer.get(9..12), Some(status), "{request:?} {answer}");
        assert!(status == "200" || answer.contains(r#"{"error":"#), "{answer}");
    }
}

#[tokio::test]
async fn errors_of_the_http_layer_have_bodies() {
    let served = serve(ListenerConfig::default());
    let long = format!("GET /{} HTTP/1.1\r\nhost: a\r\n\r\n", "a".repeat(70_000));
    for (request, expected) in [
        (
            "GET / HTTP/1.1\r\nhost : a\r\n\r\n",
            r#"{"error":"the request is not HTTP/1.1"}"#,
        ),
        (
            "GET /empty HTTP/1.1\r\nhost: a\r\n\r\n",
            r#"{"error":"i'm a teapot"}"#,
        ),
        (
            "DELETE / HTTP/1.1\r\nhost: a\r\n\r\n",
            r#"{"error":"method not allowed"}"#,
        ),
        (
            "GET /nowhere HTTP/1.1\r\nhost: a\r\n\r\n",
            r#"{"error":"not found"}"#,
        ),
        (&long, "are too large\"}"),
    ] {
        let answer = read_answer(&mut served.sent(request).await).await;
        assert!(answer.ends_with(expected), "{answer}");
        assert!(answer.contains("application/json"), "{answer}");
    }
    let mut sender = served.http2().await;
    let head = Request::builder().method(Method::HEAD).uri("http://a/empty");
    let answer = sender
        .send_request(head.body(Body::empty()).unwrap())
        .await
        .unwrap();
    assert!(
        answer.headers().get("content-type").is_none(),
        "a HEAD has no body to describe"
    );
}

#[tokio::test]
async fn requests_in_progress_finish_after_the_stop() {
    let served = serve(ListenerConfig::default());
    let mut busy = served.sent(WAIT).await;
    let mut silent = served.connect().await;
    let mut idle = served.sent(GET).await;
    read_answer(&mut idle).await;
    served
        .until(|served| served.waiting.now.load(Ordering::SeqCst) == 1)
        .await;
    served.stop.cancel();
    assert_eq!(read_all(&mut silent).await.unwrap(), "");
    assert_eq!(read_all(&mut idle).await.unwrap(), "");
    assert!(
        tokio::net::TcpStream::connect(served.address).await.is_err(),
        "takes no more"
    );
    served.waiting.go.notify_one();
    assert!(read_answer(&mut busy).await.ends_with("waited"));
    tokio::time::timeout(Duration::from_secs(2), served.task)
        .await
        .unwrap()
        .unwrap()
        .unwrap();
}
