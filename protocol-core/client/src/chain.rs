//! What is asked of a chain.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use portico_protocol::wire::pocket;
use portico_protocol::{Address, BlockHash, Height, PublicKey, ServiceId, Upokt};
use tokio::sync::watch;

use crate::ChainError;

/// The newest facts of a committed block.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BlockHead {
    /// Height of the block; 0 before the first block is known.
    pub height: Height,
    /// Hash of its header.
    pub hash: BlockHash,
    /// Header time in milliseconds since 1970-01-01 UTC.
    pub time_ms: u64,
}

/// Answer of [`Blocks::status`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainStatus {
    /// Chain id, which transactions commit to.
    pub chain_id: String,
    /// The newest committed block.
    pub head: BlockHead,
    /// Whether the node is still catching up.
    pub catching_up: bool,
}

/// An account of the auth module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Address.
    pub address: Address,
    /// Public key; `None` until the account has signed once (or genesis gave it).
    pub public_key: Option<PublicKey>,
    /// Account number, which signatures commit to.
    pub number: u64,
    /// Sequence of the next ordered transaction.
    pub sequence: u64,
}

/// An event with its attributes in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Full proto name for typed events, e.g. `pocket.proof.EventClaimCreated`.
    pub kind: String,
    /// (key, JSON text of the value).
    pub attributes: Vec<(String, String)>,
}

impl Event {
    /// Text of the attribute `key`, as emitted (strings keep their JSON quotes).
    #[must_use]
    pub fn attribute(&self, key: &str) -> Option<&str> {
        self.attributes
            .iter()
            .find(|(name, _)| name == key)
            .map(|(_, value)| value.as_str())
    }
}

/// Outcome of a transaction in a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TxResult {
    /// Height of the block that includes it.
    pub height: Height,
    /// 0 when it succeeded.
    pub code: u32,
    /// Module of the error code; empty on success.
    pub codespace: String,
    /// Error text; empty on success.
    pub log: String,
    /// Gas it used.
    pub gas_used: u64,
    /// Events it emitted.
    pub events: Vec<Event>,
}

/// Outcome of handing a transaction to the mempool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BroadcastResult {
    /// Upper-case hex hash of the transaction.
    pub hash: String,
    /// 0 when the mempool took it.
    pub code: u32,
    /// Module of the error code.
    pub codespace: String,
    /// Error text.
    pub log: String,
}

/// What the SDK's mempool says of a transaction that it has, or had (`types/errors`, `ErrTxInMempoolCache`): codespace and code.
const KNOWN: (&str, u32) = ("sdk", 19);

impl BroadcastResult {
    /// Whether the mempool has the transaction: it took it now, or has had it before.
    #[must_use]
    pub fn is_taken(&self) -> bool {
        self.code == 0 || (self.codespace.as_str(), self.code) == KNOWN
    }
}

/// Events and transaction outcomes of one block.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BlockResults {
    /// Events of begin and end block, with a `mode` attribute.
    pub block_events: Vec<Event>,
    /// Outcome per transaction, in block order.
    pub txs: Vec<TxResult>,
}

impl BlockResults {
    /// The events of begin and end block that `keep` wants.
    #[must_use]
    pub fn events(self, keep: &KeepEvent) -> BlockEvents {
        let mut events = self.block_events;
        events.retain(|event| keep(event));
        BlockEvents {
            events,
            ..BlockEvents::default()
        }
    }
}

/// Says whether an event is wanted.
pub type KeepEvent = Arc<dyn Fn(&Event) -> bool + Send + Sync>;

/// Events of one block that were wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BlockEvents {
    /// Events of begin and end block, in order.
    pub events: Vec<Event>,
    /// Events that could not be read, because they are too large or malformed: whether they were wanted is not known.
    pub unreadable: u64,
    /// Whether more were wanted than are held at a time: those are found by asking again for what is not here.
    pub more: bool,
}

/// The blocks of a chain: where it is, and what happened in each.
#[async_trait]
pub trait Blocks: Send + Sync + 'static {
    /// Follows the newest committed block. Only the newest is kept: a reader that needs every height fills gaps with [`Blocks::block`].
    fn head(&self) -> watch::Receiver<BlockHead>;

    /// Why no node has answered yet, without its address; `None` from the first answer on.
    fn unreached(&self) -> Option<String> {
        None
    }

    /// Chain id, newest block, sync state.
    async fn status(&self) -> Result<ChainStatus, ChainError>;

    /// The block at `height`; [`ChainError::NotFound`] when it is not committed yet or was pruned.
    async fn block(&self, height: Height) -> Result<BlockHead, ChainError>;

    /// Events and transaction outcomes of the block at `height`.
    async fn block_results(&self, height: Height) -> Result<BlockResults, ChainError>;

    /// The events of begin and end block at `height` that `keep` wants. Unlike [`Blocks::block_results`] it takes memory for those only, however
    /// many there are.
    async fn block_events(&self, height: Height, keep: KeepEvent) -> Result<BlockEvents, ChainError> {
        Ok(self.block_results(height).await?.events(&keep))
    }
}

/// The params of the network's modules.
#[async_trait]
pub trait ModuleParams: Send + Sync + 'static {
    /// Shared params in force at `height`, or the live ones.
    async fn shared_params(&self, height: Option<Height>) -> Result<pocket::shared::Params, ChainError>;

    /// Live session params.
    async fn session_params(&self) -> Result<pocket::session::Params, ChainError>;

    /// Live proof params.
    async fn proof_params(&self) -> Result<pocket::proof::Params, ChainError>;

    /// Live supplier params: minimum stake and staking fee.
    async fn supplier_params(&self) -> Result<pocket::supplier::Params, ChainError>;

    /// Live tokenomics params.
    async fn tokenomics_params(&self) -> Result<pocket::tokenomics::Params, ChainError>;
}

/// Who relays for whom, and at which price.
#[async_trait]
pub trait Sessions: Send + Sync + 'static {
    /// The session of (application, service) that contains `height`; height 0 means the newest.
    async fn session(
        &self,
        application: &Address,
        service: &ServiceId,
        height: Height,
    ) -> Result<pocket::session::Session, ChainError>;

    /// Compute units per relay of the service at `height`.
    async fn compute_units_per_relay(&self, service: &ServiceId, height: Height) -> Result<u64, ChainError>;

    /// Relay mining difficulty of the service in force at `height`.
    async fn difficulty(
        &self,
        service: &ServiceId,
        height: Height,
    ) -> Result<pocket::service::RelayMiningDifficulty, ChainError>;
}

/// Who is staked, and the services that they are staked for.
#[async_trait]
pub trait Actors: Send + Sync + 'static {
    /// A staked application.
    async fn application(&self, address: &Address) -> Result<pocket::application::Application, ChainError>;

    /// All staked applications (bounded by the chain's page limit per call; the implementation follows pages).
    async fn applications(&self) -> Result<Vec<pocket::application::Application>, ChainError>;

    /// A staked gateway.
    async fn gateway(&self, address: &Address) -> Result<pocket::gateway::Gateway, ChainError>;

    /// All staked gateways.
    async fn gateways(&self) -> Result<Vec<pocket::gateway::Gateway>, ChainError>;

    /// A staked supplier by operator address.
    async fn supplier(&self, operator: &Address) -> Result<pocket::shared::Supplier, ChainError>;

    /// All staked suppliers.
    async fn suppliers(&self) -> Result<Vec<pocket::shared::Supplier>, ChainError>;

    /// A service.
    async fn service(&self, id: &ServiceId) -> Result<pocket::shared::Service, ChainError>;

    /// All services.
    async fn services(&self) -> Result<Vec<pocket::shared::Service>, ChainError>;
}

/// Claims of sessions, and their proofs.
#[async_trait]
pub trait Claims: Send + Sync + 'static {
    /// The claim of (session, supplier), if it exists.
    async fn claim(
        &self,
        session_id: &str,
        supplier: &Address,
    ) -> Result<Option<pocket::proof::Claim>, ChainError>;

    /// All unsettled claims.
    async fn claims(&self) -> Result<Vec<pocket::proof::Claim>, ChainError>;

    /// All unsettled claims of a supplier.
    async fn claims_of(&self, supplier: &Address) -> Result<Vec<pocket::proof::Claim>, ChainError> {
        let operator = supplier.to_string();
        let mut claims = self.claims().await?;
        claims.retain(|claim| claim.supplier_operator_address == operator);
        Ok(claims)
    }

    /// The submitted proof of (session, supplier), if it exists and was not consumed yet.
    async fn proof(
        &self,
        session_id: &str,
        supplier: &Address,
    ) -> Result<Option<pocket::proof::Proof>, ChainError>;
}

/// Accounts and what they hold.
#[async_trait]
pub trait Accounts: Send + Sync + 'static {
    /// An account; [`ChainError::NotFound`] for an address that never received tokens.
    async fn account(&self, address: &Address) -> Result<Account, ChainError>;

    /// Balance in upokt; 0 for an unknown address.
    async fn balance(&self, address: &Address) -> Result<Upokt, ChainError>;

    /// All upokt there are (`cosmos.bank`, `SupplyOf`).
    async fn total_supply(&self) -> Result<Upokt, ChainError>;
}

/// Handing transactions over, and what became of them.
#[async_trait]
pub trait Transactions: Send + Sync + 'static {
    /// Hands a signed transaction to the mempool and returns its check's outcome (`broadcast_tx_sync`).
    async fn broadcast(&self, tx: Bytes) -> Result<BroadcastResult, ChainError>;

    /// Gas that a signed transaction would use; errs with its failure.
    async fn simulate(&self, tx: Bytes) -> Result<u64, ChainError>;

    /// Outcome of an included transaction by its upper-case hex hash; `None` while it is not in a block.
    async fn tx(&self, hash: &str) -> Result<Option<TxResult>, ChainError>;
}

/// What is asked of a chain while relaying: blocks, params, sessions, actors, public keys. It neither reads claims nor sends transactions, so who
/// has no more than this cannot spend.
pub trait RelayChain: Blocks + ModuleParams + Sessions + Actors + Accounts {}

impl<C: ?Sized> RelayChain for C where C: Blocks + ModuleParams + Sessions + Actors + Accounts {}

/// A chain with all that is asked of one: for wiring. A user names the traits that it needs; all reads are of committed state.
pub trait Chain: RelayChain + Claims + Transactions {}

impl<C: ?Sized> Chain for C where C: RelayChain + Claims + Transactions {}
