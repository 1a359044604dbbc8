//! What anybody may have exported: a zip, or one file of each format. Reading costs no more than it
//! may, and what comes out of it can be kept.

use std::io::Cursor;

use ajar_client::photo::strip;
use ajar_journal::entry::{self, NewEntry};
use ajar_journal::import::{Archive, FORMATS, Members, OneFile, read, recognise};
use automerge::Automerge;
use serde_json::json;

use super::Fate;
use crate::dayone;

/// The first byte chooses: a zip, or one file of a format.
pub fn import(input: &[u8]) -> Option<Fate> {
    let (choice, bytes) = input.split_first()?;
    let choice = usize::from(*choice) % (FORMATS.len() + 1);
    let Some(format) = FORMATS.get(choice) else {
        let Ok(mut archive) = Archive::open(Cursor::new(bytes.to_vec())) else {
            return Fate::of("zip", false);
        };
        return Fate::of("zip", all(&mut archive));
    };
    let mut file = OneFile::new("2024-07-01.md", bytes.to_vec());
    let taken = recognise(&mut file) == Ok(*format) && all(&mut file);
    Fate::of(format.as_str(), taken)
}

/// Reads a source as each format; returns whether an entry came out of it.
fn all(members: &mut dyn Members) -> bool {
    let _ = recognise(members);
    let local = |at_ms: i64, zone: &str| {
        let day = at_ms.div_euclid(86_400_000).rem_euclid(28) + 1;
        (zone == "UTC" && at_ms.abs() < 1 << 50).then(|| format!("2024-07-{day:02}T12:00"))
    };
    let mut any = false;
    for format in FORMATS {
        let Ok(reading) = read(members, format, &local) else {
            continue;
        };
        for entry in reading.entries {
            any = true;
            let new = NewEntry {
                title: entry.title,
                date: entry.date,
                text: entry.text,
                tags: entry.tags,
                created_at_ms: 0,
            };
            let mut doc = Automerge::new();
            let mut tx = doc.transaction();
            let kept = entry::create(&mut tx, &new);
            assert!(kept.is_ok(), "what was read cannot be kept");
            for media in entry.media.iter().take(2) {
                if let Ok(bytes) = members.read(media.member, 1 << 20) {
                    let _ = strip(&bytes);
                }
            }
        }
    }
    any
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let day = dayone::Day {
        date: "2024-07-01".to_owned(),
        text: "# Rain\n\nIt rained (again).".to_owned(),
    };
    let pixel: &[u8] = include_bytes!("../pixel.png");
    let entries = [
        dayone::entry(1, &day, &["00aa"]),
        dayone::entry(2, &day, &[]),
    ];
    let zip = dayone::zip(&entries, &[("photos/00aa.jpeg", pixel)]);
    let markdown: &[u8] =
        b"---\ndate: 2024-07-02 10:00\ntags: [sea, sand]\n---\n# Sun\n\nWarm. ![a](b.png)\n";
    let mixed = dayone::zip(&[], &[("2024-07-02.md", markdown), ("b.png", pixel)]);
    let journal = json!({"entries": entries}).to_string().into_bytes();
    let jrnl = json!({"tags": {"@sea": 1}, "entries": [
        {"title": "Rain.", "body": "All day @sea.", "date": "2024-07-01", "time": "21:30", "tags": ["@sea"], "starred": true}
    ]});
    let text: &[u8] =
        b"[2024-07-01 21:30] Rain. All day @sea *\nAnd night.\n[2024-07-02 09:00:00 PM] Sun!\n";
    let journey = json!({
        "id": "1-a", "date_journal": 1_719_873_000_000_i64, "timezone": "UTC", "type": "html",
        "text": "<p>It rained &amp; <b>rained</b>.<br>Sun.</p><!-- x --><script>x</script>",
        "mood": 3, "favourite": true, "tags": ["sea"], "photos": ["a.jpg"],
    });
    let with = |choice: u8, bytes: &[u8]| [&[choice], bytes].concat();
    vec![
        with(0, &journal),
        with(1, jrnl.to_string().as_bytes()),
        with(1, text),
        with(2, journey.to_string().as_bytes()),
        with(3, markdown),
        with(4, &zip),
        with(4, &mixed),
    ]
}
