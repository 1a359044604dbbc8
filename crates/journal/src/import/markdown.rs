//! Markdown: a folder or a zip of files, one for each entry, with pictures beside them.

use super::dayone::heading;
use super::front::{self, Front};
use super::reading::{Draft, MediaRef, Places, Reading};
use super::{Member, Members, Unfit};
use crate::date;

/// Largest file of one entry that is looked at, in bytes.
const FILE_BYTES_MAX: u64 = 8 << 20;
/// Endings of what is put into the entry when the text shows it.
const MEDIA_ENDINGS: [&str; 18] = [
    "jpg", "jpeg", "png", "gif", "webp", "heic", "heif", "tif", "tiff", "avif", "pdf", "mp4",
    "mov", "m4a", "mp3", "wav", "ogg", "aac",
];

pub(super) fn is_markdown(member: &Member) -> bool {
    member.ends_with(".md") || member.ends_with(".markdown")
}

pub(super) fn read(members: &mut dyn Members, into: &mut Reading) {
    let places = Places::of(members);
    let single = members.is_single();
    let mut order: Vec<usize> = (0..members.list().len()).collect();
    let name = |place: &usize| {
        let member = members.list().get(*place);
        member.map(|member| member.name.clone()).unwrap_or_default()
    };
    // Folders give their files in any order.
    order.sort_by_cached_key(name);
    let mut found = false;
    for place in order {
        let Some(member) = members.list().get(place) else {
            continue;
        };
        if !is_markdown(member) && !single {
            continue;
        }
        found = true;
        let name = member.name.clone();
        let label = crate::text::displayable_line(&name);
        let bytes = match members.read(place, FILE_BYTES_MAX) {
            Ok(bytes) => bytes,
            Err(unfit) => {
                into.skip(label, unfit);
                continue;
            }
        };
        match String::from_utf8(bytes) {
            Ok(text) => file(&text, &name, label, &places, into),
            Err(_) => into.skip(label, Unfit::NotText),
        }
    }
    if !found {
        into.skip("the whole folder", "there is no Markdown file in it");
    }
}

fn file(text: &str, name: &str, label: String, places: &Places, into: &mut Reading) {
    let (front, text) = front::part(text);
    let (date, named) = match dated(&front, name) {
        Ok(dated) => dated,
        Err(why) => {
            into.skip(label, why);
            return;
        }
    };
    let (head, rest) = match &front.title {
        Some(title) => (Some(title.clone()), text),
        None => {
            let (head, rest) = heading(text);
            match head {
                Some(head) => (Some(head.to_owned()), rest),
                None => (named, text),
            }
        }
    };
    let folder = name.rsplit_once('/').map_or("", |(folder, _)| folder);
    let (text, media) = pictures(rest, folder, places, &label, into);
    into.take(Draft {
        label,
        title: head,
        date,
        text,
        tags: front.tags,
        media,
        // Two files of one name in two folders are two entries, so only an id of its own counts.
        source_id: front.id,
        ..Draft::default()
    });
}

/// The date, and what the name of the file says behind it.
fn dated(front: &Front, name: &str) -> Result<(String, Option<String>), &'static str> {
    let from_name = from_name(name);
    let Some(written) = &front.date else {
        return from_name.ok_or(
            "it has no date; write `date: 2026-07-01` between two lines of `---` at its top, or put the day in front of its name",
        );
    };
    let date =
        local_time(written).ok_or("its date is not written as 2026-07-01 or 2026-07-01 21:30")?;
    Ok((date, from_name.and_then(|(_, rest)| rest)))
}

/// A day, with the time as it is written there: where it was written is where it was.
fn local_time(written: &str) -> Option<String> {
    let written = written.trim();
    let whole = written.replacen(' ', "T", 1);
    for length in [16, 10] {
        if let Some(front) = whole.get(..length)
            && date::check(front).is_ok()
        {
            let rest = whole.get(length..).unwrap_or_default();
            let ends = |c: char| ":.,+-Z T".contains(c) || c.is_ascii_digit();
            return rest.chars().all(ends).then(|| front.to_owned());
        }
    }
    None
}

/// The day at the beginning of the file's name, or of the folder it is in; and the words behind it.
fn from_name(name: &str) -> Option<(String, Option<String>)> {
    let last = name.rsplit('/').next().unwrap_or(name);
    let stem = last.rsplit_once('.').map_or(last, |(stem, _)| stem);
    let parts = std::iter::once(stem).chain(name.rsplit('/').skip(1).take(1));
    for part in parts {
        let Some(day) = part.get(..10).filter(|day| date::check(day).is_ok()) else {
            continue;
        };
        let rest = part.get(10..).unwrap_or_default();
        if rest.starts_with(|c: char| c.is_ascii_digit()) {
            continue;
        }
        let rest = rest.trim_matches([' ', '-', '_', '.', '–']);
        // An id is no title.
        let id = rest.chars().all(|c| c.is_ascii_hexdigit() || c == '-');
        let title = Some(rest.to_owned()).filter(|_| !id);
        return Some((day.to_owned(), title));
    }
    None
}

/// Takes out the pictures that are in the source; what is elsewhere stays in the text.
fn pictures(
    text: &str,
    folder: &str,
    places: &Places,
    label: &str,
    into: &mut Reading,
) -> (String, Vec<MediaRef>) {
    let (mut out, mut media) = (String::with_capacity(text.len()), Vec::new());
    let mut rest = text;
    while let Some(at) = rest.find("![") {
        let (before, mark) = rest.split_at_checked(at).unwrap_or((rest, ""));
        out.push_str(before);
        let Some(shown) = Shown::parse(mark) else {
            out.push_str("![");
            rest = mark.get(2..).unwrap_or_default();
            continue;
        };
        rest = shown.rest;
        match shown.find(folder, places) {
            Found::Here(member, name) => {
                media.push(MediaRef {
                    member,
                    name: Some(name),
                });
                out.push_str(&shown.words());
            }
            Found::Missing => {
                into.skip(
                    format!("a picture of {label}"),
                    "its file is not in the folder; its place in the text stays",
                );
                out.push_str(shown.whole);
            }
            Found::Elsewhere => out.push_str(shown.whole),
        }
    }
    out.push_str(rest);
    (
        if media.is_empty() {
            out
        } else {
            closed_up(&out)
        },
        media,
    )
}

/// Without the blank lines that pictures leave behind.
fn closed_up(text: &str) -> String {
    let mut lines: Vec<&str> = Vec::new();
    for line in text.split('\n') {
        let blank = |line: &str| line.trim().is_empty();
        if blank(line) && lines.last().is_some_and(|last| blank(last)) {
            continue;
        }
        lines.push(line);
    }
    lines.join("\n")
}

/// A picture as the text shows it: `![words](target)` or `![[name]]`.
struct Shown<'a> {
    whole: &'a str,
    words: &'a str,
    target: &'a str,
    by_name: bool,
    rest: &'a str,
}

enum Found {
    Here(usize, String),
    Missing,
    Elsewhere,
}

impl<'a> Shown<'a> {
    fn parse(mark: &'a str) -> Option<Self> {
        let inner = mark.get(2..)?;
        let line = inner.split('\n').next().unwrap_or(inner);
        let of = |words, target, length: usize, by_name| {
            Some(Self {
                whole: mark.get(..length)?,
                rest: mark.get(length..)?,
                words,
                target,
                by_name,
            })
        };
        if let Some(named) = line.strip_prefix('[') {
            let (target, _) = named.split_once("]]")?;
            let length = 2 + 1 + target.len() + 2;
            let target = target.split('|').next().unwrap_or(target);
            return of("", target, length, true);
        }
        let (words, after) = line.split_once("](")?;
        let (target, closed) = match after.strip_prefix('<') {
            Some(after) => (after.split_once(">")?.0, after.find(">)")? + 3),
            None => {
                let end = closing(after)?;
                (after.get(..end)?, end + 1)
            }
        };
        // A title may stand behind the target.
        let target = match target.split_once(" \"") {
            Some((target, _)) => target,
            None => target,
        };
        of(words, target.trim(), 2 + words.len() + 2 + closed, false)
    }

    /// What the picture shows, where that says more than the name of its file.
    fn words(&self) -> String {
        let words = self.words.trim();
        let last = self.target.rsplit('/').next().unwrap_or_default();
        let size = words.chars().all(|c| c.is_ascii_digit() || c == 'x');
        let told = size || words == last || last.starts_with(&format!("{words}."));
        if told {
            String::new()
        } else {
            words.to_owned()
        }
    }

    fn find(&self, folder: &str, places: &Places) -> Found {
        let target = decoded(self.target);
        let ending = target
            .rsplit_once('.')
            .map(|(_, ending)| ending.to_lowercase());
        let is_media = ending.is_some_and(|ending| MEDIA_ENDINGS.contains(&ending.as_str()));
        let remote = target.contains("://") || target.starts_with("data:");
        if remote || !is_media {
            return Found::Elsewhere;
        }
        let name = target.rsplit('/').next().unwrap_or(&target).to_owned();
        let at = within(folder, &target).and_then(|path| places.at(&path));
        let named = || self.by_name.then(|| places.named(&name)).flatten();
        match at.or_else(named) {
            Some(member) => Found::Here(member, name),
            None => Found::Missing,
        }
    }
}

/// The place of the bracket that closes a target, which may have brackets in it.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' if depth == 0 => return Some(at),
            ')' => depth -= 1,
            _ => {}
        }
    }
    None
}

/// A path beside a file; `None` when it leads out of the source.
fn within(folder: &str, target: &str) -> Option<String> {
    let mut parts: Vec<&str> = Vec::new();
    let from = if target.starts_with('/') { "" } else { folder };
    for part in from.split('/').chain(target.split('/')) {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// `%20` and the like as the bytes they stand for.
fn decoded(target: &str) -> String {
    if !target.contains('%') {
        return target.to_owned();
    }
    let mut bytes = Vec::with_capacity(target.len());
    let mut rest = target.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let hex = after.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        let byte = hex
            .filter(|hex| *first == b'%' && hex.bytes().all(|b| b.is_ascii_hexdigit()))
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        bytes.push(byte.unwrap_or(*first));
        rest = match byte {
            Some(_) => after.get(2..).unwrap_or_default(),
            None => after,
        };
    }
    String::from_utf8(bytes).unwrap_or_else(|_| target.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_day_comes_from_the_name_of_the_file_or_of_its_folder() {
        let day = |name: &str| from_name(name);
        let some =
            |day: &str, title: Option<&str>| Some((day.to_owned(), title.map(str::to_owned)));
        assert_eq!(day("2026-07-01.md"), some("2026-07-01", None));
        assert_eq!(
            day("a/2026-07-01 Rain at sea.md"),
            some("2026-07-01", Some("Rain at sea"))
        );
        let folder = "2026-07-01-4F3A99C0/index.markdown";
        assert_eq!(day(folder), some("2026-07-01", None));
        for none in [
            "notes.md",
            "2026-02-30.md",
            "2026-07-011.md",
            "20260701.md",
            "é.md",
        ] {
            assert_eq!(day(none), None, "{none}");
        }
    }

    #[test]
    fn a_date_is_taken_as_it_is_written() {
        for (written, date) in [
            ("2026-07-01", "2026-07-01"),
            ("2026-07-01 21:30", "2026-07-01T21:30"),
            ("2026-07-01T21:30:15.250+02:00", "2026-07-01T21:30"),
            ("2026-07-01T21:30:15Z", "2026-07-01T21:30"),
        ] {
            assert_eq!(local_time(written).as_deref(), Some(date), "{written}");
        }
        for wrong in ["", "July 1", "2026-02-30", "2026-07-01 soon", "01.07.2026"] {
            assert_eq!(local_time(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_path_that_leads_out_is_no_path() {
        assert_eq!(within("a/b", "../c.png").as_deref(), Some("a/c.png"));
        assert_eq!(within("a", "./c.png").as_deref(), Some("a/c.png"));
        assert_eq!(within("a", "/c.png").as_deref(), Some("c.png"));
        assert_eq!(within("a", "../../etc/c.png"), None);
        assert_eq!(decoded("a%20b%2Fc%zz%"), "a b/c%zz%");
    }

    #[test]
    fn pictures_are_seen_however_they_are_written() {
        for (mark, words, target, rest) in [
            ("![a](b.png) c", "a", "b.png", " c"),
            ("![](<b c.png>)", "", "b c.png", ""),
            ("![a](b_(1).png \"t\")x", "a", "b_(1).png", "x"),
            ("![[b.png|300]].", "", "b.png", "."),
        ] {
            let shown = Shown::parse(mark).unwrap();
            assert_eq!(
                (shown.words, shown.target, shown.rest),
                (words, target, rest)
            );
        }
        for none in ["![", "![a", "![a](b", "![[a", "![a](<b", "![a]\n(b)"] {
            assert!(Shown::parse(none).is_none(), "{none}");
        }
    }
}
