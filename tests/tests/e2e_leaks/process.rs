//! What other programs see of a process while it runs and when it crashes.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use ajar_tests::canary;
use ajar_tests::client::Person;
use ajar_tests::nobody::{Serving, User};
use ajar_tests::relay::Relay;
use ajar_tests::traced::Eye;

const SOON: Duration = Duration::from_secs(20);

/// A journal that stays open, and a relay, of a user without special rights.
#[test]
fn t110_no_core_is_written_and_nobody_looks_into_a_process() {
    let user = User::typing("ulimit -c unlimited;");
    let (mut relay, address) = user.serves();
    let words = user.place("own/words");
    let init = [
        "ajar",
        "init",
        "--name",
        "Ana",
        "--relay",
        &address,
        "--words-file",
    ];
    let _ = user.does(&[&init[..], &[words.to_str().unwrap()]].concat());
    // A journal stays open while a code waits for somebody.
    let mut pairing = user.command(&["ajar", "--json", "pair", "--yes"]);
    let mut pairing = Serving(pairing.stdout(Stdio::piped()).spawn().unwrap());
    let mut out = BufReader::new(pairing.0.stdout.take().unwrap());
    let mut line = String::new();
    while !line.contains("invitation") {
        line.clear();
        assert!(out.read_line(&mut line).unwrap() > 0, "the pairing ended");
    }
    for Serving(process) in [&mut pairing, &mut relay] {
        let proc = PathBuf::from(format!("/proc/{}", process.id()));
        let limits = fs::read_to_string(proc.join("limits")).unwrap();
        let core = limits
            .lines()
            .find(|line| line.starts_with("Max core file size"))
            .unwrap();
        let fields: Vec<&str> = core.split_whitespace().collect();
        assert_eq!(fields[4..6], ["0", "0"], "{core}");
        // What a process that may be looked into has belongs to its user.
        assert_eq!(fs::metadata(&proc).unwrap().uid(), user.uid);
        for name in ["mem", "environ", "maps"] {
            assert_ne!(
                fs::metadata(proc.join(name)).unwrap().uid(),
                user.uid,
                "{name}"
            );
            let path = proc.join(name);
            let reading = user
                .command(&["cat", path.to_str().unwrap()])
                .output()
                .unwrap();
            assert!(
                !reading.status.success() && reading.stdout.is_empty(),
                "{name} was read"
            );
        }
        let killed = Command::new("kill")
            .args(["-ABRT", &process.id().to_string()])
            .status();
        assert!(killed.unwrap().success());
        let end = process.wait().unwrap();
        assert_eq!((end.signal(), end.core_dumped()), (Some(6), false));
    }
    let left = canary::files(&user.place("own"));
    let named = |path: &PathBuf| {
        path.file_name()
            .unwrap()
            .to_string_lossy()
            .starts_with("core")
    };
    assert!(!left.iter().any(named), "{left:?}");
}

#[test]
fn t114_an_editor_gets_a_text_to_change_and_no_passphrase() {
    let user = User::typing("umask 000;");
    let words = user.place("own/words");
    let _ = user.does(&[
        "ajar",
        "init",
        "--name",
        "Ana",
        "--words-file",
        words.to_str().unwrap(),
    ]);
    let editor = user.place("own/editor");
    let script = "#!/bin/sh\nenv > env\ntr '\\0' ' ' < /proc/$PPID/cmdline > arguments\n\
                  ls -ld \"$1\" \"$(dirname \"$1\")\" > modes\nprintf 'CANARY-edited' > \"$1\"\n\
                  cp \"$1\" \"$1~\"\n";
    fs::write(&editor, script).unwrap();
    fs::set_permissions(&editor, PermissionsExt::from_mode(0o755)).unwrap();
    let secrets = [
        ("AJAR_PASSPHRASE", "quiet harbor linen oak"),
        ("AJAR_PRIVATE_PASSPHRASE", "quiet harbor linen oak"),
        ("AJAR_NEW_PASSPHRASE", "CANARY-new-passphrase"),
    ];
    let eye = Eye::open();
    // It asks an editor only where there is a terminal.
    let mut writing = user.command(&["script", "-qec", "ajar --json write", "/dev/null"]);
    let wrote = writing
        .env("EDITOR", &editor)
        .envs(secrets)
        .output()
        .unwrap();
    let seen = eye.close();
    assert!(wrote.status.success(), "{wrote:?}");
    let env = fs::read_to_string(user.place("own/env")).unwrap();
    assert!(env.contains("AJAR_HOME"), "{env}");
    for (name, secret) in secrets {
        assert!(
            !env.contains(name) && !env.contains(secret),
            "{name}: {env}"
        );
        let shown = seen
            .iter()
            .filter(|seen| canary::is_in(&seen.arguments, secret));
        assert_eq!(shown.count(), 0, "{name}");
    }
    let modes = fs::read_to_string(user.place("own/modes")).unwrap();
    assert!(
        modes.contains("-rw-------") && modes.contains("drwx------"),
        "{modes}"
    );
    let list = user.does(&["ajar", "--json", "list"]);
    assert!(String::from_utf8_lossy(&list.stdout).contains("CANARY-edited"));
    assert_eq!(
        canary::find_deep(&user.home(), &["CANARY-edited"]),
        [],
        "the draft and its backup"
    );
    let left = fs::read_dir(user.home())
        .unwrap()
        .map(|entry| entry.unwrap().file_name());
    assert!(
        !left
            .into_iter()
            .any(|name| name.to_string_lossy().starts_with("draft"))
    );
}

/// Everything that is secret can be asked for instead of standing in an argument.
#[test]
fn t114_whoever_lets_ajar_ask_shows_nothing_on_a_command_line() {
    let relay = Relay::start();
    let address = relay.invite();
    let (ana, ben) = (Person::new("Ana"), Person::new("Ben"));
    let eye = Eye::open();
    for person in [&ana, &ben] {
        let init = ["init", "--name", &person.name, "--relay", "-"];
        assert_eq!(person.ajar_with_input(&init, &address).code, 0);
    }
    let pairing = ana.start(&["pair", "--yes"]);
    let code = pairing.event("code", SOON);
    let code = code["code"].as_str().unwrap();
    assert_eq!(ben.ajar_with_input(&["join", "--yes"], code).code, 0);
    assert_eq!(pairing.wait(), 0);
    let asked = ["write", "--title", "-", "--tag", "-", "-"];
    let id = ana
        .ajar_with_input(&asked, "CANARY-title\nCANARY-tag\nCANARY-text")
        .json();
    let id = id["id"].as_str().unwrap();
    let shown = ana.ajar(&["show", id]).json();
    assert_eq!(shown["title"], "CANARY-title");
    assert_eq!(shown["tags"][0], "CANARY-tag");
    assert_eq!(shown["text"], "CANARY-text");
    let renamed = ana.ajar_with_input(&["edit", id, "--title", "-"], "CANARY-other\n");
    assert_eq!(renamed.json()["changed"], true);
    let found = ana.ajar_with_input(&["search", "-"], "CANARY-text CANARY-other\n");
    assert_eq!(found.json()[0]["id"], id);
    let listed = ana.ajar_with_input(&["list", "--tag", "-"], "CANARY-tag\n");
    assert_eq!(listed.json()[0]["id"], id);
    let adding = ana.start(&["device", "add", "--yes"]);
    let invitation = adding.event("code", SOON);
    let invitation = invitation["invitation"].as_str().unwrap();
    let phone = Person::new("Ana");
    let linked = phone.ajar_with_input(&["init", "--link", "-", "--device", "phone"], invitation);
    assert_eq!(linked.code, 0, "{linked:?}");
    assert_eq!(adding.wait(), 0);
    let moved = ana.ajar_with_input(&["relay", "move", "-"], &relay.invite());
    assert_eq!(moved.code, 0, "{moved:?}");
    let seen = eye.close();
    let claim = address.split_once("&claim=").unwrap().1;
    let secrets = [claim, code, invitation, "CANARY"];
    let typed = seen
        .iter()
        .filter(|seen| canary::is_in(&seen.arguments, "search"));
    assert!(typed.count() > 0, "the eye was open");
    for seen in &seen {
        let shown = secrets
            .iter()
            .filter(|text| canary::is_in(&seen.arguments, text));
        assert_eq!(
            shown.count(),
            0,
            "{}",
            String::from_utf8_lossy(&seen.arguments)
        );
    }
    // Nothing on standard input is no empty answer.
    let none = Person::new("Cleo").ajar_with_input(&["init", "--name", "Cleo", "--relay", "-"], "");
    assert_eq!(none.exits(1).error_code(), "input");
}
