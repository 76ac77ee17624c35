//! `portico servicer check`: what would keep a servicer from earning, before it starts.

pub(crate) mod findings;
pub(crate) mod look;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::Args;
use portico_config::load;
use portico_config::servicer::ServicerConfig;

use crate::chain::RoleChainArgs;
use crate::finding::{Level, text};
use crate::output::OutputArgs;

#[derive(Args)]
pub(super) struct CheckArgs {
    /// The servicer's configuration file
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Compare with the chain too: stakes, services, endpoints, RPC types, balances, clock
    #[arg(long)]
    against_chain: bool,
    /// Do not connect to the staked endpoints
    #[arg(long, requires = "against_chain")]
    no_probe: bool,
    #[command(flatten)]
    chain: RoleChainArgs,
    #[command(flatten)]
    output: OutputArgs,
}

impl CheckArgs {
    /// Exit code 1 when something keeps it from earning; warnings do not.
    pub(super) async fn run(self) -> Result<ExitCode> {
        let config: ServicerConfig = load(&self.config)?;
        let mut found = findings::of_machine(&look::machine(&config.data_dir));
        if self.against_chain {
            let chain = self.chain.or(&config.chain).connect().await?;
            let known = look::chain(&config, &*chain, !self.no_probe).await;
            found.extend(findings::of_chain(
                &config,
                &known.context("the chain cannot be asked")?,
            ));
        }
        match self.output.is_json() {
            true => println!("{}", serde_json::to_string_pretty(&found)?),
            false => print!("{}", text(&found)),
        }
        let faulty = found.iter().any(|finding| finding.level == Level::Fault);
        Ok(if faulty {
            ExitCode::FAILURE
        } else {
            ExitCode::SUCCESS
        })
    }
}
