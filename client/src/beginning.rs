//! What is shown and remembered while this device begins from a copy of the past, which comes in
//! parts, the newest first.

use std::future::Future;
use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use ajar_sync::{Space, StartProgress};
use serde_json::{Value, json};

use crate::output::Output;
use crate::report::Failure;

/// Name of the sealed local note of how far the beginning is, while it is not done: parts that
/// are here and parts in all, 4 bytes each, big-endian.
const NOTE: &str = "client/beginning";
/// How often it is looked.
const LOOK: Duration = Duration::from_millis(200);

/// Runs something along a connection, and shows and notes how far a beginning is meanwhile.
/// `done` says of its result whether everything is here now.
pub(crate) async fn watched<T>(
    out: Output,
    space: &Space,
    done: impl FnOnce(&T) -> bool,
    work: impl Future<Output = T>,
) -> T {
    let mut shown = Shown::new(out);
    let mut look = tokio::time::interval(LOOK);
    tokio::pin!(work);
    let result = loop {
        tokio::select! {
            biased;
            result = &mut work => break result,
            _ = look.tick() => {
                let progress = tokio::task::block_in_place(|| space.start_progress());
                shown.show(space, progress.ok().flatten());
            }
        }
    };
    shown.end();
    if done(&result) {
        ended(space);
    }
    result
}

/// Everything is here.
pub(crate) fn ended(space: &Space) {
    let forget = || match space.local(NOTE)? {
        Some(_) => space.set_local(NOTE, None),
        None => Ok(()),
    };
    // Only `status` reads it.
    if let Err(error) = tokio::task::block_in_place(forget) {
        tracing::info!(
            code = error.code(),
            "the end of the beginning was not noted"
        );
    }
}

/// How far a beginning is that was not ended yet, as it was last noted.
pub(crate) fn noted(space: &Space) -> Result<Option<StartProgress>, Failure> {
    let noted: Option<[u8; 8]> = space.local(NOTE)?.and_then(|bytes| bytes.try_into().ok());
    Ok(noted.map(|noted| {
        let both = u64::from_be_bytes(noted);
        let number = |value: u64| usize::try_from(value & u64::from(u32::MAX)).unwrap_or(0);
        StartProgress {
            done: number(both >> 32),
            of: number(both),
        }
    }))
}

/// The shape scripts get.
pub(crate) fn to_json(progress: Option<StartProgress>) -> Value {
    match progress {
        Some(StartProgress { done, of }) => json!({"done": done, "of": of}),
        None => Value::Null,
    }
}

fn words(progress: StartProgress) -> String {
    let StartProgress { done, of } = progress;
    let newest = if done > 0 {
        "; the newest is here already"
    } else {
        ""
    };
    format!("Bringing your journal here: {done} of {of} parts{newest}")
}

/// A line on a terminal that is painted over; nothing where nobody looks.
struct Shown {
    paints: bool,
    last: Option<StartProgress>,
    width: usize,
}

impl Shown {
    fn new(out: Output) -> Self {
        Self {
            paints: !out.quiet && io::stderr().is_terminal(),
            last: None,
            width: 0,
        }
    }

    fn show(&mut self, space: &Space, progress: Option<StartProgress>) {
        let Some(progress) = progress.filter(|progress| Some(*progress) != self.last) else {
            return;
        };
        self.last = Some(progress);
        let number = |count: usize| u64::try_from(count).unwrap_or(0).min(u64::from(u32::MAX));
        let both = number(progress.done) << 32 | number(progress.of);
        let note = || space.set_local(NOTE, Some(both.to_be_bytes().to_vec()));
        if let Err(error) = tokio::task::block_in_place(note) {
            tracing::info!(
                code = error.code(),
                "how far the beginning is was not noted"
            );
        }
        self.paint(&words(progress));
    }

    fn paint(&mut self, line: &str) {
        if self.paints {
            let width = self.width;
            // Nobody listening is no failure.
            let _ = write!(io::stderr().lock(), "\r{line:<width$}");
            let _ = io::stderr().flush();
            self.width = line.len();
        }
    }

    fn end(&mut self) {
        if self.width > 0 {
            self.paint("");
            let _ = write!(io::stderr().lock(), "\r");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_is_promised_only_when_it_is_here() {
        let begun = words(StartProgress { done: 3, of: 40 });
        assert_eq!(
            begun,
            "Bringing your journal here: 3 of 40 parts; the newest is here already"
        );
        let nothing = words(StartProgress { done: 0, of: 40 });
        assert_eq!(nothing, "Bringing your journal here: 0 of 40 parts");
    }
}
