//! What all requests of the front door share.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use portico_config::gateway::GatewayConfig;
use tokio::time::Instant;

use crate::relayer::Relayer;

/// What all requests share.
#[derive(Debug)]
pub(crate) struct Front {
    pub(crate) relayer: Relayer,
    pub(crate) registry: prometheus::Registry,
    pub(crate) config: GatewayConfig,
    draining: AtomicBool,
    /// Part of every request id that tells this run of the gateway from others.
    run: u32,
    calls: AtomicU64,
}

impl Front {
    pub(crate) fn new(
        relayer: Relayer,
        registry: prometheus::Registry,
        config: GatewayConfig,
        run: u32,
    ) -> Self {
        Self {
            relayer,
            registry,
            config,
            draining: AtomicBool::new(false),
            run,
            calls: AtomicU64::new(0),
        }
    }

    /// From now on calls are refused.
    pub(crate) fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// When a call that arrives now must be answered.
    pub(crate) fn deadline(&self) -> Instant {
        Instant::now() + Duration::from_millis(self.config.relay_timeout_ms)
    }

    /// An id for the next call.
    pub(crate) fn request_id(&self) -> String {
        format!(
            "{:08x}-{:x}",
            self.run,
            self.calls.fetch_add(1, Ordering::Relaxed)
        )
    }
}
