//! Your own devices: adding, listing, removing, naming.

use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};

use super::seconds;

/// Your own devices: add one, list them, remove one
///
/// Each device has keys of its own. A device that was added has everything you have; a device
/// that was removed reads nothing new.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:  ajar device add\n           ajar device list\n           ajar device remove phone --stolen",
    disable_help_subcommand = true
)]
pub(crate) struct Device {
    #[command(subcommand)]
    pub(crate) command: DeviceCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DeviceCommand {
    Add(AddDevice),
    List(ListDevices),
    Remove(RemoveDevice),
    Rename(RenameDevice),
    Keep(KeepDevice),
}

/// Add a device of yours: show a code and wait
///
/// The new device enters the code with `ajar init --link CODE` and shows four words; here you find
/// them among three lines. Wrong line, and nothing is added. A code works once and for ten minutes.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:  ajar device add\n           ajar device add --spaces us   (without Only me)\n\n\
                  A script gets {\"event\":\"choose\",\"lines\":[…]} with --json and answers 1, 2 or 3 on standard input."
)]
pub(crate) struct AddDevice {
    /// What the new device gets: me, us or both [default: what is open here]
    #[arg(
        long,
        value_name = "me,us",
        value_delimiter = ',',
        hide_possible_values = true
    )]
    pub(crate) spaces: Vec<SpaceName>,
    /// Take the device without comparing words. The price: you would not notice someone standing in
    /// between, and they would get everything
    #[arg(long)]
    pub(crate) yes: bool,
    /// Seconds to wait for the relay, before and after the code [default: 20]
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "20", hide_default_value = true)]
    pub(crate) timeout: Duration,
}

/// A space as it is typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SpaceName {
    Me,
    Us,
}

/// List your devices. No network
#[derive(Debug, Args)]
#[command(after_help = "Example:  ajar device list --json")]
pub(crate) struct ListDevices {}

/// Remove a device of yours: it reads nothing new
///
/// New keys are made without it, and what it writes from now on counts nowhere. What is on it
/// stays on it.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:  ajar device remove phone\n           ajar device remove 3f2a --stolen"
)]
pub(crate) struct RemoveDevice {
    /// Its name, or at least the first four characters of its id
    pub(crate) device: String,
    /// It cannot be found (this is what is noted when nothing is said)
    #[arg(long)]
    pub(crate) lost: bool,
    /// Someone else has it
    #[arg(long, conflicts_with = "lost")]
    pub(crate) stolen: bool,
    /// You do not use it any more
    #[arg(long, conflicts_with_all = ["lost", "stolen"])]
    pub(crate) retired: bool,
    /// Only from Us, on a device that does not have Only me. The price: it stays in Only me until
    /// you remove it there too
    #[arg(long)]
    pub(crate) us: bool,
    /// Do not ask. The price: it cannot be taken back; the device would have to be added anew
    #[arg(long)]
    pub(crate) yes: bool,
    /// Seconds to wait for the relay [default: 20]
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "20", hide_default_value = true)]
    pub(crate) timeout: Duration,
}

/// Give a device another name. Only your own devices see it
#[derive(Debug, Args)]
#[command(after_help = "Example:  ajar device rename 3f2a 'old laptop'")]
pub(crate) struct RenameDevice {
    /// Its name, or at least the first four characters of its id
    pub(crate) device: String,
    /// The new name
    pub(crate) name: String,
}

/// Let in what a removed device had delivered at the last moment
///
/// For a device that was only lost: what it brought to the relay while you were removing it does not
/// count until you let it in. Once for each device, within seven days.
#[derive(Debug, Args)]
#[command(after_help = "Example:  ajar device keep phone\n\n\
                  Not for a device that someone else had: whatever they wrote on it would count as yours.")]
pub(crate) struct KeepDevice {
    /// Its name, or at least the first four characters of its id
    pub(crate) device: String,
    /// Do not ask
    #[arg(long)]
    pub(crate) yes: bool,
    /// Seconds to wait for the relay [default: 20]
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "20", hide_default_value = true)]
    pub(crate) timeout: Duration,
}
