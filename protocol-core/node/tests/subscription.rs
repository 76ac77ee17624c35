//! New blocks of a real node, told by its WebSocket; polled where there is none.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use common::{Running, soon};
use portico_client::{BlockHead, Blocks, RemoteChain, RemoteConfig};
use portico_protocol::Height;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

/// Nothing is polled within a test.
const NEVER_MS: u64 = 3_600_000;

/// A way to a node's RPC, on which WebSockets can be cut and forbidden.
struct Way {
    rpc: String,
    forbidden: Arc<AtomicBool>,
    /// WebSockets that were let through so far.
    sockets: watch::Receiver<usize>,
    /// WebSockets up to this number are cut.
    cut: watch::Sender<usize>,
    /// WebSockets up to this number stay open, and nothing comes through them any more.
    mute: watch::Sender<usize>,
    _task: AbortOnDropHandle<()>,
}

impl Way {
    async fn to(node: &Running) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let rpc = format!("http://{}", listener.local_addr().expect("bound"));
        let target = node.rpc.trim_start_matches("http://").to_owned();
        let forbidden = Arc::new(AtomicBool::new(false));
        let (count, sockets) = watch::channel(0);
        let (cut, cuts) = watch::channel(0);
        let (mute, mutes) = watch::channel(0);
        let (count, no) = (Arc::new(count), forbidden.clone());
        let task = async move {
            while let Ok((from, _)) = listener.accept().await {
                let to = TcpStream::connect(&target).await.expect("the node is there");
                let (cuts, mutes) = (cuts.clone(), mutes.clone());
                tokio::spawn(pass(from, to, no.clone(), count.clone(), cuts, mutes));
            }
        };
        Self {
            rpc,
            forbidden,
            sockets,
            cut,
            mute,
            _task: AbortOnDropHandle::new(tokio::spawn(task)),
        }
    }

    /// Waits until `count` WebSockets were let through.
    async fn opened(&mut self, count: usize) {
        soon(self.sockets.wait_for(|sockets| *sockets >= count))
            .await
            .expect("it runs");
    }

    /// Cuts the WebSockets there are.
    fn cut(&self) {
        self.cut.send_replace(*self.sockets.borrow());
    }

    /// Lets nothing through the WebSockets there are.
    fn mute(&self) {
        self.mute.send_replace(*self.sockets.borrow());
    }
}

async fn pass(
    mut from: TcpStream,
    mut to: TcpStream,
    forbidden: Arc<AtomicBool>,
    count: Arc<watch::Sender<usize>>,
    mut cuts: watch::Receiver<usize>,
    mut mutes: watch::Receiver<usize>,
) {
    let mut start = [0; 14];
    while from
        .peek(&mut start)
        .await
        .is_ok_and(|read| (1..14).contains(&read))
    {
        tokio::task::yield_now().await;
    }
    if &start != b"GET /websocket" {
        let _ended = copy_bidirectional(&mut from, &mut to).await;
        return;
    }
    if forbidden.load(Ordering::SeqCst) {
        return;
    }
    let mut number = 0;
    count.send_modify(|sockets| {
        *sockets += 1;
        number = *sockets;
    });
    let is_mute = tokio::select! {
        _ = copy_bidirectional(&mut from, &mut to) => false,
        _ = cuts.wait_for(|cut| *cut >= number) => false,
        _ = mutes.wait_for(|mute| *mute >= number) => true,
    };
    if is_mute {
        std::future::pending::<()>().await; // with both ends open
    }
}

async fn over(rpc: &str, node: &Running, poll_interval_ms: u64) -> RemoteChain {
    let config = RemoteConfig {
        poll_interval_ms,
        ..RemoteConfig::new(rpc, &node.grpc)
    };
    RemoteChain::open(&config).await.expect("it answers")
}

/// Makes block `height`, and waits until `head` tells it.
async fn told(node: &Running, head: &mut watch::Receiver<BlockHead>, height: i64) {
    let sent = node.chain.broadcast(node.transfer(1, 1).await).await;
    assert_eq!(sent.expect("taken").code, 0);
    soon(node.reach(Height(height))).await;
    let head = soon(head.wait_for(|head| head.height >= Height(height))).await;
    assert_eq!(*head.expect("followed"), *node.chain.head().borrow());
}

#[tokio::test]
async fn a_block_is_told_without_a_poll() {
    let node = Running::new().await;
    let remote = over(&node.rpc, &node, NEVER_MS).await;
    let mut head = Blocks::head(&remote);
    for height in 2..=5 {
        told(&node, &mut head, height).await;
    }
    node.stop().await.expect("in order");
}

#[tokio::test]
async fn blocks_go_on_when_the_socket_is_cut() {
    let node = Running::new().await;
    let mut way = Way::to(&node).await;
    let remote = over(&way.rpc, &node, NEVER_MS).await;
    let mut head = Blocks::head(&remote);
    for round in 1..=3 {
        way.opened(round).await;
        told(&node, &mut head, 1 + i64::try_from(round).expect("small")).await;
        way.cut();
    }
    way.opened(4).await;
    way.forbidden.store(true, Ordering::SeqCst);
    way.cut();
    let sent = node.chain.broadcast(node.transfer(1, 1).await).await;
    assert_eq!(sent.expect("taken").code, 0);
    soon(node.reach(Height(5))).await;
    way.forbidden.store(false, Ordering::SeqCst);
    let reached = soon(head.wait_for(|head| head.height == Height(5))).await;
    reached.expect("what was made meanwhile is told when the socket is back");
    node.stop().await.expect("in order");
}

/// As behind a firewall that forgot the connection: it is neither closed nor does anything come. The node is asked now and then anyway.
#[tokio::test]
async fn blocks_go_on_when_the_socket_says_nothing_any_more() {
    let node = Running::new().await;
    let mut way = Way::to(&node).await;
    let remote = over(&way.rpc, &node, 20).await;
    let mut head = Blocks::head(&remote);
    way.opened(1).await;
    told(&node, &mut head, 2).await;
    way.mute();
    for height in 3..=4 {
        told(&node, &mut head, height).await;
    }
    assert_eq!(*way.sockets.borrow(), 1, "the socket is the same");
    node.stop().await.expect("in order");
}

#[tokio::test]
async fn a_node_without_websockets_is_polled() {
    let node = Running::new().await;
    let way = Way::to(&node).await;
    way.forbidden.store(true, Ordering::SeqCst);
    let remote = over(&way.rpc, &node, 20).await;
    let mut head = Blocks::head(&remote);
    for height in 2..=4 {
        told(&node, &mut head, height).await;
    }
    assert_eq!(*way.sockets.borrow(), 0);
    node.stop().await.expect("in order");
}
