//! Logs: to standard error, for people or as JSON.

use std::io::IsTerminal;

use portico_telemetry::Format;

use crate::args::{Global, LogFormat};

/// Starts logging; `RUST_LOG` wins over `--verbose`, which wins over the command's own level.
pub(crate) fn start(global: &Global, quiet: bool) {
    let level = match (global.verbose, quiet) {
        (true, _) => "info,portico=debug",
        (false, false) => "info",
        (false, true) => "warn",
    };
    let format = match global.log_format {
        LogFormat::Text => Format::Text {
            ansi: std::io::stderr().is_terminal(),
        },
        LogFormat::Json => Format::Json,
    };
    portico_telemetry::start(level, format);
}
