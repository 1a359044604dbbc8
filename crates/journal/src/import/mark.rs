//! The mark of an import in the records it made: which import, from what, and what it was called
//! there. With it an import is undone, and a second one leaves out what is there already.

use std::collections::BTreeMap;

use automerge::transaction::Transactable;
use automerge::{Automerge, ObjType, ROOT, ReadDoc, ScalarValue, Value};
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::read::View;
use crate::{redacted_debug, schema};

/// Longest text in a mark, in characters.
const CHARS_MAX: usize = 256;
/// Most things that are kept in a mark.
const KEPT_MAX: usize = 16;

/// Where an entry came from.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Imprint {
    /// The import: 32 lowercase hexadecimal digits.
    pub batch: String,
    /// The word of its [`super::Format`], or one of a newer version.
    pub format: String,
    /// What the source calls it.
    pub source: String,
}

/// Where an entry came from, and what else the source said of it.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct Mark {
    /// Where it came from.
    #[serde(flatten)]
    pub imprint: Imprint,
    /// What else is known of it, such as `place`, `weather` or `mood`.
    pub kept: BTreeMap<String, String>,
}

redacted_debug!(Imprint, Mark);

/// Marks an entry in the transaction that makes it.
///
/// # Errors
/// [`Error::Document`].
pub fn put<T: Transactable>(tx: &mut T, mark: &Mark) -> Result<(), Error> {
    let map = tx.put_object(ROOT, schema::IMPORTED, ObjType::Map)?;
    tx.put(&map, schema::BATCH, mark.imprint.batch.as_str())?;
    tx.put(&map, schema::FORMAT, mark.imprint.format.as_str())?;
    tx.put(&map, schema::SOURCE, mark.imprint.source.as_str())?;
    if !mark.kept.is_empty() {
        let kept = tx.put_object(&map, schema::KEPT, ObjType::Map)?;
        for (name, value) in mark.kept.iter().take(KEPT_MAX) {
            tx.put(&kept, name.as_str(), value.as_str())?;
        }
    }
    Ok(())
}

/// The mark of an entry. One that does not hold is none: the entry can be read all the same.
pub(crate) fn read<D: ReadDoc>(view: &View<'_, D>) -> Option<Mark> {
    let map = view.object(schema::IMPORTED, ObjType::Map).ok().flatten()?;
    let text = |key| view.str(&map, key, CHARS_MAX).ok();
    let imprint = Imprint {
        batch: text(schema::BATCH)?,
        format: text(schema::FORMAT)?,
        source: text(schema::SOURCE)?,
    };
    let mut kept = BTreeMap::new();
    if let Ok(Some((Value::Object(ObjType::Map), items))) = view.get(&map, schema::KEPT) {
        for (name, value) in view.scalars(&items, KEPT_MAX) {
            if let ScalarValue::Str(value) = value
                && value.chars().nth(CHARS_MAX).is_none()
                && name.chars().nth(CHARS_MAX).is_none()
            {
                kept.insert(name, value.to_string());
            }
        }
    }
    Some(Mark { imprint, kept })
}

/// Where a record of any kind came from; `None` if no import made it.
pub fn imprint_of<D: ReadDoc>(doc: &D) -> Option<Imprint> {
    // Most have no such key.
    doc.get(ROOT, schema::IMPORTED).ok()??;
    read(&View::now(doc)).map(|mark| mark.imprint)
}

/// Whether nothing was done to a record since it was imported: neither changed nor opened, by any
/// device. An import writes each record in one change.
#[must_use]
pub fn is_untouched(doc: &Automerge) -> bool {
    doc.get_changes_meta(&[]).len() == 1
}
