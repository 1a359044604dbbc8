//! The two people of the demo, and the folder they live in for a few seconds.

use std::env;
use std::fs::{self, DirBuilder};
use std::hash::{BuildHasher, RandomState};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::process::{Ended, Interrupt, Running};
use crate::dates;
use crate::report::Failure;
use crate::unlock::PASSPHRASE;

/// A folder only this user can enter, removed when dropped unless it is to stay.
pub(super) struct Folder {
    path: PathBuf,
    keep: bool,
}

impl Folder {
    pub(super) fn create(keep: bool) -> Result<Self, Failure> {
        let unforeseen = RandomState::new().hash_one(dates::now_ms());
        let path = env::temp_dir().join(format!("ajar-demo-{unforeseen:016x}"));
        let failed = |error| {
            Failure::fixable(
                "demo",
                format!("Cannot create {}: {error}.", path.display()),
            )
        };
        // It must not be there yet: somebody else's folder could be a trap.
        DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .map_err(failed)?;
        let folder = Self {
            path: path.clone(),
            keep,
        };
        fs::create_dir(path.join("logs")).map_err(failed)?;
        Ok(folder)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !self.keep {
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

/// One of the two: a home, and `ajar` processes that use it.
pub(super) struct Person<'a> {
    name: &'static str,
    program: PathBuf,
    home: PathBuf,
    logs: PathBuf,
    interrupt: &'a Interrupt,
}

impl<'a> Person<'a> {
    pub(super) fn new(
        folder: &Folder,
        name: &'static str,
        interrupt: &'a Interrupt,
    ) -> Result<Self, Failure> {
        let program = env::current_exe().map_err(|error| {
            Failure::fixable("demo", format!("this program cannot find itself: {error}."))
        })?;
        Ok(Self {
            name,
            program,
            home: folder.path().join(name),
            logs: folder.path().join("logs"),
            interrupt,
        })
    }

    /// Starts one `ajar` command of this person.
    pub(super) fn start(&self, args: &[&str]) -> Result<Running<'a>, Failure> {
        let mut command = Command::new(&self.program);
        for (variable, _) in env::vars_os() {
            // What is set for the journal this person really has.
            if variable.to_string_lossy().starts_with("AJAR_") {
                command.env_remove(variable);
            }
        }
        command
            .arg("--home")
            .arg(&self.home)
            .arg("--json")
            .args(args)
            .env(PASSPHRASE, format!("the demo passphrase of {}", self.name));
        let what = format!("ajar {} ({})", args.first().unwrap_or(&""), self.name);
        Running::start(command, what, &self.logs, self.interrupt)
    }

    pub(super) fn start_init(&self, address: &str) -> Result<Running<'a>, Failure> {
        let words = self.home.with_extension("words");
        let words = words.to_string_lossy().into_owned();
        self.start(&[
            "init",
            "--name",
            self.name,
            "--relay",
            address,
            "--words-file",
            &words,
        ])
    }

    /// Runs a command that prints an id.
    pub(super) fn id(&self, args: &[&str]) -> Result<String, Failure> {
        let ended = self.start(args)?.end_well()?;
        let value = json(&ended)?;
        let id = value.get("id").and_then(Value::as_str);
        id.map(str::to_owned).ok_or_else(|| ended.failure())
    }

    /// Runs a command whose exit code is what matters.
    pub(super) fn exit_of(&self, args: &[&str]) -> Result<i32, Failure> {
        let ended = self.start(args)?.end()?;
        ended.status.code().ok_or_else(|| ended.failure())
    }

    /// Runs a command that ends well; what it says.
    pub(super) fn said(&self, args: &[&str]) -> Result<Value, Failure> {
        json(&self.start(args)?.end_well()?)
    }

    /// Exchanges with the relay, then lists what both can read.
    pub(super) fn sync_and_list(&self) -> Result<Value, Failure> {
        self.start(&["sync"])?.end_well()?;
        json(&self.start(&["list", "--us"])?.end_well()?)
    }
}

/// Waits for two commands at the same time; both must end well.
pub(super) fn both(one: Running<'_>, other: Running<'_>) -> Result<(), Failure> {
    one.end_well()?;
    other.end_well()?;
    Ok(())
}

/// What both can read, as each of the two lists it.
pub(super) fn lists(one: &Person<'_>, other: &Person<'_>) -> Result<(Value, Value), Failure> {
    let (one, other) = (
        one.start(&["list", "--us"])?,
        other.start(&["list", "--us"])?,
    );
    Ok((json(&one.end_well()?)?, json(&other.end_well()?)?))
}

/// The two meet. Gives the six words, after checking that both saw the same.
pub(super) fn meet(shows: &Person<'_>, enters: &Person<'_>) -> Result<Vec<String>, Failure> {
    let mut showing = shows.start(&["pair", "--yes"])?;
    let line = showing.first_line()?;
    let value: Value = serde_json::from_str(&line).unwrap_or_default();
    let code = value.get("code").and_then(Value::as_str);
    let code = code.ok_or_else(|| Failure::fixable("demo", "no code was shown."))?;
    let entered = enters.start(&["join", "--yes", code])?.end_well()?;
    let shown = showing.end_well()?;
    let (one, other) = (words(&shown), words(&entered));
    expect(
        one.len() == 6 && one == other,
        "the two did not see the same six words",
    )?;
    Ok(one)
}

/// One person's other device is added: the first shows a code, the second enters it and has what
/// the first has.
pub(super) fn link(first: &Person<'_>, second: &Person<'_>) -> Result<(), Failure> {
    let mut showing = first.start(&["device", "add", "--yes"])?;
    let line = showing.first_line()?;
    let value: Value = serde_json::from_str(&line).unwrap_or_default();
    let invitation = value.get("invitation").and_then(Value::as_str);
    let invitation = invitation.ok_or_else(|| Failure::fixable("demo", "no code was shown."))?;
    let linking = second.start(&["init", "--link", invitation, "--device", second.name])?;
    both(linking, showing)
}

fn words(ended: &Ended) -> Vec<String> {
    let last = ended.stdout.lines().last().unwrap_or_default();
    let value: Value = serde_json::from_str(last).unwrap_or_default();
    let words = value.get("safety_words").and_then(Value::as_array);
    words
        .into_iter()
        .flatten()
        .filter_map(|word| word.as_str().map(str::to_owned))
        .collect()
}

fn json(ended: &Ended) -> Result<Value, Failure> {
    serde_json::from_str(ended.stdout.trim()).map_err(|_| ended.failure())
}

/// Goes on only if the claim holds.
pub(super) fn expect(holds: bool, otherwise: &str) -> Result<(), Failure> {
    if holds {
        Ok(())
    } else {
        Err(Failure::fixable("demo", format!("{otherwise}.")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_folder_is_for_this_user_only_and_leaves_nothing() {
        let folder = Folder::create(false).unwrap();
        let path = folder.path().to_owned();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        fs::write(path.join("logs/x"), "x").unwrap();
        drop(folder);
        assert!(!path.exists());
    }
}
