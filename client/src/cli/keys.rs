//! What opens a journal on this device, and what closes it.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::seconds;

/// Lock: end whatever holds this journal open on this device
///
/// A command opens the journal, does its work and closes it; only `ajar sync --watch` stays. It is
/// told to end in order, and its keys are gone with it.
#[derive(Debug, Args)]
#[command(after_help = "Example:  ajar lock")]
pub(crate) struct Lock {}

/// Try the passphrase, and say what it opens
///
/// Nothing stays open: every command asks anew, or reads AJAR_PASSPHRASE.
#[derive(Debug, Args)]
#[command(after_help = "Examples:  ajar unlock\n           ajar unlock --me --json")]
pub(crate) struct Unlock {
    /// Ask for the passphrase of Only me too, where it has one of its own
    #[arg(long)]
    pub(crate) me: bool,
}

/// Choose another passphrase for this device
///
/// The old one opens nothing from now on, except an older copy of this folder in a backup. Your
/// other devices keep theirs. With --me only the passphrase of Only me changes.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:  ajar passphrase\n           ajar passphrase --me          gives Only me one of its own\n           ajar passphrase --me --same   takes that back\n\n\
                  A script sets AJAR_PASSPHRASE (the old one) and AJAR_NEW_PASSPHRASE."
)]
pub(crate) struct ChangePassphrase {
    /// That of Only me: whoever opens the journal does not open Only me with it. The price: one more
    /// to remember, and nobody can reset it
    #[arg(long)]
    pub(crate) me: bool,
    /// Only me opens with the passphrase of the journal again
    #[arg(long, requires = "me")]
    pub(crate) same: bool,
}

/// Your twelve words: check them, or replace them
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:  ajar words check\n           ajar words replace",
    disable_help_subcommand = true
)]
pub(crate) struct Words {
    #[command(subcommand)]
    pub(crate) command: WordsCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum WordsCommand {
    Check(CheckWords),
    Replace(ReplaceWords),
}

/// Say whether the words on your sheet are the right ones. No network
#[derive(Debug, Args)]
#[command(
    after_help = "Example:  ajar words check\n\nThe words are typed unseen, or read from standard input."
)]
pub(crate) struct CheckWords {}

/// Put twelve new words in the place of the old ones
///
/// For the day somebody may have seen them. What is written afterwards cannot be opened with the
/// old words, and they bring nothing back. The price: what somebody copied from the relay before
/// stays open to the old words; and a sheet that was not replaced is worth nothing.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:  ajar words replace\n           ajar words replace --words-file new-words < old-words\n\n\
                  If it was cut short: ajar words replace --again, with the old words and then the new ones."
)]
pub(crate) struct ReplaceWords {
    /// Write the new words into a new file instead of showing them; keep it off this device
    #[arg(long, value_name = "FILE", conflicts_with = "again")]
    pub(crate) words_file: Option<PathBuf>,
    /// Go on with new words that were shown already: first the old ones are asked, then the new ones
    #[arg(long)]
    pub(crate) again: bool,
    /// Do not ask for three of the new words to check them
    #[arg(long)]
    pub(crate) yes: bool,
    /// Seconds to wait for the relay [default: 30]
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "30", hide_default_value = true)]
    pub(crate) timeout: Duration,
}

/// Bring everything back with your twelve words and the relay's address
///
/// For the day all devices are lost. Shows what the words find and asks before anything is
/// changed. Your lost devices are removed: should somebody have one, it reads nothing new.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:  ajar recover --name Ana --relay 'ajar-relay:relay.example:4433#…'\n           ajar recover --name Ana --relay 'ajar-relay:…' --undo 4\n\n\
                  The words are typed unseen, or read from standard input; they are never an argument."
)]
pub(crate) struct Recover {
    /// What your partner calls you
    #[arg(long)]
    pub(crate) name: String,
    /// Address of your relay (in quotes); - asks for it
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) relay: String,
    /// What to call this device; only your own devices see it [default: its host name]
    #[arg(long, value_name = "NAME")]
    pub(crate) device: Option<String>,
    /// Leave the devices in the list that are there. The price: whoever has one goes on reading
    #[arg(long)]
    pub(crate) keep_devices: bool,
    /// The first change of your devices that is not yours, by its number in what was shown: it and
    /// everything after it is undone
    #[arg(long, value_name = "NUMBER")]
    pub(crate) undo: Vec<usize>,
    /// Go on without Only me if the relay does not show it. The price: this device never gets it
    #[arg(long)]
    pub(crate) without_me: bool,
    /// Do not ask after showing what was found
    #[arg(long)]
    pub(crate) yes: bool,
    /// Seconds to wait for the relay, at each stage [default: 60]
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "60", hide_default_value = true)]
    pub(crate) timeout: Duration,
}
