//! A chain in memory, for tests: blocks when the test says so, sessions by the protocol's rules, every look-up counted.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use portico_client::{
    Account, Accounts, Actors, BlockHead, BlockResults, Blocks, BroadcastResult, ChainError, ChainStatus,
    Claims, ModuleParams, Sessions, Transactions, TxResult,
};
use portico_protocol::session::{Timing, header};
use portico_protocol::wire::pocket;
use portico_protocol::wire::pocket::application::Application;
use portico_protocol::wire::pocket::session::Session;
use portico_protocol::wire::pocket::shared::{RpcType, Supplier, SupplierEndpoint, SupplierServiceConfig};
use portico_protocol::{Address, BlockHash, Height, PublicKey, ServiceId, Upokt};
use tokio::sync::watch;

/// Shared params of the test chain: sessions of 10 blocks, one block of grace.
#[must_use]
pub fn params() -> pocket::shared::Params {
    pocket::shared::Params {
        num_blocks_per_session: 10,
        grace_period_end_offset_blocks: 1,
        claim_window_open_offset_blocks: 1,
        claim_window_close_offset_blocks: 4,
        proof_window_close_offset_blocks: 4,
        session_grid_anchor_height: 1,
        session_number_at_anchor: 1,
        ..Default::default()
    }
}

/// The chain. Starts at height 1 with nobody staked.
#[derive(Debug)]
pub struct MemoryChain {
    head: watch::Sender<BlockHead>,
    state: Mutex<State>,
    session_calls: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    accounts: BTreeMap<Address, PublicKey>,
    applications: BTreeMap<(Address, ServiceId), Vec<Address>>,
    suppliers: Vec<(ServiceId, Supplier)>,
    refusals: Vec<ChainError>,
    delay: Duration,
}

fn hash(height: Height) -> BlockHash {
    let mut hash = [0xb1; 32];
    hash[24..].copy_from_slice(&height.0.to_be_bytes());
    hash
}

fn head(height: Height) -> BlockHead {
    BlockHead {
        height,
        hash: hash(height),
        time_ms: 0,
    }
}

fn absent<T>(what: &str) -> Result<T, ChainError> {
    Err(ChainError::NotFound(format!(
        "{what}: not kept by the test chain"
    )))
}

impl MemoryChain {
    /// A chain at height 1.
    #[must_use]
    pub fn new() -> Arc<Self> {
        let (head, _) = watch::channel(head(Height(1)));
        Arc::new(Self {
            head,
            state: Mutex::default(),
            session_calls: AtomicU64::new(0),
        })
    }

    /// Makes the account of `key` known, as if it had signed a transaction.
    pub fn add_account(&self, key: PublicKey) {
        self.state().accounts.insert(key.address(), key);
    }

    /// Stakes an application for `service` that delegates to `gateways`.
    pub fn stake_application(&self, key: PublicKey, service: &ServiceId, gateways: &[Address]) {
        self.add_account(key);
        self.state()
            .applications
            .insert((key.address(), service.clone()), gateways.to_vec());
    }

    /// Stakes a supplier that serves `service` at `url`.
    pub fn stake_supplier(&self, key: PublicKey, service: &ServiceId, url: &str, rpc_type: RpcType) {
        self.add_account(key);
        let endpoint = SupplierEndpoint {
            url: url.to_owned(),
            rpc_type: rpc_type.into(),
            ..Default::default()
        };
        let config = SupplierServiceConfig {
            service_id: service.to_string(),
            endpoints: vec![endpoint],
            ..Default::default()
        };
        let supplier = Supplier {
            operator_address: key.address().to_string(),
            services: vec![config],
            ..Default::default()
        };
        self.state().suppliers.push((service.clone(), supplier));
    }

    /// Commits blocks up to `height`.
    pub fn advance_to(&self, height: i64) {
        self.head.send_replace(head(Height(height)));
    }

    /// Refuses the next session look-ups with these errors, the first one first.
    pub fn refuse_sessions(&self, errors: Vec<ChainError>) {
        self.state().refusals = errors;
    }

    /// Lets every session look-up take this long.
    pub fn delay_sessions(&self, delay: Duration) {
        self.state().delay = delay;
    }

    /// Session look-ups so far.
    pub fn session_calls(&self) -> u64 {
        self.session_calls.load(Ordering::SeqCst)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn session_at(
        &self,
        application: &Address,
        service: &ServiceId,
        height: Height,
    ) -> Result<Session, ChainError> {
        let state = self.state();
        let gateways = state.applications.get(&(*application, service.clone()));
        let gateways = gateways.ok_or_else(|| ChainError::NotFound(format!("application {application}")))?;
        let params = params();
        let start = Timing::new(&params).start(height);
        let header = header(application, service, start, &hash(start), &params);
        let suppliers = state.suppliers.iter().filter(|(served, _)| served == service);
        Ok(Session {
            session_id: header.session_id.clone(),
            header: Some(header),
            session_number: Timing::new(&params).number(height),
            num_blocks_per_session: 10,
            application: Some(Application {
                address: application.to_string(),
                delegatee_gateway_addresses: gateways.iter().map(ToString::to_string).collect(),
                ..Default::default()
            }),
            suppliers: suppliers.map(|(_, supplier)| supplier.clone()).collect(),
        })
    }
}

#[async_trait]
impl Blocks for MemoryChain {
    fn head(&self) -> watch::Receiver<BlockHead> {
        self.head.subscribe()
    }

    async fn status(&self) -> Result<ChainStatus, ChainError> {
        let head = self.head.borrow().clone();
        Ok(ChainStatus {
            chain_id: "test".to_owned(),
            head,
            catching_up: false,
        })
    }

    async fn block(&self, height: Height) -> Result<BlockHead, ChainError> {
        Ok(head(height))
    }

    async fn block_results(&self, _: Height) -> Result<BlockResults, ChainError> {
        Ok(BlockResults::default())
    }
}

#[async_trait]
impl ModuleParams for MemoryChain {
    async fn shared_params(&self, _: Option<Height>) -> Result<pocket::shared::Params, ChainError> {
        Ok(params())
    }

    async fn session_params(&self) -> Result<pocket::session::Params, ChainError> {
        absent("session params")
    }

    async fn proof_params(&self) -> Result<pocket::proof::Params, ChainError> {
        absent("proof params")
    }

    async fn supplier_params(&self) -> Result<pocket::supplier::Params, ChainError> {
        absent("supplier params")
    }

    async fn tokenomics_params(&self) -> Result<pocket::tokenomics::Params, ChainError> {
        absent("tokenomics params")
    }
}

#[async_trait]
impl Sessions for MemoryChain {
    async fn session(
        &self,
        application: &Address,
        service: &ServiceId,
        height: Height,
    ) -> Result<Session, ChainError> {
        self.session_calls.fetch_add(1, Ordering::SeqCst);
        let delay = self.state().delay;
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        {
            let mut state = self.state();
            if !state.refusals.is_empty() {
                return Err(state.refusals.remove(0));
            }
        }
        let newest = self.head.borrow().height;
        match height {
            Height(0) => self.session_at(application, service, newest),
            height if height > newest => Err(ChainError::InvalidArgument(format!(
                "height {height} is not committed"
            ))),
            height => self.session_at(application, service, height),
        }
    }

    async fn compute_units_per_relay(&self, _: &ServiceId, _: Height) -> Result<u64, ChainError> {
        absent("compute units")
    }

    async fn difficulty(
        &self,
        _: &ServiceId,
        _: Height,
    ) -> Result<pocket::service::RelayMiningDifficulty, ChainError> {
        absent("difficulty")
    }
}

#[async_trait]
impl Actors for MemoryChain {
    async fn application(&self, _: &Address) -> Result<Application, ChainError> {
        absent("application")
    }

    async fn applications(&self) -> Result<Vec<Application>, ChainError> {
        absent("applications")
    }

    async fn gateway(&self, _: &Address) -> Result<pocket::gateway::Gateway, ChainError> {
        absent("gateway")
    }

    async fn gateways(&self) -> Result<Vec<pocket::gateway::Gateway>, ChainError> {
        absent("gateways")
    }

    async fn supplier(&self, _: &Address) -> Result<Supplier, ChainError> {
        absent("supplier")
    }

    async fn suppliers(&self) -> Result<Vec<Supplier>, ChainError> {
        absent("suppliers")
    }

    async fn service(&self, _: &ServiceId) -> Result<pocket::shared::Service, ChainError> {
        absent("service")
    }

    async fn services(&self) -> Result<Vec<pocket::shared::Service>, ChainError> {
        absent("services")
    }
}

#[async_trait]
impl Claims for MemoryChain {
    async fn claim(&self, _: &str, _: &Address) -> Result<Option<pocket::proof::Claim>, ChainError> {
        Ok(None)
    }

    async fn claims(&self) -> Result<Vec<pocket::proof::Claim>, ChainError> {
        Ok(Vec::new())
    }

    async fn proof(&self, _: &str, _: &Address) -> Result<Option<pocket::proof::Proof>, ChainError> {
        Ok(None)
    }
}

#[async_trait]
impl Accounts for MemoryChain {
    async fn account(&self, address: &Address) -> Result<Account, ChainError> {
        let public_key = self.state().accounts.get(address).copied();
        let public_key = public_key.ok_or_else(|| ChainError::NotFound(format!("account {address}")))?;
        Ok(Account {
            address: *address,
            public_key: Some(public_key),
            number: 0,
            sequence: 0,
        })
    }

    async fn balance(&self, _: &Address) -> Result<Upokt, ChainError> {
        Ok(Upokt::default())
    }

    async fn total_supply(&self) -> Result<Upokt, ChainError> {
        Ok(Upokt::default())
    }
}

#[async_trait]
impl Transactions for MemoryChain {
    async fn broadcast(&self, _: Bytes) -> Result<BroadcastResult, ChainError> {
        absent("mempool")
    }

    async fn simulate(&self, _: Bytes) -> Result<u64, ChainError> {
        absent("mempool")
    }

    async fn tx(&self, _: &str) -> Result<Option<TxResult>, ChainError> {
        Ok(None)
    }
}
