//! `ajar open`: gives the partner a copy of an entry, and shows exactly what it is before.

use std::collections::BTreeMap;
use std::time::Duration;

use ajar_journal::entry::{self, Entry};
use ajar_journal::opening::{self, Projection, Stage};
use ajar_sync::{Error, Home, Ownership, Space, SpaceKind, doc_id_text};
use serde_json::json;

use super::{exchange, show};
use crate::cli::Open;
use crate::context::{Context, Need};
use crate::photo::Placed;
use crate::records::{Content, Record};
use crate::report::{Exit, Failure};
use crate::{dates, ids, names, records, terminal};

pub(crate) fn run(context: &Context, args: &Open) -> Result<(), Failure> {
    let out = context.out;
    let stage: Stage = args
        .stage
        .parse()
        .map_err(|error: opening::NoSuchStage| Failure::fixable("bad-stage", error))?;
    let prefix = ids::Prefix::parse(&args.id)?;
    let home = context.open_home(Need::Private)?;
    let me = home.space(SpaceKind::Private)?;
    let found = prefix.find(&me)?;
    let id = match prefix.only(found.into_iter().map(|info| info.id))? {
        Some(id) => id,
        None => return Err(not_an_entry(&home, &prefix)?),
    };
    let private = me.document(id);
    let entry = match records::read(&private)? {
        Content::Record(Record::Entry(entry)) => entry,
        Content::Unreadable(error) => return Err(error.into()),
        Content::Record(Record::Opening(_) | Record::Small(..)) | Content::Other => {
            return Err(Failure::fixable(
                "other-kind",
                "This is not an entry, so there is nothing to open.",
            ));
        }
    };
    let projection = opening::project(&entry, stage).map_err(|error| {
        Failure::fixable("stage-not-yet", error).hint("Choose --stage room, or leave it closed.")
    })?;
    if args.preview {
        return out.data(&preview_json(&projection), || {
            opening::preview(&projection).trim_end().to_owned()
        });
    }
    let us = match home.space(SpaceKind::Shared) {
        Err(Error::NotPaired) => {
            return Err(Failure::fixable(
                "not-paired",
                "There is nobody to open it to yet; nothing was shown to anyone.",
            )
            .hint(
                "Meet your partner first: `ajar pair` on one side, `ajar join CODE` on the other.",
            ));
        }
        other => other?,
    };
    refuse_twice(&home, &entry, stage)?;
    if !args.yes {
        ask(context, &names::Names::of(&home), &projection)?;
    }

    let mut placed = Placed::none(&us);
    let projection = seal_photos(context, &mut placed, &me, &entry, projection, args.timeout)?;
    let copy = us.create_document(Ownership::Mine)?;
    let (shared_id, at_ms) = (doc_id_text(copy.id()), dates::now_ms());
    // The note first: a copy that the entry does not know of could be opened a second time.
    let noted = shared_id.clone();
    private.change(move |tx| entry::note_opening(tx, &noted, stage, at_ms))?;
    let day = dates::today();
    copy.change(move |tx| opening::create(tx, &projection, &day))?;
    placed.kept();

    let delivered = context.block_on(exchange(out, &us, args.timeout));
    let id = copy.id();
    home.close()?;
    out.data(
        &json!({
            "id": shared_id,
            "entry": doc_id_text(private.id()),
            "stage": stage,
            "delivered": delivered.is_ok(),
        }),
        || ids::short(id),
    )?;
    match delivered {
        Ok(_) => {
            out.talk("Open. The relay has it; your partner gets it with their next exchange.");
            Ok(())
        }
        Err(error) => Err(undelivered(error)),
    }
}

/// What a person meant who names something that is not in Only me.
fn not_an_entry(home: &Home, prefix: &ids::Prefix) -> Result<Failure, Failure> {
    let shared = match home.space(SpaceKind::Shared) {
        Ok(us) => prefix.find(&us)?,
        Err(_) => Vec::new(),
    };
    Ok(match prefix.only(shared.into_iter().map(|info| info.id)) {
        Ok(None) => prefix.not_found(false),
        _ => Failure::fixable("already-open", "This stands open between you already.")
            .hint("Entries that can be opened: ajar list --me"),
    })
}

/// Seals the photos anew for the shared space: their ids, keys and names stay where they are.
fn seal_photos(
    context: &Context,
    placed: &mut Placed<'_>,
    me: &Space,
    entry: &Entry,
    projection: Projection,
    wait: Duration,
) -> Result<Projection, Failure> {
    let mut copies = BTreeMap::new();
    for photo in &entry.photos {
        let copy = context.block_on(placed.copy(photo, me, wait))?;
        copies.insert(photo.id.clone(), copy);
    }
    Ok(projection
        .with_copies(entry, &copies)
        .map_err(ajar_journal::Error::from)?)
}

fn preview_json(projection: &Projection) -> serde_json::Value {
    let photos: Vec<serde_json::Value> = projection
        .photos()
        .iter()
        .map(|photo| {
            json!({
                "type": photo.media,
                "bytes": photo.length,
                "width": photo.size.map(|(width, _)| width),
                "height": photo.size.map(|(_, height)| height),
                "original": photo.original,
            })
        })
        .collect();
    json!({
        "stage": projection.stage(),
        "title": projection.title(),
        "date": projection.date(),
        "text": projection.text(),
        "photos": photos,
    })
}

/// A second copy would stand beside the first and say the same.
fn refuse_twice(home: &Home, entry: &Entry, stage: Stage) -> Result<(), Failure> {
    let noted = show::noted(entry);
    let shared = show::open_ids(home, move |id| noted.contains(&doc_id_text(*id)))?;
    let open = entry
        .openings
        .iter()
        .find(|opened| opened.stage >= stage && shared.contains(&opened.opening_id));
    match open {
        None => Ok(()),
        Some(opened) => {
            let short = opened.opening_id.get(..8).unwrap_or_default();
            Err(Failure::fixable(
                "already-open",
                format!("This entry is already open, as {short}."),
            )
            .hint(format!(
                "To change what your partner reads: ajar edit {short}"
            )))
        }
    }
}

fn ask(context: &Context, names: &names::Names, projection: &Projection) -> Result<(), Failure> {
    if !terminal::can_ask() {
        return Err(Failure::fixable("no-terminal", "Opening is asked about, and there is no terminal to ask on; nothing was shown to anyone.")
            .hint("Look with --preview, then use --yes."));
    }
    context.out.insist(opening::preview(projection));
    if terminal::agrees(&format!("Open this to {}?", names.partner()))? {
        Ok(())
    } else {
        Err(Failure::fixable(
            "kept-closed",
            "It stays closed. Nothing was shown to anyone.",
        ))
    }
}

/// The copy is kept whatever the relay does; only a relay that lies is worse than not delivered.
fn undelivered(error: Error) -> Failure {
    let failure = Failure::from(error);
    if failure.exit() == Exit::Broke {
        return failure;
    }
    // A pause ends in another way than a relay's absence.
    let hint = failure
        .hint_text()
        .unwrap_or("It travels with the next `ajar sync` that reaches the relay.")
        .to_owned();
    Failure::new(
        Exit::Undelivered,
        failure.code(),
        format!(
            "Opened and kept here, not yet delivered: {}",
            failure
                .message()
                .trim_start_matches("kept here, not yet delivered: ")
        ),
    )
    .hint(hint)
}
