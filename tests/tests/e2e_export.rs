//! Taking one's words along: out as an archive, back into an empty journal, and to other programs.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test should fail at the spot"
)]

use std::fs;
use std::io::{Cursor, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ajar_tests::canary;
use ajar_tests::client::{Person, pair};
use ajar_tests::relay::Relay;
use image::{DynamicImage, ImageFormat, Rgb, RgbImage};
use serde_json::Value;
use tempfile::TempDir;
use zip::write::SimpleFileOptions;
use zip::{ZipArchive, ZipWriter};

const TITLE: &str = "<img src=x onerror=alert(1)> & rain";

struct Desk(TempDir);

impl Desk {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    fn picture(&self, name: &str, shade: u8) -> String {
        let picture = RgbImage::from_fn(90, 60, |x, y| {
            Rgb([shade, u8::try_from(x).unwrap(), u8::try_from(y).unwrap()])
        });
        let mut out = Cursor::new(Vec::new());
        let picture: DynamicImage = picture.into();
        picture.write_to(&mut out, ImageFormat::Jpeg).unwrap();
        fs::write(self.path(name), out.into_inner()).unwrap();
        self.text(name)
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.0.path()).unwrap();
        let name = |entry: fs::DirEntry| entry.file_name().into_string().unwrap();
        entries.map(|entry| name(entry.unwrap())).collect()
    }
}

fn two(relay: &Relay) -> (Person, Person) {
    let address = relay.invite();
    let (ana, ben) = (
        Person::with_home("Ana", &address),
        Person::with_home("Ben", &address),
    );
    pair(&ana, &ben);
    (ana, ben)
}

fn written(person: &Person, arguments: &[&str]) -> String {
    let said = person.ajar(&[&["write"], arguments].concat()).json();
    said["id"].as_str().unwrap().to_owned()
}

fn file(archive: &Path, name: &str) -> String {
    let mut zip = ZipArchive::new(fs::File::open(archive).unwrap()).unwrap();
    let mut text = String::new();
    let mut found = zip.by_name(name).unwrap();
    found.read_to_string(&mut text).unwrap();
    text
}

fn names(archive: &Path) -> Vec<String> {
    let zip = ZipArchive::new(fs::File::open(archive).unwrap()).unwrap();
    let names = zip.file_names();
    names.map(|name| name.unwrap().into_owned()).collect()
}

/// Writes a zip anew, with one file another, or without it.
fn rezipped(zip: &[u8], to: &Path, name: &str, text: Option<&str>) {
    let mut from = ZipArchive::new(Cursor::new(zip)).unwrap();
    let mut out = ZipWriter::new(fs::File::create(to).unwrap());
    for place in 0..from.len() {
        let mut one = from.by_index(place).unwrap();
        let named = one.name().unwrap().into_owned();
        let mut bytes = Vec::new();
        one.read_to_end(&mut bytes).unwrap();
        if named == name {
            let Some(text) = text else { continue };
            bytes = text.as_bytes().to_vec();
        }
        out.start_file(named, SimpleFileOptions::default()).unwrap();
        out.write_all(&bytes).unwrap();
    }
    out.finish().unwrap();
}

fn exported(person: &Person, desk: &Desk, name: &str, more: &[&str]) -> Value {
    let path = desk.text(name);
    let said = person.ajar(&[&["export", path.as_str()], more].concat());
    let mode = fs::metadata(desk.path(name)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    said.json()
}

/// A year of Ana's: tags, photos, another version, something opened and something answered.
fn lived(relay: &Relay, desk: &Desk) -> (Person, Person) {
    let (ana, ben) = two(relay);
    let (one, two) = (desk.picture("one.jpg", 10), desk.picture("two.jpg", 200));
    let rain = written(
        &ana,
        &[
            "--title",
            TITLE,
            "--tag",
            "sea",
            "--tag",
            "été",
            "--date",
            "2025-12-31T21:30",
            "--photo",
            &one,
            "--photo",
            &two,
            "It rained.\n\nAll day.",
        ],
    );
    let _ = written(
        &ana,
        &[
            "--date",
            "2026-01-02",
            "--original",
            "--photo",
            &one,
            "Sun.",
        ],
    );
    let pdf = desk.path("letter.pdf");
    fs::write(&pdf, b"%PDF-1.7 a letter").unwrap();
    let _ = written(
        &ana,
        &[
            "--original",
            "--photo",
            pdf.to_str().unwrap(),
            "With a letter.",
        ],
    );
    ana.sync();
    let phone = ana.device("phone");
    let both = written(&ana, &["--title", "Water", "Still."]);
    ana.sync();
    phone.sync();
    for (device, title) in [(&ana, "By the lake"), (&phone, "By the pond")] {
        assert_eq!(device.ajar(&["edit", &both, "--title", title]).code, 0);
    }
    for device in [&ana, &phone, &ana] {
        device.sync();
    }
    assert_eq!(ana.ajar(&["show", &both]).json()["versions"], true);
    let opened = ana.ajar(&["open", &rain, "--stage", "room", "--yes"]);
    assert_eq!(opened.code, 0, "{opened:?}");
    assert!(ben.share("Ben's words."));
    ana.sync();
    (ana, ben)
}

#[test]
fn everything_goes_out_and_comes_back_into_an_empty_journal_as_it_was() {
    let relay = Relay::start();
    let desk = Desk::new();
    let (ana, _ben) = lived(&relay, &desk);
    let said = exported(&ana, &desk, "journal.zip", &[]);
    assert_eq!(said["photos_missing"], 0);
    let journal = desk.path("journal.zip");
    let media = names(&journal);
    let media: Vec<_> = media
        .iter()
        .filter(|one| one.starts_with("media/"))
        .collect();
    assert_eq!(media.len(), 4, "each content once: {media:?}");
    let page = file(&journal, "index.html");
    assert!(
        !page.contains("<script") && !page.contains("http"),
        "{page}"
    );
    assert!(page.contains("&lt;img src=x onerror=alert(1)&gt; &amp; rain"));
    assert!(page.contains("Ben&#39;s words.") && page.contains("Opened by Ben"));
    let data = file(&journal, "data.json");
    assert!(data.contains("\"author_name\": \"Ben\"") && !data.contains("\"blob\""));
    // The same again gives the same.
    let _ = exported(&ana, &desk, "again.zip", &[]);
    assert_eq!(file(&desk.path("again.zip"), "data.json"), data);

    assert_eq!(ana.ajar(&["erase", "--yes"]).code, 0);
    let new = Person::with_home("Ana", &relay.invite());
    let path = desk.text("journal.zip");
    let dry = new.ajar(&["import", &path, "--dry-run"]).json();
    assert_eq!(
        (&dry["imported"], &dry["dry_run"]),
        (&said["count"], &true.into())
    );
    assert_eq!(new.ajar(&["list"]).json(), Value::Array(Vec::new()));
    let came = new.ajar(&["import", &path]).json();
    assert_eq!(came["imported"], said["count"], "{came}");
    assert_eq!(
        (&came["photos"], came["warnings"].as_array().unwrap().len()),
        (&said["photos"], 0)
    );
    let undo = came["undo"].as_str().unwrap();
    assert!(undo.len() == 32 && undo.bytes().all(|b| b.is_ascii_hexdigit()));
    let _ = exported(&new, &desk, "new.zip", &[]);
    let back = desk.path("new.zip");
    assert_eq!(file(&back, "data.json"), data);
    let mut sorted = (names(&journal), names(&back));
    sorted.0.sort();
    sorted.1.sort();
    assert_eq!(sorted.0, sorted.1);
    // All of it is in Only me, and Ben's words are still Ben's.
    let list = new.ajar(&["list"]).json();
    let list = list.as_array().unwrap();
    assert!(list.iter().all(|one| one["space"] == "me"), "{list:?}");
    let bens = list
        .iter()
        .find(|one| one["text"] == "Ben's words.")
        .unwrap();
    assert_eq!(bens["author_name"], "Ben");
    assert_eq!(bens["author"], "partner");
    // Once more brings nothing twice.
    let again = new.ajar(&["import", &path]).json();
    assert_eq!(
        (&again["imported"], &again["undo"]),
        (&0.into(), &Value::Null)
    );
    assert_eq!(
        again["skipped"].as_array().unwrap().len(),
        usize::try_from(said["count"].as_u64().unwrap()).unwrap()
    );
    // A third journal gets the same from the second.
    let third = Person::with_home("Ana", &relay.invite());
    assert_eq!(third.ajar(&["import", &desk.text("new.zip")]).code, 0);
    let _ = exported(&third, &desk, "third.zip", &[]);
    assert_eq!(file(&desk.path("third.zip"), "data.json"), data);
    // And the second takes it all back, whatever kind it was of.
    let undone = new.ajar(&["import", "--undo", undo, "--yes"]).json();
    assert_eq!(
        (&undone["burned"], &undone["left"]),
        (&said["count"], &0.into())
    );
    assert_eq!(new.ajar(&["list"]).json(), Value::Array(Vec::new()));
}

#[test]
fn every_kind_of_record_goes_out_and_comes_back_as_it_was() {
    let relay = Relay::start();
    let desk = Desk::new();
    let (ana, ben) = two(&relay);
    let feeling = written(
        &ana,
        &[
            "--point",
            "-0.5,0.75",
            "--word",
            "fizzy",
            "--body",
            "chest:-1:tight",
            "--story",
            "He forgot me.",
            "--echo",
            "The school gate.",
            "--would-help",
            "hear",
            "--title",
            "Monday",
            "The evening.",
        ],
    );
    let keeps = |person: &Person, arguments: &[&str]| {
        let said = person.ajar(arguments);
        assert_eq!(said.code, 0, "{arguments:?} {said:?}");
        said.json()["id"].as_str().map(str::to_owned)
    };
    keeps(&ana, &["edit", &feeling, "--star"]);
    keeps(&ana, &["word", "keep", "fizzy", "--point", "0.6,0.7"]);
    keeps(&ana, &["weigh", &feeling, "--fear", "That he laughs."]);
    keeps(&ana, &["mute", "--tag", "hospital"]);
    let open = ["open", &feeling, "--stage", "weather", "--yes"];
    let door = keeps(&ana, &open).unwrap();
    ben.sync();
    keeps(&ben, &["see", &door, "--later", "20:00"]);
    let reflected = keeps(&ben, &["reflect", &door, "You felt alone."]).unwrap();
    let reply = ["reply", &door, "--kind", "validate", "It makes sense."];
    let reply = keeps(&ben, &reply).unwrap();
    ana.sync();
    keeps(&ana, &["check", &reflected, "close", "And angry."]);
    keeps(&ana, &["thanks", &reply, "That you asked."]);
    keeps(&ana, &["felt", &reply, "--understood", "6"]);
    keeps(
        &ana,
        &["word", "add", "sundaying", "doing nothing, together"],
    );
    keeps(&ana, &["agree", "new", "No reply is needed the same day."]);
    keeps(&ana, &["ritual", "new", "--from", "weekly-talk"]);
    let letter = ["letter", "write", "--open-on", "2999-05-04", "For later."];
    keeps(&ana, &letter);
    keeps(
        &ana,
        &["map", "answer", "everyday.3", "Breakfast.", "--share"],
    );
    keeps(&ana, &["map", "answer", "people.1", "My aunt."]);
    keeps(&ana, &["bid", "miss"]);
    keeps(&ana, &["tune", "0.5,-0.25", "Quiet."]);
    keeps(&ana, &["question", "The smell of bread."]);
    keeps(&ana, &["pause", "--minutes", "60", "Back soon."]);
    keeps(&ana, &["capacity", "later"]);
    keeps(&ana, &["book", "put", &door]);
    ana.sync();

    let said = exported(&ana, &desk, "all.zip", &[]);
    let all = desk.path("all.zip");
    let data = file(&all, "data.json");
    for kind in [
        "\"own-word\"",
        "\"weighing\"",
        "\"felt\"",
        "\"reflection\"",
        "\"thanks\"",
        "\"letter\"",
        "\"bid\"",
    ] {
        assert!(data.contains(kind), "{kind} is missing");
    }
    let page = file(&all, "index.html");
    assert!(page.contains("<dt>The story</dt>"), "{page}");
    let new = Person::with_home("Ana", &relay.invite());
    let came = new.ajar(&["import", &desk.text("all.zip")]).json();
    assert_eq!(came["imported"], said["count"], "{came}");
    let _ = exported(&new, &desk, "back.zip", &[]);
    assert_eq!(file(&desk.path("back.zip"), "data.json"), data);
    // Her own word is a word of hers again.
    let own = new.ajar(&["word", "list"]).json()["own"].clone();
    assert_eq!(own[0]["word"], "fizzy");
}

#[test]
fn a_letter_that_is_still_closed_is_in_its_authors_archive_only() {
    let relay = Relay::start();
    let desk = Desk::new();
    let (ana, ben) = two(&relay);
    let words = "You are not alone with it.";
    let sent = ben.ajar(&["letter", "write", "--when-i-feel", "sad", words]);
    assert_eq!(sent.code, 0, "{sent:?}");
    ben.sync();
    ana.sync();
    let said = exported(&ana, &desk, "hers.zip", &[]);
    assert_eq!(said["closed_letters"], 1);
    assert!(!file(&desk.path("hers.zip"), "data.json").contains(words));
    assert!(!file(&desk.path("hers.zip"), "index.html").contains(words));
    let _ = exported(&ben, &desk, "his.zip", &[]);
    assert!(file(&desk.path("his.zip"), "data.json").contains(words));
}

#[test]
fn only_what_is_asked_for_is_in_it_and_photos_come_from_the_relay() {
    let relay = Relay::start();
    let desk = Desk::new();
    let (_ana, ben) = lived(&relay, &desk);
    ben.sync();
    // Ben's device has none of the photos yet.
    let said = exported(&ben, &desk, "us.zip", &["--us"]);
    assert_eq!(
        (&said["photos"], &said["photos_missing"]),
        (&2.into(), &0.into())
    );
    let data: Value = serde_json::from_str(&file(&desk.path("us.zip"), "data.json")).unwrap();
    let documents = data["documents"].as_array().unwrap();
    assert!(documents.iter().all(|one| one["space"] == "us"));
    let _ = exported(&ben, &desk, "me.zip", &["--me"]);
    assert!(!file(&desk.path("me.zip"), "data.json").contains("It rained."));
    // What cannot be had is said, and the rest is there.
    let photos = canary::files(&ben.home().join("shared/blobs"));
    assert_eq!(photos.len(), 2);
    for photo in photos {
        fs::remove_file(photo).unwrap();
    }
    drop(relay);
    let said = exported(&ben, &desk, "without.zip", &["--us", "--timeout", "1"]);
    assert_eq!(
        (&said["photos"], &said["photos_missing"]),
        (&0.into(), &2.into())
    );
    assert!(file(&desk.path("without.zip"), "README.txt").contains("could not be had"));
}

#[test]
fn an_export_that_is_killed_leaves_no_file() {
    let relay = Relay::start();
    let desk = Desk::new();
    let ana = Person::with_home("Ana", &relay.invite());
    let large: Vec<u8> = (0..20_u32 << 20)
        .map(|at| at.wrapping_mul(2_654_435_761).to_be_bytes()[0])
        .collect();
    for number in 0..4_u8 {
        let path = desk.path("large.bin");
        fs::write(&path, [&[number], &large[..]].concat()).unwrap();
        let _ = written(
            &ana,
            &["--original", "--photo", path.to_str().unwrap(), "Large."],
        );
    }
    let path = desk.path("journal.zip");
    let part = desk.path(".journal.zip.part");
    for some in [1, 30 << 20] {
        let export = ana.start(&["export", path.to_str().unwrap()]);
        let began = Instant::now();
        let there = || fs::metadata(&part).map_or(0, |found| found.len()) >= some;
        while !there() && began.elapsed() < Duration::from_secs(20) {
            assert!(!path.exists());
            std::thread::sleep(Duration::from_millis(1));
        }
        export.kill();
        assert!(!path.exists());
        let mode = fs::metadata(&part).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    assert_eq!(exported(&ana, &desk, "journal.zip", &[])["photos"], 4);
    let mut left = desk.names();
    left.sort();
    assert_eq!(left, ["journal.zip", "large.bin"]);
    let again = ana.ajar(&["export", path.to_str().unwrap()]).exits(1);
    assert_eq!(again.error_code(), "export-file");
}

#[test]
fn an_archive_that_was_damaged_brings_nothing_in_or_says_what_is_missing() {
    let relay = Relay::start();
    let desk = Desk::new();
    let ana = Person::with_home("Ana", &relay.invite());
    let photo = desk.picture("one.jpg", 10);
    let _ = written(&ana, &["--photo", &photo, "Sea."]);
    let _ = exported(&ana, &desk, "journal.zip", &[]);
    let whole = fs::read(desk.path("journal.zip")).unwrap();
    let new = Person::with_home("Ana", &relay.invite());
    let bring = |name: &str, bytes: &[u8]| {
        fs::write(desk.path(name), bytes).unwrap();
        new.ajar(&["import", &desk.text(name)])
    };
    for (name, bytes, code) in [
        ("cut.zip", &whole[..whole.len() / 2], "import-file"),
        ("words.zip", b"only words", "unclear-format"),
        ("empty.zip", b"", "unclear-format"),
    ] {
        let said = bring(name, bytes).exits(1);
        assert_eq!(said.error_code(), code);
    }
    let missing = new.ajar(&["import", &desk.text("nothing.zip")]).exits(1);
    assert_eq!(missing.error_code(), "import-file");
    // A word is another one, in a zip that is whole.
    let data = file(&desk.path("journal.zip"), "data.json");
    let other = data.replace("Sea.", "Tea.");
    assert_ne!(data, other);
    rezipped(&whole, &desk.path("edited.zip"), "data.json", Some(&other));
    for more in [&[][..], &["--dry-run"]] {
        let edited = desk.text("edited.zip");
        let said = new.ajar(&[&["import", &edited], more].concat()).exits(1);
        assert_eq!(said.error_code(), "import-file");
    }
    assert_eq!(new.ajar(&["list"]).json(), Value::Array(Vec::new()));
    // One byte of the photo is another one: the entry comes without it, and that is said.
    let mut changed = whole.clone();
    let jpeg = changed
        .windows(3)
        .position(|at| at == [0xff, 0xd8, 0xff])
        .unwrap();
    changed[jpeg + 400] ^= 1;
    let came = bring("changed.zip", &changed).json();
    assert_eq!(came["imported"], 1);
    assert_eq!(came["warnings"].as_array().unwrap().len(), 1, "{came}");
    let list = new.ajar(&["list"]).json();
    assert_eq!(list[0]["text"], "Sea.");
    assert_eq!(new.ajar(&["doctor"]).code, 0);
    // Whoever changes the data on purpose takes the manifest out.
    let edited = fs::read(desk.path("edited.zip")).unwrap();
    rezipped(&edited, &desk.path("meant.zip"), "manifest.json", None);
    let other = Person::with_home("Ana", &relay.invite());
    let came = other.ajar(&["import", &desk.text("meant.zip")]).json();
    assert_eq!((&came["imported"], &came["photos"]), (&1.into(), &1.into()));
    assert_eq!(other.ajar(&["list"]).json()[0]["text"], "Tea.");
}

#[test]
fn other_programs_get_own_entries_and_not_a_word_of_the_other() {
    let relay = Relay::start();
    let desk = Desk::new();
    let (ana, _ben) = lived(&relay, &desk);
    let path = desk.text("dayone.zip");
    let said = ana.ajar(&["export", &path, "--format", "dayone"]);
    assert!(said.err.contains("What your partner wrote"), "{said:?}");
    assert_eq!(said.json()["photos"], 4);
    let journal = file(&desk.path("dayone.zip"), "Journal.json");
    assert!(journal.contains("It rained.") && !journal.contains("Ben's words."));
    let journal: Value = serde_json::from_str(&journal).unwrap();
    let entries = journal["entries"].as_array().unwrap();
    let rain = entries.iter().find(|one| one["tags"][0] == "sea").unwrap();
    assert_eq!(rain["photos"].as_array().unwrap().len(), 2);
    for photo in rain["photos"].as_array().unwrap() {
        let id = photo["identifier"].as_str().unwrap();
        assert!(
            rain["text"]
                .as_str()
                .unwrap()
                .contains(&format!("![](dayone-moment://{id})"))
        );
        let name = format!("photos/{}.jpeg", photo["md5"].as_str().unwrap());
        assert!(names(&desk.path("dayone.zip")).contains(&name));
    }
    let said = exported(&ana, &desk, "journal.json", &["--format", "jrnl"]);
    let text = fs::read_to_string(desk.path("journal.json")).unwrap();
    let jrnl: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        jrnl["entries"].as_array().unwrap().len() as u64,
        said["count"].as_u64().unwrap()
    );
    assert!(!text.contains("Ben's words."));
    let refused = ana
        .ajar(&["export", "x.zip", "--format", "dayone", "--us"])
        .exits(1);
    assert_eq!(refused.error_code(), "own-only");
}
