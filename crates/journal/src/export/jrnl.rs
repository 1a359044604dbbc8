//! The JSON that jrnl writes and reads. Only what the person wrote in their own space is in it,
//! and no photos: jrnl has none.

use std::collections::BTreeMap;
use std::io;

use serde_json::{Value, json};

use super::{Document, own_entries};
use crate::date;
use crate::text::first_line;

/// When jrnl puts an entry that has a day and no time.
const HOUR: &str = "09:00";

/// All own entries, and how many they are.
///
/// # Errors
/// When they cannot be written down.
pub fn write(documents: &[Document]) -> io::Result<(String, usize)> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let entries: Vec<Value> = own_entries(documents)
        .into_iter()
        .map(|(_, entry)| {
            let tags: Vec<String> = entry.tags.iter().map(|name| tag(name)).collect();
            for tag in &tags {
                *counts.entry(tag.clone()).or_default() += 1;
            }
            let text = entry.text();
            let (title, body) = match &entry.title {
                Some(title) => (title.clone(), text),
                None => headed(&text, &first_line(&entry.paragraphs)),
            };
            let time = entry.date.split_once('T').map_or(HOUR, |(_, time)| time);
            json!({
                "title": title,
                "body": body,
                "date": date::day(&entry.date),
                "time": time,
                "tags": tags,
                "starred": false,
            })
        })
        .collect();
    let count = entries.len();
    let text = serde_json::to_string_pretty(&json!({"tags": counts, "entries": entries}))?;
    Ok((text + "\n", count))
}

/// jrnl ends a tag at the first blank.
fn tag(name: &str) -> String {
    let word: Vec<&str> = name.split_whitespace().collect();
    format!("@{}", word.join("-"))
}

/// jrnl wants a title: the first line that says something, if it is whole there.
fn headed(text: &str, first: &str) -> (String, String) {
    let trimmed = text.trim_start();
    match trimmed.strip_prefix(first) {
        Some(rest) if !first.is_empty() => (first.to_owned(), rest.trim_start().to_owned()),
        _ => (first.to_owned(), text.to_owned()),
    }
}
