//! A log that has grown and is folded: the relay gets smaller, nobody loses anything, and whoever
//! comes later begins from the copy.
#![expect(
    clippy::panic,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails where it breaks"
)]

use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use ajar_journal::entry::{self, Entry, NewEntry};
use ajar_journal::opening::{self, Stage};
use ajar_sync::{Builder, Ownership, Passphrase, SpaceKind};
use ajar_tests::canary;
use ajar_tests::client::{Person, pair};
use ajar_tests::random::Random;
use ajar_tests::recovery::{begin, recover, with_words};
use ajar_tests::relay::Relay;
use serde_json::{Value, json};

/// Records that are written into each space.
const MANY: usize = 350;

fn text(number: usize) -> String {
    format!("tide table {number:03}: the water came up to the third step and went again")
}

/// Writes many entries, and opens as many, as a program that uses the library does: each of
/// them a change of its own.
fn write_many(person: &Person) {
    let passphrase = Passphrase::new(&person.passphrase).unwrap();
    let builder = Builder::new(person.home()).with_passphrase(passphrase);
    let home = builder.open().unwrap();
    let (me, us) = (
        home.space(SpaceKind::Private).unwrap(),
        home.space(SpaceKind::Shared).unwrap(),
    );
    for number in 0..MANY {
        let day = format!("20{:02}-{:02}-15", 10 + number / 12 % 16, number % 12 + 1);
        let new = NewEntry {
            title: None,
            date: day.clone(),
            text: text(number),
            tags: Vec::new(),
            created_at_ms: 0,
        };
        let kept = me.create_document(Ownership::Mine).unwrap();
        kept.change(move |tx| entry::create(tx, &new)).unwrap();
        let entry: Entry = kept.read(entry::read).unwrap().unwrap();
        let projection = opening::project(&entry, Stage::Room).unwrap();
        let copy = us.create_document(Ownership::Mine).unwrap();
        copy.change(move |tx| opening::create(tx, &projection, &day))
            .unwrap();
    }
    home.close().unwrap();
}

/// Bytes that a relay's data takes on the disk, without room that lies there for nothing.
fn on_disk(relay: &mut Relay) -> u64 {
    relay.erase_dead();
    let files = canary::files(&relay.data());
    let blocks = files.iter().map(|file| file.metadata().unwrap().blocks());
    blocks.sum::<u64>() * 512
}

/// The relay deletes in the background, and what a restart interrupts goes on after it.
fn shrinks_below(relay: &mut Relay, limit: u64) {
    let mut last = 0;
    for _ in 0..20 {
        last = on_disk(relay);
        if last < limit {
            return;
        }
        std::thread::sleep(Duration::from_millis(500));
    }
    panic!("{last} bytes are left, and {limit} would be too many");
}

fn tidy(person: &Person) -> [Value; 2] {
    let told = person.ajar(&["tidy"]).json();
    let of = |space: &str| {
        let all = told["spaces"].as_array().unwrap().iter();
        all.clone()
            .find(|one| one["space"] == space)
            .unwrap()
            .clone()
    };
    [of("me"), of("us")]
}

/// Everything is there, in lists and searches, and nothing is wrong.
fn has_everything(person: &Person, own: &[&str], bens: &[&str]) {
    let mut expected: Vec<String> = (0..MANY).map(text).collect();
    expected.extend(own.iter().map(|text| (*text).to_owned()));
    expected.sort();
    assert_eq!(person.texts("me"), expected);
    expected.extend(bens.iter().map(|text| (*text).to_owned()));
    expected.sort();
    assert_eq!(person.texts("us"), expected);
    let found = person.ajar(&["search", "--us", "table", "217"]).json();
    assert_eq!(found[0]["text"], text(217), "{found}");
    assert_eq!(person.ajar(&["doctor"]).code, 0);
    let status = person.ajar(&["status"]).json();
    for space in status["spaces"].as_array().unwrap() {
        assert_eq!(space["beginning"], Value::Null, "{status}");
        assert_eq!(space["missing"], 0, "{status}");
    }
}

#[test]
fn a_relay_gives_up_what_is_folded_in_and_nobody_loses_anything() {
    let mut relay = Relay::start();
    let address = relay.invite();
    let (ana, words) = with_words("Ana", &address, &[]);
    let ben = Person::with_home("Ben", &address);
    pair(&ana, &ben);
    write_many(&ana);
    ana.sync();
    ben.sync();
    assert_eq!(ben.texts("us").len(), MANY);
    let before = on_disk(&mut relay);

    let [me, us] = tidy(&ana);
    assert_eq!(
        me,
        json!({"space": "me", "snapshot": true, "given_up": true})
    );
    assert_eq!(
        us,
        json!({"space": "us", "snapshot": true, "given_up": false})
    );
    // Ben looks at it, and his word goes with the next thing he writes.
    ben.sync();
    assert!(ben.share("from Ben"));
    ben.sync();
    ana.sync();
    let [_, us] = tidy(&ana);
    assert_eq!(us["given_up"], true, "{us}");
    shrinks_below(&mut relay, before * 2 / 3);

    let tablet = ana.device("tablet");
    has_everything(&tablet, &[], &["from Ben"]);
    assert!(tablet.share("from the tablet"));
    for person in [&ana, &ben] {
        person.sync();
        assert!(person.texts("us").contains(&"from the tablet".to_owned()));
    }

    // The relay loses everything but its key: the devices fill it again.
    relay.kill();
    relay.lose_disk();
    relay.serve();
    for person in [&ana, &ben, &tablet, &ana] {
        person.sync();
    }
    let phone = ana.device("phone");
    has_everything(&phone, &["from the tablet"], &["from Ben"]);

    // All of Ana's devices are lost.
    for person in [&ana, &tablet, &phone] {
        person.sync();
    }
    drop((ana, tablet, phone));
    let new = recover("Ana", &address, &words, &[]);
    has_everything(&new, &["from the tablet"], &["from Ben"]);
}

/// Packs of a copy that was cut short once stayed at the relay for good.
#[test]
fn copies_that_were_cut_short_leave_nothing_at_the_relay() {
    let relay = Relay::start();
    let (ana, _) = with_words("Ana", &relay.invite(), &[]);
    let _ = ana.write("kept", &text(1));
    ana.sync();
    let mut random = Random::new();
    for number in 0..6 {
        let _ = ana.write("kept", &text(2 + number));
        random.kill(begin(ana.command(&["tidy"]), ""), 1_500);
    }
    for _ in 0..2 {
        assert_eq!(ana.ajar(&["tidy"]).code, 0);
        ana.sync();
    }
    // The entries of this month, and the profile.
    let packs = canary::files(&relay.data().join("blobs"));
    assert!(packs.len() <= 2, "{packs:?}");
    let here = canary::files(&ana.home());
    let here = here
        .iter()
        .filter(|file| file.components().any(|part| part.as_os_str() == "blobs"));
    assert!(here.count() <= 2);
    assert_eq!(ana.texts("me").len(), 7);
}

/// The log is given up, and the newest copy is one that no device of Ben's has agreed to yet: his
/// laptop begins from the one before, which his desk has signed.
#[test]
fn a_device_that_was_away_begins_from_the_copy_that_its_own_person_has_signed() {
    let relay = Relay::start();
    let address = relay.invite();
    let (ana, ben) = (
        Person::with_home("Ana", &address),
        Person::with_home("Ben", &address),
    );
    pair(&ana, &ben);
    let desk = ben.device("desk");
    assert!(ana.share("while the laptop slept"));
    desk.sync();
    ana.sync();
    let _ = tidy(&ana);
    desk.sync();
    assert!(desk.share("from the desk"));
    desk.sync();
    ana.sync();
    let [_, us] = tidy(&ana);
    assert_eq!(us["given_up"], true, "{us}");

    ben.sync();
    assert_eq!(ben.notices("partner-vouches").len(), 0);
    assert_eq!(ben.texts("us"), ["from the desk", "while the laptop slept"]);
    ben.sync();
    assert_eq!(ben.ajar(&["doctor"]).code, 0);
}
