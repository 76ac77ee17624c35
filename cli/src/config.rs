//! `portico config`: checking files, schemas for editors, files of other programs.

mod import;

mod tls;

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::{Args, Subcommand, ValueEnum};
use portico_config::gateway::GatewayConfig;
use portico_config::load::load_checked;
use portico_config::node::NodeConfig;
use portico_config::servicer::ServicerConfig;
use portico_config::{Config, ConfigError};

#[derive(Args)]
pub(crate) struct ConfigArgs {
    #[command(subcommand)]
    command: ConfigCommand,
}

#[derive(Subcommand)]
enum ConfigCommand {
    /// Check a file; every error comes with its line
    Check {
        /// The file
        file: PathBuf,
        /// Whose file it is; told from the file's name when it begins with gateway, servicer or node
        #[arg(long, value_enum)]
        role: Option<Role>,
    },
    /// Make a servicer's configuration of the files of the reference relay miner or of the HA relay miner
    ///
    /// What has a counterpart is taken over. Every other key is named on standard error: ignored (not needed here), unsupported (it would
    /// change what the servicer does), different, unknown, or to do.
    Import(import::ImportArgs),
    /// Print the JSON schema of a role's file, for editors
    Schema {
        /// Whose file
        #[arg(value_enum)]
        role: Role,
    },
}

/// Whose configuration it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Role {
    /// The gateway
    Gateway,
    /// The servicer
    Servicer,
    /// A node of the chain
    Node,
}

impl ConfigArgs {
    pub(crate) fn run(self) -> Result<()> {
        match self.command {
            ConfigCommand::Check { file, role } => {
                let role = role.map_or_else(|| role_of(&file), Ok)?;
                role.check(&file)?;
                println!("{}: a valid {} configuration", file.display(), role.name());
            }
            ConfigCommand::Import(args) => args.run()?,
            ConfigCommand::Schema { role } => println!("{}", serde_json::to_string_pretty(&role.schema())?),
        }
        Ok(())
    }
}

impl Role {
    const ALL: [Self; 3] = [Self::Gateway, Self::Servicer, Self::Node];

    /// Its sub-command.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::Servicer => "servicer",
            Self::Node => "node",
        }
    }

    /// Reads a file, with everything that can be checked of it alone.
    pub(crate) fn check(self, file: &Path) -> Result<(), ConfigError> {
        match self {
            Self::Gateway => load_checked::<GatewayConfig>(file, tls::check_gateway).map(drop),
            Self::Servicer => load_checked::<ServicerConfig>(file, tls::check_servicer).map(drop),
            Self::Node => load_checked::<NodeConfig>(file, tls::check_node).map(drop),
        }
    }

    fn schema(self) -> serde_json::Value {
        fn of<T: Config>() -> serde_json::Value {
            portico_config::load::schema::<T>().to_value()
        }
        match self {
            Self::Gateway => of::<GatewayConfig>(),
            Self::Servicer => of::<ServicerConfig>(),
            Self::Node => of::<NodeConfig>(),
        }
    }
}

/// Whose file it is, told from its name.
pub(crate) fn role_of(file: &Path) -> Result<Role> {
    let name = file
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    let role = Role::ALL.into_iter().find(|role| name.starts_with(role.name()));
    role.ok_or_else(|| {
        anyhow::anyhow!(
            "say whose file {} is with --role gateway, servicer or node",
            file.display()
        )
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{Role, role_of};

    #[test]
    fn the_role_is_told_from_the_name_of_the_file() {
        assert_eq!(
            role_of(Path::new("etc/servicer-eth.yaml")).unwrap(),
            Role::Servicer
        );
        assert!(role_of(Path::new("etc/my.yaml")).is_err());
    }
}
