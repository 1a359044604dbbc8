//! Letters open on their day, or when their reader says so; before, nothing shows what is in them,
//! and nobody learns whether they were read.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails where it breaks"
)]

use ajar_tests::client::Person;
use ajar_tests::relay::Relay;
use ajar_tests::two::{ids, in_years, met};

const TEXT: &str = "the pebble from the beach CANARY-letter";

fn write(person: &Person, arguments: &[&str]) -> String {
    let all = [&["letter", "write"], arguments, &["-"]].concat();
    let said = person.ajar_with_input(&all, TEXT).json();
    said["id"].as_str().unwrap().to_owned()
}

#[test]
fn a_letter_is_closed_before_its_day_and_open_on_it() {
    let relay = Relay::start();
    let (ana, ben) = met(&relay);
    let (today, later) = (in_years(&ana, 0), in_years(&ana, 1));
    let closed = write(&ana, &["--title", "For our day", "--open-on", &later]);
    let open = write(&ana, &["--open-on", &today]);
    ben.sync();
    assert_eq!(ben.refused(&["letter", "read", &closed]), "not-yet");
    // No confirmation opens what is not due.
    assert_eq!(
        ben.refused(&["letter", "read", &closed, "--yes"]),
        "not-yet"
    );
    assert_eq!(ben.says(&["letter", "read", &open])["text"], TEXT);
    assert_eq!(ben.says(&["show", &open])["text"], TEXT);
    // Whoever wrote it may always read it.
    assert_eq!(ana.says(&["letter", "read", &closed])["text"], TEXT);
    let list = ben.says(&["letter", "list"]);
    let of = |id: &str| {
        let mut all = list.as_array().unwrap().iter();
        all.find(|one| one["id"] == id).unwrap().clone()
    };
    assert_eq!(
        (&of(&closed)["closed"], &of(&open)["closed"]),
        (&true.into(), &false.into())
    );
    assert_eq!(of(&closed)["title"], "For our day");
    assert_eq!(of(&closed)["opens_on"], later.as_str());
}

#[test]
fn nothing_shows_a_closed_letter_to_its_reader() {
    let relay = Relay::start();
    let (ana, ben) = met(&relay);
    let (today, later) = (in_years(&ana, 0), in_years(&ana, 1));
    let day = write(&ana, &["--open-on", &later]);
    let mood = write(&ana, &["--when-i-feel", "far away"]);
    let _ = (
        ana.says(&["book", "put", &day]),
        ana.says(&["book", "put", &mood]),
    );
    ben.sync();
    let _ = ben.says(&["on-this-day", "on"]);
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (json, markdown) = (file("all.json"), file("all.md"));
    for command in [
        &["list"][..],
        &["list", "--us", "--kind", "letter"],
        &["show", &day],
        &["show", &mood],
        &["history", &day],
        &["letter", "list"],
        &["book", "waiting"],
        &["book"],
        &["day", &today],
        &["calendar"],
        &["on-this-day", "--heavier"],
        &["export", &json, "--format", "json"],
        &["export", &markdown],
    ] {
        let said = ben.ajar(command).exits(0);
        assert!(!said.out.contains("CANARY-letter"), "{command:?} {said:?}");
        // As a person sees it, not a script.
        if command.first() != Some(&"export") {
            let mut bare = std::process::Command::new(ajar_tests::binary("ajar"));
            bare.args(command)
                .env("AJAR_HOME", ben.home())
                .env("AJAR_PASSPHRASE", &ben.passphrase);
            let output = bare.output().unwrap();
            let out = String::from_utf8_lossy(&output.stdout);
            assert!(
                output.status.success() && !out.contains("CANARY-letter"),
                "{command:?} {out}"
            );
        }
    }
    for path in [&json, &markdown] {
        let written = std::fs::read_to_string(path).unwrap();
        assert!(!written.contains("CANARY-letter"), "{written}");
    }
    assert!(ids(&ben.says(&["search", "CANARY-letter"])).is_empty());
    assert!(ids(&ben.says(&["search", "pebble"])).is_empty());
    // Nobody agrees to what they could not read.
    assert_eq!(ben.refused(&["book", "put", &day]), "not-yet");
    // For a mood its reader is asked; a script cannot say it for them by accident.
    assert_eq!(ben.refused(&["letter", "read", &mood]), "no-terminal");
    assert_eq!(ben.says(&["letter", "read", &mood, "--yes"])["text"], TEXT);
}

#[test]
fn nobody_learns_whether_a_letter_was_read() {
    let relay = Relay::start();
    let (ana, ben) = met(&relay);
    let id = write(&ana, &["--when-i-feel", "far away"]);
    ben.sync();
    ana.sync();
    let view = || {
        let list = ana.ajar(&["letter", "list"]).out;
        let show = ana.ajar(&["show", &id]).out;
        let words = ana.says(&["status", "--words"]).to_string();
        (list, show, words)
    };
    let before = view();
    let _ = ben.says(&["letter", "read", &id, "--yes"]);
    ben.sync();
    ana.sync();
    assert_eq!(view(), before);
}

#[test]
fn a_letter_that_is_taken_back_is_gone_and_only_its_author_takes_it_back() {
    let relay = Relay::start();
    let (ana, ben) = met(&relay);
    let id = write(&ana, &[]);
    ben.sync();
    assert_eq!(
        ben.refused(&["letter", "recall", &id, "--yes"]),
        "not-yours"
    );
    assert_eq!(ana.refused(&["letter", "recall", &id]), "no-terminal");
    let recalled = ana.ajar(&["letter", "recall", &id, "--yes"]).exits(0);
    assert!(recalled.out.contains(&id), "{recalled:?}");
    ben.sync();
    assert!(ids(&ben.says(&["letter", "list"])).is_empty());
    assert_eq!(ben.refused(&["letter", "read", &id]), "not-found");
}
