//! A node over real sockets: the network and the process see the same chain, and a restart goes on with it.
#![allow(clippy::unwrap_used)] // helpers of tests

use std::fmt::Debug;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use portico_chain::genesis::{
    Genesis, GenesisAccount, GenesisApplication, GenesisGateway, GenesisParams, GenesisService,
    GenesisSupplier, GenesisSupplierService, GenesisValidator,
};
use portico_client::{Chain, ChainError, RemoteChain};
use portico_config::Secret;
use portico_config::node::NodeConfig;
use portico_node::{Node, NodeError, ValidatorKey};
use portico_protocol::tx::{SignerContext, TxOptions, pack, sign_tx, tx_hash};
use portico_protocol::wire::cosmos::bank::v1beta1::MsgSend;
use portico_protocol::{Address, Height, ServiceId, SigningKey, Upokt};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Far more than anything here takes.
const PATIENCE: Duration = Duration::from_secs(120);
const SEED: [u8; 32] = [7; 32];

fn key(n: u8) -> SigningKey {
    SigningKey::from_bytes(&[n; 32]).unwrap()
}

fn address(n: u8) -> Address {
    key(n).address()
}

fn service() -> ServiceId {
    ServiceId::new("anvil").unwrap()
}

/// Application 1, gateway 2, supplier 3, validator 4, DAO 5, and 600 more gateways, which do not fit one page.
fn genesis(chain_id: &str) -> Genesis {
    let mut params = GenesisParams::default();
    params.tokenomics.dao_reward_address = address(5).to_string();
    let gateway = |address| GenesisGateway {
        address,
        stake: Upokt(1_000),
    };
    let many = (0..600_u16).map(|n| {
        let mut bytes = [0xee; 20];
        bytes[..2].copy_from_slice(&n.to_be_bytes());
        gateway(Address::new(bytes))
    });
    Genesis {
        chain_id: chain_id.to_owned(),
        genesis_time_ms: 1_700_000_000_000,
        params,
        validators: vec![GenesisValidator {
            consensus_public_key: ValidatorKey::from_seed(&SEED).public_key_hex(),
            account: address(4),
            tokens: Upokt(1_000_000),
        }],
        accounts: [1, 2, 3]
            .map(|n| GenesisAccount::new(&key(n).public_key(), Upokt(5_000_000)))
            .to_vec(),
        services: vec![GenesisService {
            id: service(),
            name: "Anvil".to_owned(),
            compute_units_per_relay: 42,
            owner: address(3),
        }],
        gateways: std::iter::once(gateway(address(2))).chain(many).collect(),
        applications: vec![GenesisApplication {
            address: address(1),
            stake: Upokt(2_000_000),
            service_id: service(),
            delegatees: vec![address(2)],
        }],
        suppliers: vec![GenesisSupplier {
            owner: address(3),
            operator: address(3),
            stake: Upokt(2_000_000),
            services: vec![GenesisSupplierService {
                service_id: service(),
                url: "http://127.0.0.1:1".to_owned(),
                rev_share: Vec::new(),
            }],
        }],
    }
}

fn config(dir: &Path) -> NodeConfig {
    NodeConfig {
        data_dir: dir.to_owned(),
        rpc_listen: "127.0.0.1:0".parse().unwrap(),
        grpc_listen: "127.0.0.1:0".parse().unwrap(),
        block_time_ms: 3_600_000,
        instant: true, // one block at the start, then one per transaction: nothing moves while it is compared
        validator_key: Some(Secret::new(hex::encode(SEED))),
        ..NodeConfig::default()
    }
}

fn open(config: NodeConfig, chain_id: &str) -> Result<Node, NodeError> {
    Node::open(config, genesis(chain_id), &prometheus::Registry::new())
}

/// A running node, seen from inside and from outside.
struct Running {
    local: Arc<dyn Chain>,
    remote: RemoteChain,
    rpc: String,
    grpc: String,
    stop: CancellationToken,
    task: JoinHandle<Result<(), NodeError>>,
}

impl Running {
    async fn start(dir: &Path) -> Self {
        Self::at(config(dir)).await
    }

    async fn at(config: NodeConfig) -> Self {
        let node = open(config, "portico-test").unwrap();
        let (local, stop) = (node.chain(), CancellationToken::new());
        let (rpc, grpc) = (
            format!("http://{}", node.rpc_addr()),
            format!("http://{}", node.grpc_addr()),
        );
        let task = tokio::spawn(node.run(stop.clone()));
        reach(&*local, 1).await;
        let remote = RemoteChain::connect(&rpc, &grpc).await.unwrap();
        Self {
            local,
            remote,
            rpc,
            grpc,
            stop,
            task,
        }
    }

    /// Sends 1000 upokt from account 1 to account 9, and awaits the block; returns the transaction.
    async fn transfer(&self) -> Bytes {
        let account = self.remote.account(&address(1)).await.unwrap();
        let message = MsgSend {
            from_address: address(1).to_string(),
            to_address: address(9).to_string(),
            amount: vec![Upokt(1_000).into()],
        };
        let options = TxOptions {
            gas_limit: 1_000_000,
            ..TxOptions::default()
        };
        let context = SignerContext {
            chain_id: "portico-test".to_owned(),
            account_number: account.number,
            sequence: account.sequence,
        };
        let tx = Bytes::from(sign_tx(vec![pack(&message)], &options, &context, &key(1)));
        assert!(self.remote.simulate(tx.clone()).await.unwrap() > 0);
        let before = self.local.status().await.unwrap().head.height.0;
        let sent = self.remote.broadcast(tx.clone()).await.unwrap();
        assert_eq!((sent.code, sent.log.as_str()), (0, ""));
        assert_eq!(sent.hash, tx_hash(&tx));
        reach(&*self.local, before + 1).await;
        reach(&self.remote, before + 1).await;
        tx
    }

    async fn app_hash(&self) -> serde_json::Value {
        let body = reqwest::get(format!("{}/abci_info", self.rpc)).await.unwrap();
        let answer: serde_json::Value = serde_json::from_str(&body.text().await.unwrap()).unwrap();
        answer["result"]["response"]["last_block_app_hash"].clone()
    }

    async fn stop(self) {
        self.stop.cancel();
        let ended = tokio::time::timeout(PATIENCE, self.task).await;
        ended.unwrap().unwrap().unwrap();
    }
}

/// Awaits a height.
async fn reach(chain: &dyn Chain, height: i64) {
    let mut head = chain.head();
    let there = head.wait_for(|head| head.height >= Height(height));
    tokio::time::timeout(PATIENCE, there).await.unwrap().unwrap();
}

/// Holds two answers to each other, and to being one.
fn same<T: Debug>(what: &str, local: Result<T, ChainError>, remote: Result<T, ChainError>) {
    let (local, remote) = (local.unwrap(), remote.unwrap());
    assert_eq!(format!("{local:?}"), format!("{remote:?}"), "{what}");
}

macro_rules! compare {
    ($node:expr, $($call:ident($($argument:expr),*)),+ $(,)?) => {
        $(same(stringify!($call), $node.local.$call($($argument),*).await, $node.remote.$call($($argument),*).await);)+
    };
}

#[tokio::test(flavor = "multi_thread")]
async fn the_network_and_the_process_get_the_same_answers() {
    let dir = tempfile::tempdir().unwrap();
    let node = Running::start(dir.path()).await;
    let tx = node.transfer().await;
    let hash = tx_hash(&tx);
    let one = Height(1);
    compare!(
        node,
        status(),
        block(one),
        block_results(Height(2)),
        shared_params(None),
        shared_params(Some(one)),
        session_params(),
        proof_params(),
        tokenomics_params(),
        session(&address(1), &service(), Height(0)),
        application(&address(1)),
        applications(),
        gateway(&address(2)),
        gateways(),
        supplier(&address(3)),
        suppliers(),
        service(&service()),
        services(),
        compute_units_per_relay(&service(), one),
        difficulty(&service(), one),
        claim("none", &address(3)),
        claims(),
        proof("none", &address(3)),
        account(&address(1)),
        balance(&address(9)),
        total_supply(),
        tx(&hash),
    );
    let included = node.remote.tx(&hash).await.unwrap().unwrap();
    assert_eq!((included.height.0, included.code), (2, 0), "{}", included.log);
    assert!(!included.events.is_empty());
    assert_eq!(node.remote.balance(&address(9)).await.unwrap(), Upokt(1_000));
    assert_eq!(node.remote.account(&address(1)).await.unwrap().sequence, 1);
    assert_eq!(
        node.remote.gateways().await.unwrap().len(),
        601,
        "all pages are followed"
    );
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_are_the_same_from_inside_and_outside() {
    let dir = tempfile::tempdir().unwrap();
    let node = Running::start(dir.path()).await;
    let nobody = address(200);
    for chain in [&*node.local, &node.remote as &dyn Chain] {
        let application = chain.application(&nobody).await;
        assert!(
            matches!(application, Err(ChainError::NotFound(_))),
            "{application:?}"
        );
        let future = chain.block(Height(99)).await;
        assert!(matches!(future, Err(ChainError::NotFound(_))), "{future:?}");
        let garbage = chain.simulate(Bytes::from_static(b"garbage")).await;
        assert!(
            matches!(garbage, Err(ChainError::InvalidArgument(_))),
            "{garbage:?}"
        );
        let sent = chain.broadcast(Bytes::from_static(b"garbage")).await.unwrap();
        assert_eq!(
            (sent.code, sent.codespace.as_str()),
            (2, "sdk"),
            "not a transaction"
        );
        assert_eq!(chain.tx(&"00".repeat(32)).await.unwrap(), None);
    }
    let tx = node.transfer().await;
    for chain in [&*node.local, &node.remote as &dyn Chain] {
        let again = chain.broadcast(tx.clone()).await.unwrap();
        assert_eq!(
            (again.code, again.codespace.as_str()),
            (19, "sdk"),
            "{}",
            again.log
        );
    }
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_goes_on_at_the_same_block_and_state() {
    let dir = tempfile::tempdir().unwrap();
    let node = Running::start(dir.path()).await;
    node.transfer().await;
    let (before, app_hash) = (node.local.status().await.unwrap().head, node.app_hash().await);
    node.stop().await;
    let node = open(config(dir.path()), "portico-test").unwrap();
    let after = node.chain().status().await.unwrap().head;
    assert_eq!(after, before);
    drop(node);
    let node = Running::start(dir.path()).await;
    let old = node.remote.block(before.height).await.unwrap();
    assert_eq!(old, before);
    assert_eq!(node.remote.balance(&address(9)).await.unwrap(), Upokt(1_000));
    // The first header after the restart commits to the state before it.
    reach(&*node.local, before.height.0 + 1).await;
    let url = format!("{}/header?height={}", node.rpc, before.height.0 + 1);
    let header: serde_json::Value =
        serde_json::from_str(&reqwest::get(url).await.unwrap().text().await.unwrap()).unwrap();
    let committed = hex::decode(header["result"]["header"]["app_hash"].as_str().unwrap()).unwrap();
    use base64::Engine as _;
    let expected = base64::engine::general_purpose::STANDARD.decode(app_hash.as_str().unwrap());
    assert_eq!(committed, expected.unwrap());
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_remote_chain_goes_on_when_its_node_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let node = Running::start(dir.path()).await;
    let (remote, rpc, grpc) = (node.remote.clone(), node.rpc.clone(), node.grpc.clone());
    node.stop().await;
    for error in [
        remote.status().await.map(drop).unwrap_err(),
        remote.shared_params(None).await.map(drop).unwrap_err(),
    ] {
        assert!(matches!(error, ChainError::Unavailable(_)), "{error}");
        assert!(error.is_retryable());
    }
    let address = |url: &str| url.trim_start_matches("http://").parse().unwrap();
    let node = Running::at(NodeConfig {
        rpc_listen: address(&rpc),
        grpc_listen: address(&grpc),
        ..config(dir.path())
    })
    .await;
    reach(&remote, 2).await;
    assert_eq!(remote.balance(&key(1).address()).await.unwrap(), Upokt(5_000_000));
    node.stop().await;
}

#[tokio::test]
async fn a_url_that_cannot_be_used_is_refused_at_once() {
    for url in ["https://127.0.0.1:1", "127.0.0.1:1", ""] {
        let refused = RemoteChain::connect(url, "http://127.0.0.1:1")
            .await
            .err()
            .unwrap();
        assert!(matches!(refused, ChainError::InvalidArgument(_)), "{refused}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_port_is_named_with_the_key_that_moves_it() {
    let dir = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let mut config = config(dir.path());
    config.grpc_listen = address;
    let error = open(config, "portico-test").err().unwrap().to_string();
    assert!(
        error.contains(&address.to_string()) && error.contains("grpc_listen"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn data_of_another_chain_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(config(dir.path()), "portico-test").unwrap());
    let error = open(config(dir.path()), "portico-other").err().unwrap();
    assert!(matches!(error, NodeError::ForeignChain { .. }), "{error}");
}
