//! `ajar open`: gives the partner a copy of an entry, as far as its author likes, and shows exactly
//! what it is before.

use std::collections::BTreeMap;
use std::time::Duration;

use ajar_journal::entry::{self, Entry, Intent, OpenedAs};
use ajar_journal::opening::{self, Choice, Part, Projection, Stage};
use ajar_sync::{DocId, Document, Error, Home, Ownership, Space, SpaceKind, doc_id_text};
use serde_json::json;

use super::{doors, exchange};
use crate::cli::Open;
use crate::context::{Context, Need};
use crate::photo::Placed;
use crate::records::{Content, Record};
use crate::report::{Exit, Failure};
use crate::{dates, ids, names, records, terminal};

pub(crate) fn run(context: &Context, args: &Open) -> Result<(), Failure> {
    let out = context.out;
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
    let Some(stage) = args.stage else {
        let intent = if args.close {
            Intent::Close
        } else {
            Intent::Hold
        };
        return intend(context, home, &private, &entry, intent);
    };
    let projection = opening::project(&entry, choice(args, stage)?)
        .map_err(|error| Failure::fixable("cannot-show", error).hint(hint(stage)))?;
    if args.preview {
        return out.data(&preview_json(&projection), || {
            opening::preview(&projection).trim_end().to_owned()
        });
    }
    let us = doors::shared(&home)?;
    let standing = standing(&us, &entry)?;
    if let Some((opened, copy)) = &standing {
        refuse_nothing_new(copy, opened, &projection)?;
    }
    ask(context, args, &names::Names::of(&home), &projection)?;

    let mut placed = Placed::none(&us);
    let projection = seal_photos(
        context,
        &mut placed,
        &me,
        &entry,
        projection,
        args.wait.timeout,
    )?;
    let (copy, at_ms) = match &standing {
        Some((_, copy)) => (copy.clone(), dates::now_ms()),
        None => (us.create_document(Ownership::Mine)?, dates::now_ms()),
    };
    let shared_id = doc_id_text(copy.id());
    // The note first: a copy that the entry does not know of could be opened a second time.
    let noted = shared_id.clone();
    private.change(move |tx| entry::note_opening(tx, &noted, stage, at_ms))?;
    if standing.is_some() {
        copy.change(move |tx| opening::raise(tx, &projection))?;
    } else {
        let day = dates::today();
        copy.change(move |tx| opening::create(tx, &projection, &day))?;
    }
    placed.kept();

    let delivered = context.block_on(exchange(out, &us, args.wait.timeout));
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
            if stage != Stage::Room {
                out.talk("You can hold here as long as you like.");
            }
            Ok(())
        }
        Err(error) => Err(undelivered(error)),
    }
}

fn choice(args: &Open, stage: Stage) -> Result<Choice, Failure> {
    let gist = terminal::given_or_asked_if(args.gist.as_deref(), "In one sentence:")?;
    Ok(Choice {
        parts: (!args.layers.is_empty()).then(|| args.layers.iter().copied().collect()),
        gist: gist.filter(|gist| !gist.trim().is_empty()),
        need: args.need,
        when: args.when,
        reply: !args.no_reply_wanted,
        ..Choice::from(stage)
    })
}

fn hint(stage: Stage) -> &'static str {
    match stage {
        Stage::Weather => "Give the entry a feeling: ajar edit ID --point -0.5,0.75 --word worried",
        Stage::Gist => "Give the sentence: --gist 'I am afraid of Monday.'",
        Stage::Knock | Stage::Room => "`ajar show ID` lists what the entry has.",
    }
}

/// What the author wants of the opening from here on. Nothing is sent.
fn intend(
    context: &Context,
    home: Home,
    private: &Document,
    entry: &Entry,
    intent: Intent,
) -> Result<(), Failure> {
    let us = doors::shared(&home)?;
    let Some((opened, _)) = standing(&us, entry)? else {
        return Err(Failure::fixable(
            "not-open",
            "Nothing of this entry stands open.",
        ));
    };
    let (id, stage) = (opened.opening_id, opened.stage);
    let noted = id.clone();
    private.change(move |tx| entry::note_intent(tx, &noted, intent))?;
    home.close()?;
    let value = json!({"id": id, "stage": stage, "intent": intent});
    context.out.data(&value, || ids::beginning(id.clone()))?;
    context.out.talk(match intent {
        Intent::Hold => "It stays as it is. Nothing was sent.",
        Intent::Close => {
            "It is opened no further; what they have stays. Nothing was sent. `ajar take-back` removes it."
        }
    });
    Ok(())
}

/// The copy of an entry that stands open, and the entry's note of it: the one opened furthest.
fn standing(us: &Space, entry: &Entry) -> Result<Option<(OpenedAs, Document)>, Failure> {
    let noted: Vec<String> = entry
        .openings
        .iter()
        .map(|it| it.opening_id.clone())
        .collect();
    let found = us.documents_where(move |id| noted.contains(&doc_id_text(*id)))?;
    let own = |id: DocId| found.iter().any(|info| info.id == id && info.writable);
    let mut standing: Vec<(OpenedAs, Document)> = Vec::new();
    for opened in &entry.openings {
        let id = found.iter().map(|info| info.id);
        let mut id = id.filter(|id| doc_id_text(*id) == opened.opening_id && own(*id));
        standing.extend(id.next().map(|id| (opened.clone(), us.document(id))));
    }
    standing.sort_by_key(|(opened, _)| opened.stage);
    Ok(standing.pop())
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
            .hint("Name the entry to open it further: ajar list --me"),
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
    let shown = entry
        .photos
        .iter()
        .filter(|_| !projection.photos().is_empty());
    for photo in shown {
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
        "parts": projection.parts().collect::<Vec<_>>(),
        "title": projection.title(),
        "date": projection.date(),
        "gist": projection.gist(),
        "layers": projection.layers(),
        "need": projection.need(),
        "when": projection.when(),
        "reply": projection.is_reply_wanted(),
        "text": projection.text(),
        "photos": photos,
    })
}

/// Opening the same again would say nothing that is not said.
fn refuse_nothing_new(
    copy: &Document,
    opened: &OpenedAs,
    projection: &Projection,
) -> Result<(), Failure> {
    let Content::Record(Record::Opening(now)) = records::read(copy)? else {
        return Ok(());
    };
    let further = projection.stage() > now.stage
        || projection.stage() == now.stage
            && (projection.parts().any(|part| !now.shows(part))
                || projection
                    .gist()
                    .is_some_and(|gist| now.gist.as_deref() != Some(gist)));
    if further {
        return Ok(());
    }
    let short = ids::beginning(opened.opening_id.clone());
    let message = match projection.stage() < now.stage {
        true => format!("This entry is open further than that already, as {short}."),
        false => format!("This entry is already open, as {short}."),
    };
    Err(Failure::fixable("already-open", message).hint(format!(
        "To change what your partner reads: ajar edit {short}. To remove it: ajar take-back {short}"
    )))
}

fn ask(
    context: &Context,
    args: &Open,
    names: &names::Names,
    projection: &Projection,
) -> Result<(), Failure> {
    let echo = projection.parts().any(|part| part == Part::Echo);
    if args.yes {
        if echo && !args.echo_too {
            return Err(Failure::fixable(
                "echo-asked-twice",
                "The echo of an older day is asked about twice; nothing was shown to anyone.",
            )
            .hint("Add --echo-too if it is to be shown, or leave it out of --layers."));
        }
        return Ok(());
    }
    if !terminal::can_ask() {
        return Err(Failure::fixable("no-terminal", "Opening is asked about, and there is no terminal to ask on; nothing was shown to anyone.")
            .hint("Look with --preview, then use --yes."));
    }
    context.out.insist(opening::preview(projection));
    let closed = || {
        Failure::fixable(
            "kept-closed",
            "It stays closed. Nothing was shown to anyone.",
        )
    };
    let question = format!("Send this {} to {}?", projection.stage(), names.partner());
    if !terminal::agrees(&question)? {
        return Err(closed());
    }
    if echo && !terminal::agrees("The echo of an older day too?")? {
        return Err(closed());
    }
    Ok(())
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
            "Kept here, not yet delivered: {}",
            failure
                .message()
                .trim_start_matches("kept here, not yet delivered: ")
        ),
    )
    .hint(hint)
}
