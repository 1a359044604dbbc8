//! Looking back at what was kept and shown.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{Patience, Switch};

/// Look back: a picture, the finding in a sentence, and the same as a table
///
/// Without NAME it lists what there is to look at. Everything is drawn here, from your own Only me;
/// a few about both of you, from what both have shown. They are there while both have them on.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:  ajar insight\n           ajar insight which-words --since 2026-07-01\n           ajar insight how-did-it-move --svg moved.svg\n           ajar insight ours on",
    disable_help_subcommand = true,
    args_conflicts_with_subcommands = true
)]
pub(crate) struct Insight {
    #[command(subcommand)]
    pub(crate) command: Option<InsightCommand>,
    /// Which one, as `ajar insight` lists them [default: list them]
    #[arg(value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Write the picture into a new file; anyone who can read the file can see it
    #[arg(long, value_name = "FILE", requires = "name")]
    pub(crate) svg: Option<PathBuf>,
    /// From this day on
    #[arg(long, value_name = "DAY")]
    pub(crate) since: Option<String>,
    /// Up to and including this day
    #[arg(long, value_name = "DAY")]
    pub(crate) until: Option<String>,
    /// With how-was-it-for-me: how far you opened in the same weeks, below it
    #[arg(long, requires = "name")]
    pub(crate) opened: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum InsightCommand {
    /// Have those about both of you, or not. Either of you can switch them off for both, without a
    /// reason
    #[command(after_help = "Example:  ajar insight ours on")]
    Ours(OursChoice),
}

#[derive(Debug, Args)]
pub(crate) struct OursChoice {
    /// On or off
    #[arg(value_name = "on|off", value_enum, hide_possible_values = true)]
    pub(crate) choice: Switch,
    #[command(flatten)]
    pub(crate) wait: Patience,
}
