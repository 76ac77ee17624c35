//! The chain that `query`, `tx` and `relay` talk to.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use clap::Args;
use portico_client::{Blocks, Chain, ChainError, RemoteChain, RemoteConfig};
use portico_config::chain::{ChainConfig, NodeUrls};
use portico_net::tls::ClientTls;
use tokio_util::sync::CancellationToken;

/// Where the chain is.
#[derive(Args, Clone)]
pub(crate) struct ChainArgs {
    /// CometBFT-style RPC of a full node
    #[arg(
        long,
        global = true,
        value_name = "URL",
        env = "PORTICO_CHAIN_RPC",
        hide_env_values = true,
        default_value = "http://127.0.0.1:26657"
    )]
    pub(crate) chain_rpc: String,
    /// gRPC of a full node
    #[arg(
        long,
        global = true,
        value_name = "URL",
        env = "PORTICO_CHAIN_GRPC",
        hide_env_values = true,
        default_value = "http://127.0.0.1:9090"
    )]
    pub(crate) chain_grpc: String,
    /// PEM file of authorities that are trusted besides the public ones, where the URLs are https
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "PORTICO_CHAIN_CA",
        hide_env_values = true
    )]
    pub(crate) chain_ca: Option<PathBuf>,
    /// More nodes, which only a file can name.
    #[arg(skip)]
    fallbacks: Vec<NodeUrls>,
    /// What the chain is called, which only a file can say.
    #[arg(skip)]
    chain_id: Option<String>,
    /// TLS of a file.
    #[arg(skip)]
    tls: portico_config::tls::ClientTls,
}

/// Where the chain is, for a role whose file may say so.
#[derive(Args, Clone)]
pub(crate) struct RoleChainArgs {
    /// CometBFT-style RPC of a full node, instead of the file's chain.rpc_url
    #[arg(long, value_name = "URL", env = "PORTICO_CHAIN_RPC", hide_env_values = true)]
    chain_rpc: Option<String>,
    /// gRPC of a full node, instead of the file's chain.grpc_url
    #[arg(long, value_name = "URL", env = "PORTICO_CHAIN_GRPC", hide_env_values = true)]
    chain_grpc: Option<String>,
}

/// A node of the chain.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    /// The key of the file that names it.
    pub(crate) key: String,
    /// Where it is.
    pub(crate) config: RemoteConfig,
}

impl RoleChainArgs {
    /// What the command line says, else what the file says.
    pub(crate) fn or(self, file: &ChainConfig) -> ChainArgs {
        let elsewhere = self.chain_rpc.is_some() || self.chain_grpc.is_some(); // the file's others are perhaps of another chain
        ChainArgs {
            fallbacks: if elsewhere {
                Vec::new()
            } else {
                file.fallbacks.clone()
            },
            chain_rpc: self.chain_rpc.unwrap_or_else(|| file.rpc_url().to_owned()),
            chain_grpc: self.chain_grpc.unwrap_or_else(|| file.grpc_url().to_owned()),
            chain_ca: None,
            chain_id: file.chain_id.clone(),
            tls: file.tls.clone(),
        }
    }
}

impl ChainArgs {
    /// Follows the chain, which need not answer yet: see [`reached`].
    pub(crate) fn follow(&self) -> Result<Arc<RemoteChain>> {
        let chain = RemoteChain::follow(&self.nodes()?, self.chain_id.as_deref());
        chain.map(Arc::new).context("the chain's nodes")
    }

    /// Connects, and checks that somebody answers.
    pub(crate) async fn connect(&self) -> Result<Arc<dyn Chain>> {
        Ok(self.open().await?)
    }

    /// The same, for questions that [`Chain`] has not.
    pub(crate) async fn open(&self) -> Result<Arc<RemoteChain>> {
        match RemoteChain::open_all(&self.nodes()?).await {
            Ok(chain) => Ok(Arc::new(chain)),
            Err(error @ ChainError::Unavailable(_)) => {
                tracing::info!(%error, "no chain");
                bail!(self.silent())
            }
            Err(error) => Err(error).with_context(|| self.silent()),
        }
    }

    /// Each node that is named, with the key of the file that names it.
    pub(crate) fn each(&self) -> Result<Vec<Node>> {
        let key = |index: usize| match index.checked_sub(1) {
            None => "chain".to_owned(),
            Some(fallback) => format!("chain.fallbacks[{fallback}]"),
        };
        let nodes = self.nodes()?.into_iter().enumerate();
        let nodes = nodes.map(|(index, config)| Node {
            key: key(index),
            config,
        });
        Ok(nodes.collect())
    }

    fn nodes(&self) -> Result<Vec<RemoteConfig>> {
        let more = self.fallbacks.iter();
        let mut files = self.tls.clone();
        if let Some(path) = &self.chain_ca {
            files.ca_file = Some(path.clone().into());
        }
        let tls = ClientTls::open(&files).context("TLS towards the chain")?;
        let node = |rpc: &str, grpc: &str| RemoteConfig {
            tls: tls.clone(),
            ..RemoteConfig::new(rpc, grpc)
        };
        let mut nodes = vec![node(&self.chain_rpc, &self.chain_grpc)];
        nodes.extend(more.map(|more| node(&more.rpc_url, &more.grpc_url)));
        Ok(nodes)
    }

    fn silent(&self) -> String {
        format!(
            "no chain answers at {} and {}; start one with `portico localnet`, or name another with --chain-rpc and --chain-grpc",
            self.chain_rpc, self.chain_grpc
        )
    }
}

/// Tells when the chain answers for the first time, and errs when it is another one than the file says; then waits for `stop`.
pub(crate) async fn reached(chain: Arc<RemoteChain>, stop: CancellationToken) -> Result<()> {
    match stop.run_until_cancelled(chain.reached()).await {
        None => return Ok(()),
        Some(outcome) => outcome.context("chain.chain_id")?,
    }
    let height = chain.head().borrow().height.0;
    tracing::info!(height, "the chain answers");
    stop.cancelled().await;
    Ok(())
}
