//! The chain that `query`, `tx` and `relay` talk to.

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use clap::Args;
use portico_client::{Chain, ChainError, RemoteChain, RemoteConfig};
use portico_config::chain::{ChainConfig, NodeUrls};

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
    /// More nodes, which only a file can name.
    #[arg(skip)]
    fallbacks: Vec<NodeUrls>,
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
            chain_rpc: self.chain_rpc.unwrap_or_else(|| file.rpc_url.clone()),
            chain_grpc: self.chain_grpc.unwrap_or_else(|| file.grpc_url.clone()),
        }
    }
}

impl ChainArgs {
    /// Connects, and checks that somebody answers.
    pub(crate) async fn connect(&self) -> Result<Arc<dyn Chain>> {
        let more = self.fallbacks.iter();
        let mut nodes = vec![RemoteConfig::new(&self.chain_rpc, &self.chain_grpc)];
        nodes.extend(more.map(|node| RemoteConfig::new(&node.rpc_url, &node.grpc_url)));
        match RemoteChain::open_all(&nodes).await {
            Ok(chain) => Ok(Arc::new(chain)),
            Err(error @ ChainError::Unavailable(_)) => {
                tracing::info!(%error, "no chain");
                bail!(self.silent())
            }
            Err(error) => Err(error).with_context(|| self.silent()),
        }
    }

    fn silent(&self) -> String {
        format!(
            "no chain answers at {} and {}; start one with `portico localnet`, or name another with --chain-rpc and --chain-grpc",
            self.chain_rpc, self.chain_grpc
        )
    }
}
