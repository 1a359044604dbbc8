//! Taking one's words along, and parting.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};

use super::seconds;

/// Write everything readable into one file
///
/// As an archive (FILE.zip) it holds everything: a page to read in any browser, a text for each entry,
/// the photos, and data that `ajar import` reads. The price: the file is not sealed; whoever gets it can
/// read it.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:  ajar export journal.zip\n           ajar export us.zip --us\n           \
                  ajar export journal.md --photos journal-photos\n           ajar export us.json --us --format json\n           \
                  ajar export other.zip --format dayone\n\n\
                  Other programs get what you wrote in Only me and nothing else: no words of your partner."
)]
pub(crate) struct Export {
    /// A new file; nothing is ever overwritten
    pub(crate) file: PathBuf,
    /// With markdown and json: write the photos and files into this new folder, and link to them from
    /// the text. The archives have them in themselves
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
    /// How it is written: an archive with everything, one Markdown text to read, the JSON that `ajar
    /// show` prints, or what Day One or jrnl read [default: ajar for FILE.zip, else markdown]
    #[arg(
        long,
        value_name = "ajar|markdown|json|dayone|jrnl",
        value_enum,
        hide_possible_values = true
    )]
    pub(crate) format: Option<ExportFormat>,
}

/// How an export is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExportFormat {
    Ajar,
    Markdown,
    Json,
    #[value(name = "dayone")]
    DayOne,
    Jrnl,
}

impl Export {
    /// How it is to be written, by what was said or by the name of the file.
    pub(crate) fn format(&self) -> ExportFormat {
        let ending = self.file.extension().and_then(|ending| ending.to_str());
        let zip = ending.is_some_and(|ending| ending.eq_ignore_ascii_case("zip"));
        self.format.unwrap_or(if zip {
            ExportFormat::Ajar
        } else {
            ExportFormat::Markdown
        })
    }
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
