//! What the servers and the in-process chain ask of the node: reads of committed versions, transactions.
//!
//! Everything here runs on threads that may block, at most [`MAX_CALLS`] at a time; the others wait.

mod abci;
mod simulated;

use std::sync::Arc;

use bytes::Bytes;
use portico_chain::block::TxOutcome;
use portico_chain::query::{QueryError, query_with};
use portico_client::BlockHead;
use portico_engine::Tip;
use portico_protocol::Height;
use portico_store::{ProofStep, Snapshot, StoreError};
use prost::Message as _;
use tendermint::Block;
use tendermint::block::{Commit, Id};
use tendermint_proto::v0_38::abci::{ExecTxResult, ResponseFinalizeBlock};
use tokio::sync::{Semaphore, watch};

use crate::block::{self, BlockError};
use crate::hash::tx_hash;
use crate::machine::{Machine, View};
use crate::mempool::MempoolError;
use crate::metrics::Metrics;
use crate::results::{Malformed, tx_results};
use crate::state::Durable;
use crate::validators::Validators;

pub(crate) use abci::Answered;

/// Calls that read the store or execute at the same time.
const MAX_CALLS: usize = 32;

/// Why the node does not answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApiError {
    /// There is no such height yet.
    #[error("height {height} must be less than or equal to the current blockchain height {newest}")]
    Future { height: i64, newest: i64 },
    /// There is no such height.
    #[error("height {0} is not available")]
    NoHeight(i64),
    /// There is no state of that height yet. The SDK's words.
    #[error(
        "cannot query with height in the future; please provide a valid height: height {height} of {newest}"
    )]
    FutureState { height: i64, newest: i64 },
    /// The state of that height is forgotten. The SDK's words.
    #[error("failed to load state at height {height}; version does not exist (kept: {oldest} to {newest})")]
    NotRetained { height: i64, oldest: i64, newest: i64 },
    /// Something else that is not there.
    #[error("{0} not found")]
    Absent(String),
    /// The question is malformed.
    #[error("{0}")]
    Refused(String),
    /// The query's own error.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// The mempool does not take it.
    #[error(transparent)]
    Mempool(#[from] MempoolError),
    /// The store failed.
    #[error("{}", portico_protocol::causes(.0))]
    Store(#[from] StoreError),
    /// What is stored does not decode.
    #[error("stored block is damaged: {0}")]
    Damaged(String),
    /// The call did not finish.
    #[error("the call was given up")]
    Aborted,
}

impl From<BlockError> for ApiError {
    fn from(error: BlockError) -> Self {
        Self::Damaged(error.0)
    }
}

impl From<Malformed> for ApiError {
    fn from(_: Malformed) -> Self {
        Self::Damaged("results do not decode".into())
    }
}

/// A committed block with its id and commit.
pub(crate) struct StoredBlock {
    pub(crate) block: Block,
    pub(crate) id: Id,
    /// Why it is final.
    pub(crate) commit: Commit,
    /// Length of its encoding.
    pub(crate) size: usize,
}

/// An included transaction.
pub(crate) struct StoredTx {
    pub(crate) height: i64,
    pub(crate) index: u32,
    pub(crate) tx: Bytes,
    pub(crate) result: ExecTxResult,
    /// Header time of its block.
    pub(crate) time: tendermint::Time,
}

/// A value of a store.
pub(crate) struct StoredValue {
    /// As it is stored; as it was hashed (one zero byte for an empty one) when there is a proof. `None` for an absent key.
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) height: i64,
    /// From the key to the app hash; empty unless it was asked for.
    pub(crate) proof: Vec<ProofStep>,
}

/// The node as its servers see it.
#[derive(Clone)]
pub(crate) struct Api {
    pub(crate) machine: Arc<Machine>,
    calls: Arc<Semaphore>,
    pub(crate) metrics: Metrics,
    /// Public key of the first validator whose key is here: as whom the node shows itself.
    pub(crate) own: [u8; 32],
}

/// A set of validators, and the height whose block it commits to.
pub(crate) struct SetAt {
    pub(crate) height: i64,
    pub(crate) validators: Arc<Validators>,
}

impl Api {
    pub(crate) fn new(machine: Arc<Machine>, metrics: Metrics, own: [u8; 32]) -> Self {
        Self {
            own,
            machine,
            calls: Arc::new(Semaphore::new(MAX_CALLS)),
            metrics,
        }
    }

    /// Runs `call` where it may block.
    async fn run<T: Send + 'static>(
        &self,
        call: impl FnOnce(&Machine) -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let permit = self.calls.clone().acquire_owned().await;
        let permit = permit.map_err(|_| ApiError::Aborted)?;
        let machine = self.machine.clone();
        let task = tokio::task::spawn_blocking(move || {
            let _held = permit;
            call(&machine)
        });
        task.await.map_err(|_| ApiError::Aborted)?
    }

    /// Runs `read` on the newest version where it may block.
    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&View) -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        self.run(move |machine| read(&machine.view())).await
    }

    /// The newest committed block.
    pub(crate) fn head(&self) -> BlockHead {
        self.machine.view().head.clone()
    }

    /// Follows the newest committed block.
    pub(crate) fn follow(&self) -> watch::Receiver<BlockHead> {
        self.machine.head()
    }

    /// Height and root of the newest state.
    pub(crate) fn tip(&self) -> Tip {
        let view = self.machine.view();
        Tip {
            height: view.head.height,
            block_id: view.head.hash,
            time_ms: view.head.time_ms,
            state_root: view.app_hash,
        }
    }

    /// Answers a query on the state after `height`, or the newest; returns that height with it.
    pub(crate) async fn query(
        &self,
        path: String,
        request: Bytes,
        height: Option<i64>,
    ) -> Result<(Bytes, i64), ApiError> {
        self.run(move |machine| {
            let snapshot = snapshot_at(&machine.view(), height)?;
            let at = snapshot.height();
            let state = Durable(Arc::new(snapshot));
            let committers = Validators::at(&state, at, &machine.rules.validators);
            let committers = committers.map_err(|error| ApiError::Damaged(error.to_string()))?;
            let answer = query_with(&state, Height(at), committers.members(), &path, &request)?;
            Ok((answer.into(), at))
        })
        .await
    }

    /// The raw value at a key of a store after `height`, or the newest.
    pub(crate) async fn value(
        &self,
        store: String,
        key: Bytes,
        height: Option<i64>,
        prove: bool,
    ) -> Result<StoredValue, ApiError> {
        self.read(move |view| {
            let snapshot = snapshot_at(view, height)?;
            if !snapshot.stores()?.contains(&store) {
                return Err(ApiError::Query(QueryError::Unimplemented(format!(
                    "no such store: {store}"
                ))));
            }
            let at = snapshot.height();
            if !prove {
                let value = snapshot.get(&store, &key)?;
                return Ok(StoredValue {
                    value,
                    height: at,
                    proof: Vec::new(),
                });
            }
            let proof = snapshot.prove(&store, &key)?;
            Ok(StoredValue {
                proof: proof.steps(),
                value: proof.value,
                height: at,
            })
        })
        .await
    }

    /// Runs `search` on the newest version.
    pub(crate) async fn search<T: Send + 'static>(
        &self,
        search: impl FnOnce(&View) -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        self.read(search).await
    }

    /// The block at `height`, or the newest.
    pub(crate) async fn block(&self, height: Option<i64>) -> Result<StoredBlock, ApiError> {
        self.read(move |view| {
            let height = height_in(view, height)?;
            stored_block(&view.snapshot, height)?.ok_or(ApiError::NoHeight(height))
        })
        .await
    }

    /// The block with this hash.
    pub(crate) async fn block_by_hash(&self, hash: [u8; 32]) -> Result<Option<StoredBlock>, ApiError> {
        self.read(move |view| match view.snapshot.height_of(&hash)? {
            Some(height) => stored_block(&view.snapshot, height),
            None => Ok(None),
        })
        .await
    }

    /// Who commits to the block at `height`; to the newest for none. Also known for the block to come.
    pub(crate) async fn validators(&self, height: Option<i64>) -> Result<SetAt, ApiError> {
        self.run(move |machine| {
            let view = machine.view();
            let newest = view.head.height.0;
            let height = match height {
                Some(height) if height == newest.saturating_add(1) => height,
                height => height_in(&view, height)?,
            };
            let validators = machine.validators_at(&view, height);
            let validators = validators.map_err(|error| ApiError::Damaged(error.to_string()))?;
            Ok(SetAt { height, validators })
        })
        .await
    }

    /// The oldest height whose state can be asked.
    pub(crate) async fn oldest_state(&self) -> Result<i64, ApiError> {
        self.read(|view| Ok(view.snapshot.oldest())).await
    }

    /// Results of the block at `height`, or the newest; with the height.
    pub(crate) async fn results(
        &self,
        height: Option<i64>,
    ) -> Result<(i64, ResponseFinalizeBlock), ApiError> {
        self.read(move |view| {
            let height = height_in(view, height)?;
            let results = stored_results(&view.snapshot, height)?;
            Ok((height, results.ok_or(ApiError::NoHeight(height))?))
        })
        .await
    }

    /// An included transaction.
    pub(crate) async fn tx(&self, hash: [u8; 32]) -> Result<Option<StoredTx>, ApiError> {
        self.read(move |view| stored_tx(&view.snapshot, &hash)).await
    }

    /// Hands a transaction to the mempool.
    pub(crate) async fn broadcast(&self, tx: Bytes) -> Result<TxOutcome, ApiError> {
        let broadcasts = self.metrics.broadcasts.clone();
        let result = self
            .run(move |machine| {
                if machine.view().snapshot.tx(&tx_hash(&tx))?.is_some() {
                    return Err(MempoolError::Known.into());
                }
                Ok(machine.mempool.add(tx)?)
            })
            .await;
        let outcome = match &result {
            Ok(outcome) if outcome.code == 0 => "taken",
            Ok(_) => "refused",
            Err(_) => "error",
        };
        broadcasts.with_label_values(&[outcome]).inc();
        result
    }

    /// What the mempool would say to a transaction.
    pub(crate) async fn check(&self, tx: Bytes) -> Result<TxOutcome, ApiError> {
        self.run(move |machine| Ok(machine.mempool.check(&tx)?)).await
    }

    /// What a transaction would do.
    pub(crate) async fn simulate(&self, tx: Bytes) -> Result<TxOutcome, ApiError> {
        let simulated = move |machine: &Machine| {
            let outcome = machine.mempool.simulate(&tx);
            outcome.map_err(|error| ApiError::Mempool(error.into()))
        };
        self.run(simulated).await
    }
}

/// The newest version with the state after `height`; after the newest block for none.
fn snapshot_at(view: &View, height: Option<i64>) -> Result<Snapshot, ApiError> {
    let newest = view.head.height.0;
    match height {
        None => Ok(Snapshot::clone(&view.snapshot)),
        Some(height) if height < 0 => {
            let text = "cannot query with height < 0; please provide a valid height".to_owned();
            Err(ApiError::Refused(text))
        }
        Some(height) if height > newest => Err(ApiError::FutureState { height, newest }),
        Some(height) => view.snapshot.at(height).map_err(|error| match error {
            StoreError::NotRetained {
                height,
                oldest,
                newest,
            } => ApiError::NotRetained {
                height,
                oldest,
                newest,
            },
            error => error.into(),
        }),
    }
}

/// A height that there is: the given one, or the newest.
pub(crate) fn height_in(view: &View, height: Option<i64>) -> Result<i64, ApiError> {
    let newest = view.head.height.0;
    match height {
        None => Ok(newest),
        Some(height) if height <= 0 => {
            let text = format!("height must be greater than 0, but got {height}");
            Err(ApiError::Refused(text))
        }
        Some(height) if height > newest => Err(ApiError::Future { height, newest }),
        Some(height) => Ok(height),
    }
}

pub(crate) fn stored_block(snapshot: &Snapshot, height: i64) -> Result<Option<StoredBlock>, ApiError> {
    let (Some(bytes), Some(certificate)) = (snapshot.block(height)?, snapshot.certificate(height)?) else {
        return Ok(None);
    };
    let block = block::decode(&bytes)?;
    Ok(Some(StoredBlock {
        id: block::id(&block, &bytes)?,
        commit: block::decode_commit(&certificate)?,
        size: bytes.len(),
        block,
    }))
}

pub(crate) fn stored_results(
    snapshot: &Snapshot,
    height: i64,
) -> Result<Option<ResponseFinalizeBlock>, ApiError> {
    let Some(bytes) = snapshot.results(height)? else {
        return Ok(None);
    };
    let results = ResponseFinalizeBlock::decode(bytes.as_slice());
    results
        .map(Some)
        .map_err(|error| ApiError::Damaged(error.to_string()))
}

pub(crate) fn stored_tx(snapshot: &Snapshot, hash: &[u8; 32]) -> Result<Option<StoredTx>, ApiError> {
    let at = snapshot.tx(hash)?;
    at.map(|(height, index)| tx_at(snapshot, height, index))
        .transpose()
}

/// The transaction at a place that an index or a search named. Of the results only its own are decoded.
pub(crate) fn tx_at(snapshot: &Snapshot, height: i64, index: u32) -> Result<StoredTx, ApiError> {
    let missing = || ApiError::Damaged(format!("transaction {index} of height {height} is missing"));
    let at = usize::try_from(index).unwrap_or(usize::MAX);
    let bytes = snapshot.block(height)?.ok_or_else(missing)?;
    let mut block = block::decode(&bytes)?;
    let results = snapshot.results(height)?.ok_or_else(missing)?;
    let result = tx_results(&results).nth(at).ok_or_else(missing)??;
    let result = ExecTxResult::decode(result).map_err(|error| ApiError::Damaged(error.to_string()))?;
    if at >= block.data.len() {
        return Err(missing());
    }
    Ok(StoredTx {
        height,
        index,
        time: block.header.time,
        tx: block.data.swap_remove(at).into(),
        result,
    })
}
