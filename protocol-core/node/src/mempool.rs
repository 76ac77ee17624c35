//! Transactions that wait: bounded, in order of arrival, checked again after each block.
//!
//! A transaction is checked on the newest state plus what those before it in the mempool change (sequence, fee), so that a sender may
//! queue several. Signatures are verified once: what waits is checked again from memory. What is full stays full until a block takes something: nothing is pushed out by something newer.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use portico_chain::block::{BlockContext, Envelope, TxOutcome, check, envelope, simulate};
use portico_chain::state::{Changes, Overlay, StateError};
use portico_config::node::MempoolConfig;
use portico_engine::{Pool, TxSource};
use portico_protocol::{Address, Upokt};
use tokio::sync::watch;

use crate::hash::tx_hash;
use crate::metrics::Metrics;
use crate::signatures::Signatures;
use crate::state::State;

/// Why the mempool does not take a transaction, whatever it says.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum MempoolError {
    /// It waits already, or is in a block.
    #[error("tx already exists in cache")]
    Known,
    /// Too many transactions or bytes wait.
    #[error(
        "mempool is full: {txs} transactions ({bytes} bytes) wait, at most {max_txs} ({max_bytes} bytes) may"
    )]
    Full {
        txs: usize,
        bytes: usize,
        max_txs: usize,
        max_bytes: usize,
    },
    /// Too many transactions of one sender wait.
    #[error("mempool is full for this sender: {0} of its transactions wait")]
    SenderFull(usize),
    /// It pays less than this node asks for.
    #[error("insufficient fees; got: {got} required: {required}: insufficient fee")]
    FeeTooLow { got: Upokt, required: Upokt },
    /// Larger than allowed.
    #[error("Tx too large. Max size is {max}, but got {size}")]
    TooLarge { max: usize, size: usize },
    /// State cannot be read.
    #[error(transparent)]
    State(#[from] StateError),
}

impl MempoolError {
    /// The SDK's code for it; `None` when it is our own failure.
    pub(crate) const fn code(&self) -> Option<u32> {
        match self {
            Self::FeeTooLow { .. } => Some(13),
            Self::Known => Some(19),
            Self::Full { .. } | Self::SenderFull(_) => Some(20),
            Self::TooLarge { .. } => Some(21),
            Self::State(_) => None,
        }
    }
}

/// The transactions that wait for a block.
pub(crate) struct Mempool {
    bounds: MempoolConfig,
    inner: Mutex<Inner>,
    signatures: Arc<Signatures>,
    waiting: watch::Sender<usize>,
    metrics: Metrics,
}

struct Inner {
    /// The newest state with what the waiting ones change.
    state: Overlay<State>,
    context: BlockContext,
    /// By order of arrival.
    txs: BTreeMap<u64, Pending>,
    hashes: HashSet<[u8; 32]>,
    senders: HashMap<Address, usize>,
    bytes: usize,
    arrivals: u64,
}

struct Pending {
    tx: Bytes,
    hash: [u8; 32],
    /// First signer, whose signature was verified; `None` for what never gets in.
    sender: Option<Address>,
}

impl Mempool {
    /// An empty mempool over `state`; `context` is that of the next block.
    pub(crate) fn new(
        bounds: MempoolConfig,
        state: State,
        context: BlockContext,
        signatures: Arc<Signatures>,
        metrics: Metrics,
    ) -> Self {
        Self {
            bounds,
            signatures,
            inner: Mutex::new(Inner::new(state, context)),
            waiting: watch::Sender::new(0),
            metrics,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Checks a transaction and keeps it if its outcome has code 0.
    pub(crate) fn add(&self, tx: Bytes) -> Result<TxOutcome, MempoolError> {
        let envelope = self.bounded(&tx)?;
        let pending = Pending {
            hash: tx_hash(&tx),
            sender: envelope.map(|envelope| envelope.signer),
            tx,
        };
        let mut inner = self.lock();
        inner.check_room(&pending, &self.bounds)?;
        let (outcome, changes) = inner.check(&self.signatures, &pending.tx)?;
        if outcome.code == 0 {
            inner.push(pending, changes);
            self.publish(&inner);
        }
        Ok(outcome)
    }

    /// What [`Self::add`] would answer, if there were room; keeps nothing.
    pub(crate) fn check(&self, tx: &[u8]) -> Result<TxOutcome, MempoolError> {
        self.bounded(tx)?;
        let (outcome, _) = self.lock().check(&self.signatures, tx)?;
        Ok(outcome)
    }

    /// What the transaction says of itself; errs when it is too large or offers too little. What does not decode is left to the rules,
    /// which say why.
    fn bounded(&self, tx: &[u8]) -> Result<Option<Envelope>, MempoolError> {
        let (max, size) = (self.bounds.max_tx_bytes, tx.len());
        if size > max {
            return Err(MempoolError::TooLarge { max, size });
        }
        let envelope = envelope(tx);
        if let Some(Envelope { gas_limit, fee, .. }) = envelope {
            let price = u128::from(self.bounds.min_gas_price_micro_upokt);
            let required = Upokt(u128::from(gas_limit).saturating_mul(price).div_ceil(1_000_000));
            if fee < required {
                return Err(MempoolError::FeeTooLow { got: fee, required });
            }
        }
        Ok(envelope)
    }

    /// What `tx` would do after those that wait.
    /// Least price of a unit of gas, as the SDK writes it; empty for none.
    pub(crate) fn min_gas_price(&self) -> String {
        match self.bounds.min_gas_price_micro_upokt {
            0 => String::new(),
            micro => format!("{}.{:06}upokt", micro / 1_000_000, micro % 1_000_000),
        }
    }

    pub(crate) fn simulate(&self, tx: &[u8]) -> Result<TxOutcome, StateError> {
        let (state, context) = {
            let inner = self.lock();
            (inner.state.clone(), inner.context.clone())
        };
        simulate(&state, &context, tx)
    }

    /// Goes on from a new block: `included` leave, the others are checked again in their order.
    pub(crate) fn advance(
        &self,
        state: State,
        context: BlockContext,
        included: &[[u8; 32]],
    ) -> Result<(), StateError> {
        let mut inner = self.lock();
        let before = std::mem::replace(&mut *inner, Inner::new(state, context));
        let included: HashSet<_> = included.iter().collect();
        for pending in before.txs.into_values() {
            if included.contains(&pending.hash) {
                continue;
            }
            let (outcome, changes) = inner.check(&self.signatures, &pending.tx)?;
            if outcome.code == 0 {
                inner.push(pending, changes);
            } else {
                tracing::debug!(tx = %hex::encode_upper(pending.hash), log = outcome.log, "transaction dropped");
            }
        }
        self.publish(&inner);
        Ok(())
    }

    /// Up to `limit` of those that wait, in order; with their number and bytes.
    pub(crate) fn waiting_txs(&self, limit: usize) -> (Vec<Bytes>, usize, usize) {
        let inner = self.lock();
        let txs = inner.txs.values().take(limit).map(|pending| pending.tx.clone());
        (txs.collect(), inner.txs.len(), inner.bytes)
    }

    fn publish(&self, inner: &Inner) {
        let count = inner.txs.len();
        self.waiting.send_replace(count);
        self.metrics
            .mempool_txs
            .set(i64::try_from(count).unwrap_or(i64::MAX));
        self.metrics
            .mempool_bytes
            .set(i64::try_from(inner.bytes).unwrap_or(i64::MAX));
    }
}

impl Inner {
    fn new(state: State, context: BlockContext) -> Self {
        Self {
            state: Overlay::new(state),
            context,
            txs: BTreeMap::new(),
            hashes: HashSet::new(),
            senders: HashMap::new(),
            bytes: 0,
            arrivals: 0,
        }
    }

    fn check_room(&self, pending: &Pending, bounds: &MempoolConfig) -> Result<(), MempoolError> {
        if self.hashes.contains(&pending.hash) {
            return Err(MempoolError::Known);
        }
        let bytes = self.bytes.saturating_add(pending.tx.len());
        if self.txs.len() >= bounds.max_txs || bytes > bounds.max_bytes {
            return Err(MempoolError::Full {
                txs: self.txs.len(),
                bytes: self.bytes,
                max_txs: bounds.max_txs,
                max_bytes: bounds.max_bytes,
            });
        }
        // Only verified signers are counted, so that nobody can fill up somebody else's share.
        let waiting = pending.sender.and_then(|sender| self.senders.get(&sender));
        match waiting {
            Some(count) if *count >= bounds.max_txs_per_sender => Err(MempoolError::SenderFull(*count)),
            _ => Ok(()),
        }
    }

    fn check(&self, signatures: &Signatures, tx: &[u8]) -> Result<(TxOutcome, Changes), StateError> {
        check(&self.state, &self.context, signatures, tx)
    }

    fn push(&mut self, pending: Pending, changes: Changes) {
        self.state.absorb(changes);
        self.hashes.insert(pending.hash);
        if let Some(sender) = pending.sender {
            *self.senders.entry(sender).or_default() += 1;
        }
        self.bytes = self.bytes.saturating_add(pending.tx.len());
        self.txs.insert(self.arrivals, pending);
        self.arrivals = self.arrivals.saturating_add(1);
    }
}

impl Pool for Mempool {
    fn source(&self) -> Box<dyn TxSource + '_> {
        let inner = self.lock();
        Box::new(InOrder(
            inner.txs.values().map(|pending| pending.tx.clone()).collect(),
        ))
    }

    fn waiting(&self) -> watch::Receiver<usize> {
        self.waiting.subscribe()
    }
}

/// The waiting transactions, oldest first; they leave the mempool when a block with them is committed.
struct InOrder(VecDeque<Bytes>);

impl TxSource for InOrder {
    fn next(&mut self, room: usize) -> Option<Bytes> {
        self.0.pop_front().filter(|tx| tx.len() <= room)
    }
}
