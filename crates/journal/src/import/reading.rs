//! What came out of a source, and what every format has in common: what an entry of ours can hold.

use std::collections::{BTreeMap, HashMap, HashSet};

use sha2::{Digest, Sha256};

use super::{ENTRIES_MAX, Format, MEDIA_MAX, SKIPPED_MAX, TEXT_TOTAL_MAX};
use crate::{body, date, entry, redacted_debug, schema};

/// Longest id of a source that is kept as it is, in characters.
const SOURCE_ID_CHARS_MAX: usize = 64;
/// Longest of the values that are kept beside an entry, in characters.
const KEPT_CHARS_MAX: usize = 200;

/// An entry as another program exported it, ready to be kept.
#[derive(Clone, PartialEq, Eq)]
pub struct Imported {
    /// How reports name it: its number and day, nothing that was written.
    pub label: String,
    /// The title, if it has one; it fits.
    pub title: Option<String>,
    /// The day (and local time) it is about, as in [`crate::date`].
    pub date: String,
    /// The text; it fits.
    pub text: String,
    /// The tags; they fit.
    pub tags: Vec<String>,
    /// What else is known of it, such as `place`, `weather` or `mood`.
    pub kept: BTreeMap<String, String>,
    /// Photos and files, in their order.
    pub media: Vec<MediaRef>,
    /// What the source calls it, or a hash of what it says.
    pub source_id: String,
}

/// A photo or file of an entry, still in its source.
#[derive(Clone, PartialEq, Eq)]
pub struct MediaRef {
    /// Its place in [`super::Members::list`].
    pub member: usize,
    /// What it was called before it was exported, if that is known.
    pub name: Option<String>,
}

/// Something that was left out. Nothing of what was written is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// What.
    pub what: String,
    /// Why, for people.
    pub why: String,
}

/// What came out of a source.
pub struct Reading {
    /// What wrote it.
    pub format: Format,
    /// The entries, in the order of the source.
    pub entries: Vec<Imported>,
    /// What was left out, at most [`SKIPPED_MAX`] of it.
    pub skipped: Vec<Skipped>,
    /// How much more was left out.
    pub skipped_more: usize,
    /// What should be known.
    pub warnings: Vec<String>,
    counted: BTreeMap<&'static str, usize>,
    seen: HashSet<String>,
    text_bytes: usize,
}

redacted_debug!(Imported, MediaRef, Reading);

/// An entry as a reader found it, before anybody looked whether it fits.
#[derive(Default)]
pub(super) struct Draft {
    pub(super) label: String,
    pub(super) title: Option<String>,
    pub(super) date: String,
    pub(super) text: String,
    pub(super) tags: Vec<String>,
    pub(super) kept: BTreeMap<String, String>,
    pub(super) media: Vec<MediaRef>,
    /// `None` where the source has no ids: then what it says is its id.
    pub(super) source_id: Option<String>,
}

impl Reading {
    pub(super) fn new(format: Format) -> Self {
        Self {
            format,
            entries: Vec::new(),
            skipped: Vec::new(),
            skipped_more: 0,
            warnings: Vec::new(),
            counted: BTreeMap::new(),
            seen: HashSet::new(),
            text_bytes: 0,
        }
    }

    /// Notes that something was left out.
    pub fn skip(&mut self, what: impl Into<String>, why: impl std::fmt::Display) {
        if self.skipped.len() < SKIPPED_MAX {
            self.skipped.push(Skipped {
                what: what.into(),
                why: why.to_string(),
            });
        } else {
            self.skipped_more += 1;
        }
    }

    /// Counts something that is told once, with how often it was; `what` follows the number.
    pub(super) fn count(&mut self, what: &'static str) {
        *self.counted.entry(what).or_default() += 1;
    }

    pub(super) fn is_full(&self) -> bool {
        self.entries.len() >= ENTRIES_MAX
    }

    /// Takes an entry in, or says why not.
    pub(super) fn take(&mut self, draft: Draft) {
        let label = draft.label.clone();
        if self.is_full() {
            self.skip(label, format!("more than {ENTRIES_MAX} entries at once"));
            return;
        }
        match self.fitted(draft) {
            Ok(entry) => self.entries.push(entry),
            Err(why) => self.skip(label, why),
        }
    }

    fn fitted(&mut self, draft: Draft) -> Result<Imported, String> {
        if draft.date.is_empty() {
            return Err("it has no date".to_owned());
        }
        date::check(&draft.date).map_err(|_| "its date does not exist".to_owned())?;
        let mut text = plain_lines(draft.text);
        let mut title = draft.title.map(plain_lines);
        title = title
            .map(|title| title.trim().to_owned())
            .filter(|title| !title.is_empty());
        if let Some(long) = title.take_if(|title| entry::check_title(Some(title)).is_err()) {
            // Nothing of it is lost.
            self.count("titles are too long for one line; they stand in the text");
            text = if text.is_empty() {
                long
            } else {
                format!("{long}\n\n{text}")
            };
        }
        if title.is_none() && text.trim().is_empty() && draft.media.is_empty() {
            return Err("there is nothing in it".to_owned());
        }
        body::check(&text).map_err(|error| error.to_string())?;
        if self.text_bytes.saturating_add(text.len()) > TEXT_TOTAL_MAX {
            return Err(
                "there is more text than one import can take; import it in parts".to_owned(),
            );
        }
        let tags = self.tags(draft.tags);
        let source_id = match draft.source_id {
            Some(id) => given_id(&id),
            None => hashed_id(&[&draft.date, title.as_deref().unwrap_or(""), &text]),
        };
        if !self.seen.insert(source_id.clone()) {
            return Err("it is in there twice".to_owned());
        }
        self.text_bytes = self.text_bytes.saturating_add(text.len());
        let mut media = draft.media;
        if media.len() > MEDIA_MAX {
            self.count("entries name more photos and files than can be looked at");
            media.truncate(MEDIA_MAX);
        }
        Ok(Imported {
            label: draft.label,
            title,
            date: draft.date,
            text,
            tags,
            kept: draft
                .kept
                .into_iter()
                .map(|(name, value)| (name, value.chars().take(KEPT_CHARS_MAX).collect()))
                .collect(),
            media,
            source_id,
        })
    }

    /// The tags that can be kept, each once.
    fn tags(&mut self, tags: Vec<String>) -> Vec<String> {
        let mut kept: Vec<String> = Vec::new();
        for tag in tags {
            let tag = tag.trim().trim_start_matches(['#', '@']).trim();
            let long = tag.chars().nth(schema::TAG_CHARS_MAX).is_some();
            if tag.is_empty() || kept.iter().any(|known| known == tag) {
                continue;
            }
            if long || tag.chars().any(char::is_control) || kept.len() >= schema::TAGS_MAX {
                self.count("tags are too long or too many; they were left out");
                continue;
            }
            kept.push(tag.to_owned());
        }
        kept
    }

    /// Writes down what was only counted.
    pub(super) fn conclude(&mut self) {
        for (what, count) in std::mem::take(&mut self.counted) {
            self.warnings.push(format!("{count} {what}."));
        }
    }
}

/// Text with line breaks as this journal writes them.
fn plain_lines(text: String) -> String {
    let text = match text.strip_prefix('\u{feff}') {
        Some(rest) => rest.to_owned(),
        None => text,
    };
    let text = if text.contains('\r') {
        text.replace("\r\n", "\n").replace('\r', "\n")
    } else {
        text
    };
    text.trim_end().trim_start_matches('\n').to_owned()
}

/// The id of the source itself where it is short and plain, else a hash of it.
fn given_id(id: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    if !id.is_empty() && id.len() <= SOURCE_ID_CHARS_MAX && id.bytes().all(plain) {
        id.to_owned()
    } else {
        hashed_id(&[id])
    }
}

/// A hash of what an entry says. Each part has its length before it, so that none runs into another.
fn hashed_id(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.len().to_string().as_bytes());
        hash.update(b":");
        hash.update(part.as_bytes());
    }
    let digest = hash.finalize();
    let hex: String = digest
        .iter()
        .take(16)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("sha256-{hex}")
}

/// Files of a source by path in small letters, and by name.
pub(super) struct Places {
    by_path: HashMap<String, usize>,
    /// `None` where several files have that name.
    by_name: HashMap<String, Option<usize>>,
}

impl Places {
    pub(super) fn of(members: &dyn super::Members) -> Self {
        let (mut by_path, mut by_name) = (HashMap::new(), HashMap::new());
        for (place, member) in members.list().iter().enumerate() {
            by_path.insert(member.name.to_lowercase(), place);
            by_name
                .entry(member.file_name().to_lowercase())
                .and_modify(|only| *only = None)
                .or_insert(Some(place));
        }
        Self { by_path, by_name }
    }

    /// The file at a path, in capital or small letters.
    pub(super) fn at(&self, path: &str) -> Option<usize> {
        self.by_path.get(&path.to_lowercase()).copied()
    }

    /// The only file of that name, in whatever folder.
    pub(super) fn named(&self, name: &str) -> Option<usize> {
        self.by_name.get(&name.to_lowercase()).copied().flatten()
    }
}
