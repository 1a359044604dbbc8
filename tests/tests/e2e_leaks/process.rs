//! What other programs see of a process while it runs and when it crashes.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use ajar_tests::canary;
use ajar_tests::nobody::{Serving, User};
use ajar_tests::traced::Eye;

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
            .args(["-SEGV", &process.id().to_string()])
            .status();
        assert!(killed.unwrap().success());
        let end = process.wait().unwrap();
        assert_eq!((end.signal(), end.core_dumped()), (Some(11), false));
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
