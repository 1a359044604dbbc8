//! Taking one's words along, and parting.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};

use super::seconds;

/// Write everything readable into one file
///
/// For reading elsewhere and for keeping. The price: the file is not sealed; whoever gets it can
/// read it.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:  ajar export journal.md\n           ajar export us.json --us --format json\n           ajar export journal.md --photos journal-photos"
)]
pub(crate) struct Export {
    /// A new file; nothing is ever overwritten
    pub(crate) file: PathBuf,
    /// Write the photos and files into this new folder, and link to them from the text
    #[arg(long, value_name = "DIR")]
    pub(crate) photos: Option<PathBuf>,
    /// Seconds to wait for each photo that only the relay has [default: 60]
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "60", hide_default_value = true)]
    pub(crate) timeout: Duration,
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

/// Rest, leave quietly, or end what is between you
///
/// Both of you keep what is here, whatever you choose.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:  ajar close pause\n           ajar close quiet\n           ajar close end",
    disable_help_subcommand = true
)]
pub(crate) struct Close {
    #[command(subcommand)]
    pub(crate) command: CloseCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum CloseCommand {
    /// Let Us rest on this device: nothing of it is sent or fetched
    ///
    /// You can go on writing; it travels when you resume. Your partner is told nothing; your other
    /// devices go on.
    #[command(after_help = "Example:  ajar close pause")]
    Pause(Sure),
    /// End the rest
    #[command(after_help = "Example:  ajar close resume")]
    Resume,
    /// Leave without a word: nothing of Us is sent or fetched any more, by any of your devices
    ///
    /// Your partner sees nothing at all; but silence itself can be noticed. It can be taken back.
    #[command(after_help = "Example:  ajar close quiet")]
    Quiet(Sure),
    /// Come back after leaving quietly, on this device
    #[command(after_help = "Example:  ajar close return")]
    Return(Sure),
    /// End it for both, and for ever. Your partner is told
    #[command(after_help = "Example:  ajar close end")]
    End(End),
}

#[derive(Debug, Args)]
pub(crate) struct Sure {
    /// Do not ask
    #[arg(long)]
    pub(crate) yes: bool,
}

#[derive(Debug, Args)]
pub(crate) struct End {
    /// Do not ask. The price: it cannot be taken back
    #[arg(long)]
    pub(crate) yes: bool,
    /// Seconds to wait for the relay [default: 20]
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "20", hide_default_value = true)]
    pub(crate) timeout: Duration,
}

/// Destroy this journal on this device
///
/// First its keys, after which the rest is noise, then the rest. It does not reach backups of this
/// folder, your other devices, your partner's copy of what you opened, or the relay, which holds
/// what it cannot read.
#[derive(Debug, Args)]
#[command(after_help = "Example:  ajar erase")]
pub(crate) struct Erase {
    /// Do not ask. The price: what is only here is gone
    #[arg(long)]
    pub(crate) yes: bool,
}
