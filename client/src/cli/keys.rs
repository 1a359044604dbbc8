//! What opens a journal on this device, and what closes it.

use clap::Args;

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
