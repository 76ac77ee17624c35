//! A chain at the other end of a network: gRPC and CometBFT RPC, of one node or of several.

mod events;
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
use tonic::transport::Endpoint;
use tonic::{Code, Status};

use crate::codec::RawCodec;
use crate::transport::Transport;
use crate::{
    BlockEvents, BlockHead, BlockResults, BroadcastResult, ChainError, ChainStatus, KeepEvent, TxResult,
};
use nodes::{Node, Nodes};
use rpc::Rpc;

/// Largest gRPC answer, in bytes: a page of proofs is large.
const MAX_ANSWER_BYTES: usize = 64 << 20;
/// Time to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

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

/// Full nodes of one chain as a [`crate::Chain`]. One is asked; another takes its place when it fails or falls behind. New blocks are
/// told by the nodes' WebSockets, and polled where there is none, by tasks that end with the last clone.
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
        for node in &nodes {
            answers.push(node.rpc.status().await);
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
        let chain = Self::over(nodes, configs, Some(chain_id.clone()), heads);
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
        Ok(Self::over(nodes, configs, chain_id.map(str::to_owned), heads))
    }

    /// Waits until a node has answered at both ends; errs when one answers that is of another chain than the wanted one, and no other comes
    /// soon.
    pub async fn reached(&self) -> Result<(), ChainError> {
        self.nodes.reached().await
    }

    fn over(
        nodes: Vec<Node>,
        configs: &[RemoteConfig],
        chain_id: Option<String>,
        heads: Vec<Option<BlockHead>>,
    ) -> Self {
        let (nodes, head) = Nodes::new(nodes, chain_id, heads);
        let follower = |(index, config): (usize, &RemoteConfig)| {
            let interval = Duration::from_millis(config.poll_interval_ms.max(1));
            AbortOnDropHandle::new(tokio::spawn(nodes.clone().follow(index, interval)))
        };
        let followers = configs.iter().enumerate().map(follower).collect();
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

fn node(config: &RemoteConfig) -> Result<Node, ChainError> {
    let timeout = Duration::from_millis(config.timeout_ms);
    Ok(Node {
        rpc: Rpc::new(&config.rpc_url, timeout, config.tls.clone())?,
        grpc: endpoint(&config.grpc_url)?.connect_with_connector_lazy(GrpcConnector::new(&config.tls)),
        timeout,
    })
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
impl Transport for RemoteChain {
    async fn query(&self, path: &'static str, request: Bytes) -> Result<Bytes, ChainError> {
        let call = |node: Node| {
            let request = request.clone();
            async move { node.call(path, request).await.map_err(|status| refused(&status)) }
        };
        self.nodes.ask(nowhere_else, call).await
    }

    fn head(&self) -> watch::Receiver<BlockHead> {
        self.head.clone()
    }

    fn unreached(&self) -> Option<String> {
        self.nodes.unreached()
    }

    async fn status(&self) -> Result<ChainStatus, ChainError> {
        let call = |node: Node| async move { node.rpc.status().await };
        self.nodes.ask(nowhere_else, call).await
    }

    async fn block(&self, height: Height) -> Result<BlockHead, ChainError> {
        let call = |node: Node| async move { node.rpc.block(height).await };
        self.nodes.ask(absent, call).await
    }

    async fn block_results(&self, height: Height) -> Result<BlockResults, ChainError> {
        let call = |node: Node| async move { node.rpc.block_results(height).await };
        self.nodes.ask(absent, call).await
    }

    async fn block_events(&self, height: Height, keep: KeepEvent) -> Result<BlockEvents, ChainError> {
        let call = |node: Node| {
            let keep = Arc::clone(&keep);
            async move { node.rpc.block_events(height, keep).await }
        };
        self.nodes.ask(absent, call).await
    }

    async fn broadcast(&self, tx: Bytes) -> Result<BroadcastResult, ChainError> {
        let call = |node: Node| {
            let tx = tx.clone();
            async move { node.rpc.broadcast(&tx, tx_hash(&tx)).await }
        };
        self.nodes.ask(nowhere_else, call).await
    }

    async fn simulate(&self, tx: Bytes) -> Result<u64, ChainError> {
        let call = |node: Node| {
            let tx = tx.clone();
            async move { node.simulate(tx).await }
        };
        self.nodes.ask(nowhere_else, call).await
    }

    async fn tx(&self, hash: &str) -> Result<Option<TxResult>, ChainError> {
        let call = |node: Node| async move { node.rpc.tx(hash).await };
        self.nodes.ask(nowhere_else, call).await
    }
}
