//! A long story with every canary in it, and everywhere it could have left one.

use std::fs;

use ajar_tests::canary;
use ajar_tests::story::{self, NAMES, TYPED, UNTYPED};
use ajar_tests::traced::{self, Eye};

use crate::wire::nothing_shows;

/// The relay's disk and log, the client's logs, homes at rest, temporary files and processes
/// after a long story, with everything set to say as much as it can.
#[test]
fn t091_t092_t104_t112_t113_t114_a_long_story_leaks_nothing() {
    let traced = traced::on();
    let eye = Eye::open();
    let mut story = story::told();
    let seen = eye.close();
    story.relay.kill();
    let secrets: Vec<&str> = story.secrets.iter().map(String::as_str).collect();
    let all = [&TYPED[..], &UNTYPED, &secrets].concat();

    // 91 and 92: the relay.
    assert_eq!(
        canary::find_deep(story.relay.everything(), &all),
        [],
        "the relay"
    );
    for file in canary::files(story.relay.everything()) {
        let content = fs::read(&file).unwrap();
        let held = story
            .keys
            .iter()
            .filter(|key| canary::holds(&content, *key));
        assert_eq!(held.count(), 0, "keys in {file:?}");
    }
    let log = story.relay.log_text();
    assert!(
        log.contains("TRACE") || log.contains("DEBUG"),
        "the log says all: {log}"
    );
    let addresses = log.lines().filter(|line| line.contains("127.0.0.1:"));
    let others: Vec<&str> = addresses.filter(|line| !line.contains("listen")).collect();
    assert_eq!(others, [""; 0], "addresses of devices in the log");

    // 104: homes at rest.
    for person in &story.people {
        assert_eq!(canary::find_deep(&person.home(), &all), [], "a home");
    }
    // 112 and 113: logs, temporary files, and the file for keys of TLS.
    let said = fs::read_to_string(traced.log()).unwrap();
    assert!(
        said.contains("exchange with the relay"),
        "the log says all: {said}"
    );
    assert!(!traced.key_log().exists(), "keys of TLS were written");
    assert!(
        canary::files(&traced.temporary()).is_empty(),
        "temporary files"
    );
    // What the program says to its own person on the terminal names people and devices; its log
    // does not.
    let levels = ["TRACE", "DEBUG", "INFO", "WARN", "ERROR"];
    let is_log = |line: &&str| {
        line.split_whitespace()
            .next()
            .is_some_and(|w| levels.contains(&w))
    };
    let log: Vec<&str> = said.lines().filter(is_log).collect();
    assert!(log.len() > 40, "{} lines of log", log.len());
    let log = log.join("\n");
    let told: Vec<&str> = all
        .iter()
        .copied()
        .filter(|text| canary::is_in(log.as_bytes(), text))
        .collect();
    assert_eq!(told, [""; 0], "in the log");
    let found = canary::find_deep(traced.everything(), &all);
    let beside = found
        .iter()
        .filter(|(_, text)| !NAMES.contains(&text.as_str()));
    assert_eq!(beside.count(), 0, "{found:?}");
    assert!(
        story
            .keys
            .iter()
            .all(|key| !canary::holds(said.as_bytes(), key))
    );

    // 114: what others see of processes. What a person types, others see on the process that
    // was typed, and nowhere else.
    let own = std::process::id();
    let typed = seen.iter().filter(|seen| seen.parent == own);
    assert!(typed.clone().count() > 30, "the eye was open");
    for seen in &seen {
        let shown = [&seen.arguments[..], &seen.name].concat();
        let texts = if seen.parent == own {
            [&UNTYPED[..], &secrets].concat()
        } else {
            all.clone()
        };
        let texts: Vec<&str> = texts
            .into_iter()
            .filter(|text| canary::is_in(&shown, text))
            .collect();
        assert_eq!(texts, [""; 0], "{}", String::from_utf8_lossy(&shown));
    }
    // 94, once more with everything in it.
    nothing_shows(&story.wire.captured(), &all, &story.keys);
}
