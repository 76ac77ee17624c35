//! A node that always answers the same: over HTTP, WebSockets, event streams and gRPC, by what a request asks for.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ::http::header::{ACCEPT, CONTENT_TYPE};
use ::http::{HeaderMap, HeaderValue};
use anyhow::Result;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::response::{IntoResponse as _, Response};
use http_body_util::BodyExt as _;
use portico_localnet::local;
use portico_net::Parts;
use portico_net::websocket::{self, Incoming, Kind, Limits, Message};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::turns::Turns;

/// Largest message of a client that is taken, in bytes.
const MAX_MESSAGE_BYTES: usize = 1 << 20;
/// Time for a client to take what is said.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// Method of the call that is answered by many messages; its params are their number and that of the turns.
pub(super) const PUSH: &str = "bench_push";

/// What the backend says.
#[derive(Clone)]
struct Node {
    answer: Bytes,
    /// Each message behind the answer to [`PUSH`].
    pushed: Bytes,
    /// An event with a line of data and the empty line behind it.
    event: Bytes,
    /// A frame of gRPC.
    frame: Bytes,
    turns: Turns,
}

/// Starts a backend whose answers have `bytes` bytes (at least those of an empty JSON-RPC answer) and returns its address.
pub(super) async fn start(bytes: usize, turns: Turns) -> Result<SocketAddr> {
    let listener = TcpListener::bind(local(0)).await?;
    let address = listener.local_addr()?;
    let node = Arc::new(Node {
        answer: filled(r#"{"jsonrpc":"2.0","id":1,"result":""#, "\"}", bytes),
        pushed: filled(r#"{"jsonrpc":"2.0","method":"bench","params":[""#, "\"]}", bytes),
        event: filled("data: ", "\n\n", bytes),
        frame: frame(bytes),
        turns,
    });
    let routes = Router::new().fallback(move |request: Request| Arc::clone(&node).answered(request));
    tokio::task::spawn(async move { axum::serve(listener, routes).await }); // lives as long as the process
    Ok(address)
}

impl Node {
    async fn answered(self: Arc<Self>, request: Request) -> Response {
        let headers = request.headers();
        let is = |name, value: &str| {
            let given: Option<&HeaderValue> = headers.get(name);
            given.is_some_and(|given| given.as_bytes().starts_with(value.as_bytes()))
        };
        match () {
            () if websocket::is_upgrade(headers) => self.socket(request),
            () if is(ACCEPT, "text/event-stream") => self.events(&request),
            () if is(CONTENT_TYPE, "application/grpc") => {
                _ = request.into_body().collect().await; // the call ends before its answer
                let trailers = HeaderMap::from_iter([(
                    ::http::HeaderName::from_static("grpc-status"),
                    HeaderValue::from_static("0"),
                )]);
                let body = Body::new(Parts::new(vec![self.frame.clone()]).trailers(trailers));
                ([(CONTENT_TYPE, "application/grpc")], body).into_response()
            }
            () => ([(CONTENT_TYPE, "application/json")], self.answer.clone()).into_response(),
        }
    }

    /// As many events as the query says, each in its turn.
    fn events(self: Arc<Self>, request: &Request) -> Response {
        let query = request.uri().query().unwrap_or_default();
        let field = |name: &str| -> Option<u64> {
            let mut fields = query.split('&').filter_map(|field| field.split_once('='));
            fields.find(|(key, _)| *key == name)?.1.parse().ok()
        };
        let (events, turn) = (field("events").unwrap_or(1), self.turns.of(field("turn")));
        let (sender, receiver) = mpsc::channel(1);
        tokio::task::spawn(async move {
            for _ in 0..events {
                let event = Ok::<_, std::convert::Infallible>(self.event.clone());
                if sender.send(event).await.is_err() {
                    return;
                }
                match turn.acquire().await {
                    Ok(permit) => permit.forget(),
                    Err(_) => return,
                }
            }
        });
        let body = Body::from_stream(ReceiverStream::new(receiver));
        ([(CONTENT_TYPE, "text/event-stream")], body).into_response()
    }

    fn socket(self: Arc<Self>, mut request: Request) -> Response {
        match websocket::accept(&mut request) {
            Ok((response, upgrade)) => {
                tokio::task::spawn(self.served(upgrade));
                response
            }
            Err(error) => (error.status(), error.to_string()).into_response(),
        }
    }

    async fn served(self: Arc<Self>, upgrade: websocket::Upgrade) {
        let limits = Limits {
            max_message_bytes: MAX_MESSAGE_BYTES,
            write_timeout: WRITE_TIMEOUT,
            budgets: None,
        };
        let Ok((mut receiver, sender)) = upgrade.open(limits).await else {
            return;
        };
        let kind = Kind::Text;
        let say = |bytes: &Bytes| {
            sender.send(Message {
                kind,
                bytes: bytes.clone(),
            })
        };
        let answers = async {
            while let Ok(Incoming::Message(message)) = receiver.next().await {
                let (pushed, number) = pushes(&message.bytes).unwrap_or_default();
                let turn = self.turns.of((pushed > 0).then_some(number));
                say(&self.answer).await.ok()?;
                for _ in 0..pushed {
                    turn.acquire().await.ok()?.forget();
                    say(&self.pushed).await.ok()?;
                }
            }
            Some(())
        };
        tokio::select! {
            _ = answers => {}
            _ = sender.keep() => {}
        }
    }
}

/// How many messages a call wants besides its answer, and the number of its turns.
fn pushes(call: &[u8]) -> Option<(u64, u64)> {
    let call: serde_json::Value = serde_json::from_slice(call).ok()?;
    if call.get("method")? != PUSH {
        return None;
    }
    let param = |index: usize| call.get("params")?.get(index)?.as_u64();
    Some((param(0)?, param(1)?))
}

fn filled(head: &str, tail: &str, bytes: usize) -> Bytes {
    let fill = "0".repeat(bytes.saturating_sub(head.len() + tail.len()));
    Bytes::from(format!("{head}{fill}{tail}"))
}

/// A message of `bytes` bytes, behind what stands before a message.
pub(super) fn frame(bytes: usize) -> Bytes {
    let length = u32::try_from(bytes).unwrap_or(u32::MAX).to_be_bytes();
    [&[0], &length[..], &vec![b'0'; bytes]].concat().into()
}

#[cfg(test)]
mod tests {
    use super::{filled, frame, pushes};

    #[test]
    fn the_answer_is_json_of_the_wanted_size() {
        let answer = filled(r#"{"jsonrpc":"2.0","id":1,"result":""#, "\"}", 1024);
        assert_eq!(answer.len(), 1024);
        serde_json::from_slice::<serde_json::Value>(&answer).unwrap();
        assert_eq!(&frame(3)[..], b"\0\0\0\0\x03000");
    }

    #[test]
    fn a_call_says_what_it_wants_pushed() {
        assert_eq!(pushes(br#"{"method":"bench_push","params":[7,3]}"#), Some((7, 3)));
        assert_eq!(pushes(br#"{"method":"eth_blockNumber","params":[7,3]}"#), None);
        assert_eq!(pushes(b"nothing"), None);
    }
}
