//! `portico gateway`: one role per process, from a configuration file.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use clap::Args;
use portico_chain::genesis::Genesis;
use portico_client::Blocks as _;
use portico_config::gateway::GatewayConfig;
use portico_config::load;
use portico_gateway::Gateway;
use portico_telemetry::export;

use crate::chain::{RoleChainArgs, reached};
use crate::head_age;
use crate::open_files;
use crate::parts::{Parts, signals};

#[derive(Args)]
pub(crate) struct GatewayArgs {
    #[command(flatten)]
    file: FileArgs,
    #[command(flatten)]
    chain: RoleChainArgs,
}

#[derive(Args)]
pub(crate) struct FileArgs {
    /// Configuration file; `portico config schema` describes it
    #[arg(long, value_name = "FILE")]
    pub(crate) config: PathBuf,
}

/// Reads a genesis file.
pub(crate) fn read_genesis(path: &Path) -> Result<Genesis> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("genesis {} cannot be read", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("genesis {} is malformed", path.display()))
}

impl GatewayArgs {
    pub(crate) async fn run(self) -> Result<()> {
        let config: GatewayConfig = load(&self.file.config)?;
        open_files::raise(config.listener.max_connections);
        let chain = self.chain.or(&config.chain).follow()?;
        let followed = Arc::clone(&chain);
        let (head, registry) = (chain.head(), head_age::registry(chain.as_ref())?);
        let traces = export(&config.traces, "portico-gateway", &registry)?;
        let gateway = Gateway::bind(config, chain, registry).await;
        let gateway = gateway.context("the gateway does not start")?;
        tracing::info!(address = %gateway.local_addr(), "gateway listens");
        let mut parts = Parts::new();
        parts.export(traces);
        parts.start("gateway", gateway.run(parts.stop()));
        parts.start("look at the chain", reached(followed, parts.stop()));
        parts.start("watch on the chain", head_age::watch(head, parts.stop()));
        parts.start("signal handler", signals(parts.stop()));
        parts.finish().await
    }
}
