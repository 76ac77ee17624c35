//! The lifecycle over a chain that is slow, refuses, loses and does not answer; in virtual time.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use portico_client::{
    Account, Accounts, Actors, BlockEvents, BlockHead, BlockResults, Blocks, BroadcastResult, ChainError,
    ChainStatus, Claims, KeepEvent, ModuleParams, Sessions, Transactions, TxResult,
};
use portico_protocol::tx::decode_tx;
use portico_protocol::wire::pocket;
use portico_protocol::wire::pocket::application::Application;
use portico_protocol::wire::pocket::shared::Params;
use portico_protocol::{Height, ServiceId, Upokt};
use rand::RngExt;
use tokio::sync::watch;

use super::*;
use crate::Stage;

/// Time between two blocks.
const BLOCK: Duration = Duration::from_secs(30);

/// What goes wrong, in percent of the questions.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Faults {
    /// Longest time for an answer; half of it is the shortest.
    pub(super) slow: Duration,
    /// Time of each question from and to the node together, and until a new block is known.
    pub(super) steady: Duration,
    pub(super) failed: u32,
    /// Whether nobody knows what became of a transaction.
    pub(super) no_index: bool,
    pub(super) hanging: u32,
    /// Of transactions.
    pub(super) refused: u32,
    pub(super) lost: u32,
    /// Taken, without an answer that says so.
    pub(super) taken_in_silence: u32,
    /// Most events told at a time, 0 for all.
    pub(super) events: usize,
    /// Gas that a message is said to use, 0 for the truth.
    pub(super) gas: u64,
}

/// Called before each question, and after a transaction was taken: an error is the answer.
type OnQuestion = Box<dyn Fn(&'static str) -> Result<(), ChainError> + Send + Sync>;

/// A chain through a bad node.
pub(super) struct Faulty {
    chain: Arc<MemoryChain>,
    faults: Mutex<Faults>,
    on_question: OnQuestion,
    rng: Mutex<StdRng>,
    on: AtomicBool,
    asked: Mutex<BTreeMap<&'static str, usize>>,
    told: watch::Sender<BlockHead>,
}

impl Faulty {
    pub(super) fn new(chain: Arc<MemoryChain>, seed: u64, faults: Faults) -> Arc<Self> {
        let faulty = Self::unheard(chain, seed, faults);
        faulty.clone().listen();
        faulty
    }

    fn unheard(chain: Arc<MemoryChain>, seed: u64, faults: Faults) -> Arc<Self> {
        let told = watch::Sender::new(chain.head().borrow().clone());
        Arc::new(Self {
            chain,
            faults: Mutex::new(faults),
            on_question: Box::new(|_| Ok(())),
            rng: Mutex::new(StdRng::seed_from_u64(seed)),
            on: AtomicBool::new(false),
            asked: Mutex::default(),
            told,
        })
    }

    /// Tells of the chain's blocks, each when it is known here.
    fn listen(self: Arc<Self>) {
        let mut head = self.chain.head();
        tokio::spawn(async move {
            while head.changed().await.is_ok() {
                let (news, faulty) = (head.borrow_and_update().clone(), Arc::clone(&self));
                let late = self.faults.lock().unwrap().steady;
                match self.is_on() && !late.is_zero() {
                    false => _ = self.told.send_replace(news),
                    true => {
                        tokio::spawn(async move {
                            tokio::time::sleep(late).await;
                            faulty.told.send_replace(news);
                        });
                    }
                }
            }
        });
    }

    /// A good node of which each question is told.
    pub(super) fn watched(
        chain: Arc<MemoryChain>,
        on_question: impl Fn(&'static str) -> Result<(), ChainError> + Send + Sync + 'static,
    ) -> Arc<Self> {
        let faulty = Self::unheard(chain, 0, Faults::default());
        let mut faulty = Arc::into_inner(faulty).expect("nobody else has it");
        faulty.on_question = Box::new(on_question);
        let faulty = Arc::new(faulty);
        faulty.clone().listen();
        faulty
    }

    fn rng(&self) -> MutexGuard<'_, StdRng> {
        self.rng.lock().unwrap()
    }

    pub(super) fn set(&self, on: bool) {
        self.on.store(on, Ordering::SeqCst);
    }

    fn is_on(&self) -> bool {
        self.on.load(Ordering::SeqCst)
    }

    fn strikes(&self, percent: u32) -> bool {
        self.is_on() && self.rng().random_range(0..100) < percent
    }

    fn asked(&self, what: &str) -> usize {
        self.asked.lock().unwrap().get(what).copied().unwrap_or(0)
    }

    /// Asks through the node: half of the time passes before the chain hears of it.
    async fn through<T>(
        &self,
        what: &'static str,
        asking: impl Future<Output = Result<T, ChainError>>,
    ) -> Result<T, ChainError> {
        self.bad_luck(what).await?;
        let answer = asking.await;
        self.half_a_way().await;
        answer
    }

    async fn half_a_way(&self) {
        let steady = self.faults.lock().unwrap().steady;
        if self.is_on() && !steady.is_zero() {
            tokio::time::sleep(steady / 2).await;
        }
    }

    async fn bad_luck(&self, what: &'static str) -> Result<(), ChainError> {
        *self.asked.lock().unwrap().entry(what).or_default() += 1;
        (self.on_question)(what)?;
        let faults = *self.faults.lock().unwrap();
        if self.strikes(faults.hanging) {
            std::future::pending::<()>().await;
        }
        self.half_a_way().await;
        if self.is_on() && !faults.slow.is_zero() {
            let share = self.rng().random_range(0.5..1.0);
            tokio::time::sleep(faults.slow.mul_f64(share)).await;
        }
        if self.strikes(faults.failed) {
            return Err(ChainError::Unavailable("bad luck".to_owned()));
        }
        Ok(())
    }
}

#[async_trait]
impl Blocks for Faulty {
    fn head(&self) -> watch::Receiver<BlockHead> {
        self.told.subscribe()
    }
    async fn status(&self) -> Result<ChainStatus, ChainError> {
        self.through("status", self.chain.status()).await
    }
    async fn block(&self, height: Height) -> Result<BlockHead, ChainError> {
        self.through("block", self.chain.block(height)).await
    }
    async fn block_results(&self, height: Height) -> Result<BlockResults, ChainError> {
        self.through("block_results", self.chain.block_results(height))
            .await
    }
    async fn block_events(&self, height: Height, keep: KeepEvent) -> Result<BlockEvents, ChainError> {
        let mut told = self.block_results(height).await?.events(&keep);
        let most = self.faults.lock().unwrap().events;
        told.more = most > 0 && told.events.len() > most;
        if told.more {
            told.events.truncate(most);
        }
        Ok(told)
    }
}

#[async_trait]
impl ModuleParams for Faulty {
    async fn shared_params(&self, height: Option<Height>) -> Result<Params, ChainError> {
        self.through("shared_params", self.chain.shared_params(height))
            .await
    }
    async fn session_params(&self) -> Result<pocket::session::Params, ChainError> {
        self.through("session_params", self.chain.session_params()).await
    }
    async fn proof_params(&self) -> Result<pocket::proof::Params, ChainError> {
        self.through("proof_params", self.chain.proof_params()).await
    }
    async fn supplier_params(&self) -> Result<pocket::supplier::Params, ChainError> {
        self.through("supplier_params", self.chain.supplier_params())
            .await
    }
    async fn tokenomics_params(&self) -> Result<pocket::tokenomics::Params, ChainError> {
        self.through("tokenomics_params", self.chain.tokenomics_params())
            .await
    }
}

#[async_trait]
impl Sessions for Faulty {
    async fn session(
        &self,
        application: &Address,
        service: &ServiceId,
        height: Height,
    ) -> Result<pocket::session::Session, ChainError> {
        self.through("session", self.chain.session(application, service, height))
            .await
    }
    async fn compute_units_per_relay(&self, service: &ServiceId, height: Height) -> Result<u64, ChainError> {
        self.through(
            "compute_units_per_relay",
            self.chain.compute_units_per_relay(service, height),
        )
        .await
    }
    async fn difficulty(
        &self,
        service: &ServiceId,
        height: Height,
    ) -> Result<pocket::service::RelayMiningDifficulty, ChainError> {
        self.through("difficulty", self.chain.difficulty(service, height))
            .await
    }
}

#[async_trait]
impl Actors for Faulty {
    async fn application(&self, address: &Address) -> Result<Application, ChainError> {
        self.through("application", self.chain.application(address)).await
    }
    async fn applications(&self) -> Result<Vec<Application>, ChainError> {
        self.chain.applications().await
    }
    async fn gateway(&self, address: &Address) -> Result<pocket::gateway::Gateway, ChainError> {
        self.chain.gateway(address).await
    }
    async fn gateways(&self) -> Result<Vec<pocket::gateway::Gateway>, ChainError> {
        self.chain.gateways().await
    }
    async fn supplier(&self, operator: &Address) -> Result<pocket::shared::Supplier, ChainError> {
        self.through("supplier", self.chain.supplier(operator)).await
    }
    async fn suppliers(&self) -> Result<Vec<pocket::shared::Supplier>, ChainError> {
        self.chain.suppliers().await
    }
    async fn service(&self, id: &ServiceId) -> Result<pocket::shared::Service, ChainError> {
        self.chain.service(id).await
    }
    async fn services(&self) -> Result<Vec<pocket::shared::Service>, ChainError> {
        self.chain.services().await
    }
}

#[async_trait]
impl Claims for Faulty {
    async fn claim(
        &self,
        session_id: &str,
        supplier: &Address,
    ) -> Result<Option<pocket::proof::Claim>, ChainError> {
        self.through("claim", self.chain.claim(session_id, supplier))
            .await
    }
    async fn claims(&self) -> Result<Vec<pocket::proof::Claim>, ChainError> {
        self.through("claims", self.chain.claims()).await
    }
    async fn proof(
        &self,
        session_id: &str,
        supplier: &Address,
    ) -> Result<Option<pocket::proof::Proof>, ChainError> {
        self.chain.proof(session_id, supplier).await
    }
}

#[async_trait]
impl Accounts for Faulty {
    async fn account(&self, address: &Address) -> Result<Account, ChainError> {
        self.through("account", self.chain.account(address)).await
    }
    async fn balance(&self, address: &Address) -> Result<Upokt, ChainError> {
        self.through("balance", self.chain.balance(address)).await
    }
    async fn total_supply(&self) -> Result<Upokt, ChainError> {
        self.chain.total_supply().await
    }
}

#[async_trait]
impl Transactions for Faulty {
    async fn broadcast(&self, tx: Bytes) -> Result<BroadcastResult, ChainError> {
        self.bad_luck("broadcast").await?;
        let faults = *self.faults.lock().unwrap();
        if self.strikes(faults.refused) {
            return Ok(BroadcastResult {
                hash: String::new(),
                code: 20,
                codespace: "sdk".to_owned(),
                log: "bad luck".to_owned(),
            });
        }
        if self.strikes(faults.lost) {
            self.chain.lose(1);
        }
        let taken = self.chain.broadcast(tx).await;
        self.half_a_way().await;
        (self.on_question)("broadcast done")?;
        if self.strikes(faults.taken_in_silence) {
            return Err(ChainError::Unavailable("bad luck after all".to_owned()));
        }
        taken
    }
    async fn simulate(&self, tx: Bytes) -> Result<u64, ChainError> {
        let gas = self.faults.lock().unwrap().gas;
        let asking = async {
            match gas {
                0 => self.chain.simulate(tx).await,
                gas => Ok(gas * decode_tx(&tx).unwrap().body.messages.len() as u64),
            }
        };
        self.through("simulate", asking).await
    }
    async fn tx(&self, hash: &str) -> Result<Option<TxResult>, ChainError> {
        let asking = async {
            if self.is_on() && self.faults.lock().unwrap().no_index {
                let text = "transaction indexing is disabled".to_owned();
                return Err(ChainError::Internal(text));
            }
            self.chain.tx(hash).await
        };
        self.through("tx", asking).await
    }
}

impl World {
    /// `suppliers` suppliers and `services` services, over a chain with `faults` once they are set on.
    async fn over_faults(suppliers: u8, services: usize, seed: u64, faults: Faults) -> (Self, Arc<Faulty>) {
        let mut world = Self::without_servicer().await;
        world.suppliers = (10..10 + suppliers).map(key).collect();
        world.chain.set_suppliers(&world.suppliers);
        let faulty = Faulty::new(Arc::clone(&world.chain), seed, faults);
        world.run_over(faulty.clone(), services);
        for service in 0..services {
            let header = world.chain.header(1, &format!("s{service}"));
            for supplier in world.suppliers.clone() {
                let request = world.request_in(&header, &supplier.address().to_string(), "/", "x");
                assert!(world.is_served(&request).await);
            }
        }
        (world, faulty)
    }

    pub(super) fn run_over(&mut self, chain: Arc<dyn Chain>, services: usize) {
        let mut config = self.config();
        let service = config.services.remove(&SERVICE.parse().unwrap()).unwrap();
        for index in 0..services {
            config
                .services
                .insert(format!("s{index}").parse().unwrap(), service.clone());
        }
        let log = Arc::new(RedbLog::open(&config.data_dir).unwrap());
        self.run_with(config, chain, log);
    }

    pub(super) fn heights_of(&self, type_url: &str) -> Vec<i64> {
        let messages = self.chain.messages();
        let of_type = messages
            .iter()
            .filter(|(_, message)| message.type_url == type_url);
        of_type.map(|(height, _)| *height).collect()
    }
}

/// Each question takes up to half a block.
#[tokio::test]
async fn five_hundred_sessions_are_paid_over_a_slow_chain() {
    let faults = Faults {
        slow: Duration::from_secs(14),
        ..Faults::default()
    };
    let (world, faulty) = World::over_faults(50, 10, 1, faults).await;
    tokio::time::pause();
    faulty.set(true);
    while world.chain.height() < 24 {
        tokio::time::sleep(BLOCK).await;
        world.chain.advance();
    }
    tokio::time::sleep(BLOCK).await;
    let rows = world.rows();
    assert_eq!(rows.len(), 500);
    let unpaid: Vec<_> = rows.iter().filter(|row| row.stage != Stage::Settled).collect();
    assert!(
        unpaid.is_empty(),
        "{:?} {} of 500, such as {:?}",
        world.chain.handed_over(),
        unpaid.len(),
        unpaid[0]
    );
    let claims = world.heights_of("/pocket.proof.MsgCreateClaim");
    let proofs = world.heights_of("/pocket.proof.MsgSubmitProof");
    assert_eq!((claims.len(), proofs.len()), (500, 500), "each is sent once");
    assert!(
        claims.iter().all(|height| (13..=16).contains(height)),
        "{claims:?}"
    );
    assert!(
        proofs.iter().all(|height| (17..=20).contains(height)),
        "{proofs:?}"
    );
    // Params are asked for once per height, and every ten blocks for how the suppliers stand; claims once per supplier and block of the two windows.
    assert!(
        faulty.asked("shared_params") <= 24 + 3,
        "{}",
        faulty.asked("shared_params")
    );
    assert!(
        faulty.asked("proof_params") <= 24 + 3,
        "{}",
        faulty.asked("proof_params")
    );
    assert!(faulty.asked("claims") <= 50 * 10, "{}", faulty.asked("claims"));
    assert_eq!(faulty.asked("status"), 1, "the chain's id");
    assert_eq!(faulty.asked("account"), 50);
}

/// More is settled at a height than the chain tells at a time.
#[tokio::test]
async fn all_sessions_of_a_height_are_settled_some_at_a_time() {
    let faults = Faults {
        events: 2,
        ..Faults::default()
    };
    let (world, faulty) = World::over_faults(1, 5, 1, faults).await;
    tokio::time::pause();
    while world.chain.height() < 21 {
        tokio::time::sleep(BLOCK).await;
        world.chain.advance();
    }
    tokio::time::sleep(BLOCK).await;
    let stages: Vec<Stage> = world.rows().iter().map(|row| row.stage).collect();
    assert_eq!(stages, [Stage::Settled; 5]);
    assert_eq!(faulty.asked("block_results"), 3, "2, 2 and 1");
}

/// A block has to have room for a transaction.
#[tokio::test]
async fn transactions_are_halved_until_their_gas_is_allowed() {
    let faults = Faults {
        gas: 5_000_000, // and 1.7 times that is offered for
        ..Faults::default()
    };
    let (world, _faulty) = World::over_faults(1, 6, 1, faults).await;
    world.go_to(20).await;
    assert!(world.rows().iter().all(|row| row.stage == Stage::Settled));
    assert_eq!(world.chain.handed_over(), [(12, 3), (12, 3), (16, 3), (16, 3)]);
}

/// Whatever goes wrong, and wherever the servicer restarts: two blocks of each window that answer are enough to be paid.
#[tokio::test]
async fn two_good_blocks_of_each_window_are_enough() {
    for seed in 0..30 {
        let mut rng = StdRng::seed_from_u64(seed);
        let faults = Faults {
            slow: Duration::from_secs(rng.random_range(0..40)),
            failed: rng.random_range(0..100),
            hanging: rng.random_range(0..60),
            refused: rng.random_range(0..60),
            lost: rng.random_range(0..60),
            taken_in_silence: rng.random_range(0..60),
            ..Faults::default()
        };
        let (mut world, faulty) = World::over_faults(2, 3, seed, faults).await;
        tokio::time::pause();
        while world.chain.height() < 26 {
            // As many seconds into a block as it takes.
            let part = rng.random_range(0.0..1.0);
            tokio::time::sleep(BLOCK.mul_f64(part)).await;
            if rng.random_range(0..4) == 0 {
                world.stop().await;
                world.run_over(faulty.clone(), 3);
            }
            tokio::time::sleep(BLOCK.mul_f64(1.0 - part)).await;
            let next = world.chain.height() + 1;
            faulty.set(!matches!(next, 14 | 15 | 18 | 19) && next < 21);
            world.chain.advance();
        }
        tokio::time::sleep(BLOCK).await;
        for row in world.rows() {
            assert_eq!(row.stage, Stage::Settled, "seed {seed}, {faults:?}: {row:?}");
        }
        tokio::time::resume();
    }
}
