//! What is held counts until nobody holds it.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use super::*;

/// Bytes of a huge answer: more than the buffers of both ends of a connection take.
pub(super) const HUGE: usize = 16 << 20;
/// The budget: room for one huge answer beside small ones.
const BUDGET: usize = 24 << 20;
/// Most time for room to be given back once its bytes are gone.
const SOON: Duration = Duration::from_secs(20);

async fn world() -> World {
    World::with(|config| config.limits.max_buffered_bytes = BUDGET).await
}

impl World {
    /// A client who asks for a huge answer and reads no more than its head.
    async fn slow_reader(&self, body: &str) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(16 << 10).unwrap();
        let mut socket = socket.connect(self.running().address).await.unwrap();
        let request = self.request("/huge", body).encode_to_vec();
        let head = format!(
            "POST / HTTP/1.1\r\nhost: x\r\nrpc-type: 3\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
            request.len()
        );
        socket.write_all(head.as_bytes()).await.unwrap();
        socket.write_all(&request).await.unwrap();
        let mut status = [0; 12];
        socket.read_exact(&mut status).await.unwrap();
        assert_eq!(&status, b"HTTP/1.1 200");
        socket
    }

    /// Asks for huge answers until one is served.
    async fn until_there_is_room(&self, name: &str) {
        let asking = async {
            let mut attempt = 0;
            while !self
                .is_served(&self.request("/huge", &format!("{name} {attempt}")))
                .await
            {
                attempt += 1;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(SOON, asking).await.unwrap();
    }

    async fn has_no_room(&self, body: &str) {
        let refused = self.refused(&self.request("/huge", body)).await;
        refused.is(503, "overloaded");
        assert_eq!(refused.retry_after.as_deref(), Some("1"));
    }
}

#[tokio::test]
async fn an_answer_counts_until_its_client_has_read_it() {
    let world = world().await;
    let mut slow = world.slow_reader("slow").await;
    world.has_no_room("another").await;
    assert!(
        world
            .is_served(&world.request("/large", "small ones have room"))
            .await
    );
    let mut rest = Vec::new();
    slow.read_to_end(&mut rest).await.unwrap();
    assert!(rest.len() > HUGE);
    world.until_there_is_room("read").await;
}

#[tokio::test]
async fn an_answer_counts_until_its_client_is_gone() {
    let world = world().await;
    let slow = world.slow_reader("slow").await;
    world.has_no_room("another").await;
    drop(slow);
    world.until_there_is_room("gone").await;
}

/// Requests count twice while they are served: as they came, and as the leaf that repeats them.
#[tokio::test]
async fn requests_count_with_their_leaves_until_they_are_served() {
    let world = World::with(|config| config.limits.max_buffered_bytes = 2 << 20).await;
    let large = "x".repeat(640 << 10);
    let url = format!("http://{}/", world.running().address);
    let waiting = world.request("/wait", &large).encode_to_vec();
    let waiting = tokio::spawn(world.client.post(&url).body(waiting).send());
    while world.backend.hits() == 0 {
        tokio::task::yield_now().await;
    }
    let second = world.refused(&world.request("/404", &large)).await;
    second.is(503, "overloaded: buffered bytes");
    world.backend.gate.add_permits(1);
    let first = waiting.await.unwrap().unwrap();
    assert_eq!(first.status(), 503, "its answer repeats it too, and has no room");
    assert!(world.is_served(&world.request("/404", &large)).await);
}
