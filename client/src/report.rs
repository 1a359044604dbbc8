//! Errors as people and scripts meet them: an exit code, a stable word, a sentence that says what
//! happened and is safe, and a hint at what to do.

use std::fmt::Display;
use std::io::{self, Write};
use std::path::Path;

use ajar_journal::text::displayable_line;
use serde_json::json;

use crate::output::inert;

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// 0: done.
    Done = 0,
    /// 1: the person can fix it; the message says how.
    Fixable = 1,
    /// 2: wrong usage, or a bug of ours.
    Bug = 2,
    /// 3: locked, or a wrong passphrase.
    Locked = 3,
    /// 4: kept here, not yet delivered.
    Undelivered = 4,
    /// 5: the relay or a device broke the protocol; nothing was accepted from it.
    Broke = 5,
}

impl Exit {
    /// The number a shell sees.
    #[must_use]
    pub fn number(self) -> u8 {
        self as u8
    }

    /// The exit of a number as `ajar_sync` gives it; a number outside the table is a bug of ours.
    pub(crate) fn of(number: u8) -> Self {
        match number {
            0 => Self::Done,
            1 => Self::Fixable,
            3 => Self::Locked,
            4 => Self::Undelivered,
            5 => Self::Broke,
            _ => Self::Bug,
        }
    }
}

/// Why a command did not do what was asked.
#[derive(Debug)]
pub(crate) struct Failure {
    exit: Exit,
    code: &'static str,
    message: String,
    hint: Option<String>,
    quiet: bool,
}

impl Failure {
    pub(crate) fn new(exit: Exit, code: &'static str, message: impl Display) -> Self {
        Self {
            exit,
            code,
            message: message.to_string(),
            hint: None,
            quiet: false,
        }
    }

    /// Something the person can put right.
    pub(crate) fn fixable(code: &'static str, message: impl Display) -> Self {
        Self::new(Exit::Fixable, code, message)
    }

    /// Nobody reads stdout any more (`ajar list | head -1`): no failure worth a word.
    pub(crate) fn nobody_listens() -> Self {
        Self {
            quiet: true,
            ..Self::new(Exit::Done, "pipe-closed", "")
        }
    }

    pub(crate) fn hint(mut self, hint: impl Display) -> Self {
        self.hint = Some(hint.to_string());
        self
    }

    pub(crate) fn code(&self) -> &'static str {
        self.code
    }

    pub(crate) fn exit(&self) -> Exit {
        self.exit
    }

    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    pub(crate) fn hint_text(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    pub(crate) fn to_json(&self) -> serde_json::Value {
        json!({"error": {"code": self.code, "message": self.message, "hint": self.hint}})
    }

    /// Says it on stderr and gives the exit code.
    pub(crate) fn tell(&self, as_json: bool) -> Exit {
        if !self.quiet {
            let mut err = io::stderr().lock();
            // Nothing is left to do when stderr is closed.
            let _ = if as_json {
                writeln!(err, "{}", inert(&self.to_json().to_string()))
            } else {
                let message = sentence(&self.message);
                match &self.hint {
                    Some(hint) => writeln!(err, "{message}\n{hint}"),
                    None => writeln!(err, "{message}"),
                }
            };
        }
        self.exit
    }
}

/// How a message names a file that the person named. Its letters stay as they are, though a message
/// begins with a capital one.
pub(crate) fn named_file(path: &Path) -> String {
    format!("`{}`", displayable_line(&path.display().to_string()))
}

/// A message as a sentence of its own: with a capital letter and an end.
pub(crate) fn sentence(message: &str) -> String {
    let mut chars = message.chars();
    let mut sentence: String = match chars.next() {
        Some(first) => first.to_uppercase().chain(chars).collect(),
        None => return String::new(),
    };
    if !sentence.ends_with(['.', '!', '?', ')', ':', '\n']) {
        sentence.push('.');
    }
    sentence
}

impl From<ajar_sync::Error> for Failure {
    fn from(error: ajar_sync::Error) -> Self {
        let failure = Self::new(Exit::of(error.exit_code()), error.code(), &error);
        match error.hint() {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}

impl From<ajar_journal::Error> for Failure {
    fn from(error: ajar_journal::Error) -> Self {
        match &error {
            ajar_journal::Error::Invalid(_) => Self::fixable("invalid", error),
            ajar_journal::Error::Unreadable(_) => Self::fixable("unreadable", error),
            ajar_journal::Error::Document(_) => Self::new(Exit::Bug, "bug", error),
        }
    }
}

impl From<ajar_journal::Unreadable> for Failure {
    fn from(error: ajar_journal::Unreadable) -> Self {
        Self::fixable("unreadable", error)
    }
}

impl<E: Into<Failure>> From<ajar_sync::ChangeError<E>> for Failure {
    fn from(error: ajar_sync::ChangeError<E>) -> Self {
        match error {
            ajar_sync::ChangeError::Refused(error) => error.into(),
            ajar_sync::ChangeError::Failed(error) => error.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_codes_are_the_promised_table() {
        let table = [
            (Exit::Done, 0),
            (Exit::Fixable, 1),
            (Exit::Bug, 2),
            (Exit::Locked, 3),
            (Exit::Undelivered, 4),
            (Exit::Broke, 5),
        ];
        for (exit, number) in table {
            assert_eq!(exit.number(), number);
            assert_eq!(Exit::of(number), exit);
        }
        assert_eq!(Exit::of(77), Exit::Bug);
    }

    #[test]
    fn an_error_as_json_has_code_message_and_hint() {
        let failure = Failure::fixable("not-found", "No such entry.").hint("ajar list");
        let told = failure.to_json();
        assert_eq!(told["error"]["code"], "not-found");
        assert_eq!(told["error"]["message"], "No such entry.");
        assert_eq!(told["error"]["hint"], "ajar list");
        let bare = Failure::fixable("x", "y").to_json();
        assert!(bare["error"]["hint"].is_null());
    }

    #[test]
    fn a_message_reads_as_a_sentence() {
        assert_eq!(sentence("the disk is full"), "The disk is full.");
        assert_eq!(sentence("Nothing was sent."), "Nothing was sent.");
        assert_eq!(sentence(""), "");
    }

    #[test]
    fn a_file_keeps_its_name_where_it_begins_a_sentence() {
        let message = format!("{}: it is empty", named_file(Path::new("my sea.zip")));
        assert_eq!(sentence(&message), "`my sea.zip`: it is empty.");
    }

    #[test]
    fn words_that_cannot_be_kept_are_for_the_person_to_fix() {
        let failure = Failure::from(ajar_journal::Error::from(ajar_journal::Invalid::BadDate));
        assert_eq!((failure.exit, failure.code), (Exit::Fixable, "invalid"));
    }
}
