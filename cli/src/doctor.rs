//! `portico doctor`: what is wrong with this machine and its roles, and what to do.
//!
//! ```text
//! look      what the machine, its ports and disks, the chain's nodes say      findings   what is wrong with it, and what to do: pure
//! ```

mod findings;
mod look;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use portico_config::gateway::GatewayConfig;
use portico_config::load;
use portico_config::node::NodeConfig;
use portico_config::servicer::ServicerConfig;

use crate::chain::RoleChainArgs;
use crate::config::{Role, role_of};
use crate::finding::{Finding, Found, Level, text};
use crate::output::OutputArgs;
use crate::servicer::check;
use look::{Address, Chain};

/// Looks at this machine, and with --config at a role: its file, its ports, its disk, its keys, its chain. Changes nothing, and can be asked while
/// the role runs. Exit code 1 when something keeps a role from working; warnings do not.
#[derive(Args)]
pub(crate) struct DoctorArgs {
    /// A role's configuration file; repeat for more roles. Without one the machine alone is looked at
    #[arg(long = "config", value_name = "FILE")]
    configs: Vec<PathBuf>,
    /// Whose files; told from a file's name when it begins with gateway, servicer or node
    #[arg(long, value_enum)]
    role: Option<Role>,
    /// Do not ask the chain
    #[arg(long)]
    offline: bool,
    #[command(flatten)]
    chain: RoleChainArgs,
    #[command(flatten)]
    output: OutputArgs,
}

impl DoctorArgs {
    pub(crate) async fn run(self) -> Result<ExitCode> {
        let mut found = findings::of_machine(&look::machine());
        for file in &self.configs {
            let role = self.role.map_or_else(|| role_of(file), Ok)?;
            let mut of_file = Found::default();
            match role.check(file) {
                Ok(()) => of_file.good(format!(
                    "{}: a valid {} configuration",
                    file.display(),
                    role.name()
                )),
                Err(error) => {
                    of_file.fault(
                        error.to_string(),
                        "mend the file; `portico config schema` describes it",
                    );
                    found.extend(of_file.all());
                    continue; // nothing that it says can be relied on
                }
            }
            found.extend(of_file.all());
            found.extend(self.of(role, file).await?);
        }
        match self.output.is_json() {
            true => println!("{}", serde_json::to_string_pretty(&found)?),
            false => print!("{}", text(&found)),
        }
        Ok(match found.iter().any(|finding| finding.level == Level::Fault) {
            true => ExitCode::FAILURE,
            false => ExitCode::SUCCESS,
        })
    }

    /// What is found of one role.
    async fn of(&self, role: Role, file: &std::path::Path) -> Result<Vec<Finding>> {
        Ok(match role {
            Role::Gateway => self.of_gateway(&load(file)?).await,
            Role::Servicer => self.of_servicer(&load(file)?).await,
            Role::Node => {
                let config: NodeConfig = load(file)?;
                let mut addresses = vec![
                    Address::new("rpc_listen", config.rpc_listen, config.tls.is_some()),
                    Address::new("grpc_listen", config.grpc_listen, config.tls.is_some()),
                ];
                addresses.extend(
                    config
                        .admin_listen
                        .map(|admin| Address::new("admin_listen", admin, false)),
                );
                let mut found = findings::of_files(config.listener.max_connections, look::files());
                found.extend(findings::of_ports(&look::ports(addresses).await));
                found.extend(findings::of_disk(&look::disk(&config.data_dir).await));
                found
            }
        })
    }

    async fn of_gateway(&self, config: &GatewayConfig) -> Vec<Finding> {
        let mut addresses = vec![Address::new("listen", config.listen, config.tls.is_some())];
        addresses.extend(
            config
                .admin_listen
                .map(|admin| Address::new("admin_listen", admin, false)),
        );
        let mut found = findings::of_files(config.listener.max_connections, look::files());
        found.extend(findings::of_ports(&look::ports(addresses).await));
        if !self.offline {
            let chain = Chain::look(&self.chain.clone().or(&config.chain)).await;
            found.extend(findings::of_nodes(&chain.nodes, config.chain.chain_id.as_deref()));
            if let Some(chain) = &chain.connected {
                found.extend(findings::of_gateway(&look::stakes(config, &**chain).await));
            }
        }
        found
    }

    async fn of_servicer(&self, config: &ServicerConfig) -> Vec<Finding> {
        let mut addresses = vec![Address::new("listen", config.listen, config.tls.is_some())];
        addresses.extend(
            config
                .admin_listen
                .map(|admin| Address::new("admin_listen", admin, false)),
        );
        let mut found = findings::of_files(config.listener.max_connections, look::files());
        found.extend(findings::of_ports(&look::ports(addresses).await));
        found.extend(findings::of_disk(&look::disk(&config.data_dir).await));
        if !self.offline {
            let chain = Chain::look(&self.chain.clone().or(&config.chain)).await;
            found.extend(findings::of_nodes(&chain.nodes, config.chain.chain_id.as_deref()));
            if let Some(chain) = &chain.connected {
                found.extend(match check::look::chain(config, &**chain, true).await {
                    Ok(known) => check::findings::of_chain(config, &known),
                    Err(error) => findings::unanswered(&error),
                });
            }
        }
        found
    }
}
