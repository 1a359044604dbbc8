//! The real `ajar` binary without a network: what a person types, what a script reads.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a helper that fails should fail loudly and at the spot"
)]

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

mod devices;
mod keys;
mod searching;

const PASSPHRASE: &str = "quiet harbor linen oak";

/// Ana's device.
struct Ana {
    folder: TempDir,
}

impl Ana {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn with_home() -> Self {
        let ana = Self::new();
        let words = ana.path("words");
        let init = ana.ajar(&[
            "init",
            "--name",
            "Ana",
            "--words-file",
            words.to_str().unwrap(),
        ]);
        assert!(init.status.success(), "{init:?}");
        ana
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ajar"));
        command
            .args(args)
            .env("AJAR_HOME", self.path("home"))
            .env("AJAR_PASSPHRASE", PASSPHRASE)
            .env_remove("AJAR_PRIVATE_PASSPHRASE")
            .env_remove("VISUAL")
            .env_remove("EDITOR")
            .stdin(Stdio::null());
        command
    }

    fn ajar(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    fn json(&self, args: &[&str]) -> Value {
        let output = self.ajar(&[&["--json"], args].concat());
        assert!(output.status.success(), "{args:?}: {output:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// As [`Self::ajar`], with something on standard input.
    fn told(&self, args: &[&str], input: &str) -> Output {
        let mut child = self
            .command(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        // A command that reads nothing may be gone already.
        let _ = stdin.write_all(input.as_bytes());
        drop(stdin);
        child.wait_with_output().unwrap()
    }

    fn words(&self) -> String {
        fs::read_to_string(self.path("words")).unwrap()
    }

    /// The code and hint of a failure, and its exit status.
    fn fails(&self, args: &[&str]) -> (String, i32) {
        failure(&self.ajar(&[&["--json"], args].concat()))
    }
}

fn failure(output: &Output) -> (String, i32) {
    let said = String::from_utf8(output.stderr.clone()).unwrap();
    let last: Value = serde_json::from_str(said.lines().last().unwrap()).unwrap();
    let code = last["error"]["code"].as_str().unwrap().to_owned();
    (code, output.status.code().unwrap())
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_journal_begins_with_twelve_words_in_a_file_of_ones_own() {
    let ana = Ana::with_home();
    let words = fs::read_to_string(ana.path("words")).unwrap();
    assert_eq!(words.split_whitespace().count(), 12);
    assert_eq!(mode(&ana.path("words")), 0o600);
    assert_eq!(mode(&ana.path("home")), 0o700);
    let again = ana.fails(&["init", "--name", "Ana", "--words-file", "/nowhere"]);
    assert_eq!(again, ("already-there".to_owned(), 1));
}

#[test]
fn without_a_terminal_the_words_go_where_a_script_asked_or_nothing_is_made() {
    let ana = Ana::new();
    let output = ana.ajar(&["init", "--name", "Ana"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(!ana.path("home").exists());
    let value = ana.json(&["init", "--name", "Ana"]);
    assert_eq!(value["words"].as_str().unwrap().split(' ').count(), 12);
}

#[cfg(target_os = "linux")]
#[test]
fn words_that_nobody_could_read_are_no_success() {
    let ana = Ana::new();
    let mut command = ana.command(&["--json", "init", "--name", "Ana"]);
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let output = command.stdout(full).output().unwrap();
    assert_eq!(failure(&output), ("words-unseen".to_owned(), 1));
}

#[test]
fn verbose_says_what_happens_and_no_words() {
    let ana = Ana::with_home();
    let output = ana.ajar(&[
        "-v",
        "write",
        "--title",
        "Sealing wax",
        "Cabbages and kings",
    ]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("the journal is open"), "{said}");
    assert!(!said.contains("wax") && !said.contains("kings"), "{said}");
}

#[test]
fn what_is_written_is_listed_shown_changed_and_remembered() {
    let ana = Ana::with_home();
    let written = ana.json(&[
        "write",
        "--title",
        "Rain",
        "--date",
        "2026-07-01",
        "--tag",
        "sea",
        "It",
        "rained.",
    ]);
    let id = written["id"].as_str().unwrap();
    assert_eq!(id.len(), 32);
    let later = ana.json(&["write", "--date", "2026-07-02 21:30", "Sun."]);

    let list = ana.json(&["list"]);
    let order: Vec<&str> = list
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["text"].as_str().unwrap())
        .collect();
    assert_eq!(order, ["Sun.", "It rained."]);
    assert_eq!(list[1]["id"], id);
    assert_eq!(list[1]["space"], "me");
    assert_eq!(list[1]["author"], "me");
    assert_eq!(list[1]["author_name"], "Ana");
    assert_eq!(list[1]["kind"], "entry");
    assert_eq!(list[0]["date"], "2026-07-02T21:30");
    assert_eq!(
        ana.json(&["list", "--tag", "sea"])
            .as_array()
            .unwrap()
            .len(),
        1
    );
    assert_eq!(
        ana.json(&["list", "--since", "2026-07-02"])[0]["id"],
        later["id"]
    );
    assert_eq!(ana.json(&["list", "--us"]), Value::Array(Vec::new()));

    let edited = ana.json(&[
        "edit",
        &id[..8],
        "--title",
        "Rain at last",
        "It rained all day.",
    ]);
    assert_eq!(edited["changed"], true);
    assert_eq!(
        ana.json(&["edit", id, "It rained all day."])["changed"],
        false
    );
    let shown = ana.json(&["show", &id[..4]]);
    assert_eq!(shown["title"], "Rain at last");
    assert_eq!(shown["text"], "It rained all day.");
    assert_eq!(shown["tags"][0], "sea");
    let history = ana.json(&["history", id]);
    assert_eq!(history.as_array().unwrap().len(), 2);
    assert_eq!(history[0]["text"], "It rained.");
    assert_eq!(history[1]["author_name"], "Ana");

    let doctor = ana.json(&["doctor"]);
    assert_eq!(doctor["ok"], true, "{doctor}");
    let status = ana.json(&["status"]);
    assert_eq!(status["spaces"][0]["kind"], "me");
    assert_eq!(status["spaces"][0]["delivered"], 0);
    assert_eq!(status["notices"], Value::Array(Vec::new()));
}

#[test]
fn every_trouble_has_its_word_and_its_exit_code() {
    let ana = Ana::with_home();
    let id = ana.json(&["write", "Kept."])["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let troubles: [(&[&str], &str, i32); 13] = [
        (&["write", "   "], "empty", 1),
        (&["write", "--date", "2026-02-30", "x"], "bad-date", 1),
        (&["write", "--tag", " ", "x"], "invalid", 1),
        (&["show", "abc"], "bad-id", 1),
        (
            &["show", "0000000000000000000000000000ffff"],
            "not-found",
            1,
        ),
        (&["open", &id, "--stage", "room", "--yes"], "not-paired", 1),
        (&["open", &id, "--stage", "gist", "--yes"], "cannot-show", 1),
        (&["open", &id, "--stage", "window", "--yes"], "usage", 2),
        (&["join", "4821", "--yes"], "bad-code", 1),
        (&["join", "--yes"], "input", 1),
        (&["pair", "--yes"], "no-relay", 1),
        (&["sync"], "no-relay", 1),
        (&["list", "--frob"], "usage", 2),
    ];
    for (args, code, exit) in troubles {
        assert_eq!(ana.fails(args), (code.to_owned(), exit), "{args:?}");
    }
    let wrong = ana
        .command(&["--json", "list"])
        .env("AJAR_PASSPHRASE", "another")
        .output()
        .unwrap();
    assert_eq!(failure(&wrong), ("wrong-passphrase".to_owned(), 3));
    let none = ana
        .command(&["--json", "list"])
        .env_remove("AJAR_PASSPHRASE")
        .output()
        .unwrap();
    assert_eq!(failure(&none), ("no-passphrase".to_owned(), 3));
    let preview = ana.json(&["open", &id, "--stage", "room", "--preview"]);
    assert_eq!(preview["text"], "Kept.");
}

#[test]
fn a_second_passphrase_keeps_only_me_closed_without_it() {
    let ana = Ana::new();
    let words = ana.path("words");
    let args = [
        "init",
        "--name",
        "Ana",
        "--words-file",
        words.to_str().unwrap(),
    ];
    let init = ana
        .command(&args)
        .env("AJAR_PRIVATE_PASSPHRASE", "another four random words")
        .output()
        .unwrap();
    assert!(init.status.success(), "{init:?}");
    assert_eq!(ana.fails(&["write", "x"]), ("private-locked".to_owned(), 3));
    assert_eq!(ana.json(&["list"]), Value::Array(Vec::new()));
    assert_eq!(ana.json(&["status"])["spaces"][0]["locked"], true);
    let file = ana.path("private-passphrase");
    fs::write(&file, "another four random words\n").unwrap();
    let file = file.to_str().unwrap();
    ana.json(&["write", "--private-passphrase-file", file, "Only mine."]);
    let list = ana.json(&["list", "--private-passphrase-file", file]);
    assert_eq!(list[0]["text"], "Only mine.");
}

#[test]
fn an_editor_changes_a_text_and_leaves_no_draft() {
    let ana = Ana::with_home();
    let mut child = ana
        .command(&["--json", "write", "--title", "Piped", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all("one\ntwo \u{1b}[2J\n".as_bytes())
        .unwrap();
    let written = child.wait_with_output().unwrap();
    let id: Value = serde_json::from_slice(&written.stdout).unwrap();
    let shown = ana.ajar(&["show", &id["id"].as_str().unwrap()[..8]]);
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(
        shown.contains("two ␛[2J") && !shown.contains('\u{1b}'),
        "{shown}"
    );
    let left = fs::read_dir(ana.path("home")).unwrap().flatten();
    assert!(
        left.map(|entry| entry.file_name())
            .all(|name| !name.to_string_lossy().contains("draft"))
    );
}

#[test]
fn nobody_reading_any_more_is_no_failure() {
    let ana = Ana::with_home();
    ana.json(&["write", "Kept."]);
    let mut child = ana
        .command(&["list"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
}

#[test]
#[cfg(target_os = "linux")]
fn a_crash_leaves_no_core_file_with_secrets_in_it() {
    let ana = Ana::with_home();
    let mut child = ana
        .command(&["write", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // It waits for its text, so it has long been through its first steps when its lock is there.
    std::thread::sleep(std::time::Duration::from_millis(800));
    match fs::read_to_string(format!("/proc/{}/limits", child.id())) {
        Ok(limits) => {
            let core = limits
                .lines()
                .find(|line| line.starts_with("Max core file size"))
                .unwrap();
            assert_eq!(core.split_whitespace().nth(4), Some("0"), "{core}");
            assert_eq!(core.split_whitespace().nth(5), Some("0"), "{core}");
        }
        // A process that is not dumpable belongs to root in there.
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::PermissionDenied),
    }
    child.stdin.take().unwrap().write_all(b"done").unwrap();
    assert!(child.wait().unwrap().success());
}
