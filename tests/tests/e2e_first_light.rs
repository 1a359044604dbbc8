//! Ana and Ben with real `ajar` processes, a real relay process, and the commands that a
//! person would type.

use std::time::Duration;

use ajar_tests::canary;
use ajar_tests::client::{Person, pair};
use ajar_tests::relay::Relay;

const SOON: Duration = Duration::from_secs(20);

fn two(relay: &Relay) -> (Person, Person) {
    let address = relay.invite();
    let ana = Person::with_home("Ana-CANARY-name", &address);
    let ben = Person::with_home("Ben-CANARY-name", &address);
    pair(&ana, &ben);
    (ana, ben)
}

#[test]
fn an_entry_opened_by_ana_is_with_ben_within_a_second_and_the_other_way_round() {
    let relay = Relay::start();
    let (ana, ben) = two(&relay);
    for (writer, reader, text) in [(&ana, &ben, "from the stairs"), (&ben, &ana, "an answer")] {
        let watch = reader.start(&["sync", "--watch"]);
        let _ = watch.event("caught-up", SOON);
        let id = writer.write("A small thing", text);
        let began = std::time::Instant::now();
        let opened = writer.ajar(&["open", &id, "--stage", "room", "--yes"]);
        assert_eq!(opened.code, 0, "{opened:?}");
        let event = watch.event("document", SOON);
        // The time includes starting the process and unlocking its home.
        assert!(
            began.elapsed() < Duration::from_secs(3),
            "{:?}",
            began.elapsed()
        );
        assert_eq!(event["author_name"], writer.name.as_str(), "{event}");
        assert_eq!(event["title"], "A small thing");
        drop(watch);
        assert!(reader.shared_texts().contains(&text.to_owned()));
    }
}

#[test]
fn a_private_entry_stays_where_it_is_until_it_is_opened() {
    let relay = Relay::start();
    let (ana, ben) = two(&relay);
    let id = ana.write("Not yet", "I am not ready to say this");
    ana.sync();
    ben.sync();
    assert!(ben.shared_texts().is_empty());
    assert_eq!(ben.ajar(&["show", &id]).code, 1);

    let preview = ana.ajar(&["open", &id, "--stage", "room", "--preview"]);
    assert!(
        preview.out.contains("I am not ready to say this"),
        "{preview:?}"
    );
    ben.sync();
    assert!(ben.shared_texts().is_empty(), "a preview sends nothing");

    assert_eq!(ana.ajar(&["open", &id, "--stage", "room", "--yes"]).code, 0);
    ben.sync();
    assert_eq!(ben.shared_texts(), ["I am not ready to say this"]);
}

#[test]
fn what_was_deleted_before_opening_never_travels() {
    let relay = Relay::start();
    let (ana, ben) = two(&relay);
    let id = ana.write("Draft", "I hate CANARY-deleted-words");
    assert_eq!(ana.ajar(&["edit", &id, "It was a hard day"]).code, 0);
    let history = ana.ajar(&["history", &id]).json();
    assert_eq!(history.as_array().map(Vec::len), Some(2), "{history}");
    assert_eq!(ana.ajar(&["open", &id, "--stage", "room", "--yes"]).code, 0);
    ben.sync();
    let shared = ben.ajar(&["list", "--us"]).json();
    let copy = shared[0]["id"].as_str().unwrap();
    assert_ne!(copy, id, "the copy has an id of its own");
    let found = ben.ajar(&["search", "HARD", "day"]).json();
    assert_eq!(found[0]["id"].as_str(), Some(copy));
    assert_eq!(
        ben.ajar(&["search", "canary"]).json(),
        serde_json::Value::Array(Vec::new())
    );
    let history = ben.ajar(&["history", copy]);
    assert!(!history.out.contains("CANARY-deleted-words"), "{history:?}");
    assert_eq!(history.json().as_array().map(Vec::len), Some(1));
}

#[test]
fn offline_edits_on_both_sides_converge() {
    let mut relay = Relay::start();
    let (ana, ben) = two(&relay);
    let mut copies = Vec::new();
    for person in [&ana, &ben] {
        let id = person.write("Ours", &format!("first words of {}", person.name));
        assert_eq!(
            person.ajar(&["open", &id, "--stage", "room", "--yes"]).code,
            0
        );
        let mine = person.ajar(&["list", "--us"]).json();
        let mine = mine
            .as_array()
            .unwrap()
            .iter()
            .find(|item| item["author"] == "me")
            .unwrap();
        copies.push(mine["id"].as_str().unwrap().to_owned());
    }
    ana.sync();
    ben.sync();
    relay.kill();
    for (person, copy) in [(&ana, &copies[0]), (&ben, &copies[1])] {
        let edited = person.ajar(&["edit", copy, &format!("later words of {}", person.name)]);
        assert!(edited.code == 0 || edited.code == 4, "{edited:?}");
        let offline = person.ajar(&["sync", "--timeout", "1"]);
        assert_eq!(offline.code, 4, "{offline:?}");
    }
    relay.serve();
    ana.sync();
    ben.sync();
    ana.sync();
    assert_eq!(ana.shared_texts(), ben.shared_texts());
    assert_eq!(
        ana.shared_texts(),
        [
            format!("later words of {}", ana.name),
            format!("later words of {}", ben.name)
        ]
    );
    // Nobody can change the other's words.
    let refused = ben.ajar(&["edit", &copies[0], "words in her mouth"]);
    assert_eq!(refused.code, 1, "{refused:?}");
}

#[test]
fn neither_the_relay_nor_a_locked_home_holds_a_readable_word() {
    let relay = Relay::start();
    let (ana, ben) = two(&relay);
    let id = ana.write("CANARY-title-of-it", "CANARY-text-of-it and more");
    let tagged = ana.ajar(&["write", "--tag", "CANARY-tag-of-it", "CANARY-private-text"]);
    assert_eq!(tagged.code, 0, "{tagged:?}");
    assert_eq!(ana.ajar(&["open", &id, "--stage", "room", "--yes"]).code, 0);
    ben.sync();
    ana.sync();
    assert_eq!(ben.shared_texts(), ["CANARY-text-of-it and more"]);

    let canaries = [
        "CANARY-title-of-it",
        "CANARY-text-of-it",
        "CANARY-private-text",
        "CANARY-tag-of-it",
        "CANARY-name",
    ];
    assert_eq!(canary::find(relay.everything(), &canaries), [], "relay");
    assert!(
        canary::files(relay.everything()).len() > 3,
        "the relay has stored something"
    );
    for person in [&ana, &ben] {
        assert_eq!(
            canary::find(&person.home(), &canaries),
            [],
            "home of {}",
            person.name
        );
        let passphrase = person.passphrase.as_str();
        assert_eq!(
            canary::find(&person.home(), &[passphrase]),
            [],
            "{}",
            person.name
        );
    }
    // The search itself works.
    std::fs::write(relay.data().join("planted"), "xQ0FOQVJZLXRpdGxlLW9mLWl0").unwrap();
    assert_eq!(canary::find(relay.everything(), &canaries).len(), 1);
}

#[test]
fn the_partners_view_is_the_same_with_no_or_many_private_entries() {
    let relay = Relay::start();
    let (ana, ben) = two(&relay);
    ana.sync();
    ben.sync();
    let view = |person: &Person| {
        let status = person.ajar(&["status"]).json();
        let shared = status["spaces"]
            .as_array()
            .unwrap()
            .iter()
            .find(|s| s["kind"] == "us");
        let mut shared = shared.cloned().unwrap();
        // When this device last heard the relay is its own doing.
        shared.as_object_mut().unwrap().remove("last_heard");
        (shared, person.ajar(&["list"]).out)
    };
    let before = view(&ben);
    for number in 0..10 {
        let _ = ana.write("private", &format!("thought {number}"));
    }
    ana.sync();
    ben.sync();
    assert_eq!(view(&ben), before);
}
