//! Every block once, in order.

use std::sync::Arc;

use portico_protocol::Height;
use tokio::sync::watch;

use crate::{BlockHead, Blocks, ChainError};

/// The blocks of a chain by height, without gaps: a head that jumps (a poll late, a node changed) leaves none out.
pub struct BlockStream {
    chain: Arc<dyn Blocks>,
    head: watch::Receiver<BlockHead>,
    next: Height,
}

impl BlockStream {
    /// The blocks above `height`.
    #[must_use]
    pub fn after(chain: Arc<dyn Blocks>, height: Height) -> Self {
        Self {
            head: chain.head(),
            chain,
            next: Height(height.0.saturating_add(1)),
        }
    }

    /// Waits for the next block. Errs as [`Blocks::block`] does; the same block is then asked for again by the next call, and a call that
    /// is dropped loses none.
    pub async fn next(&mut self) -> Result<BlockHead, ChainError> {
        let next = self.next;
        let newest = self.head.wait_for(|head| head.height >= next).await;
        let newest = newest
            .map_err(|_| ChainError::Unavailable("the chain is no longer followed".to_owned()))?
            .clone();
        let block = match newest.height == next {
            true => newest,
            false => self.chain.block(next).await?,
        };
        self.next = Height(next.0.saturating_add(1));
        Ok(block)
    }
}
