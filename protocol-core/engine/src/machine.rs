//! What an engine asks of the state machine.

use bytes::Bytes;
use portico_protocol::{BlockHash, Height};

/// Id of a block as engines name it: a hash over its whole encoding, so that blocks which differ in any byte have different ids.
pub type BlockId = BlockHash;

/// The newest durable block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tip {
    /// Height; 0 before the first block.
    pub height: Height,
    /// Id; zeros before the first block.
    pub block_id: BlockId,
    /// Header time in milliseconds since 1970-01-01 UTC; the genesis time before the first block.
    pub time_ms: u64,
    /// Root of the state after the block.
    pub state_root: [u8; 32],
}

/// The place of a block to be built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Height.
    pub height: Height,
    /// Header time in milliseconds since 1970-01-01 UTC; later than the parent's.
    pub time_ms: u64,
    /// Most bytes of transactions.
    pub max_bytes: usize,
}

/// Where a builder takes transactions from, in order.
pub trait TxSource {
    /// The next transaction of at most `room` bytes; `None` ends the block.
    fn next(&mut self, room: usize) -> Option<Bytes>;
}

/// A built block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Id.
    pub id: BlockId,
    /// Id of the parent.
    pub parent: BlockId,
    /// Height.
    pub height: Height,
    /// Header time in milliseconds since 1970-01-01 UTC.
    pub time_ms: u64,
    /// The encoded block, which [`StateMachine::verify`] reads.
    pub bytes: Bytes,
}

/// Judgement of a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It follows its parent; its overlay is kept until it is committed or discarded. Holds its id.
    Valid(BlockId),
    /// It never will be valid: why.
    Invalid(String),
    /// Nothing is known of the parent: verify that first.
    Missing(BlockId),
}

/// What a commit did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed {
    /// Height of the block.
    pub height: Height,
    /// False when the block had been committed before.
    pub new: bool,
}

/// Why the state machine cannot do what an engine asks.
#[derive(Debug, thiserror::Error)]
pub enum MachineError {
    /// No overlay is known for the parent, or for the block to commit.
    #[error("block {} is unknown", hex(.0))]
    Unknown(BlockId),
    /// [`crate::MAX_OVERLAYS`] blocks stand on each other and wait for a commit.
    #[error("{0} blocks wait for a commit; no further one is built on them")]
    Full(usize),
    /// The block to commit does not follow the tip.
    #[error("block {} follows {}, but the tip is {}", hex(.block), hex(.parent), hex(.tip))]
    NotNext {
        /// Block to commit.
        block: BlockId,
        /// Its parent.
        parent: BlockId,
        /// The durable tip.
        tip: BlockId,
    },
    /// A height, time or certificate that the rules forbid.
    #[error("{0}")]
    Refused(String),
    /// The disk refused a commit. Nothing was written; the same commit may succeed later.
    #[error("the block cannot be written")]
    Unwritable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The store or the rules failed.
    #[error("the state machine failed")]
    Failed(#[source] Box<dyn std::error::Error + Send + Sync>),
}

fn hex(id: &BlockId) -> String {
    id.iter().map(|byte| format!("{byte:02X}")).collect()
}

/// A deterministic state machine above a durable tip.
///
/// All methods are synchronous; time comes from the slot. `build` and `verify` keep their result as an overlay keyed by block id on
/// top of the parent's overlay or of the tip, so blocks on parents that are not final yet can be built; `commit` writes exactly one
/// overlay, drops its siblings, and does nothing for a block that was committed before. At most [`crate::MAX_OVERLAYS`] wait: a block
/// beside the path that is built on may be evicted, and is [`MachineError::Unknown`] to `commit` until it was verified once more.
pub trait StateMachine: Send + Sync + 'static {
    /// The durable tip.
    fn tip(&self) -> Tip;

    /// Builds and executes a block on `parent`.
    fn build(&self, parent: &BlockId, slot: Slot, txs: &mut dyn TxSource) -> Result<Block, MachineError>;

    /// Executes a block that somebody else built.
    fn verify(&self, parent: &BlockId, block: &[u8]) -> Result<Verdict, MachineError>;

    /// Makes a built or verified block durable, with the certificate that says why it is final. After
    /// [`MachineError::Unwritable`] the tip is what it was, and the same call is to be made again.
    fn commit(&self, block: &BlockId, certificate: &[u8]) -> Result<Committed, MachineError>;

    /// Drops every overlay.
    fn discard_unfinalized(&self);
}
