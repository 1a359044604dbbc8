//! Which relay each space uses.

use std::time::Duration;

use clap::{Args, Subcommand};

use super::seconds;

/// Your relay: which one, another one, and whether Only me is kept there
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:  ajar relay show\n           ajar relay move 'ajar-relay:relay.example:4433#…'\n           ajar relay off",
    disable_help_subcommand = true
)]
pub(crate) struct Relay {
    #[command(subcommand)]
    pub(crate) command: RelayCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RelayCommand {
    /// Print the address of your relay, and what your partner offers
    #[command(after_help = "Example:  ajar relay show")]
    Show,
    Move(MoveRelay),
    Accept(AcceptRelay),
    /// Keep Only me on this device only
    ///
    /// Nothing of it is sent any more. The price: if this device is lost, so is what is only here;
    /// your twelve words bring back what the relay has.
    #[command(after_help = "Example:  ajar relay off")]
    Off,
    /// Keep Only me at the relay too, sealed before it leaves this device
    ///
    /// It travels when a command exchanges with the relay, not when you write. Your partner never
    /// sees it.
    #[command(after_help = "Example:  ajar relay on")]
    On,
}

/// Go to another relay, or to the same one with a new invitation
///
/// Word is left at the old relay for your partner and your other devices, and the new one gets
/// everything that is kept here. Your devices follow by themselves; your partner is asked.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:  ajar relay move 'ajar-relay:relay.example:4433#…'\n           ajar relay move 'ajar-relay:…' --me   (Only me elsewhere than Us)"
)]
pub(crate) struct MoveRelay {
    /// Address of the relay, as `ajar-relay invite` prints it (in quotes); - asks for it
    pub(crate) address: String,
    /// Only what only you can read
    #[arg(long, conflicts_with = "us")]
    pub(crate) me: bool,
    /// Only what both of you can read
    #[arg(long)]
    pub(crate) us: bool,
    /// Seconds to wait for both relays [default: 30]
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "30", hide_default_value = true)]
    pub(crate) timeout: Duration,
}

/// Go to the relay that your partner has moved to
///
/// `ajar relay show` prints it. Ask your partner whether it is theirs to choose: whoever runs a
/// relay sees when you are there, and never what you write.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:  ajar relay accept\n           ajar relay accept --no   (stay; it is not offered again)"
)]
pub(crate) struct AcceptRelay {
    /// Stay where you are
    #[arg(long, conflicts_with = "yes")]
    pub(crate) no: bool,
    /// Do not ask
    #[arg(long)]
    pub(crate) yes: bool,
    /// Seconds to wait for both relays [default: 30]
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "30", hide_default_value = true)]
    pub(crate) timeout: Duration,
}
