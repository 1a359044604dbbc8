//! The journal on its way out: everything as data, and the same to be read.
//!
//! [`take`] reads a document, [`settle`] gives what came out of an archive the ids it had there,
//! and [`archive::Writer`] writes the archive (`docs/export-format.md`). [`dayone`] and [`jrnl`]
//! write what other programs read. Nothing here knows where a photo's bytes are: they are handed
//! in.

pub mod archive;
pub mod dayone;
pub mod jrnl;
pub(crate) mod manifest;
mod markdown;
mod page;
mod reading;

use std::collections::{BTreeMap, BTreeSet};

use automerge::ReadDoc;
use serde::Serialize;
use serde_json::{Value, json};

use crate::entry::{self, Entry};
use crate::error::Unreadable;
use crate::imported::{Imported, Origin};
use crate::layered;
use crate::letters;
use crate::opening::{self, Opening};
use crate::photo::Photo;
use crate::records::{self, Facts};
use crate::redacted_debug;
use crate::schema::{self, Kind};
use crate::tree::{self, Fields};

pub use manifest::Scope;

/// What `data.json` and `manifest.json` say that they are.
pub const FORMAT: &str = "ajar-journal";
/// Version of the layout of an archive and its `data.json`.
pub const VERSION: u64 = 1;
/// Key of a photo in `data.json`: its file in the archive.
pub(crate) const FILE: &str = "file";
/// Kinds of documents that devices write about themselves. They are no part of a journal.
const MACHINE_KINDS: [&str; 3] = ["device", "home", "relay"];

/// Whether a document of this kind is about devices, and not written by a person.
pub(crate) fn is_of_machines(kind: &Kind) -> bool {
    MACHINE_KINDS.contains(&kind.as_str())
}

/// What a record is, for those who read it.
#[derive(Clone, PartialEq, Eq)]
pub enum Shown {
    /// An entry.
    Entry(Entry),
    /// An opening.
    Opening(Opening),
    /// One of the smaller records.
    Small(Facts),
    /// Nothing that this version can show.
    Other,
}

/// A document as it was read.
#[derive(Clone, PartialEq, Eq)]
pub struct Taken {
    kind: Kind,
    fields: Fields,
    shown: Shown,
}

impl Taken {
    /// What kind of record it is.
    #[must_use]
    pub fn kind(&self) -> &Kind {
        &self.kind
    }

    /// Whether it is a letter that is still closed to whoever takes it along. `today` is their
    /// day.
    #[must_use]
    pub fn is_closed(&self, by_me: bool, today: &str) -> bool {
        self.kind == Kind::Letter
            && letters::close(&self.kind, &mut self.fields.clone(), by_me, today)
    }
}

#[cfg(test)]
impl Taken {
    pub(crate) fn fields(&self) -> &Fields {
        &self.fields
    }
}

/// Reads all that a document holds; `None` for what only devices need. Keys of photos and where
/// they lie stay behind.
///
/// # Errors
/// [`Unreadable`] if it is no record, or larger than any.
pub fn take<D: ReadDoc>(doc: &D) -> Result<Option<Taken>, Unreadable> {
    let kind = schema::kind_of(doc)?;
    if is_of_machines(&kind) {
        return Ok(None);
    }
    let shown = match &kind {
        Kind::Entry => entry::read(doc).map(Shown::Entry),
        Kind::Opening => opening::read(doc).map(Shown::Opening),
        kind => records::facts(doc, kind).map(|facts| facts.map_or(Shown::Other, Shown::Small)),
    };
    // What does not hold is still written down as data.
    let shown = shown.unwrap_or(Shown::Other);
    let mut fields = match &shown {
        // As its devices settled it: a no that held goes out as one.
        Shown::Small(facts) => facts.fields.clone(),
        _ => tree::read(doc)?,
    };
    if let Shown::Entry(_) | Shown::Opening(_) = shown
        && let Some(held) = layered::held(doc)?
    {
        fields.insert(schema::LAYERS.to_owned(), Value::Object(held.fields));
    }
    fields.values_mut().for_each(forget_keys);
    Ok(Some(Taken {
        kind,
        fields,
        shown,
    }))
}

/// Removes, at any depth, where sealed bytes lie and what opens them.
fn forget_keys(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            let of_blob = [schema::BLOB, schema::KEY, schema::SALT];
            let bytes = |key: &&str| {
                fields
                    .get(*key)
                    .is_some_and(|it| it.get("$bytes").is_some())
            };
            if of_blob.iter().all(bytes) {
                for key in of_blob.iter().chain(&[schema::THUMB]) {
                    fields.remove(*key);
                }
            }
            fields.values_mut().for_each(forget_keys);
        }
        Value::Array(items) => items.iter_mut().for_each(forget_keys),
        _ => {}
    }
}

/// A document and where it is.
#[derive(Clone, PartialEq, Eq)]
pub struct Given {
    /// Its id, 32 hexadecimal digits.
    pub id: String,
    /// Where it is, and whose.
    pub origin: Origin,
    /// What is in it.
    pub taken: Taken,
}

/// A document as it is written down.
#[derive(Clone, PartialEq, Eq)]
pub struct Document {
    id: String,
    origin: Origin,
    kind: Kind,
    fields: Fields,
    shown: Shown,
    /// Photos that are in the archive, by their ids.
    files: BTreeMap<String, String>,
    at: String,
}

redacted_debug!(Shown, Taken, Given, Document);

impl Document {
    /// Its id; what came out of an archive has the one it had there.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The id it has in the journal now.
    #[must_use]
    pub fn now(&self) -> &str {
        &self.at
    }

    /// Where it stands, and whose it is.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The photos and files of an entry or an opening.
    #[must_use]
    pub fn photos(&self) -> &[Photo] {
        match &self.shown {
            Shown::Entry(entry) => &entry.photos,
            Shown::Opening(opening) => &opening.photos,
            Shown::Small(_) | Shown::Other => &[],
        }
    }

    /// Notes which file of the archive a photo is.
    pub fn note_file(&mut self, photo: &str, file: &str) {
        let photos = self.fields.get_mut(schema::PHOTOS);
        if let Some(Value::Object(noted)) = photos.and_then(|photos| photos.get_mut(photo)) {
            noted.insert(FILE.to_owned(), json!(file));
            self.files.insert(photo.to_owned(), file.to_owned());
        }
    }

    fn file(&self, photo: &Photo) -> Option<&str> {
        self.files.get(&photo.id).map(String::as_str)
    }

    fn line(&self) -> Line<'_> {
        Line {
            author: self.origin.author.as_str(),
            author_name: self.origin.author_name.as_deref(),
            fields: &self.fields,
            id: &self.id,
            space: self.origin.space.as_str(),
        }
    }
}

/// A document in `data.json`; its keys are in order.
#[derive(Serialize)]
struct Line<'a> {
    author: &'static str,
    author_name: Option<&'a str>,
    fields: &'a Fields,
    id: &'a str,
    space: &'static str,
}

#[derive(Serialize)]
struct Data<'a> {
    /// First, so that whoever looks at the beginning knows what it is.
    format: &'static str,
    version: u64,
    documents: Vec<Line<'a>>,
}

impl<'a> Data<'a> {
    fn of(documents: &'a [Document]) -> Self {
        Self {
            format: FORMAT,
            version: VERSION,
            documents: documents.iter().map(Document::line).collect(),
        }
    }
}

/// Puts documents in order of their ids, and gives those that came out of an archive the ids and
/// places they had there. Where two claim the same id, the first of them has it.
#[must_use]
pub fn settle(mut given: Vec<Given>) -> Vec<Document> {
    given.sort_by(|one, other| one.id.cmp(&other.id));
    let marks: Vec<Option<Imported>> = given
        .iter()
        .map(|one| Imported::of(&one.taken.fields))
        .collect();
    let pairs = || given.iter().zip(&marks);
    let own = pairs().filter(|(_, mark)| mark.is_none());
    let mut used: BTreeSet<String> = own.map(|(one, _)| one.id.clone()).collect();
    let mut before = BTreeMap::new();
    for (one, mark) in pairs() {
        if let Some(mark) = mark
            && used.insert(mark.id.clone())
        {
            before.insert(one.id.clone(), mark.id.clone());
        }
    }
    let mut documents: Vec<Document> = given
        .into_iter()
        .zip(marks)
        .map(|(one, mark)| document(one, mark, &before))
        .collect();
    documents.sort_by(|one, other| one.id.cmp(&other.id));
    documents
}

fn document(one: Given, mark: Option<Imported>, before: &BTreeMap<String, String>) -> Document {
    let Taken {
        kind,
        mut fields,
        shown,
    } = one.taken;
    let mut origin = one.origin;
    if let Some(mark) = mark {
        origin = mark.origin;
        match mark.before {
            Some(value) => fields.insert(schema::IMPORTED.to_owned(), value),
            None => fields.remove(schema::IMPORTED),
        };
        if !mark.without.is_empty() {
            let photos = fields.entry(schema::PHOTOS).or_insert_with(|| json!({}));
            if let Value::Object(photos) = photos {
                for (id, photo) in mark.without {
                    photos.entry(id).or_insert(photo);
                }
            }
        }
    }
    if !before.is_empty() {
        fields = renamed(fields, before);
    }
    Document {
        id: before.get(&one.id).unwrap_or(&one.id).clone(),
        at: one.id,
        origin,
        kind,
        fields,
        shown,
        files: BTreeMap::new(),
    }
}

/// Puts other ids in the place of ids, wherever a whole text or a key is one: that is how records
/// name each other, those of a newer version too.
pub(crate) fn renamed(fields: Fields, ids: &BTreeMap<String, String>) -> Fields {
    let rename = |text: String| match ids.get(&text) {
        Some(other) => other.clone(),
        None => text,
    };
    let fields = fields.into_iter();
    fields
        .map(|(key, value)| (rename(key), renamed_value(value, ids)))
        .collect()
}

fn renamed_value(value: Value, ids: &BTreeMap<String, String>) -> Value {
    match value {
        Value::Object(fields) => Value::Object(renamed(fields, ids)),
        Value::Array(items) => {
            let items = items.into_iter();
            Value::Array(items.map(|item| renamed_value(item, ids)).collect())
        }
        Value::String(text) => Value::String(ids.get(&text).cloned().unwrap_or(text)),
        other => other,
    }
}

/// A time as other programs want it, and how to make one: clocks and zones are the caller's.
pub trait Times {
    /// The moment of a day and time (`2026-07-01T21:30`) where the person is:
    /// `2026-07-01T19:30:00Z`.
    fn moment(&self, date: &str) -> String;

    /// Milliseconds since 1970 as `2026-07-01T19:30:00Z`; `None` for a time no calendar has.
    fn utc(&self, at_ms: i64) -> Option<String>;

    /// The zone's name, as `Europe/Berlin`.
    fn zone(&self) -> &str;
}

/// Own entries: what may be handed to other programs (design: the other's words never are).
fn own_entries(documents: &[Document]) -> Vec<(&Document, &Entry)> {
    let mut entries: Vec<(&Document, &Entry)> = documents
        .iter()
        .filter_map(|document| match &document.shown {
            Shown::Entry(entry) if is_own(document) => Some((document, entry)),
            _ => None,
        })
        .collect();
    entries.sort_by(|(one, a), (other, b)| (&a.date, &one.id).cmp(&(&b.date, &other.id)));
    entries
}

fn is_own(document: &Document) -> bool {
    document.origin.author == crate::imported::Author::Me
}

#[cfg(test)]
pub(crate) mod tests;
