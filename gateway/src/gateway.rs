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
use crate::front::http::{Front, admin_router, router};
use crate::http::accept::serve;
use crate::relayer::Relayer;

/// Connections of operators held at the same time.
const MAX_ADMIN_CONNECTIONS: usize = 256;

/// A gateway whose address is taken and which is not serving yet.
#[derive(Debug)]
pub struct Gateway {
    listener: TcpListener,
    address: SocketAddr,
    /// For operators, if they have an address of their own.
    admin: Option<(TcpListener, SocketAddr)>,
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
        let (listener, address) = listen("listen", config.listen).await?;
        let admin = match config.admin_listen {
            Some(address) => Some(listen("admin_listen", address).await?),
            None => None,
        };
        Ok(Self {
            listener,
            address,
            admin,
            front: Arc::new(Front::new(relayer, registry, config, run)),
        })
    }

    /// The address taken; its port is real even if the configuration said 0.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// The address taken for operators, if they have one of their own.
    #[must_use]
    pub fn admin_addr(&self) -> Option<SocketAddr> {
        self.admin.as_ref().map(|(_, address)| *address)
    }

    /// Serves until `stop`, then refuses new calls and lets those under way finish within `shutdown_grace_ms`.
    pub async fn run(self, stop: CancellationToken) -> Result<(), GatewayError> {
        let Self {
            listener,
            address,
            admin,
            front,
        } = self;
        info!(%address, services = front.relayer.signers.services().len(), "gateway serves");
        if admin.is_none() && !front.config.front_door_is_admin() {
            info!("nobody is served metrics: set admin_listen to an address that only operators reach");
        }
        let router = router(Arc::clone(&front));
        let served = serve(listener, router, front.config.max_connections, stop.clone());
        let admin = serve_admin(admin, Arc::clone(&front), stop.clone());
        let served = async { tokio::join!(served, admin) };
        tokio::select! {
            _ = served => Ok(()),
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

/// Serves operators until `stop`.
async fn serve_admin(admin: Option<(TcpListener, SocketAddr)>, front: Arc<Front>, stop: CancellationToken) {
    let Some((listener, address)) = admin else { return };
    info!(%address, "operators are served");
    serve(listener, admin_router(front), MAX_ADMIN_CONNECTIONS, stop).await;
}

/// Takes `address`, which the configuration's `key` names; returns the address with its real port.
async fn listen(key: &'static str, address: SocketAddr) -> Result<(TcpListener, SocketAddr), GatewayError> {
    let error = |source| refused(key, address, source);
    let listener = TcpListener::bind(address).await.map_err(error)?;
    let taken = listener.local_addr().map_err(error)?;
    Ok((listener, taken))
}

fn refused(key: &'static str, address: SocketAddr, source: io::Error) -> GatewayError {
    let hint = match source.kind() {
        io::ErrorKind::AddrInUse => {
            "the port is taken by another process; choose another one, or 0 for any free one"
        }
        io::ErrorKind::PermissionDenied => "this user may not listen there; choose a port above 1023",
        io::ErrorKind::AddrNotAvailable => "this machine has no such address",
        _ => "the operating system refuses",
    };
    GatewayError::Listen {
        key,
        address,
        hint,
        source,
    }
}
