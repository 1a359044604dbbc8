//! One reading as Markdown with front matter, readable by people and by other programs.

use super::reading::{Note, Reading};
use crate::imported::{Author, Side};
use crate::photo::Photo;
use crate::text::{displayable, displayable_line};

/// The way from an entry's file to the top of the archive.
const TOP: &str = "../../";

/// A text as YAML takes it: JSON's strings are YAML's.
fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap_or_else(|_| "\"\"".to_owned())
}

pub(super) fn of(reading: &Reading<'_>) -> String {
    let document = reading.document;
    let mut text = String::from("---\n");
    let mut line = |key: &str, value: &str| text.push_str(&format!("{key}: {value}\n"));
    line("id", &quoted(&document.id));
    line("date", &quoted(reading.date));
    if let Some(title) = reading.title {
        line("title", &quoted(title));
    }
    let tags: Vec<String> = reading.tags.iter().map(|tag| quoted(tag)).collect();
    line("tags", &format!("[{}]", tags.join(", ")));
    line("author", document.origin.author.as_str());
    if let Some(name) = &document.origin.author_name {
        line("author_name", &quoted(name));
    }
    line("space", document.origin.space.as_str());
    line("kind", &quoted(document.kind.as_str()));
    if reading.starred {
        line("starred", "true");
    }
    text.push_str("---\n");
    if reading.title.is_some() {
        text.push_str(&format!("\n# {}\n", reading.heading()));
    }
    for other in reading.title_others {
        text.push_str(&format!("\n{}\n", at_the_same_time(other)));
    }
    text.push('\n');
    if let Some(closed) = &reading.closed {
        text.push_str(&format!("*{closed}*\n"));
    }
    for paragraph in &reading.paragraphs {
        text.push_str(&displayable(&paragraph.text));
        text.push('\n');
        for other in &paragraph.others {
            text.push_str(&format!("\n> {}\n\n", at_the_same_time(other)));
        }
    }
    if !reading.layers.is_empty() {
        text.push('\n');
    }
    for (name, said) in &reading.layers {
        let said = displayable(said).replace('\n', "\n  ");
        text.push_str(&format!("- **{name}**: {said}\n"));
    }
    for (number, (photo, file)) in (1..).zip(reading.photos()) {
        text.push_str(&format!(
            "\n{}\n",
            linked(number, photo, file, document.origin.author)
        ));
    }
    for day in &reading.opened {
        text.push_str(&format!("\n*Opened on {day}.*\n"));
    }
    if !reading.notes.is_empty() {
        text.push_str("\n## What was said\n");
    }
    for one in &reading.notes {
        text.push_str(&format!("\n{}\n", note(one)));
    }
    text
}

fn at_the_same_time(other: &str) -> String {
    format!(
        "(or, written at the same time: {})",
        displayable_line(other)
    )
}

fn note(note: &Note<'_>) -> String {
    let origin = &note.document.origin;
    let only = if origin.space == Side::Me {
        ", only me"
    } else {
        ""
    };
    let who = displayable_line(origin.who());
    let quoted = displayable(&note.text).replace('\n', "\n> ");
    format!("**{who}**, {}{only}:\n\n> {quoted}", note.what)
}

fn linked(number: usize, photo: &Photo, file: Option<&str>, author: Author) -> String {
    let words = words(number, photo);
    match file {
        Some(file) if is_safe_to_show(photo, author) => format!("![{words}](<{TOP}{file}>)"),
        Some(file) => format!("[{words}](<{TOP}{file}>)"),
        None => format!("({words}, not in this archive)"),
    }
}

/// What stands beside a photo or file.
pub(super) fn words(number: usize, photo: &Photo) -> String {
    match (photo.media.is_picture(), &photo.name) {
        (true, _) => format!("Photo {number}"),
        // A name may hold what means something here.
        (false, Some(name)) => {
            let name = displayable_line(name);
            format!(
                "File {number}: {}",
                name.replace(['[', ']', '<', '>', '`'], "_")
            )
        }
        (false, None) => format!("File {number}"),
    }
}

/// A program that shows a text is not told to show what may be anything: of what somebody else
/// kept byte for byte, only that it is there.
pub(super) fn is_safe_to_show(photo: &Photo, author: Author) -> bool {
    use crate::photo::MediaType::{Gif, Jpeg, Png, Webp};
    let shown = matches!(photo.media, Jpeg | Png | Webp | Gif);
    shown && (!photo.original || author == Author::Me)
}
