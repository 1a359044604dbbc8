//! What is kept of every record beside it, so that lists and searches load none of them.

use automerge::ReadDoc;
use serde::{Deserialize, Serialize};
use unicode_normalization::{UnicodeNormalization, is_nfkc};

use crate::body::Paragraph;
use crate::entry::{self, Entry};
use crate::error::Unreadable;
use crate::import::{self, Imprint};
use crate::imported::{self, Origin};
use crate::opening::{self, Opening, Stage};
use crate::query::Item;
use crate::records::{self, Facts};
use crate::schema::{self, Kind};
use crate::text::first_line_of;
use crate::tree::Fields;
use crate::{date, redacted_debug};

/// Raised with every change of what [`of`] gives.
pub const VERSION: u32 = 4;
/// Shelf of what is needed at once, whatever month it is from.
pub const AT_ONCE: u32 = u32::MAX;
/// Sorts records that cannot be read; nothing that can be is sorted so.
pub const UNREADABLE: i64 = i64::MAX;
/// Longest head, in bytes.
const HEAD_BYTES_MAX: usize = 4096;
/// Longest text for a search, in bytes; what is behind it is not found.
const TEXT_BYTES_MAX: usize = 1 << 20;

/// What is kept of one record.
#[derive(Clone, PartialEq, Eq)]
pub struct Summary {
    /// The month it is about, `year × 12 + month`, or [`AT_ONCE`].
    pub shelf: u32,
    /// What it is sorted by ([`date::moment`]), or [`UNREADABLE`].
    pub sort: i64,
    /// A [`Line`]; empty for what is in no list.
    pub head: Vec<u8>,
    /// Everything a search looks at, as [`fold`] gives it.
    pub text: String,
}

/// What one line of a list needs of a record.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    kind: Kind,
    date: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    title: Option<String>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    first_line: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    tags: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    created_at_ms: Option<i64>,
    #[serde(default, skip_serializing_if = "is_false")]
    has_photo: bool,
    /// How far an opening is opened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<Stage>,
    /// The record that a smaller record is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<String>,
    /// All that a smaller record holds. `None` if that is too long to be kept here: the record
    /// has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fields: Option<Fields>,
    /// Where a record that came out of an archive stood before, and who wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
    /// Whether devices wrote different things at the same time and nobody has chosen yet.
    #[serde(default, skip_serializing_if = "is_false")]
    pub versions: bool,
    /// Title and tags were too long to be kept here: the record has them.
    #[serde(default, skip_serializing_if = "is_false")]
    pub cut: bool,
    /// The import it came with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub imported: Option<Imprint>,
}

redacted_debug!(Summary, Line);

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_false(value: &bool) -> bool {
    !value
}

impl Line {
    fn new(item: Item, stage: Option<Stage>, versions: bool) -> Self {
        Self {
            kind: item.kind,
            date: item.date,
            title: item.title,
            first_line: item.first_line,
            tags: item.tags,
            created_at_ms: item.created_at_ms,
            has_photo: item.has_photo,
            stage,
            about: None,
            fields: None,
            origin: None,
            versions,
            cut: false,
            imported: None,
        }
    }

    fn of_facts(kind: Kind, facts: Facts) -> Self {
        let text = facts.texts.first().map(String::as_str).unwrap_or_default();
        Self {
            kind,
            date: facts.day,
            title: None,
            first_line: first_line_of(text),
            tags: Vec::new(),
            created_at_ms: None,
            has_photo: false,
            stage: None,
            about: facts.about,
            fields: Some(facts.fields),
            origin: None,
            versions: false,
            cut: false,
            imported: None,
        }
    }

    fn encode(mut self) -> Option<Vec<u8>> {
        let whole = serde_json::to_vec(&self).ok()?;
        if whole.len() <= HEAD_BYTES_MAX {
            return Some(whole);
        }
        if self.fields.take().is_some() {
            return self.encode();
        }
        self.cut = true;
        self.title = None;
        self.tags.clear();
        serde_json::to_vec(&self).ok()
    }

    /// Reads the head of a summary; `None` when it is none.
    #[must_use]
    pub fn decode(head: &[u8]) -> Option<Self> {
        serde_json::from_slice(head).ok()
    }

    /// What kind of record it is of.
    #[must_use]
    pub fn kind(&self) -> &Kind {
        &self.kind
    }

    /// The line of a list. Without title and tags if [`Self::cut`].
    #[must_use]
    pub fn into_item(self, id: String) -> Item {
        Item {
            id,
            kind: self.kind,
            date: self.date,
            title: self.title,
            first_line: self.first_line,
            tags: self.tags,
            created_at_ms: self.created_at_ms,
            has_photo: self.has_photo,
        }
    }
}

/// What is kept of a record; `None` when there is nothing to keep of it.
#[must_use]
pub fn of<D: ReadDoc>(doc: &D) -> Option<Summary> {
    let from = || From::of(doc);
    let read = match schema::kind_of(doc) {
        Ok(Kind::Entry) => entry::read(doc).map(|entry| of_entry(&entry, from())),
        Ok(Kind::Opening) => opening::read(doc).map(|opening| of_opening(&opening, from())),
        Ok(Kind::Profile | Kind::Unknown(_)) => Ok(Some(not_listed())),
        Ok(kind) => {
            let facts = records::facts(doc, &kind);
            facts.map(|facts| facts.and_then(|it| of_facts(kind, it, from())))
        }
        Err(error) => Err(error),
    };
    match read {
        Ok(summary) => summary,
        Err(Unreadable::OtherKind { .. }) => None,
        Err(_) => Some(unreadable()),
    }
}

/// Where a record came from, if an import made it.
struct From {
    imprint: Option<Imprint>,
    origin: Option<Origin>,
}

impl From {
    fn of<D: ReadDoc>(doc: &D) -> Self {
        let imprint = import::imprint_of(doc);
        let origin = imprint.as_ref().and_then(|_| imported::origin_of(doc));
        Self { imprint, origin }
    }

    fn note(self, mut line: Line) -> Line {
        line.imported = self.imprint;
        line.origin = self.origin;
        line
    }
}

fn of_entry(entry: &Entry, from: From) -> Option<Summary> {
    let line = Line::new(Item::of_entry("", entry), None, entry.has_versions());
    let line = from.note(line);
    let titles = entry.title.iter().chain(&entry.title_others);
    let words = titles.chain(&entry.tags).map(String::as_str);
    let words = words.chain(entry.layers.texts());
    listed(&entry.date, line, text(words, &entry.paragraphs))
}

fn of_opening(opening: &Opening, from: From) -> Option<Summary> {
    let others = opening.paragraphs.iter().any(|p| !p.others.is_empty());
    let versions = others || !opening.title_others.is_empty();
    let stage = Some(opening.stage);
    let line = Line::new(Item::of_opening("", opening), stage, versions);
    let line = from.note(line);
    let titles = opening.title.iter().chain(&opening.title_others);
    let words = titles.chain(&opening.gist).map(String::as_str);
    let words = words.chain(opening.layers.texts());
    listed(&opening.date, line, text(words, &opening.paragraphs))
}

fn of_facts(kind: Kind, facts: Facts, from: From) -> Option<Summary> {
    let day = facts.day.clone();
    let words = facts.texts.clone();
    let text = text(words.iter().map(String::as_str), &[]);
    let line = from.note(Line::of_facts(kind, facts));
    listed(&day, line, text)
}

fn listed(date: &str, line: Line, text: String) -> Option<Summary> {
    Some(Summary {
        shelf: date::month(date)?,
        sort: date::moment(date)?,
        head: line.encode()?,
        text,
    })
}

fn not_listed() -> Summary {
    Summary {
        shelf: AT_ONCE,
        sort: 0,
        head: Vec::new(),
        text: String::new(),
    }
}

/// What is kept of a record that cannot be read.
#[must_use]
pub fn unreadable() -> Summary {
    Summary {
        shelf: 0,
        sort: UNREADABLE,
        head: b"?".to_vec(),
        text: String::new(),
    }
}

/// Everything that is written in a record, one thing on each line.
fn text<'a>(words: impl Iterator<Item = &'a str>, paragraphs: &'a [Paragraph]) -> String {
    let all = |p: &'a Paragraph| std::iter::once(&p.text).chain(&p.others);
    let body = paragraphs.iter().flat_map(all).map(String::as_str);
    let mut text = String::new();
    for part in words.chain(body) {
        if text.len() + part.len() >= TEXT_BYTES_MAX {
            break;
        }
        text.push_str(&fold(part));
        text.push('\n');
    }
    text
}

/// Text as a search compares it: without difference between capital and small letters, or
/// between two ways of writing one character.
#[must_use]
pub fn fold(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    let small = |c: char| {
        // One letter, whatever its place in the word.
        let c = if c == 'ς' { 'σ' } else { c };
        c.to_lowercase()
    };
    let folded: String = text.nfkc().flat_map(small).collect();
    if is_nfkc(&folded) {
        folded
    } else {
        folded.nfkc().collect()
    }
}

#[cfg(test)]
mod tests {
    use automerge::transaction::Transactable;
    use automerge::{Automerge, ROOT};
    use proptest::prelude::*;

    use super::*;
    use crate::entry::NewEntry;
    use crate::profile;

    fn entry(title: Option<&str>, date: &str, text: &str, tags: &[String]) -> Automerge {
        let new = NewEntry {
            title: title.map(str::to_owned),
            date: date.to_owned(),
            text: text.to_owned(),
            tags: tags.to_vec(),
            created_at_ms: 5,
        };
        let mut doc = Automerge::new();
        doc.transact(|tx| entry::create(tx, &new)).unwrap();
        doc
    }

    #[test]
    fn an_entry_has_a_line_a_month_and_folded_words() {
        let doc = entry(
            Some("Rain"),
            "2026-07-01T21:30",
            "It RAINED.\nÉté",
            &["Sea".to_owned()],
        );
        let summary = of(&doc).unwrap();
        assert_eq!(summary.shelf, 2026 * 12 + 7);
        assert_eq!(summary.sort, date::moment("2026-07-01T21:30").unwrap());
        assert_eq!(summary.text, "rain\nsea\nit rained.\nété\n");
        let line = Line::decode(&summary.head).unwrap();
        assert!(!line.versions && !line.cut && line.stage.is_none());
        let read = entry::read(&doc).unwrap();
        assert!(line.into_item("a".to_owned()) == Item::of_entry("a", &read));
    }

    #[test]
    fn a_profile_and_what_is_newer_are_at_hand_and_in_no_list() {
        let mut doc = Automerge::new();
        doc.transact(|tx| profile::create(tx, "Ana")).unwrap();
        let summary = of(&doc).unwrap();
        assert_eq!((summary.shelf, summary.head.len()), (AT_ONCE, 0));
        doc.transact(|tx| tx.put(ROOT, schema::KIND, "a-newer-one"))
            .unwrap();
        assert_eq!(of(&doc).unwrap().shelf, AT_ONCE);
    }

    #[test]
    fn what_cannot_be_read_is_counted_and_not_listed() {
        for wrong in [None, Some("2026-02-31")] {
            let mut doc = entry(None, "2026-07-01", "Rain", &[]);
            doc.transact(|tx| match wrong {
                Some(date) => tx.put(ROOT, schema::DATE, date),
                None => tx.delete(ROOT, schema::BODY),
            })
            .unwrap();
            let summary = of(&doc).unwrap();
            assert_eq!(summary.sort, UNREADABLE);
            assert!(Line::decode(&summary.head).is_none());
        }
        assert_eq!(of(&Automerge::new()).unwrap().sort, UNREADABLE);
    }

    #[test]
    fn a_line_that_is_too_long_says_so_and_leaves_title_and_tags_out() {
        let tags: Vec<String> = (0..64).map(|n| format!("{n:0>64}")).collect();
        let title = "é".repeat(1000);
        for tags in [&[][..], &tags] {
            let doc = entry(Some(&title), "2026-07-01", "Rain", tags);
            let summary = of(&doc).unwrap();
            assert!(summary.head.len() <= HEAD_BYTES_MAX);
            let line = Line::decode(&summary.head).unwrap();
            assert_eq!(line.cut, !tags.is_empty());
            let item = line.into_item(String::new());
            assert_eq!(item.first_line, "Rain");
            assert_eq!(item.title.is_none(), !tags.is_empty());
        }
    }

    #[test]
    fn words_are_the_same_however_they_are_written() {
        for (one, other) in [
            ("Été", "e\u{301}te\u{301}"),
            ("ΟΔΟΣ", "οδος"),
            ("ﬁne", "FINE"),
            ("Straße", "STRAßE"),
        ] {
            assert_eq!(fold(one), fold(other), "{one}");
        }
        assert!(!fold("The sea").contains(&fold("see")));
    }

    proptest! {
        #[test]
        fn folding_twice_is_folding_once(text in any::<String>()) {
            let once = fold(&text);
            prop_assert_eq!(fold(&once), once);
        }
    }
}
