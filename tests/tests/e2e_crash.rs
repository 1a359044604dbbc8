//! Processes that die at any moment: nothing that was kept or acknowledged is lost, no
//! counter is used twice, and everything converges afterwards.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails where it breaks"
)]

use std::time::Duration;

use ajar_tests::client::{Person, pair};
use ajar_tests::random::Random;
use ajar_tests::relay::Relay;

fn two(relay: &Relay) -> (Person, Person) {
    let address = relay.invite();
    let (ana, ben) = (
        Person::with_home("Ana", &address),
        Person::with_home("Ben", &address),
    );
    pair(&ana, &ben);
    (ana, ben)
}

fn no_notices(person: &Person) {
    let status = person.ajar(&["status"]).json();
    assert_eq!(
        status["notices"].as_array().map(Vec::len),
        Some(0),
        "{status}"
    );
    let doctor = person.ajar(&["doctor"]);
    assert_eq!(doctor.code, 0, "{doctor:?}");
}

fn texts(person: &Person, which: &str) -> Vec<String> {
    let list = person.ajar(&["list", which]).json();
    let mut texts: Vec<String> = list
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["text"].as_str().unwrap().to_owned())
        .collect();
    texts.sort();
    texts
}

#[test]
fn ana_dies_while_writing_opening_and_syncing() {
    let relay = Relay::start();
    let (ana, ben) = two(&relay);
    let mut random = Random::new();
    let mut kept = Vec::new();
    for round in 0..12 {
        // What was kept is what a command confirmed before it died.
        let text = format!("thought {round}");
        let id = ana.write("round", &text);
        kept.push((id.clone(), text));
        let victim = ana.start(&["open", &id, "--stage", "room", "--yes"]);
        std::thread::sleep(Duration::from_millis(random.below(900)));
        victim.kill();
        if round % 3 == 0 {
            let victim = ana.start(&["sync"]);
            std::thread::sleep(Duration::from_millis(random.below(900)));
            victim.kill();
        }
    }
    for (id, text) in &kept {
        assert_eq!(ana.ajar(&["show", id]).json()["text"], text.as_str());
        let opened = ana.ajar(&["open", id, "--stage", "room", "--yes"]);
        assert!(opened.code == 0 || opened.code == 1, "{opened:?}");
    }
    ana.sync();
    ben.sync();
    let (hers, his) = (texts(&ana, "--us"), texts(&ben, "--us"));
    assert_eq!(hers, his);
    for (_, text) in &kept {
        assert!(his.contains(text), "{text} did not arrive");
    }
    no_notices(&ana);
    no_notices(&ben);
}

#[test]
fn the_relay_dies_while_both_write() {
    let mut relay = Relay::start();
    let (ana, ben) = two(&relay);
    let mut random = Random::new();
    for round in 0..6 {
        for person in [&ana, &ben] {
            let id = person.write("round", &format!("{} {round}", person.name));
            let opening =
                person.start(&["open", &id, "--stage", "room", "--yes", "--timeout", "3"]);
            std::thread::sleep(Duration::from_millis(400 + random.below(400)));
            relay.restart();
            let code = opening.wait();
            assert!(code == 0 || code == 4, "exit {code}");
        }
    }
    ana.sync();
    ben.sync();
    ana.sync();
    assert_eq!(texts(&ana, "--us").len(), 12);
    assert_eq!(texts(&ana, "--us"), texts(&ben, "--us"));
    no_notices(&ana);
    no_notices(&ben);
}

#[test]
fn a_relay_that_lost_its_disk_is_filled_again_by_the_devices() {
    let mut relay = Relay::start();
    let (ana, ben) = two(&relay);
    for number in 0..5 {
        let id = ana.write("before", &format!("before {number}"));
        assert_eq!(ana.ajar(&["open", &id, "--stage", "room", "--yes"]).code, 0);
    }
    ben.sync();
    ana.sync();
    relay.kill();
    relay.lose_disk();
    relay.serve();
    let id = ben.write("after", "after the fire");
    let opened = ben.ajar(&["open", &id, "--stage", "room", "--yes", "--timeout", "20"]);
    assert_eq!(opened.code, 0, "{opened:?}");
    ana.sync();
    ben.sync();
    assert_eq!(texts(&ana, "--us"), texts(&ben, "--us"));
    assert_eq!(texts(&ana, "--us").len(), 6);
    let stored = ajar_tests::canary::files(&relay.data().join("db")).len();
    assert!(stored > 0);
    // A relay that lost nothing but its disk is the same relay: nobody is alarmed beyond one
    // line that says that it knew less than before.
    for person in [&ana, &ben] {
        let status = person.ajar(&["status"]).json();
        for notice in status["notices"].as_array().unwrap() {
            assert_eq!(notice["code"], "rolled-back", "{status}");
        }
    }
}
