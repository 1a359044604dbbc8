//! Plots for looking back: for oneself, and a few for both.
//!
//! Each takes what its caller collected and gives a [`Plot`]: a picture, the finding in one
//! sentence, the same data as a table, and how it was made. The same data give the same bytes on
//! every machine, in whatever order they come; nothing here reads a document or a clock.
//!
//! What may be fed in is part of each input's description, and it matters. **Own data only** means
//! records of this person's own space, for a plot that nobody else sees. **Shared points only**
//! means what both have chosen to show. Nothing the other kept may come near either.
//!
//! What a plot never does: sum a person up in one figure, compare the two, foretell anything, or
//! draw through days nobody wrote about. Below [`SHOWN_FROM`] there is no plot, and below
//! [`MIDDLE_FROM`] no word about a middle or a direction.

mod arrows;
mod contour;
mod exact;
mod period;
mod plane;
mod ribbon;
mod svg;

pub mod bodily;
pub mod garden;
pub mod helped;
pub mod joys;
pub mod map;
pub mod moved;
pub mod opened;
pub mod places;
pub mod readings;
pub mod responses;
pub mod weather;

pub use period::Period;
pub use svg::dark_style;

use crate::date;
use crate::point::Point;
use crate::redacted_debug;
use crate::text::displayable_line;

/// Fewest records of which anything is drawn.
pub const SHOWN_FROM: usize = 4;
/// Fewest records of which a middle, a direction or a stay is told.
pub const MIDDLE_FROM: usize = 8;
/// Days between two records from which on the time between them stays blank.
pub const GAP_DAYS: i64 = 3;
/// Most rows of a table. Of more, the last ones stay.
pub const TABLE_ROWS_MAX: usize = 1000;
/// Under plots of two things side by side.
pub const NOT_A_CAUSE: &str = "Two things that happened in the same weeks; not a cause.";

/// Most characters of somebody's own word in a picture.
const LABEL_CHARS_MAX: usize = 20;

/// A plot, or why there is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Insight {
    /// Something to look at.
    Plot(Box<Plot>),
    /// Not enough yet.
    TooFew(TooFew),
}

/// There are not enough records for a plot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooFew {
    /// What the plot is called in addresses and ids.
    pub name: &'static str,
    /// The question it answers.
    pub title: &'static str,
    /// How many records there are.
    pub n: usize,
    /// How many are needed.
    pub needed: usize,
}

/// A picture with its words. It holds what a person wrote, so `Debug` shows nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Plot {
    /// What it is called in addresses and ids: `which-words`.
    pub name: &'static str,
    /// The question it answers.
    pub title: &'static str,
    /// The picture: well-formed SVG on its own ground, without scripts or anything from elsewhere.
    /// Readable in light as it is; a page may put [`dark_style`] into its style sheet.
    pub svg: String,
    /// The finding, in one sentence or two.
    pub summary: String,
    /// What must stand under it, if anything.
    pub caption: Option<&'static str>,
    /// The days it looks at.
    pub period: Period,
    /// How many records it is made of.
    pub n: usize,
    /// The same data to read.
    pub table: Table,
    /// How it is made, in plain words.
    pub how: &'static str,
}

/// The table beside a plot. Cells are safe to show, and not escaped for any markup.
#[derive(Clone, PartialEq, Eq)]
pub struct Table {
    /// What the columns are.
    pub headers: Vec<&'static str>,
    /// As many cells in each row as there are columns.
    pub rows: Vec<Vec<String>>,
    /// How many earlier rows were left out ([`TABLE_ROWS_MAX`]).
    pub left_out: usize,
}

redacted_debug!(Plot, Table, Felt);

impl Table {
    /// A table of these rows, or of the last of them.
    fn new(headers: Vec<&'static str>, mut rows: Vec<Vec<String>>) -> Self {
        let left_out = rows.len().saturating_sub(TABLE_ROWS_MAX);
        rows.drain(..left_out);
        Self {
            headers,
            rows,
            left_out,
        }
    }
}

/// A feeling somebody noted. **Own data only.**
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Felt {
    /// When, as in [`crate::date`], with or without a time.
    pub day: String,
    /// Where on the grid.
    pub point: Point,
    /// Ids of the words chosen ([`crate::words`]).
    pub words: Vec<String>,
}

/// The records of a period in the order of time. Those without a day of the calendar are left out.
fn within<'a, T: Ord>(records: &'a [T], period: &Period, day: fn(&T) -> &str) -> Vec<&'a T> {
    let mut held: Vec<_> = records
        .iter()
        .filter_map(|record| Some((date::moment(day(record))?, record)))
        .filter(|(_, record)| period.holds(day(record)))
        .collect();
    held.sort();
    held.into_iter().map(|(_, record)| record).collect()
}

/// Somebody's own words as a label: one line, safe to show, not too long.
fn label(text: &str) -> String {
    let line = displayable_line(text.trim());
    if line.chars().nth(LABEL_CHARS_MAX).is_none() {
        return line;
    }
    let kept: String = line.chars().take(LABEL_CHARS_MAX - 1).collect();
    format!("{}…", kept.trim_end())
}

/// `one`, `one and two`, `one, two and three`.
fn listed<S: AsRef<str>>(parts: &[S]) -> String {
    let parts: Vec<&str> = parts.iter().map(AsRef::as_ref).collect();
    match parts.split_last() {
        None => String::new(),
        Some((only, [])) => (*only).to_owned(),
        Some((last, before)) => format!("{} and {last}", before.join(", ")),
    }
}

/// `text` with a capital letter in front.
fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(|c| c.to_uppercase().collect::<String>());
    first.unwrap_or_default() + chars.as_str()
}

/// How pleasant and how lively, each in words.
fn both_in_words(point: Point) -> (String, String) {
    let words = point.in_words();
    match words.split_once(", ") {
        Some((pleasant, lively)) => (pleasant.to_owned(), lively.to_owned()),
        None => (words, String::new()),
    }
}

/// `one moment`, `12 moments`.
fn counted(n: usize, one: &str, many: &str) -> String {
    match n {
        1 => format!("one {one}"),
        _ => format!("{n} {many}"),
    }
}

#[cfg(test)]
mod tests;
