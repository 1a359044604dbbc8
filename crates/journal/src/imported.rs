//! The mark of what came out of an archive of Ajar: where it stood before.
//!
//! A document's id cannot be chosen, and what stood in the shared space comes into the private one.
//! So the record keeps where it comes from under the root key `imported`, and an export writes that
//! down in place of where it is now.
//!
//! ```text
//! imported     map
//!   batch        the import it came with, 32 hexadecimal digits
//!   format       `ajar`
//!   source       its id before, 32 hexadecimal digits
//!   space        `me` or `us`: where it stood
//!   author       `me`, `partner` or `both`: who wrote it, seen by whoever exported it
//!   author_name  what they are called; not there for `both`
//!   before       what stood under `imported` before; not there if nothing did
//!   without      map: photos that the archive did not have, as it named them; not there if none
//! ```
//!
//! The first three are the [`Imprint`](crate::import::Imprint) that every import leaves: with it an
//! import is undone, whatever it was of.

use automerge::ReadDoc;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::import;
use crate::layers::words;
use crate::record::is_id;
use crate::schema;
use crate::text::is_plain;
use crate::tree::{self, Fields};

words! {
    /// A space, as whoever exported it had it.
    Side, "space" {
        /// Theirs alone.
        Me = "me",
        /// Between the two.
        Us = "us",
    }
}

words! {
    /// Who wrote a record, as seen by whoever exported it.
    Author, "author" {
        /// They did.
        Me = "me",
        /// Their partner did.
        Partner = "partner",
        /// Both may write into it.
        Both = "both",
    }
}

/// Where a record stands, and whose it is.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The space.
    pub space: Side,
    /// Who wrote it.
    pub author: Author,
    /// What they are called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author_name: Option<String>,
}

/// What stands under [`schema::IMPORTED`] in a record that came out of an archive of Ajar.
#[derive(Clone, PartialEq, Eq)]
pub struct Imported {
    /// The import it came with.
    pub batch: String,
    /// Its id before.
    pub id: String,
    /// Where it stood.
    pub origin: Origin,
    /// What stood under the same key before.
    pub before: Option<Value>,
    /// Photos that the archive did not have.
    pub without: Fields,
}

crate::redacted_debug!(Origin, Imported);

/// Where a record that came out of an archive stood before; `None` for any other.
pub fn origin_of<D: ReadDoc>(doc: &D) -> Option<Origin> {
    // Most have no such mark, and are not read as a whole for it.
    import::imprint_of(doc).filter(|imprint| imprint.format == FORMAT)?;
    let fields = tree::read(doc).ok()?;
    Imported::of(&fields).map(|mark| mark.origin)
}

/// The word of this format, in the mark and for commands.
pub const FORMAT: &str = "ajar";
const BEFORE: &str = "before";
const WITHOUT: &str = "without";

impl Origin {
    /// What whoever wrote it is called, safe to print.
    #[must_use]
    pub fn who(&self) -> &str {
        match (self.author, &self.author_name) {
            (Author::Both, _) => "both",
            (_, Some(name)) => name,
            (Author::Me, None) => "me",
            (Author::Partner, None) => "my partner",
        }
    }

    /// Whether its name can be kept: one short line without anything that changes how it reads.
    pub(crate) fn holds(&self) -> bool {
        self.author_name.as_deref().is_none_or(|name| {
            let long = name.chars().nth(schema::NAME_CHARS_MAX).is_some();
            !long && !name.trim().is_empty() && is_plain(name)
        })
    }
}

impl Imported {
    /// The mark in a record's fields; `None` if there is none that an archive of Ajar left.
    #[must_use]
    pub fn of(fields: &Fields) -> Option<Self> {
        let mark = fields.get(schema::IMPORTED)?;
        if mark.get(schema::FORMAT)?.as_str() != Some(FORMAT) {
            return None;
        }
        let text = |key: &str| mark.get(key)?.as_str().filter(|id| is_id(id));
        let origin: Origin = serde_json::from_value(mark.clone()).ok()?;
        Some(Self {
            batch: text(schema::BATCH)?.to_owned(),
            id: text(schema::SOURCE)?.to_owned(),
            origin: Some(origin).filter(Origin::holds)?,
            before: mark.get(BEFORE).cloned(),
            without: match mark.get(WITHOUT) {
                Some(Value::Object(photos)) => photos.clone(),
                _ => Fields::new(),
            },
        })
    }

    /// The mark as it is written.
    pub(crate) fn to_value(&self) -> Value {
        let mut mark = json!(self.origin);
        if let Value::Object(mark) = &mut mark {
            mark.insert(schema::BATCH.to_owned(), json!(self.batch));
            mark.insert(schema::FORMAT.to_owned(), json!(FORMAT));
            mark.insert(schema::SOURCE.to_owned(), json!(self.id));
            if let Some(before) = &self.before {
                mark.insert(BEFORE.to_owned(), before.clone());
            }
            if !self.without.is_empty() {
                mark.insert(WITHOUT.to_owned(), json!(self.without));
            }
        }
        mark
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn imported() -> Imported {
        Imported {
            batch: "1".repeat(32),
            id: "2".repeat(32),
            origin: Origin {
                space: Side::Us,
                author: Author::Partner,
                author_name: Some("Ben".to_owned()),
            },
            before: Some(json!({"batch": "3"})),
            without: Fields::new(),
        }
    }

    #[test]
    fn a_mark_is_read_as_it_was_written() {
        let mark = imported();
        let fields = Fields::from_iter([("imported".to_owned(), mark.to_value())]);
        assert!(Imported::of(&fields) == Some(mark));
    }

    #[test]
    fn a_mark_of_another_import_or_a_false_one_is_none() {
        for (key, value) in [
            ("source", json!("../..")),
            ("format", json!("jrnl")),
            ("batch", json!(7)),
            ("space", json!("them")),
            ("author_name", json!("Ana\u{202e}")),
        ] {
            let mut mark = imported().to_value();
            mark[key] = value;
            let fields = Fields::from_iter([("imported".to_owned(), mark)]);
            assert!(Imported::of(&fields).is_none(), "{key}");
        }
        let other = json!({"batch": "1".repeat(32), "format": "jrnl", "source": "2".repeat(32)});
        let fields = Fields::from_iter([("imported".to_owned(), other)]);
        assert!(Imported::of(&fields).is_none());
    }
}
