//! A chain at the other end of a network: gRPC and CometBFT RPC.

mod json;
mod rpc;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use portico_protocol::wire::cosmos::tx::v1beta1::{SimulateRequest, SimulateResponse};
use portico_protocol::{Height, causes, tx::tx_hash};
use prost::Message;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};

use crate::codec::RawCodec;
use crate::transport::Transport;
use crate::{BlockHead, BlockResults, BroadcastResult, ChainError, ChainStatus, TxResult};
use rpc::Rpc;

/// Largest gRPC answer, in bytes: a page of proofs is large.
const MAX_ANSWER_BYTES: usize = 64 << 20;
/// Longest wait between two looks at a node that does not answer.
const MAX_BACKOFF: Duration = Duration::from_secs(5);
/// Time to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Where the chain is, and how patient to be.
#[derive(Clone, Debug)]
pub struct RemoteConfig {
    /// CometBFT RPC, e.g. `http://127.0.0.1:26657`.
    pub rpc_url: String,
    /// gRPC, e.g. `http://127.0.0.1:9090`.
    pub grpc_url: String,
    /// Time between two looks at the newest block, in milliseconds.
    pub poll_interval_ms: u64,
    /// Time for one call, in milliseconds.
    pub timeout_ms: u64,
}

impl RemoteConfig {
    /// The node at these URLs, looked at every 200 ms, with 10 s for each call.
    #[must_use]
    pub fn new(rpc_url: &str, grpc_url: &str) -> Self {
        Self {
            rpc_url: rpc_url.to_owned(),
            grpc_url: grpc_url.to_owned(),
            poll_interval_ms: 200,
            timeout_ms: 10_000,
        }
    }
}

/// A full node as a [`crate::Chain`]. Its newest block is polled by a task that ends with the last clone.
#[derive(Clone)]
pub struct RemoteChain {
    rpc: Rpc,
    grpc: Channel,
    timeout: Duration,
    head: watch::Receiver<BlockHead>,
    _poll: Arc<AbortOnDropHandle<()>>,
}

impl RemoteChain {
    /// Connects with the defaults, and checks that the node answers.
    pub async fn connect(rpc_url: &str, grpc_url: &str) -> Result<Self, ChainError> {
        Self::open(&RemoteConfig::new(rpc_url, grpc_url)).await
    }

    /// Connects, and checks that both ends answer and that the head is known.
    pub async fn open(config: &RemoteConfig) -> Result<Self, ChainError> {
        let timeout = Duration::from_millis(config.timeout_ms);
        let rpc = Rpc::new(&config.rpc_url, timeout)?;
        let head = rpc.status().await?.head;
        let grpc = endpoint(&config.grpc_url)?.connect().await;
        let grpc = grpc
            .map_err(|error| ChainError::Unavailable(format!("{}: {}", config.grpc_url, causes(&error))))?;
        let (tell, head) = watch::channel(head);
        let interval = Duration::from_millis(config.poll_interval_ms.max(1));
        let poll = tokio::spawn(follow(rpc.clone(), interval, tell));
        let chain = Self {
            rpc,
            grpc,
            timeout,
            head,
            _poll: Arc::new(AbortOnDropHandle::new(poll)),
        };
        chain.query("/pocket.shared.Query/Params", Bytes::new()).await?;
        Ok(chain)
    }

    async fn call(&self, path: &'static str, request: Bytes) -> Result<Bytes, Status> {
        let mut grpc =
            tonic::client::Grpc::new(self.grpc.clone()).max_decoding_message_size(MAX_ANSWER_BYTES);
        let call = async {
            grpc.ready()
                .await
                .map_err(|error| Status::unavailable(causes(&error)))?;
            let path = PathAndQuery::from_static(path);
            grpc.unary(tonic::Request::new(request), path, RawCodec).await
        };
        let late = |_| Status::deadline_exceeded(format!("{path} took longer than {:?}", self.timeout));
        let answer = tokio::time::timeout(self.timeout, call).await.map_err(late)??;
        Ok(answer.into_inner())
    }
}

fn endpoint(url: &str) -> Result<Endpoint, ChainError> {
    rpc::check_url(url)?;
    let endpoint = Endpoint::from_shared(url.to_owned());
    let endpoint = endpoint.map_err(|error| ChainError::InvalidArgument(format!("{url}: {error}")))?;
    Ok(endpoint.connect_timeout(CONNECT_TIMEOUT).tcp_nodelay(true))
}

/// Tells the newest block again and again; waits longer while the node does not answer.
async fn follow(rpc: Rpc, interval: Duration, tell: watch::Sender<BlockHead>) {
    let mut wait = interval;
    loop {
        tokio::time::sleep(wait).await;
        match rpc.status().await {
            Ok(status) => {
                wait = interval;
                tell.send_if_modified(|head| {
                    let moved = *head != status.head;
                    *head = status.head;
                    moved
                });
            }
            Err(error) => {
                tracing::warn!(%error, "the chain's newest block cannot be read");
                wait = wait.saturating_mul(2).min(MAX_BACKOFF);
            }
        }
    }
}

fn refused(status: &Status) -> ChainError {
    let text = status.message().to_owned();
    match status.code() {
        Code::NotFound => ChainError::NotFound(text),
        Code::InvalidArgument
        | Code::FailedPrecondition
        | Code::OutOfRange
        | Code::AlreadyExists
        | Code::PermissionDenied
        | Code::Unauthenticated
        | Code::Unimplemented => ChainError::InvalidArgument(text),
        Code::Unavailable
        | Code::DeadlineExceeded
        | Code::ResourceExhausted
        | Code::Aborted
        | Code::Cancelled => ChainError::Unavailable(text),
        _ => ChainError::Internal(text),
    }
}

#[async_trait]
impl Transport for RemoteChain {
    async fn query(&self, path: &'static str, request: Bytes) -> Result<Bytes, ChainError> {
        self.call(path, request).await.map_err(|status| refused(&status))
    }

    fn head(&self) -> watch::Receiver<BlockHead> {
        self.head.clone()
    }

    async fn status(&self) -> Result<ChainStatus, ChainError> {
        self.rpc.status().await
    }

    async fn block(&self, height: Height) -> Result<BlockHead, ChainError> {
        self.rpc.block(height).await
    }

    async fn block_results(&self, height: Height) -> Result<BlockResults, ChainError> {
        self.rpc.block_results(height).await
    }

    async fn broadcast(&self, tx: Bytes) -> Result<BroadcastResult, ChainError> {
        let hash = tx_hash(&tx);
        self.rpc.broadcast(&tx, hash).await
    }

    async fn simulate(&self, tx: Bytes) -> Result<u64, ChainError> {
        let request = SimulateRequest {
            tx_bytes: tx.to_vec(),
            ..SimulateRequest::default()
        };
        let path = "/cosmos.tx.v1beta1.Service/Simulate";
        let answer = self.call(path, request.encode_to_vec().into()).await;
        let answer = answer.map_err(|status| match status.code() {
            Code::Unknown => ChainError::InvalidArgument(status.message().to_owned()), // the transaction's own failure
            _ => refused(&status),
        })?;
        let answer = SimulateResponse::decode(answer);
        let answer = answer.map_err(|error| ChainError::Internal(format!("answer to {path}: {error}")))?;
        Ok(answer.gas_info.unwrap_or_default().gas_used)
    }

    async fn tx(&self, hash: &str) -> Result<Option<TxResult>, ChainError> {
        self.rpc.tx(hash).await
    }
}
