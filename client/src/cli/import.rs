//! Bringing in what another journal holds.

use std::path::PathBuf;
use std::time::Duration;

use ajar_journal::import::Format;
use clap::{Args, ValueEnum};

use super::seconds;

/// Bring in what you wrote elsewhere: Day One, jrnl, Journey, Markdown, or an archive of Ajar
///
/// Everything lands in Only me; nothing is opened to anyone, and no network is needed. Photos are
/// written anew, as with `ajar write --photo`. An entry that cannot be taken is left out and named,
/// by its number and day, and the others go on. Doing it again leaves out what is here already.
///
/// The first line it prints has an id with which the whole import is undone: that burns what came with
/// it and that you have neither changed nor opened since.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:  ajar import day-one-export.zip --dry-run\n           \
                  ajar import day-one-export.zip\n           \
                  ajar import journal.txt --format jrnl\n           \
                  ajar import ~/notes   (a folder of Markdown files)\n           \
                  ajar import --undo 3f2a9c01\n\n\
                  Ajar:      ajar export journal.zip\n\
                  Day One:   Settings, Import / Export, JSON. Give the zip as it is\n\
                  Journey:   Settings, Backup, Export. Give the zip as it is\n\
                  jrnl:      jrnl --export json > journal.json\n\
                  Markdown:  one file for each entry, with `date: 2026-07-01` at its top or the day in front of its name"
)]
pub(crate) struct Import {
    /// The file or folder to bring in. It is only read, and nothing of it is kept anywhere else
    #[arg(required_unless_present = "undo", conflicts_with = "undo")]
    pub(crate) file: Option<PathBuf>,
    /// What wrote it, when it is not clear from what is in it
    #[arg(
        long,
        value_name = "dayone|jrnl|journey|markdown|ajar",
        value_enum,
        hide_possible_values = true,
        conflicts_with = "undo"
    )]
    pub(crate) format: Option<ImportFormat>,
    /// Only say what would come, and what would not
    #[arg(long, conflicts_with = "undo")]
    pub(crate) dry_run: bool,
    /// Keep photos and files byte for byte, also those that are no photos. The price: a photo may
    /// say where and when it was taken
    #[arg(long, conflicts_with = "undo")]
    pub(crate) original: bool,
    /// Undo an import: at least the first eight characters of its id. What you changed or opened
    /// since stays. The price: what is burned can only come back from the file
    #[arg(long, value_name = "ID")]
    pub(crate) undo: Option<String>,
    /// Undo without asking
    #[arg(long, requires = "undo")]
    pub(crate) yes: bool,
    /// Seconds to wait for the relay when undoing [default: 20]
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "20", hide_default_value = true)]
    pub(crate) timeout: Duration,
}

/// What wrote a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ImportFormat {
    #[value(name = "dayone")]
    DayOne,
    Jrnl,
    Journey,
    Markdown,
    Ajar,
}

impl ImportFormat {
    /// The format of another program; `None` for our own archive, which holds more than entries.
    pub(crate) fn of_others(self) -> Option<Format> {
        match self {
            Self::DayOne => Some(Format::DayOne),
            Self::Jrnl => Some(Format::Jrnl),
            Self::Journey => Some(Format::Journey),
            Self::Markdown => Some(Format::Markdown),
            Self::Ajar => None,
        }
    }
}
