//! All devices lost, a thief with an unlocked one, and the twelve words that bring everything
//! back.
#![expect(clippy::unwrap_used, reason = "a test fails where it breaks")]

use ajar_crypto::RecoveryPhrase;
use ajar_tests::client::{Person, pair};
use ajar_tests::random::Random;
use ajar_tests::recovery::{
    begin, copy_of, end, error, event, link, listed, notices, open, recover, recovering, texts,
    try_recover, with_words,
};
use ajar_tests::relay::Relay;
use serde_json::Value;

/// Words that are sound and nobody's.
const NOBODYS: &str = "legal winner thank year wave sausage worth useful legal winner thank yellow";

fn number(found: &Value, kind: &str, what: &str) -> String {
    let spaces = found["spaces"].as_array().unwrap();
    let space = spaces.iter().find(|space| space["kind"] == kind).unwrap();
    let changes = space["changes"].as_array().unwrap();
    let change = changes.iter().find(|change| change["what"] == what);
    change.unwrap()["number"].to_string()
}

fn recovery_was_told(person: &Person, text: &str) {
    let told = notices(person);
    let recovered = ("recovered".to_owned(), text.to_owned());
    assert!(told.contains(&recovered), "{told:?}");
}

#[test]
fn six_devices_are_lost_and_both_have_everything_back() {
    let relay = Relay::start();
    let address = relay.invite();
    let (ana, anas_words) = with_words("Ana", &address, &[]);
    let (ben, bens_words) = with_words("Ben", &address, &[]);
    pair(&ana, &ben);
    let (phone, tablet) = (link(&ana, "phone"), link(&ana, "tablet"));
    let (bens_phone, bens_tablet) = (link(&ben, "phone"), link(&ben, "tablet"));
    let said = ana.ajar_with_input(
        &[
            "write",
            "--title",
            "Rain",
            "--date",
            "2026-03-07",
            "--tag",
            "sea",
            "--tag",
            "quiet",
            "-",
        ],
        "It rained all day. ☂",
    );
    assert_eq!(said.code, 0, "{said:?}");
    let _ = ben.write("his own", "only Ben's");
    open(&phone, "from Ana's phone");
    open(&bens_tablet, "from Ben's tablet");
    open(&bens_phone, "from Ben's phone");
    for device in [&ana, &tablet, &ben] {
        device.sync();
    }
    let before = [listed(&tablet, "--me"), listed(&tablet, "--us")];
    let bens = [listed(&ben, "--me"), listed(&ben, "--us")];
    assert_eq!(before[1].as_array().unwrap().len(), 3, "{before:?}");
    let found = copy_of(&tablet);
    drop((ana, phone, tablet, ben, bens_phone, bens_tablet));

    let ana = recover("Ana", &address, &anas_words, &[]);
    let ben = recover("Ben", &address, &bens_words, &[]);
    assert_eq!([listed(&ana, "--me"), listed(&ana, "--us")], before);
    assert_eq!([listed(&ben, "--me"), listed(&ben, "--us")], bens);
    ana.sync();
    recovery_was_told(&ana, "Ben recovered the journal on a new device.");
    // Ben had no device that could have seen it: somebody may have Ana's words.
    recovery_was_told(&ben, "Ana recovered the journal on a new device.");
    open(&ana, "from the new laptop");
    open(&ben, "from Ben's new one");
    for person in [&ben, &ana] {
        person.sync();
    }
    assert_eq!(texts(&ana, "--us").len(), 5);
    assert_eq!(texts(&ana, "--us"), texts(&ben, "--us"));
    // Whoever finds a lost device gets nothing new with it, and nobody gets anything from it.
    let id = found.write("found", "written by whoever found it");
    let opened = found.ajar(&["open", &id, "--stage", "room", "--yes", "--timeout", "3"]);
    assert_ne!(opened.code, 0, "{opened:?}");
    assert_eq!(
        found
            .ajar(&["sync", "--timeout", "3"])
            .exits(1)
            .error_code(),
        "not-admitted"
    );
    for which in ["--us", "--me"] {
        let seen = texts(&found, which).join(" ");
        assert!(!seen.contains("new laptop"), "{seen}");
        assert!(!seen.contains("new one"), "{seen}");
    }
    ben.sync();
    ana.sync();
    assert_eq!(texts(&ben, "--us").len(), 5);
    assert!(!texts(&ana, "--me").join(" ").contains("whoever found it"));
    assert_eq!(ana.ajar(&["doctor"]).code, 0);
}

#[test]
fn a_thief_removes_the_owner_and_the_words_win() {
    let relay = Relay::start();
    let address = relay.invite();
    let (ana, words) = with_words("Ana", &address, &[]);
    let (ben, _) = with_words("Ben", &address, &[]);
    pair(&ana, &ben);
    open(&ana, "before the theft");
    let _ = ana.write("mine", "Ana's own");
    ana.sync();
    let phone = link(&ana, "phone");
    // The phone is stolen while it is open.
    let removed = phone.ajar(&["device", "remove", "laptop", "--stolen", "--yes"]);
    assert_eq!(removed.code, 0, "{removed:?}");
    assert_ne!(ana.ajar(&["sync", "--timeout", "3"]).code, 0);
    let thief = link(&phone, "thief's");
    open(&thief, "written by the thief");
    let _ = thief.write("mine", "the thief's own");
    thief.sync();
    ben.sync();
    open(&ben, "Ben, meanwhile");
    assert!(texts(&ben, "--us").contains(&"written by the thief".to_owned()));

    // Ana looks first, and nothing is changed by that.
    let new = Person::new("Ana");
    let looked = try_recover(&new, &address, &format!("{words}\nno\n"), &[]).exits(1);
    assert_eq!(looked.error_code(), "not-confirmed", "{looked:?}");
    assert!(!new.home().join("vault.hdr").exists());
    let found = event(&looked, "found");
    let mine = number(&found, "me", "device-removed");
    let ours = number(&found, "us", "device-removed");
    let ana = recover("Ana", &address, &words, &["--undo", &mine, "--undo", &ours]);
    let expected = ["Ben, meanwhile", "before the theft"];
    assert_eq!(texts(&ana, "--us"), expected);
    let own = texts(&ana, "--me");
    assert!(own.contains(&"Ana's own".to_owned()), "{own:?}");
    assert!(!own.join(" ").contains("thief"), "{own:?}");
    ben.sync();
    assert_eq!(texts(&ben, "--us"), expected);
    recovery_was_told(&ben, "Ana recovered the journal on a new device.");
    open(&ana, "after the theft");
    open(&ben, "so it is you");
    ana.sync();
    ben.sync();
    assert_eq!(texts(&ana, "--us").len(), 4);
    assert_eq!(texts(&ana, "--us"), texts(&ben, "--us"));
    for device in [&phone, &thief] {
        assert_ne!(device.ajar(&["sync", "--timeout", "3"]).code, 0);
        let seen = texts(device, "--us").join(" ");
        assert!(!seen.contains("after the theft"), "{seen}");
        assert!(!seen.contains("so it is you"), "{seen}");
    }
    let devices = ana.ajar(&["device", "list"]).json();
    let active: Vec<&Value> = devices
        .as_array()
        .unwrap()
        .iter()
        .filter(|device| device["state"] == "active")
        .collect();
    assert_eq!(active.len(), 1, "{devices}");
    assert_eq!(active[0]["this"], true);
}

#[test]
fn a_thief_ends_the_journal_and_the_words_take_it_back() {
    let relay = Relay::start();
    let address = relay.invite();
    let (phone, words) = with_words("Ana", &address, &[]);
    let (ben, _) = with_words("Ben", &address, &[]);
    pair(&phone, &ben);
    open(&phone, "before the theft");
    phone.sync();
    let ended = phone.ajar(&["close", "end", "--yes"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    ben.sync();
    let told = notices(&ben);
    assert!(told.iter().any(|(code, _)| code == "left"), "{told:?}");
    let new = Person::new("Ana");
    let looked = try_recover(&new, &address, &format!("{words}\nno\n"), &[]).exits(1);
    let ours = number(&event(&looked, "found"), "us", "left");
    let ana = recover("Ana", &address, &words, &["--undo", &ours]);
    ben.sync();
    open(&ana, "it was not me");
    ben.sync();
    assert_eq!(texts(&ben, "--us"), ["before the theft", "it was not me"]);
    open(&ben, "I thought so");
    ana.sync();
    assert_eq!(texts(&ana, "--us").len(), 3);
    let status = ben.ajar(&["status"]).json();
    let spaces = status["spaces"].as_array().unwrap();
    let us = spaces.iter().find(|space| space["kind"] == "us").unwrap();
    assert_eq!(us["sharing"], "open", "{status}");
}

#[test]
fn every_kind_of_wrong_words_has_its_own_message() {
    let relay = Relay::start();
    let address = relay.invite();
    let (ana, words) = with_words("Ana", &address, &[]);
    let _ = ana.write("mine", "Ana's own");
    ana.sync();
    let mut typed: Vec<&str> = words.split(' ').collect();
    let right = typed[4];
    typed[4] = "harbour";
    let misspelt = typed.join(" ");
    // One word in sixteen would fit the checksum.
    let unsound = ["zoo", "abandon", "letter", "ocean", "quiet", "rain"].into_iter();
    let mut unsound = unsound.filter(|word| *word != right).map(|word| {
        typed[4] = word;
        typed.join(" ")
    });
    let unsound = unsound.find(|words| RecoveryPhrase::parse(words).is_err());
    let unsound = unsound.unwrap();
    let eleven = words.rsplit_once(' ').unwrap().0;
    for (wrong, message) in [
        (misspelt.as_str(), "word 5 is not one of the words"),
        (unsound.as_str(), "do not belong together"),
        (eleven, "11 words instead of 12"),
    ] {
        let nobody = Person::new("Ana");
        for said in [
            try_recover(&nobody, &address, wrong, &["--yes"]),
            ana.ajar_with_input(&["words", "check"], wrong),
            ana.ajar_with_input(&["words", "replace"], wrong),
        ] {
            let said = said.exits(1);
            assert_eq!(said.error_code(), "bad-words", "{said:?}");
            assert!(error(&said).0.contains(message), "{said:?}");
            assert!(!said.err.contains("harbour"), "{said:?}");
        }
        assert!(!nobody.home().exists());
    }
    let nobody = Person::new("Ana");
    let said = try_recover(&nobody, &address, NOBODYS, &["--yes"]).exits(1);
    assert_eq!(said.error_code(), "nothing-to-recover", "{said:?}");
    let said = ana.ajar_with_input(&["words", "check"], NOBODYS).exits(1);
    assert_eq!(said.error_code(), "wrong-words", "{said:?}");
    let said = ana.ajar_with_input(&["words", "replace"], NOBODYS).exits(1);
    assert_eq!(said.error_code(), "wrong-words", "{said:?}");
    let checked = ana.ajar_with_input(&["words", "check"], &words).json();
    assert_eq!(checked["all"], true);
}

#[test]
fn replaced_words_bring_nothing_back_however_often_replacing_was_cut_short() {
    let relay = Relay::start();
    let address = relay.invite();
    let (ana, old) = with_words("Ana", &address, &[]);
    let (ben, _) = with_words("Ben", &address, &[]);
    pair(&ana, &ben);
    open(&ana, "before the new words");
    let mut random = Random::new();
    let sheet = ana.home().parent().unwrap().join("new-words");
    let sheet_text = sheet.to_str().unwrap();
    // The first tries die at any moment. Once new words are on a sheet, they are gone on with.
    let mut new = String::new();
    for _ in 0..4 {
        if new.split(' ').count() < 12 {
            let _ = std::fs::remove_file(&sheet);
            let command = ana.command(&["words", "replace", "--words-file", sheet_text]);
            random.kill(begin(command, &format!("{old}\n")), 2_500);
            let written = std::fs::read_to_string(&sheet).unwrap_or_default();
            written.trim().clone_into(&mut new);
        } else {
            let command = ana.command(&["words", "replace", "--again"]);
            random.kill(begin(command, &format!("{old}\n{new}\n")), 2_500);
        }
    }
    if new.split(' ').count() < 12 {
        let _ = std::fs::remove_file(&sheet);
        let arguments = ["words", "replace", "--words-file", sheet_text];
        let said = ana.ajar_with_input(&arguments, &old);
        assert_eq!(said.code, 0, "{said:?}");
        let written = std::fs::read_to_string(&sheet).unwrap();
        written.trim().clone_into(&mut new);
    }
    let again = ana.ajar_with_input(&["words", "replace", "--again"], &format!("{old}\n{new}\n"));
    assert_eq!(again.code, 0, "{again:?}");
    assert_eq!(
        ana.ajar_with_input(&["words", "check"], &new).json()["all"],
        true
    );
    let said = ana.ajar_with_input(&["words", "check"], &old).exits(1);
    assert_eq!(said.error_code(), "wrong-words", "{said:?}");
    open(&ana, "after the new words");
    let _ = ana.write("mine", "Ana's own");
    ana.sync();
    let kept = [listed(&ana, "--me"), listed(&ana, "--us")];
    drop(ana);
    let nobody = Person::new("Ana");
    let said = try_recover(&nobody, &address, &old, &["--yes"]).exits(1);
    assert_eq!(said.error_code(), "nothing-to-recover", "{said:?}");
    assert!(
        error(&said).1.contains("only the new ones count"),
        "{said:?}"
    );
    let ana = recover("Ana", &address, &new, &[]);
    assert_eq!([listed(&ana, "--me"), listed(&ana, "--us")], kept);
    ben.sync();
    assert_eq!(texts(&ben, "--us").len(), 2);
}

#[test]
fn a_relay_in_trouble_costs_a_recovery_nothing_but_time() {
    let mut relay = Relay::start();
    let address = relay.invite();
    let (ana, words) = with_words("Ana", &address, &[]);
    let (ben, _) = with_words("Ben", &address, &[]);
    pair(&ana, &ben);
    open(&ana, "before the fire");
    ben.sync();
    ana.sync();
    let kept = [listed(&ana, "--me"), listed(&ana, "--us")];
    let tablet = link(&ana, "tablet");
    let new = Person::new("Ana");
    // Down.
    relay.kill();
    let said = try_recover(&new, &address, &words, &["--yes", "--timeout", "2"]).exits(4);
    assert!(!error(&said).1.is_empty(), "{said:?}");
    assert!(!new.home().join("vault.hdr").exists());
    // Its disk is lost, and nobody has been there since.
    relay.lose_disk();
    relay.serve();
    let said = try_recover(&new, &address, &words, &["--yes"]).exits(1);
    assert_eq!(said.error_code(), "nothing-to-recover", "{said:?}");
    // Another relay in its place, and one that has another key.
    let other = Relay::start();
    let elsewhere = other.invite();
    let key = address.split('#').nth(1).unwrap();
    let wrong = format!("{}#{key}", elsewhere.split('#').next().unwrap());
    let said = try_recover(&new, &wrong, &words, &["--yes"]).exits(5);
    assert_eq!(said.error_code(), "wrong-relay", "{said:?}");
    // Another device fills it again.
    tablet.sync();
    drop((ana, tablet));
    let said = try_recover(&new, &address, &words, &["--yes"]);
    assert_eq!(said.code, 0, "{said:?}");
    assert_eq!([listed(&new, "--me"), listed(&new, "--us")], kept);
    ben.sync();
    open(&ben, "after the fire");
    new.sync();
    assert_eq!(texts(&new, "--us").len(), 2);
}

#[test]
fn a_recovery_that_dies_at_any_moment_is_done_again() {
    let relay = Relay::start();
    let address = relay.invite();
    let (lost, words) = with_words("Ana", &address, &[]);
    let (ben, _) = with_words("Ben", &address, &[]);
    pair(&lost, &ben);
    for number in 0..3 {
        open(&lost, &format!("entry {number}"));
    }
    lost.sync();
    let kept = [listed(&lost, "--me"), listed(&lost, "--us")];
    drop(lost);
    let mut random = Random::new();
    for _ in 0..2 {
        let ana = Person::new("Ana");
        for _ in 0..3 {
            random.kill(recovering(&ana, &address, &words, &["--yes"]), 2_000);
            if ana.home().join("vault.hdr").exists() {
                // Whatever was made opens.
                let status = ana.ajar(&["status"]);
                assert_eq!(status.code, 0, "{status:?}");
            }
        }
        let said = end(recovering(&ana, &address, &words, &["--yes"]));
        let there = said.code == 1 && said.error_code() == "already-there";
        assert!(said.code == 0 || there, "{said:?}");
        ana.sync();
        assert_eq!([listed(&ana, "--me"), listed(&ana, "--us")], kept);
        let devices = ana.ajar(&["device", "list"]).json();
        let all = devices.as_array().unwrap().iter();
        let active = all.filter(|device| device["state"] == "active").count();
        assert_eq!(active, 1, "{devices}");
    }
    ben.sync();
    open(&ben, "are you well?");
    assert_eq!(texts(&ben, "--us").len(), 4);
}
