//! The zip of Journey.

use ajar_journal::import::Format;
use serde_json::json;

use super::{from_zip, left_out, only};

#[test]
fn an_entry_has_its_words_day_tags_mood_and_photos() {
    let entry = json!({
        "id": "1719873000000-3f2a99",
        "date_journal": 1_719_873_000_000_i64,
        "date_modified": 1_719_873_000_001_i64,
        "timezone": "Europe/Berlin",
        "type": "html",
        "text": "<p dir=\"auto\">It rained &amp; rained.</p><p>All night.</p>",
        "preview_text": "It rained",
        "mood": 3,
        "favourite": true,
        "lat": 1.797_693_134_862_315_7e308,
        "lon": 1.797_693_134_862_315_7e308,
        "address": "Kiel",
        "weather": {"degree_c": 1.797_693_134_862_315_7e308, "description": "Rain", "id": 500},
        "tags": ["sea"],
        "photos": ["1719873000000-3f2a99-b.jpg", "1719873000000-3f2a99-a.jpg", "gone.jpg"],
    })
    .to_string();
    let files: &[(&str, &[u8])] = &[
        ("1719873000000-3f2a99.json", entry.as_bytes()),
        ("1719873000000-3f2a99-a.jpg", b"a"),
        ("1719873000000-3f2a99-b.jpg", b"b"),
    ];
    let read = from_zip(files, Format::Journey);
    let entry = only(&read);
    assert_eq!(entry.date, "2024-07-02T00:30");
    assert_eq!(entry.text, "It rained & rained.\n\nAll night.");
    assert_eq!(entry.tags, ["sea", "starred"]);
    assert_eq!(entry.source_id, "1719873000000-3f2a99");
    assert_eq!(entry.kept["mood"], "3");
    assert_eq!(entry.kept["place"], "Kiel");
    assert_eq!(entry.kept["weather"], "Rain");
    let media: Vec<usize> = entry.media.iter().map(|media| media.member).collect();
    assert_eq!(media, [2, 1]);
    assert!(left_out(&read).contains("photo or file 3 of"));
}

#[test]
fn older_entries_are_plain_text_and_bad_ones_stop_nobody() {
    let old = r#"{"id":"a","date_journal":"1719873000000","timezone":"","text":"2 < 3\nand <b>","tags":[],"photos":[]}"#;
    let far = r#"{"id":"b","date_journal":9e18,"text":"x"}"#;
    let files: &[(&str, &[u8])] = &[
        ("a.json", old.as_bytes()),
        ("b.json", far.as_bytes()),
        ("c.json", b"{\"date_journal\":"),
        ("d.json", b"{\"settings\":true}"),
        ("e.json", b"\xff\xfe"),
    ];
    let read = from_zip(files, Format::Journey);
    assert_eq!(only(&read).text, "2 < 3\nand <b>");
    assert_eq!(only(&read).date, "2024-07-01T22:30");
    assert_eq!(read.skipped.len(), 4, "{}", left_out(&read));
}
