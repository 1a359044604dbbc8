//! Devices that are removed: by whom, what they can still do, what a relay that lies can do with
//! them, and processes that die while devices come and go.
#![expect(clippy::indexing_slicing, reason = "a test fails where it breaks")]

use std::time::Duration;

use ajar_tests::client::{Person, pair};
use ajar_tests::devices::all_at_once;
use ajar_tests::liar::Liar;
use ajar_tests::random::Random;
use ajar_tests::relay::Relay;
use serde_json::json;

const SOON: Duration = Duration::from_secs(20);

fn two(address: &str) -> (Person, Person) {
    let (ana, ben) = (
        Person::with_home("Ana", address),
        Person::with_home("Ben", address),
    );
    pair(&ana, &ben);
    (ana, ben)
}

fn has(texts: &[String], text: &str) -> bool {
    texts.iter().any(|found| found == text)
}

#[test]
fn a_removed_device_keeps_what_it_has_and_gets_and_gives_nothing_more() {
    let mut relay = Relay::start();
    let (ana, ben) = two(&relay.invite());
    let lost = ana.device("phone");
    let stolen = ana.device("tablet");
    let retired = ana.device("old laptop");
    let three = [
        (&lost, "phone", "--lost"),
        (&stolen, "tablet", "--stolen"),
        (&retired, "old laptop", "--retired"),
    ];
    for (device, name, _) in three {
        assert!(device.share(&format!("early from {name}")));
        device.sync();
    }
    // Each writes once more where no relay can be reached.
    relay.kill();
    for (device, name, _) in three {
        let id = device.write("late", &format!("late from {name}"));
        let opened = device.ajar(&["open", &id, "--stage", "room", "--yes", "--timeout", "1"]);
        assert_eq!(opened.code, 4, "{opened:?}");
    }
    relay.serve();
    for (_, name, reason) in three {
        ana.remove(name, reason);
    }
    assert_eq!(
        ana.device_names("removed"),
        ["old laptop", "phone", "tablet"]
    );
    for device in ana.devices() {
        let state = if device["this"] == true {
            "active"
        } else {
            "removed"
        };
        assert_eq!(device["state"], state, "{device}");
        assert_eq!(device["spaces"], json!(["me", "us"]), "{device}");
    }
    assert!(ana.share("new from Ana"));
    ana.sync();
    ben.sync();
    assert!(ben.share("new from Ben"));

    all_at_once(&three.map(|(device, _, _)| device), |device| {
        let refused = device.ajar(&["sync", "--timeout", "5"]).exits(1);
        assert_eq!(refused.error_code(), "not-admitted", "{refused:?}");
        assert!(refused.err.contains("removed"), "{refused:?}");
        assert!(!device.share("written by whoever holds it"));
    });
    for (device, name, _) in three {
        let (me, us) = (device.texts("me"), device.texts("us"));
        assert!(has(&us, &format!("early from {name}")), "{us:?}");
        assert!(has(&me, &format!("late from {name}")), "{me:?}");
        for new in ["new from Ana", "new from Ben"] {
            assert!(!has(&me, new) && !has(&us, new), "{name} has {new:?}");
        }
    }
    let mut expected = three
        .map(|(_, name, _)| format!("early from {name}"))
        .to_vec();
    expected.push("new from Ana".to_owned());
    expected.sort();
    ana.sync();
    ben.sync();
    assert_eq!(ana.texts("me"), expected);
    expected.insert(expected.len(), "new from Ben".to_owned());
    expected.sort();
    for person in [&ana, &ben] {
        assert_eq!(person.texts("us"), expected, "{}", person.name);
        assert_eq!(person.notices("device-removed").len(), 3, "{}", person.name);
        assert_eq!(person.ajar(&["doctor"]).code, 0);
    }
    // Nothing of it has reached the relay, so there is nothing to let in.
    let refused = ana.ajar(&["device", "keep", "phone", "--yes"]).exits(1);
    assert_eq!(refused.error_code(), "refused", "{refused:?}");
    let again = ana.ajar(&["device", "remove", "phone", "--yes"]).exits(1);
    assert!(again.err.contains("ajar device list"), "{again:?}");
    let itself = ana.devices();
    let itself = itself.iter().find(|device| device["this"] == true).unwrap();
    let itself = itself["id"].as_str().unwrap();
    let refused = ana.ajar(&["device", "remove", itself, "--yes"]).exits(1);
    assert_eq!(refused.error_code(), "this-device", "{refused:?}");
}

#[test]
fn a_relay_that_goes_on_serving_a_removed_device_gains_it_nothing() {
    let relay = Liar::lets_everybody_in();
    let (ana, ben) = two(&relay.invite());
    let phone = ana.device("phone");
    assert!(phone.share("before"));
    phone.sync();
    ana.sync();
    ana.remove("phone", "--lost");
    assert!(ana.share("after"));
    ana.sync();
    ben.sync();
    assert!(ben.share("after, from Ben"));

    // The relay lets it in, keeps its removal from it, and forwards both ways.
    phone.sync();
    assert!(phone.share("from the phone, too late"));
    phone.sync();
    assert!(relay.let_in() >= 2, "nobody came back");
    assert!(relay.beyond() >= 2, "the relay has nothing of it");
    for space in ["me", "us"] {
        let texts = phone.texts(space);
        assert!(has(&texts, "before") && has(&texts, "from the phone, too late"));
        assert!(
            !texts.iter().any(|text| text.starts_with("after")),
            "{texts:?}"
        );
    }
    all_at_once(&[&ana, &ben], |person| person.sync());
    for person in [&ana, &ben] {
        assert_eq!(person.texts("us"), ["after", "after, from Ben", "before"]);
        assert_eq!(person.ajar(&["doctor"]).code, 0);
    }
    assert_eq!(ana.texts("me"), ["after", "before"]);

    // It was only lost, and turns up: what the relay has of it is let in, once.
    let kept = ana.ajar(&["device", "keep", "phone", "--yes"]).json();
    assert!(kept["kept"].as_u64() >= Some(2), "{kept}");
    ana.sync();
    ben.sync();
    for person in [&ana, &ben] {
        assert!(has(&person.texts("us"), "from the phone, too late"));
    }
    assert!(has(&ana.texts("me"), "from the phone, too late"));
    assert_eq!(ana.ajar(&["device", "keep", "phone", "--yes"]).code, 1);
    // Letting in what it wrote does not let the device in.
    assert_eq!(ana.device_names("removed"), ["phone"]);
    assert!(ben.share("still after"));
    phone.sync();
    assert!(!has(&phone.texts("us"), "still after"));
}

#[test]
fn both_remove_a_device_at_the_same_time_and_go_on_offline() {
    let mut relay = Relay::start();
    let (ana, ben) = two(&relay.invite());
    let (her_phone, his_phone) = (ana.device("her phone"), ben.device("his phone"));
    all_at_once(&[&her_phone, &his_phone], |phone| {
        assert!(phone.share("from a phone"));
    });
    all_at_once(&[&ana, &ben], |person| person.sync());
    let removing = [(&ana, "her phone"), (&ben, "his phone")];
    std::thread::scope(|scope| {
        for (person, name) in removing {
            scope.spawn(|| person.remove(name, "--stolen"));
        }
    });
    relay.kill();
    all_at_once(&[&ana, &ben], |person| {
        assert!(!person.share(&format!("offline from {}", person.name)));
    });
    relay.serve();
    for _ in 0..2 {
        all_at_once(&[&ana, &ben], |person| person.sync());
    }
    let expected = [
        "from a phone",
        "from a phone",
        "offline from Ana",
        "offline from Ben",
    ];
    for (person, name) in removing {
        assert_eq!(person.texts("us"), expected, "{}", person.name);
        assert_eq!(person.device_names("removed"), [name]);
        assert_eq!(person.notices("device-removed").len(), 2, "{}", person.name);
        assert_eq!(person.ajar(&["doctor"]).code, 0);
    }
    for phone in [&her_phone, &his_phone] {
        assert_eq!(phone.ajar(&["sync", "--timeout", "5"]).code, 1);
        assert!(
            !phone
                .texts("us")
                .iter()
                .any(|text| text.starts_with("offline"))
        );
    }
}

#[test]
fn a_device_that_was_away_while_others_came_and_went_has_everything() {
    let relay = Relay::start();
    let (ana, ben) = two(&relay.invite());
    let away = ana.device("cabin");
    let his_away = ben.device_in("boat", "us");
    away.sync();
    let mut expected = Vec::new();
    for round in 0..4 {
        let passing = ana.device(&format!("phone {round}"));
        let _his = ben.device_in(&format!("tablet {round}"), "us");
        let text = format!("Ana in round {round}");
        assert!(passing.share(&text));
        passing.sync();
        assert!(ben.share(&format!("Ben in round {round}")));
        expected.push(format!("Ana in round {round}"));
        expected.push(format!("Ben in round {round}"));
        std::thread::scope(|scope| {
            scope.spawn(|| ana.remove(&format!("phone {round}"), "--retired"));
            scope.spawn(|| ben.remove(&format!("tablet {round}"), "--lost"));
        });
    }
    let mine: Vec<String> = expected
        .iter()
        .filter(|text| text.starts_with("Ana"))
        .cloned()
        .collect();
    expected.sort();
    for device in [&away, &his_away, &ana, &ben] {
        device.sync();
        assert_eq!(device.texts("us"), expected, "{}", device.name);
        assert_eq!(device.ajar(&["doctor"]).code, 0);
    }
    assert_eq!(away.texts("me"), mine);
    assert_eq!(away.device_names("removed").len(), 4);
    assert_eq!(away.device_names("active").len(), 2);
    // And it is a device like any other.
    assert!(away.share("from the cabin"));
    his_away.sync();
    assert!(has(&his_away.texts("us"), "from the cabin"));
}

/// How often a process dies at a random moment; more with AJAR_KILLS.
fn rounds() -> usize {
    let asked = std::env::var("AJAR_KILLS").ok();
    asked.and_then(|text| text.parse().ok()).unwrap_or(3)
}

/// Everybody's devices are either in or out, everything new reaches all that are in, and what
/// `device list` says is what is.
fn all_is_well(own: &[&Person], partner: &Person, round: usize) {
    let text = format!("after round {round}");
    for device in own {
        device.sync();
    }
    assert!(own[0].share(&text));
    own[0].sync();
    for device in own.iter().chain([&partner]) {
        device.sync();
        assert!(has(&device.texts("us"), &text), "round {round}");
    }
    for device in own {
        assert!(has(&device.texts("me"), &text), "round {round}");
        assert_eq!(device.ajar(&["doctor"]).code, 0, "round {round}");
    }
    assert_eq!(partner.ajar(&["doctor"]).code, 0, "round {round}");
}

#[test]
fn whoever_dies_while_adding_a_device_has_added_it_or_not() {
    let relay = Relay::start();
    let (ana, ben) = two(&relay.invite());
    let desk = ana.device("desk");
    desk.sync();
    let mut random = Random::new();
    for round in 0..rounds() {
        let name = format!("phone {round}");
        let phone = Person::new("Ana");
        let adding = ana.start(&["device", "add", "--yes"]);
        let code = adding.event("code", SOON);
        let linking = phone.link(code["invitation"].as_str().unwrap(), &name);
        std::thread::sleep(Duration::from_millis(random.below(1500)));
        // Sometimes the new device dies instead.
        let (victim, other) = match round % 3 {
            2 => (linking, adding),
            _ => (adding, linking),
        };
        victim.kill();
        // A line that went dead is noticed after half a minute; a person would not wait.
        other.end_or_kill(Duration::from_secs(2));

        let told = |device: &Person| {
            device.sync();
            device.devices()
        };
        let (at_ana, at_desk) = (told(&ana), told(&desk));
        let ids = |devices: &[serde_json::Value]| -> Vec<serde_json::Value> {
            devices
                .iter()
                .map(|device| json!([device["id"], device["spaces"], device["state"]]))
                .collect()
        };
        assert_eq!(ids(&at_ana), ids(&at_desk), "round {round}");
        // Whatever came in stands there, and can be removed by any own device by its id.
        for device in at_desk {
            let name = device["name"].as_str().unwrap_or_default();
            let usual = device["this"] == true || name == at_ana[0]["name"];
            if !usual && device["state"] == "active" {
                let id = device["id"].as_str().unwrap();
                desk.remove(id, "--lost");
            }
        }
        assert_eq!(desk.device_names("active").len(), 2, "round {round}");
        if !phone.has_nothing() {
            let opened = phone.ajar(&["device", "list"]);
            assert!(matches!(opened.code, 0 | 1), "{opened:?}");
            assert_ne!(phone.ajar(&["sync", "--timeout", "5"]).code, 0);
        }
    }
    all_is_well(&[&ana, &desk], &ben, 6);
}

#[test]
fn whoever_dies_while_removing_a_device_has_removed_it_or_not() {
    let relay = Relay::start();
    let (ana, ben) = two(&relay.invite());
    let desk = ana.device("desk");
    desk.sync();
    let mut random = Random::new();
    for round in 0..rounds() {
        let name = format!("phone {round}");
        let phone = ana.device(&name);
        let removing = ana.start(&["device", "remove", &name, "--stolen", "--yes"]);
        std::thread::sleep(Duration::from_millis(random.below(700)));
        removing.kill();
        // Any other own device makes the new keys that are owed, and finishes what was begun.
        desk.sync();
        let state = |device: &Person| {
            let all = device.devices();
            let found = all.iter().find(|device| device["name"] == name.as_str());
            found.unwrap()["state"].clone()
        };
        let seen = state(&desk);
        if seen == "active" {
            desk.remove(&name, "--stolen");
        }
        ana.sync();
        assert_eq!(state(&ana), "removed", "round {round}");
        let refused = phone.ajar(&["sync", "--timeout", "5"]);
        assert_eq!(refused.code, 1, "round {round}: {refused:?}");
        let _ = ana.share(&format!("without {name}"));
        assert!(!has(&phone.texts("us"), &format!("without {name}")));
    }
    all_is_well(&[&ana, &desk], &ben, 6);
}
