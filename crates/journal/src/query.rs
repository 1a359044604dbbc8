//! Lists: what one line of a list needs, which lines to show, and in which order.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization;

use crate::date;
use crate::entry::Entry;
use crate::layers::Layers;
use crate::opening::{Opening, Stage};
use crate::records::Facts;
use crate::redacted_debug;
use crate::schema::Kind;
use crate::text::{displayable_line, first_line, first_line_of};

/// One record in a list, small enough to keep for every record there is.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// Id of the document.
    pub id: String,
    /// Kind of record.
    pub kind: Kind,
    /// The day (and time) it is about.
    pub date: String,
    /// The title, if it has one.
    pub title: Option<String>,
    /// The beginning of the text, at most 60 characters.
    pub first_line: String,
    /// Tags; openings have none.
    pub tags: Vec<String>,
    /// When it was created, milliseconds since 1970 (UTC); openings do not say.
    pub created_at_ms: Option<i64>,
    /// It has photos or files.
    #[serde(default)]
    pub has_photo: bool,
}

redacted_debug!(Item);

impl Item {
    /// The line for a private entry.
    #[must_use]
    pub fn of_entry(id: impl Into<String>, entry: &Entry) -> Self {
        Self {
            id: id.into(),
            kind: Kind::Entry,
            date: entry.date.clone(),
            title: entry.title.clone(),
            first_line: beginning(first_line(&entry.paragraphs), &entry.layers),
            tags: entry.tags.clone(),
            created_at_ms: Some(entry.created_at_ms),
            has_photo: !entry.photos.is_empty(),
        }
    }

    /// The line for an opening.
    #[must_use]
    pub fn of_opening(id: impl Into<String>, opening: &Opening) -> Self {
        Self {
            id: id.into(),
            kind: Kind::Opening,
            date: opening.date.clone(),
            title: opening.title.clone(),
            first_line: opening_line(opening),
            tags: Vec::new(),
            created_at_ms: None,
            has_photo: !opening.photos.is_empty(),
        }
    }

    /// The item of a smaller record.
    #[must_use]
    pub fn of_facts(id: impl Into<String>, kind: Kind, facts: &Facts) -> Self {
        Self {
            id: id.into(),
            kind,
            date: facts.day.clone(),
            title: None,
            first_line: facts
                .texts
                .first()
                .map(|text| first_line_of(text))
                .unwrap_or_default(),
            tags: Vec::new(),
            created_at_ms: None,
            has_photo: false,
        }
    }

    /// What to call it: the title, or else how it begins. One line, safe to print.
    #[must_use]
    pub fn heading(&self) -> String {
        let title = self
            .title
            .as_deref()
            .filter(|title| !title.trim().is_empty());
        displayable_line(title.unwrap_or(&self.first_line))
    }
}

/// What stands for a record without a title: how it begins, or what its layers say first.
fn beginning(first_line: String, layers: &Layers) -> String {
    if !first_line.is_empty() {
        return first_line;
    }
    let mut lines = layers.lines().into_iter();
    let words = lines.find(|(name, _)| *name == "Words");
    let first = words.or_else(|| layers.lines().into_iter().next());
    first
        .map(|(_, line)| first_line_of(&line))
        .unwrap_or_default()
}

fn opening_line(opening: &Opening) -> String {
    let gist = opening.gist.as_deref().map(first_line_of);
    let line = beginning(first_line(&opening.paragraphs), &Layers::default());
    if !line.is_empty() {
        return line;
    }
    let line = gist.unwrap_or_else(|| beginning(String::new(), &opening.layers));
    match opening.stage {
        Stage::Knock => "Something is moving.".to_owned(),
        _ => line,
    }
}

/// Which records to list. Every condition given must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only from this day on; a time in it is ignored.
    pub since: Option<String>,
    /// Only up to and including this day; a time in it is ignored.
    pub until: Option<String>,
    /// Only with this tag; canonically equal spellings are the same tag.
    pub tag: Option<String>,
    /// Only of this kind.
    pub kind: Option<Kind>,
    /// Without a kind, those too that no list shows by itself ([`Kind::is_listed`]).
    pub all_kinds: bool,
    /// Only with photos or files.
    pub has_photo: bool,
    /// At most so many, counted after sorting.
    pub limit: Option<usize>,
}

impl Filter {
    /// Whether `item` meets the conditions (the limit is no condition).
    #[must_use]
    pub fn matches(&self, item: &Item) -> bool {
        let day = date::day(&item.date);
        self.since
            .as_deref()
            .is_none_or(|since| date::day(since) <= day)
            && self
                .until
                .as_deref()
                .is_none_or(|until| day <= date::day(until))
            && self.is_of_kind(item)
            && (!self.has_photo || item.has_photo)
            && self
                .tag
                .as_deref()
                .is_none_or(|tag| item.tags.iter().any(|known| known.nfc().eq(tag.nfc())))
    }

    fn is_of_kind(&self, item: &Item) -> bool {
        match &self.kind {
            Some(kind) => *kind == item.kind,
            None => self.all_kinds || item.kind.is_listed(),
        }
    }

    /// The items that match, newest first, no more than the limit.
    #[must_use]
    pub fn select(&self, items: impl IntoIterator<Item = Item>) -> Vec<Item> {
        let mut found: Vec<Item> = items
            .into_iter()
            .filter(|item| self.matches(item))
            .collect();
        sort(&mut found);
        found.truncate(self.limit.unwrap_or(usize::MAX));
        found
    }
}

/// Sorts newest first: by date, then by time of creation, then by id so that lists never jump.
pub fn sort(items: &mut [Item]) {
    items.sort_by(newest_first);
}

fn newest_first(a: &Item, b: &Item) -> Ordering {
    let newer = b
        .date
        .cmp(&a.date)
        .then(b.created_at_ms.cmp(&a.created_at_ms));
    newer.then_with(|| a.id.cmp(&b.id))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(id: &str, date: &str, created: i64, tags: &[&str]) -> Item {
        Item {
            id: id.to_owned(),
            kind: Kind::Entry,
            date: date.to_owned(),
            title: None,
            first_line: "It rained.\u{1b}[2J".to_owned(),
            tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
            created_at_ms: Some(created),
            has_photo: id == "c",
        }
    }

    fn ids(items: &[Item]) -> Vec<&str> {
        items.iter().map(|item| item.id.as_str()).collect()
    }

    fn diary() -> Vec<Item> {
        vec![
            item("d", "2026-07-02", 4, &["caf\u{e9}"]),
            item("b", "2026-07-01T21:30", 1, &[]),
            item("c", "2026-07-01T08:00", 3, &["sea"]),
            item("a", "2026-06-30", 2, &["sea"]),
            item("f", "2026-06-30", 2, &[]),
            item("e", "2026-06-30", 9, &[]),
        ]
    }

    #[test]
    fn newest_come_first_and_ties_do_not_jump() {
        let mut items = diary();
        sort(&mut items);
        assert_eq!(ids(&items), ["d", "b", "c", "e", "a", "f"]);
        items.reverse();
        sort(&mut items);
        assert_eq!(ids(&items), ["d", "b", "c", "e", "a", "f"]);
    }

    #[test]
    fn until_a_day_includes_that_days_evening() {
        let day = Some("2026-07-01".to_owned());
        let filter = Filter {
            since: day.clone(),
            until: day,
            ..Filter::default()
        };
        assert_eq!(ids(&filter.select(diary())), ["b", "c"]);
    }

    #[test]
    fn the_limit_counts_after_sorting() {
        let filter = Filter {
            limit: Some(2),
            ..Filter::default()
        };
        assert_eq!(ids(&filter.select(diary())), ["d", "b"]);
    }

    #[test]
    fn a_tag_is_found_however_its_accent_is_encoded() {
        let filter = Filter {
            tag: Some("cafe\u{301}".to_owned()),
            ..Filter::default()
        };
        assert_eq!(ids(&filter.select(diary())), ["d"]);
        let filter = Filter {
            tag: Some("cafe".to_owned()),
            ..Filter::default()
        };
        assert!(filter.select(diary()).is_empty());
    }

    #[test]
    fn what_has_photos_can_be_asked_for() {
        let filter = Filter {
            has_photo: true,
            ..Filter::default()
        };
        assert_eq!(ids(&filter.select(diary())), ["c"]);
    }

    #[test]
    fn another_kind_is_left_out() {
        let filter = Filter {
            kind: Some(Kind::Opening),
            ..Filter::default()
        };
        assert!(filter.select(diary()).is_empty());
    }

    #[test]
    fn a_heading_is_the_title_or_the_beginning_and_safe_to_print() {
        let mut rain = item("a", "2026-07-01", 0, &[]);
        assert_eq!(rain.heading(), "It rained.␛[2J");
        rain.title = Some("Rain".to_owned());
        assert_eq!(rain.heading(), "Rain");
    }

    #[test]
    fn an_item_survives_being_stored() {
        let item = item("a", "2026-07-01", 5, &["sea"]);
        let stored = serde_json::to_string(&item).unwrap();
        assert!(stored.contains("\"kind\":\"entry\""));
        assert!(serde_json::from_str::<Item>(&stored).unwrap() == item);
    }
}
