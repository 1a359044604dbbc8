//! Taking one's words along, and parting.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// Write everything readable into one file
///
/// For reading elsewhere and for keeping. The price: the file is not sealed; whoever gets it can
/// read it.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:  ajar export journal.md\n           ajar export us.json --us --format json"
)]
pub(crate) struct Export {
    /// A new file; nothing is ever overwritten
    pub(crate) file: PathBuf,
    /// Only what only you can read
    #[arg(long, conflicts_with = "us")]
    pub(crate) me: bool,
    /// Only what both of you can read
    #[arg(long)]
    pub(crate) us: bool,
    /// How it is written: Markdown to read, or the JSON that `ajar show` prints
    #[arg(
        long,
        value_name = "markdown|json",
        value_enum,
        default_value = "markdown",
        hide_possible_values = true
    )]
    pub(crate) format: ExportFormat,
}

/// How an export is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExportFormat {
    Markdown,
    Json,
}
