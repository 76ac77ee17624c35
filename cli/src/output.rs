//! How answers are printed.

use clap::{Args, ValueEnum};

/// How answers are printed.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct OutputArgs {
    /// How the answer is printed
    #[arg(long = "output", value_enum, value_name = "FORMAT", default_value_t = Format::Text)]
    format: Format,
    /// The same as --output json
    #[arg(long, conflicts_with = "format")]
    json: bool,
}

/// How the answers of a command and of all below it are printed.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct GlobalOutputArgs {
    /// How the answer is printed
    #[arg(long = "output", global = true, value_enum, value_name = "FORMAT", default_value_t = Format::Text)]
    format: Format,
    /// The same as --output json
    #[arg(long, global = true, conflicts_with = "format")]
    json: bool,
}

/// How answers are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    Text,
    /// JSON
    Json,
}

impl OutputArgs {
    /// Whether JSON is wanted.
    pub(crate) fn is_json(self) -> bool {
        self.json || self.format == Format::Json
    }
}

impl GlobalOutputArgs {
    /// Whether JSON is wanted.
    pub(crate) fn is_json(self) -> bool {
        self.json || self.format == Format::Json
    }
}
