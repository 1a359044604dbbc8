//! When things go wrong: each trouble gives a clear message with the way out and the right
//! exit code, and nothing is lost.

use std::process::Command;
use std::time::Duration;

use ajar_tests::client::{Person, pair};
use ajar_tests::relay::Relay;

const SOON: Duration = Duration::from_secs(20);

#[test]
fn a_wrong_passphrase_opens_nothing_and_says_so() {
    let relay = Relay::start();
    let mut ana = Person::with_home("Ana", &relay.invite());
    let id = ana.write("kept", "still there");
    let right = std::mem::replace(&mut ana.passphrase, "something else entirely".to_owned());
    let said = ana.ajar(&["show", &id]).exits(3);
    assert_eq!(said.error_code(), "wrong-passphrase");
    ana.passphrase = right;
    assert_eq!(ana.ajar(&["show", &id]).json()["text"], "still there");
}

#[test]
fn a_relay_with_another_key_is_refused_and_nothing_is_sent() {
    let (relay, other) = (Relay::start(), Relay::start());
    let (right, wrong) = (relay.invite(), other.invite());
    let key = right.split('#').nth(1).unwrap();
    let place = wrong.split('#').next().unwrap();
    let ana = Person::with_home("Ana", &format!("{place}#{key}"));
    let _ = ana.write("kept", "still there");
    let said = ana.ajar(&["sync", "--timeout", "5"]).exits(5);
    assert!(
        said.err
            .contains("not the one you set up. Nothing was sent."),
        "{said:?}"
    );
    assert_eq!(ana.ajar(&["list"]).json().as_array().map(Vec::len), Some(1));
}

#[test]
fn a_relay_that_is_down_costs_nothing_but_time() {
    let mut relay = Relay::start();
    let address = relay.invite();
    let (ana, ben) = (
        Person::with_home("Ana", &address),
        Person::with_home("Ben", &address),
    );
    pair(&ana, &ben);
    relay.kill();
    let id = ana.write("kept", "written in the cellar");
    let opened = ana
        .ajar(&["open", &id, "--stage", "room", "--yes", "--timeout", "1"])
        .exits(4);
    assert!(!opened.err.is_empty(), "{opened:?}");
    relay.serve();
    ana.sync();
    ben.sync();
    assert_eq!(ben.shared_texts(), ["written in the cellar"]);
}

#[test]
fn a_journal_moves_to_another_relay_with_everything_in_it() {
    let mut old = Relay::start();
    let address = old.invite();
    let (ana, ben) = (
        Person::with_home("Ana", &address),
        Person::with_home("Ben", &address),
    );
    pair(&ana, &ben);
    let id = ana.write("before", "written before the move");
    let opened = ana.ajar(&["open", &id, "--stage", "room", "--yes"]);
    assert_eq!(opened.code, 0, "{opened:?}");
    // Ben has not heard of it yet when the old relay goes away for good.
    old.kill();
    let new = Relay::start();
    let address = new.invite();
    for person in [&ana, &ben] {
        let moved = person.ajar(&["relay", "move", &address]);
        assert_eq!(moved.code, 0, "{moved:?}");
        person.sync();
    }
    assert_eq!(ben.shared_texts(), ["written before the move"]);
    let mistyped = ana.ajar(&["relay", "move", &address[..address.len() / 2]]);
    assert_eq!(mistyped.code, 1, "{mistyped:?}");
    ana.sync();
}

#[test]
fn a_wrong_code_pairs_nobody_and_is_used_up() {
    let relay = Relay::start();
    let address = relay.invite();
    let (ana, ben) = (
        Person::with_home("Ana", &address),
        Person::with_home("Ben", &address),
    );
    let pairing = ana.start(&["pair", "--yes"]);
    let code = pairing.event("code", SOON)["code"]
        .as_str()
        .unwrap()
        .to_owned();
    let number = code.split('-').next().unwrap();
    let guess = format!("{number}-abandon-ability-able");
    let said = ben.ajar(&["join", &guess, "--yes"]).exits(1);
    assert_eq!(said.error_code(), "pairing-failed", "{said:?}");
    assert_eq!(pairing.wait(), 1, "Ana's side ends too");
    let late = ben.ajar(&["join", &code, "--yes"]).exits(1);
    assert_eq!(late.error_code(), "pairing-failed", "{late:?}");
    // Nothing is left behind: a new code works.
    pair(&ana, &ben);
}

#[test]
fn a_code_that_cannot_be_right_contacts_nobody() {
    let ana = Person::with_home(
        "Ana",
        "ajar-relay:127.0.0.1:9#vb24ls5topphiswcro3s3dgfts7ch4j2zk6ofq5mpo6kpdghfpoa",
    );
    for code in [
        "4821",
        "4821-abandon-ability",
        "abandon-ability-able",
        "4821-abandon-ability-zzzzz",
    ] {
        let began = std::time::Instant::now();
        let said = ana.ajar(&["join", code, "--yes"]);
        assert!(said.code == 1 || said.code == 2, "{said:?}");
        assert!(
            began.elapsed() < Duration::from_secs(4),
            "no network for {code}"
        );
        assert!(
            !said.err.contains("zzzzz"),
            "the words are not repeated: {said:?}"
        );
    }
}

#[test]
fn a_second_process_is_told_who_has_the_home() {
    let relay = Relay::start();
    let address = relay.invite();
    let (ana, ben) = (
        Person::with_home("Ana", &address),
        Person::with_home("Ben", &address),
    );
    pair(&ana, &ben);
    let watch = ana.start(&["sync", "--watch"]);
    let _ = watch.event("caught-up", SOON);
    let said = ana
        .ajar_with_input(&["write", "-"], "typed meanwhile")
        .exits(1);
    assert_eq!(said.error_code(), "in-use", "{said:?}");
    assert!(said.err.contains(&watch.child.id().to_string()), "{said:?}");
    watch.kill();
    assert_eq!(ana.ajar_with_input(&["write", "-"], "typed again").code, 0);
}

#[test]
fn a_home_that_is_not_there_or_not_readable_is_named() {
    let nobody = Person::new("Nobody");
    let said = nobody.ajar(&["list"]).exits(1);
    assert_eq!(said.error_code(), "no-home");
    assert!(said.err.contains("ajar init"), "{said:?}");

    let relay = Relay::start();
    let ana = Person::with_home("Ana", &relay.invite());
    let _ = ana.write("kept", "still there");
    for (file, expected) in [("vault.hdr", "damaged"), ("keys-shared.sealed", "damaged")] {
        let path = ana.home().join(file);
        let content = std::fs::read(&path).unwrap();
        std::fs::write(&path, &content[..content.len() / 2]).unwrap();
        let said = ana.ajar(&["list"]).exits(1);
        assert_eq!(said.error_code(), expected, "{file}: {said:?}");
        std::fs::write(&path, content).unwrap();
    }
    let again = ana.ajar(&["init", "--name", "Ana", "--yes"]).exits(1);
    assert_eq!(again.error_code(), "already-there", "{again:?}");
    assert_eq!(ana.ajar(&["list"]).json().as_array().map(Vec::len), Some(1));
}

#[test]
fn a_full_disk_keeps_what_was_kept_and_goes_on_when_there_is_space() {
    // A file system of its own, so that it can really be full.
    let script = r#"
        set -eu
        mount -t tmpfs -o size=24m tmpfs "$ROOM"
        export AJAR_HOME="$ROOM/home" AJAR_PASSPHRASE="quiet harbor linen oak"
        "$AJAR" --json init --name Ana --words-file "$ROOM/words" >/dev/null
        "$AJAR" --json write "kept before" >/dev/null
        dd if=/dev/zero of="$ROOM/filler" bs=64k count=48 2>/dev/null
        kept=0
        while head -c 300000 /dev/urandom | base64 -w0 | "$AJAR" --json write - >/dev/null 2>"$ROOM/../err"; do
          kept=$((kept + 1))
          [ "$kept" -lt 400 ] || { echo "the disk was never full"; exit 9; }
        done
        status=$?
        cat "$ROOM/../err"
        grep -q '"disk-full"' "$ROOM/../err"
        "$AJAR" --json list | grep -q "kept before"
        rm "$ROOM/filler"
        "$AJAR" --json write "kept after" >/dev/null
        count=$("$AJAR" --json list | grep -o '"id"' | wc -l)
        [ "$count" -eq $((kept + 2)) ] || { echo "$count entries, $kept kept while filling"; exit 8; }
    "#;
    let folder = tempfile::tempdir().unwrap();
    let room = folder.path().join("room");
    std::fs::create_dir(&room).unwrap();
    let out = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "bash", "-c", script])
        .env("ROOM", &room)
        .env("AJAR", ajar_tests::binary("ajar"))
        .output()
        .expect("this test needs `unshare` (package util-linux)");
    assert!(
        out.status.success(),
        "{:?}\n{}\n{}",
        out.status,
        String::from_utf8_lossy(&out.stdout),
        String::from_utf8_lossy(&out.stderr)
    );
}
