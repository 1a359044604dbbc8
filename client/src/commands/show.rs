//! `ajar show`: one entry or opening, whole.

use std::collections::HashSet;

use ajar_journal::Photo;
use ajar_journal::entry::{Entry, Intent};
use ajar_journal::import::{FORMATS, Mark};
use ajar_journal::opening::Stage;
use ajar_journal::text::{displayable, displayable_line};
use ajar_sync::{DocId, Home, SpaceKind, doc_id_text};
use serde_json::{Value, json};

use crate::cli::Show;
use crate::context::{Context, Need};
use crate::names::{Author, Names, space_name};
use crate::photo::length_words;
use crate::records::{Located, Record};
use crate::report::Failure;
use crate::thread::Thread;
use crate::{dates, ids, records};

pub(crate) fn run(context: &Context, args: &Show) -> Result<(), Failure> {
    let out = context.out;
    let home = context.open_home(Need::Home)?;
    let names = Names::of(&home);
    let located = records::find(&home, &args.id)?.located()?;
    let noted: HashSet<String> = match &located.record {
        Record::Entry(entry) => noted(entry),
        Record::Opening(_) | Record::Small(..) => HashSet::new(),
    };
    let open = open_ids(&home, move |id| noted.contains(&doc_id_text(*id)))?;
    let thread = match &located.record {
        Record::Opening(_) => {
            let us = home.space(located.space)?;
            Some(Thread::of(&us, &doc_id_text(located.id), located.author)?)
        }
        Record::Entry(_) | Record::Small(..) => None,
    };
    home.close()?;
    let mut value = to_json(&located, &names, &open);
    if let (Value::Object(fields), Some(thread)) = (&mut value, &thread) {
        fields.insert("thread".to_owned(), thread.to_json(&names));
    }
    out.data(&value, || {
        let mut text = words(&located, &names, &open);
        let said = thread.iter().flat_map(|thread| thread.lines(&names));
        for (number, line) in said.enumerate() {
            text += if number == 0 { "\n\n" } else { "\n" };
            text += &line;
        }
        text
    })
}

/// Ids of the openings that an entry remembers.
pub(super) fn noted(entry: &Entry) -> HashSet<String> {
    let openings = entry.openings.iter();
    openings.map(|opened| opened.opening_id.clone()).collect()
}

/// Ids of what is in the shared space and wanted, as entries remember their openings.
pub(super) fn open_ids(
    home: &Home,
    wanted: impl Fn(&DocId) -> bool + Send + 'static,
) -> Result<Vec<String>, Failure> {
    match home.space(SpaceKind::Shared) {
        Ok(us) => Ok(us
            .documents_where(wanted)?
            .iter()
            .map(|info| doc_id_text(info.id))
            .collect()),
        Err(_) => Ok(Vec::new()),
    }
}

/// The shape that `show` promises to scripts.
pub(super) fn to_json(located: &Located, names: &Names, open: &[String]) -> Value {
    let mut value = located.to_json(names);
    if let Value::Object(fields) = &mut value {
        fields.insert("paragraphs".to_owned(), json!(located.record.paragraphs()));
        fields.insert(
            "title_others".to_owned(),
            json!(located.record.title_others()),
        );
        let photos: Vec<Value> = (1..)
            .zip(located.record.photos())
            .map(|(number, photo)| photo_json(number, photo))
            .collect();
        fields.insert("photos".to_owned(), json!(photos));
        if let Record::Entry(entry) = &located.record {
            let openings: Vec<Value> = entry
                .openings
                .iter()
                .filter(|opened| open.contains(&opened.opening_id))
                .map(|opened| json!({"id": opened.opening_id, "stage": opened.stage, "at": dates::utc(opened.at_ms), "intent": opened.intent}))
                .collect();
            fields.insert("openings".to_owned(), json!(openings));
            if let Some(mark) = &entry.imported {
                fields.insert("imported".to_owned(), json!(mark));
            }
        }
    }
    value
}

/// A photo as scripts get it: what it is, nothing of where it lies.
fn photo_json(number: usize, photo: &Photo) -> Value {
    json!({
        "number": number,
        "type": photo.media,
        "bytes": photo.content.length,
        "width": photo.size.map(|(width, _)| width),
        "height": photo.size.map(|(_, height)| height),
        "name": photo.name,
        "original": photo.original,
    })
}

/// A photo in one line.
pub(super) fn photo_words(number: usize, photo: &Photo) -> String {
    let (media, length) = (photo.media.as_str(), length_words(photo.content.length));
    let mut line = match photo.size {
        Some((width, height)) => {
            format!("Photo {number}: {media}, {width} x {height}, {length}")
        }
        None => format!("File {number}: {media}, {length}"),
    };
    if photo.original {
        line += ", original";
    }
    if let Some(name) = &photo.name {
        line += &format!(" ({})", displayable_line(name));
    }
    line
}

/// Where an entry came from, and what else was known of it there.
fn imported_words(mark: &Mark) -> Vec<String> {
    let known = FORMATS
        .into_iter()
        .find(|format| format.as_str() == mark.imprint.format);
    let from = known.map_or(&*mark.imprint.format, |format| format.name());
    let (from, batch) = (
        displayable_line(from),
        displayable_line(&mark.imprint.batch),
    );
    let mut lines = vec![format!("Came from {from}, with the import {batch}")];
    for (name, value) in &mark.kept {
        let (name, value) = (displayable_line(name), displayable_line(value));
        lines.push(format!("  {name}: {value}"));
    }
    lines
}

fn words(located: &Located, names: &Names, open: &[String]) -> String {
    let record = &located.record;
    let mut lines = vec![head(located.id, located, names)];
    if let Some(title) = record.title() {
        lines.push(displayable_line(title));
    }
    for other in record.title_others() {
        lines.push(format!(
            "(or, written at the same time: {})",
            displayable_line(other)
        ));
    }
    if let Record::Entry(entry) = record
        && !entry.tags.is_empty()
    {
        let tags: Vec<String> = entry.tags.iter().map(|tag| displayable_line(tag)).collect();
        lines.push(format!("Tags: {}", tags.join(", ")));
    }
    lines.extend(feeling(record, names, located.author));
    lines.push(String::new());
    if let Record::Small(_, facts) = record {
        lines.extend(facts.texts.iter().map(|text| displayable(text)));
    }
    for paragraph in record.paragraphs() {
        lines.push(displayable(&paragraph.text));
        for other in &paragraph.others {
            lines.push(format!(
                "    (or, written at the same time: {})",
                displayable(other)
            ));
        }
    }
    if let Record::Small(..) = record {
        lines.push(match located.is_closed() {
            true => format!(
                "(closed; `ajar letter read {}` opens it when it is time)",
                ids::short(located.id)
            ),
            false => displayable(&record.text()),
        });
    }
    for (number, photo) in (1..).zip(record.photos()) {
        if number == 1 {
            lines.push(String::new());
        }
        lines.push(photo_words(number, photo));
    }
    if let Record::Entry(entry) = record
        && let Some(mark) = &entry.imported
    {
        lines.push(String::new());
        lines.extend(imported_words(mark));
    }
    if let Record::Entry(entry) = record {
        let opened = entry
            .openings
            .iter()
            .filter(|opened| open.contains(&opened.opening_id));
        for (place, opened) in opened.enumerate() {
            if place == 0 {
                lines.push(String::new());
            }
            let short = opened.opening_id.get(..8).unwrap_or_default();
            let closed = match opened.intent {
                Intent::Hold => "",
                Intent::Close => ", and no further",
            };
            lines.push(format!(
                "Opened as {} on {}{closed}: {short}",
                opened.stage,
                dates::local(opened.at_ms)
            ));
        }
    }
    lines.join("\n")
}

/// The layers, and what somebody would like with them.
fn feeling(record: &Record, names: &Names, author: Author) -> Vec<String> {
    let mut lines = Vec::new();
    let layers = match record {
        Record::Entry(entry) => &entry.layers,
        Record::Opening(opening) => {
            let name = names.name(author);
            if opening.stage == Stage::Knock {
                lines.push(format!("{name} knocks: something is moving."));
            }
            let gist = opening.gist.as_deref();
            lines.extend(gist.map(|gist| format!("In one sentence: {}", displayable_line(gist))));
            lines.extend(opening.need.map(|need| need.asks(name)));
            if !opening.reply {
                lines.push("No answer is needed.".to_owned());
            }
            &opening.layers
        }
        Record::Small(..) => return lines,
    };
    let layers = layers.lines().into_iter();
    lines.extend(layers.map(|(name, value)| format!("{name}: {}", displayable(&value))));
    lines
}

fn head(id: DocId, located: &Located, names: &Names) -> String {
    let date = displayable_line(&located.record.date().replacen('T', " ", 1));
    let place = match (located.space, located.author) {
        (SpaceKind::Private, Author::Me) => space_name(located.space).to_owned(),
        (SpaceKind::Private, _) => format!(
            "{}, written by {}",
            space_name(located.space),
            located.author_name(names)
        ),
        (SpaceKind::Shared, author) if matches!(located.record, Record::Small(..)) => {
            format!("{} · by {}", located.record.kind(), names.name(author))
        }
        (SpaceKind::Shared, Author::Me) => "opened by you".to_owned(),
        (SpaceKind::Shared, author) => format!("opened by {}", names.name(author)),
    };
    let future = match dates::is_to_come(located.record.date()) {
        true => " (dated in the future)",
        false => "",
    };
    format!("{date}{future} · {place} · {}", ids::short(id))
}
