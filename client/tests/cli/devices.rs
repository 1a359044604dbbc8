//! Devices, recovery and parting, as far as they go without a relay.

use super::*;

#[test]
fn the_first_device_is_listed_as_this_one() {
    let ana = Ana::with_home();
    let list = ana.json(&["device", "list"]);
    assert_eq!(list.as_array().unwrap().len(), 1);
    let fields: Vec<&String> = list[0].as_object().unwrap().keys().collect();
    assert_eq!(fields, ["id", "name", "since", "spaces", "state", "this"]);
    assert_eq!(list[0]["this"], true);
    assert_eq!(list[0]["state"], "active");
    assert_eq!(list[0]["spaces"], serde_json::json!(["me"]));
    assert_eq!(list[0]["id"].as_str().unwrap().len(), 64);
    assert_eq!(
        ana.json(&["status"])["added_lately"],
        Value::Array(Vec::new())
    );
}

#[test]
fn a_device_gets_another_name_and_is_found_by_it() {
    let ana = Ana::with_home();
    let id = ana.json(&["device", "list"])[0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let renamed = ana.json(&["device", "rename", &id[..6], " kitchen laptop "]);
    assert_eq!(renamed["name"], "kitchen laptop");
    assert_eq!(ana.json(&["device", "list"])[0]["name"], "kitchen laptop");
    let own = ana.fails(&["device", "remove", "kitchen laptop", "--yes"]);
    assert_eq!(own, ("this-device".to_owned(), 1));
    let kept = ana.fails(&["device", "keep", "kitchen laptop", "--yes"]);
    assert_eq!(kept, ("still-active".to_owned(), 1));
}

/// What a device in Only me is called in Us stands in Only me alone.
#[test]
fn removing_says_what_it_needs_where_only_me_is_locked() {
    let ana = Ana::with_home();
    let own = ana
        .command(&["passphrase", "--me"])
        .env("AJAR_NEW_PASSPHRASE", "only mine four words")
        .status()
        .unwrap();
    assert!(own.success());
    let output = ana.ajar(&["device", "remove", "phone", "--yes"]);
    assert_eq!(output.status.code(), Some(3));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("--us removes it from Us alone"), "{said}");
    let alone = ana.fails(&["device", "remove", "phone", "--us", "--yes"]);
    assert_eq!(alone, ("no-such-device".to_owned(), 1));
}

#[test]
fn nothing_dangerous_happens_where_nobody_can_be_asked() {
    let ana = Ana::with_home();
    let commands: [&[&str]; 6] = [
        &["device", "remove", "phone"],
        &["device", "keep", "phone"],
        &["close", "pause"],
        &["close", "quiet"],
        &["close", "end"],
        &["erase"],
    ];
    for args in commands {
        let (code, exit) = ana.fails(args);
        // Without a partner there is nothing to close, and that is said first or later.
        assert!(
            code == "no-terminal" || code == "not-paired",
            "{args:?}: {code}"
        );
        assert_eq!(exit, 1, "{args:?}");
    }
    assert!(ana.path("home").join("vault.hdr").exists());
}

#[test]
fn what_a_device_of_ones_own_needs_is_said_before_a_code_is_used_up() {
    let ana = Ana::with_home();
    for (args, code) in [
        (&["device", "add", "--yes"][..], "no-relay"),
        (&["device", "add", "--spaces", "us", "--yes"], "no-relay"),
        (&["device", "remove", "phone", "--yes"], "no-such-device"),
        (&["device", "keep", "phone", "--yes"], "no-such-device"),
        (
            &["init", "--link", "4821-harvest-lemon-oak"],
            "already-there",
        ),
    ] {
        assert_eq!(ana.fails(args), (code.to_owned(), 1), "{args:?}");
    }
    let phone = Ana::new();
    for (link, code) in [("4821", "bad-code"), ("4821-harvest-lemon-oak", "no-relay")] {
        assert_eq!(phone.fails(&["init", "--link", link]), (code.to_owned(), 1));
    }
    assert_eq!(
        phone.fails(&["device", "add", "--spaces", "you"]).0,
        "usage"
    );
    assert!(!phone.path("home").exists());
}

#[test]
fn recovering_needs_twelve_words_that_belong_together() {
    let ana = Ana::new();
    let relay = "ajar-relay:127.0.0.1:1#35hk4dlfuzyefipewflgknryfdemar62duclterd6q3dkaps5svq";
    let args = [
        "--json", "recover", "--name", "Ana", "--relay", relay, "--yes",
    ];
    for words in ["", "one two three\n", &"abandon ".repeat(12)] {
        let output = ana.told(&args, words);
        assert_eq!(failure(&output), ("bad-words".to_owned(), 1), "{words:?}");
    }
    let nobody = ana.fails(&[
        "recover",
        "--name",
        "Ana",
        "--relay",
        "relay.example",
        "--yes",
    ]);
    assert_eq!(nobody, ("bad-address".to_owned(), 1));
    assert!(!ana.path("home").exists());
}

#[test]
fn erasing_leaves_nothing_of_the_journal_and_says_what_it_leaves() {
    let ana = Ana::with_home();
    fs::write(ana.path("home").join("photo.jpg"), "not the journal's").unwrap();
    let erased = ana.json(&["erase", "--yes"]);
    assert_eq!(erased["left"], serde_json::json!(["photo.jpg"]));
    assert_eq!(ana.fails(&["list"]), ("no-home".to_owned(), 1));
    assert_eq!(ana.fails(&["erase", "--yes"]), ("no-home".to_owned(), 1));
    assert!(ana.path("home").join("photo.jpg").exists());
}

#[test]
fn there_is_nothing_to_close_without_a_partner() {
    let ana = Ana::with_home();
    for what in ["pause", "quiet", "return", "end"] {
        let failed = ana.fails(&["close", what, "--yes"]);
        assert_eq!(failed, ("not-paired".to_owned(), 1), "{what}");
    }
    assert_eq!(ana.fails(&["close", "resume"]).0, "not-paired");
    assert_eq!(
        ana.fails(&["relay", "accept", "--yes"]).0,
        "nothing-offered"
    );
}
