//! `portico servicer`: the role itself, and what its operator asks about it.

mod audit;
pub(crate) mod check;
mod key_lock;
mod ledger;
mod reload;
mod source;
mod store;
mod why;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use portico_client::Blocks as _;
use portico_config::load;
use portico_config::servicer::ServicerConfig;
use portico_servicer::Servicer;
use portico_telemetry::export;

use crate::chain::{RoleChainArgs, reached};
use crate::head_age;
use crate::open_files;
use crate::parts::{Parts, signals};

#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct ServicerArgs {
    /// Configuration file; `portico config schema` describes it
    #[arg(long, value_name = "FILE", required = true)]
    config: Option<PathBuf>,
    #[command(flatten)]
    chain: RoleChainArgs,
    #[command(subcommand)]
    command: Option<ServicerCommand>,
}

#[derive(Subcommand)]
enum ServicerCommand {
    /// Show where relays and money went: what is not paid, why, and what to do
    ///
    /// Without a name: all sessions that the servicer remembers. It asks a servicer that runs, and reads the data of one that does not.
    Why(why::WhyArgs),
    /// Show the money ledger: relays and upokt, from request to payment
    ///
    /// Steps: validated (every check passed), served (answered with a signature), applicable (met the difficulty), recorded (leaf on disk),
    /// claimed, settled (paid by the application), paid (received by the supplier's shareholders).
    Ledger(ledger::LedgerArgs),
    /// Find what would keep a servicer from earning: configuration, keys, disk, and what the chain says
    Check(check::CheckArgs),
    /// Check, copy, repair or compact what a servicer keeps on disk
    Store(store::StoreArgs),
    /// Put another configuration in place while the servicer runs: keys and services
    ///
    /// The servicer reads its file again, says what differs, and changes all of it or nothing. SIGHUP (systemctl reload) does the same as
    /// apply, and logs what changed. A key that the file names no more claims and proves what it served, and is let go of afterwards.
    Reload(reload::ReloadArgs),
}

impl ServicerArgs {
    /// Whether it is one of the tools, and not the role itself.
    pub(crate) const fn is_tool(&self) -> bool {
        self.command.is_some()
    }

    pub(crate) async fn run(self) -> Result<ExitCode> {
        match self.command {
            Some(ServicerCommand::Why(args)) => args.run().await.map(|()| ExitCode::SUCCESS),
            Some(ServicerCommand::Ledger(args)) => args.run().await,
            Some(ServicerCommand::Check(args)) => args.run().await,
            Some(ServicerCommand::Store(args)) => args.run().await,
            Some(ServicerCommand::Reload(args)) => args.run().await.map(|()| ExitCode::SUCCESS),
            None => self.serve().await.map(|()| ExitCode::SUCCESS),
        }
    }

    async fn serve(self) -> Result<()> {
        let file = self.config.context("a servicer needs --config FILE")?;
        let config: ServicerConfig = load(&file)?;
        open_files::raise(config.listener.max_connections);
        let source = reload::ConfigFile::new(&file, &config)?;
        let chain = self.chain.or(&config.chain).follow()?;
        let followed = Arc::clone(&chain);
        let (head, registry) = (chain.head(), head_age::registry(chain.as_ref())?);
        let traces = export(&config.traces, "portico-servicer", &registry)?;
        let open = || Servicer::open(config, chain, registry);
        let servicer = tokio::task::block_in_place(open).context("the servicer does not start")?;
        tracing::info!(address = %servicer.local_addr(), "servicer listens");
        let handle = servicer.handle();
        handle.reload_from(Box::new(source));
        let mut parts = Parts::new();
        parts.export(traces);
        parts.start("reload on SIGHUP", reload::hang_ups(handle, parts.stop()));
        parts.start("servicer", servicer.run(parts.stop()));
        parts.start("look at the chain", reached(followed, parts.stop()));
        parts.start("watch on the chain", head_age::watch(head, parts.stop()));
        parts.start("signal handler", signals(parts.stop()));
        parts.finish().await
    }
}

#[cfg(test)]
mod tests;
