//! Passphrases, words, locking, and taking one's words along.

use super::*;

#[test]
fn the_words_on_the_sheet_can_be_checked_and_others_are_told_apart() {
    let ana = Ana::with_home();
    let output = ana.told(&["--json", "words", "check"], &ana.words());
    assert!(output.status.success(), "{output:?}");
    let checked: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(checked["all"], true);
    assert_eq!(checked["spaces"][0]["space"], "me");
    let others = Ana::with_home().words();
    let output = ana.told(&["--json", "words", "check"], &others);
    assert_eq!(failure(&output), ("wrong-words".to_owned(), 1));
    // Whoever reads along on the terminal sees no word of them.
    let said = String::from_utf8(output.stderr).unwrap();
    let first = others.split(' ').next().unwrap();
    assert!(
        !said
            .split(|c: char| !c.is_alphabetic())
            .any(|word| word == first),
        "{said}"
    );
}

#[test]
fn other_words_replace_nothing() {
    let ana = Ana::with_home();
    let others = Ana::with_home().words();
    let new = ana.path("new-words");
    let args = [
        "--json",
        "words",
        "replace",
        "--words-file",
        new.to_str().unwrap(),
    ];
    assert_eq!(
        failure(&ana.told(&args, &others)),
        ("wrong-words".to_owned(), 1)
    );
    assert!(!new.exists(), "new words were made for nothing");
    let args = ["--json", "words", "replace", "--again"];
    let twice = format!("{0}{0}", ana.words());
    assert_eq!(
        failure(&ana.told(&args, &twice)),
        ("same-words".to_owned(), 1)
    );
    let output = ana.told(&["words", "replace"], &ana.words());
    assert_eq!(
        output.status.code(),
        Some(1),
        "nobody could see the new words"
    );
}

/// One space would stay on the old words, and the old sheet would be destroyed.
#[test]
fn words_are_not_replaced_in_half_a_journal() {
    let ana = Ana::with_home();
    ana.json(&["relay", "off"]);
    let output = ana.told(&["--json", "words", "replace"], &ana.words());
    assert_eq!(failure(&output), ("travel-off".to_owned(), 1));
    assert!(output.stdout.is_empty(), "new words were shown for nothing");
}

#[test]
fn a_new_passphrase_opens_and_the_old_one_does_not() {
    let ana = Ana::with_home();
    let new = "another harbor linen oak";
    let output = ana
        .command(&["--json", "passphrase"])
        .env("AJAR_NEW_PASSPHRASE", new)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(ana.fails(&["unlock"]), ("wrong-passphrase".to_owned(), 3));
    let opened = ana
        .command(&["--json", "unlock", "--me"])
        .env("AJAR_PASSPHRASE", new)
        .output()
        .unwrap();
    let opened: Value = serde_json::from_slice(&opened.stdout).unwrap();
    assert_eq!(opened, serde_json::json!({"home": true, "me": true}));
}

#[test]
fn only_me_gets_a_passphrase_of_its_own_and_gives_it_back() {
    let ana = Ana::with_home();
    let own = "only mine and nobody else's";
    let given = ana
        .command(&["--json", "passphrase", "--me"])
        .env("AJAR_NEW_PASSPHRASE", own)
        .output()
        .unwrap();
    assert!(given.status.success(), "{given:?}");
    assert_eq!(ana.json(&["unlock"])["me"], false);
    assert_eq!(
        ana.fails(&["unlock", "--me"]),
        ("private-locked".to_owned(), 3)
    );
    assert_eq!(ana.fails(&["write", "x"]), ("private-locked".to_owned(), 3));
    let back = ana
        .command(&["--json", "passphrase", "--me", "--same"])
        .env("AJAR_PRIVATE_PASSPHRASE", own)
        .output()
        .unwrap();
    assert!(back.status.success(), "{back:?}");
    assert_eq!(ana.json(&["unlock"])["me"], true);
}

#[test]
fn without_a_place_to_choose_one_the_passphrase_stays() {
    let ana = Ana::with_home();
    let mut command = ana.command(&["--json", "passphrase"]);
    let output = command.output().unwrap();
    assert_eq!(failure(&output), ("no-passphrase".to_owned(), 3));
    assert_eq!(ana.json(&["unlock"])["home"], true);
}

#[test]
fn locking_what_is_locked_is_no_failure_and_a_text_being_typed_is_not_lost() {
    let ana = Ana::with_home();
    let locked = ana.json(&["lock"]);
    assert_eq!(locked, serde_json::json!({"locked": true, "ended": null}));
    let mut writing = ana
        .command(&["write", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let until = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while ana.ajar(&["--json", "lock"]).status.success() {
        assert!(
            std::time::Instant::now() < until,
            "it never opened the journal"
        );
    }
    assert_eq!(ana.fails(&["lock"]), ("in-use".to_owned(), 1));
    writing
        .stdin
        .take()
        .unwrap()
        .write_all(b"typed slowly")
        .unwrap();
    assert!(writing.wait().unwrap().success());
    assert_eq!(ana.json(&["list"])[0]["text"], "typed slowly");
}

#[test]
fn everything_readable_goes_into_one_file_of_ones_own() {
    let ana = Ana::with_home();
    ana.json(&[
        "write",
        "--title",
        "Rain",
        "--tag",
        "sea",
        "--date",
        "2026-07-02",
        "It rained.",
    ]);
    ana.json(&["write", "--date", "2026-07-01", "Sun.\n\nAnd wind."]);
    let file = ana.path("journal.md");
    let exported = ana.json(&["export", file.to_str().unwrap()]);
    assert_eq!(exported["count"], 2);
    assert_eq!(mode(&file), 0o600);
    let text = fs::read_to_string(&file).unwrap();
    let places: Vec<usize> = [
        "## 2026-07-01",
        "Sun.",
        "And wind.",
        "## 2026-07-02 · Rain",
        "Tags: sea",
        "It rained.",
    ]
    .iter()
    .map(|part| text.find(part).unwrap())
    .collect();
    assert!(places.is_sorted(), "{text}");
    let again = ana.fails(&["export", file.to_str().unwrap()]);
    assert_eq!(again, ("export-file".to_owned(), 1));
    assert_eq!(fs::read_to_string(&file).unwrap(), text);

    let file = ana.path("journal.json");
    ana.json(&["export", file.to_str().unwrap(), "--format", "json"]);
    let all: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    assert_eq!(all[1]["title"], "Rain");
    let id = all[1]["id"].as_str().unwrap();
    assert_eq!(all[1], ana.json(&["show", id]), "the shape of `show`");
    let nobody = ana.fails(&["export", "us.md", "--us"]);
    assert_eq!(nobody, ("not-paired".to_owned(), 1));
}

#[test]
fn only_me_stays_on_this_device_when_its_owner_says_so() {
    let ana = Ana::with_home();
    assert_eq!(ana.json(&["relay", "show"])["me_travels"], true);
    ana.json(&["relay", "off"]);
    assert_eq!(ana.json(&["relay", "show"])["me_travels"], false);
    assert_eq!(ana.json(&["status"])["spaces"][0]["travels"], false);
    ana.json(&["relay", "on"]);
    assert_eq!(ana.json(&["status"])["spaces"][0]["travels"], true);

    let ben = Ana::new();
    ben.json(&["init", "--name", "Ben", "--me-at-relay", "no"]);
    assert_eq!(ben.json(&["relay", "show"])["me_travels"], false);
    let nobody = Ana::new();
    let wrong = nobody.fails(&["init", "--name", "Eve", "--me-at-relay", "perhaps"]);
    assert_eq!(wrong, ("bad-address".to_owned(), 1));
    assert!(!nobody.path("home").exists());
}
