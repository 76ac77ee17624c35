//! The running gateway: address taken, then served until told to stop.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use portico_client::Chain;
use portico_config::gateway::GatewayConfig;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::GatewayError;
use crate::front::http::{Front, router};
use crate::http::accept::serve;
use crate::relayer::Relayer;

/// A gateway whose address is taken and which is not serving yet.
#[derive(Debug)]
pub struct Gateway {
    listener: TcpListener,
    address: SocketAddr,
    front: Arc<Front>,
}

impl Gateway {
    /// Takes the listen address and prepares everything; errs when the port is taken or a key is malformed.
    ///
    /// Metrics go to `registry`, which must not hold another gateway's.
    pub async fn bind(
        config: GatewayConfig,
        chain: Arc<dyn Chain>,
        registry: prometheus::Registry,
    ) -> Result<Self, GatewayError> {
        Self::bind_with(config, chain, registry, rand::random(), true).await
    }

    /// As [`Gateway::bind`], but picks of suppliers and nonces of signatures follow from `seed`: for runs that are to be repeated,
    /// never for money, since who knows the seed can compute the private key from a signature.
    pub async fn bind_seeded(
        config: GatewayConfig,
        chain: Arc<dyn Chain>,
        registry: prometheus::Registry,
        seed: [u8; 32],
    ) -> Result<Self, GatewayError> {
        Self::bind_with(config, chain, registry, seed, false).await
    }

    async fn bind_with(
        config: GatewayConfig,
        chain: Arc<dyn Chain>,
        registry: prometheus::Registry,
        seed: [u8; 32],
        ahead: bool,
    ) -> Result<Self, GatewayError> {
        let mut chance = StdRng::from_seed(seed);
        let run = chance.next_u32();
        let relayer = Relayer::new(&config, chain, &registry, chance, ahead)?;
        let listener = TcpListener::bind(config.listen)
            .await
            .map_err(|source| listen(&config, source))?;
        let address = listener.local_addr().map_err(|source| listen(&config, source))?;
        Ok(Self {
            listener,
            address,
            front: Arc::new(Front::new(relayer, registry, config, run)),
        })
    }

    /// The address taken; its port is real even if the configuration said 0.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop`, then refuses new calls and lets those under way finish within `shutdown_grace_ms`.
    pub async fn run(self, stop: CancellationToken) -> Result<(), GatewayError> {
        let Self {
            listener,
            address,
            front,
        } = self;
        info!(%address, services = front.relayer.signers.services().len(), "gateway serves");
        let router = router(Arc::clone(&front));
        let served = serve(listener, router, front.config.max_connections, stop.clone());
        tokio::select! {
            () = served => Ok(()),
            () = front.relayer.sessions.run(CancellationToken::new()) => Ok(()), // never: sessions roll over until the last call
            () = drain(&front, &stop) => Ok(()),
        }
    }
}

/// Refuses calls from `stop` on; ends `shutdown_grace_ms` later.
async fn drain(front: &Front, stop: &CancellationToken) {
    stop.cancelled().await;
    front.drain();
    tokio::time::sleep(Duration::from_millis(front.config.shutdown_grace_ms)).await;
    warn!("calls still under way are broken off");
}

fn listen(config: &GatewayConfig, source: io::Error) -> GatewayError {
    let hint = match source.kind() {
        io::ErrorKind::AddrInUse => {
            "the port is taken by another process; choose another one, or 0 for any free one"
        }
        io::ErrorKind::PermissionDenied => "this user may not listen there; choose a port above 1023",
        io::ErrorKind::AddrNotAvailable => "this machine has no such address",
        _ => "the operating system refuses",
    };
    GatewayError::Listen {
        address: config.listen,
        hint,
        source,
    }
}
