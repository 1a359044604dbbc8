//! Journey: a zip with one JSON for each entry, and the photos beside them.

use std::collections::BTreeMap;

use serde_json::Value;

use super::dayone::{heading, local_date};
use super::reading::{Draft, MediaRef, Places, Reading};
use super::{LocalTime, Members, html, json};

/// Largest JSON of one entry, in bytes.
const ENTRY_BYTES_MAX: u64 = 8 << 20;
/// Warmer than it gets: Journey writes the largest number there is where it knows none.
const DEGREES_MAX: f64 = 200.0;

pub(super) fn read(members: &mut dyn Members, local: &LocalTime<'_>, into: &mut Reading) {
    let places = Places::of(members);
    let mut found = false;
    for place in 0..members.list().len() {
        let Some(member) = members.list().get(place) else {
            continue;
        };
        if !member.ends_with(".json") && !members.is_single() {
            continue;
        }
        found = true;
        let name = crate::text::displayable_line(&member.name);
        let folder = member
            .name
            .rsplit_once('/')
            .map(|(folder, _)| folder.to_owned());
        let bytes = match members.read(place, ENTRY_BYTES_MAX) {
            Ok(bytes) => bytes,
            Err(unfit) => {
                into.skip(name, unfit);
                continue;
            }
        };
        match json::value(&bytes) {
            Some((value, damaged)) if value.is_object() => {
                if damaged {
                    into.count("entries had characters that are no text; they stand as \u{fffd}");
                }
                entry(&value, name, folder.as_deref(), &places, local, into);
            }
            _ => into.skip(name, "it is damaged"),
        }
    }
    if !found {
        into.skip("the whole file", "there is no entry of Journey in it");
    }
}

fn entry(
    value: &Value,
    label: String,
    folder: Option<&str>,
    places: &Places,
    local: &LocalTime<'_>,
    into: &mut Reading,
) {
    let Some(at_ms) = milliseconds(value) else {
        into.skip(label, "it is no entry of Journey, or has no date");
        return;
    };
    let zone = json::text(value, "timezone");
    let Some(date) = local_date(at_ms, zone.as_deref(), local, into) else {
        into.skip(label, "its date does not exist");
        return;
    };
    let label = format!("{label} ({})", crate::date::day(&date));
    let written = json::text(value, "text").unwrap_or_default();
    let is_html = json::text(value, "type").is_some_and(|kind| kind == "html");
    let written = if is_html || html::is_html(&written) {
        html::words(&written)
    } else {
        written
    };
    let (title, text) = heading(&written);
    let mut tags = json::texts(value, "tags");
    if json::is_set(value, "favourite") {
        tags.push("starred".to_owned());
    }
    let mut media = Vec::new();
    for (number, photo) in (1..).zip(json::texts(value, "photos")) {
        let beside = match folder {
            Some(folder) => places.at(&format!("{folder}/{photo}")),
            None => places.at(&photo),
        };
        match beside.or_else(|| places.named(&photo)) {
            Some(member) => media.push(MediaRef {
                member,
                name: Some(photo),
            }),
            None => into.skip(
                format!("photo or file {number} of {label}"),
                "its file is not in the zip",
            ),
        }
    }
    into.take(Draft {
        label,
        title: title.map(str::to_owned),
        date,
        text: text.to_owned(),
        tags,
        kept: kept(value),
        media,
        source_id: json::text(value, "id"),
    });
}

/// When it was, as a number or as the text of one.
fn milliseconds(value: &Value) -> Option<i64> {
    let written = value.get("date_journal")?;
    if let Some(text) = written.as_str() {
        return text.trim().parse().ok();
    }
    if let Some(whole) = written.as_i64() {
        return Some(whole);
    }
    let number = format!("{:.0}", written.as_f64()?);
    number.parse().ok()
}

fn kept(value: &Value) -> BTreeMap<String, String> {
    let mut kept = BTreeMap::new();
    let mut keep = |name: &str, text: Option<String>| {
        if let Some(text) = text.filter(|text| !text.trim().is_empty()) {
            kept.insert(name.to_owned(), text);
        }
    };
    keep("place", json::text(value, "address"));
    // Nothing was chosen where it is 0.
    let mood = json::text(value, "mood").filter(|mood| mood != "0");
    keep("mood", mood);
    keep("folder", json::text(value, "folder"));
    if let Some(weather) = value.get("weather") {
        let degrees = weather
            .get("degree_c")
            .and_then(Value::as_f64)
            .filter(|degrees| degrees.abs() < DEGREES_MAX)
            .map(|degrees| format!("{degrees:.0} °C"));
        let sky = json::text(weather, "description").filter(|sky| !sky.trim().is_empty());
        let parts: Vec<String> = degrees.into_iter().chain(sky).collect();
        keep("weather", Some(parts.join(", ")));
    }
    kept
}
