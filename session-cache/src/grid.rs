//! The grid of sessions: which heights a session may have, and whether it is active or within its grace period.

use std::sync::{Arc, Mutex, PoisonError};

use portico_client::{ChainError, ModuleParams};
use portico_protocol::Height;
use portico_protocol::session::Timing;
use portico_protocol::wire::pocket::shared::Params;

type AtHeight = (Height, Arc<Params>);

/// Shared params, asked for once per block, and what follows from them.
#[derive(Debug)]
pub struct Grid<C: ?Sized> {
    params: Mutex<Option<AtHeight>>,
    /// Held by whoever asks; the others wait for its answer.
    asking: tokio::sync::Mutex<()>,
    chain: Arc<C>,
}

impl<C: ModuleParams + ?Sized> Grid<C> {
    /// The grid of `chain`, of which nothing is known yet.
    pub fn new(chain: Arc<C>) -> Self {
        Self {
            params: Mutex::default(),
            asking: tokio::sync::Mutex::default(),
            chain,
        }
    }

    /// Whether the grid, as far as it is known, has a session from here on. Never asks the chain.
    pub fn may_begin(&self, start: Height) -> bool {
        self.known()
            .is_none_or(|(_, params)| Timing::new(&params).start(start) == start)
    }

    /// Whether the grid has a session of exactly these blocks, active or within its grace period at `height`.
    pub async fn accepts(&self, start: Height, end: Height, height: Height) -> Result<bool, ChainError> {
        let params = self.params(height).await?;
        let timing = Timing::new(&params);
        let on_grid = start.0 > 0 && timing.start(start) == start && timing.end(start) == end;
        Ok(on_grid && start <= height && height <= timing.grace_end(start))
    }

    /// Shared params at `height`, the newest block's.
    pub async fn params(&self, height: Height) -> Result<Arc<Params>, ChainError> {
        if let Some(params) = self.known_at(height) {
            return Ok(params);
        }
        let _asking = self.asking.lock().await;
        if let Some(params) = self.known_at(height) {
            return Ok(params); // whoever was before us asked
        }
        let params = Arc::new(self.chain.shared_params(None).await?);
        *self.params.lock().unwrap_or_else(PoisonError::into_inner) = Some((height, Arc::clone(&params)));
        Ok(params)
    }

    fn known_at(&self, height: Height) -> Option<Arc<Params>> {
        let (at, params) = self.known()?;
        // A request may be checked at a height that the followed head has not reached.
        (at == height || at.0 == height.0.saturating_add(1)).then_some(params)
    }

    fn known(&self) -> Option<AtHeight> {
        self.params.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
