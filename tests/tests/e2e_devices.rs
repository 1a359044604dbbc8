//! Several devices of one person, with the commands that a person types: adding them, codes
//! that go wrong, devices with one space only, and copies of a home.
#![expect(clippy::unwrap_used, reason = "a test fails where it breaks")]

use std::time::Duration;

use ajar_tests::canary;
use ajar_tests::client::{Person, Said, pair};
use ajar_tests::devices::{all_at_once, choose, notices_of, texts_of};
use ajar_tests::liar::{Liar, Side};
use ajar_tests::relay::Relay;
use serde_json::Value;

const SOON: Duration = Duration::from_secs(20);

fn two(relay: &Relay) -> (Person, Person) {
    let address = relay.invite();
    let (ana, ben) = (
        Person::with_home("Ana", &address),
        Person::with_home("Ben", &address),
    );
    pair(&ana, &ben);
    (ana, ben)
}

fn invitation(code: &Value) -> String {
    code["invitation"].as_str().unwrap().to_owned()
}

/// What one device says of everything.
struct View {
    list: Value,
    devices: Value,
    status: Value,
    doctor: Said,
}

impl View {
    fn of(device: &Person) -> Self {
        Self {
            list: device.ajar(&["list"]).json(),
            devices: device.ajar(&["device", "list"]).json(),
            status: device.ajar(&["status"]).json(),
            doctor: device.ajar(&["doctor"]),
        }
    }
}

#[test]
fn three_and_three_devices_hold_the_same_and_names_stay_with_their_owner() {
    let relay = Relay::start();
    let (ana, ben) = two(&relay);
    let (mut hers, mut his) = (vec![ana], vec![ben]);
    std::thread::scope(|scope| {
        for (own, whose) in [(&mut hers, "Ana"), (&mut his, "Ben")] {
            scope.spawn(move || {
                let phone = own[0].device(&format!("{whose}-CANARY-phone"));
                // The second one is added from the first that was added.
                let tablet = phone.device(&format!("{whose}-CANARY-tablet"));
                own.extend([phone, tablet]);
            });
        }
    });
    let all: Vec<&Person> = hers.iter().chain(&his).collect();
    let number = |device: &Person| {
        let same = |other: &&Person| other.home() == device.home();
        all.iter().position(same).unwrap()
    };
    all_at_once(&all, |device| {
        assert!(device.share(&format!("from device {}", number(device))));
        device.sync();
    });
    all_at_once(&all, |device| device.sync());

    let mut views = Vec::new();
    std::thread::scope(|scope| {
        let looking: Vec<_> = all
            .iter()
            .map(|device| scope.spawn(|| View::of(device)))
            .collect();
        views.extend(looking.into_iter().map(|look| look.join().unwrap()));
    });
    let text = |number: usize| format!("from device {number}");
    let everything: Vec<String> = (0..6).map(text).collect();
    for (place, view) in views.iter().enumerate() {
        let (own, whose, partner) = match place {
            0..3 => (0..3, "Ana", "Ben"),
            _ => (3..6, "Ben", "Ana"),
        };
        let only_mine: Vec<String> = own.clone().map(text).collect();
        assert_eq!(texts_of(&view.list, "us"), everything, "device {place}");
        assert_eq!(texts_of(&view.list, "me"), only_mine, "device {place}");
        assert_eq!(view.doctor.code, 0, "{:?}", view.doctor);

        let devices = view.devices.as_array().unwrap();
        assert_eq!(devices.len(), 3, "{devices:#?}");
        for device in devices {
            assert_eq!(device["state"], "active");
            assert_eq!(device["spaces"], serde_json::json!(["me", "us"]));
            assert_eq!(device["id"].as_str().map(str::len), Some(64), "{device}");
            assert!(device["since"].as_str().unwrap().ends_with('Z'), "{device}");
        }
        let this: Vec<bool> = devices.iter().map(|d| d["this"] == true).collect();
        // The oldest first.
        let expected: Vec<bool> = own.map(|number| number == place).collect();
        assert_eq!(this, expected, "device {place}");
        let names: Vec<&str> = devices.iter().filter_map(|d| d["name"].as_str()).collect();
        assert_eq!(names.len(), 3);
        assert_eq!(
            names[1..],
            [
                format!("{whose}-CANARY-phone"),
                format!("{whose}-CANARY-tablet")
            ]
        );

        // Who was there is told of every device once, whatever it was added to, and of nothing
        // else. Who came in later knows the earlier ones by the list.
        let added = notices_of(&view.status, "device-added");
        let (mut own, partners): (Vec<String>, Vec<String>) = added
            .iter()
            .cloned()
            .partition(|text| text.starts_with("You added a device: "));
        own.sort();
        let told = own.len();
        own.dedup();
        assert_eq!(own.len(), told, "device {place}: {added:#?}");
        assert!(
            partners
                .iter()
                .all(|text| *text == format!("{partner} added a device.")),
            "device {place}: {added:#?}"
        );
        if place == 0 || place == 3 {
            assert_eq!((own.len(), partners.len()), (2, 2), "{added:#?}");
        } else {
            assert!(own.len() <= 2 && partners.len() <= 2, "{added:#?}");
        }
        let notices = view.status["notices"].as_array().unwrap();
        assert_eq!(notices.len(), added.len(), "device {place}: {notices:#?}");
        let outputs = [&view.list, &view.devices, &view.status].map(Value::to_string);
        let foreign = format!("{partner}-CANARY");
        assert!(
            !outputs.iter().any(|output| output.contains(&foreign)),
            "device {place}: {outputs:#?}"
        );
    }
    let canaries = ["CANARY-phone", "CANARY-tablet"];
    assert_eq!(canary::find(relay.everything(), &canaries), []);
    for device in &all {
        assert_eq!(canary::find(&device.home(), &canaries), []);
    }
}

/// Nothing was added and nothing is left of an attempt.
fn nobody_came(old: &Person, new: &Person) {
    assert_eq!(old.devices().len(), 1, "a device came in");
    assert!(new.has_nothing(), "something is left in the new folder");
}

#[test]
fn a_code_for_a_device_works_once() {
    let relay = Relay::start();
    let ana = Person::with_home("Ana", &relay.invite());
    let adding = ana.start(&["device", "add", "--yes"]);
    let code = invitation(&adding.event("code", SOON));
    let phone = Person::new("Ana");
    let linked = phone.link(&code, "phone").end();
    assert_eq!((linked.code, adding.end().code), (0, 0), "{linked:?}");
    let second = Person::new("Ana");
    let refused = second.link(&code, "second").end().exits(1);
    assert_eq!(refused.error_code(), "pairing-failed", "{refused:?}");
    assert!(refused.err.contains("ajar device add"), "{refused:?}");
    assert_eq!(ana.device_names("active").len(), 2);
    assert!(second.has_nothing());
}

#[test]
fn a_code_typed_on_the_wrong_screen_adds_nobody_and_says_what_it_is() {
    let relay = Relay::start();
    let address = relay.invite();
    let (ana, ben) = (
        Person::with_home("Ana", &address),
        Person::with_home("Ben", &address),
    );
    // Ana's code for her phone, typed by Ben who wants to meet her.
    let adding = ana.start(&["device", "add", "--yes"]);
    let code = invitation(&adding.event("code", SOON));
    let refused = ben.ajar(&["join", &code, "--yes"]).exits(1);
    assert!(refused.err.contains("add my own device"), "{refused:?}");
    let said = adding.end().exits(1);
    assert_eq!(said.error_code(), "pairing-failed", "{said:?}");
    let spaces = ben.ajar(&["status"]).json()["spaces"].clone();
    assert_eq!(spaces.as_array().map(Vec::len), Some(1), "{spaces}");

    // Ana's code for Ben, typed on her phone.
    let pairing = ana.start(&["pair", "--yes"]);
    let code = invitation(&pairing.event("code", SOON));
    let phone = Person::new("Ana");
    let refused = phone.link(&code, "phone").end().exits(1);
    assert!(refused.err.contains("meeting a partner"), "{refused:?}");
    assert_eq!(pairing.end().code, 1);
    nobody_came(&ana, &phone);
    // Both have learned, and nothing stands in the way.
    pair(&ana, &ben);
    assert_eq!(ana.device("phone").texts("us"), Vec::<String>::new());
}

#[test]
fn guessed_words_burn_the_code_and_both_screens_say_so() {
    let relay = Relay::start();
    let address = relay.invite();
    let ana = Person::with_home("Ana", &address);
    let adding = ana.start(&["device", "add", "--yes"]);
    let code = invitation(&adding.event("code", SOON));
    let words = code.rsplit('/').next().unwrap();
    let number = words.split('-').next().unwrap();
    let guess = code.replace(
        words.split('#').next().unwrap(),
        &format!("{number}-abandon-ability-able"),
    );
    let thief = Person::new("Ana");
    let refused = thief.link(&guess, "thief").end().exits(1);
    assert_eq!(refused.error_code(), "pairing-failed", "{refused:?}");
    let said = adding.end().exits(1);
    assert!(said.err.contains("the code is used up"), "{said:?}");
    nobody_came(&ana, &thief);
    // The right words come too late.
    let late = thief.link(&code, "thief").end().exits(1);
    assert_eq!(late.error_code(), "pairing-failed", "{late:?}");
    nobody_came(&ana, &thief);
}

#[test]
fn a_code_that_nobody_shows_any_more_leads_nowhere() {
    let mut relay = Relay::start();
    let config = relay.data().join("relay.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    let short = text.replace(
        "# mailbox_milliseconds = 600000",
        "mailbox_milliseconds = 1500",
    );
    assert_ne!(text, short);
    std::fs::write(&config, short).unwrap();
    relay.restart();
    let ana = Person::with_home("Ana", &relay.invite());
    let phone = Person::new("Ana");

    // Ten minutes have passed; here it is a second and a half.
    let adding = ana.start(&["device", "add", "--yes"]);
    let code = invitation(&adding.event("code", SOON));
    let said = adding.end().exits(1);
    assert!(said.err.contains("expired"), "{said:?}");
    let late = phone.link(&code, "phone").end().exits(1);
    assert!(late.err.contains("expired"), "{late:?}");
    nobody_came(&ana, &phone);

    // Ana's device goes dark in the middle.
    let adding = ana.start(&["device", "add", "--yes"]);
    let code = invitation(&adding.event("code", SOON));
    adding.kill();
    let late = phone.link(&code, "phone").end().exits(1);
    assert_eq!(late.error_code(), "pairing-failed", "{late:?}");
    nobody_came(&ana, &phone);
}

#[test]
fn a_relay_that_stands_between_two_devices_gets_one_guess_and_no_key() {
    let relay = Liar::stands_between();
    let ana = Person::with_home("Ana", &relay.invite());
    let adding = ana.start(&["device", "add", "--yes"]);
    let code = invitation(&adding.event("code", SOON));
    let phone = Person::new("Ana");
    let refused = phone.link(&code, "phone").end().exits(1);
    assert_eq!(refused.error_code(), "pairing-failed", "{refused:?}");
    let said = adding.end().exits(1);
    assert!(said.err.contains("words did not match"), "{said:?}");
    // One message of each side, with nothing in it but the exchange.
    let mut sent = relay.mailbox();
    sent.sort_by_key(|(_, size)| *size);
    assert_eq!(sent, [(Side::Shower, 33), (Side::Enterer, 33 + 32)]);
    nobody_came(&ana, &phone);
}

#[test]
fn whoever_names_other_words_than_the_new_device_shows_adds_nothing() {
    let relay = Relay::start();
    let ana = Person::with_home("Ana", &relay.invite());
    let phone = Person::new("Ana");
    let right = |lines: &[Vec<String>], words: &[String]| {
        assert_eq!(lines.len(), 3, "{lines:?}");
        lines.iter().position(|line| line == words).unwrap()
    };
    let (old, new) = choose(&ana, &phone, "phone", |lines, words| {
        ((right(lines, words) + 1) % 3 + 1).to_string()
    });
    assert_eq!((old.code, new.code), (1, 1), "{old:?} {new:?}");
    assert!(
        old.err.contains("not the words on the new device"),
        "{old:?}"
    );
    assert_eq!(new.error_code(), "pairing-failed", "{new:?}");
    nobody_came(&ana, &phone);
    let (old, new) = choose(&ana, &phone, "phone", |_, _| "none of them".to_owned());
    assert_eq!((old.code, new.code), (1, 1), "{old:?} {new:?}");
    assert!(old.err.contains("no key has left this device"), "{old:?}");
    nobody_came(&ana, &phone);
    let (old, new) = choose(&ana, &phone, "phone", |lines, words| {
        (right(lines, words) + 1).to_string()
    });
    assert_eq!((old.code, new.code), (0, 0), "{old:?} {new:?}");
    assert_eq!(ana.device_names("active").len(), 2);
}

#[test]
fn a_device_with_only_me_has_nothing_of_the_two_and_says_where_it_is() {
    let relay = Relay::start();
    let (ana, _ben) = two(&relay);
    let id = ana.write("mine", "only Ana's");
    assert!(ana.share("for both"));
    ana.sync();
    let desk = ana.device_in("desk", "me");
    assert_eq!(desk.texts("me"), ["for both", "only Ana's"]);
    for command in [
        &["open", &id, "--stage", "room", "--yes"] as &[&str],
        &["list", "--us"],
        &["device", "add", "--spaces", "us", "--yes"],
        &["pair", "--yes"],
        &["join", "4821-abandon-ability-able", "--yes"],
    ] {
        let refused = desk.ajar(command).exits(1);
        assert_eq!(
            refused.error_code(),
            "not-on-this-device",
            "{command:?} {refused:?}"
        );
        assert!(refused.err.contains("ajar device add"), "{refused:?}");
    }
    let status = desk.ajar(&["status"]).json();
    let kinds: Vec<&Value> = status["spaces"]
        .as_array()
        .unwrap()
        .iter()
        .map(|space| &space["kind"])
        .collect();
    assert_eq!(kinds, ["me"], "{status}");
    // What it can do, it does: it writes, syncs, and removes others from both spaces.
    let _ = desk.write("from the desk", "written at the desk");
    desk.sync();
    ana.sync();
    assert!(ana.texts("me").contains(&"written at the desk".to_owned()));
    assert_eq!(ana.device_names("active").len(), 2);
    let listed = ana.devices();
    let found = listed
        .iter()
        .find(|device| device["name"] == "desk")
        .unwrap();
    assert_eq!(found["spaces"], serde_json::json!(["me"]));
    assert_eq!(desk.ajar(&["doctor"]).code, 0);
}

#[test]
fn a_device_for_the_two_cannot_tell_whether_anything_is_in_only_me() {
    let relay = Relay::start();
    let (ana, ben) = two(&relay);
    assert!(ana.share("for both"));
    let tablet = ana.device_in("tablet", "us");
    assert_eq!(tablet.texts("us"), ["for both"]);
    let view = || {
        tablet.sync();
        let mut status = tablet.ajar(&["status"]).json();
        for space in status["spaces"].as_array_mut().unwrap() {
            // When this device last heard the relay is its own doing.
            space.as_object_mut().unwrap().remove("last_heard");
        }
        let rest = [&["list"] as &[&str], &["device", "list"]];
        (status, rest.map(|command| tablet.ajar(command).out))
    };
    let before = view();
    let me = &before.0["spaces"].as_array().unwrap().last().unwrap();
    assert_eq!(**me, serde_json::json!({"kind": "me", "locked": true}));
    for number in 0..4 {
        let _ = ana.write("secret", &format!("thought {number}"));
    }
    ana.sync();
    assert_eq!(view(), before);

    for command in [
        &["write", "a thought"] as &[&str],
        &["list", "--me"],
        &["device", "add", "--spaces", "me", "--yes"],
        &["device", "remove", "Ana", "--yes"],
    ] {
        let refused = tablet.ajar(command).exits(3);
        assert_eq!(
            refused.error_code(),
            "private-locked",
            "{command:?} {refused:?}"
        );
    }
    // It is a whole device of the two all the same, and can add another one like it.
    let second = tablet.device_in("second", "us");
    ben.sync();
    assert_eq!(second.texts("us"), ["for both"]);
    assert_eq!(ben.notices("device-added").len(), 2);
}

#[test]
fn a_restored_copy_reads_and_writes_nothing_and_the_original_goes_on() {
    let relay = Relay::start();
    let (ana, ben) = two(&relay);
    assert!(ana.share("before the copy"));
    ana.sync();
    let copy = ana.copy();
    assert!(ana.share("after the copy"));
    ana.sync();

    let refused = copy.ajar(&["sync"]).exits(1);
    assert_eq!(refused.error_code(), "stale-copy", "{refused:?}");
    let told = copy.notices("stale-copy");
    assert!(
        told.iter()
            .all(|text| text.starts_with("This looks like a restored copy")),
        "{told:?}"
    );
    assert!(!told.is_empty());
    let refused = copy.ajar(&["write", "on the copy"]).exits(1);
    assert_eq!(refused.error_code(), "stale-copy", "{refused:?}");
    assert!(refused.err.contains("ajar init --link"), "{refused:?}");
    assert!(copy.texts("us").contains(&"before the copy".to_owned()));
    assert!(copy.texts("me").contains(&"before the copy".to_owned()));

    // The original goes on and hears of nothing.
    assert!(ana.share("and on it goes"));
    ben.sync();
    assert_eq!(ben.texts("us").len(), 3);
    for device in [&ana, &ben] {
        let status = device.ajar(&["status"]).json();
        assert_eq!(status["notices"], serde_json::json!([]), "{status}");
    }
    // A place of its own makes the copy's machine a good device again.
    let again = ana.device("the restored machine");
    assert_eq!(again.texts("us").len(), 3);
    assert!(again.share("from the restored machine"));
    ben.sync();
    assert!(
        ben.texts("us")
            .contains(&"from the restored machine".to_owned())
    );
}

#[test]
fn a_copy_that_writes_first_makes_the_original_the_older_one() {
    let relay = Relay::start();
    let (ana, ben) = two(&relay);
    assert!(ana.share("before the copy"));
    ana.sync();
    let copy = ana.copy();
    assert!(copy.share("written on the copy"));
    copy.sync();
    // The original has nothing new yet: it hears in time that somebody writes with its keys.
    let refused = ana.ajar(&["sync"]).exits(1);
    assert_eq!(refused.error_code(), "stale-copy", "{refused:?}");
    assert_eq!(ana.ajar(&["write", "too late"]).code, 1);
    assert!(ana.texts("me").contains(&"before the copy".to_owned()));
    ben.sync();
    assert_eq!(ben.texts("us"), ["before the copy", "written on the copy"]);
    let status = ben.ajar(&["status"]).json();
    assert_eq!(status["notices"], serde_json::json!([]), "{status}");
}

#[test]
fn a_copy_and_its_original_that_both_write_are_found_out() {
    let mut relay = Relay::start();
    let (ana, ben) = two(&relay);
    assert!(ana.share("before the copy"));
    ana.sync();
    let copy = ana.copy();
    // Both go on, and neither hears of the other.
    relay.kill();
    assert!(!copy.share("from the copy"));
    assert!(!ana.share("from the original"));
    relay.serve();
    ana.sync();
    let refused = copy.ajar(&["sync"]);
    assert_eq!(refused.code, 1, "{refused:?}");
    assert_eq!(
        copy.ajar(&["write", "no more"]).exits(1).error_code(),
        "stale-copy"
    );
    // What was kept on the copy is still there to be read.
    assert!(copy.texts("me").contains(&"from the copy".to_owned()));
    ben.sync();
    assert_eq!(ben.texts("us"), ["before the copy", "from the original"]);
    assert!(ana.share("and on it goes"));
}
