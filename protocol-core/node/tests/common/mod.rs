//! A node on free ports over a folder of its own.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

pub mod validators;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use portico_chain::genesis::{
    Genesis, GenesisAccount, GenesisApplication, GenesisGateway, GenesisParams, GenesisService,
    GenesisSupplier, GenesisSupplierService, GenesisValidator,
};
use portico_client::{Chain, RemoteChain};
use portico_config::Secret;
use portico_config::node::NodeConfig;
use portico_node::{Node, NodeError, ValidatorKey};
use portico_protocol::tx::{SignerContext, TxOptions, pack, sign_tx};
use portico_protocol::wire::cosmos::bank::v1beta1::MsgSend;
use portico_protocol::{Height, ServiceId, SigningKey, Upokt};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// What takes longer than this never happens.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits, and fails rather than hangs.
pub async fn soon<T>(waiting: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, waiting).await.expect("in time")
}

pub const CHAIN_ID: &str = "portico-test";
const SEED: [u8; 32] = [7; 32];

/// Keys of the actors, by number: 1 application, 2 gateway, 3 supplier, 4 owner of the service, 5 validator.
pub fn key(n: u8) -> SigningKey {
    SigningKey::from_bytes(&[n; 32]).expect("a scalar")
}

pub fn service() -> ServiceId {
    ServiceId::new("svc").expect("an id")
}

pub fn genesis(chain_id: &str) -> Genesis {
    let accounts = (1..=5).map(|n| GenesisAccount::new(&key(n).public_key(), Upokt(1_000_000_000)));
    Genesis {
        chain_id: chain_id.into(),
        genesis_time_ms: 1_700_000_000_000,
        params: GenesisParams::default(),
        validators: vec![GenesisValidator {
            consensus_public_key: ValidatorKey::from_seed(&SEED).public_key_hex(),
            account: key(5).address(),
            tokens: Upokt(3_000_000),
        }],
        accounts: accounts.collect(),
        services: vec![GenesisService {
            id: service(),
            name: "Service".into(),
            compute_units_per_relay: 10,
            owner: key(4).address(),
        }],
        gateways: vec![GenesisGateway {
            address: key(2).address(),
            stake: Upokt(5_000_000_000),
        }],
        applications: vec![GenesisApplication {
            address: key(1).address(),
            stake: Upokt(100_000_000_000),
            service_id: service(),
            delegatees: vec![key(2).address()],
        }],
        suppliers: vec![GenesisSupplier {
            owner: key(3).address(),
            operator: key(3).address(),
            stake: Upokt(60_000_000_000),
            services: vec![GenesisSupplierService {
                service_id: service(),
                url: "http://127.0.0.1:1".into(),
                endpoints: Vec::new(),
                rev_share: Vec::new(),
            }],
        }],
    }
}

/// Blocks at once when a transaction waits, and hardly ever otherwise: heights stand still while a test looks.
pub fn config(data_dir: &Path) -> NodeConfig {
    NodeConfig {
        data_dir: data_dir.to_owned(),
        rpc_listen: "127.0.0.1:0".parse().expect("an address"),
        grpc_listen: "127.0.0.1:0".parse().expect("an address"),
        block_time_ms: 3_600_000,
        instant: true,
        validator_key: Some(Secret::new(hex::encode(SEED))),
        ..NodeConfig::default()
    }
}

/// A node that runs.
pub struct Running {
    pub chain: Arc<dyn Chain>,
    pub rpc: String,
    pub grpc: String,
    pub admin: Option<String>,
    pub registry: prometheus::Registry,
    stop: CancellationToken,
    task: JoinHandle<Result<(), NodeError>>,
    folder: Option<TempDir>,
}

impl Running {
    /// A new chain.
    pub async fn new() -> Self {
        Self::of(genesis(CHAIN_ID)).await
    }

    /// A new chain from this genesis.
    pub async fn of(genesis: Genesis) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut running = Self::at(config(folder.path()), genesis).await;
        running.folder = Some(folder);
        running
    }

    /// Goes on, or begins, and waits for a first block.
    pub async fn at(config: NodeConfig, genesis: Genesis) -> Self {
        let registry = prometheus::Registry::new();
        let node = Node::open(config, genesis, &registry).expect("opened");
        let (rpc, grpc) = (node.rpc_addr(), node.grpc_addr());
        let admin = node.admin_addr().map(|address| format!("http://{address}"));
        let chain = node.chain();
        let before = chain.head().borrow().height;
        let stop = CancellationToken::new();
        let task = tokio::spawn(node.run(stop.clone()));
        let running = Self {
            chain,
            rpc: format!("http://{rpc}"),
            grpc: format!("http://{grpc}"),
            admin,
            registry,
            stop,
            task,
            folder: None,
        };
        running.reach(Height(before.0 + 1)).await;
        running
    }

    /// Waits until the node ends by itself.
    pub async fn ended(self) -> Result<(), NodeError> {
        self.task.await.expect("no panic")
    }

    /// Waits for a height.
    pub async fn reach(&self, height: Height) {
        let mut head = self.chain.head();
        head.wait_for(|head| head.height >= height)
            .await
            .expect("it runs");
    }

    pub async fn remote(&self) -> RemoteChain {
        RemoteChain::connect(&self.rpc, &self.grpc)
            .await
            .expect("it answers")
    }

    /// A transfer of `amount` from actor `from` to actor 2.
    pub async fn transfer(&self, from: u8, amount: u128) -> Bytes {
        let key = key(from);
        let account = self.chain.account(&key.address()).await.expect("known");
        let message = MsgSend {
            from_address: key.address().to_string(),
            to_address: self::key(2).address().to_string(),
            amount: vec![Upokt(amount).into()],
        };
        let options = TxOptions {
            gas_limit: 1_000_000,
            ..TxOptions::default()
        };
        let context = SignerContext {
            chain_id: CHAIN_ID.into(),
            account_number: account.number,
            sequence: account.sequence,
        };
        sign_tx(vec![pack(&message)], &options, &context, &key).into()
    }

    /// Stops in order; returns how it ended.
    pub async fn stop(self) -> Result<(), NodeError> {
        self.stop.cancel();
        self.task.await.expect("no panic")
    }
}
