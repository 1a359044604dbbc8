//! What comes again: rituals, old days, the calendar.

use ajar_journal::records::Cadence;
use clap::{Args, Subcommand, ValueEnum};

use super::{One, Patience};

/// Things you do together again and again
///
/// A ritual is one once both of you agree to it, and until one of you ends it. Ajar says what the
/// day, the week or the month is still without, and counts nothing. To leave one out, do nothing.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:  ajar ritual library\n           ajar ritual new --from weekly-talk\n           ajar ritual new 'Walk' --cadence weekly --step 'No phones'\n           ajar ritual done 3f2a",
    disable_help_subcommand = true
)]
pub(crate) struct Ritual {
    #[command(subcommand)]
    pub(crate) command: RitualCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RitualCommand {
    /// Propose a ritual
    #[command(
        after_help = "Examples:  ajar ritual new --from weekly-talk\n           ajar ritual new 'Walk' --cadence weekly --step 'No phones'"
    )]
    New(NewRitual),
    /// Agree to a ritual as it stands
    #[command(after_help = "Example:  ajar ritual agree 3f2a")]
    Agree(One),
    /// Say that you did it, with a note if you like; in an exchange diary, write the next page
    #[command(
        after_help = "Examples:  ajar ritual done 3f2a\n           ajar ritual done 3f2a 'The long way round, in the rain.'"
    )]
    Done(DoRitual),
    /// Pass the turn of an exchange diary on without a page
    #[command(after_help = "Example:  ajar ritual pass 3f2a")]
    Pass(One),
    /// End a ritual, for both. Nobody asks why; what was noted stays
    #[command(after_help = "Example:  ajar ritual end 3f2a")]
    End(One),
    /// Your rituals: what today is still without, and whose page is next
    #[command(after_help = "Example:  ajar ritual list")]
    List,
    /// Show one ritual with its notes or pages
    #[command(after_help = "Example:  ajar ritual show 3f2a")]
    Show(super::ShowOne),
    /// A few rituals to begin with
    #[command(after_help = "Example:  ajar ritual library")]
    Library,
}

#[derive(Debug, Args)]
pub(crate) struct NewRitual {
    /// What it is called; - asks for it
    #[arg(value_name = "NAME|-", required_unless_present = "from")]
    pub(crate) name: Option<String>,
    /// One of the library, by its word; a name, a cadence and steps of your own count before its
    #[arg(long, value_name = "WORD")]
    pub(crate) from: Option<String>,
    /// How often: daily, weekly, monthly, turns (an exchange diary) or whenever
    #[arg(long, value_name = "CADENCE", required_unless_present = "from")]
    pub(crate) cadence: Option<Cadence>,
    /// What it consists of, a line; repeat for more
    #[arg(long = "step", value_name = "LINE")]
    pub(crate) steps: Vec<String>,
    #[command(flatten)]
    pub(crate) patience: Patience,
}

#[derive(Debug, Args)]
pub(crate) struct DoRitual {
    /// At least the first four characters of its id
    pub(crate) id: String,
    /// A note, or the page of an exchange diary; - reads it from standard input
    #[arg(value_name = "NOTE|-")]
    pub(crate) note: Vec<String>,
    #[command(flatten)]
    pub(crate) patience: Patience,
}

/// What you kept and opened on this day in earlier years
///
/// Only if you turn it on, and only for you. What rests does not come back (ajar mute), nor what
/// was unpleasant unless you ask for it, nor letters that are still closed.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:  ajar on-this-day on\n           ajar on-this-day\n           ajar on-this-day --heavier"
)]
pub(crate) struct OnThisDay {
    /// Turn it on or off
    #[arg(value_name = "on|off", value_enum, hide_possible_values = true)]
    pub(crate) switch: Option<Switch>,
    /// Heavier days too; with on, from now on
    #[arg(long)]
    pub(crate) heavier: bool,
}

/// On or off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Switch {
    On,
    Off,
}

/// Let something rest: it does not come back by itself
///
/// Rests days, a tag or one record, for you alone: your partner sees what they saw before, and is
/// not told. Lists and searches still find it.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:  ajar mute --days 2024-03-01..2024-04-15\n           ajar mute --tag hospital\n           ajar mute --record 3f2a\n           ajar mute list",
    disable_help_subcommand = true,
    args_conflicts_with_subcommands = true,
    arg_required_else_help = true
)]
pub(crate) struct Mute {
    #[command(subcommand)]
    pub(crate) command: Option<MuteCommand>,
    /// From a day to a day, or one day
    #[arg(long, value_name = "A..B", conflicts_with_all = ["tag", "record"])]
    pub(crate) days: Option<String>,
    /// Whatever has this tag; - asks for it
    #[arg(long, value_name = "TAG", conflicts_with = "record")]
    pub(crate) tag: Option<String>,
    /// One record: at least the first four characters of its id
    #[arg(long, value_name = "ID")]
    pub(crate) record: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum MuteCommand {
    /// What rests
    #[command(after_help = "Example:  ajar mute list")]
    List,
    /// Let it come back
    #[command(after_help = "Example:  ajar mute lift 3f2a")]
    Lift(super::ShowOne),
}

/// A month with what it holds, or a year
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:  ajar calendar\n           ajar calendar 2026-07\n           ajar calendar 2026"
)]
pub(crate) struct Calendar {
    /// A month such as 2026-07, or a year [default: this month]
    #[arg(value_name = "YYYY-MM|YYYY")]
    pub(crate) when: Option<String>,
    /// Only what both of you can read
    #[arg(long)]
    pub(crate) us: bool,
}

/// A day, side by side: what you hold of it, and what your partner has opened of it
#[derive(Debug, Args)]
#[command(after_help = "Examples:  ajar day yesterday\n           ajar day 2026-07-01 --us")]
pub(crate) struct Day {
    /// The day
    #[arg(value_name = "DATE")]
    pub(crate) date: String,
    /// Only what both of you can read
    #[arg(long)]
    pub(crate) us: bool,
}
