//! Logs: to standard error, for people or as JSON.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::args::{Global, LogFormat};

/// Starts logging; `RUST_LOG` wins over `--verbose`, which wins over the command's own level.
pub(crate) fn start(global: &Global, quiet: bool) {
    let level = match (global.verbose, quiet) {
        (true, _) => "info,portico=debug",
        (false, false) => "info",
        (false, true) => "warn",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    match global.log_format {
        LogFormat::Text => logs.init(),
        LogFormat::Json => logs.json().flatten_event(true).init(),
    }
}
