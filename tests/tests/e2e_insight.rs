//! Looking back: from what is one's own, the same on all of one's devices, and about both only while
//! both want it.
#![expect(clippy::unwrap_used, reason = "a test fails where it breaks")]

use std::path::Path;

use ajar_tests::client::Person;
use ajar_tests::relay::Relay;
use ajar_tests::two::met;
use serde_json::Value;

/// What a person sees of a plot, as text.
fn sees(person: &Person, name: &str) -> String {
    let said = person.ajar(&["insight", name]);
    assert_eq!(said.code, 0, "{said:?}");
    said.out
}

/// The picture a person gets.
fn drawn(person: &Person, name: &str, folder: &Path, file: &str) -> Vec<u8> {
    let path = folder.join(file);
    let said = person.ajar(&["insight", name, "--svg", path.to_str().unwrap()]);
    assert_eq!(said.code, 0, "{said:?}");
    std::fs::read(path).unwrap()
}

/// What the list says of a plot.
fn state(list: &Value, name: &str) -> String {
    let mut plots = list["plots"].as_array().unwrap().iter();
    let plot = plots.find(|plot| plot["name"] == name).unwrap();
    plot["state"].as_str().unwrap().to_owned()
}

#[test]
fn looking_back_is_made_of_what_is_ones_own_and_the_same_on_both_devices() {
    let relay = Relay::start();
    let (ana, ben) = met(&relay);
    let folder = tempfile::tempdir().unwrap();
    let feels = |person: &Person, day: &str, point: &str| {
        let write = [
            "write", "--date", day, "--point", point, "--word", "worried",
        ];
        let said = person.ajar(&[&write[..], &["--body", "chest:-1:tight", "x"]].concat());
        assert_eq!(said.code, 0, "{said:?}");
    };
    for (day, point) in [
        ("2026-07-01", "-0.5,0.75"),
        ("2026-07-02", "0.25,0"),
        ("2026-07-09", "0.5,-0.5"),
    ] {
        feels(&ana, day, point);
    }
    let name = "where-have-i-been";
    assert!(sees(&ana, name).contains("not-yet"), "three are too few");
    let path = folder.path().join("few.svg");
    let few = ["insight", name, "--svg", path.to_str().unwrap()];
    assert_eq!(ana.refused(&few), "too-few");
    assert!(!path.exists());

    feels(&ana, "2026-07-10", "0.75,0.25");
    let own = ["where-have-i-been", "how-did-it-move", "which-words"];
    let before: Vec<String> = own.iter().map(|name| sees(&ana, name)).collect();
    let first: Value = serde_json::from_str(before.first().unwrap()).unwrap();
    assert_eq!(
        (&first["n"], &first["since"]),
        (&4.into(), &"2026-07-01".into())
    );
    let list = ana.says(&["insight"]);
    assert_eq!(state(&list, "where-in-the-body"), "enough");
    assert_eq!(state(&list, "what-helped"), "not-yet");

    // What Ben keeps changes nothing that Ana sees, and what she keeps is not in his.
    for (day, point) in [("2026-07-03", "-1,1"), ("2026-08-20", "-0.9,-0.9")] {
        feels(&ben, day, point);
    }
    ben.sync();
    ana.sync();
    let after: Vec<String> = own.iter().map(|name| sees(&ana, name)).collect();
    assert_eq!(before, after);
    assert_eq!(ana.says(&["insight"]), list);
    assert!(sees(&ben, name).contains("not-yet"));

    let phone = ana.device("phone");
    phone.sync();
    for name in ["how-did-it-move", "which-words"] {
        let here = drawn(&ana, name, folder.path(), &format!("{name}-laptop.svg"));
        let there = drawn(&phone, name, folder.path(), &format!("{name}-phone.svg"));
        assert!(here == there && here.starts_with(b"<svg"), "{name}");
    }
    let path = folder.path().join("which-words-phone.svg");
    let again = ["insight", "which-words", "--svg", path.to_str().unwrap()];
    assert_eq!(ana.refused(&again), "svg-file");
}

#[test]
fn what_is_about_both_is_there_while_both_have_it_on() {
    let relay = Relay::start();
    let (ana, ben) = met(&relay);
    for question in ["people.1", "people.2", "everyday.1", "everyday.2"] {
        let said = ana.ajar(&["map", "answer", question, "the aunt", "--share"]);
        assert_eq!(said.code, 0, "{said:?}");
    }
    ben.sync();
    let theirs = ["insight", "map-theirs"];
    assert_eq!(ben.refused(&theirs), "ours-off");
    assert_eq!(ana.says(&["insight", "ours", "on"])["both"], false);
    assert_eq!(ana.refused(&["insight", "map-mine"]), "ours-off");
    ben.sync();
    assert_eq!(ben.refused(&theirs), "ours-off", "Ana alone");

    assert_eq!(ben.says(&["insight", "ours", "on"])["both"], true);
    ana.sync();
    let seen = sees(&ben, "map-theirs");
    assert_eq!(ben.says(&theirs)["n"], 4);
    let list = ana.says(&["insight"]);
    assert_eq!(state(&list, "map-mine"), "enough");
    for none_yet in ["map-theirs", "shared-weather", "joys"] {
        assert_eq!(state(&list, none_yet), "not-yet");
    }

    // What Ana keeps is not told, and is not in what is about both on her side either.
    let mine = sees(&ana, "map-mine");
    let kept = ["map", "answer", "everyday.3", "CANARY", "--keep"];
    assert_eq!(ana.ajar(&kept).code, 0);
    ana.sync();
    ben.sync();
    assert_eq!(sees(&ana, "map-mine"), mine);
    assert_eq!(sees(&ben, "map-theirs"), seen);

    // One of them is enough to end it, for both.
    assert_eq!(ben.says(&["insight", "ours", "off"])["both"], false);
    ana.sync();
    assert_eq!(ana.refused(&["insight", "map-mine"]), "ours-off");
    assert_eq!(ben.refused(&theirs), "ours-off");
}
