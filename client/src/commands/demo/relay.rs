//! The relay of the demo: where its program is, and its life as a process.

use std::env;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use super::process::{Interrupt, Running};
use crate::output::Output;
use crate::report::Failure;
use crate::unlock::without_secrets;

const PROGRAM: &str = "ajar-relay";

/// Finds `ajar-relay`: beside this program, or in PATH.
///
/// Under `cargo run -p ajar-client` only this package was built (the client must not depend on the
/// relay, whose code it never needs), so there cargo is asked to build the relay too, in the same
/// profile. That makes the one command of the README work on a clean machine, and is a matter of
/// milliseconds afterwards.
pub(super) fn find(out: Output) -> Result<PathBuf, Failure> {
    let own_package =
        env::var_os("CARGO_PKG_NAME").is_some_and(|name| name == env!("CARGO_PKG_NAME"));
    if let (Some(cargo), true) = (env::var_os("CARGO"), own_package)
        && let Some(built) = build(out, Path::new(&cargo))
    {
        return Ok(built);
    }
    let beside = env::current_exe()
        .ok()
        .and_then(|exe| exe.parent().map(|folder| folder.join(PROGRAM)));
    beside
        .into_iter()
        .chain(env::split_paths(&env::var_os("PATH").unwrap_or_default()).map(|folder| folder.join(PROGRAM)))
        .find(|candidate| candidate.is_file())
        .ok_or_else(|| {
            Failure::fixable("no-relay-program", "The demo needs the program ajar-relay, and it is neither beside ajar nor in PATH.")
                .hint("Install it the way you installed ajar; from the sources: cargo build --release -p ajar-relay")
        })
}

/// Has cargo build the relay; its progress goes to stderr. `None` if it could not.
fn build(out: Output, cargo: &Path) -> Option<PathBuf> {
    let mut command = Command::new(cargo);
    command.args([
        "build",
        "--package",
        PROGRAM,
        "--bin",
        PROGRAM,
        "--message-format=json-render-diagnostics",
    ]);
    if !cfg!(debug_assertions) {
        command.arg("--release");
    }
    if let Some(folder) = env::var_os("CARGO_MANIFEST_DIR") {
        command.current_dir(folder);
    }
    if out.quiet {
        command.stderr(Stdio::null());
    }
    let mut child = without_secrets(&mut command)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .ok()?;
    let mut built = None;
    if let Some(messages) = child.stdout.take() {
        for line in BufReader::new(messages).lines().map_while(Result::ok) {
            built = executable(&line).or(built);
        }
    }
    let status = child.wait().ok()?;
    built.filter(|_| status.success())
}

/// The path in cargo's message that the program is there.
fn executable(message: &str) -> Option<PathBuf> {
    let message: Value = serde_json::from_str(message).ok()?;
    let is_it = message.get("target")?.get("name")?.as_str()? == PROGRAM;
    let path = message.get("executable")?.as_str()?;
    is_it.then(|| PathBuf::from(path))
}

/// A relay with a folder of its own on a free port of this machine.
pub(super) struct Relay<'a> {
    program: &'a Path,
    data: PathBuf,
    logs: PathBuf,
    /// Where it listened first; it comes back there.
    listen: String,
    running: Option<Running<'a>>,
    interrupt: &'a Interrupt,
}

impl<'a> Relay<'a> {
    pub(super) fn init(
        program: &'a Path,
        data: &Path,
        interrupt: &'a Interrupt,
    ) -> Result<Self, Failure> {
        let relay = Self {
            program,
            data: data.to_owned(),
            logs: data.with_file_name("logs"),
            listen: "127.0.0.1:0".to_owned(),
            running: None,
            interrupt,
        };
        relay
            .command("init", |command| {
                command.args(["--listen", &relay.listen]);
            })?
            .end_well()?;
        Ok(relay)
    }

    /// Starts it and waits until it listens.
    pub(super) fn start(&mut self) -> Result<(), Failure> {
        let ready = self.data.with_file_name("ready.json");
        // One of an earlier start would say too early that it is there.
        let _ = std::fs::remove_file(&ready);
        let mut running = self.command("serve", |command| {
            command
                .args(["--listen", &self.listen])
                .arg("--ready-file")
                .arg(&ready);
        })?;
        let told: Value = serde_json::from_str(&running.file(&ready)?).map_err(|error| {
            Failure::fixable(
                "demo",
                format!("the relay's ready file cannot be read: {error}."),
            )
        })?;
        let listen = told.get("listen").and_then(Value::as_str);
        self.listen = listen
            .ok_or_else(|| Failure::fixable("demo", "the relay did not say where it listens."))?
            .to_owned();
        self.running = Some(running);
        Ok(())
    }

    /// An address for two people.
    pub(super) fn invite(&self) -> Result<String, Failure> {
        let ended = self
            .command("invite", |command| {
                command.arg("--json");
            })?
            .end_well()?;
        let value: Value = serde_json::from_str(ended.stdout.trim()).unwrap_or_default();
        let address = value.get("address").and_then(Value::as_str);
        address.map(str::to_owned).ok_or_else(|| ended.failure())
    }

    /// Stops it, as its operator would.
    pub(super) fn stop(&mut self) -> Result<(), Failure> {
        self.running.take().map_or(Ok(()), Running::stop)
    }

    fn command(&self, name: &str, more: impl FnOnce(&mut Command)) -> Result<Running<'a>, Failure> {
        let mut command = Command::new(self.program);
        command.arg(name).arg("--data").arg(&self.data);
        for (variable, _) in env::vars_os() {
            // Settings of a relay this person really runs.
            if variable.to_string_lossy().starts_with("AJAR_") {
                command.env_remove(variable);
            }
        }
        more(&mut command);
        Running::start(
            command,
            format!("{PROGRAM} {name}"),
            &self.logs,
            self.interrupt,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_is_found_in_what_cargo_says() {
        let line = r#"{"reason":"compiler-artifact","target":{"name":"ajar-relay"},"executable":"/t/ajar-relay"}"#;
        assert_eq!(executable(line), Some(PathBuf::from("/t/ajar-relay")));
        for other in [
            r#"{"reason":"compiler-artifact","target":{"name":"ajar-relay"},"executable":null}"#,
            r#"{"reason":"compiler-artifact","target":{"name":"quinn"},"executable":"/t/x"}"#,
            r#"{"reason":"build-finished","success":true}"#,
            "warning: something",
        ] {
            assert_eq!(executable(other), None);
        }
    }
}
