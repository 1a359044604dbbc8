//! Resting, leaving without a word, ending, erasing, and going to another relay.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails where it breaks"
)]

use std::time::Duration;

use ajar_tests::client::{Person, pair};
use ajar_tests::random::Random;
use ajar_tests::recovery::{
    SOON, begin, copy_folder, copy_of, error, link, listed, notices, open, recover, texts,
    try_recover, with_words,
};
use ajar_tests::relay::Relay;
use ajar_tests::wire::Wire;
use serde_json::Value;

fn said(person: &Person, arguments: &[&str]) -> String {
    let said = person.ajar(arguments);
    assert_eq!(said.code, 0, "{said:?}");
    said.out
}

fn space(person: &Person, kind: &str) -> Value {
    let status = person.ajar(&["status"]).json();
    let spaces = status["spaces"].as_array().unwrap();
    let space = spaces.iter().find(|space| space["kind"] == kind);
    space.unwrap().clone()
}

/// What a person sees of the other, but for the time of the own last exchange.
fn view(person: &Person) -> [String; 3] {
    let mut status = person.ajar(&["status"]).json();
    for space in status["spaces"].as_array_mut().unwrap() {
        space["last_heard"].take();
    }
    let list = said(person, &["list"]);
    [status.to_string(), list, said(person, &["list", "--us"])]
}

#[test]
fn who_leaves_quietly_is_not_seen_or_heard_of_by_a_packet_or_a_line() {
    let relay = Relay::start();
    let address = relay.invite();
    let wire = Wire::to(&address);
    let (ana, _) = with_words("Ana", &wire.address(&address), &[]);
    let (ben, _) = with_words("Ben", &address, &[]);
    pair(&ana, &ben);
    let phone = link(&ana, "phone");
    open(&ana, "before");
    ben.sync();
    phone.sync();
    let before = view(&ben);
    let watch = ben.start(&["sync", "--watch"]);
    let _ = watch.event("caught-up", SOON);
    let _ = watch.heard(Duration::from_millis(500));

    let quiet = ana.ajar(&["close", "quiet", "--yes"]).json();
    assert_eq!(quiet["us"], "left");
    // The other device hears of it inside Only me, and falls silent too.
    ana.sync();
    phone.sync();
    for device in [&ana, &phone] {
        assert_eq!(space(device, "us")["sharing"], "left");
        let id = device.write("kept", "only for Ana now");
        for _ in 0..2 {
            let refused = device.ajar(&["open", &id, "--stage", "room", "--yes"]);
            let refused = refused.exits(1);
            assert!(
                error(&refused).1.contains("ajar close return"),
                "{refused:?}"
            );
        }
        assert_eq!(texts(device, "--us"), ["before"]);
    }
    let heard = watch.heard(Duration::from_millis(500));
    assert!(heard.is_empty(), "{heard:#?}");
    watch.kill();
    assert_eq!(view(&ben), before);
    open(&ben, "are you there?");
    ben.sync();
    let asked = view(&ben);

    // With Only me kept at home as well there is nothing left that travels.
    for device in [&ana, &phone] {
        assert_eq!(device.ajar(&["relay", "off"]).code, 0);
    }
    let (packets, lines) = (wire.sent(), relay.log_text());
    for device in [&ana, &phone] {
        let said = device.ajar(&["sync", "--timeout", "2"]).exits(1);
        assert_eq!(said.error_code(), "travel-off", "{said:?}");
        assert_eq!(device.ajar(&["status"]).code, 0);
        let end = device.ajar(&["close", "end", "--yes"]);
        assert_ne!(end.code, 0, "{end:?}");
        assert!(error(&end).1.contains("ajar close return"), "{end:?}");
    }
    let watch = ana.start(&["sync", "--watch"]);
    std::thread::sleep(Duration::from_millis(1_000));
    watch.kill();
    assert_eq!(wire.sent(), packets, "something was sent");
    assert_eq!(relay.log_text(), lines, "the relay wrote of someone");
    ben.sync();
    assert_eq!(view(&ben), asked);

    // And back, if Ana wants to.
    let back = ana.ajar(&["close", "return", "--yes"]).json();
    assert_eq!(back["us"], "open");
    ana.sync();
    assert_eq!(texts(&ana, "--us"), ["are you there?", "before"]);
    open(&ana, "I am");
    ben.sync();
    assert_eq!(texts(&ben, "--us"), ["I am", "are you there?", "before"]);
}

#[test]
fn a_pause_keeps_everything_until_it_ends() {
    let relay = Relay::start();
    let address = relay.invite();
    let (ana, _) = with_words("Ana", &address, &[]);
    let (ben, _) = with_words("Ben", &address, &[]);
    pair(&ana, &ben);
    assert_eq!(
        ana.ajar(&["close", "pause", "--yes"]).json()["us"],
        "paused"
    );
    assert_eq!(space(&ana, "us")["sharing"], "paused");
    let id = ana.write("kept", "written in the pause");
    let opened = ana.ajar(&["open", &id, "--stage", "room", "--yes"]);
    let opened = opened.exits(4);
    assert!(error(&opened).1.contains("ajar close resume"), "{opened:?}");
    // Only me goes on.
    ana.sync();
    open(&ben, "from Ben");
    assert_eq!(texts(&ben, "--us"), ["from Ben"]);
    assert_eq!(ana.ajar(&["close", "resume"]).json()["us"], "open");
    ana.sync();
    ben.sync();
    assert_eq!(texts(&ana, "--us"), ["from Ben", "written in the pause"]);
    assert_eq!(texts(&ben, "--us"), texts(&ana, "--us"));
}

#[test]
fn who_ends_it_says_so_and_both_keep_what_there_was() {
    let relay = Relay::start();
    let address = relay.invite();
    let (ana, _) = with_words("Ana", &address, &[]);
    let (ben, _) = with_words("Ben", &address, &[]);
    pair(&ana, &ben);
    open(&ana, "Ana's words");
    ben.sync();
    open(&ben, "Ben's words");
    ana.sync();
    // Nobody ends it by a slip.
    let unsure = ana.ajar(&["close", "end"]).exits(1);
    assert_eq!(unsure.error_code(), "no-terminal", "{unsure:?}");
    let ended = ana.ajar(&["close", "end", "--yes"]);
    assert_eq!(ended.json()["us"], "ended");
    assert!(ended.err.contains("ajar export"), "{ended:?}");
    ben.sync();
    let told = [
        (
            &ana,
            "You have ended this journal between you. Both of you keep what is here.",
        ),
        (
            &ben,
            "Ana has ended this journal between you. Both of you keep what is here.",
        ),
    ];
    for (person, sentence) in told {
        let left = ("left".to_owned(), sentence.to_owned());
        assert!(notices(person).contains(&left), "{:?}", notices(person));
        assert_eq!(space(person, "us")["sharing"], "ended");
        assert_eq!(texts(person, "--us"), ["Ana's words", "Ben's words"]);
        let file = person.home().parent().unwrap().join("us.json");
        let path = file.to_str().unwrap();
        let out = person.ajar(&["export", path, "--us", "--format", "json"]);
        assert_eq!(out.code, 0, "{out:?}");
        let exported = std::fs::read_to_string(&file).unwrap();
        assert!(exported.contains("Ana's words") && exported.contains("Ben's words"));
        let id = person.write("late", "one more thing");
        // What did not happen is not remembered as if it had.
        for _ in 0..2 {
            let refused = person.ajar(&["open", &id, "--stage", "room", "--yes"]);
            let refused = refused.exits(1);
            let (message, hint) = error(&refused);
            assert!(message.contains("closed"), "{refused:?}");
            assert!(hint.contains("ajar export"), "{refused:?}");
        }
    }
}

#[test]
fn an_erased_journal_opens_nowhere_even_if_erasing_was_cut_short() {
    let relay = Relay::start();
    let address = relay.invite();
    let (ana, words) = with_words("Ana", &address, &[]);
    let (ben, _) = with_words("Ben", &address, &[]);
    pair(&ana, &ben);
    let phone = link(&ana, "phone");
    open(&ana, "with both of us");
    let _ = ana.write("mine", "only Ana's");
    ana.sync();
    ben.sync();
    phone.sync();
    let mut random = Random::new();
    for round in 0..6 {
        let doomed = copy_of(&ana);
        std::fs::write(doomed.home().join("shopping.txt"), "milk").unwrap();
        let child = begin(doomed.command(&["erase", "--yes"]), "");
        random.kill(child, 10 + 10 * round);
        // The keys go first, and of them the one that opens the others.
        let vault = |person: &Person| std::fs::read(person.home().join("vault.hdr")).ok();
        let begun = vault(&doomed) != vault(&ana);
        let read = doomed.ajar(&["list"]);
        if begun {
            assert_ne!(read.code, 0, "what was being erased opened: {read:?}");
            assert!(!read.out.contains("only Ana's"));
        }
        let again = doomed.ajar(&["erase", "--yes"]);
        // Either there was something left to do, or everything was done.
        assert!(
            again.code == 0 || again.error_code() == "no-home",
            "{again:?}"
        );
        assert_eq!(doomed.ajar(&["list"]).exits(1).error_code(), "no-home");
        let left: Vec<_> = std::fs::read_dir(doomed.home())
            .unwrap()
            .flatten()
            .collect();
        assert_eq!(left.len(), 1, "{left:?}");
        let kept = std::fs::read_to_string(doomed.home().join("shopping.txt")).unwrap();
        assert_eq!(kept, "milk");
    }
    assert_eq!(ana.ajar(&["erase", "--yes"]).code, 0);
    assert!(!ana.home().exists() || std::fs::read_dir(ana.home()).unwrap().count() == 0);
    // Everybody else is as before.
    assert_eq!(texts(&ben, "--us"), ["with both of us"]);
    assert_eq!(texts(&phone, "--me"), ["only Ana's", "with both of us"]);
    open(&phone, "still here");
    ben.sync();
    assert_eq!(texts(&ben, "--us").len(), 2);
    // And what the relay has is for the words.
    let ana = recover("Ana", &address, &words, &["--keep-devices"]);
    assert_eq!(texts(&ana, "--us").len(), 2);
}

#[test]
fn only_me_stays_at_home_when_told_so_and_travels_again_when_told_so() {
    let relay = Relay::start();
    let address = relay.invite();
    let wire = Wire::to(&address);
    let here = wire.address(&address);
    let (ana, words) = with_words("Ana", &here, &["--me-at-relay", "no"]);
    let _ = ana.write("mine", "only here");
    let said = ana.ajar(&["sync", "--timeout", "2"]);
    assert_ne!(said.code, 0, "{said:?}");
    assert!(error(&said).0.contains("stays on this device"), "{said:?}");
    assert_eq!(wire.sent(), 0);
    assert_eq!(relay.log_text().matches("a space was admitted").count(), 0);
    assert_eq!(ana.ajar(&["relay", "on"]).json()["me_travels"], true);
    ana.sync();
    assert_eq!(relay.log_text().matches("a space was admitted").count(), 1);
    let there = wire.sent();
    assert!(there > 0);
    assert_eq!(ana.ajar(&["relay", "off"]).json()["me_travels"], false);
    let _ = ana.write("mine", "and this only here");
    assert_ne!(ana.ajar(&["sync", "--timeout", "2"]).code, 0);
    assert_eq!(space(&ana, "me")["travels"], false);
    assert_eq!(wire.sent(), there);
    // What stayed at home is lost with it, as was said.
    drop(ana);
    let ana = recover("Ana", &address, &words, &[]);
    assert_eq!(texts(&ana, "--me"), ["only here"]);
}

#[test]
fn only_me_may_have_a_relay_of_its_own() {
    let (relay, own) = (Relay::start(), Relay::start());
    let (address, mine) = (relay.invite(), own.invite());
    let (ana, words) = with_words("Ana", &address, &["--me-at-relay", &mine]);
    let (ben, _) = with_words("Ben", &address, &[]);
    pair(&ana, &ben);
    open(&ana, "ours");
    ana.sync();
    ben.sync();
    let admitted = |relay: &Relay| relay.log_text().matches("a space was admitted").count();
    assert_eq!(admitted(&own), 1, "Ana's Only me, and nothing else");
    assert_eq!(
        admitted(&relay),
        2,
        "what is between them, and Ben's Only me"
    );
    let kept = [listed(&ana, "--me"), listed(&ana, "--us")];
    drop(ana);
    // The relay of Us has no Only me; that of Only me knows where Us is.
    let nobody = Person::new("Ana");
    let said = try_recover(&nobody, &address, &words, &["--yes"]).exits(1);
    assert_eq!(said.error_code(), "private-not-found", "{said:?}");
    let ana = recover("Ana", &mine, &words, &[]);
    assert_eq!([listed(&ana, "--me"), listed(&ana, "--us")], kept);
    ben.sync();
    open(&ben, "you are back");
    ana.sync();
    assert_eq!(texts(&ana, "--us").len(), 2);
}

#[test]
fn two_people_with_two_devices_move_to_another_relay_and_the_old_one_goes_away() {
    let mut old = Relay::start();
    let address = old.invite();
    let (ana, _) = with_words("Ana", &address, &[]);
    let (ben, _) = with_words("Ben", &address, &[]);
    pair(&ana, &ben);
    let (phone, bens_phone) = (link(&ana, "phone"), link(&ben, "phone"));
    open(&ana, "before the move");
    let new = Relay::start();
    let there = new.invite();
    let bare = there.split('?').next().unwrap();
    let moved = ana.ajar(&["relay", "move", &there]).json();
    assert_eq!(moved["told"], true, "{moved}");
    // Ben finds the word at the old relay, inside what only the two of them can read.
    ben.sync();
    let offered = ben.ajar(&["relay", "show"]).json();
    assert!(
        there.contains(offered["offered"].as_str().unwrap()),
        "{offered}"
    );
    assert_ne!(offered["address"].as_str().unwrap(), bare);
    let accepted = ben.ajar(&["relay", "accept", "--yes"]).json();
    assert_eq!(accepted["told"], true, "{accepted}");
    // Only me of his stays where it is until he moves it himself.
    assert_eq!(ben.ajar(&["relay", "move", &there, "--me"]).code, 0);
    phone.sync();
    bens_phone.sync();
    old.kill();
    open(&phone, "from Ana's phone");
    open(&bens_phone, "from Ben's phone");
    let everyone = [&ana, &ben, &phone, &bens_phone];
    for device in everyone {
        device.sync();
    }
    for device in everyone {
        assert_eq!(
            texts(device, "--us"),
            ["before the move", "from Ana's phone", "from Ben's phone"]
        );
        let shown = device.ajar(&["relay", "show"]).json();
        assert_eq!(shown["address"], shown["me"], "{shown}");
        assert!(
            there.starts_with(shown["address"].as_str().unwrap()),
            "{shown}"
        );
        assert!(shown["offered"].is_null(), "{shown}");
    }
}

#[test]
fn a_relay_that_takes_the_place_of_another_moves_nobody() {
    let mut relay = Relay::start();
    let address = relay.invite();
    let (ana, _) = with_words("Ana", &address, &[]);
    let (ben, _) = with_words("Ben", &address, &[]);
    pair(&ana, &ben);
    open(&ana, "before");
    let (keys, data) = (relay.data(), tempfile::tempdir().unwrap());
    // Somebody with the old relay's disk but without its key, at the same place.
    relay.kill();
    let other = Relay::start();
    copy_folder(&keys, &data.path().join("before"));
    std::fs::copy(other.data().join("relay.key"), keys.join("relay.key")).unwrap();
    relay.serve();
    let said = ben.ajar(&["sync", "--timeout", "5"]).exits(5);
    assert_eq!(said.error_code(), "wrong-relay", "{said:?}");
    let shown = ben.ajar(&["relay", "show"]).json();
    assert!(shown["offered"].is_null(), "{shown}");
    assert!(address.starts_with(shown["address"].as_str().unwrap()));
    let none = ben.ajar(&["relay", "accept", "--yes"]).exits(1);
    assert_eq!(none.error_code(), "nothing-offered", "{none:?}");
    // The right one again, and nothing has happened.
    relay.kill();
    std::fs::copy(
        data.path().join("before").join("relay.key"),
        keys.join("relay.key"),
    )
    .unwrap();
    relay.serve();
    ben.sync();
    assert_eq!(texts(&ben, "--us"), ["before"]);
}
