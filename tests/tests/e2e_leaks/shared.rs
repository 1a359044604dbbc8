//! What the other one learns of how something came about, and of who has read it.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use ajar_tests::client::{Person, pair};
use ajar_tests::relay::Relay;
use ajar_tests::searcher::{self, Keys};

const SOON: Duration = Duration::from_secs(20);

fn two(relay: &Relay) -> (Person, Person, Keys) {
    let address = relay.invite();
    let (ana, ben) = (
        Person::with_home("Ana", &address),
        Person::with_home("Ben", &address),
    );
    pair(&ana, &ben);
    for person in [&ana, &ben, &ana] {
        person.sync();
    }
    let mut keys = Keys::default();
    keys.add(&ana);
    keys.add(&ben);
    (ana, ben, keys)
}

fn stored(relay: &Relay, keys: &Keys) -> BTreeSet<Vec<u8>> {
    let all = searcher::envelopes(keys, &relay.data()).into_iter();
    all.map(|envelope| envelope.as_bytes().to_vec()).collect()
}

/// Types into the copy that Ben reads as people type: saving in between, and taking back.
#[test]
fn t089_what_was_typed_and_taken_back_in_an_editor_never_travels() {
    let relay = Relay::start();
    let (ana, ben, keys) = two(&relay);
    assert!(ana.share("It was a long day."));
    // Her own devices hear of the opening too.
    ana.sync();
    ben.sync();
    let copy = ana.ajar(&["list", "--us"]).json()[0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let before = stored(&relay, &keys);

    let folder = tempfile::tempdir().unwrap();
    let editor = folder.path().join("editor");
    let script = "#!/bin/sh\nprintf 'I hate CANARY-typed-first' > \"$1\"; sleep 1\n\
                  printf 'CANARY-typed-next, or what?' > \"$1.swp\"; mv \"$1.swp\" \"$1\"; sleep 1\n\
                  printf 'It was a long and good day.' > \"$1\"\n";
    fs::write(&editor, script).unwrap();
    fs::set_permissions(&editor, PermissionsExt::from_mode(0o755)).unwrap();
    // It asks an editor only where there is a terminal.
    let ajar = ajar_tests::binary("ajar");
    let line = format!("'{}' --json edit {copy}", ajar.display());
    let edited = Command::new("script")
        .args(["-qec", &line, "/dev/null"])
        .env("AJAR_HOME", ana.home())
        .env("AJAR_PASSPHRASE", &ana.passphrase)
        .env("EDITOR", &editor)
        .env_remove("VISUAL")
        .env_remove("AJAR_PRIVATE_PASSPHRASE")
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    assert!(edited.status.success(), "{edited:?}");
    ana.sync();
    ben.sync();
    assert_eq!(ben.shared_texts(), ["It was a long and good day."]);
    let after = stored(&relay, &keys);
    assert_eq!(
        after.difference(&before).count(),
        1,
        "one save is one change"
    );
    let history = ben.ajar(&["history", &copy]).json();
    assert_eq!(history.as_array().unwrap().len(), 2, "{history}");
    // With every key of both, nothing of it lies anywhere: not with Ben, not at the relay, and not
    // with Ana either.
    let (hers, his, its) = (ana.home(), ben.home(), relay.data());
    let folders: [&Path; 3] = [&hers, &his, &its];
    let opened = searcher::search(keys, &folders, &["CANARY-typed", "and good"], &[]);
    let found: BTreeSet<&str> = opened.found.iter().map(|(text, _)| text.as_str()).collect();
    assert_eq!(found, BTreeSet::from(["and good"]), "{:?}", opened.found);
}

/// Reading, searching, exporting, and hours of staying: nothing but questions goes out.
#[test]
fn t090_ben_reads_all_day_and_nothing_says_so() {
    let relay = Relay::start();
    let (ana, ben, keys) = two(&relay);
    assert!(ana.share("Have you read this?"));
    // Her own devices hear of the opening too.
    ana.sync();
    let words = ana.ajar(&["status", "--words"]).json();
    let before = stored(&relay, &keys);
    let status = |person: &Person| {
        let mut status = person.ajar(&["status"]).json();
        for space in status["spaces"].as_array_mut().unwrap() {
            // When this device last heard the relay is its own doing.
            space["last_heard"] = serde_json::Value::Null;
        }
        status
    };
    let untold = status(&ana);
    let export = ben.home().with_file_name("export.md");
    for round in 0..3 {
        ben.sync();
        let watch = ben.start(&["sync", "--watch"]);
        let _ = watch.event("caught-up", SOON);
        std::thread::sleep(Duration::from_secs(2));
        watch.kill();
        let id = ben.ajar(&["list", "--us"]).json()[0]["id"]
            .as_str()
            .unwrap()
            .to_owned();
        let export = export.with_extension(round.to_string());
        for command in [
            &["show", id.as_str()][..],
            &["history", &id],
            &["search", "read"],
            &["status"],
            &["status", "--words"],
            &["doctor"],
            &["export", export.to_str().unwrap()],
        ] {
            let said = ben.ajar(command);
            assert_eq!(said.code, 0, "{command:?} {said:?}");
        }
    }
    ben.sync();
    ana.sync();
    assert_eq!(stored(&relay, &keys), before, "no envelope of anybody");
    assert_eq!(status(&ana), untold, "Ana is told nothing");
    assert_eq!(ana.ajar(&["status", "--words"]).json(), words);
    // What Ben writes confirms what he has; that is how it becomes known.
    assert!(ben.share("I have."));
    assert!(stored(&relay, &keys).len() > before.len());
}
