//! A chain at the other end of a network: gRPC and CometBFT RPC, of one node or of several.

mod events;
mod fault;
mod json;
mod nodes;
mod rpc;
mod subscription;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use portico_net::GrpcConnector;
use portico_net::tls::ClientTls;
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
use crate::{
    BlockEvents, BlockHead, BlockResults, BroadcastResult, ChainError, ChainStatus, KeepEvent, TxResult,
};
use nodes::{Member, Nodes, Told};
use rpc::Rpc;

/// Largest gRPC answer, in bytes: a page of proofs is large.
const MAX_ANSWER_BYTES: usize = 64 << 20;
/// Time to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Time after which another node is asked too, where one is slow to answer. Results of blocks are large, and not asked for twice.
const PATIENCE: Duration = Duration::from_secs(2);

/// What is asked to see that a node's gRPC answers, and is one of the network's.
const PARAMS: &str = "/pocket.shared.Query/Params";

/// Where the chain is, and how patient to be.
#[derive(Clone, Debug)]
pub struct RemoteConfig {
    /// CometBFT RPC, e.g. `http://127.0.0.1:26657`; `https` for TLS.
    pub rpc_url: String,
    /// gRPC, e.g. `http://127.0.0.1:9090`; `https` for TLS.
    pub grpc_url: String,
    /// Time between two looks at the newest block, in milliseconds. A node whose WebSocket tells blocks is looked at when it does, and at least
    /// every five seconds or this time, whichever is longer.
    pub poll_interval_ms: u64,
    /// Time for one call, in milliseconds.
    pub timeout_ms: u64,
    /// Whom is trusted where a URL is `https`.
    pub tls: ClientTls,
}

impl RemoteConfig {
    /// The node at these URLs, looked at every 200 ms where it does not tell its blocks, with 10 s for each call; TLS trusts the public
    /// authorities.
    #[must_use]
    pub fn new(rpc_url: &str, grpc_url: &str) -> Self {
        Self {
            rpc_url: rpc_url.to_owned(),
            grpc_url: grpc_url.to_owned(),
            poll_interval_ms: 200,
            timeout_ms: 10_000,
            tls: ClientTls::public(),
        }
    }
}

/// Full nodes of one chain as a [`crate::Chain`]. One is asked; another takes its place when it fails, falls behind or is silent; transactions are
/// handed to all. New blocks are told by the nodes' WebSockets, and polled where there is none, by tasks that end with the last clone.
#[derive(Clone)]
pub struct RemoteChain {
    nodes: Arc<Nodes>,
    head: watch::Receiver<BlockHead>,
    _followers: Arc<Vec<AbortOnDropHandle<()>>>,
}

impl RemoteChain {
    /// Connects with the defaults, and checks that the node answers.
    pub async fn connect(rpc_url: &str, grpc_url: &str) -> Result<Self, ChainError> {
        Self::open(&RemoteConfig::new(rpc_url, grpc_url)).await
    }

    /// Connects, and checks that both ends answer and that the head is known.
    pub async fn open(config: &RemoteConfig) -> Result<Self, ChainError> {
        Self::open_all(std::slice::from_ref(config)).await
    }

    /// Connects to nodes of one chain, of which the first is preferred, and checks that one answers at both ends. Errs when none does, and
    /// for URLs that cannot be used. A node of another chain than the first that answers is not asked.
    pub async fn open_all(configs: &[RemoteConfig]) -> Result<Self, ChainError> {
        let nodes = configs.iter().map(node).collect::<Result<Vec<_>, _>>()?;
        let mut answers = Vec::with_capacity(nodes.len());
        for member in &nodes {
            answers.push(member.node.status().await);
        }
        let Some(chain_id) = answers
            .iter()
            .flatten()
            .map(|status| status.chain_id.clone())
            .next()
        else {
            let silent = answers.into_iter().find_map(Result::err);
            return Err(silent.unwrap_or_else(|| ChainError::InvalidArgument("no node is named".to_owned())));
        };
        let head = |answer: Result<ChainStatus, _>| {
            let ours = answer.ok().filter(|status| status.chain_id == chain_id);
            ours.map(|status| status.head)
        };
        let heads = answers.into_iter().map(head).collect();
        let chain = Self::over(nodes, Some(chain_id), heads);
        chain.query(PARAMS, Bytes::new()).await?;
        Ok(chain)
    }

    /// Follows nodes of one chain, of which the first is preferred, whether they answer now or later. `chain_id` is the chain's if that is
    /// known beforehand; else it is that of the node that answers first. Errs for URLs that cannot be used.
    ///
    /// Until the first answer at both ends, questions fail at once, [`Blocks::unreached`](crate::Blocks::unreached) says why, and nodes are
    /// tried again with pauses that grow to five seconds.
    pub fn follow(configs: &[RemoteConfig], chain_id: Option<&str>) -> Result<Self, ChainError> {
        let nodes = configs.iter().map(node).collect::<Result<Vec<_>, _>>()?;
        let heads = nodes.iter().map(|_| None).collect();
        Ok(Self::over(nodes, chain_id.map(str::to_owned), heads))
    }

    /// As [`Self::follow`], nodes that are reached in ways of their own. Each is looked at when its head changes, and at least every
    /// `poll_interval`.
    #[must_use]
    pub fn follow_all(nodes: Vec<Arc<dyn Transport>>, poll_interval: Duration) -> Self {
        let heads = nodes.iter().map(|_| None).collect();
        let member = |node: Arc<dyn Transport>| Member {
            told: Told::ByHead(node.head()),
            node,
            url: String::new(),
            interval: poll_interval,
        };
        Self::over(nodes.into_iter().map(member).collect(), None, heads)
    }

    /// Waits until a node has answered at both ends; errs when one answers that is of another chain than the wanted one, and no other comes
    /// soon.
    pub async fn reached(&self) -> Result<(), ChainError> {
        self.nodes.reached().await
    }

    fn over(members: Vec<Member>, chain_id: Option<String>, heads: Vec<Option<BlockHead>>) -> Self {
        let count = members.len();
        let (nodes, head) = Nodes::new(members, chain_id, heads);
        let follower = |index| AbortOnDropHandle::new(tokio::spawn(nodes.clone().follow(index)));
        let followers = (0..count).map(follower).collect();
        Self {
            nodes,
            head,
            _followers: Arc::new(followers),
        }
    }
}

/// Whether a block that one node does not have may be another's.
const fn absent(error: &ChainError) -> bool {
    matches!(error, ChainError::NotFound(_))
}

const fn nowhere_else(_: &ChainError) -> bool {
    false
}

/// Whether a transaction that one node cannot look up may be found at another: some keep no index.
const fn not_indexed(error: &ChainError) -> bool {
    matches!(error, ChainError::Internal(_))
}

fn node(config: &RemoteConfig) -> Result<Member, ChainError> {
    let timeout = Duration::from_millis(config.timeout_ms);
    let rpc = Rpc::new(&config.rpc_url, timeout, &config.tls)?;
    let (url, tls) = (rpc.url().to_owned(), config.tls.clone());
    let node = Node {
        rpc,
        grpc: endpoint(&config.grpc_url)?.connect_with_connector_lazy(GrpcConnector::new(&config.tls)),
        timeout,
        head: watch::Sender::default(),
    };
    Ok(Member {
        node: Arc::new(node),
        told: Told::BySocket(tls),
        url,
        interval: Duration::from_millis(config.poll_interval_ms.max(1)),
    })
}

/// Both ends of one node.
struct Node {
    rpc: Rpc,
    grpc: Channel,
    timeout: Duration,
    /// Tells nothing: [`Nodes`] looks at it.
    head: watch::Sender<BlockHead>,
}

impl Node {
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

    async fn simulated(&self, tx: Bytes) -> Result<u64, ChainError> {
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
}

fn endpoint(url: &str) -> Result<Endpoint, ChainError> {
    rpc::check_url(url)?;
    let endpoint = Endpoint::from_shared(url.to_owned());
    let endpoint = endpoint.map_err(|error| ChainError::InvalidArgument(format!("{url}: {error}")))?;
    Ok(endpoint.connect_timeout(CONNECT_TIMEOUT).tcp_nodelay(true))
}

fn refused(status: &Status) -> ChainError {
    ChainError::of_grpc(status.code().into(), status.message().to_owned())
}

#[async_trait]
impl Transport for Node {
    async fn query(&self, path: &'static str, request: Bytes) -> Result<Bytes, ChainError> {
        self.call(path, request).await.map_err(|status| refused(&status))
    }

    fn head(&self) -> watch::Receiver<BlockHead> {
        self.head.subscribe()
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

    async fn block_events(&self, height: Height, keep: KeepEvent) -> Result<BlockEvents, ChainError> {
        self.rpc.block_events(height, keep).await
    }

    async fn broadcast(&self, tx: Bytes) -> Result<BroadcastResult, ChainError> {
        self.rpc.broadcast(&tx, tx_hash(&tx)).await
    }

    async fn simulate(&self, tx: Bytes) -> Result<u64, ChainError> {
        self.simulated(tx).await
    }

    async fn tx(&self, hash: &str) -> Result<Option<TxResult>, ChainError> {
        self.rpc.tx(hash).await
    }
}

#[async_trait]
impl Transport for RemoteChain {
    async fn query(&self, path: &'static str, request: Bytes) -> Result<Bytes, ChainError> {
        let call = |node: Arc<dyn Transport>| {
            let request = request.clone();
            async move { node.query(path, request).await }
        };
        self.nodes.ask(Some(PATIENCE), nowhere_else, call).await
    }

    fn head(&self) -> watch::Receiver<BlockHead> {
        self.head.clone()
    }

    fn unreached(&self) -> Option<String> {
        self.nodes.unreached()
    }

    async fn status(&self) -> Result<ChainStatus, ChainError> {
        let call = |node: Arc<dyn Transport>| async move { node.status().await };
        self.nodes.ask(Some(PATIENCE), nowhere_else, call).await
    }

    async fn block(&self, height: Height) -> Result<BlockHead, ChainError> {
        let call = |node: Arc<dyn Transport>| async move { node.block(height).await };
        self.nodes.ask(Some(PATIENCE), absent, call).await
    }

    async fn block_results(&self, height: Height) -> Result<BlockResults, ChainError> {
        let call = |node: Arc<dyn Transport>| async move { node.block_results(height).await };
        self.nodes.ask(None, absent, call).await
    }

    async fn block_events(&self, height: Height, keep: KeepEvent) -> Result<BlockEvents, ChainError> {
        let call = |node: Arc<dyn Transport>| {
            let keep = Arc::clone(&keep);
            async move { node.block_events(height, keep).await }
        };
        self.nodes.ask(None, absent, call).await
    }

    async fn broadcast(&self, tx: Bytes) -> Result<BroadcastResult, ChainError> {
        let call = |node: Arc<dyn Transport>| {
            let tx = tx.clone();
            async move { node.broadcast(tx).await }
        };
        self.nodes.hand_over(call).await
    }

    async fn simulate(&self, tx: Bytes) -> Result<u64, ChainError> {
        let call = |node: Arc<dyn Transport>| {
            let tx = tx.clone();
            async move { node.simulate(tx).await }
        };
        self.nodes.ask(Some(PATIENCE), nowhere_else, call).await
    }

    async fn tx(&self, hash: &str) -> Result<Option<TxResult>, ChainError> {
        let call = |node: Arc<dyn Transport>| async move { node.tx(hash).await };
        self.nodes.ask(Some(PATIENCE), not_indexed, call).await
    }
}
