//! `ajar import --undo`: burns what came with an import and was not touched since.

use std::collections::{BTreeSet, HashSet};

use ajar_journal::import::{imprint_of, is_untouched};
use ajar_journal::imported;
use ajar_journal::schema::{self, Kind};
use ajar_journal::summary::Line;
use ajar_journal::{entry, opening};
use ajar_sync::{BlobId, DocId, Error, RowQuery, Space, SpaceKind};
use serde_json::json;

use super::imprints;
use super::report::{Progress, counted};
use crate::cli::Import;
use crate::commands::{burn, exchange, sync::is_chosen};
use crate::context::{Context, Need};
use crate::photo::ids_of;
use crate::records;
use crate::report::Failure;
use crate::terminal;

/// Fewest characters that name an import: nobody is to undo another one by a slip.
const PREFIX_MIN: usize = 8;
/// Length of a whole id.
const WHOLE: usize = 32;
/// Documents of one burn (`docs/protocol.md` §2.14).
const DOCS: usize = 256;
/// Photos of one burn, each with its small picture.
const BLOBS: usize = 4096;

pub(super) fn run(context: &Context, typed: &str, args: &Import) -> Result<(), Failure> {
    let out = context.out;
    let prefix = prefix(typed)?;
    let home = context.open_home(Need::Private)?;
    let me = home.space(SpaceKind::Private)?;
    let imprints = imprints(&me)?.into_iter();
    let found: Vec<_> = imprints
        .filter(|(_, imprint)| imprint.batch.starts_with(&prefix))
        .collect();
    let batches: BTreeSet<&str> = found.iter().map(|(_, one)| one.batch.as_str()).collect();
    if batches.len() > 1 {
        return Err(Failure::fixable(
            "ambiguous-id",
            format!("More than one import begins with {prefix}."),
        )
        .hint("Type more of its characters."));
    }
    let Some(batch) = batches.first().map(|batch| (*batch).to_owned()) else {
        return Err(Failure::fixable("no-such-import", format!("Nothing in Only me came with an import that begins with {prefix}."))
            .hint("The import printed its id, and `ajar show` prints it with each entry that came with it. It may have been undone already."));
    };
    let mut docs: Vec<DocId> = found.iter().map(|(doc, _)| *doc).collect();
    if found
        .iter()
        .any(|(_, imprint)| imprint.format == imported::FORMAT)
    {
        docs.extend(unlisted(&me, &batch)?);
    }
    let (heaps, left) = sorted(&me, &docs)?;
    let burned: usize = heaps.iter().map(|heap| heap.docs.len()).sum();
    let entries = counted(burned, "entry", "entries");
    if burned > 0 && !args.yes && terminal::can_ask() {
        out.insist(format!(
            "This burns {entries} for good: only the file you imported can bring them back."
        ));
        if !terminal::agrees("Undo the import?")? {
            return Err(Failure::fixable("not-confirmed", "Nothing was undone."));
        }
    }
    let mut progress = Progress::new(out, burned);
    let mut done = 0;
    for heap in &heaps {
        progress.show(done);
        me.burn(&heap.docs, &heap.blobs)?;
        done += heap.docs.len();
    }
    drop(progress);
    let mut undelivered = None;
    if burned > 0
        && let Err(error) = context.block_on(exchange(out, &me, args.timeout))
    {
        undelivered = told(error);
    }
    home.close()?;
    let value = json!({
        "undone": batch,
        "burned": burned,
        "left": left,
        "delivered": undelivered.is_none(),
    });
    out.data(&value, || {
        let mut words = match burned {
            0 => "Nothing was burned.".to_owned(),
            _ => format!("{entries} burned. `ajar burn --status` says how far it is."),
        };
        if left > 0 {
            let stays = counted(left, "entry stays", "entries stay");
            words += &format!("\n{stays}: changed or opened since.");
        }
        words
    })?;
    undelivered.map_or(Ok(()), Err)
}

/// What came with an archive and is in no list: names, and kinds of a newer version.
fn unlisted(me: &Space, batch: &str) -> Result<Vec<DocId>, Failure> {
    let rows = me.rows(RowQuery::default())?.into_iter();
    let listed: HashSet<DocId> = rows
        .filter(|row| Line::decode(&row.head).is_some())
        .map(|row| row.doc)
        .collect();
    let mut found = Vec::new();
    for info in me.documents_where(move |doc| !listed.contains(doc))? {
        match me.document(info.id).read(imprint_of) {
            Ok(Some(imprint)) if imprint.batch == batch => found.push(info.id),
            Ok(_) => {}
            Err(error) => match Failure::from(error) {
                // A damaged place on the disk takes one record, not the others.
                failure if records::is_damage(&failure) => {}
                failure => return Err(failure),
            },
        }
    }
    Ok(found)
}

/// Where Only me stays on this device, that is no failure.
fn told(error: Error) -> Option<Failure> {
    (!is_chosen(&error)).then(|| burn::not_delivered(error))
}

/// What one burn takes.
#[derive(Default)]
struct Heap {
    docs: Vec<DocId>,
    blobs: Vec<BlobId>,
}

/// What is to be burned, in parts, and how many entries are left because something was done to them.
fn sorted(me: &Space, docs: &[DocId]) -> Result<(Vec<Heap>, usize), Failure> {
    let (mut heaps, mut left) = (vec![Heap::default()], 0);
    for doc in docs {
        let blobs = me.document(*doc).read(|doc| {
            let photos = || match schema::kind_of(doc) {
                Ok(Kind::Opening) => opening::read(doc).map(|opening| opening.photos),
                Ok(Kind::Entry) => entry::read(doc).map(|entry| entry.photos),
                _ => Ok(Vec::new()),
            };
            let photos = is_untouched(doc).then(photos)?.ok()?;
            Some(ids_of(&photos))
        })?;
        let Some(blobs) = blobs else {
            left += 1;
            continue;
        };
        let full = heaps
            .last()
            .is_none_or(|heap| heap.docs.len() >= DOCS || heap.blobs.len() + blobs.len() > BLOBS);
        if full {
            heaps.push(Heap::default());
        }
        if let Some(heap) = heaps.last_mut() {
            heap.docs.push(*doc);
            heap.blobs.extend(blobs);
        }
    }
    heaps.retain(|heap| !heap.docs.is_empty());
    Ok((heaps, left))
}

fn prefix(typed: &str) -> Result<String, Failure> {
    let text = typed.trim().to_ascii_lowercase();
    let hex = text.bytes().all(|b| b.is_ascii_hexdigit());
    if hex && (PREFIX_MIN..=WHOLE).contains(&text.len()) {
        return Ok(text);
    }
    Err(Failure::fixable(
        "bad-id",
        format!("The id of an import is {PREFIX_MIN} to {WHOLE} of the characters 0-9 and a-f."),
    )
    .hint("The import printed it, and `ajar show` prints it with each entry that came with it."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_characters_are_not_enough_to_undo_anything() {
        for wrong in ["", "3f2a", "3f2a9c0", "3f2a9c0x", &"0".repeat(33)] {
            assert_eq!(prefix(wrong).unwrap_err().code(), "bad-id", "{wrong}");
        }
        assert_eq!(prefix(" 3F2A9C01 ").unwrap(), "3f2a9c01");
    }
}
