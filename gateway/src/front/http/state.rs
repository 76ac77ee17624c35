//! What all requests of the front door share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use http::HeaderMap;
use portico_config::gateway::GatewayConfig;
use portico_telemetry::Origin;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::decode::Decoder;
use super::services::Services;
use crate::GatewayError;
use crate::relayer::Relayer;

/// What all requests share.
#[derive(Debug)]
pub(crate) struct Front {
    pub(crate) relayer: Relayer,
    pub(crate) registry: prometheus::Registry,
    pub(crate) config: GatewayConfig,
    pub(crate) decoder: Decoder,
    pub(crate) services: Services,
    /// Places of WebSockets.
    pub(crate) sockets: Arc<Semaphore>,
    /// Places of event streams.
    pub(crate) streams: Arc<Semaphore>,
    /// The tasks that serve WebSockets.
    pub(crate) tasks: TaskTracker,
    /// Ends WebSockets and event streams.
    pub(crate) stop: CancellationToken,
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
    ) -> Result<Self, GatewayError> {
        Ok(Self {
            relayer,
            registry,
            services: Services::new(&config)?,
            sockets: Arc::new(Semaphore::new(config.max_websockets.min(Semaphore::MAX_PERMITS))),
            streams: Arc::new(Semaphore::new(config.max_streams.min(Semaphore::MAX_PERMITS))),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            config,
            decoder: Decoder::default(),
            draining: AtomicBool::new(false),
            run,
            calls: AtomicU64::new(0),
        })
    }

    /// From now on calls are refused.
    pub(crate) fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
        self.stop.cancel();
        self.tasks.close();
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// When a call that arrives now must be answered.
    pub(crate) fn deadline(&self) -> Instant {
        Instant::now() + Duration::from_millis(self.config.relay_timeout_ms)
    }

    /// What a call says of itself; with the caller's id, if it gave a sane one, else a new one.
    pub(crate) fn origin(&self, headers: &HeaderMap) -> Origin {
        let id = || {
            let call = self.calls.fetch_add(1, Ordering::Relaxed);
            format!("{:08x}-{call:x}", self.run)
        };
        Origin::of(headers).or_id(id)
    }
}
