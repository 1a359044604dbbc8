//! Pictures that a Markdown text shows: those that lie beside it become part of the entry.

use super::reading::{MediaRef, Places, Reading};

/// Endings of what is put into the entry when the text shows it.
const MEDIA_ENDINGS: [&str; 18] = [
    "jpg", "jpeg", "png", "gif", "webp", "heic", "heif", "tif", "tiff", "avif", "pdf", "mp4",
    "mov", "m4a", "mp3", "wav", "ogg", "aac",
];

/// Takes out the pictures that are in the source; what is elsewhere stays in the text.
pub(super) fn pictures(
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
