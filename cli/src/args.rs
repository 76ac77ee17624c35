//! The command line.

use std::process::ExitCode;

use clap::{Args, CommandFactory as _, Parser, Subcommand, ValueEnum};

/// The Pocket Network relay system: gateway, servicer and chain in one binary.
#[derive(Parser)]
#[command(
    name = "portico",
    version,
    propagate_version = true,
    disable_help_subcommand = true,
    long_about = "The Pocket Network relay system: gateway, servicer and chain in one binary.\n\n\
        Begin with `portico localnet`: it starts a whole network with real stakes and real settlement on this machine \
        and prints a curl command for the first relay.",
    after_help = "Exit codes: 0 done, 1 failed (the last line says why and what to do), 2 wrong usage.\n\
        Answers go to standard output, logs to standard error; RUST_LOG selects logs (e.g. RUST_LOG=portico_gateway=debug)."
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options of every command.
#[derive(Args)]
pub(crate) struct Global {
    /// Show every cause of an error, and more logs
    #[arg(short, long, global = true)]
    pub(crate) verbose: bool,
    /// How logs are written
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Text, value_name = "FORMAT")]
    pub(crate) log_format: LogFormat,
}

/// How logs are written.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Run a whole network on this machine: chain, gateway, servicer, real stakes, real settlement
    Localnet(crate::localnet::LocalnetArgs),
    /// Send one relay; show the answer, who gave it, and what was verified
    Relay(crate::relay::RelayArgs),
    /// Ask a chain: sessions, actors, claims, balances, params, blocks
    Query(crate::query::QueryArgs),
    /// Send a transaction and wait until a block includes it
    Tx(crate::tx::TxArgs),
    /// From nothing to a first paid relay: key, funds, stake, delegation; shows every transaction before it sends any
    Onboard(crate::onboard::OnboardArgs),
    /// Make, show and import private keys
    Keys(crate::keys::KeysArgs),
    /// Look into the Merkle sum trie of a session
    Smst(crate::smst::SmstArgs),
    /// Measure what a relay costs on this machine
    Bench(crate::bench::BenchArgs),
    /// Run a node of a chain of your own; check, roll back and copy its data
    Node(crate::node::NodeArgs),
    /// Run a gateway: answers dApps with relays
    Gateway(crate::roles::GatewayArgs),
    /// Run a servicer: answers relays with nodes of yours, claims and proves them; ask it where the money went
    Servicer(crate::servicer::ServicerArgs),
    /// Check a configuration file, print the JSON schema of one, or import another relay miner's
    Config(crate::config::ConfigArgs),
    /// Try a gateway or a relay miner, of anybody, with calls and relays that it has to answer or refuse
    Conformance(crate::conformance::ConformanceArgs),
    /// Find what is wrong with this machine and its roles, and what to do: files, ports, clock, disk, keys, chain
    Doctor(crate::doctor::DoctorArgs),
    /// Ask a running gateway, servicer or node whether it is well; exit 0 only if it is
    Health(crate::health::HealthArgs),
    /// Show, or change, what a running gateway or servicer logs
    LogLevel(crate::log_level::LogLevelArgs),
    /// Print the completions of a shell
    Completions(crate::completions::CompletionsArgs),
}

impl Command {
    /// Whether only warnings are logged unless asked for more: true for what people read on a terminal.
    pub(crate) fn quiet_by_default(&self) -> bool {
        match self {
            Self::Node(args) => args.is_tool(),
            Self::Servicer(args) => args.is_tool(),
            _ => !matches!(self, Self::Gateway(_)),
        }
    }

    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        match self {
            Self::Localnet(args) => return args.run().await,
            Self::Relay(args) => args.run().await?,
            Self::Query(args) => args.run().await?,
            Self::Tx(args) => args.run().await?,
            Self::Onboard(args) => return args.run().await,
            Self::Keys(args) => args.run()?,
            Self::Smst(args) => return args.run().await,
            Self::Node(args) => args.run().await?,
            Self::Gateway(args) => args.run().await?,
            Self::Servicer(args) => return args.run().await,
            Self::Bench(args) => args.run().await?,
            Self::Config(args) => args.run()?,
            Self::Conformance(args) => return args.run().await,
            Self::Doctor(args) => return args.run().await,
            Self::Health(args) => args.run().await?,
            Self::LogLevel(args) => args.run().await?,
            Self::Completions(args) => args.run(Cli::command())?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

#[cfg(test)]
mod tests;
