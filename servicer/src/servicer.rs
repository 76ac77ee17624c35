//! The parts put together.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use portico_client::{Blocks, Chain};
use portico_config::servicer::ServicerConfig;
use portico_net::budget::Budgets;
use portico_net::large::LargeWork;
use portico_net::tls::ServerTls;
use portico_net::{Listener, ListenerMetrics};
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::backend::{self, BackendMetrics};
use crate::configured::{service_share, services, supplier_keys};
use crate::error::ServicerError;
use crate::fees::{FeeBook, FeeWatch};
use crate::front::admin::{self, Admin};
use crate::front::endpoint::RelayEndpoint;
use crate::handle::ServicerHandle;
use crate::leaf_log::{DiskWatch, LeafLog, LeafLogError, RedbLog};
use crate::lifecycle::driver::Driver;
use crate::lifecycle::orders::Limits;
use crate::lifecycle::steps::{Asked, Work};
use crate::lifecycle::submit::Submitter;
use crate::metrics::Metrics;
use crate::readiness::Progress;
use crate::relay::admittance::Admittance;
use crate::relay::recorder::Recorder;
use crate::relay::recovery::restore;
use crate::relay::relays::Relays;
use crate::relay::served::{Served, Serving};
use crate::relay::simulation::{Simulated, Simulation};
use crate::relay::sockets::Sockets;
use crate::relay::verify::Verifier;
use crate::relay::writer::Writer;
use crate::reload::{self, Reloader};
use crate::session::ledger::LedgerRow;
use crate::session::lookup::{Rules, Sessions};
use crate::session::unpaid::RecentUnpaid;
use crate::standing::Standings;
use crate::standing::watch::Watch;

/// A servicer whose data is open and whose ports are bound; [`Servicer::run`] serves until stopped.
pub struct Servicer {
    handle: ServicerHandle,
    relays: Arc<Relays>,
    driver: Driver,
    watch: Watch,
    fee_watch: FeeWatch,
    writer_thread: JoinHandle<()>,
    listener: Listener,
    admin_listener: Option<Listener>,
    local_addr: SocketAddr,
    registry: prometheus::Registry,
    config: ServicerConfig,
}

impl std::fmt::Debug for Servicer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Servicer")
            .field("local_addr", &self.local_addr)
            .finish_non_exhaustive()
    }
}

impl Servicer {
    /// Opens the leaf log, rebuilds the open sessions from it, binds the endpoints. Blocks while it reads the log.
    ///
    /// # Errors
    /// See [`ServicerError`]; a taken port is [`ServicerError::Bind`].
    pub fn open(
        config: ServicerConfig,
        chain: Arc<dyn Chain>,
        registry: prometheus::Registry,
    ) -> Result<Self, ServicerError> {
        let log = || RedbLog::open(&config.data_dir).map_err(|source| log_error(&config.data_dir, source));
        check(&config)?;
        let log: Arc<dyn LeafLog> = Arc::new(log()?);
        Self::with_log(config, chain, registry, log)
    }

    /// As [`Self::open`], with any leaf log.
    pub(crate) fn with_log(
        config: ServicerConfig,
        chain: Arc<dyn Chain>,
        registry: prometheus::Registry,
        log: Arc<dyn LeafLog>,
    ) -> Result<Self, ServicerError> {
        check(&config)?;
        let keys = supplier_keys(&config)?;
        let connections = backend::connections();
        let connections = connections.map_err(|error| setup("the backend client", error))?;
        let buffers = Budgets::of_all(config.limits.max_buffered_bytes);
        let backend_metrics = BackendMetrics::new(&registry).map_err(|error| setup("metrics", error))?;
        let shared = backend::Shared {
            connections,
            buffers: buffers.clone(),
            metrics: backend_metrics,
            max_in_flight: service_share(&config),
        };
        let serving = Arc::new(Serving::new(Served::new(keys, services(&config, &shared)?)));
        let connections = ListenerMetrics::new(&registry).map_err(|error| setup("metrics", error))?;
        let listening = |name, key, address| listening(name, key, address, &config, &connections);
        let (listener, local_addr) = listening("relays", "listen", config.listen)?;
        let tls = config.tls.as_ref().map(ServerTls::open).transpose();
        let listener = listener.tls(tls.map_err(|error| setup("TLS (key tls)", error))?);
        let admin_listener = config
            .admin_listen
            .map(|address| listening("admin", "admin_listen", address))
            .transpose()?;
        let metrics = Arc::new(Metrics::new(&registry).map_err(|error| setup("metrics", error))?);
        let trees = restore(log.as_ref()).map_err(|source| log_error(&config.data_dir, source))?;
        let cursor = log
            .cursor()
            .map_err(|source| log_error(&config.data_dir, source))?;
        let (writer, writer_thread) = Writer::start(
            Arc::clone(&log),
            config.limits.max_in_flight,
            Arc::clone(&metrics),
        )
        .map_err(|error| setup("the leaf writer", error))?;
        let writer = Arc::new(writer);
        let rules = Rules {
            serving: Arc::clone(&serving),
            max_sessions: config.limits.max_sessions,
            metered: config.meter.enabled,
        };
        let sessions = Arc::new(Sessions::new(
            chain.clone(),
            Arc::clone(&trees),
            rules,
            Arc::clone(&metrics),
        ));
        let progress = Arc::new(Progress::default());
        let recent = Arc::new(RecentUnpaid::default());
        let recorder = Recorder::new(
            Arc::clone(&trees),
            Arc::clone(&log),
            Arc::clone(&writer),
            Arc::clone(&metrics),
            Arc::clone(&recent),
            config.meter,
        );
        let standings = Arc::new(Standings::default());
        let relays = Arc::new(Relays {
            standings: Arc::clone(&standings),
            serving: Arc::clone(&serving),
            admittance: Admittance::new(config.limits.max_in_flight, config.limits.max_streams),
            replays: Arc::default(),
            verifier: Verifier::new(verify_threads(&config)),
            sessions: Arc::clone(&sessions),
            recorder,
            buffers,
            large: LargeWork::default(),
            metrics: Arc::clone(&metrics),
            propagates: config.traces.propagate,
        });
        let followed: Arc<dyn Blocks> = Arc::clone(&chain) as _;
        let fees = Arc::new(FeeBook::new(
            Arc::clone(&trees),
            Arc::clone(&log),
            Arc::clone(&metrics),
        ));
        let submitter = Arc::new(Submitter::new(
            Arc::clone(&chain),
            config.tx.clone(),
            Arc::clone(&metrics),
            Arc::clone(&fees),
        ));
        let fee_watch = FeeWatch {
            chain: Arc::clone(&chain),
            trees: Arc::clone(&trees),
            book: fees,
        };
        let watch = Watch {
            chain: Arc::clone(&chain),
            trees: Arc::clone(&trees),
            submitter: Arc::clone(&submitter),
            standings: Arc::clone(&standings),
            metrics: Arc::clone(&metrics),
            serving: Arc::clone(&serving),
        };
        let work = Work {
            submitter,
            chain,
            trees: Arc::clone(&trees),
            log: Arc::clone(&log),
            writer: Arc::clone(&writer),
            serving: Arc::clone(&serving),
            metrics,
            asked: Asked::default(),
        };
        let bounds = Limits {
            max_messages: config.tx.max_messages,
            keep_leaves_blocks: config.keep_leaves_blocks,
        };
        let driver = Driver::new(work, sessions, Arc::clone(&progress), bounds, cursor);
        let simulated =
            Simulated::new(&config.simulation, &registry).map_err(|error| setup("metrics", error))?;
        let simulated = Arc::new(simulated);
        let reloader = Reloader::new(config.clone(), Arc::clone(&serving), shared, Arc::clone(&trees));
        let handle = ServicerHandle {
            chain: followed,
            simulated: Arc::clone(&simulated),
            standings,
            trees,
            log,
            progress,
            recent,
            writer: Arc::downgrade(&writer),
            reloader: Arc::new(reloader),
            serving,
        };
        for missing in reload::missing_keys(&handle.serving, &handle.trees) {
            tracing::error!("{missing}");
        }
        let admin_listener = admin_listener.map(|(listener, _)| listener);
        Ok(Self {
            handle,
            relays,
            driver,
            watch,
            fee_watch,
            writer_thread,
            listener,
            admin_listener,
            local_addr,
            registry,
            config,
        })
    }

    /// Address of the relay endpoint, with the port that was chosen when the configuration says 0.
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// A handle to look into the servicer while it runs.
    #[must_use]
    pub fn handle(&self) -> ServicerHandle {
        self.handle.clone()
    }

    /// One row per session and supplier, oldest first. See [`ServicerHandle::ledger`] while it runs.
    #[must_use]
    pub fn ledger(&self) -> Vec<LedgerRow> {
        self.handle.ledger()
    }

    /// Serves relays and follows blocks until `stop`, then drains: refuses new relays, waits for those in progress within the
    /// configured grace, commits what is queued.
    ///
    /// # Errors
    /// When an endpoint fails for good.
    pub async fn run(self, stop: CancellationToken) -> Result<(), ServicerError> {
        let checks = reload::check_nodes(Arc::clone(&self.handle.serving), stop.clone());
        let simulation = simulation(&self.config, &self.relays, &self.handle.simulated)?;
        let simulating = async {
            if let Some(simulation) = simulation {
                simulation.run(stop.clone()).await;
            }
        };
        let admin = Admin::new(self.handle, self.registry);
        let relay_tasks = TaskTracker::new();
        let beside = match (&self.admin_listener, self.local_addr.ip().is_loopback()) {
            (Some(_), _) => admin::probes(&admin),
            (None, true) => admin::all(&admin),
            (None, false) => admin::probes(&admin).merge(admin::metrics_only(&admin)),
        };
        let metrics = Arc::clone(&self.relays.metrics);
        let disk = DiskWatch::new(Arc::clone(&admin.handle().log), Arc::clone(&metrics)).run(stop.clone());
        let endpoint = RelayEndpoint::new(
            self.relays,
            Arc::clone(&metrics),
            relay_tasks.clone(),
            Arc::new(Sockets::new(self.config.limits.max_websockets, metrics)),
            stop.clone(),
        );
        let relays = self.listener.serve(endpoint.router(beside), stop.clone());
        let admin_endpoint = async {
            match self.admin_listener {
                Some(listener) => listener.serve(admin::all(&admin), stop.clone()).await,
                None => Ok(()),
            }
        };
        let grace = Duration::from_millis(self.config.limits.shutdown_grace_ms);
        let endpoints = async {
            tokio::try_join!(relays, admin_endpoint)
                .map(|_| ())
                .map_err(ServicerError::Serve)
        };
        let driver = self.driver.run(stop.clone());
        let watch = self.watch.run(stop.clone());
        let fees = self.fee_watch.run(stop.clone());
        let outcome = tokio::select! {
            outcome = async { tokio::join!(endpoints, driver, watch, fees, checks, simulating, disk).0 } => outcome,
            () = async { stop.cancelled().await; tokio::time::sleep(grace).await } => Ok(()),
        };
        stop.cancel();
        relay_tasks.close();
        if tokio::time::timeout(grace, relay_tasks.wait()).await.is_err() {
            tracing::warn!(relays = relay_tasks.len(), "relays in progress were given up");
        }
        // Every sender of the writer's queue is gone now, except in relays that were given up.
        let writer = self.writer_thread;
        let flushed = tokio::task::spawn_blocking(move || {
            let _ = writer.join();
            admin.handle().save_counts();
        });
        if tokio::time::timeout(grace, flushed).await.is_err() {
            tracing::warn!("the leaf writer was left with relays in progress");
        }
        outcome
    }
}

fn check(config: &ServicerConfig) -> Result<(), ServicerError> {
    let faults = config.faults();
    if faults.is_empty() {
        Ok(())
    } else {
        Err(ServicerError::Config(faults))
    }
}

/// Takes an address; `name` is the listener's in metrics, `key` the address's in the configuration.
fn listening(
    name: &'static str,
    key: &'static str,
    address: SocketAddr,
    config: &ServicerConfig,
    metrics: &ListenerMetrics,
) -> Result<(Listener, SocketAddr), ServicerError> {
    let failed = |source| ServicerError::Bind { key, address, source };
    let socket = std::net::TcpListener::bind(address).map_err(failed)?;
    let local = socket.local_addr().map_err(failed)?;
    let grace = Duration::from_millis(config.limits.shutdown_grace_ms);
    let listener = Listener::new(name, socket, &config.listener, metrics).grace(grace);
    Ok((listener, local))
}

fn simulation(
    config: &ServicerConfig,
    relays: &Arc<Relays>,
    simulated: &Arc<Simulated>,
) -> Result<Option<Simulation>, ServicerError> {
    if !config.simulation.enabled {
        return Ok(None);
    }
    let rng = StdRng::from_seed(rand::random());
    Simulation::new(Arc::clone(relays), Arc::clone(simulated), &config.simulation, rng)
        .map(Some)
        .map_err(|error| setup("simulated relays", error))
}

fn verify_threads(config: &ServicerConfig) -> usize {
    match config.limits.verify_threads {
        0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        threads => threads,
    }
}

fn log_error(path: &Path, source: LeafLogError) -> ServicerError {
    ServicerError::LeafLog {
        path: path.to_owned(),
        source,
    }
}

fn setup(what: &'static str, error: impl std::error::Error + Send + Sync + 'static) -> ServicerError {
    ServicerError::Setup {
        what,
        source: Box::new(error),
    }
}
