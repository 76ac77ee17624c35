//! The `portico` binary: one sub-command per role, and the tools around them. It wires parts, nothing else.
//!
//! ```text
//! localnet            node + gateway + servicer in one process, and a money table
//! node | gateway | servicer     one role, from a configuration file
//! relay | query | tx | keys | onboard   what people do with a network
//! smst | config | bench | doctor   looking inside, checking, measuring
//! health | log-level | completions   for service managers, operators and shells
//! ```
//! Start reading at [`localnet`].

mod args;
mod bench;
mod chain;
mod completions;
mod config;
mod conformance;
mod doctor;
mod finding;
mod folders;
mod head_age;
mod health;
mod http;
mod keys;
mod localnet;
mod log_level;
mod logs;
mod metrics;
mod node;
mod onboard;
mod open_files;
mod output;
mod parts;
mod query;
mod relay;
mod report;
mod roles;
mod servicer;
mod smst;
mod table;
mod tx;
mod view;

use std::process::ExitCode;

use clap::Parser;

#[cfg(feature = "mimalloc")]
use mimalloc::MiMalloc as Allocator;
#[cfg(not(feature = "mimalloc"))]
use std::alloc::System as Allocator;

/// Counts, so that `portico bench` can tell what a relay allocates.
#[global_allocator]
static ALLOCATOR: portico_alloc::Counting<Allocator> = portico_alloc::Counting(Allocator);

fn main() -> ExitCode {
    portico_alloc::return_large_blocks();
    let cli = args::Cli::parse();
    logs::start(&cli.global, cli.command.quiet_by_default());
    match run(cli.command) {
        Ok(code) => code,
        Err(error) => report::failure(&error, cli.global.verbose),
    }
}

fn run(command: args::Command) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let code = runtime.block_on(command.run());
    runtime.shutdown_timeout(SHUTDOWN);
    code
}

/// How long threads that no longer matter (a file system call, a lookup) may hold up the end of the process.
const SHUTDOWN: std::time::Duration = std::time::Duration::from_secs(2);
