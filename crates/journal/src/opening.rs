//! Opening an entry to a partner: a copy in the shared space that holds what its stage shows.
//!
//! Nothing moves from the private space: the words are copied into a new document without their
//! history (`docs/protocol.md` §2.15). The copy knows no private id, time, tag or size.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use automerge::transaction::Transactable;
use automerge::{ROOT, ReadDoc};
use serde::{Deserialize, Serialize};

use crate::body::{self, Paragraph};
use crate::date;
use crate::entry::{Entry, begin, check_title, put_title};
use crate::error::{Error, Invalid, Unreadable};
use crate::photo::{self, MediaType, Photo, PhotoCopy};
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
    photos: Vec<Shown>,
    /// Set by [`Projection::with_copies`], one for each of `photos`.
    copies: Vec<Photo>,
}

/// What is shown of a photo before it is sealed anew.
#[derive(Clone, PartialEq, Eq)]
pub struct Shown {
    /// What it is.
    pub media: MediaType,
    /// Length in bytes.
    pub length: u64,
    /// Width and height in pixels.
    pub size: Option<(u32, u32)>,
    /// Kept byte for byte.
    pub original: bool,
}

impl Shown {
    fn of(photo: &Photo) -> Self {
        Self {
            media: photo.media,
            length: photo.content.length,
            size: photo.size,
            original: photo.original,
        }
    }
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

    /// The photos and files, in their order. Their names stay private.
    #[must_use]
    pub fn photos(&self) -> &[Shown] {
        &self.photos
    }

    /// Puts in the photos, sealed anew: `copies` has one for each photo of the `entry` that was
    /// projected, by its private id. Nothing that names the private ones gets through.
    ///
    /// # Errors
    /// [`Invalid::PhotosNotCopied`] when one is missing, or shares id, key or salt with anything
    /// in the entry.
    pub fn with_copies(
        mut self,
        entry: &Entry,
        copies: &BTreeMap<String, PhotoCopy>,
    ) -> Result<Self, Invalid> {
        let copies = photo::copies(entry, copies)?;
        if !copies.iter().map(Shown::of).eq(self.photos.iter().cloned()) {
            return Err(Invalid::PhotosNotCopied);
        }
        self.copies = copies;
        Ok(self)
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
    /// Photos and files, in their order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub photos: Vec<Photo>,
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

redacted_debug!(Projection, Shown, Opening, Edit);

/// Copies what `stage` shows: for `room` the title, the day, the text as it stands and the photos.
/// A pure function; nothing else of the entry gets through. Before the copy can be written, its
/// photos are sealed anew ([`Projection::with_copies`]).
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
            photos: entry.photos.iter().map(Shown::of).collect(),
            copies: Vec::new(),
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
         {}\
         Also the day you open it. Not your tags, not the time, not earlier versions.\n",
        projection.stage,
        displayable_line(projection.date()),
        displayable(projection.text()),
        preview_photos(projection.photos()),
    )
}

/// One line for each photo, and a word about those that may tell more than they show.
fn preview_photos(photos: &[Shown]) -> String {
    let mut lines = String::new();
    for (number, photo) in (1..).zip(photos) {
        let (media, bytes) = (photo.media.as_str(), photo.length);
        lines += &match photo.size {
            Some((width, height)) => {
                format!("Photo {number}: {media}, {width} x {height}, {bytes} bytes")
            }
            None => format!("File {number}: {media}, {bytes} bytes"),
        };
        lines += if photo.original {
            ", the original: it may say where, when and with what it was made\n"
        } else {
            "\n"
        };
    }
    if !lines.is_empty() {
        lines += "Not the names of the files.\n\n";
    }
    lines
}

/// Writes the copy into an empty document of the shared space, all keys in this one transaction.
/// `opened_on_day` is the day of opening; a time in it is left out.
///
/// # Errors
/// [`Error::Invalid`] if something is too long, a date does not exist or the document is not
/// empty; [`Invalid::PhotosNotCopied`] if photos were not sealed anew. Nothing is written then.
pub fn create<T: Transactable>(
    tx: &mut T,
    projection: &Projection,
    opened_on_day: &str,
) -> Result<(), Error> {
    check_title(projection.title())?;
    date::check(&projection.date)?;
    date::check(opened_on_day)?;
    body::check(&projection.text)?;
    if projection.copies.len() != projection.photos.len() {
        return Err(Invalid::PhotosNotCopied.into());
    }
    begin(tx, &Kind::Opening)?;
    tx.put(ROOT, schema::STAGE, projection.stage.as_str())?;
    if let Some(title) = projection.title() {
        tx.put(ROOT, schema::TITLE, title)?;
    }
    tx.put(ROOT, schema::DATE, projection.date())?;
    tx.put(ROOT, schema::OPENED_ON, date::day(opened_on_day))?;
    body::create(tx, &projection.text)?;
    photo::add(tx, &projection.copies, 0)
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
        photos: photo::read(&view)?,
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
