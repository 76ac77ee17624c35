//! The newest height: the followed one or, for a request that is ahead of it, the chain's own word.

use std::sync::Arc;
use std::time::Duration;

use portico_client::{Blocks, ChainError};
use portico_protocol::Height;
use tokio::sync::Mutex;
use tokio::time::Instant;

/// Shortest time between two questions for the newest height.
const ASK_EVERY: Duration = Duration::from_millis(50);

/// The newest height of a chain.
#[derive(Debug)]
pub struct Head<C: ?Sized> {
    /// When the chain was asked last, and what it said.
    asked: Mutex<Option<(Instant, Height)>>,
    chain: Arc<C>,
}

impl<C: Blocks + ?Sized> Head<C> {
    /// The head of `chain`.
    pub fn new(chain: Arc<C>) -> Self {
        Self {
            asked: Mutex::default(),
            chain,
        }
    }

    /// The followed height.
    pub fn followed(&self) -> Height {
        self.chain.head().borrow().height
    }

    /// Waits until the followed height is `height`.
    pub async fn reach(&self, height: Height) {
        let mut head = self.chain.head();
        // A chain that is gone reaches nothing: who waits has a time-out.
        if head.wait_for(|head| head.height >= height).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// The followed height or, while that is below `wanted`, the one that the chain says when asked. Those who wait for a question share its
    /// answer, so that nobody can cause many.
    pub async fn at(&self, wanted: Height) -> Result<Height, ChainError> {
        let followed = self.followed();
        if wanted <= followed {
            return Ok(followed);
        }
        let since = Instant::now();
        let mut last = self.asked.lock().await; // one question at a time; the others wait for its answer
        match *last {
            Some((asked, height)) if height >= wanted || asked >= since => return Ok(height.max(followed)),
            Some((asked, _)) => tokio::time::sleep_until(asked + ASK_EVERY).await,
            None => {}
        }
        let asked = Instant::now();
        let height = self.chain.status().await?.head.height;
        *last = Some((asked, height));
        Ok(height.max(followed))
    }
}
