//! What is in an archive, and what is not.

use std::io::{Cursor, Read};

use automerge::transaction::Transactable;
use automerge::{Automerge, ObjType, ROOT, ScalarValue};
use zip::ZipArchive;

use super::archive::{About, Writer};
use super::*;
use crate::entry::NewEntry;
use crate::imported::{Author, Side};
use crate::photo::{BlobRef, MediaType};
use crate::record;
use crate::records::{Consent, Family, Letter, OpenWhen, Response, ResponseSort};

pub(crate) fn blob(byte: u8, length: u64) -> BlobRef {
    BlobRef {
        id: [byte; 32],
        key: zeroize::Zeroizing::new([byte; 32]),
        salt: [byte; 16],
        length,
    }
}

pub(crate) fn photo(byte: u8, bytes: &[u8], media: MediaType) -> Photo {
    Photo {
        id: format!("{byte:02x}").repeat(16),
        content: blob(byte, bytes.len() as u64),
        media,
        size: Some((4, 3)),
        name: None,
        original: false,
        thumb: Some(blob(byte + 1, 9)),
    }
}

pub(crate) fn entry_of(title: Option<&str>, text: &str, photos: &[Photo]) -> Automerge {
    let new = NewEntry {
        title: title.map(str::to_owned),
        date: "2026-07-01T21:30".to_owned(),
        text: text.to_owned(),
        tags: vec!["by the sea".to_owned()],
        created_at_ms: 5,
    };
    let mut doc = Automerge::new();
    doc.transact(|tx| {
        entry::create(tx, &new)?;
        crate::photo::add(tx, photos, 6)
    })
    .unwrap();
    doc
}

pub(crate) fn by(space: Side, author: Author, name: Option<&str>) -> Origin {
    Origin {
        space,
        author,
        author_name: name.map(str::to_owned),
    }
}

pub(crate) fn mine() -> Origin {
    by(Side::Me, Author::Me, Some("Ana"))
}

pub(crate) fn bens() -> Origin {
    by(Side::Us, Author::Partner, Some("Ben"))
}

pub(crate) fn given(id: u8, origin: Origin, doc: &Automerge) -> Given {
    Given {
        id: format!("{id:02x}").repeat(16),
        origin,
        taken: take(doc).unwrap().unwrap(),
    }
}

pub(crate) fn about() -> About<'static> {
    About {
        own_name: "Ana",
        partner: Some("Ben"),
        scope: Scope::All,
        today: "2026-08-01",
        missing: &[],
    }
}

/// Writes an archive of these; `bytes` is what every photo has.
pub(crate) fn archive(documents: &mut [Document], bytes: Option<&[u8]>) -> Vec<u8> {
    let mut writer = Writer::new(Cursor::new(Vec::new()));
    for document in documents.iter_mut() {
        for photo in document.photos().to_vec() {
            if let Some(bytes) = bytes {
                let name = writer.media(bytes, photo.media).unwrap();
                document.note_file(&photo.id, &name);
            }
        }
    }
    writer.finish(documents, &about()).unwrap().into_inner()
}

pub(crate) fn file(archive: &[u8], name: &str) -> String {
    let mut zip = ZipArchive::new(Cursor::new(archive)).unwrap();
    let mut text = String::new();
    let mut found = zip.by_name(name).unwrap();
    found.read_to_string(&mut text).unwrap();
    text
}

fn names(archive: &[u8]) -> Vec<String> {
    let zip = ZipArchive::new(Cursor::new(archive)).unwrap();
    let mut names: Vec<String> = zip
        .file_names()
        .map(|name| name.unwrap().into_owned())
        .collect();
    names.sort();
    names
}

struct Noon;

impl Times for Noon {
    fn moment(&self, date: &str) -> String {
        format!("{date}:00Z")
    }

    fn utc(&self, at_ms: i64) -> Option<String> {
        Some(format!("{at_ms} ms"))
    }

    fn zone(&self) -> &str {
        "Europe/Berlin"
    }
}

const TITLE: &str = "<img src=x onerror=alert(1)> & \"quotes\" \u{202e}";

#[test]
fn an_archive_holds_everything_and_no_key() {
    let photos = [
        photo(0x11, b"one", MediaType::Jpeg),
        photo(0x33, b"one", MediaType::Jpeg),
    ];
    let doc = entry_of(Some(TITLE), "First.\nSecond.\n\nThird.", &photos);
    let mut documents = settle(vec![given(1, mine(), &doc)]);
    let zip = archive(&mut documents, Some(b"one"));
    let listed = names(&zip);
    let media = "media/7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed.jpg";
    let expected = [
        "README.txt",
        "data.json",
        "entries/2026/2026-07-01-01010101.md",
        "index.html",
        "manifest.json",
        media,
    ];
    assert_eq!(listed, expected, "the same content is there once");
    let data: Value = serde_json::from_str(&file(&zip, "data.json")).unwrap();
    assert_eq!(data["format"], FORMAT);
    let noted = &data["documents"][0]["fields"]["photos"];
    let expected = json!({
        "file": media, "height": 3, "length": 3, "order": 0, "original": false,
        "type": "image/jpeg", "width": 4,
    });
    assert_eq!(noted["11".repeat(16)], expected);
    let markdown = file(&zip, "entries/2026/2026-07-01-01010101.md");
    assert!(markdown.contains("tags: [\"by the sea\"]\n"), "{markdown}");
    assert!(markdown.contains(&format!("![Photo 2](<../../{media}>)")));
    assert_eq!(zip, archive(&mut documents, Some(b"one")));
}

#[test]
fn the_manifest_has_the_hash_of_each_other_file_and_how_many_there_are() {
    let photos = [photo(0x11, b"one", MediaType::Jpeg)];
    let doc = entry_of(Some(TITLE), "Long.", &photos);
    let bare = entry_of(None, "Short.", &[]);
    let mut documents = settle(vec![given(1, mine(), &doc), given(2, bens(), &bare)]);
    let zip = archive(&mut documents, Some(b"one"));
    let manifest: Value = serde_json::from_str(&file(&zip, "manifest.json")).unwrap();
    assert_eq!(
        (&manifest["format"], &manifest["version"]),
        (&json!(FORMAT), &json!(VERSION))
    );
    assert_eq!(manifest["scope"], "all");
    let counts = json!({"records": 2, "entries": 2, "media": 1, "missing": 0});
    assert_eq!(manifest["counts"], counts);
    let files = manifest["files"].as_object().unwrap();
    let mut listed: Vec<&str> = files.keys().map(String::as_str).collect();
    listed.push("manifest.json");
    listed.sort_unstable();
    assert_eq!(listed, names(&zip));
    for (name, print) in files {
        let bytes = file(&zip, name);
        let expected = json!({
            "length": bytes.len(), "sha256": archive::sha256(bytes.as_bytes()),
        });
        assert_eq!(*print, expected, "{name}");
    }
}

#[test]
fn the_page_has_no_scripts_reaches_nowhere_and_takes_no_word_for_markup() {
    let doc = entry_of(Some(TITLE), "<script>alert(1)</script>\n</article>", &[]);
    let mut documents = settle(vec![given(1, mine(), &doc)]);
    let page = file(&archive(&mut documents, None), "index.html");
    assert!(!page.contains("<script") && !page.contains("http") && !page.contains("<img"));
    assert!(!page.contains("url(") && !page.contains("@import") && !page.contains('\u{202e}'));
    assert!(page.contains("&lt;img src=x onerror=alert(1)&gt; &amp; &quot;quotes&quot;"));
    assert_eq!(page.matches("</article>").count(), 1);
    assert!(page.contains("Wednesday, 1 July 2026, 21:30"));
}

#[test]
fn a_feeling_without_words_is_read_in_its_layers() {
    let mut layers = crate::layers::Layers::default();
    layers.feeling.words = vec!["worried".to_owned()];
    layers.thought.story = Some("They <will>\nsee it.".to_owned());
    let mut doc = entry_of(None, "", &[]);
    doc.transact(|tx| entry::set_layers(tx, &layers, 7))
        .unwrap();
    let mut documents = settle(vec![given(1, mine(), &doc)]);
    let zip = archive(&mut documents, None);
    let page = file(&zip, "index.html");
    assert!(page.contains("<dt>The story</dt>"), "{page}");
    assert!(page.contains("They &lt;will&gt;"), "{page}");
    let markdown = file(&zip, "entries/2026/2026-07-01-01010101.md");
    let expected = "- **Words**: worried\n- **The story**: They <will>\n  see it.\n";
    assert!(markdown.contains(expected), "{markdown}");
    assert!(!page.contains("Without words"), "{page}");
}

#[test]
fn what_cannot_be_had_is_said_and_has_no_file() {
    let doc = entry_of(None, "Sea.", &[photo(0x11, b"one", MediaType::Pdf)]);
    let mut documents = settle(vec![given(1, mine(), &doc)]);
    let zip = archive(&mut documents, None);
    assert!(!file(&zip, "data.json").contains("\"file\""));
    assert!(file(&zip, "index.html").contains("not in this archive"));
}

#[test]
fn kinds_and_fields_of_a_newer_version_are_in_it_without_the_keys_of_theirs() {
    let mut doc = Automerge::new();
    doc.transact(|tx| {
        tx.put(ROOT, "schema", 2_u64)?;
        tx.put(ROOT, "kind", "hologram")?;
        let list = tx.put_object(ROOT, "shots", ObjType::List)?;
        let shot = tx.insert_object(&list, 0, ObjType::Map)?;
        for key in ["blob", "key", "salt"] {
            tx.put(&shot, key, ScalarValue::Bytes(vec![7; 32]))?;
        }
        tx.put(&shot, "depth", 3)
    })
    .unwrap();
    let mut documents = settle(vec![given(1, mine(), &doc)]);
    let data = file(&archive(&mut documents, None), "data.json");
    let data: Value = serde_json::from_str(&data).unwrap();
    let fields = &data["documents"][0]["fields"];
    assert_eq!(
        *fields,
        json!({"kind": "hologram", "schema": 2, "shots": [{"depth": 3}]})
    );
}

#[test]
fn what_devices_need_is_no_part_of_a_journal() {
    for kind in MACHINE_KINDS {
        let mut doc = Automerge::new();
        doc.transact(|tx| {
            tx.put(ROOT, "schema", 1_u64)?;
            tx.put(ROOT, "kind", kind)
        })
        .unwrap();
        assert!(take(&doc).unwrap().is_none());
    }
    assert!(take(&Automerge::new()).is_err());
}

#[test]
fn answers_stand_with_what_they_are_about_and_say_whose_they_are() {
    let opening = {
        let doc = entry_of(Some("Rain"), "It rained.", &[]);
        let read = entry::read(&doc).unwrap();
        let projection = opening::project(&read, opening::Stage::Room).unwrap();
        let mut doc = Automerge::new();
        doc.transact(|tx| opening::create(tx, &projection, "2026-07-02"))
            .unwrap();
        doc
    };
    let mut entry = entry_of(Some("Rain"), "It rained.", &[]);
    entry
        .transact(|tx| entry::note_opening(tx, &"02".repeat(16), opening::Stage::Room, 9))
        .unwrap();
    let response = Response {
        about: "02".repeat(16),
        sort: ResponseSort::ALL
            .iter()
            .copied()
            .find(|sort| sort.family() == Family::Soothe)
            .unwrap(),
        text: Some("I am here <b>.".to_owned()),
        minutes: None,
        on: "2026-07-02".to_owned(),
        turn: 1,
    };
    let mut answer = Automerge::new();
    answer.transact(|tx| record::create(tx, &response)).unwrap();
    let ours = by(Side::Us, Author::Me, Some("Ana"));
    let mut documents = settle(vec![
        given(1, mine(), &entry),
        given(2, ours, &opening),
        given(3, bens(), &answer),
    ]);
    let zip = archive(&mut documents, None);
    let page = file(&zip, "index.html");
    assert_eq!(page.matches("<article").count(), 1, "{page}");
    assert!(page.contains("Opened on 2 July 2026"));
    assert!(page.contains("<b>Ben</b> · an answer") && page.contains("I am here &lt;b&gt;."));
    assert!(page.find("It rained.").unwrap() < page.find("I am here").unwrap());
    assert_eq!(file(&zip, "data.json").matches("\"id\"").count(), 3);
}

#[test]
fn a_letter_from_the_other_stays_closed_on_the_page_until_its_day() {
    let letter = Letter {
        title: Some("For winter".to_owned()),
        text: "Snow at last.".to_owned(),
        open: Some(OpenWhen::Day("2026-12-01".to_owned())),
        on: "2026-07-02".to_owned(),
    };
    let mut doc = Automerge::new();
    doc.transact(|tx| record::create(tx, &letter)).unwrap();
    let closed = file(
        &archive(&mut settle(vec![given(1, bens(), &doc)]), None),
        "index.html",
    );
    assert!(closed.contains("For winter") && closed.contains("Closed until 2026-12-01."));
    assert!(!closed.contains("Snow"));
    let ours = by(Side::Us, Author::Me, Some("Ana"));
    let open = file(
        &archive(&mut settle(vec![given(1, ours, &doc)]), None),
        "index.html",
    );
    assert!(open.contains("Snow at last."));
}

#[test]
fn day_one_gets_own_entries_with_their_photos_and_nothing_else() {
    let photos = [
        photo(0x11, b"one", MediaType::Jpeg),
        photo(0x33, b"two", MediaType::Other),
    ];
    let doc = entry_of(Some("Rain"), "C:\\rain (really).", &photos);
    let not_mine = entry_of(Some("Secret"), "Ben's words.", &[]);
    let documents = settle(vec![given(1, mine(), &doc), given(2, bens(), &not_mine)]);
    let mut export = dayone::Export::new(Cursor::new(Vec::new()));
    export
        .entries::<std::io::Error, _>(&documents, &Noon, &mut |_, _| Ok(Some(b"one")))
        .unwrap();
    let (out, counts) = export.finish().unwrap();
    assert_eq!((counts.entries, counts.left_out), (1, 1));
    let zip = out.into_inner();
    let md5 = "f97c5d29941bfb1b2fdab0874906ab82";
    assert_eq!(
        names(&zip),
        ["Journal.json".to_owned(), format!("photos/{md5}.jpeg")]
    );
    let journal: Value = serde_json::from_str(&file(&zip, "Journal.json")).unwrap();
    let entry = &journal["entries"][0];
    assert_eq!(entry["uuid"], "01".repeat(16));
    assert_eq!(entry["creationDate"], "2026-07-01T21:30:00Z");
    assert_eq!(entry["timeZone"], "Europe/Berlin");
    assert_eq!(entry["tags"], json!(["by the sea"]));
    assert_eq!(entry["photos"][0]["md5"], md5);
    assert_eq!(entry["photos"][0]["type"], "jpeg");
    let id = entry["photos"][0]["identifier"].as_str().unwrap();
    assert_eq!(
        entry["text"],
        format!("# Rain\n\nC:\\\\rain (really).\n\n![](dayone-moment://{id})")
    );
}

#[test]
fn jrnl_gets_own_entries_with_tags_it_can_read() {
    let doc = entry_of(None, "It rained.\nAll day.", &[]);
    let not_mine = entry_of(Some("Secret"), "Ben's words.", &[]);
    let documents = settle(vec![given(1, mine(), &doc), given(2, bens(), &not_mine)]);
    let (text, count) = jrnl::write(&documents).unwrap();
    assert_eq!(count, 1);
    let written: Value = serde_json::from_str(&text).unwrap();
    let expected = json!({
        "tags": {"@by-the-sea": 1},
        "entries": [{
            "title": "It rained.", "body": "All day.", "date": "2026-07-01", "time": "21:30",
            "tags": ["@by-the-sea"], "starred": false,
        }],
    });
    assert_eq!(written, expected);
}

#[test]
fn a_no_that_held_against_a_yes_goes_out_as_a_no() {
    let consent = |given, digit: &str| Consent {
        about: "01".repeat(16),
        digest: digit.repeat(64),
        given,
        on: "2026-07-01".to_owned(),
    };
    let said = |doc: &mut Automerge, consent: &Consent| {
        let mut tx = doc.transaction();
        record::set(&mut tx, consent).unwrap();
        tx.commit();
    };
    let mut laptop = Automerge::new();
    said(&mut laptop, &consent(true, "a"));
    let mut phone = laptop.fork();
    said(&mut phone, &consent(false, "a"));
    // Later, and so it is what Automerge shows.
    said(&mut laptop, &consent(true, "b"));
    said(&mut laptop, &consent(true, "c"));
    laptop.merge(&mut phone).unwrap();
    assert_eq!(tree::read(&laptop).unwrap()["given"], true);
    let taken = take(&laptop).unwrap().unwrap();
    assert_eq!(taken.fields()["given"], false);
}
