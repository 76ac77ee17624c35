//! A chain in memory: one application, a few suppliers, blocks on demand. It accepts claims and proofs by the network's windows and
//! checks, and settles.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};

use async_trait::async_trait;
use bytes::Bytes;
use portico_client::{
    Account, Accounts, Actors, BlockHead, BlockResults, Blocks, BroadcastResult, ChainError, ChainStatus,
    Claims, Event, ModuleParams, Sessions, Transactions, TxResult,
};
use portico_protocol::session::{self, Timing};
use portico_protocol::wire::cosmos::base::v1beta1::Coin;
use portico_protocol::wire::pocket;
use portico_protocol::wire::pocket::proof::{
    Claim, ClaimProofStatus, MsgCreateClaim, MsgSubmitProof, ProofRequirementReason,
};
use portico_protocol::wire::pocket::session::SessionHeader;
use portico_protocol::wire::pocket::shared::Params;
use portico_protocol::{Address, BlockHash, Height, PublicKey, ServiceId, Upokt, claim, proof, relay, tx};
use portico_smst::{CompactClosestProof, Path, Rule, Sum, SumDigest};
use prost::Message;
use prost_types::Any;
use sha2::{Digest, Sha256};
use tokio::sync::watch;

pub(super) type ClaimKey = (String, String);

pub(super) struct FakeChain {
    head: watch::Sender<BlockHead>,
    state: Mutex<State>,
}

/// Tests reach in here to make things go wrong.
pub(super) struct State {
    pub(super) params: Params,
    pub(super) proof_params: pocket::proof::Params,
    pub(super) num_suppliers: u64,
    pub(super) compute_units_per_relay: u64,
    pub(super) target_hash: [u8; 32],
    pub(super) application: pocket::application::Application,
    pub(super) suppliers: Vec<Address>,
    pub(super) public_keys: BTreeMap<Address, PublicKey>,
    pub(super) claims: BTreeMap<ClaimKey, Claim>,
    /// Claims after each block.
    pub(super) claims_at: BTreeMap<i64, BTreeMap<ClaimKey, Claim>>,
    pub(super) mempool: Vec<Bytes>,
    /// Included messages that succeeded, with the height of their block.
    pub(super) included: Vec<(i64, Any)>,
    /// Transactions handed over, with the newest height at that time and the number of messages.
    pub(super) handed_over: Vec<(i64, usize)>,
    pub(super) events: BTreeMap<i64, Vec<Event>>,
    pub(super) txs: BTreeMap<String, TxResult>,
    pub(super) session_queries: u64,
    pub(super) status_queries: u64,
    /// Blocks above the followed head: committed, and known to who asks for the status.
    pub(super) untold: i64,
    /// The mempool takes this many transactions and loses them.
    pub(super) lose: u32,
    /// Session ids whose messages make a transaction fail its simulation.
    pub(super) poisoned: Vec<String>,
    /// Every call fails as if the node were away.
    pub(super) away: bool,
    /// Questions for sessions of invented applications are not answered.
    pub(super) hangs_for_strangers: bool,
    /// Heights that the chain was rolled back to: the blocks above are others since.
    pub(super) forks: Vec<i64>,
}

fn block_hash(height: i64, fork: usize) -> BlockHash {
    Sha256::digest(format!("block {height} of fork {fork}")).into()
}

impl FakeChain {
    pub(super) fn new(state: State) -> Self {
        let chain = Self {
            head: watch::Sender::new(BlockHead::default()),
            state: Mutex::new(state),
        };
        chain.set_head(1);
        chain
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub(super) fn height(&self) -> i64 {
        self.head.borrow().height.0
    }

    /// Commits one block with everything in the mempool.
    pub(super) fn advance(&self) -> i64 {
        let height = self.height() + 1;
        {
            let mut state = self.state();
            for bytes in std::mem::take(&mut state.mempool) {
                state.include(&bytes, height);
            }
            state.settle(height);
            let claims = state.claims.clone();
            state.claims_at.insert(height, claims);
        }
        self.set_head(height);
        height
    }

    /// Undoes the blocks above `height`; what was in them and in the mempool is lost.
    pub(super) fn roll_back(&self, height: i64) {
        {
            let mut state = self.state();
            state.claims = state.claims_at.get(&height).cloned().unwrap_or_default();
            state.included.retain(|(at, _)| *at <= height);
            state.events.retain(|at, _| *at <= height);
            state.txs.retain(|_, tx| tx.height.0 <= height);
            state.mempool.clear();
            state.forks.push(height);
        }
        self.set_head(height);
    }

    fn set_head(&self, height: i64) {
        let time_ms = 1_700_000_000_000 + u64::try_from(height).unwrap() * 1_000;
        self.head.send_replace(BlockHead {
            height: Height(height),
            hash: self.state().block_hash(height),
            time_ms,
        });
    }

    pub(super) fn header(&self, height: i64, service: &str) -> SessionHeader {
        self.state().header(Height(height), service)
    }

    fn up(&self) -> Result<MutexGuard<'_, State>, ChainError> {
        let state = self.state();
        if state.away {
            Err(ChainError::Unavailable("away".into()))
        } else {
            Ok(state)
        }
    }
}

impl State {
    fn block_hash(&self, height: i64) -> BlockHash {
        let fork = self.forks.iter().filter(|back| **back < height).count();
        block_hash(height, fork)
    }

    fn header(&self, height: Height, service: &str) -> SessionHeader {
        let start = Timing::new(&self.params).start(height);
        let application: Address = self.application.address.parse().unwrap();
        let service = ServiceId::new(service).unwrap();
        session::header(
            &application,
            &service,
            start,
            &self.block_hash(start.0),
            &self.params,
        )
    }

    fn include(&mut self, bytes: &[u8], height: i64) {
        let decoded = tx::decode_tx(bytes).unwrap();
        let hash = tx::tx_hash(bytes);
        let saved = self.claims.clone();
        let mut result = TxResult {
            height: Height(height),
            code: 0,
            codespace: String::new(),
            log: String::new(),
            gas_used: 1,
            events: Vec::new(),
        };
        for message in &decoded.body.messages {
            if let Err(log) = self.execute(message, height) {
                self.claims = saved;
                result = TxResult {
                    code: 1,
                    codespace: "proof".into(),
                    log,
                    ..result
                };
                break;
            }
        }
        if result.code == 0 {
            self.included.extend(
                decoded
                    .body
                    .messages
                    .iter()
                    .map(|message| (height, message.clone())),
            );
        }
        self.txs.insert(hash, result);
    }

    fn execute(&mut self, message: &Any, height: i64) -> Result<(), String> {
        match message.type_url.as_str() {
            "/pocket.proof.MsgCreateClaim" => {
                self.create_claim(&MsgCreateClaim::decode(&*message.value).unwrap(), height)
            }
            "/pocket.proof.MsgSubmitProof" => {
                self.submit_proof(&MsgSubmitProof::decode(&*message.value).unwrap(), height)
            }
            other => Err(format!("unexpected message {other}")),
        }
    }

    fn create_claim(&mut self, message: &MsgCreateClaim, height: i64) -> Result<(), String> {
        claim::validate_create_claim(message).map_err(|e| e.to_string())?;
        let header = message.session_header.clone().unwrap();
        let timing = Timing::new(&self.params);
        let end = Height(header.session_end_block_height);
        let window = timing.claim_open(end).0..=timing.claim_close(end).0;
        if !window.contains(&height) {
            return Err(format!("1121: claim at {height} outside {window:?}"));
        }
        let (sum, count) = claim::root_totals(&message.root_hash).unwrap();
        if sum.0 != count * self.compute_units_per_relay {
            return Err("1126: compute units mismatch".into());
        }
        let key = (
            header.session_id.clone(),
            message.supplier_operator_address.clone(),
        );
        let claim = Claim {
            supplier_operator_address: key.1.clone(),
            session_header: Some(header),
            root_hash: message.root_hash.clone(),
            proof_validation_status: 0,
        };
        self.claims.insert(key, claim);
        Ok(())
    }

    fn submit_proof(&mut self, message: &MsgSubmitProof, height: i64) -> Result<(), String> {
        let header = message.session_header.clone().unwrap();
        let timing = Timing::new(&self.params);
        let end = Height(header.session_end_block_height);
        let (open, close) = (timing.proof_open(end).0, timing.proof_close(end).0);
        if !(open..=close).contains(&height) {
            return Err(format!("1122: proof at {height} outside {open}..={close}"));
        }
        let key = (
            header.session_id.clone(),
            message.supplier_operator_address.clone(),
        );
        let claim = self.claims.get(&key).ok_or("1106: claim not found")?.clone();
        let supplier: Address = key.1.parse().unwrap();
        let valid = self.is_valid(message, &claim, &supplier, open);
        let status = if valid {
            ClaimProofStatus::Validated
        } else {
            ClaimProofStatus::Invalid
        };
        self.claims
            .get_mut(&key)
            .unwrap()
            .set_proof_validation_status(status);
        Ok(())
    }

    fn is_valid(&self, message: &MsgSubmitProof, claim: &Claim, supplier: &Address, open: i64) -> bool {
        let header = message.session_header.as_ref().unwrap();
        let path = Path::new(proof::proof_path(&self.block_hash(open - 1), &header.session_id));
        let root = SumDigest::try_from(&claim.root_hash[..]).unwrap();
        let proof = CompactClosestProof::from_gob(&message.proof).unwrap();
        let Ok(full) = proof.verify::<Sum>(Rule::Network, &root, &path) else {
            return false;
        };
        let relayed = pocket::service::Relay::decode(full.value::<Sum>().unwrap().unwrap()).unwrap();
        let ring = relay::ring_addresses(&self.application, Height(header.session_end_block_height));
        relay::verify_request_signature(&relayed.req.unwrap(), &ring).is_ok()
            && relay::verify_response_signature(&relayed.res.unwrap(), &self.public_keys[supplier]).is_ok()
    }

    fn settle(&mut self, height: i64) {
        let timing = Timing::new(&self.params);
        let due = |claim: &Claim| {
            let end = claim.session_header.as_ref().unwrap().session_end_block_height;
            timing.proof_close(Height(end)).0 == height
        };
        let keys: Vec<ClaimKey> = self
            .claims
            .iter()
            .filter(|(_, claim)| due(claim))
            .map(|(key, _)| key.clone())
            .collect();
        for key in keys {
            let claim = self.claims.remove(&key).unwrap();
            let event = self.outcome(&key, &claim, height);
            self.events.entry(height).or_default().push(event);
        }
    }

    fn outcome(&self, key: &ClaimKey, claim: &Claim, height: i64) -> Event {
        let header = claim.session_header.as_ref().unwrap();
        let params = &self.params;
        let worth = claim::claim_amount(
            &claim.root_hash,
            &self.target_hash,
            params.compute_units_to_tokens_multiplier,
            params.compute_unit_cost_granularity,
        );
        let worth = worth.unwrap().claimed;
        let open = Timing::new(params)
            .proof_open(Height(header.session_end_block_height))
            .0;
        assert!(open <= height);
        let pending = Claim {
            proof_validation_status: 0,
            ..claim.clone()
        };
        let required =
            proof::proof_requirement(&pending, worth, &self.block_hash(open - 1), &self.proof_params)
                != ProofRequirementReason::NotRequired;
        let proved = claim.proof_validation_status() == ClaimProofStatus::Validated;
        let settled = !required || proved;
        let mut attributes = vec![
            (
                "application_address".to_owned(),
                format!("{:?}", header.application_address),
            ),
            ("service_id".to_owned(), format!("{:?}", header.service_id)),
            (
                "session_end_block_height".to_owned(),
                format!("\"{}\"", header.session_end_block_height),
            ),
            ("supplier_operator_address".to_owned(), format!("{:?}", key.1)),
        ];
        if settled {
            attributes.push(("session_id".to_owned(), format!("{:?}", key.0)));
            attributes.push(("settled_upokt".to_owned(), format!("\"{}upokt\"", worth.0)));
        } else {
            attributes.push(("expiration_reason".to_owned(), "\"PROOF_MISSING\"".to_owned()));
        }
        let name = if settled {
            "EventClaimSettled"
        } else {
            "EventClaimExpired"
        };
        Event {
            kind: format!("pocket.tokenomics.{name}"),
            attributes,
        }
    }
}

fn missing<T>(what: &str) -> Result<T, ChainError> {
    Err(ChainError::NotFound(what.to_owned()))
}

#[async_trait]
impl Blocks for FakeChain {
    fn head(&self) -> watch::Receiver<BlockHead> {
        self.head.subscribe()
    }

    async fn status(&self) -> Result<ChainStatus, ChainError> {
        let mut state = self.up()?;
        state.status_queries += 1;
        let mut head = self.head.borrow().clone();
        head.height.0 += state.untold;
        Ok(ChainStatus {
            chain_id: "pocket".into(),
            head,
            catching_up: false,
        })
    }

    async fn block(&self, height: Height) -> Result<BlockHead, ChainError> {
        let state = self.up()?;
        if height.0 > self.height() {
            return missing("block");
        }
        Ok(BlockHead {
            height,
            hash: state.block_hash(height.0),
            time_ms: 0,
        })
    }

    async fn block_results(&self, height: Height) -> Result<BlockResults, ChainError> {
        let block_events = self.up()?.events.get(&height.0).cloned().unwrap_or_default();
        Ok(BlockResults {
            block_events,
            txs: Vec::new(),
        })
    }
}

#[async_trait]
impl ModuleParams for FakeChain {
    async fn shared_params(&self, _: Option<Height>) -> Result<Params, ChainError> {
        Ok(self.up()?.params)
    }

    async fn session_params(&self) -> Result<pocket::session::Params, ChainError> {
        Ok(pocket::session::Params {
            num_suppliers_per_session: self.up()?.num_suppliers,
        })
    }

    async fn proof_params(&self) -> Result<pocket::proof::Params, ChainError> {
        Ok(self.up()?.proof_params.clone())
    }

    async fn supplier_params(&self) -> Result<pocket::supplier::Params, ChainError> {
        missing("supplier params")
    }

    async fn tokenomics_params(&self) -> Result<pocket::tokenomics::Params, ChainError> {
        missing("tokenomics params")
    }
}

#[async_trait]
impl Sessions for FakeChain {
    async fn session(
        &self,
        application: &Address,
        service: &ServiceId,
        height: Height,
    ) -> Result<pocket::session::Session, ChainError> {
        let hangs = {
            let mut state = self.up()?;
            state.session_queries += 1;
            state.hangs_for_strangers && state.application.address != application.to_string()
        };
        if hangs {
            std::future::pending::<()>().await;
        }
        let state = self.up()?;
        if state.application.address != application.to_string() {
            return Err(ChainError::InvalidArgument("application not found".into()));
        }
        let header = state.header(height, service.as_str());
        let supplier = |address: &Address| pocket::shared::Supplier {
            operator_address: address.to_string(),
            ..Default::default()
        };
        Ok(pocket::session::Session {
            session_id: header.session_id.clone(),
            header: Some(header),
            application: Some(state.application.clone()),
            suppliers: state.suppliers.iter().map(supplier).collect(),
            ..Default::default()
        })
    }

    async fn compute_units_per_relay(&self, _: &ServiceId, _: Height) -> Result<u64, ChainError> {
        Ok(self.up()?.compute_units_per_relay)
    }

    async fn difficulty(
        &self,
        service: &ServiceId,
        _: Height,
    ) -> Result<pocket::service::RelayMiningDifficulty, ChainError> {
        let target_hash = self.up()?.target_hash.to_vec();
        Ok(pocket::service::RelayMiningDifficulty {
            service_id: service.to_string(),
            target_hash,
            ..Default::default()
        })
    }
}

#[async_trait]
impl Actors for FakeChain {
    async fn application(&self, _: &Address) -> Result<pocket::application::Application, ChainError> {
        Ok(self.up()?.application.clone())
    }

    async fn applications(&self) -> Result<Vec<pocket::application::Application>, ChainError> {
        Ok(vec![self.up()?.application.clone()])
    }

    async fn gateway(&self, _: &Address) -> Result<pocket::gateway::Gateway, ChainError> {
        missing("gateway")
    }

    async fn gateways(&self) -> Result<Vec<pocket::gateway::Gateway>, ChainError> {
        Ok(Vec::new())
    }

    async fn supplier(&self, _: &Address) -> Result<pocket::shared::Supplier, ChainError> {
        missing("supplier")
    }

    async fn suppliers(&self) -> Result<Vec<pocket::shared::Supplier>, ChainError> {
        Ok(Vec::new())
    }

    async fn service(&self, _: &ServiceId) -> Result<pocket::shared::Service, ChainError> {
        missing("service")
    }

    async fn services(&self) -> Result<Vec<pocket::shared::Service>, ChainError> {
        Ok(Vec::new())
    }
}

#[async_trait]
impl Claims for FakeChain {
    async fn claim(&self, session_id: &str, supplier: &Address) -> Result<Option<Claim>, ChainError> {
        Ok(self
            .up()?
            .claims
            .get(&(session_id.to_owned(), supplier.to_string()))
            .cloned())
    }

    async fn claims(&self) -> Result<Vec<Claim>, ChainError> {
        Ok(self.up()?.claims.values().cloned().collect())
    }

    async fn proof(&self, _: &str, _: &Address) -> Result<Option<pocket::proof::Proof>, ChainError> {
        Ok(None)
    }
}

#[async_trait]
impl Accounts for FakeChain {
    async fn account(&self, address: &Address) -> Result<Account, ChainError> {
        drop(self.up()?);
        Ok(Account {
            address: *address,
            public_key: None,
            number: 7,
            sequence: 0,
        })
    }

    async fn balance(&self, _: &Address) -> Result<Upokt, ChainError> {
        Ok(Upokt(0))
    }

    async fn total_supply(&self) -> Result<Upokt, ChainError> {
        Ok(Upokt::default())
    }
}

#[async_trait]
impl Transactions for FakeChain {
    async fn broadcast(&self, tx: Bytes) -> Result<BroadcastResult, ChainError> {
        let height = self.height();
        let mut state = self.up()?;
        let decoded = tx::decode_tx(&tx).unwrap();
        assert!(decoded.body.unordered, "transactions are unordered");
        state.handed_over.push((height, decoded.body.messages.len()));
        let hash = tx::tx_hash(&tx);
        if state.lose > 0 {
            state.lose -= 1;
        } else {
            state.mempool.push(tx);
        }
        Ok(BroadcastResult {
            hash,
            code: 0,
            codespace: String::new(),
            log: String::new(),
        })
    }

    async fn simulate(&self, tx: Bytes) -> Result<u64, ChainError> {
        let state = self.up()?;
        let decoded = tx::decode_tx(&tx).unwrap();
        let is_poisoned = |message: &Any| {
            state
                .poisoned
                .iter()
                .any(|id| find(&message.value, id.as_bytes()))
        };
        if decoded.body.messages.iter().any(is_poisoned) {
            return Err(ChainError::InvalidArgument("poisoned".into()));
        }
        Ok(100_000)
    }

    async fn tx(&self, hash: &str) -> Result<Option<TxResult>, ChainError> {
        Ok(self.up()?.txs.get(hash).cloned())
    }
}

fn find(bytes: &[u8], text: &[u8]) -> bool {
    bytes.windows(text.len()).any(|window| window == text)
}

pub(super) fn upokt(amount: u128) -> Option<Coin> {
    Some(Upokt(amount).into())
}
