//! Several devices of one person, with the commands that a person types: adding them, codes
//! that go wrong, devices with one space only, and copies of a home.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails where it breaks"
)]

use std::time::Duration;

use ajar_tests::canary;
use ajar_tests::client::{Person, Said, pair};
use ajar_tests::devices::{all_at_once, choose, notices_of, texts_of};
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
            assert!(
                device["since"].as_str().unwrap().ends_with('Z'),
                "{device}"
            );
        }
        let this: Vec<bool> = devices.iter().map(|d| d["this"] == true).collect();
        // The oldest first.
        let expected: Vec<bool> = own.map(|number| number == place).collect();
        assert_eq!(this, expected, "device {place}");
        let names: Vec<&str> = devices.iter().filter_map(|d| d["name"].as_str()).collect();
        assert_eq!(names.len(), 3);
        assert_eq!(names[1..], [
            format!("{whose}-CANARY-phone"),
            format!("{whose}-CANARY-tablet")
        ]);

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
