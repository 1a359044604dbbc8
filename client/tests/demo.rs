//! `ajar demo` is the first command of the README, so it has to work: a real relay, two people,
//! real processes over real sockets.

use std::path::Path;
use std::process::{Command, Stdio};

/// The relay's program beside `ajar`, where the demo looks for it; built if nobody has yet.
fn build_relay() {
    let beside = Path::new(env!("CARGO_BIN_EXE_ajar")).with_file_name("ajar-relay");
    if !beside.is_file() {
        let built = Command::new(env!("CARGO"))
            .args(["build", "-p", "ajar-relay"])
            .status();
        assert!(built.expect("cargo starts").success());
    }
    assert!(beside.is_file(), "{} is missing", beside.display());
}

#[test]
fn the_first_command_of_the_readme_tells_its_whole_story_and_leaves_nothing() {
    build_relay();
    let temporary = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_ajar"))
        .arg("demo")
        // Under `cargo run` the demo asks cargo for the relay; here it takes the one beside it.
        .env_remove("CARGO")
        .env("TMPDIR", temporary.path())
        .env("AJAR_HOME", temporary.path().join("not-to-be-touched"))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{errors}");
    for step in 1..=11 {
        assert!(
            said.contains(&format!("\n{step}. ")),
            "step {step} is missing:\n{said}"
        );
    }
    assert!(
        said.contains("ajar init --name"),
        "it says how to go on:\n{said}"
    );
    assert_eq!(std::fs::read_dir(temporary.path()).unwrap().count(), 0);
}
