//! `ajar edit`: saves a change of what the person wrote. What another device saved meanwhile stays.

use ajar_journal::opening::Part;
use ajar_journal::{Paragraph, Photo, entry, opening};
use ajar_sync::doc_id_text;
use serde_json::json;

use super::photo::nth;
use crate::cli::Edit;
use crate::compose::{self, Composed};
use crate::context::{Context, Need};
use crate::names::Author;
use crate::output::Output;
use crate::photo::Placed;
use crate::records::{Found, Record};
use crate::report::Failure;
use crate::{dates, ids, photo, records, terminal};

pub(crate) fn run(context: &Context, args: &Edit) -> Result<(), Failure> {
    let out = context.out;
    let date = args.date.as_deref().map(dates::typed).transpose()?;
    let home = context.open_home(Need::Home)?;
    let found = records::find(&home, &args.id)?;
    let located = found.located()?;
    if located.author != Author::Me || !found.info.writable {
        return Err(Failure::fixable(
            "not-yours",
            "These are your partner's words; only they can change them.",
        ));
    }
    if matches!(located.record, Record::Small(..)) {
        return Err(Failure::fixable(
            "other-kind",
            "This is neither an entry nor an opening; `ajar edit` leaves it as it is.",
        )
        .hint("A paragraph of a page: ajar book page edit. An agreement: ajar agree change. A letter can be recalled and written anew."));
    }
    let is_opening = matches!(located.record, Record::Opening(_));
    let is_open = matches!(&located.record, Record::Entry(entry) if !entry.openings.is_empty());
    if is_opening && !args.tags.is_empty() {
        return Err(Failure::fixable(
            "tags-stay-private",
            "Tags stay in Only me; an opening has none.",
        )
        .hint("Tag the entry it was opened from."));
    }

    if matches!(&located.record, Record::Opening(opening) if !opening.shows(Part::Photos))
        && args.photos.is_any()
    {
        return Err(Failure::fixable(
            "photos-not-shown",
            "This door does not show photos; nothing was added.",
        )
        .hint("Add it to the entry, and open the entry further: --stage room --layers photos"));
    }
    let gone: Vec<Photo> = args
        .remove_photos
        .iter()
        .map(|number| nth(located.record.photos(), *number).cloned())
        .collect::<Result<_, _>>()?;
    let mut placed = Placed::none(&found.space);
    let new = placed.photos(out, &args.photos)?;

    let title = terminal::given_or_asked_if(args.title.as_deref(), "Title:")?;
    let tags = terminal::each_given_or_asked(&args.tags, "Tag:")?;
    let only_about = args.title.is_some()
        || args.date.is_some()
        || !args.tags.is_empty()
        || args.feeling.is_given()
        || args.feeling.sort.is_some()
        || args.star
        || args.rest
        || !gone.is_empty()
        || !new.is_empty();
    let composed = if args.text.is_empty() && only_about {
        None
    } else {
        let before = in_editor(out, &located.record);
        let composed = compose::text(out, &context.dir()?, &args.text, Some(&before))?;
        let wordless = matches!(&located.record, Record::Entry(entry) if !entry.layers.is_empty());
        if located.record.photos().is_empty() && new.is_empty() && !wordless {
            compose::not_empty(&composed.text)?;
        }
        Some(composed)
    };
    let edit = Changes {
        title: title.map(|title| Some(title).filter(|title| !title.trim().is_empty())),
        date,
        text: composed.as_ref().map(|composed| composed.text.clone()),
        seen: located.record.paragraphs().to_vec(),
        tags: (!tags.is_empty()).then(|| {
            let tags = tags.into_iter();
            tags.filter(|tag| !tag.trim().is_empty()).collect()
        }),
    };
    let changed = save(&found, is_opening, edit)
        .and_then(|changed| Ok(save_photos(&found, &gone, new)? || changed))
        .and_then(|changed| Ok(save_feeling(&found, &located.record, args)? || changed));
    let changed = match (changed, composed) {
        (Ok(changed), _) => changed,
        (Err(failure), Some(composed)) => return Err(Composed::not_kept(composed, failure)),
        (Err(failure), None) => return Err(failure),
    };
    placed.kept();
    // After the record has let go of them: a death in between leaves files, not holes.
    found.space.forget_blobs(&photo::ids_of(&gone))?;
    let id = found.info.id;
    home.close()?;
    out.data(&json!({"id": doc_id_text(id), "changed": changed}), || {
        ids::short(id)
    })?;
    out.talk(match (changed, is_opening) {
        (false, _) => "Nothing changed.",
        (true, false) if is_open => "Kept in Only me. What you opened from it stays as it was.",
        (true, false) => "Kept in Only me.",
        (true, true) => "Kept here. `ajar sync` brings it to your partner.",
    });
    Ok(())
}

/// What is changed, for an entry or an opening.
struct Changes {
    title: Option<Option<String>>,
    date: Option<String>,
    text: Option<String>,
    seen: Vec<Paragraph>,
    tags: Option<Vec<String>>,
}

fn save(found: &Found, is_opening: bool, changes: Changes) -> Result<bool, Failure> {
    let Changes {
        title,
        date,
        text,
        seen,
        tags,
    } = changes;
    let seen = Some(seen);
    Ok(if is_opening {
        let edit = opening::Edit {
            title,
            date,
            text,
            seen,
        };
        found
            .document()
            .change(move |tx| opening::edit(tx, &edit))?
    } else {
        let saved_at_ms = dates::now_ms();
        let edit = entry::Edit {
            title,
            date,
            text,
            seen,
            tags,
            saved_at_ms,
        };
        found.document().change(move |tx| entry::edit(tx, &edit))?
    })
}

/// Layers and marks, which only an entry has.
fn save_feeling(found: &Found, record: &Record, args: &Edit) -> Result<bool, Failure> {
    let (sort, star, rest) = (args.feeling.sort, args.star, args.rest);
    let marked = sort.is_some() || star || rest;
    if !args.feeling.is_given() && !marked {
        return Ok(false);
    }
    let Record::Entry(entry) = record else {
        return Err(Failure::fixable(
            "only-in-an-entry",
            "The layers of what you opened are those you opened; change the entry, and open it again.",
        ));
    };
    let (layers, now) = (args.feeling.over(entry.layers.clone())?, dates::now_ms());
    let (starred, rests) = (entry.starred, entry.let_rest);
    Ok(found.document().change(move |tx| {
        let changed = entry::set_layers(tx, &layers, now)?;
        let star = star.then_some(!starred);
        let rest = rest.then_some(!rests);
        Ok::<_, ajar_journal::Error>(entry::mark(tx, sort, star, rest)? || changed)
    })?)
}

fn save_photos(found: &Found, gone: &[Photo], new: Vec<Photo>) -> Result<bool, Failure> {
    if gone.is_empty() && new.is_empty() {
        return Ok(false);
    }
    let (ids, now) = (
        gone.iter()
            .map(|photo| photo.id.clone())
            .collect::<Vec<_>>(),
        dates::now_ms(),
    );
    Ok(found.document().change(move |tx| {
        let removed = ajar_journal::photo::remove(tx, &ids, now)?;
        ajar_journal::photo::add(tx, &new, now)?;
        Ok::<_, ajar_journal::Error>(removed || !new.is_empty())
    })?)
}

/// The text to begin with. Where devices wrote the same lines at the same time, all of them are in
/// it: saving settles what stays, so the person must have had everything in front of them.
fn in_editor(out: Output, record: &Record) -> String {
    let mut lines = Vec::new();
    for paragraph in record.paragraphs() {
        lines.push(paragraph.text.as_str());
        lines.extend(paragraph.others.iter().map(String::as_str));
    }
    if lines.len() > record.paragraphs().len() {
        out.talk("Some lines were written on two devices at the same time. Both are in the text: keep what you want.");
    }
    lines.join("\n")
}
