//! A relay that lies about data, seen by people: what their screens say, and that everything is
//! there again when the relay is honest. Numbers are those of the attack catalogue.

use ajar_tests::client::{Person, pair};
use ajar_tests::liar::{Liar, Twists};

fn two(address: &str) -> (Person, Person) {
    let (ana, ben) = (
        Person::with_home("Ana", address),
        Person::with_home("Ben", address),
    );
    pair(&ana, &ben);
    (ana, ben)
}

/// Both have exactly these, and are sound.
fn assert_both_have(people: &[&Person], texts: &[&str]) {
    for person in people {
        person.sync();
    }
    for person in people {
        person.sync();
        assert_eq!(person.shared_texts(), texts, "{}", person.name);
        assert_eq!(person.ajar(&["doctor"]).code, 0);
        assert_eq!(person.missing(), 0);
    }
}

#[test]
fn t001_an_entry_that_is_held_back_holds_back_the_next_and_accuses_nobody_before_a_day() {
    let relay = Liar::lets_everybody_in();
    let (ana, ben) = two(&relay.invite());
    let (of, to) = (relay.who(|| ana.sync()), relay.who(|| ben.sync()));
    relay.hides_next(1, &of, &to);
    assert!(ana.share("first"));
    assert!(ana.share("second"));
    ben.sync();
    assert_eq!(ben.shared_texts(), [""; 0]);
    assert_eq!(ben.told(), [""; 0]);
    relay.is_honest();
    assert_both_have(&[&ben, &ana], &["first", "second"]);
    assert_eq!(ben.told(), [""; 0]);
}

#[test]
fn t004_t005_a_relay_that_repeats_and_shuffles_changes_nothing() {
    let relay = Liar::lets_everybody_in();
    let (ana, ben) = two(&relay.invite());
    let tablet = ben.device("tablet");
    for number in 0..5 {
        for person in [&ana, &ben] {
            assert!(person.share(&format!("{number} of {}", person.name)));
        }
    }
    let mut texts = ben.shared_texts();
    texts.extend(ana.shared_texts());
    texts.sort();
    texts.dedup();
    for seed in 0..4 {
        relay.twist(Twists {
            repeats: 3,
            shuffled: Some(seed),
            ..Twists::default()
        });
        for person in [&ana, &ben, &tablet] {
            person.sync();
            assert!(person.share(&format!("again {seed} of {}", person.name)));
        }
        texts.extend(["Ana", "Ben", "Ben"].map(|name| format!("again {seed} of {name}")));
    }
    texts.sort();
    let all: Vec<&str> = texts.iter().map(String::as_str).collect();
    assert_both_have(&[&ana, &ben, &tablet], &all);
    for person in [&ana, &ben, &tablet] {
        let codes = person.told();
        assert!(codes.iter().all(|code| code == "device-added"), "{codes:?}");
    }
}

#[test]
fn t007_damaged_envelopes_are_told_and_come_again_when_they_are_sound() {
    let relay = Liar::lets_everybody_in();
    let (ana, ben) = two(&relay.invite());
    relay.twist(Twists {
        damaged: true,
        ..Twists::default()
    });
    let texts = ["one", "three", "two"];
    for text in ["one", "two", "three"] {
        assert!(ana.share(text));
    }
    let _ = ben.ajar(&["sync", "--timeout", "5"]);
    assert_eq!(ben.shared_texts(), [""; 0]);
    assert_eq!(
        ben.notices("damaged-data"),
        ["The server sent damaged data."]
    );
    relay.is_honest();
    assert_both_have(&[&ben, &ana], &texts);
}

#[test]
fn t014_t015_an_older_relay_is_told_loses_nothing_here_and_is_filled_again() {
    let relay = Liar::lets_everybody_in();
    let (ana, ben) = two(&relay.invite());
    assert!(ana.share("last week"));
    ben.sync();
    let last_week = relay.past();
    assert!(ana.share("today"));
    ben.sync();
    assert!(ben.share("an answer"));
    ana.sync();
    let of = relay.who(|| ana.sync());
    let newest = || -> Vec<u64> { of.iter().map(|one| relay.newest(one)).collect() };
    let present = newest();
    let _present = relay.goes_back(last_week);
    assert_ne!(newest(), present);
    // Every command is a process of its own: this is a restart, too.
    ana.sync();
    // Of both spaces.
    let older = "The server returned an older version. Nothing was lost here.";
    assert_eq!(ana.notices("rolled-back"), [older; 2]);
    assert_eq!(ana.shared_texts(), ["an answer", "last week", "today"]);
    assert_eq!(newest(), present);
    assert_both_have(&[&ben, &ana], &["an answer", "last week", "today"]);
}

#[test]
fn t018_what_one_device_of_bens_is_shown_and_the_other_is_not() {
    let relay = Liar::lets_everybody_in();
    let (ana, ben) = two(&relay.invite());
    let tablet = ben.device("tablet");
    let of = relay.who(|| ana.sync());
    let to = relay.who(|| tablet.sync());
    relay.hides_next(u64::MAX, &of, &to);
    assert!(ana.share("not for the tablet"));
    tablet.sync();
    assert_eq!(tablet.missing(), 0, "silence alone says nothing");
    ben.sync();
    assert!(ben.share("seen"));
    tablet.sync();
    // What Ben's own phone has seen, his tablet now knows to be missing.
    assert!(tablet.missing() > 0);
    assert!(
        !tablet
            .shared_texts()
            .contains(&"not for the tablet".to_owned())
    );
    relay.is_honest();
    assert_both_have(&[&tablet, &ben, &ana], &["not for the tablet", "seen"]);
}

#[test]
fn t020_two_worlds_that_are_joined_are_told_and_become_one() {
    let relay = Liar::lets_everybody_in();
    let (ana, ben) = two(&relay.invite());
    let tablet = ben.device("tablet");
    for person in [&ana, &ben, &tablet] {
        person.sync();
    }
    // Ana and Ben's phone are in one world, his tablet in another.
    let other_world = relay.past();
    assert!(ana.share("from Ana"));
    ben.sync();
    assert!(ben.share("from the phone"));
    let one_world = relay.goes_back(other_world);
    assert!(tablet.share("from the tablet"));
    // The relay has the phone join the world of the tablet.
    ben.sync();
    assert_eq!(ben.notices("rolled-back").len(), 1);
    // And then it shows everybody the first one, as if nothing had been.
    let _joined = relay.goes_back(one_world);
    tablet.sync();
    assert_eq!(tablet.notices("rolled-back").len(), 1);
    let all = ["from Ana", "from the phone", "from the tablet"];
    assert_both_have(&[&ben, &tablet, &ana], &all);
}

#[test]
fn t021_whatever_the_relay_says_it_holds_everything_comes_and_goes() {
    let relay = Liar::lets_everybody_in();
    let (ana, ben) = two(&relay.invite());
    let mut texts = Vec::new();
    for (number, claims) in [0, 1, 1 << 40, u64::MAX].into_iter().enumerate() {
        relay.twist(Twists {
            claims: Some(claims),
            ..Twists::default()
        });
        for person in [&ana, &ben] {
            let text = format!("{number} of {}", person.name);
            let _ = person.share(&text);
            texts.push(text);
            let _ = person.ajar(&["sync", "--timeout", "5"]);
        }
    }
    relay.is_honest();
    texts.sort();
    let all: Vec<&str> = texts.iter().map(String::as_str).collect();
    assert_both_have(&[&ana, &ben], &all);
}

#[test]
fn t026_what_the_relay_said_it_kept_and_did_not_is_brought_again() {
    let relay = Liar::lets_everybody_in();
    let (ana, ben) = two(&relay.invite());
    relay.twist(Twists {
        forgets: true,
        ..Twists::default()
    });
    // The relay says it has it, so that is what Ana is told.
    assert!(ana.share("kept, they said"));
    ben.sync();
    assert_eq!(ben.shared_texts(), [""; 0]);
    relay.is_honest();
    ana.sync();
    assert_eq!(ana.notices("rolled-back").len(), 1);
    assert_both_have(&[&ben, &ana], &["kept, they said"]);
}

#[test]
fn t032_t062_a_device_that_the_relay_calls_yours_is_in_no_list_and_in_no_notice() {
    let relay = Liar::lets_everybody_in();
    let (ana, ben) = two(&relay.invite());
    let before = [&ana, &ben].map(Person::devices);
    relay.twist(Twists {
        links: relay.links_of_its_own(),
        ..Twists::default()
    });
    for _ in 0..2 {
        for person in [&ana, &ben] {
            let _ = person.ajar(&["sync", "--timeout", "5"]);
        }
    }
    for (person, before) in [&ana, &ben].into_iter().zip(before) {
        assert_eq!(person.devices(), before, "{}", person.name);
        let codes = person.told();
        assert!(codes.iter().all(|code| code == "damaged-data"), "{codes:?}");
    }
    relay.is_honest();
    assert!(ana.share("for two"));
    assert_both_have(&[&ben, &ana], &["for two"]);
}

#[test]
fn t044_a_list_from_before_a_removal_is_told_and_not_believed() {
    let relay = Liar::lets_everybody_in();
    let (ana, ben) = two(&relay.invite());
    let tablet = ana.device("tablet");
    assert!(tablet.share("from the tablet"));
    ben.sync();
    let before = relay.past();
    ana.remove("tablet", "--lost");
    ben.sync();
    let _present = relay.goes_back(before);
    ben.sync();
    assert_eq!(ben.notices("rolled-back").len(), 1);
    assert_eq!(ben.notices("device-removed").len(), 1);
    assert!(ben.share("not for the tablet"));
    let _ = tablet.ajar(&["sync", "--timeout", "3"]);
    assert!(
        !tablet
            .shared_texts()
            .contains(&"not for the tablet".to_owned())
    );
    assert_both_have(&[&ana, &ben], &["from the tablet", "not for the tablet"]);
}

#[test]
fn t057_a_code_for_one_purpose_makes_no_link_of_the_other_whatever_the_relay_says() {
    use std::time::Duration;
    let relay = Liar::lets_everybody_in();
    let (ana, ben) = two(&relay.invite());
    for lies in [false, true] {
        relay.twist(Twists {
            other_purpose: lies,
            ..Twists::default()
        });
        // Ana adds a device of her own; the code is typed as an invitation from a partner.
        let adding = ana.start(&["device", "add", "--spaces", "me", "--yes"]);
        let code = adding.event("code", Duration::from_secs(20));
        let mallory = Person::with_home("Mallory", &relay.invite());
        let joined = mallory.ajar(&["join", code["invitation"].as_str().unwrap(), "--yes"]);
        assert_ne!(joined.code, 0, "{joined:?}");
        assert_ne!(adding.end().code, 0);
        // And an invitation for a partner is typed as one for an own device.
        let carol = Person::with_home("Carol", &relay.invite());
        let pairing = carol.start(&["pair", "--yes"]);
        let code = pairing.event("code", Duration::from_secs(20));
        let new = Person::new("Carol");
        let linked = new
            .link(code["invitation"].as_str().unwrap(), "phone")
            .end();
        assert_ne!(linked.code, 0, "{linked:?}");
        assert!(new.has_nothing());
        assert_ne!(pairing.end().code, 0);
        assert_eq!(carol.devices().len(), 1);
    }
    assert_eq!(ana.devices().len(), 1);
    relay.is_honest();
    assert!(ana.share("still two"));
    assert_both_have(&[&ben, &ana], &["still two"]);
}
