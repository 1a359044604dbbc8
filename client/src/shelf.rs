//! The smaller records of a space, as the commands read and keep them.

use std::collections::HashSet;

use ajar_journal::imported::{Origin, Side};
use ajar_journal::record::{self, Record};
use ajar_journal::summary::Line;
use ajar_sync::{DocId, Ownership, RowQuery, Space, doc_id_text};

use crate::ids;
use crate::names::Author;
use crate::report::Failure;

/// One of the smaller records, where it is and whose.
pub(crate) struct Kept<R> {
    pub(crate) id: DocId,
    pub(crate) author: Author,
    pub(crate) record: R,
}

impl<R> Kept<R> {
    /// The text form of its id, as other records name it.
    pub(crate) fn id_text(&self) -> String {
        doc_id_text(self.id)
    }
}

/// All records of one kind in a space that can be read, in the same order on every device: by day,
/// and by id within one.
pub(crate) fn all<R: Record + Send + 'static>(space: &Space) -> Result<Vec<Kept<R>>, Failure> {
    some(space, |_| true)
}

/// Those that are about one of these records.
pub(crate) fn about<R: Record + Send + 'static>(
    space: &Space,
    ids: impl IntoIterator<Item = String>,
) -> Result<Vec<Kept<R>>, Failure> {
    let ids: HashSet<String> = ids.into_iter().collect();
    some(space, move |line| {
        line.about.as_ref().is_some_and(|about| ids.contains(about))
    })
}

fn some<R: Record + Send + 'static>(
    space: &Space,
    wanted: impl Fn(&Line) -> bool + Send + 'static,
) -> Result<Vec<Kept<R>>, Failure> {
    let rows = space.rows(RowQuery {
        filter: Some(Box::new(move |row| {
            Line::decode(&row.head).is_some_and(|line| {
                // What came out of an archive and stood between the two is there to be read. It
                // says nothing of what is between them now.
                let past = |origin: &Origin| origin.space == Side::Us;
                let is_past = line.origin.as_ref().is_some_and(past);
                *line.kind() == R::KIND && !is_past && wanted(&line)
            })
        })),
        ..RowQuery::default()
    })?;
    let mut found = Vec::new();
    for row in rows {
        let fields = Line::decode(&row.head).and_then(|line| line.fields);
        let record = match fields {
            Some(fields) => record::from_fields(fields),
            // Too long for its row.
            None => space.document(row.doc).read(|doc| record::read(doc))?,
        };
        if let Ok(record) = record {
            found.push(Kept {
                id: row.doc,
                author: Author::of(space, row.owner),
                record,
            });
        }
    }
    found.sort_by(|one: &Kept<R>, other| {
        let key = |kept: &Kept<R>| (kept.record.day().to_owned(), kept.id);
        key(one).cmp(&key(other))
    });
    Ok(found)
}

/// Keeps a new record of one's own; it is durable when this returns.
pub(crate) fn keep<R: Record + Send + 'static>(space: &Space, new: R) -> Result<DocId, Failure> {
    let document = space.create_document(Ownership::Mine)?;
    document.change(move |tx| record::create(tx, &new))?;
    Ok(document.id())
}

/// Saves a record of one's own as it should be. Returns whether anything changed.
pub(crate) fn save<R: Record + Send + 'static>(
    space: &Space,
    id: DocId,
    new: R,
) -> Result<bool, Failure> {
    let changed = space
        .document(id)
        .change(move |tx| record::update(tx, &new))?;
    Ok(changed)
}

/// One's own record of a name, of which there is at most one: makes it, or saves it.
pub(crate) fn set<R: Record + Send + 'static>(
    space: &Space,
    name: &str,
    new: R,
) -> Result<(), Failure> {
    let id = space.named_document(Ownership::Mine, name)?;
    space.document(id).change(move |tx| record::set(tx, &new))?;
    Ok(())
}

/// The one record that an id, typed in part, names among `kept`.
pub(crate) fn find<R>(kept: Vec<Kept<R>>, typed: &str) -> Result<Kept<R>, Failure> {
    let prefix = ids::Prefix::parse(typed)?;
    match prefix.only(kept.iter().map(|one| one.id))? {
        Some(id) => {
            let mut kept = kept.into_iter();
            let found = kept.find(|one| one.id == id);
            found.ok_or_else(|| prefix.not_found(false))
        }
        None => Err(prefix.not_found(false)),
    }
}
