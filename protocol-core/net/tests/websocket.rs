//! WebSockets over the listener, against tungstenite's and against our own other end.

#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use bytes::Bytes;
use futures::{SinkExt as _, StreamExt as _};
use http::{HeaderMap, Uri};
use portico_config::listener::ListenerConfig;
use portico_net::tls::ClientTls;
use portico_net::websocket::{
    self, Close, ConnectError, Incoming, Kind, Limits, Message, Receiver, STEP, Sender, WebSocketError,
};
use portico_net::{Listener, ListenerMetrics, dial_websocket, dial_websocket_to};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite;
use tokio_util::sync::CancellationToken;

const MAX: usize = 1 << 20;

fn limits() -> Limits {
    Limits {
        max_message_bytes: MAX,
        write_timeout: Duration::from_millis(300),
        budgets: None,
    }
}

/// Says everything twice; `flood` sends without end, and tells how that ends.
async fn twice(mut request: Request) -> Response {
    let flood = request.uri().path() == "/flood";
    let (response, upgrade) = match websocket::accept(&mut request) {
        Ok(granted) => granted,
        Err(error) => return (error.status(), error.to_string()).into_response(),
    };
    tokio::spawn(async move {
        let (receiver, sender) = upgrade.open(limits()).await.unwrap();
        let served = async {
            match flood {
                true => pour(&sender).await,
                false => echo(receiver, &sender).await,
            }
        };
        let error = tokio::select! {
            error = served => error,
            Err(error) = sender.keep() => error,
        };
        if let Some(close) = error.close() {
            sender.close(close).await;
        }
    });
    response
}

async fn echo(mut receiver: Receiver, sender: &Sender) -> WebSocketError {
    loop {
        match receiver.next().await {
            Ok(Incoming::Message(message)) => {
                for _ in 0..2 {
                    sender.send(message.clone()).await.unwrap();
                }
            }
            Ok(Incoming::Close(close)) => {
                sender.close(close.sendable()).await;
                return WebSocketError::Dropped;
            }
            Err(error) => return error,
        }
    }
}

async fn pour(sender: &Sender) -> WebSocketError {
    loop {
        let message = Message {
            kind: Kind::Binary,
            bytes: Bytes::from(vec![7; STEP]),
        };
        if let Err(error) = sender.send(message).await {
            assert_eq!(error, WebSocketError::Slow);
            return error;
        }
    }
}

fn serve(config: &ListenerConfig) -> (SocketAddr, prometheus::Registry) {
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let registry = prometheus::Registry::new();
    let metrics = ListenerMetrics::new(&registry).unwrap();
    let listener = Listener::new("test", socket, config, &metrics);
    let router = Router::new().fallback(get(twice));
    tokio::spawn(listener.serve(router, CancellationToken::new()));
    (address, registry)
}

async fn ours(address: SocketAddr, path: &str) -> Result<(Receiver, Sender), ConnectError> {
    let url: Uri = format!("ws://{address}{path}").parse().unwrap();
    let socket = dial_websocket(&url, &ClientTls::public()).await?;
    websocket::connect(socket, &url, HeaderMap::new(), limits()).await
}

async fn next(receiver: &mut Receiver) -> Result<Incoming, WebSocketError> {
    let next = tokio::time::timeout(Duration::from_secs(10), receiver.next());
    next.await.expect("something within ten seconds")
}

#[tokio::test]
async fn both_ends_are_ours() {
    let (address, _) = serve(&ListenerConfig::default());
    let (mut receiver, sender) = ours(address, "/").await.unwrap();
    let large = Bytes::from(
        (0..MAX)
            .map(|n| u8::try_from(n % 251).unwrap())
            .collect::<Vec<u8>>(),
    );
    for (kind, bytes) in [
        (Kind::Text, Bytes::from_static(b"\x0a\xff\x00")),
        (Kind::Binary, Bytes::new()),
        (Kind::Binary, large),
    ] {
        let message = Message { kind, bytes };
        sender.send(message.clone()).await.unwrap();
        for _ in 0..2 {
            assert_eq!(next(&mut receiver).await, Ok(Incoming::Message(message.clone())));
        }
    }
    sender.close(Close::new(4321, "custom")).await;
    assert_eq!(
        next(&mut receiver).await,
        Ok(Incoming::Close(Close::new(4321, "custom")))
    );
    assert_eq!(next(&mut receiver).await, Err(WebSocketError::Dropped));
    let after = Message {
        kind: Kind::Text,
        bytes: Bytes::new(),
    };
    assert_eq!(sender.send(after).await, Err(WebSocketError::Dropped));
}

#[tokio::test]
async fn a_client_of_tungstenite_is_served() {
    let (address, _) = serve(&ListenerConfig::default());
    let url = format!("ws://{address}/");
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut socket, response) = tokio_tungstenite::client_async(url, stream).await.unwrap();
    assert_eq!(response.status().as_u16(), 101);
    socket.send(tungstenite::Message::text("hällo")).await.unwrap();
    for _ in 0..2 {
        let message = socket.next().await.unwrap().unwrap();
        assert_eq!(message, tungstenite::Message::text("hällo"));
    }
    socket
        .send(tungstenite::Message::Ping("are you there".into()))
        .await
        .unwrap();
    let pong = socket.next().await.unwrap().unwrap();
    assert_eq!(pong, tungstenite::Message::Pong("are you there".into()));
    socket.close(None).await.unwrap();
    let close = socket.next().await.unwrap().unwrap();
    assert_eq!(close, tungstenite::Message::Close(None));
    assert!(socket.next().await.is_none());
}

#[tokio::test]
async fn a_server_of_tungstenite_is_asked() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
        // Right behind the handshake's answer, and so often in one packet with it.
        socket.send(tungstenite::Message::text("first")).await.unwrap();
        let message = socket.next().await.unwrap().unwrap();
        socket.send(message).await.unwrap();
        socket.close(None).await.unwrap();
        while socket.next().await.is_some() {}
    });
    let (mut receiver, sender) = ours(address, "/ws?x=1").await.unwrap();
    let text = |text: &'static str| Message {
        kind: Kind::Text,
        bytes: text.into(),
    };
    assert_eq!(next(&mut receiver).await, Ok(Incoming::Message(text("first"))));
    sender.send(text("second")).await.unwrap();
    assert_eq!(next(&mut receiver).await, Ok(Incoming::Message(text("second"))));
    assert_eq!(next(&mut receiver).await, Ok(Incoming::Close(Close::default())));
    sender.close(Close::default()).await;
    drop((receiver, sender));
    serving.await.unwrap();
}

#[tokio::test]
async fn too_large_a_message_is_told() {
    let (address, _) = serve(&ListenerConfig::default());
    let (mut receiver, sender) = ours(address, "/").await.unwrap();
    let message = Message {
        kind: Kind::Binary,
        bytes: vec![0; MAX + 1].into(),
    };
    let _ = sender.send(message).await; // its end may find nobody who reads
    match next(&mut receiver).await {
        Ok(Incoming::Close(close)) => assert_eq!(close.code, Some(1009)),
        other => assert_eq!(other, Err(WebSocketError::Dropped)),
    }
}

#[tokio::test]
async fn who_takes_nothing_is_cut_off() {
    let (address, _) = serve(&ListenerConfig::default());
    let (receiver, sender) = ours(address, "/flood").await.unwrap();
    let gone = async {
        let message = || Message {
            kind: Kind::Binary,
            bytes: Bytes::from_static(b"x"),
        };
        while sender.send(message()).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), gone).await.unwrap();
    drop(receiver);
}

#[tokio::test]
async fn refusals_are_read() {
    let (address, _) = serve(&ListenerConfig::default());
    let stream = TcpStream::connect(address).await.unwrap();
    let request = http::Request::get(format!("ws://{address}/"))
        .header("host", "x")
        .header("upgrade", "websocket")
        .header("connection", "upgrade")
        .header("sec-websocket-key", "x")
        .header("sec-websocket-version", "12");
    let (mut requests, connection) =
        hyper::client::conn::http1::handshake(hyper_util::rt::TokioIo::new(stream))
            .await
            .unwrap();
    tokio::spawn(connection);
    let request = request.body(axum::body::Body::empty()).unwrap();
    let response = requests.send_request(request).await.unwrap();
    assert_eq!(response.status().as_u16(), 426);

    let refusing = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = refusing.local_addr().unwrap();
    let app = Router::new().fallback(async || (http::StatusCode::NOT_FOUND, "unknown service"));
    tokio::spawn(async move { axum::serve(refusing, app).await.unwrap() });
    match ours(at, "/").await {
        Err(ConnectError::Refused { status, text }) => {
            assert_eq!((status, &text[..]), (404, &b"unknown service"[..]));
        }
        other => panic!("{other:?}"),
    }
    let url: Uri = format!("ws://localhost:{}/", address.port()).parse().unwrap();
    let tls = ClientTls::public();
    let public_only = dial_websocket_to(&url, &tls, |address| !address.is_loopback());
    assert!(public_only.await.is_err());
}

/// An upgraded connection is not idle, whatever the listener sees of it: its place was given away to newcomers, so that the bound did not
/// hold.
#[tokio::test]
async fn a_socket_keeps_its_place() {
    let config = ListenerConfig {
        max_connections: 2,
        ..ListenerConfig::default()
    };
    let (address, registry) = serve(&config);
    let held = [
        ours(address, "/").await.unwrap(),
        ours(address, "/").await.unwrap(),
    ];
    tokio::time::sleep(Duration::from_millis(1_200)).await; // what is idle for a second may be evicted
    let third = tokio::time::timeout(Duration::from_millis(500), ours(address, "/")).await;
    assert!(third.is_err(), "there is no place");
    drop(held);
    let third = tokio::time::timeout(Duration::from_secs(10), ours(address, "/")).await;
    assert!(third.unwrap().is_ok());
    drop(registry);
}

#[tokio::test(start_paused = true)]
async fn a_silent_peer_is_noticed() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let socket = tokio_tungstenite::accept_async(stream).await.unwrap();
        std::future::pending::<()>().await;
        drop(socket);
    });
    let (_receiver, sender) = ours(address, "/").await.unwrap();
    let begun = tokio::time::Instant::now();
    assert_eq!(sender.keep().await.unwrap_err(), WebSocketError::Silent);
    assert_eq!(begun.elapsed().as_secs(), 57);
}
