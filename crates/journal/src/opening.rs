//! Opening an entry to a partner: a copy in the shared space that holds what its stage shows.
//!
//! Nothing moves from the private space: the words are copied into a new document without their
//! history (`docs/protocol.md` §2.15). The copy knows no private id, time, tag or size.

use std::fmt;
use std::str::FromStr;

use automerge::transaction::Transactable;
use automerge::{ROOT, ReadDoc};
use serde::{Deserialize, Serialize};

use crate::body::{self, Paragraph};
use crate::date;
use crate::entry::{Entry, begin, check_title, put_title};
use crate::error::{Error, Unreadable};
use crate::read::View;
use crate::redacted_debug;
use crate::schema::{self, Kind};
use crate::text::{displayable, displayable_line};

/// How far an entry is opened. Later stages show more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// Only that there is something.
    Knock,
    /// The feeling, without its story.
    Weather,
    /// The short of it.
    Gist,
    /// The text itself.
    Room,
}

impl Stage {
    /// The word for it, in commands and documents.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Knock => "knock",
            Self::Weather => "weather",
            Self::Gist => "gist",
            Self::Room => "room",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Stage {
    type Err = NoSuchStage;

    fn from_str(word: &str) -> Result<Self, NoSuchStage> {
        let stages = [Self::Knock, Self::Weather, Self::Gist, Self::Room];
        stages
            .into_iter()
            .find(|stage| stage.as_str() == word)
            .ok_or(NoSuchStage)
    }
}

/// The word names no stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no such stage; choose knock, weather, gist or room")]
pub struct NoSuchStage;

/// A stage this version cannot make a copy for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this version opens entries only as room, not as {0}; nothing was shown to anyone")]
pub struct NotYet(pub Stage);

/// Exactly what the partner gets. Only [`project`] makes one.
#[derive(Clone, PartialEq, Eq)]
pub struct Projection {
    stage: Stage,
    title: Option<String>,
    date: String,
    text: String,
}

impl Projection {
    /// The stage it shows.
    #[must_use]
    pub fn stage(&self) -> Stage {
        self.stage
    }

    /// The title, if the entry has one.
    #[must_use]
    pub fn title(&self) -> Option<&str> {
        self.title.as_deref()
    }

    /// The day the entry is about, without a time.
    #[must_use]
    pub fn date(&self) -> &str {
        &self.date
    }

    /// The text as it stands, without earlier or other versions.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// An opening as both partners read it.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct Opening {
    /// The stage its author opened it to.
    pub stage: Stage,
    /// The title, if it has one.
    pub title: Option<String>,
    /// Titles the author's devices gave at the same time.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub title_others: Vec<String>,
    /// The day it is about.
    pub date: String,
    /// The text; [`Opening::text`] joins it.
    pub paragraphs: Vec<Paragraph>,
    /// The day it was opened.
    pub opened_on: String,
}

impl Opening {
    /// The text: paragraphs joined with line breaks.
    #[must_use]
    pub fn text(&self) -> String {
        body::joined(&self.paragraphs)
    }
}

/// What the author saved in the shared copy. `None` leaves a field as it is.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Edit {
    /// A new title, or `Some(None)` to take it away.
    pub title: Option<Option<String>>,
    /// A new date; only its day is shared.
    pub date: Option<String>,
    /// The whole new text.
    pub text: Option<String>,
    /// What the author had in front of them, as in [`crate::entry::Edit::seen`].
    pub seen: Option<Vec<Paragraph>>,
}

redacted_debug!(Projection, Opening, Edit);

/// Copies what `stage` shows: for `room` the title, the day and the text as it stands. A pure
/// function; nothing else of the entry gets through.
///
/// # Errors
/// [`NotYet`] for the stages this version cannot make.
pub fn project(entry: &Entry, stage: Stage) -> Result<Projection, NotYet> {
    match stage {
        Stage::Room => Ok(Projection {
            stage,
            title: entry.title.clone(),
            date: date::day(&entry.date).to_owned(),
            text: entry.text(),
        }),
        Stage::Knock | Stage::Weather | Stage::Gist => Err(NotYet(stage)),
    }
}

/// What the partner would get, in words, safe to print on a terminal.
#[must_use]
pub fn preview(projection: &Projection) -> String {
    let title = match projection.title() {
        Some(title) => format!("Title: {}", displayable_line(title)),
        None => "No title.".to_owned(),
    };
    format!(
        "Opened as {}. Your partner gets a copy of exactly this:\n\
         {title}\n\
         Day: {}\n\
         Text:\n\n\
         {}\n\n\
         Also the day you open it. Not your tags, not the time, not earlier versions.\n",
        projection.stage,
        displayable_line(projection.date()),
        displayable(projection.text()),
    )
}

/// Writes the copy into an empty document of the shared space, all keys in this one transaction.
/// `opened_on_day` is the day of opening; a time in it is left out.
///
/// # Errors
/// [`Error::Invalid`] if something is too long, a date does not exist or the document is not
/// empty; nothing is written then.
pub fn create<T: Transactable>(
    tx: &mut T,
    projection: &Projection,
    opened_on_day: &str,
) -> Result<(), Error> {
    check_title(projection.title())?;
    date::check(&projection.date)?;
    date::check(opened_on_day)?;
    body::check(&projection.text)?;
    begin(tx, &Kind::Opening)?;
    tx.put(ROOT, schema::STAGE, projection.stage.as_str())?;
    if let Some(title) = projection.title() {
        tx.put(ROOT, schema::TITLE, title)?;
    }
    tx.put(ROOT, schema::DATE, projection.date())?;
    tx.put(ROOT, schema::OPENED_ON, date::day(opened_on_day))?;
    body::create(tx, &projection.text)?;
    Ok(())
}

/// Reads an opening.
///
/// # Errors
/// [`Unreadable`] if the document is of another kind or something in it does not hold.
pub fn read<D: ReadDoc>(doc: &D) -> Result<Opening, Unreadable> {
    let view = View::now(doc);
    view.expect_kind(Kind::Opening)?;
    let stage = view.str(&ROOT, schema::STAGE, schema::WORD_CHARS_MAX)?;
    let (title, title_others) = view.titles()?;
    Ok(Opening {
        stage: stage
            .parse()
            .map_err(|_| Unreadable::BadValue(schema::STAGE))?,
        title,
        title_others,
        date: view.date(schema::DATE)?,
        paragraphs: view.paragraphs()?,
        opened_on: view.date(schema::OPENED_ON)?,
    })
}

/// Saves the author's later changes of the shared copy. No time of saving is written: it would
/// tell when the author sat down. Returns whether anything changed.
///
/// # Errors
/// [`Error::Invalid`] or [`Error::Unreadable`]; nothing is written then.
pub fn edit<T: Transactable>(tx: &mut T, edit: &Edit) -> Result<bool, Error> {
    let now = read(tx)?;
    if let Some(title) = &edit.title {
        check_title(title.as_deref())?;
    }
    if let Some(date) = &edit.date {
        date::check(date)?;
    }
    let mut changed = match &edit.text {
        Some(text) => body::edit(tx, edit.seen.as_deref(), text)?,
        None => false,
    };
    if let Some(title) = &edit.title {
        changed |= put_title(
            tx,
            title.as_deref(),
            now.title.as_deref(),
            &now.title_others,
        )?;
    }
    if let Some(day) = edit
        .date
        .as_deref()
        .map(date::day)
        .filter(|day| *day != now.date)
    {
        tx.put(ROOT, schema::DATE, day)?;
        changed = true;
    }
    Ok(changed)
}
