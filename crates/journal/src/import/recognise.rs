//! What wrote a source, from what is in it. Names of files count only where nothing else tells.

use serde_json::Value;

use super::{Format, Members, Refused, TEXT_FILE_BYTES_MAX, jrnl, json};

/// How many JSON files are looked at.
const TRIES: usize = 8;

/// Recognises what wrote a source.
///
/// # Errors
/// [`Refused::Unclear`]; [`Refused::Unfit`] when the one file that it is cannot be read.
pub fn recognise(members: &mut dyn Members) -> Result<Format, Refused> {
    let single = members.is_single();
    let list = members.list();
    let mut jsons: Vec<usize> = (0..list.len())
        .filter(|place| {
            let json = list
                .get(*place)
                .is_some_and(|member| member.ends_with(".json"));
            single || json
        })
        .collect();
    jsons.sort_by_key(|place| list.get(*place).map_or(usize::MAX, super::Member::depth));
    let markdown = list.iter().any(super::markdown::is_markdown);
    for place in jsons.into_iter().take(TRIES) {
        let bytes = match members.read(place, TEXT_FILE_BYTES_MAX) {
            Ok(bytes) => bytes,
            Err(unfit) if single => return Err(unfit.into()),
            Err(_) => continue,
        };
        if let Some(format) = of_json(&bytes) {
            return Ok(format);
        }
        if single && !markdown && jrnl::is_text(&bytes) {
            return Ok(Format::Jrnl);
        }
    }
    if markdown {
        return Ok(Format::Markdown);
    }
    Err(Refused::Unclear)
}

/// What wrote a JSON file, by the keys that each program uses.
fn of_json(bytes: &[u8]) -> Option<Format> {
    let elements = json::entries(bytes);
    for span in elements.spans.into_iter().take(TRIES) {
        let Some((entry, _)) = json::value(bytes.get(span)?) else {
            continue;
        };
        let has = |key| entry.get(key).is_some();
        if has("creationDate") || has("uuid") {
            return Some(Format::DayOne);
        }
        if has("date") && (has("body") || has("title")) {
            return Some(Format::Jrnl);
        }
    }
    if elements.found {
        // Nothing is in it, so the list of tags or the version has to tell.
        let (whole, _) = json::value(bytes)?;
        let version = whole.get("metadata").is_some();
        let tags = whole.get("tags").is_some_and(Value::is_object);
        return match (version, tags) {
            (true, _) => Some(Format::DayOne),
            (_, true) => Some(Format::Jrnl),
            _ => None,
        };
    }
    let (entry, _) = json::value(bytes)?;
    entry.get("date_journal").map(|_| Format::Journey)
}
