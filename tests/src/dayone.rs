//! A diary as Day One exports it.

use std::io::{Cursor, Write};

use serde_json::{Value, json};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// One day of a diary.
#[derive(Clone, Debug)]
pub struct Day {
    /// `2026-07-01`.
    pub date: String,
    /// Markdown, not yet escaped.
    pub text: String,
}

/// Reads a diary of one JSON object a line: `{"date": "1660-01-01", "text": "…"}`.
///
/// # Errors
/// What is wrong with it.
pub fn read_diary(jsonl: &str) -> Result<Vec<Day>, String> {
    let mut days = Vec::new();
    for (number, line) in (1..).zip(jsonl.lines()) {
        let json: Value =
            serde_json::from_str(line).map_err(|error| format!("line {number}: {error}"))?;
        let field = |name: &str| {
            let value = json.get(name).and_then(Value::as_str).map(str::to_owned);
            value.ok_or_else(|| format!("line {number} has no {name}"))
        };
        days.push(Day {
            date: field("date")?,
            text: field("text")?,
        });
    }
    Ok(days)
}

/// An entry of Day One, written at noon in UTC; `photos` are the MD5s of its photos.
#[must_use]
pub fn entry(number: usize, day: &Day, photos: &[&str]) -> Value {
    let mut text = String::new();
    for (at, c) in day.text.char_indices() {
        // What begins a heading is not escaped.
        if at > 0 && matches!(c, '.' | '(' | ')' | '-' | '!' | '#' | '*' | '\\') {
            text.push('\\');
        }
        text.push(c);
    }
    let named = photos.iter().enumerate().map(|(order, md5)| {
        json!({"identifier": format!("ID{md5}"), "md5": md5, "type": "jpeg", "orderInEntry": order})
    });
    for md5 in photos {
        text.push_str(&format!("\n\n![](dayone-moment://ID{md5})"));
    }
    json!({
        "uuid": format!("{number:032X}"),
        "creationDate": format!("{}T12:00:00Z", day.date),
        "modifiedDate": format!("{}T12:00:01Z", day.date),
        "timeZone": "Etc/UTC",
        "starred": false,
        "text": text,
        "richText": json!({"contents": [{"text": day.text}]}).to_string(),
        "tags": [],
        "photos": named.collect::<Vec<_>>(),
    })
}

/// The zip: one journal, and other files under their names.
///
/// # Panics
/// When there is no memory for it.
#[must_use]
pub fn zip(entries: &[Value], files: &[(&str, &[u8])]) -> Vec<u8> {
    let journal = json!({"metadata": {"version": "1.0"}, "entries": entries}).to_string();
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
    let journal = [("Journal.json", journal.as_bytes())];
    for (name, bytes) in journal.iter().chain(files) {
        zip.start_file(*name, options).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// The zip of a whole diary without photos.
#[must_use]
pub fn of_diary(days: &[Day]) -> Vec<u8> {
    let entries: Vec<Value> = (1..)
        .zip(days)
        .map(|(number, day)| entry(number, day, &[]))
        .collect();
    zip(&entries, &[])
}
