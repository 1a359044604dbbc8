//! An archive comes back as it was, and a hostile one does not.

use std::io::{Cursor, Write};

use automerge::transaction::Transactable;
use automerge::{Automerge, ROOT};
use serde_json::{Value, json};
use zip::write::SimpleFileOptions;
use zip::{ZipArchive, ZipWriter};

use super::*;
use crate::export::tests::{archive, bens, blob, entry_of, file, given, mine, photo};
use crate::export::{Given, settle, take};
use crate::imported::{Imported, Origin};
use crate::photo::MediaType;

type Opened<'a> = Archive<Cursor<&'a [u8]>>;

fn opened(zip: &[u8]) -> Result<Opened<'_>, Refused> {
    Archive::open(Cursor::new(zip), Cursor::new(zip))
}

fn looked_at(zip: &[u8]) -> Result<Survey, Refused> {
    opened(zip)?.survey(&BTreeMap::new())
}

/// Everything in an archive, as it stands in a new journal.
fn imported(zip: &[u8]) -> Vec<Given> {
    let mut archive = opened(zip).unwrap();
    let survey = archive.survey(&BTreeMap::new()).unwrap();
    let new_id = |id: &String| (id.clone(), format!("{id:.30}ff").chars().rev().collect());
    let ids: BTreeMap<String, String> = survey.ids.iter().map(new_id).collect();
    let mut all = Vec::new();
    archive
        .each::<Refused>(&survey, &mut |record, media| {
            let mut photos = BTreeMap::new();
            for (id, file) in record.photos() {
                if let Ok(bytes) = media.bytes(file) {
                    let content = blob(0x77, bytes.len() as u64);
                    let thumb = Some(blob(0x78, 5));
                    photos.insert(id.to_owned(), Bytes { content, thumb });
                }
            }
            let mut doc = Automerge::new();
            doc.transact(|tx| record.write(tx, &"b".repeat(32), &ids, &photos))
                .unwrap();
            all.push(Given {
                id: ids.get(record.id()).unwrap().clone(),
                origin: mine(),
                taken: take(&doc).unwrap().unwrap(),
            });
            Ok(())
        })
        .unwrap();
    all
}

fn journal() -> Vec<Given> {
    let one = photo(0x11, b"one", MediaType::Jpeg);
    let mut entry = entry_of(Some("Rain"), "It rained.\n\nLong.", &[one]);
    entry
        .transact(|tx| {
            crate::entry::note_opening(tx, &"02".repeat(16), crate::opening::Stage::Room, 9)
        })
        .unwrap();
    let mut newer = Automerge::new();
    newer
        .transact(|tx| {
            tx.put(ROOT, "schema", 3_u64)?;
            tx.put(ROOT, "kind", "hologram")?;
            tx.put(ROOT, "about", "01".repeat(16))?;
            tx.put(ROOT, "imported", "by another program")?;
            tx.put(ROOT, "depth", 0.1)?;
            tx.put(ROOT, "raw", automerge::ScalarValue::Bytes(vec![1, 2]))
        })
        .unwrap();
    let bare = entry_of(None, "", &[]);
    vec![
        given(1, mine(), &entry),
        given(2, bens(), &entry_of(None, "Ben's words.", &[])),
        given(3, mine(), &newer),
        given(4, mine(), &bare),
    ]
}

#[test]
fn export_import_and_export_give_the_same_data() {
    for bytes in [Some(&b"one"[..]), None] {
        let first = archive(&mut settle(journal()), bytes);
        let came = imported(&first);
        assert_eq!(came.len(), 4);
        assert!(came.iter().all(|one| one.origin == mine()));
        let second = archive(&mut settle(came), bytes);
        assert_eq!(file(&second, DATA), file(&first, DATA));
        // And once more, from there.
        let third = archive(&mut settle(imported(&second)), bytes);
        assert_eq!(file(&third, DATA), file(&first, DATA));
    }
}

#[test]
fn records_that_name_each_other_still_do_after_an_import() {
    let first = archive(&mut settle(journal()), Some(b"one"));
    let came = imported(&first);
    let now = |before: &str| {
        let is_it = |one: &&Given| {
            let mark = Imported::of(one.taken.fields());
            mark.is_some_and(|mark| mark.id == before.repeat(16))
        };
        came.iter().find(is_it).unwrap()
    };
    let (entry, opening, newer) = (now("01"), now("02"), now("03"));
    assert_eq!(newer.taken.fields()["about"], json!(entry.id));
    let noted = entry.taken.fields()["openings"].as_object().unwrap();
    assert!(noted.contains_key(&opening.id) && noted.len() == 1);
}

#[test]
fn two_that_claim_one_id_do_not_get_it_both() {
    let first = archive(&mut settle(journal()), Some(b"one"));
    let mut twice = imported(&first);
    for mut one in imported(&first) {
        one.id.replace_range(..2, "ee");
        twice.push(one);
    }
    let documents = settle(twice);
    let ids: std::collections::BTreeSet<&str> = documents.iter().map(|one| one.id()).collect();
    assert_eq!((documents.len(), ids.len()), (8, 8));
}

#[test]
fn what_is_here_already_is_not_wanted_again() {
    let zip = archive(&mut settle(journal()), Some(b"one"));
    let here = BTreeMap::from([("01".repeat(16), "aa".repeat(16))]);
    let survey = opened(&zip).unwrap().survey(&here).unwrap();
    assert_eq!(survey.ids.len(), 3);
    assert!(matches!(survey.skipped.as_slice(), [one] if one.why == Why::AlreadyHere));
}

/// An archive with this `data.json` and these other files.
fn forged(data: &[u8], others: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in [&[(DATA, data)], others].concat() {
        zip.start_file(name, SimpleFileOptions::default()).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn data(documents: Value) -> Vec<u8> {
    let data = json!({"format": FORMAT, "version": VERSION, "documents": documents});
    serde_json::to_vec(&data).unwrap()
}

fn record() -> Value {
    json!({
        "author": "me", "author_name": "Ana", "id": "01".repeat(16), "space": "me",
        "fields": {
            "body": ["Sea."], "created_at_ms": 1, "date": "2026-07-01", "kind": "entry",
            "openings": {}, "saved_at_ms": 1, "schema": 1, "tags": {},
        },
    })
}

/// What becomes of a record with one thing changed.
fn changed(pointer: &str, value: Value) -> Survey {
    let mut record = record();
    *record.pointer_mut(pointer).unwrap() = value;
    looked_at(&forged(&data(json!([record])), &[])).unwrap()
}

#[test]
fn a_record_that_does_not_hold_is_skipped_with_a_reason() {
    assert_eq!(
        looked_at(&forged(&data(json!([record()])), &[]))
            .unwrap()
            .ids
            .len(),
        1
    );
    for (pointer, value) in [
        ("/id", json!("../../etc/passwd")),
        ("/id", json!(7)),
        ("/id", json!("AB".repeat(16))),
        ("/author", json!("nobody")),
        ("/author_name", json!("Ben\u{1b}[2J")),
        ("/space", json!("everybody")),
        ("/fields", json!("none")),
        ("/fields/schema", json!(0)),
        ("/fields/schema", json!("1")),
        ("/fields/kind", json!(1)),
        ("/fields/kind", json!("x".repeat(65))),
        ("/fields/kind", json!("device")),
        ("/fields/kind", json!("relay")),
        ("/fields/kind", json!("opening")),
        ("/fields/kind", json!("response")),
        ("/fields/date", json!("2026-02-31")),
        ("/fields/body", json!("no list")),
        ("/fields/body", json!([{"$bytes": "00"}])),
        ("/fields/tags", json!({"sea": "no"})),
        ("/fields/openings", json!({"x": {}})),
        ("/fields/created_at_ms", json!(1.5)),
    ] {
        let survey = changed(pointer, value.clone());
        assert!(survey.ids.is_empty(), "{pointer} {value}");
        assert_eq!(survey.skipped.len(), 1, "{pointer} {value}");
    }
    let twice = looked_at(&forged(&data(json!([record(), record(), 7, null])), &[])).unwrap();
    let whys: Vec<&Why> = twice.skipped.iter().map(|one| &one.why).collect();
    assert_eq!(twice.ids.len(), 1);
    assert_eq!(whys, [&Why::Twice, &Why::NoRecord, &Why::NoRecord]);
}

fn with_photo(file: &str, length: u64) -> Vec<u8> {
    let mut record = record();
    record["fields"]["photos"] = json!({
        "11".repeat(16): {
            "file": file, "length": length, "order": 0, "original": false, "type": "image/jpeg",
        },
    });
    data(json!([record]))
}

#[test]
fn photos_that_are_missing_or_not_what_they_say_are_left_out_with_a_reason() {
    let hash = sha256(b"one");
    let good = format!("media/{hash}.jpg");
    for (file, others, why) in [
        (good.as_str(), &[][..], NoMedia::Missing),
        ("media/../data.json", &[], NoMedia::Damaged),
        ("/etc/passwd", &[], NoMedia::Damaged),
        (
            "index.html",
            &[("index.html", &b"one"[..])],
            NoMedia::Damaged,
        ),
        (
            good.as_str(),
            &[(good.as_str(), &b""[..])],
            NoMedia::Damaged,
        ),
    ] {
        let survey = looked_at(&forged(&with_photo(file, 3), others)).unwrap();
        assert_eq!(survey.ids.len(), 1, "{file}");
        assert!(matches!(survey.without.as_slice(), [(_, _, found)] if *found == why));
    }
    // Its content is only looked at when it is kept.
    let zip = forged(&with_photo(&good, 3), &[(good.as_str(), b"two")]);
    let mut archive = opened(&zip).unwrap();
    let survey = archive.survey(&BTreeMap::new()).unwrap();
    let mut found = Vec::new();
    archive
        .each::<Refused>(&survey, &mut |record, media| {
            found.extend(record.photos().map(|(_, file)| media.bytes(file).err()));
            Ok(())
        })
        .unwrap();
    assert_eq!(found, [Some(NoMedia::Damaged)]);
}

#[test]
fn names_that_lead_elsewhere_links_and_other_archives_are_refused() {
    let data = data(json!([]));
    for name in ["../x", "a/../../x", "/etc/passwd", "a\\b", "c:x"] {
        let zip = forged(&data, &[(name, b"x")]);
        assert!(matches!(opened(&zip), Err(Refused::Strange(_))), "{name}");
    }
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    zip.add_symlink("media/x", "/etc/passwd", SimpleFileOptions::default())
        .unwrap();
    let zip = zip.finish().unwrap().into_inner();
    assert!(matches!(opened(&zip), Err(Refused::Strange(_))));
    assert!(matches!(opened(b"no zip at all"), Err(Refused::NoArchive)));
    let other = forged(br#"{"metadata":{"version":"1.0"},"entries":[]}"#, &[]);
    assert!(matches!(looked_at(&other), Err(Refused::NotAjar)));
    assert!(!is_ajar(Cursor::new(&other)) && !is_ajar(Cursor::new(b"no")));
    let zip = archive(&mut settle(journal()), None);
    assert!(is_ajar(Cursor::new(&zip)));
    let newer = json!({"format": FORMAT, "version": 2, "documents": []});
    let newer = forged(&serde_json::to_vec(&newer).unwrap(), &[]);
    assert!(matches!(looked_at(&newer), Err(Refused::Newer(2))));
    for cut in [zip.len() / 2, zip.len() - 10] {
        assert!(opened(&zip[..cut]).is_err());
    }
}

/// An archive whose files are these ones where it had others; `None` takes a file out.
fn with(zip: &[u8], name: &str, bytes: Option<&[u8]>) -> Vec<u8> {
    let mut from = ZipArchive::new(Cursor::new(zip)).unwrap();
    let mut to = ZipWriter::new(Cursor::new(Vec::new()));
    for place in 0..from.len() {
        let mut one = from.by_index(place).unwrap();
        let named = one.name().unwrap().into_owned();
        let mut was = Vec::new();
        one.read_to_end(&mut was).unwrap();
        let is = if named == name { bytes } else { Some(&was[..]) };
        if let Some(is) = is {
            to.start_file(named, SimpleFileOptions::default()).unwrap();
            to.write_all(is).unwrap();
        }
    }
    to.finish().unwrap().into_inner()
}

#[test]
fn data_that_was_changed_after_it_was_written_is_refused_whole() {
    let whole = archive(&mut settle(journal()), Some(b"one"));
    let data = file(&whole, DATA);
    let other = data.replace("It rained.", "It snowed.");
    assert_ne!(data, other);
    let changed = with(&whole, DATA, Some(other.as_bytes()));
    assert!(matches!(looked_at(&changed), Err(Refused::Changed)));
    // A blank at the end is a change too: the whole file is looked at.
    let longer = with(&whole, DATA, Some(format!("{data} ").as_bytes()));
    assert!(matches!(looked_at(&longer), Err(Refused::Changed)));
    // Whoever changes it on purpose takes the manifest out. So it is in archives that have none.
    let without = with(&changed, MANIFEST, None);
    assert_eq!(looked_at(&without).unwrap().ids.len(), 4);
    let same = with(&whole, DATA, Some(data.as_bytes()));
    assert_eq!(looked_at(&same).unwrap().ids.len(), 4);
}

#[test]
fn a_manifest_that_is_damaged_newer_or_endless_is_refused() {
    let whole = archive(&mut settle(journal()), None);
    let manifest = file(&whole, MANIFEST);
    let cut = &manifest[..manifest.len() / 2];
    let nameless = manifest.replace("data.json", "date.json");
    for wrong in [cut, nameless.as_str(), "", "[]", "{}"] {
        let zip = with(&whole, MANIFEST, Some(wrong.as_bytes()));
        assert!(matches!(opened(&zip), Err(Refused::NoManifest)), "{wrong}");
    }
    let newer = manifest.replace("\"version\": 1", "\"version\": 2");
    let newer = with(&whole, MANIFEST, Some(newer.as_bytes()));
    assert!(matches!(opened(&newer), Err(Refused::Newer(2))));
    let zip = with(&whole, MANIFEST, Some(&vec![b' '; 80 << 20]));
    assert!(matches!(opened(&zip), Err(Refused::TooLarge)));
}

#[test]
fn data_that_is_damaged_or_out_of_proportion_is_refused_whole() {
    for wrong in [&b"{\"format\":"[..], b"[]", b"\xff\xfe", b"", b"{} x"] {
        assert!(looked_at(&forged(wrong, &[])).is_err());
    }
    let deep = format!("{}1{}", "[".repeat(40), "]".repeat(40));
    let many = format!("[{}0]", "0,".repeat(500_000));
    let long = format!("\"{}\"", "a".repeat(70 << 20));
    for value in [deep, many, long] {
        let data = format!(
            "{{\"format\":\"{FORMAT}\",\"version\":1,\"documents\":[{{\"fields\":{value}}}]}}"
        );
        let refused = looked_at(&forged(data.as_bytes(), &[])).unwrap_err();
        // The longest is out of proportion already to what it is packed into.
        assert!(
            matches!(refused, Refused::RecordTooLarge | Refused::TooLarge),
            "{refused}"
        );
    }
    // One small photo of zeros, named by many records.
    let zeros = vec![0; 20 << 20];
    let name = format!("media/{}.bin", sha256(&zeros));
    let records: Vec<Value> = (0..20)
        .map(|number| {
            let mut record = record();
            record["id"] = json!(format!("{number:032x}"));
            record["fields"]["photos"] = json!({
                "11".repeat(16): {
                    "file": name, "length": zeros.len(), "order": 0, "original": true,
                    "type": "application/octet-stream",
                },
            });
            record
        })
        .collect();
    let zip = forged(&data(json!(records)), &[(&name, &zeros)]);
    assert!(zip.len() < 1 << 20);
    assert!(matches!(looked_at(&zip), Err(Refused::TooLarge)));
}

#[test]
fn nothing_of_a_record_is_shown_by_debug() {
    let value = json!({"fields": {"kind": "entry", "schema": 1, "title": "Secret"},
        "id": "01".repeat(16), "author": "me", "space": "me"});
    let record = Record::of(value).unwrap();
    assert!(!format!("{record:?}").contains("Secret"));
    let origin: Origin = mine();
    assert!(!format!("{origin:?}").contains("Ana"));
}
