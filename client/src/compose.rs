//! Where a text comes from: the command line, standard input, or an editor.

use std::env;
use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::dates;
use crate::output::Output;
use crate::report::Failure;
use crate::terminal;
use crate::unlock::without_secrets;

/// A text, and the draft file it came from if an editor wrote it.
#[derive(Debug)]
pub(crate) struct Composed {
    pub(crate) text: String,
    draft: Option<Draft>,
}

impl Composed {
    /// No words at all.
    pub(crate) fn nothing() -> Self {
        Self::plain(String::new())
    }

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
                    "Your text is not lost: it is in {}. Delete that folder when you have it.",
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
    let mut script = OsString::from("trap : INT QUIT; ");
    script.push(editor);
    script.push(" \"$1\"");
    let _interrupts = Interrupts::leave_to_the_editor()?;
    let status = without_secrets(&mut Command::new("sh"))
        .arg("-c")
        .arg(&script)
        .arg("ajar-editor")
        .arg(&draft.path)
        .status()
        .map_err(|error| {
            Failure::fixable("editor", format!("The editor did not start: {error}."))
        })?;
    let written = File::open(&draft.path)
        .map_err(|error| {
            let message = format!("What the editor wrote cannot be read: {error}.");
            Failure::fixable("editor", message)
        })
        .and_then(terminal::text_from);
    let (text, failure) = match written {
        Ok(text) if status.success() => (text, None),
        Ok(text) => {
            let failure = Failure::fixable(
                "editor",
                "The editor ended with an error; nothing was kept.",
            );
            (text, Some(failure.hint("Check VISUAL and EDITOR.")))
        }
        Err(failure) => (String::new(), Some(failure)),
    };
    let typed = text != before && not_empty(&text).is_ok();
    // A text that cannot be read counts as typed: it is the person who knows what it is.
    let typed = typed || failure.as_ref().is_some_and(|f| f.code() != "editor");
    let composed = Composed {
        text,
        draft: Some(draft),
    };
    match failure {
        None => Ok(composed),
        Some(failure) if typed => Err(composed.not_kept(failure)),
        Some(failure) => Err(failure),
    }
}

/// While an editor runs, Ctrl-C is the editor's: it must not end this program under it and leave
/// the words of a draft behind.
struct Interrupts {
    _held: [Signal; 2],
}

impl Interrupts {
    fn leave_to_the_editor() -> Result<Self, Failure> {
        let hold = |kind| {
            signal(kind).map_err(|error| {
                Failure::fixable("system", format!("Cannot listen for signals: {error}."))
            })
        };
        Ok(Self {
            _held: [hold(SignalKind::interrupt())?, hold(SignalKind::quit())?],
        })
    }
}

/// A file for an editor, in a folder of its own inside the journal's folder, for this user only.
/// The folder is wiped and removed when dropped, with the backups an editor may have put there.
#[derive(Debug)]
struct Draft {
    folder: PathBuf,
    path: PathBuf,
    left: bool,
}

impl Draft {
    fn create(dir: &Path, before: &str) -> Result<Self, Failure> {
        let folder = dir.join(format!("draft-{}-{}", std::process::id(), dates::now_ms()));
        DirBuilder::new()
            .mode(0o700)
            .create(&folder)
            .map_err(|error| draft_failure(&error))?;
        let path = folder.join("entry.md");
        let draft = Self {
            folder,
            path,
            left: false,
        };
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&draft.path)
            .map_err(|error| draft_failure(&error))?;
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
            for entry in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
                if entry.file_type().is_ok_and(|kind| kind.is_file()) {
                    let _ = overwrite(&entry.path());
                }
            }
            let _ = fs::remove_dir_all(&self.folder);
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

    /// Runs an editor as a command does: inside a runtime, which the signals need.
    fn edit(editor: &str, dir: &Path, before: &str) -> Result<Composed, Failure> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let _entered = runtime.enter();
        super::edit(&OsString::from(editor), dir, before)
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
        let composed = edit("sed -i -e s/rained/snowed/", dir.path(), "It rained.").unwrap();
        assert_eq!(composed.text, "It snowed.");
        assert_eq!(files(dir.path()), 1);
        drop(composed);
        assert_eq!(files(dir.path()), 0);
    }

    #[test]
    fn an_editor_that_fails_keeps_nothing() {
        let dir = tempfile::tempdir().unwrap();
        for editor in ["false", "no-such-editor-anywhere 2>&-"] {
            let failure = edit(editor, dir.path(), "It rained.").unwrap_err();
            assert_eq!(failure.code(), "editor");
            assert_eq!(files(dir.path()), 0);
        }
    }

    #[test]
    fn what_was_typed_before_an_editor_failed_is_not_lost() {
        let dir = tempfile::tempdir().unwrap();
        let editor = "sh -c 'echo All day. >> \"$1\"; exit 3' -";
        let failure = edit(editor, dir.path(), "It rained.").unwrap_err();
        assert_eq!(failure.code(), "editor");
        let folder = fs::read_dir(dir.path()).unwrap().next().unwrap().unwrap();
        let typed = fs::read_to_string(folder.path().join("entry.md")).unwrap();
        assert_eq!(typed, "It rained.\nAll day.\n");
        let hint = failure.hint_text().unwrap();
        assert!(
            hint.contains(&*folder.file_name().to_string_lossy()),
            "{hint}"
        );
    }

    #[test]
    fn an_editors_backups_do_not_stay_behind() {
        let dir = tempfile::tempdir().unwrap();
        let composed = edit("sed -i~ -e s/rained/snowed/", dir.path(), "It rained.").unwrap();
        drop(composed);
        assert_eq!(files(dir.path()), 0);
    }

    #[test]
    fn an_interrupt_meant_for_the_editor_does_not_end_the_entry() {
        let dir = tempfile::tempdir().unwrap();
        // As Ctrl-C does: the shell around the editor hears it too.
        let editor = "sh -c 'trap : INT; kill -INT $$ $PPID; echo All day. >> \"$1\"' -";
        let composed = edit(editor, dir.path(), "It rained.").unwrap();
        assert_eq!(composed.text, "It rained.\nAll day.");
    }

    #[test]
    fn what_was_typed_is_not_lost_when_it_cannot_be_kept() {
        let dir = tempfile::tempdir().unwrap();
        let composed = edit("true", dir.path(), "It rained.").unwrap();
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
