//! Day One: a zip with one `NAME.json` for each journal and the folders `photos`, `videos`, `audios`
//! and `pdfs`, whose files are called after the MD5 of what is in them.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use super::reading::{Draft, MediaRef, Reading};
use super::{LocalTime, Members, Refused, TEXT_FILE_BYTES_MAX, json, moment};

/// Lists of an entry that name media, and the folders where their files are.
const MEDIA: [(&str, &str); 4] = [
    ("photos", "photos"),
    ("videos", "videos"),
    ("audios", "audios"),
    ("pdfAttachments", "pdfs"),
];
/// What begins the mark of a photo in the text.
const MARKER: &str = "![](dayone-moment:";

pub(super) fn read(
    members: &mut dyn Members,
    local: &LocalTime<'_>,
    into: &mut Reading,
) -> Result<(), Refused> {
    let journals = journals(members);
    if journals.is_empty() {
        into.skip("the whole file", "there is no journal of Day One in it");
    }
    let files = Files::of(members);
    let several = journals.len() > 1;
    for place in journals {
        let Some(member) = members.list().get(place) else {
            continue;
        };
        let file = crate::text::displayable_line(member.file_name());
        let name = file.get(..file.len().saturating_sub(5)).unwrap_or(&file);
        let journal = several.then(|| name.to_owned());
        let bytes = match members.read(place, TEXT_FILE_BYTES_MAX) {
            Ok(bytes) => bytes,
            Err(unfit) if members.is_single() => return Err(unfit.into()),
            Err(unfit) => {
                into.skip(file, unfit);
                continue;
            }
        };
        journal_of(&bytes, &file, journal.as_deref(), &files, local, into);
    }
    Ok(())
}

/// The JSON files nearest to the root.
fn journals(members: &dyn Members) -> Vec<usize> {
    let list = members.list();
    let jsons = list.iter().filter(|member| member.ends_with(".json"));
    let Some(depth) = jsons.map(super::Member::depth).min() else {
        // One file that stands alone may be called as it likes.
        return (0..usize::from(members.is_single())).collect();
    };
    (0..list.len())
        .filter(|place| {
            list.get(*place)
                .is_some_and(|member| member.ends_with(".json") && member.depth() == depth)
        })
        .collect()
}

fn journal_of(
    bytes: &[u8],
    file: &str,
    journal: Option<&str>,
    files: &Files,
    local: &LocalTime<'_>,
    into: &mut Reading,
) {
    let elements = json::entries(bytes);
    if !elements.found {
        into.skip(file, "it is no journal of Day One");
        return;
    }
    for (number, span) in (1..).zip(elements.spans) {
        let label = match journal {
            Some(_) => format!("entry {number} of {file}"),
            None => format!("entry {number}"),
        };
        match bytes.get(span).and_then(json::value) {
            Some((value, damaged)) if value.is_object() => {
                entry(&value, damaged, label, journal, files, local, into);
            }
            _ => into.skip(label, "it is damaged"),
        }
    }
    if !elements.whole {
        into.skip(
            format!("the end of {file}"),
            "the file is cut short, or has too many entries; export it again",
        );
    }
}

fn entry(
    value: &Value,
    damaged: bool,
    label: String,
    journal: Option<&str>,
    files: &Files,
    local: &LocalTime<'_>,
    into: &mut Reading,
) {
    let created = json::text(value, "creationDate");
    let Some(at_ms) = created.as_deref().and_then(moment::utc_ms) else {
        into.skip(label, "its date is missing or does not exist");
        return;
    };
    let Some(date) = local_date(at_ms, json::text(value, "timeZone").as_deref(), local, into)
    else {
        into.skip(label, "its date does not exist");
        return;
    };
    let label = format!("{label} ({})", crate::date::day(&date));
    if damaged {
        into.count("entries had characters that are no text; they stand as \u{fffd}");
    }
    let written = json::text(value, "text").unwrap_or_else(|| rich_text(value));
    let (heading, rest) = heading(&written);
    let (rest, order) = without_markers(rest);
    let mut tags = json::texts(value, "tags");
    tags.extend(journal.map(str::to_owned));
    if json::is_set(value, "starred") {
        tags.push("starred".to_owned());
    }
    let media = media(value, &order, &label, files, into);
    into.take(Draft {
        label,
        title: heading.map(unescaped),
        date,
        text: unescaped(&rest),
        tags,
        kept: kept(value),
        media,
        source_id: json::text(value, "uuid"),
    });
}

/// The local day and time. Where the zone is not known it is UTC, and that is said.
pub(super) fn local_date(
    at_ms: i64,
    zone: Option<&str>,
    local: &LocalTime<'_>,
    into: &mut Reading,
) -> Option<String> {
    let known = zone.and_then(|zone| local(at_ms, zone));
    if known.is_none() {
        let date = local(at_ms, "UTC")?;
        into.count("entries do not say where they were written; their times are those of UTC");
        return Some(date);
    }
    known
}

/// A heading in the first line, and the text without it.
pub(super) fn heading(text: &str) -> (Option<&str>, &str) {
    let text = text.trim_start_matches(['\u{feff}', '\n', '\r']);
    let (first, rest) = text.split_once('\n').unwrap_or((text, ""));
    match first.strip_prefix("# ") {
        Some(heading) if !heading.trim().is_empty() && !heading.contains("](") => {
            (Some(heading.trim()), rest)
        }
        _ => (None, text),
    }
}

/// Day One writes a back-slash before signs that mean something in Markdown.
fn unescaped(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c == '\\' && chars.peek().is_some_and(char::is_ascii_punctuation) {
            plain.extend(chars.next());
        } else {
            plain.push(c);
        }
    }
    plain
}

/// The text without the marks of photos, and what they named, in order. A line that held nothing
/// else goes with it.
fn without_markers(text: &str) -> (String, Vec<String>) {
    if !text.contains(MARKER) {
        return (text.to_owned(), Vec::new());
    }
    let (mut lines, mut named): (Vec<String>, _) = (Vec::new(), Vec::new());
    for line in text.split('\n') {
        let (mut left, mut kept) = (line, String::new());
        while let Some((before, after)) = left.split_once(MARKER) {
            let Some((id, rest)) = after.split_once(')') else {
                break;
            };
            let id = id.rsplit('/').next().unwrap_or(id);
            named.push(id.to_owned());
            kept.push_str(before);
            left = rest;
        }
        kept.push_str(left);
        // The line stood for the photo alone.
        if kept.trim().is_empty() && !line.trim().is_empty() {
            // Of the blank lines around it one is enough.
            if lines.last().is_some_and(|last| last.trim().is_empty()) {
                lines.pop();
            }
            continue;
        }
        lines.push(kept);
    }
    (lines.join("\n"), named)
}

/// Photos in the order of the text, then the others as they are listed.
fn media(
    value: &Value,
    order: &[String],
    label: &str,
    files: &Files,
    into: &mut Reading,
) -> Vec<MediaRef> {
    let mut all = Vec::new();
    for (key, folder) in MEDIA {
        for item in json::list(value, key) {
            let id = json::text(item, "identifier");
            let place = id
                .as_ref()
                .and_then(|id| order.iter().position(|named| named == id));
            let listed = item.get("orderInEntry").and_then(Value::as_i64);
            all.push((
                place.unwrap_or(usize::MAX),
                listed.unwrap_or(0),
                folder,
                item,
            ));
        }
    }
    all.sort_by_key(|(place, listed, _, _)| (*place, *listed));
    let mut refs = Vec::new();
    for (number, (_, _, folder, item)) in (1..).zip(all) {
        let file = json::text(item, "md5").and_then(|md5| files.find(folder, &md5));
        let by_id = || json::text(item, "identifier").and_then(|id| files.find(folder, &id));
        match file.or_else(by_id) {
            Some(member) => refs.push(MediaRef {
                member,
                name: json::text(item, "filename"),
            }),
            None => into.skip(
                format!("photo or file {number} of {label}"),
                "its file is not in the zip",
            ),
        }
    }
    refs
}

/// What else people would miss.
fn kept(value: &Value) -> BTreeMap<String, String> {
    let mut kept = BTreeMap::new();
    if let Some(location) = value.get("location") {
        let mut parts: Vec<String> = Vec::new();
        for key in ["userLabel", "placeName", "localityName", "country"] {
            let part = json::text(location, key).filter(|part| !part.trim().is_empty());
            parts.extend(part.filter(|part| !parts.contains(part)));
        }
        if !parts.is_empty() {
            kept.insert("place".to_owned(), parts.join(", "));
        }
    }
    if let Some(weather) = value.get("weather") {
        let degrees = weather
            .get("temperatureCelsius")
            .and_then(Value::as_f64)
            .filter(|degrees| degrees.abs() < 200.0)
            .map(|degrees| format!("{degrees:.0} °C"));
        let sky = json::text(weather, "conditionsDescription");
        let parts: Vec<String> = degrees.into_iter().chain(sky).collect();
        if !parts.is_empty() {
            kept.insert("weather".to_owned(), parts.join(", "));
        }
    }
    kept
}

/// The words of an entry that has no plain text: `richText` is JSON within a string.
fn rich_text(value: &Value) -> String {
    let rich = json::text(value, "richText").unwrap_or_default();
    let Some((rich, _)) = json::value(rich.as_bytes()) else {
        return String::new();
    };
    let parts = json::list(&rich, "contents").iter();
    parts.filter_map(|part| json::text(part, "text")).collect()
}

/// The media of the zip, by folder and name without ending: `type` may be missing or wrong.
struct Files(HashMap<(String, String), usize>);

impl Files {
    fn of(members: &dyn Members) -> Self {
        let mut files = HashMap::new();
        for (place, member) in members.list().iter().enumerate() {
            let name = member.name.to_lowercase();
            let Some((folder, file)) = name.rsplit_once('/') else {
                continue;
            };
            let folder = folder.rsplit('/').next().unwrap_or(folder);
            let stem = file.rsplit_once('.').map_or(file, |(stem, _)| stem);
            files.insert((folder.to_owned(), stem.to_owned()), place);
        }
        Self(files)
    }

    fn find(&self, folder: &str, stem: &str) -> Option<usize> {
        let key = (folder.to_owned(), stem.to_lowercase());
        self.0.get(&key).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn back_slashes_before_signs_go_and_others_stay() {
        assert_eq!(
            unescaped(r"1\. A \(b\) C:\temp \\ \"),
            r"1. A (b) C:\temp \ \"
        );
        assert_eq!(unescaped("no é\\é"), "no é\\é");
    }

    #[test]
    fn a_photo_in_the_text_leaves_its_place_and_is_remembered_in_order() {
        let text =
            "Sea\n\n![](dayone-moment://B)\n\nand ![](dayone-moment:/photo/A) sand ![](x.png)";
        let (left, named) = without_markers(text);
        assert_eq!(left, "Sea\n\nand  sand ![](x.png)");
        assert_eq!(named, ["B", "A"]);
        assert_eq!(
            without_markers("![](dayone-moment://open").0,
            "![](dayone-moment://open"
        );
    }

    #[test]
    fn only_a_heading_in_the_first_line_is_a_title() {
        assert_eq!(heading("# The sea\n\nIt"), (Some("The sea"), "\nIt"));
        assert_eq!(heading("\n# The sea"), (Some("The sea"), ""));
        assert_eq!(heading("#sea is a tag"), (None, "#sea is a tag"));
        assert_eq!(heading("## Small"), (None, "## Small"));
        assert_eq!(heading(r"\# No"), (None, r"\# No"));
    }

    #[test]
    fn the_words_of_an_entry_without_plain_text_are_not_lost() {
        let rich = serde_json::json!({
            "contents": [{"text": "It "}, {"embeddedObjects": []}, {"text": "rained."}]
        });
        let value = serde_json::json!({"richText": rich.to_string()});
        assert_eq!(rich_text(&value), "It rained.");
        assert_eq!(rich_text(&serde_json::json!({"richText": "{"})), "");
    }
}
