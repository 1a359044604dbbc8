//! Locks, passphrases, and files of a home that are wrong, missing, changed or cut short.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails where it breaks"
)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use ajar_tests::client::{Person, pair};
use ajar_tests::random::Random;
use ajar_tests::recovery::{
    SOON, begin, copy_of, error, link, open, texts, with_variables, with_words,
};
use ajar_tests::relay::Relay;

const PRIVATE: &str = "another one for me alone";

fn segments(home: &Path, store: &str) -> Vec<PathBuf> {
    let files = ajar_tests::canary::files(&home.join(store).join("log"));
    let mut segments: Vec<PathBuf> = files
        .into_iter()
        .filter(|path| path.extension().is_some_and(|end| end == "seg"))
        .collect();
    segments.sort();
    assert!(!segments.is_empty());
    segments
}

#[test]
fn a_lock_ends_what_stays_open_and_takes_its_keys_along() {
    let relay = Relay::start();
    let address = relay.invite();
    let (ana, _) = with_words("Ana", &address, &[]);
    let (ben, _) = with_words("Ben", &address, &[]);
    pair(&ana, &ben);
    assert!(ana.ajar(&["lock"]).json()["ended"].is_null());
    let watch = ana.start(&["sync", "--watch"]);
    let _ = watch.event("caught-up", SOON);
    let pid = watch.child.id();
    let busy = ana.ajar_with_input(&["write", "-"], "typed meanwhile");
    assert_eq!(busy.exits(1).error_code(), "in-use");
    let locked = ana.ajar(&["lock"]).json();
    assert_eq!(locked["ended"], pid);
    assert_eq!(watch.wait(), 0, "it ended in order");
    assert!(!Path::new(&format!("/proc/{pid}/mem")).exists());
    assert!(ana.ajar(&["lock"]).json()["ended"].is_null());
    let _ = ana.write("after", "written after the lock");
    let opens = ana.ajar(&["unlock"]).json();
    assert_eq!((&opens["home"], &opens["me"]), (&true.into(), &true.into()));
    // Without the passphrase nothing opens it again.
    let stranger = with_variables(&ana, &["unlock"], &[("AJAR_PASSPHRASE", "a good guess")]);
    assert_eq!(stranger.exits(3).error_code(), "wrong-passphrase");
}

#[test]
fn a_lock_does_not_take_away_a_text_that_is_being_written() {
    let relay = Relay::start();
    let (ana, _) = with_words("Ana", &relay.invite(), &[]);
    // A text on its way in: the command has not kept it yet.
    let mut writing = ana
        .command(&["write", "-"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let mut text = writing.stdin.take().unwrap();
    let locked = ana.ajar(&["lock"]);
    // It holds no key while it waits for the text, or else it is left to finish.
    assert!(
        locked.code == 0 && locked.json()["ended"].is_null() || locked.error_code() == "in-use",
        "{locked:?}"
    );
    std::io::Write::write_all(&mut text, "a long letter".as_bytes()).unwrap();
    drop(text);
    assert!(writing.wait().unwrap().success());
    assert_eq!(texts(&ana, "--me"), ["a long letter"]);
}

#[test]
fn only_me_has_a_passphrase_of_its_own_and_shows_nothing_without_it() {
    let relay = Relay::start();
    let address = relay.invite();
    let (ana, _) = with_words("Ana", &address, &[]);
    let (ben, _) = with_words("Ben", &address, &[]);
    pair(&ana, &ben);
    let new = [("AJAR_NEW_PASSPHRASE", PRIVATE)];
    let changed = with_variables(&ana, &["passphrase", "--me"], &new).json();
    assert_eq!(changed["changed"], "me");
    let views = || {
        [["status"].as_slice(), &["list"], &["status", "--quiet"]].map(|command| {
            let said = ana.ajar(command);
            assert_eq!(said.code, 0, "{said:?}");
            (said.out, said.err)
        })
    };
    let empty = views();
    let own = [("AJAR_PRIVATE_PASSPHRASE", PRIVATE)];
    for number in 0..3 {
        let text = format!("only for me {number}");
        let said = with_variables(&ana, &["write", &text], &own);
        assert_eq!(said.code, 0, "{said:?}");
    }
    assert_eq!(views(), empty, "a full Only me looks like an empty one");
    // Forgotten, or wrong: what is between the two goes on without it.
    let locked = ana.ajar(&["list", "--me"]).exits(3);
    assert_eq!(locked.error_code(), "private-locked", "{locked:?}");
    let wrong = [("AJAR_PRIVATE_PASSPHRASE", "not that one at all")];
    let wrong = with_variables(&ana, &["list", "--me"], &wrong).exits(3);
    assert_eq!(wrong.out, "", "{wrong:?}");
    open(&ben, "from Ben");
    ana.sync();
    assert_eq!(texts(&ana, "--us"), ["from Ben"]);
    // That of the journal forgotten: the other one opens nothing by itself.
    let lost = [("AJAR_PASSPHRASE", "forgotten"), own[0]];
    let lost = with_variables(&ana, &["list", "--me"], &lost).exits(3);
    assert_eq!(lost.error_code(), "wrong-passphrase", "{lost:?}");
    let list = with_variables(&ana, &["list", "--me"], &own).json();
    assert_eq!(list.as_array().unwrap().len(), 3);
    // And back to one for both.
    let same = with_variables(&ana, &["passphrase", "--me", "--same"], &own);
    assert_eq!(same.code, 0, "{same:?}");
    assert_eq!(texts(&ana, "--me").len(), 3);
}

#[test]
fn a_passphrase_that_is_being_changed_is_the_old_or_the_new_one() {
    let relay = Relay::start();
    let (mut ana, _) = with_words("Ana", &relay.invite(), &[]);
    let _ = ana.write("mine", "still here");
    let mut random = Random::new();
    for round in 0..5 {
        let new = format!("a new one for round {round}");
        let mut command = ana.command(&["passphrase"]);
        command.env("AJAR_NEW_PASSPHRASE", &new);
        random.kill(begin(command, ""), 3_500);
        let old = ana.ajar(&["list", "--me"]);
        let opened = with_variables(&ana, &["list", "--me"], &[("AJAR_PASSPHRASE", &new)]);
        assert_eq!(
            BTreeSet::from([old.code, opened.code]),
            BTreeSet::from([0, 3]),
            "{old:?} {opened:?}"
        );
        if opened.code == 0 {
            ana.passphrase = new;
        }
        assert_eq!(texts(&ana, "--me"), ["still here"]);
    }
}

/// What a home says that was damaged; the folder is as before afterwards.
fn damaged(
    person: &Person,
    file: &Path,
    damage: impl FnOnce(Vec<u8>) -> Option<Vec<u8>>,
) -> String {
    let content = std::fs::read(file).unwrap();
    match damage(content.clone()) {
        Some(other) => std::fs::write(file, other).unwrap(),
        None => std::fs::remove_file(file).unwrap(),
    }
    let said = person.ajar(&["list"]);
    std::fs::write(file, content).unwrap();
    assert_ne!(said.code, 0, "{}: {said:?}", file.display());
    assert_ne!(said.code, 2, "{}: {said:?}", file.display());
    let (message, hint) = error(&said);
    assert!(!message.is_empty() && !hint.is_empty(), "{said:?}");
    message
}

fn changed_in_the_middle(mut content: Vec<u8>) -> Option<Vec<u8>> {
    let middle = content.len() / 2;
    content[middle] ^= 1;
    Some(content)
}

#[test]
fn wrong_missing_changed_and_short_files_are_told_apart_and_stop_no_other_device() {
    let relay = Relay::start();
    let address = relay.invite();
    let (ana, _) = with_words("Ana", &address, &[]);
    let (ben, _) = with_words("Ben", &address, &[]);
    pair(&ana, &ben);
    let phone = link(&ana, "phone");
    open(&ana, "from Ana");
    ana.sync();
    let mut broken = copy_of(&ana);
    for file in ["vault.hdr", "keys-shared.sealed"] {
        let path = broken.home().join(file);
        let others = std::fs::read(ben.home().join(file)).unwrap();
        let said = [
            damaged(&broken, &path, |_| None),
            damaged(&broken, &path, changed_in_the_middle),
            damaged(&broken, &path, |content| {
                Some(content[..content.len() / 2].to_vec())
            }),
            damaged(&broken, &path, |_| Some(others)),
        ];
        assert_ne!(said[0], said[1], "missing is not changed");
    }
    // Without the keys of Only me there is what the two share.
    let private = broken.home().join("keys-private.sealed");
    let keys = std::fs::read(&private).unwrap();
    std::fs::remove_file(&private).unwrap();
    assert_eq!(texts(&broken, "--us"), ["from Ana"]);
    let said = broken.ajar(&["list", "--me"]).exits(1);
    assert!(error(&said).0.contains("is missing"), "{said:?}");
    std::fs::write(&private, keys).unwrap();
    // Another's key is no damage, if it is the passphrase that does not fit.
    let right = std::mem::replace(&mut broken.passphrase, "no idea".to_owned());
    assert_eq!(
        broken.ajar(&["list"]).exits(3).error_code(),
        "wrong-passphrase"
    );
    broken.passphrase = right;
    assert_eq!(broken.ajar(&["list"]).code, 0, "the files are back");

    // The other devices never noticed.
    phone.sync();
    open(&phone, "from the phone");
    ben.sync();
    assert_eq!(texts(&ben, "--us"), ["from Ana", "from the phone"]);
}

/// Changes some bytes of every segment of a store, from a place on.
fn spoil(person: &Person, store: &str, from: usize) {
    for segment in segments(&person.home(), store) {
        let mut content = std::fs::read(&segment).unwrap();
        for byte in content.iter_mut().skip(from).take(8) {
            *byte ^= 0x55;
        }
        std::fs::write(&segment, content).unwrap();
    }
}

#[test]
fn a_damaged_store_of_one_space_leaves_the_other_one_open() {
    let relay = Relay::start();
    let address = relay.invite();
    let (ana, _) = with_words("Ana", &address, &[]);
    let (ben, _) = with_words("Ben", &address, &[]);
    pair(&ana, &ben);
    open(&ana, "from Ana");
    let _ = ana.write("mine", "only Ana's");
    ana.sync();
    ben.sync();
    for (store, word, damaged, other, kept) in [
        ("shared", "us", "--us", "--me", "only Ana's"),
        ("private", "me", "--me", "--us", "from Ana"),
    ] {
        let broken = copy_of(&ana);
        // Where the first record is: what everything else stands on.
        spoil(&broken, store, 4_136);
        let said = broken.ajar(&["list", damaged]).exits(1);
        assert_eq!(said.error_code(), "damaged", "{said:?}");
        assert!(error(&said).1.contains("ajar doctor"), "{said:?}");
        let whole = broken.ajar(&["list", other]);
        assert_eq!(whole.code, 0, "{whole:?}");
        assert!(whole.out.contains(kept), "{whole:?}");
        let status = broken.ajar(&["status"]).json();
        let spaces = status["spaces"].as_array().unwrap();
        let of = spaces.iter().find(|space| space["kind"] == word).unwrap();
        assert!(of["damaged"].is_string(), "{status}");
        let doctor = broken.ajar(&["doctor"]).exits(1);
        assert_eq!(doctor.error_code(), "findings", "{doctor:?}");
        // The other one is exchanged, and the damage is said all the same.
        let synced = broken.ajar(&["sync"]).exits(1);
        assert_eq!(synced.error_code(), "damaged", "{synced:?}");
        assert!(synced.out.contains("\"synced\":true"), "{synced:?}");
        // Nobody is paired anew over what is there, and no device is removed by half.
        let pair = broken.ajar(&["pair", "--yes"]);
        assert_ne!(pair.code, 0, "{pair:?}");
        let removed = broken.ajar(&["device", "remove", "laptop", "--yes"]);
        assert_ne!(removed.code, 0, "{removed:?}");
        assert!(segments(&broken.home(), store)[0].exists());
    }
    open(&ben, "from Ben");
    ana.sync();
    assert_eq!(texts(&ana, "--us"), ["from Ana", "from Ben"]);
}

#[test]
fn a_damaged_entry_leaves_the_other_entries_readable() {
    let relay = Relay::start();
    let (ana, _) = with_words("Ana", &relay.invite(), &[]);
    for number in 0..4 {
        let _ = ana.write("mine", &format!("entry {number} {}", "long ".repeat(600)));
    }
    ana.sync();
    let length = std::fs::read(&segments(&ana.home(), "private")[0]).unwrap();
    let length = length.iter().rposition(|byte| *byte != 0).unwrap();
    let (mut some, mut all) = (0, 0);
    // Wherever the damage is: what can be read is shown, and what cannot is said.
    for step in 4..12 {
        let broken = copy_of(&ana);
        spoil(&broken, "private", length * step / 12);
        let said = broken.ajar(&["list", "--me"]);
        if said.code != 0 {
            assert!(
                said.error_code() == "damaged" || said.error_code() == "store",
                "{said:?}"
            );
            continue;
        }
        let listed = said.json().as_array().unwrap().len();
        if listed < 4 {
            some += 1;
            assert!(said.err.contains("cannot be read"), "{said:?}");
        } else {
            all += 1;
        }
        assert_eq!(broken.ajar(&["doctor"]).exits(1).error_code(), "findings");
    }
    assert!(
        some > 0 && some + all >= 5,
        "{some} with gaps, {all} with none"
    );
}
