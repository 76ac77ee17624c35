//! Slow subscribers, over a socket that takes one message at a time.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::ws::Message;
use futures::channel::mpsc;
use futures::{Sink, Stream, StreamExt as _};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{Hub, MAX_BEHIND, MAX_SUBSCRIBED_CLIENTS};
use crate::api::Api;
use crate::machine::Machine;
use crate::machine::tests::{consensus, genesis, machine, next_block};
use crate::metrics::Metrics;
use crate::rpc::feed::Feed;
use crate::rpc::methods::Methods;

/// The node's end of a connection.
struct Pipe {
    incoming: mpsc::UnboundedReceiver<Message>,
    outgoing: mpsc::Sender<Message>,
    /// Messages that the client takes; the next one only when he was dropped.
    takes: usize,
    metrics: Metrics,
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
        if self.takes == 0 && self.metrics.dropped_subscribers.get() == 0 {
            return Poll::Pending;
        }
        self.outgoing.poll_ready(context)
    }

    fn start_send(mut self: Pin<&mut Self>, message: Message) -> Result<(), Self::Error> {
        self.takes = self.takes.saturating_sub(1);
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

struct Node {
    hub: Hub,
    metrics: Metrics,
    stop: CancellationToken,
}

impl Node {
    fn over(machine: Arc<Machine>) -> Self {
        let metrics = Metrics::new(&prometheus::Registry::new()).expect("registered");
        let api = Api::new(machine, metrics.clone(), consensus().public_key());
        let stop = CancellationToken::new();
        let address = "127.0.0.1:1".parse().expect("an address");
        let methods = Methods::new(api.clone(), Arc::new(genesis()), address, stop.clone());
        let hub = Hub::new(Arc::new(methods), Feed::new(api), metrics.clone(), stop.clone());
        Self { hub, metrics, stop }
    }

    /// A connection of a client who takes so many messages: what he sends, what he is sent.
    fn connect(
        &self,
        takes: usize,
    ) -> (
        mpsc::UnboundedSender<Message>,
        mpsc::Receiver<Message>,
        JoinHandle<()>,
    ) {
        let (to_node, incoming) = mpsc::unbounded();
        let (outgoing, from_node) = mpsc::channel(0);
        let hub = self.hub.clone();
        let pipe = Pipe {
            incoming,
            outgoing,
            takes,
            metrics: self.metrics.clone(),
        };
        let task = tokio::spawn(async move { hub.serve(pipe).await });
        (to_node, from_node, task)
    }
}

fn subscribe(id: u32) -> Message {
    let call = json!({"jsonrpc": "2.0", "id": id, "method": "subscribe", "params": ["tm.event='NewBlock'"]});
    Message::text(call.to_string())
}

/// On one thread: while the test makes blocks, the connection does not run, as if its client took nothing.
#[tokio::test]
async fn a_subscriber_who_falls_behind_is_dropped_with_the_reason_and_may_begin_anew() {
    let machine = machine();
    let node = Node::over(machine.clone());
    let (metrics, stop) = (&node.metrics, &node.stop);
    let (to_node, mut from_node, task) = node.connect(usize::MAX);
    let subscribe = |id| to_node.unbounded_send(self::subscribe(id)).expect("open");
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

/// The node's patience is at its end at once, so that nothing waits.
#[tokio::test]
async fn a_subscriber_who_takes_nothing_is_closed_on_with_the_reason() {
    let machine = machine();
    let mut node = Node::over(machine.clone());
    node.hub.patience = Duration::ZERO;
    let (to_node, mut from_node, task) = node.connect(1);
    to_node.unbounded_send(subscribe(1)).expect("open");
    assert_eq!(json_of(from_node.next().await)["result"], json!({}));
    next_block(&machine);
    let Some(Message::Close(Some(frame))) = from_node.next().await else {
        panic!("the reason is expected");
    };
    assert_eq!(
        (frame.code, frame.reason.as_str()),
        (1_008, "client is not pulling messages fast enough")
    );
    task.await.expect("no panic");
    let metrics = &node.metrics;
    assert_eq!(
        (metrics.subscriptions.get(), metrics.dropped_subscribers.get()),
        (0, 1)
    );
}

#[tokio::test]
async fn a_hundred_clients_may_subscribe_and_the_next_when_one_leaves() {
    let node = Node::over(machine());
    let mut clients = Vec::new();
    for _ in 0..MAX_SUBSCRIBED_CLIENTS {
        let mut client = node.connect(usize::MAX);
        client.0.unbounded_send(subscribe(1)).expect("open");
        assert_eq!(json_of(client.1.next().await)["result"], json!({}));
        clients.push(client);
    }
    let (to_node, mut from_node, _task) = node.connect(usize::MAX);
    to_node.unbounded_send(subscribe(2)).expect("open");
    let refused = json_of(from_node.next().await);
    assert_eq!(refused["error"]["data"], "max_subscription_clients 100 reached");
    let (gone, rest, ended) = clients.pop().expect("many");
    drop((gone, rest));
    ended.await.expect("no panic");
    to_node
        .unbounded_send(subscribe(3))
        .expect("the connection went on");
    assert_eq!(json_of(from_node.next().await)["result"], json!({}));
    assert_eq!(node.metrics.subscriptions.get(), 100);
}
