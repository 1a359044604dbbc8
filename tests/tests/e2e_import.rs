//! Ana brings in what she wrote elsewhere, with real processes.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test should fail at the spot"
)]

use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ajar_tests::client::{Person, Said, pair};
use ajar_tests::dayone::{self, Day};
use ajar_tests::{canary, relay::Relay};
use image::{DynamicImage, ImageFormat, Rgb, RgbImage};
use serde_json::Value;
use tempfile::TempDir;

/// A person who knows no relay.
fn alone(name: &str) -> Person {
    let person = Person::new(name);
    let folder = tempfile::tempdir().unwrap();
    let words = folder.path().join("words");
    let init = person.ajar(&[
        "init",
        "--name",
        name,
        "--me-at-relay",
        "no",
        "--yes",
        "--words-file",
        words.to_str().unwrap(),
    ]);
    assert_eq!(init.code, 0, "{init:?}");
    person
}

/// What Ana exported elsewhere.
struct Exports(TempDir);

impl Exports {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> String {
        fs::write(self.path(name), bytes).unwrap();
        self.path(name).to_str().unwrap().to_owned()
    }
}

fn day(date: &str, text: &str) -> Day {
    Day {
        date: date.to_owned(),
        text: text.to_owned(),
    }
}

/// A photo that says who took it.
fn photo(shade: u8) -> Vec<u8> {
    let picture = RgbImage::from_fn(64, 48, |x, _| Rgb([shade, u8::try_from(x).unwrap(), 9]));
    let mut out = Cursor::new(Vec::new());
    DynamicImage::from(picture)
        .write_to(&mut out, ImageFormat::Jpeg)
        .unwrap();
    let jpeg = out.into_inner();
    let note = b"CANARY-camera";
    let length = u16::try_from(note.len() + 2).unwrap().to_be_bytes();
    [&jpeg[..2], &[0xff, 0xfe], &length, note, &jpeg[2..]].concat()
}

/// Three entries: a heading and two photos; one photo that is none; plain words.
fn export() -> Vec<u8> {
    let entries = [
        dayone::entry(
            1,
            &day("2019-07-01", "By the sea. CANARY-words"),
            &["aa01", "aa02"],
        ),
        dayone::entry(2, &day("2020-07-02", "A film."), &["bb01"]),
        dayone::entry(3, &day("2021-02-30", "No such day."), &[]),
        dayone::entry(4, &day("2021-07-03", "Home."), &[]),
    ];
    let (one, two) = (photo(10), photo(200));
    let files: &[(&str, &[u8])] = &[
        ("photos/aa01.jpeg", &one),
        ("photos/aa02.jpeg", &two),
        ("photos/bb01.jpeg", b"\0\0\0\x18ftypmp42 a film"),
        ("../../evil.md", b"x"),
    ];
    dayone::zip(&entries, files)
}

fn listed(person: &Person) -> Vec<Value> {
    let list = person.ajar(&["list", "--me"]).json();
    list.as_array().unwrap().clone()
}

/// The id in the first line on standard error.
fn promised(said: &Said) -> String {
    let line = said
        .err
        .lines()
        .find(|line| line.contains("--undo"))
        .unwrap();
    line.rsplit(' ').next().unwrap().to_owned()
}

fn whys(report: &Value) -> Vec<String> {
    let skipped = report["skipped"].as_array().unwrap().iter();
    skipped
        .map(|one| format!("{}: {}", one["what"], one["why"]))
        .collect()
}

#[test]
fn ana_looks_first_then_brings_day_one_in_and_takes_it_back() {
    let relay = Relay::start();
    let (ana, ben) = (
        Person::with_home("Ana", &relay.invite()),
        Person::with_home("Ben", &relay.invite()),
    );
    let exports = Exports::new();
    let zip = exports.write("day-one.zip", &export());
    pair(&ana, &ben);

    let dry = ana.ajar(&["import", &zip, "--dry-run"]);
    assert!(!dry.err.contains("--undo"), "{dry:?}");
    let dry = dry.json();
    assert_eq!((&dry["imported"], &dry["photos"]), (&3.into(), &2.into()));
    assert!(dry["undo"].is_null());
    assert!(listed(&ana).is_empty());

    let said = ana.ajar(&["import", &zip]);
    let undo = promised(&said);
    let report = said.json();
    assert_eq!(report["imported"], 3);
    assert_eq!(report["undo"], undo);
    assert_eq!(report["skipped"], dry["skipped"]);
    let whys = whys(&report).join("\n");
    for part in ["evil.md", "entry 3", "photo or file 1 of entry 2"] {
        assert!(whys.contains(part), "{whys}");
    }
    assert!(!whys.contains("CANARY"), "{whys}");

    let entries = listed(&ana);
    let dates: Vec<&str> = entries
        .iter()
        .map(|one| one["date"].as_str().unwrap())
        .collect();
    assert_eq!(
        dates,
        ["2021-07-03T12:00", "2020-07-02T12:00", "2019-07-01T12:00"]
    );
    assert!(entries.iter().all(|one| one["space"] == "me"));
    let sea = entries[2]["id"].as_str().unwrap().to_owned();
    let shown = ana.ajar(&["show", &sea]).json();
    assert_eq!(shown["text"], "By the sea. CANARY-words");
    assert_eq!(shown["photos"].as_array().unwrap().len(), 2);
    assert_eq!(shown["imported"]["format"], "dayone");
    assert_eq!(shown["imported"]["batch"], undo);
    let out = exports.path("out.jpg");
    let taken = ana.ajar(&["photo", &sea, "1", out.to_str().unwrap()]);
    assert_eq!(taken.code, 0, "{taken:?}");
    assert!(!canary::is_in(&fs::read(&out).unwrap(), "CANARY-camera"));
    assert_eq!(
        canary::find(&ana.home(), &["CANARY-words", "CANARY-camera"]),
        []
    );

    let sealed = || canary::files(&ana.home().join("private/blobs"));
    let photos: Vec<PathBuf> = sealed();
    let whole = photos.iter().filter(|file| file.extension().is_none());
    assert_eq!(whole.count(), 4, "{photos:?}");

    // The same again brings nothing, and says so.
    let again = ana.ajar(&["import", &zip]).json();
    assert_eq!(
        (&again["imported"], &again["here_already"]),
        (&0.into(), &3.into())
    );
    assert!(again["undo"].is_null());

    // What she changed since stays.
    let home = entries[0]["id"].as_str().unwrap();
    let edited = ana.ajar(&["edit", home, "Home at last."]);
    assert_eq!(edited.code, 0, "{edited:?}");
    let undone = ana.ajar(&["import", "--undo", &undo]).json();
    assert_eq!((&undone["burned"], &undone["left"]), (&2.into(), &1.into()));
    assert_eq!(undone["delivered"], true);
    let left = listed(&ana);
    assert_eq!(left.len(), 1);
    assert_eq!(left[0]["text"], "Home at last.");
    // Of the photos nothing is left; what is there now is a copy of what stays.
    assert!(!sealed().iter().any(|file| photos.contains(file)));
    ben.sync();
    assert!(ben.ajar(&["list"]).json().as_array().unwrap().is_empty());

    // And it can come again.
    let third = ana.ajar(&["import", &zip]).json();
    assert_eq!(
        (&third["imported"], &third["here_already"]),
        (&2.into(), &1.into())
    );
    let wrong = ana.ajar(&["import", "--undo", "00000000"]).exits(1);
    assert_eq!(wrong.error_code(), "no-such-import");
}

/// Words that differ from day to day, about as many as a page.
fn page(number: usize) -> String {
    let words = [
        "sea", "rain", "Kim", "bread", "letter", "train", "garden", "window", "late", "cold",
    ];
    let word = |place: usize| words[(number * 7 + place * 13 + place * place) % words.len()];
    let line = |line: usize| {
        (0..14)
            .map(|place| word(line * 14 + place))
            .collect::<Vec<_>>()
            .join(" ")
    };
    let lines: Vec<String> = (0..8).map(line).collect();
    format!("# Day {number}\n\n{}", lines.join(".\n"))
}

#[test]
fn ten_years_of_day_one_come_in_seconds_and_go_again() {
    let ana = alone("Ana");
    let mut days = Vec::new();
    for year in 2014..2024 {
        for month in 1..=12 {
            for day in 1..=28 {
                let number = days.len();
                days.push(Day {
                    date: format!("{year}-{month:02}-{day:02}"),
                    text: page(number),
                });
            }
        }
    }
    let exports = Exports::new();
    let zip = exports.write("ten-years.zip", &dayone::of_diary(&days));
    let began = Instant::now();
    let report = ana.ajar(&["import", &zip]).json();
    let took = began.elapsed();
    assert_eq!(report["imported"], 3360);
    assert_eq!(report["skipped"].as_array().unwrap().len(), 0);
    eprintln!("3360 entries in {took:?}");
    assert!(took < Duration::from_secs(120), "{took:?}");
    let found = ana.ajar(&["list", "--me", "--since", "2023-12-28"]).json();
    assert_eq!(found[0]["title"], "Day 3359");
    let began = Instant::now();
    let again = ana.ajar(&["import", &zip]).json();
    eprintln!("the same again in {:?}", began.elapsed());
    assert_eq!(
        (&again["imported"], &again["here_already"]),
        (&0.into(), &3360.into())
    );
    let began = Instant::now();
    let undone = ana
        .ajar(&["import", "--undo", report["undo"].as_str().unwrap()])
        .json();
    eprintln!("undone in {:?}", began.elapsed());
    assert_eq!(undone["burned"], 3360);
    assert!(listed(&ana).is_empty());
}

#[test]
fn an_import_that_is_killed_leaves_whole_entries_and_goes_on_or_back() {
    let ana = alone("Ana");
    let mut days = Vec::new();
    for number in 0..2000 {
        let date = format!(
            "20{:02}-{:02}-{:02}",
            number / 300 + 10,
            number % 12 + 1,
            number % 28 + 1
        );
        days.push(Day {
            date,
            text: page(number),
        });
    }
    let exports = Exports::new();
    let zip = exports.write("many.zip", &dayone::of_diary(&days));
    let mut undo = Vec::new();
    for wait in [400, 900, 1400] {
        let import = ana.start(&["import", &zip]);
        std::thread::sleep(Duration::from_millis(wait));
        let said = import.killed();
        undo.extend(said.err.contains("--undo").then(|| promised(&said)));
        for entry in listed(&ana) {
            let text = entry["text"].as_str().unwrap();
            assert!(text.ends_with(|c: char| c.is_alphabetic()), "{text}");
            assert_eq!(text.lines().count(), 8);
        }
    }
    let before = listed(&ana).len();
    let report = ana.ajar(&["import", &zip]).json();
    assert_eq!(report["here_already"], before);
    assert_eq!(listed(&ana).len(), 2000);
    undo.extend(report["undo"].as_str().map(str::to_owned));
    let mut burned = 0;
    for id in undo {
        let undone = ana.ajar(&["import", "--undo", &id]);
        // One that was killed before its first batch has nothing to undo.
        if undone.code == 0 {
            burned += undone.json()["burned"].as_u64().unwrap();
        }
    }
    assert_eq!(burned, 2000);
    assert!(listed(&ana).is_empty());
}

#[test]
fn other_journals_come_too_and_what_is_unclear_is_said() {
    let ana = alone("Ana");
    let exports = Exports::new();
    let jrnl = exports.write(
        "journal.txt",
        b"[2021-01-01 10:00] Snow. A lot @winter.\n[2021-01-02 11:00] Thaw *\n",
    );
    let report = ana.ajar(&["import", &jrnl]).json();
    assert_eq!(
        (&report["imported"], &report["format"]),
        (&2.into(), &"jrnl".into())
    );
    let folder = exports.path("notes");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("2022-01-01 Ice.md"), "Skates. ![](pond.jpg)").unwrap();
    fs::write(folder.join("pond.jpg"), photo(90)).unwrap();
    fs::write(folder.join("milk.md"), "Buy milk.").unwrap();
    std::os::unix::fs::symlink("/etc/passwd", folder.join("2022-01-02.md")).unwrap();
    let report = ana.ajar(&["import", folder.to_str().unwrap()]).json();
    assert_eq!(
        (&report["imported"], &report["photos"]),
        (&1.into(), &1.into())
    );
    assert_eq!(whys(&report).len(), 2, "{report}");
    let entries = listed(&ana);
    assert_eq!(entries[0]["title"], "Ice");
    assert_eq!(entries[2]["tags"][0], "winter");

    let people = ana.command(&["import", &jrnl]).output().unwrap();
    assert!(people.status.success());
    let refused = |bytes: &[u8]| {
        let path = exports.write("what.zip", bytes);
        ana.ajar(&["import", &path]).exits(1).error_code()
    };
    assert_eq!(refused(b"Dear diary"), "unclear-format");
    assert_eq!(refused(b"PK\x03\x04 and no more"), "import-file");
    let nowhere = Path::new("/nowhere/at-all.zip");
    let gone = ana.ajar(&["import", nowhere.to_str().unwrap()]).exits(1);
    assert_eq!(gone.error_code(), "import-file");
    assert_eq!(ana.ajar(&["import"]).code, 2);
}
