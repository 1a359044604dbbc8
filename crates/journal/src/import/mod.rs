//! Reading what other journals export: Day One, jrnl, Journey and Markdown.
//!
//! A reader takes named files ([`Members`]: a zip, a folder, one file) and gives neutral
//! [`Imported`] entries, and says of everything that it left out what it was and why. It writes
//! nothing, follows no link and trusts no length. One bad entry never stops the others.
//!
//! Reports name entries by their number and day, never by their words.

mod archive;
mod dayone;
mod front;
mod html;
mod journey;
mod jrnl;
mod json;
mod mark;
mod markdown;
mod members;
mod moment;
mod pictures;
mod reading;
mod recognise;

pub use archive::Archive;
pub(crate) use mark::read as read_mark;
pub use mark::{Imprint, Mark, imprint_of, is_untouched, put};
pub use members::{Member, Members, OneFile, Unfit, safe_name};
pub use reading::{Imported, MediaRef, Reading, Skipped};
pub use recognise::recognise;

/// Most files of one source. A diary of ten years with a photo every day has ten thousand.
pub const MEMBERS_MAX: usize = 200_000;
/// Most entries of one source: a space holds so many documents.
pub const ENTRIES_MAX: usize = 100_000;
/// Largest file with entries in it, in bytes.
pub const TEXT_FILE_BYTES_MAX: u64 = 256 << 20;
/// Most text of all entries together, in bytes.
pub const TEXT_TOTAL_MAX: usize = 256 << 20;
/// Most things left out that are told one by one; the others are counted.
pub const SKIPPED_MAX: usize = 10_000;
/// Most photos and files of one entry that are looked at.
pub const MEDIA_MAX: usize = 1000;

/// What wrote the source.
// Ajar's own archive holds more than entries, and has a reader of its own (`crate::import_ajar`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// The zip of Day One, with one JSON for each journal.
    DayOne,
    /// The JSON or the text of jrnl.
    Jrnl,
    /// The zip of Journey, with one JSON for each entry.
    Journey,
    /// A folder or a zip of Markdown files.
    Markdown,
}

/// All of them.
pub const FORMATS: [Format; 4] = [
    Format::DayOne,
    Format::Jrnl,
    Format::Journey,
    Format::Markdown,
];

impl Format {
    /// The word for commands and for the mark of an entry.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::DayOne => "dayone",
            Self::Jrnl => "jrnl",
            Self::Journey => "journey",
            Self::Markdown => "markdown",
        }
    }

    /// The name for people.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::DayOne => "Day One",
            Self::Jrnl => "jrnl",
            Self::Journey => "Journey",
            Self::Markdown => "Markdown",
        }
    }
}

/// Why nothing at all can be read from a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It says that it is a zip, and cannot be opened as one.
    #[error("it is a damaged zip file, or not all of it is there")]
    BadArchive,
    /// More than [`MEMBERS_MAX`] files.
    #[error("it has more than {MEMBERS_MAX} files in it")]
    TooManyMembers,
    /// No format is recognised.
    #[error("it is not clear what wrote it")]
    Unclear,
    /// The one file it is about cannot be read.
    #[error("{0}")]
    Unfit(#[from] Unfit),
}

/// The local day and time (`2026-07-01T21:30`) at a moment, in milliseconds since 1970, in a time
/// zone called by its IANA name; `None` when there is no such zone or time. This crate knows no
/// time zones, so whoever calls it says.
pub type LocalTime<'a> = dyn Fn(i64, &str) -> Option<String> + 'a;

/// Reads everything that a source of this format holds.
///
/// # Errors
/// [`Refused`] when nothing at all can be read; what is wrong with parts of it stands in the
/// [`Reading`].
pub fn read(
    members: &mut dyn Members,
    format: Format,
    local: &LocalTime<'_>,
) -> Result<Reading, Refused> {
    let mut into = Reading::new(format);
    for left_out in members.left_out() {
        into.skip(&left_out.what, &left_out.why);
    }
    match format {
        Format::DayOne => dayone::read(members, local, &mut into)?,
        Format::Jrnl => jrnl::read(members, &mut into)?,
        Format::Journey => journey::read(members, local, &mut into),
        Format::Markdown => markdown::read(members, &mut into),
    }
    into.conclude();
    Ok(into)
}
