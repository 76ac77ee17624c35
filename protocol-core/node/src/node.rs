//! A node: data, engine, servers.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use portico_chain::block::init;
use portico_chain::genesis::Genesis;
use portico_client::Chain;
use portico_config::listener::ListenerConfig;
use portico_config::node::NodeConfig;
use portico_engine::{Engine as _, Pace, Solo, SystemClock};
use portico_net::tls::ServerTls;
use portico_net::{Listener, ListenerMetrics};
use portico_store::{ChainStore, StateTries};
use tokio_util::sync::CancellationToken;

use crate::api::Api;
use crate::block::MAX_BLOCK_TX_BYTES;
use crate::local::LocalChain;
use crate::machine::{Machine, Rules, Signer};
use crate::metrics::Metrics;
use crate::state::{STORES, writes};
use crate::upkeep::door;
use crate::validators::Validators;
use crate::{NodeError, ValidatorKey, admin, grpc, rpc};

/// File of the chain in the data folder.
pub(crate) const STORE_FILE: &str = "chain.redb";
/// File of the validator's key in the data folder, unless the configuration holds keys.
const KEY_FILE: &str = "validator.hex";

/// A node that signs for a quorum of its chain's validators. [`Node::open`] opens everything, [`Node::run`] makes blocks and serves.
pub struct Node {
    api: Api,
    genesis: Arc<Genesis>,
    keys: Vec<ValidatorKey>,
    pace: Pace,
    data_dir: PathBuf,
    rpc: Bound,
    grpc: Bound,
    admin: Option<Bound>,
    rpc_is_admin: bool,
    registry: prometheus::Registry,
}

/// A listener and where it listens.
struct Bound {
    listener: Listener,
    address: SocketAddr,
}

impl Node {
    /// Opens the chain's data, or begins it from `genesis`, and binds both addresses. Blocks; does not need a runtime.
    ///
    /// When there is data, its own genesis wins; a `genesis` of another chain id is an error.
    pub fn open(
        config: NodeConfig,
        genesis: Genesis,
        registry: &prometheus::Registry,
    ) -> Result<Self, NodeError> {
        let metrics = Metrics::new(registry)?;
        let counts = ListenerMetrics::new(registry)?;
        let tls = config.tls.as_ref().map(ServerTls::open).transpose()?;
        let rpc = bind(
            "rpc_listen",
            config.rpc_listen,
            &config.listener,
            &counts,
            tls.clone(),
        )?;
        let grpc = bind("grpc_listen", config.grpc_listen, &config.listener, &counts, tls)?;
        let admin = config
            .admin_listen
            .map(|address| bind("admin_listen", address, &config.listener, &counts, None))
            .transpose()?;
        let rpc_is_admin = config.rpc_is_admin();
        std::fs::create_dir_all(&config.data_dir).map_err(|source| NodeError::DataDir {
            path: config.data_dir.clone(),
            source,
        })?;
        let store = ChainStore::open(&config.data_dir.join(STORE_FILE), config.retain_blocks)?;
        let genesis = begin(&store, genesis, &config.data_dir)?;
        let rules = rules(&genesis)?;
        let keys = validator_keys(&config)?;
        let machine = Machine::open(store, rules, config.mempool, metrics.clone())?;
        check_keys(&keys, &machine.next_validators())?;
        let block_time = Duration::from_millis(config.block_time_ms);
        Ok(Self {
            api: Api::new(Arc::new(machine), metrics, keys[0].public_key()),
            genesis: Arc::new(genesis),
            keys,
            pace: match config.instant {
                true => Pace::Instant(block_time),
                false => Pace::Interval(block_time),
            },
            data_dir: config.data_dir,
            rpc,
            grpc,
            admin,
            rpc_is_admin,
            registry: registry.clone(),
        })
    }

    /// The chain, in process.
    #[must_use]
    pub fn chain(&self) -> Arc<dyn Chain> {
        Arc::new(LocalChain {
            api: self.api.clone(),
            chain_id: self.genesis.chain_id.clone(),
        })
    }

    /// Where the CometBFT-style RPC listens.
    #[must_use]
    pub const fn rpc_addr(&self) -> SocketAddr {
        self.rpc.address
    }

    /// Where gRPC listens.
    #[must_use]
    pub const fn grpc_addr(&self) -> SocketAddr {
        self.grpc.address
    }

    /// Where operators ask for metrics, if the configuration gives them an address.
    #[must_use]
    pub fn admin_addr(&self) -> Option<SocketAddr> {
        self.admin.as_ref().map(|admin| admin.address)
    }

    /// Makes blocks and serves until `stop`, or until something fails.
    ///
    /// The parts stop together: the first that ends takes the others along.
    pub async fn run(self, stop: CancellationToken) -> Result<(), NodeError> {
        let machine = self.api.machine.clone();
        let signer = Signer {
            keys: self.keys,
            machine: machine.clone(),
        };
        let engine = Solo::new(
            machine.clone(),
            machine.mempool.clone(),
            Arc::new(signer),
            SystemClock,
            self.pace,
            MAX_BLOCK_TX_BYTES,
        );
        let all = stop.child_token();
        let ends = |result: Result<(), NodeError>| {
            all.cancel();
            result
        };
        let operators = match self.rpc_is_admin {
            true => admin::metrics_only(self.registry.clone()),
            false => Router::new(),
        };
        let rpc = rpc::serve(
            self.rpc.listener,
            self.rpc.address,
            self.api.clone(),
            self.genesis.clone(),
            operators,
            all.clone(),
        );
        let admin = admin::serve(self.admin.map(|admin| admin.listener), self.registry, all.clone());
        let grpc = grpc::serve(self.grpc.listener, self.api, all.clone());
        let engine = Box::new(engine).run(all.clone());
        let door = door::serve(self.data_dir, machine, all.clone());
        let (engine, rpc, grpc, admin, ()) = tokio::join!(
            async { ends(engine.await.map_err(NodeError::from)) },
            async { ends(rpc.await) },
            async { ends(grpc.await) },
            async { ends(admin.await) },
            door,
        );
        engine.and(rpc).and(grpc).and(admin)
    }
}

/// Takes an address; `key` is its key in the configuration.
fn bind(
    key: &'static str,
    address: SocketAddr,
    config: &ListenerConfig,
    counts: &ListenerMetrics,
    tls: Option<ServerTls>,
) -> Result<Bound, NodeError> {
    let name = key.trim_end_matches("_listen");
    let bound = || {
        let socket = TcpListener::bind(address)?;
        Ok(Bound {
            address: socket.local_addr()?,
            listener: Listener::new(name, socket, config, counts)
                .grace(rpc::GRACE)
                .tls(tls),
        })
    };
    bound().map_err(|source| NodeError::Bind { address, key, source })
}

/// The genesis of the store; writes the given one, and the state that follows from it, when the store is empty.
fn begin(store: &ChainStore, genesis: Genesis, data_dir: &Path) -> Result<Genesis, NodeError> {
    let damaged = |error: serde_json::Error| NodeError::Damaged {
        what: "genesis",
        reason: error.to_string(),
    };
    if let Some(stored) = store.snapshot()?.genesis()? {
        let stored: Genesis = serde_json::from_slice(&stored).map_err(damaged)?;
        if stored.chain_id != genesis.chain_id {
            return Err(NodeError::ForeignChain {
                path: data_dir.to_owned(),
                stored: stored.chain_id,
                configured: genesis.chain_id,
            });
        }
        return Ok(stored);
    }
    rules(&genesis)?;
    let changes = init(&genesis)?;
    let mut tries = StateTries::new(&STORES);
    tries.apply(writes(&changes))?;
    let text = serde_json::to_vec(&genesis).map_err(damaged)?;
    store.init(&text, &tries, writes(&changes))?;
    Ok(genesis)
}

/// Errs when no chain can begin with `genesis`.
pub fn check_genesis(genesis: &Genesis) -> Result<(), NodeError> {
    rules(genesis)?;
    init(genesis)?;
    Ok(())
}

pub(crate) fn rules(genesis: &Genesis) -> Result<Rules, NodeError> {
    let chain_id = tendermint::chain::Id::try_from(genesis.chain_id.clone());
    Ok(Rules {
        chain_id: chain_id.map_err(|_| {
            portico_chain::genesis::GenesisError(format!(
                "chain id {:?}: 1 to 50 characters of a-z, A-Z, 0-9, '-', '_' and '.' are allowed",
                genesis.chain_id
            ))
        })?,
        genesis_time_ms: genesis.genesis_time_ms,
        validators: Arc::new(Validators::of(genesis)?),
    })
}

/// The keys of the configuration; without any the one of the data folder, which is made when it is missing.
fn validator_keys(config: &NodeConfig) -> Result<Vec<ValidatorKey>, NodeError> {
    let configured = config.validator_key.iter().chain(&config.validator_keys);
    let mut keys: Vec<ValidatorKey> = Vec::new();
    for secret in configured {
        let key = ValidatorKey::from_secret(secret)?;
        if keys.iter().any(|other| other.public_key() == key.public_key()) {
            return Err(NodeError::KeyTwice(key.public_key_hex()));
        }
        keys.push(key);
    }
    if keys.is_empty() {
        keys.push(ValidatorKey::open(&config.data_dir.join(KEY_FILE))?);
    }
    Ok(keys)
}

/// Errs unless `keys` make blocks of `validators` final.
fn check_keys(keys: &[ValidatorKey], validators: &Validators) -> Result<(), NodeError> {
    let of_set = |key: &&ValidatorKey| validators.place(&key.public_key()).is_some();
    let (here, needed, all) = (
        keys.iter().filter(of_set).count(),
        validators.quorum(),
        validators.len(),
    );
    if here >= needed {
        if here < all {
            tracing::warn!(
                here,
                all,
                "keys of some validators are not here; blocks go without their signatures"
            );
        }
        return Ok(());
    }
    let places = (0..all).filter_map(|place| validators.key(place));
    let missing: Vec<_> = places
        .filter(|public| keys.iter().all(|key| key.public_key() != *public))
        .map(hex::encode)
        .collect();
    Err(NodeError::ForeignValidators {
        here,
        needed,
        all,
        missing,
        ours: keys.iter().map(ValidatorKey::public_key_hex).collect(),
    })
}
