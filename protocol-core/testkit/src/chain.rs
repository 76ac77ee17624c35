//! Blocks in memory over the real state machine.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use portico_chain::block::{self, BlockContext, BlockOutcome, Execution, NoCache};
use portico_chain::genesis::Genesis;
use portico_chain::query::query;
use portico_chain::state::{Changes, Layers, Store};
use portico_client::{
    BlockHead, BlockResults, BroadcastResult, ChainError, ChainStatus, Transport, TxResult,
};
use portico_protocol::tx::{self, SignerContext, TxOptions, sign_tx};
use portico_protocol::wire::cosmos::auth::v1beta1::{BaseAccount, QueryAccountRequest, QueryAccountResponse};
use portico_protocol::wire::pocket::session::QueryGetSessionResponse;
use portico_protocol::wire::pocket::shared::{RpcType, SupplierEndpoint};
use portico_protocol::{Address, BlockHash, Height, PublicKey, ServiceId, SigningKey};
use prost::Message;
use prost_types::Any;
use sha2::{Digest, Sha256};
use tokio::sync::watch;

use crate::faults::{Fault, Faults, question};
use crate::{answer, founding};

/// A state: values by store and key.
pub type Values = BTreeMap<(Store, Vec<u8>), Vec<u8>>;

/// Gas limit of [`MemoryChain::send`].
const GAS_LIMIT: u64 = 10_000_000;
/// SDK's code and text for a transaction that waits, or is in a block.
const KNOWN: (u32, &str) = (19, "tx already exists in cache");

/// The chain. Begins with block 1 of a genesis in which nobody is staked; as long as there is no other block, who stakes is put into the
/// genesis, and block 1 is made anew.
#[derive(Debug)]
pub struct MemoryChain {
    head: watch::Sender<BlockHead>,
    state: Mutex<State>,
    faults: Mutex<Faults>,
}

/// A committed block.
#[derive(Debug)]
struct Committed {
    head: BlockHead,
    /// State after it.
    values: Arc<Values>,
    outcome: BlockOutcome,
    txs: Vec<Bytes>,
}

/// A transaction in a block.
#[derive(Clone, Debug)]
pub struct Included {
    /// Height of the block.
    pub height: i64,
    /// The transaction.
    pub tx: Bytes,
    /// 0 when it succeeded.
    pub code: u32,
}

#[derive(Debug)]
struct State {
    genesis: Genesis,
    /// Endpoints that answers show, by supplier and service: a genesis has none but valid URLs of JSON-RPC.
    endpoints: BTreeMap<(String, String), SupplierEndpoint>,
    /// By height; the first is block 1.
    blocks: Vec<Committed>,
    /// Height that those who follow the head were told of.
    told: i64,
    mempool: Vec<Bytes>,
    /// Transactions that were taken, with the height told of at that time.
    taken: Vec<(i64, Bytes)>,
    /// What the mempool's transactions paid ahead, over the newest state.
    paid: Vec<Arc<Changes>>,
    /// Heights that were rolled back to: the blocks above are others since.
    forks: Vec<i64>,
}

fn apply(values: &mut Values, changes: Changes) {
    for (key, value) in changes {
        match value {
            Some(value) => values.insert(key, value),
            None => values.remove(&key),
        };
    }
}

impl State {
    fn newest(&self) -> &Committed {
        self.blocks.last().unwrap()
    }

    fn found(genesis: &Genesis) -> Values {
        let mut values = Values::new();
        apply(&mut values, block::init(genesis).expect("a consistent genesis"));
        values
    }

    fn hash(&self, height: i64) -> BlockHash {
        let fork = self.forks.iter().filter(|back| **back < height).count();
        Sha256::digest(format!("block {height} of fork {fork}")).into()
    }

    fn context(&self, height: i64, hash: BlockHash) -> BlockContext {
        BlockContext {
            chain_id: self.genesis.chain_id.clone(),
            height: Height(height),
            time_ms: self.genesis.genesis_time_ms + u64::try_from(height).unwrap() * 1_000,
            hash,
            proposer_account: self.genesis.validators[0].account.to_string(),
        }
    }

    /// Context of a transaction that would be in the next block.
    fn next(&self) -> BlockContext {
        self.context(self.newest().head.height.0 + 1, [0; 32])
    }

    /// The newest state with what the mempool's transactions paid.
    fn pending(&self) -> Layers<Arc<Values>> {
        Layers::new(self.newest().values.clone(), self.paid.clone())
    }

    /// Commits a block with what the mempool holds and the rules admit.
    fn commit(&mut self) {
        let parent = self.blocks.last();
        let height = parent.map_or(0, |parent| parent.head.height.0) + 1;
        let mut values = match parent {
            Some(parent) => Values::clone(&parent.values),
            None => Self::found(&self.genesis),
        };
        let context = self.context(height, self.hash(height));
        let mut txs = std::mem::take(&mut self.mempool);
        self.paid.clear();
        let mut execution = Execution::begin(&values, &context).expect("a block");
        txs.retain(|tx| execution.offer(tx).expect("a readable state").is_ok());
        let mut outcome = execution.end(&context.hash).expect("a block");
        apply(&mut values, std::mem::take(&mut outcome.changes));
        self.blocks.push(Committed {
            head: BlockHead {
                height: context.height,
                hash: context.hash,
                time_ms: context.time_ms,
            },
            values: Arc::new(values),
            outcome,
            txs,
        });
    }

    /// Tells those who follow of the block at `height`; its head.
    fn tell(&mut self, height: i64) -> BlockHead {
        self.told = height;
        self.blocks[usize::try_from(height - 1).unwrap()].head.clone()
    }

    fn block(&self, height: Height) -> Result<&Committed, ChainError> {
        if height.0 < 1 {
            let text = format!("height must be greater than 0, but got {height}");
            return Err(ChainError::InvalidArgument(text));
        }
        let block = self.blocks.get(usize::try_from(height.0 - 1).unwrap());
        block.ok_or_else(|| {
            let newest = self.newest().head.height;
            ChainError::NotFound(format!(
                "height {height} must be less than or equal to the current blockchain height {newest}"
            ))
        })
    }

    fn query(&self, path: &str, request: &[u8]) -> Result<Bytes, ChainError> {
        let newest = self.newest();
        let answer = query(&newest.values, newest.head.height, path, request)
            .map_err(|error| answer::refused(&error))?;
        if path == question::SESSION {
            return Ok(self.with_endpoints(&answer));
        }
        Ok(answer.into())
    }

    fn with_endpoints(&self, answer: &[u8]) -> Bytes {
        let mut answer = QueryGetSessionResponse::decode(answer).unwrap();
        let suppliers = answer
            .session
            .iter_mut()
            .flat_map(|session| &mut session.suppliers);
        for supplier in suppliers {
            for config in &mut supplier.services {
                let key = (supplier.operator_address.clone(), config.service_id.clone());
                config.endpoints = self.endpoints.get(&key).cloned().into_iter().collect();
            }
        }
        answer.encode_to_vec().into()
    }

    /// As a mempool: what waits or is in a block already is refused, and so is what does not pass its check.
    fn take(&mut self, bytes: Bytes) -> Result<BroadcastResult, ChainError> {
        let hash = tx::tx_hash(&bytes);
        if self.mempool.contains(&bytes) || self.included().any(|included| included.tx == bytes) {
            let (code, text) = KNOWN;
            return Ok(BroadcastResult {
                hash,
                code,
                codespace: "sdk".to_owned(),
                log: text.to_owned(),
            });
        }
        let checked = block::check(&self.pending(), &self.next(), &NoCache, &bytes);
        let (outcome, changes) = checked.map_err(|error| ChainError::Internal(error.to_string()))?;
        if outcome.code == 0 {
            self.paid.push(Arc::new(changes));
            self.mempool.push(bytes);
        }
        Ok(BroadcastResult {
            hash,
            code: outcome.code,
            codespace: outcome.codespace,
            log: outcome.log,
        })
    }

    fn broadcast(&mut self, bytes: Bytes) -> Result<BroadcastResult, ChainError> {
        let result = self.take(bytes.clone())?;
        if result.code == 0 {
            self.taken.push((self.told, bytes));
        }
        Ok(result)
    }

    fn drop_mempool(&mut self) {
        self.mempool.clear();
        self.paid.clear();
    }

    fn included(&self) -> impl Iterator<Item = Included> {
        self.blocks.iter().flat_map(|block| {
            let outcomes = block.txs.iter().zip(&block.outcome.txs);
            outcomes.map(|(tx, outcome)| Included {
                height: block.head.height.0,
                tx: tx.clone(),
                code: outcome.code,
            })
        })
    }

    /// The account of `address` after the mempool's transactions.
    fn account(&self, address: &Address) -> BaseAccount {
        let request = QueryAccountRequest {
            address: address.to_string(),
        };
        let (pending, height) = (self.pending(), self.newest().head.height);
        let answer =
            query(&pending, height, question::ACCOUNT, &request.encode_to_vec()).expect("an account");
        let answer = QueryAccountResponse::decode(&*answer).unwrap();
        tx::unpack(&answer.account.unwrap()).unwrap()
    }

    fn simulate(&self, bytes: &[u8]) -> Result<u64, ChainError> {
        let outcome = block::simulate(&self.pending(), &self.next(), bytes)
            .map_err(|error| ChainError::Internal(error.to_string()))?;
        match outcome.code {
            0 => Ok(outcome.gas_used),
            _ => Err(ChainError::InvalidArgument(outcome.log)),
        }
    }

    fn tx(&self, hash: &str) -> Result<Option<TxResult>, ChainError> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(hash, &mut bytes)
            .map_err(|error| ChainError::InvalidArgument(format!("{hash:?}: {error}")))?;
        let hash = hex::encode_upper(bytes);
        Ok(self.blocks.iter().find_map(|block| {
            let index = block.txs.iter().position(|tx| tx::tx_hash(tx) == hash)?;
            Some(answer::tx_result(block.head.height, &block.outcome.txs[index]))
        }))
    }
}

impl MemoryChain {
    /// A chain at height 1, in which nobody is staked, under the network's default params.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Self::of(founding::empty())
    }

    /// A chain at height 1 of this genesis.
    #[must_use]
    pub fn of(genesis: Genesis) -> Arc<Self> {
        let mut state = State {
            genesis,
            endpoints: BTreeMap::new(),
            blocks: Vec::new(),
            told: 1,
            mempool: Vec::new(),
            taken: Vec::new(),
            paid: Vec::new(),
            forks: Vec::new(),
        };
        state.commit();
        let head = watch::Sender::new(state.newest().head.clone());
        Arc::new(Self {
            head,
            state: Mutex::new(state),
            faults: Mutex::default(),
        })
    }

    /// Changes the genesis and makes block 1 anew, without what the mempool holds; only while there is no other block.
    pub fn found(&self, change: impl FnOnce(&mut Genesis)) {
        let mut state = self.state();
        assert_eq!(state.blocks.len(), 1, "a genesis is changed before block 2");
        state.drop_mempool();
        change(&mut state.genesis);
        state.blocks.clear();
        state.commit();
    }

    /// Gives the owner of `key` an account whose key is known.
    pub fn add_account(&self, key: PublicKey) {
        self.found(|genesis| founding::account(genesis, &key));
    }

    /// Stakes an application for `service` that delegates to `gateways`, which are staked as well; the chain does not know their keys by that.
    pub fn stake_application(&self, key: PublicKey, service: &ServiceId, gateways: &[Address]) {
        self.found(|genesis| {
            founding::account(genesis, &key);
            founding::application(genesis, key.address(), service, gateways);
        });
    }

    /// Stakes a gateway that no application delegates to yet.
    pub fn stake_gateway(&self, key: PublicKey) {
        self.found(|genesis| {
            founding::account(genesis, &key);
            founding::gateway(genesis, key.address());
        });
    }

    /// Stakes a supplier that serves `service` at `url`.
    pub fn stake_supplier(&self, key: PublicKey, service: &ServiceId, url: &str, rpc_type: RpcType) {
        self.add_account(key);
        self.stake_unknown_supplier(key.address(), service, url, rpc_type);
    }

    /// As [`Self::stake_supplier`], of an operator that never signed: the chain does not know its key.
    pub fn stake_unknown_supplier(
        &self,
        operator: Address,
        service: &ServiceId,
        url: &str,
        rpc_type: RpcType,
    ) {
        self.found(|genesis| founding::supplier(genesis, operator, service));
        let endpoint = SupplierEndpoint {
            url: url.to_owned(),
            rpc_type: rpc_type.into(),
            ..Default::default()
        };
        let key = (operator.to_string(), service.to_string());
        self.state().endpoints.insert(key, endpoint);
    }

    /// The genesis.
    #[must_use]
    pub fn genesis(&self) -> Genesis {
        self.state().genesis.clone()
    }

    /// Height that those who follow the head were told of.
    #[must_use]
    pub fn height(&self) -> i64 {
        self.state().told
    }

    /// Hash that the block at `height` has, or will have unless blocks below it are rolled back.
    #[must_use]
    pub fn hash(&self, height: i64) -> BlockHash {
        self.state().hash(height)
    }

    /// Commits a block with what the mempool holds, unless there is one that nobody was told of, and tells of it; its height.
    pub fn advance(&self) -> i64 {
        let head = {
            let mut state = self.state();
            let next = state.told + 1;
            if state.newest().head.height.0 < next {
                state.commit();
            }
            state.tell(next)
        };
        let height = head.height.0;
        self.head.send_replace(head);
        height
    }

    /// Commits a block that is known to who asks for it, or for the status, but not to who follows the head.
    pub fn advance_untold(&self) {
        self.state().commit();
    }

    /// Commits blocks up to `height`. Who follows the head is told of the last one only.
    pub fn advance_to(&self, height: i64) {
        let head = {
            let mut state = self.state();
            while state.newest().head.height.0 < height {
                state.commit();
            }
            let newest = state.newest().head.height.0;
            state.tell(newest)
        };
        self.head.send_replace(head);
    }

    /// Undoes the blocks above `height`, at least 1; what was in them and in the mempool is lost, and the blocks to come are others.
    pub fn roll_back(&self, height: i64) {
        let head = {
            let mut state = self.state();
            let kept = usize::try_from(height).unwrap();
            assert!((1..=state.blocks.len()).contains(&kept), "a committed height");
            state.blocks.truncate(kept);
            state.drop_mempool();
            state.forks.push(height);
            state.tell(height)
        };
        self.head.send_replace(head);
    }

    /// Hands over a transaction of `key` with these messages, as from another node: neither a fault nor [`Self::taken`] knows of it.
    pub fn send(&self, key: &SigningKey, messages: Vec<Any>) {
        let mut state = self.state();
        let account = state.account(&key.address());
        let context = SignerContext {
            chain_id: state.genesis.chain_id.clone(),
            account_number: account.account_number,
            sequence: account.sequence,
        };
        let options = TxOptions {
            gas_limit: GAS_LIMIT,
            ..TxOptions::default()
        };
        let result = state
            .take(sign_tx(messages, &options, &context, key).into())
            .unwrap();
        assert_eq!(result.code, 0, "{}", result.log);
    }

    /// Changes the newest state beside the rules, for what no transaction does.
    pub fn amend(&self, change: impl FnOnce(&mut Values)) {
        let mut state = self.state();
        let newest = state.blocks.last_mut().unwrap();
        change(Arc::make_mut(&mut newest.values));
    }

    /// Loses the transactions that wait.
    pub fn drop_mempool(&self) {
        self.state().drop_mempool();
    }

    /// Transactions that were handed over and taken, also those that were lost afterwards, with the height told of at that time.
    #[must_use]
    pub fn taken(&self) -> Vec<(i64, Bytes)> {
        self.state().taken.clone()
    }

    /// Transactions of all blocks, in order.
    #[must_use]
    pub fn included(&self) -> Vec<Included> {
        self.state().included().collect()
    }

    /// Lets these happen to the next questions of this kind (see [`question`]), the first one first.
    pub fn fail(&self, question: &str, faults: impl IntoIterator<Item = Fault>) {
        self.faults().queue(question, faults);
    }

    /// Lets this happen to every question of this kind whose content (a query's request, a transaction) `applies` to, unless something
    /// else is to happen to it. Takes the place of an earlier one of this kind.
    pub fn fail_when(&self, question: &str, fault: Fault, applies: impl Fn(&[u8]) -> bool + Send + 'static) {
        self.faults().rule(question, fault, applies);
    }

    /// Answers every question with this error, or as usual again.
    pub fn away(&self, error: Option<ChainError>) {
        self.faults().away(error);
    }

    /// Lets every question of this kind take this long.
    pub fn delay(&self, question: &str, delay: Duration) {
        self.faults().delay(question, delay);
    }

    /// Questions of this kind so far.
    pub fn asked(&self, question: &str) -> u64 {
        self.faults().asked(question)
    }

    /// Refuses the next session look-ups with these errors, the first one first.
    pub fn refuse_sessions(&self, errors: Vec<ChainError>) {
        self.fail(question::SESSION, errors.into_iter().map(Fault::Refused));
    }

    /// Lets every session look-up take this long.
    pub fn delay_sessions(&self, delay: Duration) {
        self.delay(question::SESSION, delay);
    }

    /// Session look-ups so far.
    pub fn session_calls(&self) -> u64 {
        self.asked(question::SESSION)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn faults(&self) -> MutexGuard<'_, Faults> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers a question by `reply`, unless something happens to it.
    async fn ask<T>(
        &self,
        question: &str,
        content: &[u8],
        reply: impl FnOnce(&mut State) -> Result<T, ChainError> + Send,
    ) -> Result<T, ChainError> {
        let delay = self.faults().ask(question);
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        let fault = self.faults().next(question, content);
        match fault {
            None => reply(&mut self.state()),
            Some(Fault::Refused(error)) => Err(error),
            Some(Fault::AnswerLost) => {
                reply(&mut self.state())?;
                Err(ChainError::Unavailable("the answer was lost".to_owned()))
            }
            Some(Fault::Lost) => {
                let mut state = self.state();
                let (mempool, paid) = (state.mempool.clone(), state.paid.clone());
                let answer = reply(&mut state);
                (state.mempool, state.paid) = (mempool, paid);
                answer
            }
            Some(Fault::Slow(delay)) => {
                tokio::time::sleep(delay).await;
                reply(&mut self.state())
            }
            Some(Fault::Silent) => std::future::pending().await,
        }
    }
}

#[async_trait]
impl Transport for MemoryChain {
    async fn query(&self, path: &'static str, request: Bytes) -> Result<Bytes, ChainError> {
        self.ask(path, &request, |state| state.query(path, &request))
            .await
    }

    fn head(&self) -> watch::Receiver<BlockHead> {
        self.head.subscribe()
    }

    async fn status(&self) -> Result<ChainStatus, ChainError> {
        let status = |state: &mut State| {
            Ok(ChainStatus {
                chain_id: state.genesis.chain_id.clone(),
                head: state.newest().head.clone(),
                catching_up: false,
            })
        };
        self.ask(question::STATUS, &[], status).await
    }

    async fn block(&self, height: Height) -> Result<BlockHead, ChainError> {
        let block = |state: &mut State| Ok(state.block(height)?.head.clone());
        self.ask(question::BLOCK, &[], block).await
    }

    async fn block_results(&self, height: Height) -> Result<BlockResults, ChainError> {
        let results = |state: &mut State| {
            let outcome = &state.block(height)?.outcome;
            let tx = |tx| answer::tx_result(height, tx);
            Ok(BlockResults {
                block_events: outcome.events.iter().map(answer::event).collect(),
                txs: outcome.txs.iter().map(tx).collect(),
            })
        };
        self.ask(question::BLOCK_RESULTS, &[], results).await
    }

    async fn broadcast(&self, tx: Bytes) -> Result<BroadcastResult, ChainError> {
        self.ask(question::BROADCAST, &tx, |state| state.broadcast(tx.clone()))
            .await
    }

    async fn simulate(&self, tx: Bytes) -> Result<u64, ChainError> {
        self.ask(question::SIMULATE, &tx, |state| state.simulate(&tx))
            .await
    }

    async fn tx(&self, hash: &str) -> Result<Option<TxResult>, ChainError> {
        self.ask(question::TX, hash.as_bytes(), |state| state.tx(hash))
            .await
    }
}
