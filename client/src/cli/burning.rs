//! Taking things back for good, and making room.

use std::time::Duration;

use clap::Args;

use super::seconds;

/// Burn an entry or an opening: remove it for good, from all devices
///
/// It is gone from this device at once, and from the others when they next sync. When all of them
/// have confirmed it, the keys to what is left of it, at the relay and on disks, are destroyed;
/// `ajar burn --status` says how far that is. The price: it cannot be brought back. It does not
/// reach copies that someone made, screenshots, or old backups.
///
/// What your partner wrote is your partner's to burn: burning it asks for that.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:  ajar burn 3f2a\n           ajar burn 3f2a --with-openings   (also the copies opened from it)\n           ajar burn --status\n           ajar burn --asked   (what your partner asks you to burn)\n           ajar burn --asked --no"
)]
pub(crate) struct Burn {
    /// What to burn: at least the first four characters of each id
    #[arg(
        value_name = "ID",
        required_unless_present_any = ["asked", "status"],
        conflicts_with_all = ["asked", "status"]
    )]
    pub(crate) ids: Vec<String>,
    /// Of an entry, burn the copies that were opened from it too
    #[arg(long, conflicts_with_all = ["asked", "status"])]
    pub(crate) with_openings: bool,
    /// Only say how far everything is that was burned
    #[arg(long, conflicts_with = "asked")]
    pub(crate) status: bool,
    /// Only list what your partner asks you to burn
    #[arg(long)]
    pub(crate) asked: bool,
    /// Not to burn what your partner asks for: the list is emptied, and nobody is told
    #[arg(long, requires = "asked")]
    pub(crate) no: bool,
    /// Do not ask. The price: what is burned cannot be brought back
    #[arg(long, conflicts_with_all = ["asked", "status"])]
    pub(crate) yes: bool,
    /// Seconds to wait for the relay [default: 20]
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "20", hide_default_value = true)]
    pub(crate) timeout: Duration,
}

/// Make a copy of everything as it stands, and let the relay give up what it folds in
///
/// Makes a copy of everything as it stands, sealed, and asks the relay to give up what it folds in,
/// without waiting a week; devices that were away begin from that copy. It happens by itself too;
/// this is for when the relay gets full; it needs some room for the copy. Nothing you can read goes.
#[derive(Debug, Args)]
#[command(after_help = "Example:  ajar tidy")]
pub(crate) struct Tidy {
    /// Seconds to wait for the relay [default: 60]
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "60", hide_default_value = true)]
    pub(crate) timeout: Duration,
}
