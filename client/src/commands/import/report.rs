//! What an import tells: how far it is, and what became of it.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use ajar_journal::import::{Reading, Skipped};
use serde_json::{Value, json};

use crate::output::Output;
use crate::report::Failure;

/// How often the line on the terminal is painted.
const PAINT: Duration = Duration::from_millis(100);
/// How many of the things left out for one reason are named to people; scripts get all.
const NAMED: usize = 3;
/// Why something that was imported before is left out.
const HERE_ALREADY: &str = "it is here already, from an earlier import";

/// What became of an import.
pub(super) struct Outcome {
    /// Entries that are kept, or that would be.
    pub(super) imported: usize,
    /// The id that undoes it, once something is to be written.
    pub(super) undo: Option<String>,
    photos: usize,
    here_already: usize,
    reading: Reading,
    dry_run: bool,
}

impl Outcome {
    pub(super) fn of(reading: Reading, dry_run: bool) -> Self {
        Self {
            imported: 0,
            undo: None,
            photos: 0,
            here_already: 0,
            reading,
            dry_run,
        }
    }

    pub(super) fn skip(&mut self, what: impl Into<String>, why: impl std::fmt::Display) {
        self.reading.skip(what, why);
    }

    pub(super) fn here_already(&mut self, what: &str) {
        self.here_already += 1;
        self.skip(what, HERE_ALREADY);
    }

    pub(super) fn took(&mut self, photos: usize) {
        self.imported += 1;
        self.photos += photos;
    }

    pub(super) fn tell(&self, out: Output) -> Result<(), Failure> {
        out.data(&self.to_json(), || self.words())?;
        if self.imported > 0 && !self.dry_run {
            out.talk("Kept in Only me. The file you imported is not sealed: delete it when it has served.");
        }
        Ok(())
    }

    fn to_json(&self) -> Value {
        let skipped: Vec<Value> = self
            .reading
            .skipped
            .iter()
            .map(|Skipped { what, why }| json!({"what": what, "why": why}))
            .collect();
        json!({
            "imported": self.imported,
            "photos": self.photos,
            "format": self.reading.format.as_str(),
            "dry_run": self.dry_run,
            "skipped": skipped,
            "skipped_more": self.reading.skipped_more,
            "here_already": self.here_already,
            "warnings": self.reading.warnings,
            "undo": self.undo.as_ref().filter(|_| self.imported > 0),
        })
    }

    fn words(&self) -> String {
        let entries = counted(self.imported, "entry", "entries");
        let photos = match self.photos {
            0 => String::new(),
            many => format!(
                " with {}",
                counted(many, "photo or file", "photos and files")
            ),
        };
        let from = self.reading.format.name();
        let mut lines = vec![match (self.imported, self.dry_run) {
            (0, _) => format!("Nothing new from {from}."),
            (_, true) => format!("{entries}{photos} would come from {from}. Nothing was written."),
            (_, false) => format!("{entries}{photos} came from {from}."),
        }];
        let mut reasons: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for Skipped { what, why } in &self.reading.skipped {
            reasons.entry(why).or_default().push(what);
        }
        if !reasons.is_empty() {
            lines.push("Left out:".to_owned());
        }
        for (why, whats) in reasons {
            let mut named = whats
                .iter()
                .take(NAMED)
                .copied()
                .collect::<Vec<_>>()
                .join(", ");
            if whats.len() > NAMED {
                named += &format!(" and {} more", whats.len() - NAMED);
            }
            lines.push(format!("  {named}: {why}"));
        }
        if self.reading.skipped_more > 0 {
            lines.push(format!("  {} more", self.reading.skipped_more));
        }
        lines.extend(self.reading.warnings.iter().cloned());
        if let Some(undo) = self.undo.as_ref().filter(|_| self.imported > 0) {
            lines.push(format!("To undo it: ajar import --undo {undo}"));
        }
        lines.join("\n")
    }
}

pub(super) fn counted(count: usize, one: &str, many: &str) -> String {
    match count {
        1 => format!("1 {one}"),
        _ => format!("{count} {many}"),
    }
}

/// A line on a terminal that is painted over; nothing where nobody looks.
pub(super) struct Progress {
    paints: bool,
    of: usize,
    last: Option<Instant>,
    width: usize,
}

impl Progress {
    pub(super) fn new(out: Output, of: usize) -> Self {
        Self {
            paints: !out.quiet && io::stderr().is_terminal(),
            of,
            last: None,
            width: 0,
        }
    }

    pub(super) fn show(&mut self, done: usize) {
        if self.paints && self.last.is_none_or(|last| last.elapsed() >= PAINT) {
            self.last = Some(Instant::now());
            self.paint(&format!("{done} of {}", self.of));
        }
    }

    fn paint(&mut self, line: &str) {
        let width = self.width;
        // Nobody listening is no failure.
        let _ = write!(io::stderr().lock(), "\r{line:<width$}\r");
        let _ = io::stderr().flush();
        self.width = line.len();
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.width > 0 {
            self.paint("");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ajar_journal::import::{Format, OneFile, read};

    fn outcome(dry_run: bool) -> Outcome {
        let none = |_: i64, _: &str| None;
        let json = b"{\"entries\":[7,7,7,7,7]}".to_vec();
        let reading = read(&mut OneFile::new("j.json", json), Format::DayOne, &none).unwrap();
        Outcome::of(reading, dry_run)
    }

    #[test]
    fn people_see_reasons_once_with_a_few_examples() {
        let mut outcome = outcome(false);
        outcome.here_already("entry 9 (2024-07-01)");
        outcome.undo = Some("0f".repeat(16));
        outcome.took(0);
        let words = outcome.words();
        assert!(
            words.contains("1 entry came from Day One.\nLeft out:\n"),
            "{words}"
        );
        assert!(words.contains("  entry 1, entry 2, entry 3 and 2 more: it is damaged"));
        assert!(words.contains("entry 9 (2024-07-01): it is here already"));
        assert!(words.ends_with(&"0f".repeat(16)));
    }

    #[test]
    fn scripts_get_the_shape_they_were_promised() {
        let mut outcome = outcome(true);
        outcome.took(0);
        let value = outcome.to_json();
        assert_eq!(value["imported"], 1);
        assert_eq!(value["dry_run"], true);
        assert_eq!(value["skipped"][0]["what"], "entry 1");
        assert_eq!(value["skipped"][0]["why"], "it is damaged");
        assert!(value["warnings"].is_array() && value["undo"].is_null());
        assert!(outcome.words().contains("Nothing was written."));
    }
}
