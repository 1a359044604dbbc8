//! A private entry: one document in the author's own space, seen by nobody else.

use std::collections::HashSet;

use automerge::transaction::Transactable;
use automerge::{AutomergeError, ObjType, ROOT, ReadDoc, ScalarValue, Value};
use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization;

use crate::body::{self, Paragraph};
use crate::error::{Error, Invalid, Unreadable};
use crate::layers::{Layers, words};
use crate::opening::Stage;
use crate::photo::{self, Photo};
use crate::read::{View, bounded, wrong};
use crate::schema::{self, Kind};
use crate::{date, import, layered, redacted_debug};

/// What a person hands in to keep.
#[derive(Clone, PartialEq, Eq)]
pub struct NewEntry {
    /// One line of at most [`schema::TITLE_CHARS_MAX`] characters.
    pub title: Option<String>,
    /// The day (and time) it is about, as in [`crate::date`].
    pub date: String,
    /// Any text of at most [`schema::TEXT_BYTES_MAX`] bytes and [`schema::PARAGRAPHS_MAX`] lines.
    pub text: String,
    /// At most [`schema::TAGS_MAX`] tags.
    pub tags: Vec<String>,
    /// Now, in milliseconds since 1970 (UTC).
    pub created_at_ms: i64,
}

/// A private entry as it stands.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// The title, if it has one.
    pub title: Option<String>,
    /// Titles other devices gave at the same time; a new title settles it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub title_others: Vec<String>,
    /// The day (and time) it is about.
    pub date: String,
    /// The text; [`Entry::text`] joins it.
    pub paragraphs: Vec<Paragraph>,
    /// Tags, in code point order.
    pub tags: Vec<String>,
    /// When it was created, milliseconds since 1970 (UTC).
    pub created_at_ms: i64,
    /// When it was last saved, milliseconds since 1970 (UTC).
    pub saved_at_ms: i64,
    /// Photos and files, in their order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub photos: Vec<Photo>,
    /// Body, feeling, thought, echo and want.
    #[serde(skip_serializing_if = "Layers::is_empty")]
    pub layers: Layers,
    /// What it is.
    pub sort: Sort,
    /// One to come back to.
    pub starred: bool,
    /// It is not to come back by itself.
    pub let_rest: bool,
    /// Where copies of it were opened, in order of id.
    pub openings: Vec<OpenedAs>,
    /// Where it came from, if it was imported.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub imported: Option<Box<import::Mark>>,
}

words! {
    /// What an entry is to the person who wrote it.
    Sort, "kind of entry" {
        /// A note.
        Note = "note",
        /// A feeling.
        Feeling = "feeling",
        /// A joy.
        Joy = "joy",
        /// Something one is grateful for.
        Gratitude = "gratitude",
        /// An apology.
        Apology = "apology",
        /// About mending something.
        Repair = "repair",
    }
}

words! {
    /// What the author wants of an opening from here on. It stays in the private space: nobody can
    /// tell “stopped” from “not yet”.
    Intent, "intent" {
        /// It stays as it is, for as long as the author likes.
        Hold = "hold",
        /// No more of it is opened.
        Close = "close",
    }
}

impl Entry {
    /// The text: paragraphs joined with line breaks.
    #[must_use]
    pub fn text(&self) -> String {
        body::joined(&self.paragraphs)
    }

    /// Whether devices wrote different things at the same time and nobody has chosen yet.
    #[must_use]
    pub fn has_versions(&self) -> bool {
        !self.title_others.is_empty() || self.paragraphs.iter().any(|p| !p.others.is_empty())
    }
}

/// The entry's own note of a copy in the shared space. The copy never points back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenedAs {
    /// Id of the opening's document: 32 lowercase hexadecimal digits.
    pub opening_id: String,
    /// The stage it was opened to.
    pub stage: Stage,
    /// When, milliseconds since 1970 (UTC).
    pub at_ms: i64,
    /// What its author wants of it from here on.
    #[serde(default = "hold")]
    pub intent: Intent,
}

fn hold() -> Intent {
    Intent::Hold
}

/// What a person saved. `None` leaves a field as it is.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Edit {
    /// A new title, or `Some(None)` to take it away.
    pub title: Option<Option<String>>,
    /// A new date.
    pub date: Option<String>,
    /// The whole new text.
    pub text: Option<String>,
    /// The paragraphs the person had in front of them when they began to change the text, exactly
    /// as [`read`] gave them; `None` means what the document holds now. With it, what another
    /// device saved in the meantime stays instead of being undone.
    pub seen: Option<Vec<Paragraph>>,
    /// All tags it should have.
    pub tags: Option<Vec<String>>,
    /// Now, in milliseconds since 1970 (UTC).
    pub saved_at_ms: i64,
}

redacted_debug!(NewEntry, Entry, Edit);

/// Writes a new entry into an empty document, all keys in this one transaction.
///
/// # Errors
/// [`Error::Invalid`] if something is too long, the date does not exist or the document is not
/// empty; nothing is written then.
pub fn create<T: Transactable>(tx: &mut T, new: &NewEntry) -> Result<(), Error> {
    check_title(new.title.as_deref())?;
    date::check(&new.date)?;
    body::check(&new.text)?;
    let tags = check_tags(&new.tags)?;
    begin(tx, &Kind::Entry)?;
    if let Some(title) = &new.title {
        tx.put(ROOT, schema::TITLE, title.as_str())?;
    }
    tx.put(ROOT, schema::DATE, new.date.as_str())?;
    tx.put(ROOT, schema::CREATED_AT, new.created_at_ms)?;
    tx.put(ROOT, schema::SAVED_AT, new.created_at_ms)?;
    body::create(tx, &new.text)?;
    let map = tx.put_object(ROOT, schema::TAGS, ObjType::Map)?;
    for tag in tags {
        tx.put(&map, tag, true)?;
    }
    tx.put_object(ROOT, schema::OPENINGS, ObjType::Map)?;
    Ok(())
}

/// Reads an entry.
///
/// # Errors
/// [`Unreadable`] if the document is of another kind or something in it does not hold.
pub fn read<D: ReadDoc>(doc: &D) -> Result<Entry, Unreadable> {
    let view = View::now(doc);
    view.expect_kind(Kind::Entry)?;
    let (title, title_others) = view.titles()?;
    Ok(Entry {
        title,
        title_others,
        date: view.date(schema::DATE)?,
        paragraphs: view.paragraphs()?,
        tags: read_tags(&view)?,
        created_at_ms: view.int(&ROOT, schema::CREATED_AT)?,
        saved_at_ms: view.int(&ROOT, schema::SAVED_AT)?,
        photos: photo::read(&view)?,
        layers: layered::read(doc)?,
        sort: read_sort(&view)?,
        starred: view.flag(schema::STARRED)?,
        let_rest: view.flag(schema::LET_REST)?,
        openings: read_openings(&view)?,
        imported: import::read_mark(&view).map(Box::new),
    })
}

/// Saves the layers as they should be; what is as it was is not written. Returns whether anything
/// was.
///
/// # Errors
/// [`Error::Invalid`] or [`Error::Unreadable`]; nothing is written then.
pub fn set_layers<T: Transactable>(
    tx: &mut T,
    layers: &Layers,
    saved_at_ms: i64,
) -> Result<bool, Error> {
    View::now(tx).expect_kind(Kind::Entry)?;
    let changed = layered::write(tx, layers)?;
    if changed {
        tx.put(ROOT, schema::SAVED_AT, saved_at_ms)?;
    }
    Ok(changed)
}

/// Marks an entry as what it is, as one to come back to, or as one that rests. `None` leaves a mark
/// as it is. Returns whether anything changed.
///
/// # Errors
/// [`Error::Unreadable`] if this is no entry.
pub fn mark<T: Transactable>(
    tx: &mut T,
    sort: Option<Sort>,
    starred: Option<bool>,
    let_rest: Option<bool>,
) -> Result<bool, Error> {
    let now = read(tx)?;
    let mut changed = false;
    if let Some(sort) = sort.filter(|sort| *sort != now.sort) {
        tx.put(ROOT, schema::SORT, sort.as_str())?;
        changed = true;
    }
    let flags = [
        (schema::STARRED, starred, now.starred),
        (schema::LET_REST, let_rest, now.let_rest),
    ];
    for (key, wanted, is) in flags {
        if let Some(wanted) = wanted.filter(|wanted| *wanted != is) {
            tx.put(ROOT, key, wanted)?;
            changed = true;
        }
    }
    Ok(changed)
}

fn read_sort<D: ReadDoc>(view: &View<'_, D>) -> Result<Sort, Unreadable> {
    let word = view.word(schema::SORT)?;
    // A word of a newer version is a note here, and stays as it is.
    Ok(word
        .and_then(|word| word.parse().ok())
        .unwrap_or(Sort::Note))
}

/// Saves what changed and nothing else. Returns whether anything did; a save that changes nothing
/// writes nothing.
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
    let tags = edit.tags.as_deref().map(check_tags).transpose()?;

    // The text first: it is the one part that may still refuse.
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
    if let Some(date) = edit.date.as_deref().filter(|date| *date != now.date) {
        tx.put(ROOT, schema::DATE, date)?;
        changed = true;
    }
    if let Some(tags) = tags {
        changed |= edit_tags(tx, &now.tags, &tags)?;
    }
    if changed {
        tx.put(ROOT, schema::SAVED_AT, edit.saved_at_ms)?;
    }
    Ok(changed)
}

/// Notes in the private entry that a copy was opened (or opened further). This is not a saved edit.
///
/// # Errors
/// [`Error::Invalid`] if the id is not 32 lowercase hexadecimal digits; [`Error::Unreadable`] if
/// this is no entry.
pub fn note_opening<T: Transactable>(
    tx: &mut T,
    opening_id: &str,
    stage: Stage,
    at_ms: i64,
) -> Result<(), Error> {
    if !is_opening_id(opening_id) {
        return Err(Invalid::BadOpeningId.into());
    }
    let (map, known) = {
        let view = View::now(tx);
        view.expect_kind(Kind::Entry)?;
        let map = view.object(schema::OPENINGS, ObjType::Map)?;
        let known = match &map {
            Some(map) => view.get(map, opening_id)?,
            None => None,
        };
        let known = match known {
            Some((Value::Object(ObjType::Map), id)) => Some(id),
            _ => None,
        };
        (map, known)
    };
    let map = match map {
        Some(map) => map,
        None => tx.put_object(ROOT, schema::OPENINGS, ObjType::Map)?,
    };
    let item = match known {
        Some(item) => item,
        None => tx.put_object(&map, opening_id, ObjType::Map)?,
    };
    tx.put(&item, schema::STAGE, stage.as_str())?;
    tx.put(&item, schema::AT, at_ms)?;
    // Whoever opens it further has thought better of closing it.
    if View::now(tx).scalar(&item, schema::INTENT)?.is_some() {
        tx.delete(&item, schema::INTENT)?;
    }
    Ok(())
}

/// Notes what the author wants of an opening from here on.
///
/// # Errors
/// [`Error::Invalid`] if the entry knows of no such opening; [`Error::Unreadable`] if this is no
/// entry.
pub fn note_intent<T: Transactable>(
    tx: &mut T,
    opening_id: &str,
    intent: Intent,
) -> Result<(), Error> {
    let item = {
        let view = View::now(tx);
        view.expect_kind(Kind::Entry)?;
        let map = view.object(schema::OPENINGS, ObjType::Map)?;
        let item = map.map(|map| view.get(&map, opening_id)).transpose()?;
        match item.flatten() {
            Some((Value::Object(ObjType::Map), item)) => item,
            _ => return Err(Invalid::BadOpeningId.into()),
        }
    };
    tx.put(&item, schema::INTENT, intent.as_str())?;
    Ok(())
}

/// Forgets an opening that was taken back. Returns whether it was known.
///
/// # Errors
/// [`Error::Unreadable`] if this is no entry.
pub fn forget_opening<T: Transactable>(tx: &mut T, opening_id: &str) -> Result<bool, Error> {
    let map = {
        let view = View::now(tx);
        view.expect_kind(Kind::Entry)?;
        match view.object(schema::OPENINGS, ObjType::Map)? {
            Some(map) if view.get(&map, opening_id)?.is_some() => map,
            _ => return Ok(false),
        }
    };
    tx.delete(&map, opening_id)?;
    Ok(true)
}

/// Writes what every record starts with, into an empty document only: a second root would make
/// two devices' halves overwrite each other.
pub(crate) fn begin<T: Transactable>(tx: &mut T, kind: &Kind) -> Result<(), Error> {
    if tx.keys(ROOT).next().is_some() {
        return Err(Invalid::DocumentNotEmpty.into());
    }
    tx.put(ROOT, schema::SCHEMA, schema::SCHEMA_VERSION)?;
    tx.put(ROOT, schema::KIND, kind.as_str())?;
    Ok(())
}

pub(crate) fn check_title(title: Option<&str>) -> Result<(), Invalid> {
    let Some(title) = title else { return Ok(()) };
    if title.chars().nth(schema::TITLE_CHARS_MAX).is_some() {
        return Err(Invalid::TitleTooLong);
    }
    if title.chars().any(char::is_control) {
        return Err(Invalid::TitleNotOneLine);
    }
    Ok(())
}

/// Writes a title that differs, or that settles several; returns whether it did.
pub(crate) fn put_title<T: Transactable>(
    tx: &mut T,
    title: Option<&str>,
    now: Option<&str>,
    others: &[String],
) -> Result<bool, AutomergeError> {
    if title == now && others.is_empty() {
        return Ok(false);
    }
    match title {
        Some(title) => tx.put(ROOT, schema::TITLE, title)?,
        None => tx.delete(ROOT, schema::TITLE)?,
    }
    Ok(true)
}

/// Checks tags and leaves out those that differ from an earlier one only in how they are encoded.
fn check_tags(tags: &[String]) -> Result<Vec<&str>, Invalid> {
    let mut seen = HashSet::new();
    let mut kept = Vec::new();
    for tag in tags {
        let long = tag.chars().nth(schema::TAG_CHARS_MAX).is_some();
        if tag.trim().is_empty() || long || tag.chars().any(char::is_control) {
            return Err(Invalid::BadTag);
        }
        if seen.insert(tag.nfc().collect::<String>()) {
            kept.push(tag.as_str());
        }
    }
    if kept.len() > schema::TAGS_MAX {
        Err(Invalid::TooManyTags)
    } else {
        Ok(kept)
    }
}

fn edit_tags<T: Transactable>(tx: &mut T, now: &[String], wanted: &[&str]) -> Result<bool, Error> {
    let map = View::now(tx).object(schema::TAGS, ObjType::Map)?;
    let map = match map {
        Some(map) => map,
        None if wanted.is_empty() => return Ok(false),
        None => tx.put_object(ROOT, schema::TAGS, ObjType::Map)?,
    };
    let mut changed = false;
    for gone in now.iter().filter(|tag| !wanted.contains(&tag.as_str())) {
        tx.delete(&map, gone.as_str())?;
        changed = true;
    }
    for tag in wanted
        .iter()
        .filter(|tag| !now.iter().any(|known| known == *tag))
    {
        tx.put(&map, *tag, true)?;
        changed = true;
    }
    Ok(changed)
}

fn read_tags<D: ReadDoc>(view: &View<'_, D>) -> Result<Vec<String>, Unreadable> {
    let key = schema::TAGS;
    let mut tags = Vec::new();
    for (tag, value, _) in view.map_items(key, schema::MERGED_TAGS_MAX)? {
        match value {
            Value::Scalar(value) if matches!(value.as_ref(), ScalarValue::Boolean(true)) => {}
            _ => return Err(wrong(key, "a map of tags")),
        }
        tags.push(bounded(key, &tag, schema::TAG_CHARS_MAX)?);
    }
    tags.sort_unstable();
    Ok(tags)
}

fn read_openings<D: ReadDoc>(view: &View<'_, D>) -> Result<Vec<OpenedAs>, Unreadable> {
    let key = schema::OPENINGS;
    let mut openings = Vec::new();
    for (opening_id, value, item) in view.map_items(key, schema::OPENINGS_MAX)? {
        if !is_opening_id(&opening_id) {
            return Err(Unreadable::BadValue(key));
        }
        if value != Value::Object(ObjType::Map) {
            return Err(wrong(key, "a map of openings"));
        }
        let stage = view.str(&item, schema::STAGE, schema::WORD_CHARS_MAX)?;
        let stage = stage
            .parse()
            .map_err(|_| Unreadable::BadValue(schema::STAGE))?;
        let at_ms = view.int(&item, schema::AT)?;
        let intent = match view.scalar(&item, schema::INTENT)? {
            Some(ScalarValue::Str(word)) => word.parse().unwrap_or(Intent::Hold),
            _ => Intent::Hold,
        };
        openings.push(OpenedAs {
            opening_id,
            stage,
            at_ms,
            intent,
        });
    }
    openings.sort_unstable_by(|a, b| a.opening_id.cmp(&b.opening_id));
    Ok(openings)
}

fn is_opening_id(id: &str) -> bool {
    id.len() == 32 && id.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}
