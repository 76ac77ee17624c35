//! The running gateway: address taken, then served until told to stop.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use portico_client::RelayChain;
use portico_config::gateway::GatewayConfig;
use portico_net::tls::ServerTls;
use portico_net::{Listener, ListenerMetrics};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::GatewayError;
use crate::front::http::{Front, admin_router, http_layer_error, router};
use crate::relayer::Relayer;

/// A gateway whose address is taken and which is not serving yet.
#[derive(Debug)]
pub struct Gateway {
    listener: Listener,
    address: SocketAddr,
    /// For operators, if they have an address of their own.
    admin: Option<(Listener, SocketAddr)>,
    front: Arc<Front>,
}

impl Gateway {
    /// Takes the listen address and prepares everything; errs when the port is taken or a key is malformed.
    ///
    /// Metrics go to `registry`, which must not hold another gateway's.
    pub async fn bind(
        config: GatewayConfig,
        chain: Arc<dyn RelayChain>,
        registry: prometheus::Registry,
    ) -> Result<Self, GatewayError> {
        Self::bind_with(config, chain, registry, rand::random(), true).await
    }

    /// As [`Gateway::bind`], but picks of suppliers and nonces of signatures follow from `seed`: for runs that are to be repeated,
    /// never for money, since who knows the seed can compute the private key from a signature.
    pub async fn bind_seeded(
        config: GatewayConfig,
        chain: Arc<dyn RelayChain>,
        registry: prometheus::Registry,
        seed: [u8; 32],
    ) -> Result<Self, GatewayError> {
        Self::bind_with(config, chain, registry, seed, false).await
    }

    async fn bind_with(
        config: GatewayConfig,
        chain: Arc<dyn RelayChain>,
        registry: prometheus::Registry,
        seed: [u8; 32],
        ahead: bool,
    ) -> Result<Self, GatewayError> {
        let mut chance = StdRng::from_seed(seed);
        let run = chance.next_u32();
        let relayer = Relayer::new(&config, chain, &registry, chance, ahead)?;
        let metrics = ListenerMetrics::new(&registry)?;
        let listening = |name, key, address| listening(name, key, address, &config, &metrics);
        let (listener, address) = listening("gateway", "listen", config.listen)?;
        let tls = config.tls.as_ref().map(ServerTls::open).transpose();
        let listener = listener.tls(tls.map_err(|source| GatewayError::Tls("tls", source))?);
        let admin = config
            .admin_listen
            .map(|address| listening("admin", "admin_listen", address))
            .transpose()?;
        Ok(Self {
            listener,
            address,
            admin,
            front: Arc::new(Front::new(relayer, registry, config, run)?),
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
        let served = listener.serve(router, stop.clone());
        let admin = serve_admin(admin, Arc::clone(&front), stop.clone());
        let served = async { tokio::try_join!(served, admin) };
        let served = async {
            let outcome = served.await;
            front.drain();
            // Each has its close to send, which a slow client may hold up.
            let grace = Duration::from_millis(front.config.shutdown_grace_ms);
            let _ = tokio::time::timeout(grace, front.tasks.wait()).await;
            outcome
        };
        tokio::select! {
            served = served => served.map(|_| ()).map_err(GatewayError::Serve),
            () = front.relayer.sessions.run(CancellationToken::new()) => Ok(()), // never: sessions roll over until the last call
            () = drain(&front, &stop) => Ok(()), // never either: the listeners end by themselves
        }
    }
}

/// Refuses calls from `stop` on.
async fn drain(front: &Front, stop: &CancellationToken) {
    stop.cancelled().await;
    front.drain();
    std::future::pending().await
}

/// Serves operators until `stop`.
async fn serve_admin(
    admin: Option<(Listener, SocketAddr)>,
    front: Arc<Front>,
    stop: CancellationToken,
) -> io::Result<()> {
    let Some((listener, address)) = admin else {
        return Ok(());
    };
    info!(%address, "operators are served");
    listener.serve(admin_router(front), stop).await
}

/// Takes `address`, which the configuration has at `key`; `name` is the listener's in metrics. Returns the address with its real port.
fn listening(
    name: &'static str,
    key: &'static str,
    address: SocketAddr,
    config: &GatewayConfig,
    metrics: &ListenerMetrics,
) -> Result<(Listener, SocketAddr), GatewayError> {
    let error = |source| refused(key, address, source);
    let socket = TcpListener::bind(address).map_err(error)?;
    let taken = socket.local_addr().map_err(error)?;
    let listener = Listener::new(name, socket, &config.listener, metrics)
        .errors(http_layer_error)
        .grace(Duration::from_millis(config.shutdown_grace_ms));
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
