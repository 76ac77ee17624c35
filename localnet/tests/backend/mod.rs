//! A node that answers every transport.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::response::{IntoResponse as _, Response};
use futures::stream;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use portico_localnet::local;
use portico_net::websocket::{self, Incoming, Kind, Limits, Message};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// Time between two pieces of a stream: nothing is gathered that belongs to the next.
const PACE: Duration = Duration::from_millis(60);

/// Where it answers HTTP/1.1 and gRPC, and where nobody answers.
pub(crate) async fn start() -> (SocketAddr, SocketAddr, SocketAddr) {
    let listener = TcpListener::bind(local(0)).await.unwrap();
    let here = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(answer)).await });
    let gone = TcpListener::bind(local(0)).await.unwrap();
    (here, here, gone.local_addr().unwrap()) // closed when this returns
}

async fn answer(request: Request) -> Response {
    let headers = request.headers().clone();
    let is = |name, value: &str| {
        let given: Option<&HeaderValue> = headers.get(name);
        given.is_some_and(|given| given.as_bytes().starts_with(value.as_bytes()))
    };
    let path = request.uri().path().to_owned();
    if websocket::is_upgrade(&headers) {
        return socket(request);
    }
    if is(CONTENT_TYPE, "application/grpc") {
        return grpc(request, &path).await;
    }
    if is(ACCEPT, "text/event-stream") {
        return pieces("text/event-stream", "data: piece\n\n");
    }
    if path.ends_with("/lines") {
        return pieces("application/x-ndjson", "{\"a\": \"piece\"}\n");
    }
    let mut answer = json!({"result": {}});
    if request.method() == http::Method::POST {
        let body = request.into_body().collect().await.unwrap().to_bytes();
        let call: Value = serde_json::from_slice(&body).unwrap();
        let answer_to = |call: &Value| json!({"jsonrpc": "2.0", "id": call["id"], "result": "0x1"});
        answer = match call.as_array() {
            Some(calls) => calls.iter().map(answer_to).collect(),
            None => answer_to(&call),
        };
    }
    ([(CONTENT_TYPE, "application/json")], answer.to_string()).into_response()
}

fn pieces(content_type: &'static str, piece: &'static str) -> Response {
    let pieces = stream::unfold(0, move |sent| async move {
        if sent == 3 {
            return None;
        }
        tokio::time::sleep(PACE).await;
        Some((Ok::<_, std::convert::Infallible>(piece), sent + 1))
    });
    ([(CONTENT_TYPE, content_type)], Body::from_stream(pieces)).into_response()
}

async fn grpc(request: Request, path: &str) -> Response {
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let messages = if path.ends_with("/Three") { 3 } else { 1 };
    let said = format!("{} bytes", body.len());
    let prefix = portico_relay::grpc::prefix(said.len());
    let message = Bytes::from([&prefix[..], said.as_bytes()].concat());
    let frames = stream::unfold(0, move |sent| {
        let message = message.clone();
        async move {
            let frame = match sent {
                sent if sent < messages => {
                    if sent > 0 {
                        tokio::time::sleep(PACE).await;
                    }
                    Frame::data(message)
                }
                sent if sent == messages => {
                    let status = ("grpc-status".parse().unwrap(), "0".parse().unwrap());
                    Frame::trailers(HeaderMap::from_iter([status]))
                }
                _ => return None,
            };
            Some((Ok::<_, std::convert::Infallible>(frame), sent + 1))
        }
    });
    let content_type = [(CONTENT_TYPE, "application/grpc")];
    (content_type, Body::new(StreamBody::new(frames))).into_response()
}

fn socket(mut request: Request) -> Response {
    let (response, upgrade) = websocket::accept(&mut request).unwrap();
    tokio::spawn(async move {
        let limits = Limits {
            max_message_bytes: 1 << 20,
            write_timeout: Duration::from_secs(10),
            budgets: None,
        };
        let (mut receiver, sender) = upgrade.open(limits).await.unwrap();
        let say = async |message: Value| {
            let (kind, bytes) = (Kind::Text, message.to_string().into());
            sender.send(Message { kind, bytes }).await
        };
        while let Ok(Incoming::Message(message)) = receiver.next().await {
            let call: Value = serde_json::from_slice(&message.bytes).unwrap();
            let answer = json!({"jsonrpc": "2.0", "id": call["id"], "result": "0x1"});
            say(answer).await.unwrap();
            let notifications = if call["method"] == "eth_subscribe" { 2 } else { 0 };
            for number in 0..notifications {
                tokio::time::sleep(PACE).await;
                let params = json!({"subscription": "0x1", "result": format!("0x{number}")});
                let notification = json!({"jsonrpc": "2.0", "method": "eth_subscription", "params": params});
                say(notification).await.unwrap();
            }
        }
    });
    response.into_response()
}
