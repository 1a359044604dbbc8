//! stdout is data, stderr is talk. No colour at all, so none ever carries meaning.

use std::io::{self, Write};

use ajar_journal::text::displayable_line;
use serde::Serialize;

use crate::report::{Exit, Failure};

/// Where a command writes, and in which form.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    /// Data as JSON.
    pub(crate) json: bool,
    /// No talk on stderr; errors still come.
    pub(crate) quiet: bool,
}

impl Output {
    /// One line (or block) of data for people. A line end is added.
    pub(crate) fn plain(self, text: &str) -> Result<(), Failure> {
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())
            .and_then(|()| out.write_all(b"\n"))
            .and_then(|()| out.flush())
            .map_err(|error| writing(&error))
    }

    /// One line of JSON.
    pub(crate) fn json<T: Serialize>(self, value: &T) -> Result<(), Failure> {
        let line = serde_json::to_string(value).map_err(|error| {
            Failure::new(Exit::Bug, "bug", format!("cannot write JSON: {error}"))
        })?;
        self.plain(&inert(&line))
    }

    /// JSON with `--json`, else the words.
    pub(crate) fn data<T: Serialize>(
        self,
        value: &T,
        words: impl FnOnce() -> String,
    ) -> Result<(), Failure> {
        if self.json {
            self.json(value)
        } else {
            self.plain(&words())
        }
    }

    /// Talk: one line on stderr, unless quiet. Nobody listening is no failure.
    pub(crate) fn talk(self, text: impl AsRef<str>) {
        if !self.quiet {
            let _ = writeln!(io::stderr().lock(), "{}", text.as_ref());
        }
    }

    /// A question or warning that must be seen even when quiet.
    pub(crate) fn insist(self, text: impl AsRef<str>) {
        let _ = writeln!(io::stderr().lock(), "{}", text.as_ref());
    }
}

/// JSON whose every character is safe on a terminal too: what could steer one or turn the reading
/// direction is escaped. Those characters stand only inside strings, so the value stays the same.
pub(crate) fn inert(json: &str) -> String {
    let mut line = String::with_capacity(json.len());
    let mut character = [0; 4];
    for c in json.chars() {
        let text: &str = c.encode_utf8(&mut character);
        if matches!(c, ' '..='~') || displayable_line(text) == text {
            line.push(c);
        } else {
            let mut halves = [0; 2];
            for half in c.encode_utf16(&mut halves) {
                line.push_str(&format!("\\u{half:04x}"));
            }
        }
    }
    line
}

fn writing(error: &io::Error) -> Failure {
    if error.kind() == io::ErrorKind::BrokenPipe {
        Failure::nobody_listens()
    } else {
        Failure::fixable("output", format!("Cannot write the result: {error}."))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_partner_wrote_cannot_steer_a_terminal_as_json_either() {
        let wrote = "\u{9b}2J \u{7f} \u{202e}neB \u{1b}[31m 🌊 é \\u0041\n";
        let line = inert(&serde_json::to_string(wrote).unwrap());
        assert_eq!(displayable_line(&line), line);
        assert!(line.contains("🌊 é"), "{line}");
        assert_eq!(serde_json::from_str::<String>(&line).unwrap(), wrote);
    }
}
