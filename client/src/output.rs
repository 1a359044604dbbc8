//! stdout is data, stderr is talk. No colour at all, so none ever carries meaning.

use std::io::{self, Write};

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
        self.plain(&line)
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

fn writing(error: &io::Error) -> Failure {
    if error.kind() == io::ErrorKind::BrokenPipe {
        Failure::nobody_listens()
    } else {
        Failure::fixable("output", format!("Cannot write the result: {error}."))
    }
}
