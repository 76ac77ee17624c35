//! Slow subscribers, over a socket that takes one message at a time.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::extract::ws::Message;
use futures::channel::mpsc;
use futures::{Sink, Stream, StreamExt as _};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{Hub, MAX_BEHIND};
use crate::api::Api;
use crate::machine::tests::{genesis, machine, next_block};
use crate::metrics::Metrics;
use crate::rpc::feed::Feed;
use crate::rpc::methods::Methods;

/// The node's end of a connection.
struct Pipe {
    incoming: mpsc::UnboundedReceiver<Message>,
    outgoing: mpsc::Sender<Message>,
}

impl Stream for Pipe {
    type Item = Result<Message, mpsc::SendError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.incoming
            .poll_next_unpin(context)
            .map(|message| message.map(Ok))
    }
}

impl Sink<Message> for Pipe {
    type Error = mpsc::SendError;

    fn poll_ready(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.outgoing.poll_ready(context)
    }

    fn start_send(mut self: Pin<&mut Self>, message: Message) -> Result<(), Self::Error> {
        self.outgoing.start_send(message)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.poll_flush(context)
    }
}

fn json_of(message: Option<Message>) -> Value {
    let Some(Message::Text(text)) = message else {
        panic!("a text is expected, not {message:?}");
    };
    serde_json::from_str(&text).expect("JSON")
}

/// On one thread: while the test makes blocks, the connection does not run, as if its client took nothing.
#[tokio::test]
async fn a_subscriber_who_falls_behind_is_dropped_with_the_reason_and_may_begin_anew() {
    let machine = machine();
    let metrics = Metrics::new(&prometheus::Registry::new()).expect("registered");
    let api = Api::new(machine.clone(), metrics.clone());
    let stop = CancellationToken::new();
    let address = "127.0.0.1:1".parse().expect("an address");
    let methods = Methods::new(api.clone(), Arc::new(genesis()), address, stop.clone());
    let hub = Hub::new(Arc::new(methods), Feed::new(api), metrics.clone(), stop.clone());
    let (to_node, incoming) = mpsc::unbounded();
    let (outgoing, mut from_node) = mpsc::channel(0);
    let task = tokio::spawn(async move { hub.serve(Pipe { incoming, outgoing }).await });
    let subscribe = |id: u32| {
        let call =
            json!({"jsonrpc": "2.0", "id": id, "method": "subscribe", "params": ["tm.event='NewBlock'"]});
        to_node
            .unbounded_send(Message::text(call.to_string()))
            .expect("open");
    };
    subscribe(1);
    assert_eq!(json_of(from_node.next().await)["result"], json!({}));
    assert_eq!(metrics.subscriptions.get(), 1);
    for _ in 0..MAX_BEHIND {
        next_block(&machine);
    }
    for height in 1..=MAX_BEHIND {
        let told = json_of(from_node.next().await);
        let header = &told["result"]["data"]["value"]["block"]["header"];
        assert_eq!(header["height"], height.to_string(), "as far behind as may be");
    }
    for _ in 0..=MAX_BEHIND {
        next_block(&machine);
    }
    let told = json_of(from_node.next().await);
    assert_eq!(
        (&told["id"], &told["error"]["code"]),
        (&json!(1), &json!(-32_000))
    );
    assert_eq!(
        told["error"]["data"],
        "subscription was canceled (reason: client is not pulling messages fast enough)"
    );
    assert_eq!(
        (metrics.subscriptions.get(), metrics.dropped_subscribers.get()),
        (0, 1)
    );
    subscribe(2);
    assert_eq!(json_of(from_node.next().await)["result"], json!({}));
    next_block(&machine);
    assert_eq!(json_of(from_node.next().await)["id"], 2);
    stop.cancel();
    assert_eq!(json_of(from_node.next().await)["error"]["code"], -32_000);
    assert!(matches!(from_node.next().await, Some(Message::Close(Some(_)))));
    task.await.expect("no panic");
}
