//! Where a text comes from: the command line, standard input, or an editor.

use std::env;
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::dates;
use crate::output::Output;
use crate::report::Failure;
use crate::terminal;
use crate::unlock::{PASSPHRASE, PRIVATE_PASSPHRASE};

/// A text, and the draft file it came from if an editor wrote it.
#[derive(Debug)]
pub(crate) struct Composed {
    pub(crate) text: String,
    draft: Option<Draft>,
}

impl Composed {
    fn plain(text: String) -> Self {
        Self { text, draft: None }
    }

    /// Passes on a failure to keep the text; what was typed into an editor is left in its file.
    pub(crate) fn not_kept(self, failure: Failure) -> Failure {
        match self.draft {
            None => failure,
            Some(draft) => {
                let path = draft.leave();
                failure.hint(format!(
                    "Your text is not lost: it is in {}. Delete that file when you have it.",
                    path.display()
                ))
            }
        }
    }
}

/// The text given as an argument, from standard input, or from an editor that starts with `before`.
pub(crate) fn text(
    out: Output,
    dir: &Path,
    words: &[String],
    before: Option<&str>,
) -> Result<Composed, Failure> {
    // A text without quotes arrives as several arguments; it is one text all the same.
    let argument = (!words.is_empty()).then(|| words.join(" "));
    match argument {
        Some(argument) if argument == "-" => terminal::stdin_text().map(Composed::plain),
        Some(text) => Ok(Composed::plain(text)),
        None if !io::stdin().is_terminal() => terminal::stdin_text().map(Composed::plain),
        None => match editor() {
            Some(editor) => edit(&editor, dir, before.unwrap_or_default()),
            None if before.is_some() => Err(Failure::fixable(
                "no-editor",
                "There is no editor to change the text with.",
            )
            .hint("Set EDITOR, give the whole new text, or use - to read it from standard input.")),
            None => {
                out.talk("Write, and end with Ctrl-D on an empty line.");
                terminal::stdin_text().map(Composed::plain)
            }
        },
    }
}

/// Refuses a text that says nothing.
pub(crate) fn not_empty(text: &str) -> Result<(), Failure> {
    if text.trim().is_empty() {
        Err(Failure::fixable(
            "empty",
            "There is no text; nothing was kept.",
        ))
    } else {
        Ok(())
    }
}

fn editor() -> Option<OsString> {
    [env::var_os("VISUAL"), env::var_os("EDITOR")]
        .into_iter()
        .flatten()
        .find(|editor| !editor.is_empty())
}

fn edit(editor: &OsString, dir: &Path, before: &str) -> Result<Composed, Failure> {
    let draft = Draft::create(dir, before)?;
    // The variable may hold options (`code --wait`), so a shell takes it apart; the path does not
    // go through the shell's hands.
    let mut script = editor.clone();
    script.push(" \"$1\"");
    let status = Command::new("sh")
        .arg("-c")
        .arg(&script)
        .arg("ajar-editor")
        .arg(&draft.path)
        .env_remove(PASSPHRASE)
        .env_remove(PRIVATE_PASSPHRASE)
        .status()
        .map_err(|error| {
            Failure::fixable("editor", format!("The editor did not start: {error}."))
        })?;
    if !status.success() {
        return Err(Failure::fixable(
            "editor",
            "The editor ended with an error; nothing was kept.",
        )
        .hint("Check VISUAL and EDITOR."));
    }
    let bytes = fs::read(&draft.path).map_err(|error| {
        Failure::fixable(
            "editor",
            format!("What the editor wrote cannot be read: {error}."),
        )
    })?;
    match terminal::text_of(bytes) {
        Ok(text) => Ok(Composed {
            text,
            draft: Some(draft),
        }),
        Err(failure) => Err(Composed {
            text: String::new(),
            draft: Some(draft),
        }
        .not_kept(failure)),
    }
}

/// A file for an editor inside the journal's folder, readable by this user only. It is wiped and
/// removed when dropped.
#[derive(Debug)]
struct Draft {
    path: PathBuf,
    left: bool,
}

impl Draft {
    fn create(dir: &Path, before: &str) -> Result<Self, Failure> {
        let path = dir.join(format!(
            "draft-{}-{}.md",
            std::process::id(),
            dates::now_ms()
        ));
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .map_err(|error| draft_failure(&error))?;
        let draft = Self { path, left: false };
        let end: &[u8] = if before.is_empty() { b"" } else { b"\n" };
        file.write_all(before.as_bytes())
            .and_then(|()| file.write_all(end))
            .map_err(|error| draft_failure(&error))?;
        Ok(draft)
    }

    /// Keeps the file and says where it is.
    fn leave(mut self) -> PathBuf {
        self.left = true;
        self.path.clone()
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.left {
            // Best effort: a disk may keep old blocks whatever is written over them.
            let _ = overwrite(&self.path);
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn overwrite(path: &Path) -> io::Result<()> {
    let mut file: File = OpenOptions::new().write(true).open(path)?;
    let mut left = file.metadata()?.len();
    let zeros = [0; 4096];
    while left > 0 {
        let part = usize::try_from(left)
            .unwrap_or(zeros.len())
            .min(zeros.len());
        file.write_all(zeros.get(..part).unwrap_or(&zeros))?;
        left -= part as u64;
    }
    file.sync_data()
}

fn draft_failure(error: &io::Error) -> Failure {
    Failure::fixable(
        "draft",
        format!("Cannot make a file for the editor: {error}."),
    )
    .hint("Give the text on standard input instead: ajar write -")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn files(dir: &Path) -> usize {
        fs::read_dir(dir).unwrap().count()
    }

    #[test]
    fn a_draft_is_for_this_user_only_and_is_gone_afterwards() {
        let dir = tempfile::tempdir().unwrap();
        let draft = Draft::create(dir.path(), "It rained.").unwrap();
        let mode = fs::metadata(&draft.path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(fs::read_to_string(&draft.path).unwrap(), "It rained.\n");
        drop(draft);
        assert_eq!(files(dir.path()), 0);
    }

    #[test]
    fn an_editor_with_options_is_started_and_its_text_comes_back() {
        let dir = tempfile::tempdir().unwrap();
        let editor = OsString::from("sed -i -e s/rained/snowed/");
        let composed = edit(&editor, dir.path(), "It rained.").unwrap();
        assert_eq!(composed.text, "It snowed.");
        assert_eq!(files(dir.path()), 1);
        drop(composed);
        assert_eq!(files(dir.path()), 0);
    }

    #[test]
    fn an_editor_that_fails_keeps_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let failure = edit(&OsString::from("false"), dir.path(), "It rained.").unwrap_err();
        assert_eq!(failure.code(), "editor");
        assert_eq!(files(dir.path()), 0);
    }

    #[test]
    fn what_was_typed_is_not_lost_when_it_cannot_be_kept() {
        let dir = tempfile::tempdir().unwrap();
        let composed = edit(&OsString::from("true"), dir.path(), "It rained.").unwrap();
        let failure = composed.not_kept(Failure::fixable("disk-full", "The disk is full."));
        assert_eq!(failure.code(), "disk-full");
        assert_eq!(files(dir.path()), 1);
    }

    #[test]
    fn a_text_without_quotes_is_one_text() {
        let out = Output {
            json: false,
            quiet: true,
        };
        let words = ["It".to_owned(), "rained.".to_owned()];
        let composed = text(out, Path::new("/nowhere"), &words, None).unwrap();
        assert_eq!(composed.text, "It rained.");
    }

    #[test]
    fn blanks_are_no_text() {
        assert!(not_empty(" \n\t").is_err());
        assert!(not_empty(" a ").is_ok());
    }
}
